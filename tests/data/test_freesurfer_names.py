"""One name a measure, against lists of names as versions and tables have them."""

import pytest

from autospec.data.freesurfer_names import current_name, is_measure, is_volume


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Left-Thalamus-Proper", "Left-Thalamus"),  # up to 6
        ("CorticalWhiteMatterVol", "CerebralWhiteMatterVol"),  # up to 5.3
        ("IntraCranialVol", "EstimatedTotalIntraCranialVol"),  # 5.1
        ("ICV", "EstimatedTotalIntraCranialVol"),
        ("lh_G&S_cingul-Mid-Ant_thickness", "lh_G_and_S_cingul-Mid-Ant_thickness"),  # 6
        ("rh_S_intrapariet&P_trans_area", "rh_S_intrapariet_and_P_trans_area"),
        ("LLatVent", "Left-Lateral-Ventricle"),  # ENIGMA
        ("Raccumb", "Right-Accumbens-area"),
        ("L_bankssts_thickavg", "lh_bankssts_thickness"),
        ("R_insula_surfavg", "rh_insula_area"),
        ("RThickness", "rh_MeanThickness_thickness"),
        ("LSurfArea", "lh_WhiteSurfArea_area"),
        ("X3rd.Ventricle", "3rd-Ventricle"),  # through R
        ("Left_Cerebellum_White_Matter", "Left-Cerebellum-White-Matter"),
        ("Right-Hippocampus", "Right-Hippocampus"),
        ("lh_fusiform_volume", "lh_fusiform_volume"),
        ("age_and_sex", "age_and_sex"),
    ],
)
def test_a_measure_has_one_name_whatever_the_version(old, new):
    assert current_name(old) == new


def test_names_of_freesurfer_7_stay_and_no_two_names_of_a_real_cohort_become_one(shared_data):
    header = (shared_data / "cobre_meta" / "vault_freesurfer_cobre_data.csv").read_text().strip().split(",")
    current = {current_name(name) for name in header}
    assert len(header) == 495 and len(current) == len(set(header)) == 493
    assert {current_name(name) for name in current} == current
    processing = {"SurfaceHoles", "lhSurfaceHoles", "rhSurfaceHoles", "BrainSegVol-to-eTIV", "MaskVol-to-eTIV"}
    head_size = {"EstimatedTotalIntraCranialVol"}
    assert {name for name in current if not is_measure(name)} == processing | head_size


@pytest.mark.parametrize("name", ["age", "SubjID", "Dx", "AUDIT_Total_Score", "site", "lh_handed", "thickness"])
def test_other_columns_are_no_measures(name):
    assert current_name(name) == name and not is_measure(name)


def test_volumes_are_told_from_other_measures():
    volumes = ["Left-Hippocampus", "CortexVol", "lh_insula_volume", "3rd-Ventricle", "wm-lh-insula"]
    others = ["lh_insula_thickness", "rh_insula_area", "lh_MeanThickness_thickness", "SurfaceHoles", "age"]
    assert all(map(is_volume, volumes)) and not any(map(is_volume, others))
