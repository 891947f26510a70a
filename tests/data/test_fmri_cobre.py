"""The layout of the public COBRE release: censored volumes, a group ICA on people who are left out, an atlas."""

import shutil

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from scan_files import by_nilearn, save, scan

from autospec.data import fmri
from autospec.errors import InputError


@pytest.fixture(scope="module")
def cobre(tmp_path_factory):
    """The layout of the public COBRE release, with random numbers: flat, compressed, NIAK's columns, 6 people."""
    folder = tmp_path_factory.mktemp("cobre")
    rng = np.random.default_rng(0)
    affine = np.diag([6.0, 6.0, 6.0, 1.0])
    rows = []
    for number in range(6):
        label = 40000 + number
        scan = (1000 + np.cumsum(rng.standard_normal((5, 6, 5, 80)), axis=3)).astype(np.int16)
        save(folder, scan, affine, f"fmri_00{label}.nii.gz")
        table = pd.DataFrame(rng.standard_normal((80, 4)), columns=["motion_tx", "motion_ty", "wm_avg", "slow_drift_1"])
        table["FD"] = np.abs(rng.normal(0.2, 0.1, 80))
        table["scrub"] = 0
        table.loc[rng.permutation(80)[: 5 * number], "scrub"] = 1
        table.to_csv(folder / f"fmri_00{label}.tsv.gz", sep="\t", index=False)
        rows.append((label, 20 + number, ["Male", "Female"][number % 2], ["Control", "Patient"][number // 3]))
    phenotype = pd.DataFrame(rows, columns=["ID", "Current Age", "Gender", "Subject Type"])
    phenotype.to_csv(folder / "phenotypic_data.tsv.gz", sep="\t", index=False)
    maps = rng.random((5, 6, 5, 4)).astype(np.float32)
    nib.save(nib.Nifti1Image(maps, affine), folder / "component_maps.nii.gz")
    return folder


COBRE = {
    "source": "fmri",
    "bold": "fmri_00{subject}.nii.gz",
    "confounds": "fmri_00{subject}.tsv.gz",
    "confound_columns": ["motion_*", "wm_avg", "slow_drift*"],
    "censor": {"columns": ["scrub"]},
    "participants": {
        "file": "phenotypic_data.tsv.gz",
        "subject": "ID",
        "group": "Subject Type",
        "age": "Current Age",
        "sex": "Gender",
    },
    "groups": {"control": ["Control"], "patient": ["Patient"]},
    "crop": 60,
}


def test_the_cobre_release_is_read_as_it_is_and_censored_as_nilearn_does(cobre):
    dataset, qc, dropped = fmri.read("cobre", COBRE, cobre)
    assert qc["usable_volumes"].tolist() == [80, 75, 70, 65, 60, 55]
    assert dropped.values.tolist() == [["subject", "40005", "fewer than 60 usable volumes"]]
    assert dataset.values.shape == (5, 60, 4)
    assert dataset.people["sex"].tolist() == ["M", "F", "M", "F", "M"]
    table = pd.read_csv(cobre / "fmri_0040004.tsv.gz", sep="\t")
    wanted = by_nilearn(
        cobre / "component_maps.nii.gz",
        cobre / "fmri_0040004.nii.gz",
        confounds=table[["motion_tx", "motion_ty", "wm_avg", "slow_drift_1"]].to_numpy(),
        sample_mask=np.flatnonzero(table["scrub"] == 0),
    )
    np.testing.assert_allclose(dataset.values[4], wanted, atol=2e-3)
    assert not dataset.simulated


def test_of_whom_all_volumes_are_censored_is_refused_or_left_out(cobre, tmp_path):
    folder = shutil.copytree(cobre, tmp_path / "copy")
    path = folder / "fmri_0040004.tsv.gz"
    pd.read_csv(path, sep="\t").assign(scrub=1).to_csv(path, sep="\t", index=False)
    with pytest.raises(InputError, match="subject 40004: all volumes are censored"):
        fmri.read("cobre", COBRE | {"crop": None}, folder)
    dataset, qc, dropped = fmri.read("cobre", COBRE, folder)
    assert dropped["label"].tolist() == ["40004", "40005"] and len(dataset.people) == 4
    assert qc.set_index("subject").at["40004", "usable_volumes"] == 0


@pytest.fixture(scope="module")
def ica(cobre):
    return COBRE | {"ica": {"components": 3, "people": 2, "seed": 0, "mask": "mask.nii.gz"}, "crop": 55}


def test_people_that_components_are_estimated_on_have_no_further_part(cobre, ica, tmp_path):
    from autospec.data.extraction import extract_part, find_cohort

    mask = nib.Nifti1Image(np.ones((5, 6, 5), np.uint8), np.diag([6.0, 6.0, 6.0, 1.0]))
    nib.save(mask, cobre / "mask.nii.gz")
    dataset, _, dropped = fmri.read("cobre", ica, cobre)
    estimated_on = dropped.loc[dropped["reason"] == "the components were estimated on them", "label"].tolist()
    assert len(estimated_on) == 2
    assert not set(estimated_on) & set(dataset.people["subject"]) and len(dataset.people) == 4
    chosen = find_cohort(ica, cobre).estimated_on
    assert sorted(path.name for path in chosen) == sorted(f"fmri_00{label}.nii.gz" for label in estimated_on)

    # The values of everybody else do not touch the maps, nor do the groups.
    before = extract_part(ica, cobre)
    copied = shutil.copytree(cobre, tmp_path / "copy")
    other = next(one for one in before.recordings if one.subject not in estimated_on).subject
    save(copied, 2 * scan(cobre, f"fmri_00{other}.nii.gz"), np.diag([6.0, 6.0, 6.0, 1.0]), f"fmri_00{other}.nii.gz")
    swapped = ica | {"groups": {"patient": ["Control"], "control": ["Patient"]}}
    after = extract_part(swapped, copied)
    for one, again in zip(before.recordings, after.recordings, strict=True):
        factor = 2 if one.subject == other else 1
        np.testing.assert_allclose(again.series, factor * one.series, rtol=1e-4)


def test_with_one_session_all_of_a_person_is_left_out_of_what_components_are_estimated_on(cobre, ica, tmp_path):
    from autospec.data.extraction import find_cohort

    folder = tmp_path / "sessions"
    folder.mkdir()
    for number in range(6):
        for session in (1, 2):
            for suffix in ("nii.gz", "tsv.gz"):
                name = f"fmri_00sub-{number}_ses-{session}.{suffix}"
                shutil.copyfile(cobre / f"fmri_004000{number}.{suffix}", folder / name)
    people = pd.read_csv(cobre / "phenotypic_data.tsv.gz", sep="\t").assign(ID=[f"sub-{n}" for n in range(6)])
    people.to_csv(folder / "phenotypic_data.tsv.gz", sep="\t", index=False)
    named = {"components": 3, "scans": "fmri_00sub-[01]_ses-1.nii.gz", "seed": 0}
    for options, scans in ((ica, 4), (ica | {"ica": named}, 2)):
        cohort = find_cohort(options, folder)
        assert len(cohort.estimated_on) == scans
        estimated_on = {path.name.removeprefix("fmri_00").split("_")[0] for path in cohort.estimated_on}
        assert len(estimated_on) == 2 and not estimated_on & set(cohort.people["person"])
        assert len(cohort.people) == 8 and len(cohort.dropped) == 4


def test_a_group_ica_of_scans_on_two_grids_is_refused(cobre, ica, tmp_path):
    folder = shutil.copytree(cobre, tmp_path / "copy")
    data = scan(folder, "fmri_0040001.nii.gz")
    save(folder, data[:, :, :4], np.diag([6.0, 6.0, 6.0, 1.0]), "fmri_0040001.nii.gz")
    options = ica | {"ica": {"components": 3, "scans": "fmri_004000[01].nii.gz", "seed": 0}, "resample_maps": True}
    with pytest.raises(InputError, match=r"fmri_0040001.nii.gz: grid \(5, 6, 4\).*Bring them to one grid") as caught:
        fmri.read("cobre", options, folder)
    assert "\n" not in str(caught.value)


def test_a_group_ica_takes_nan_outside_the_brain_for_nothing(cobre, tmp_path):
    from autospec.data.extraction import find_cohort
    from autospec.data.group_ica import estimate

    maps = []
    for outside in (0, np.nan):
        folder = shutil.copytree(cobre, tmp_path / str(outside))
        for number in range(6):
            data = scan(folder, f"fmri_004000{number}.nii.gz")
            data[0], data[:, -1] = outside, outside
            save(folder, data, np.diag([6.0, 6.0, 6.0, 1.0]), f"fmri_004000{number}.nii.gz")
        options = COBRE | {"ica": {"components": 3, "people": 2, "seed": 0, "mask": "mask.nii.gz"}}
        mask = np.ones((5, 6, 5), np.uint8)
        nib.save(nib.Nifti1Image(mask, np.diag([6.0, 6.0, 6.0, 1.0])), folder / "mask.nii.gz")
        maps.append(estimate(options["ica"], folder, find_cohort(options, folder).estimated_on)[0].get_fdata())
    assert maps[0].any() and np.isfinite(maps[1]).all()
    np.testing.assert_array_equal(*maps)


def test_components_can_be_estimated_on_other_peoples_scans(cobre, ica):
    options = ica | {"ica": {"components": 3, "scans": "fmri_004000[01].nii.gz", "seed": 0, "mask": "mask.nii.gz"}}
    dataset, _, dropped = fmri.read("cobre", options, cobre)
    assert dropped["label"].tolist() == ["40000", "40001"] and len(dataset.people) == 4


@pytest.mark.parametrize(
    "options, said",
    [
        ({"people": 3, "seed": 0}, "`ica.people` asks for 3 of 6 people.*at least 4 must be left"),
        ({"scans": "other/*.nii.gz", "seed": 0}, r"0 file\(s\) match 'other/\*.nii.gz', wanted 2 or more"),
        ({"people": 2, "seed": 0, "mask": "fmri_0040000.tsv.gz"}, "tsv.gz: not a readable NIfTI"),
    ],
)
def test_mistakes_about_the_group_ica_are_named(cobre, options, said):
    with pytest.raises(InputError, match=said):
        fmri.read("cobre", COBRE | {"ica": {"components": 3} | options}, cobre)


def test_an_atlas_stands_in_for_maps(cobre):
    labels = np.arange(150).reshape(5, 6, 5) % 4
    nib.save(nib.Nifti1Image(labels.astype(np.int16), np.diag([6.0, 6.0, 6.0, 1.0])), cobre / "atlas.nii.gz")
    dataset, _, _ = fmri.read("cobre", COBRE | {"atlas": "atlas.nii.gz"}, cobre)
    assert dataset.features == ["region-1", "region-2", "region-3"]
