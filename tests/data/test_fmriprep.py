"""Cohorts named as by fMRIPrep in standard space, read by the patterns that the options' descriptions give."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import yaml
from nilearn.interfaces.fmriprep import load_confounds
from nilearn.maskers import NiftiMapsMasker

from autospec.data import fmri

VOLUMES, CROP, AFFINE = 80, 70, np.diag([3.0, 3.0, 3.0, 1.0])
SPACE = "space-MNI152NLin2009cAsym_desc-preproc_bold.nii.gz"
MOTION = [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]
STRATEGY = {"strategy": ["motion", "high_pass", "scrub"], "motion": "basic", "scrub": 0, "fd_threshold": 0.5}


def write_scan(folder, stem, rng):
    folder.mkdir(parents=True)
    image = nib.Nifti1Image((100 + rng.normal(size=(5, 5, 5, VOLUMES))).astype(np.float32), AFFINE)
    image.header.set_xyzt_units("mm", "sec")
    image.header["pixdim"][4] = 2.0
    nib.save(image, folder / f"{stem}_{SPACE}")
    table = pd.DataFrame(rng.normal(size=(VOLUMES, 6)).cumsum(axis=0), columns=MOTION)
    table["cosine00"] = np.cos(np.pi * (np.arange(VOLUMES) + 0.5) / VOLUMES)
    table["framewise_displacement"] = np.abs(rng.normal(0.1, 0.02, VOLUMES))
    table["std_dvars"] = 1.0
    table.loc[rng.integers(5, 60), "framewise_displacement"] = 2.0
    table.loc[0, ["framewise_displacement", "std_dvars"]] = np.nan
    table.to_csv(folder / f"{stem}_desc-confounds_timeseries.tsv", sep="\t", index=False, na_rep="n/a")


def patterns(repository):
    """The patterns for sessions that the schema's descriptions name."""
    schema = yaml.safe_load((repository / "workflow" / "schemas" / "config.schema.yaml").read_text())
    texts = {name: schema["$defs"]["fmri"]["properties"][name]["description"] for name in ("bold", "confounds")}
    return {name: next(one for one in text.split("`") if one.startswith("*/*/")) for name, text in texts.items()}


@pytest.mark.parametrize("sessions", [("ses-1", "ses-2"), ()])
def test_scans_in_standard_space_are_read_with_nilearns_confounds(tmp_path, repository, sessions):
    rng = np.random.default_rng(0)
    stems = {}
    for person in (f"sub-{number:02d}" for number in range(1, 5)):
        for session in sessions or [""]:
            stem = "_".join(part for part in (person, session, "task-rest") if part)
            stems[stem] = tmp_path / person / session / "func"
            write_scan(stems[stem], stem, rng)
    rows = [f"sub-{number:02d}\t{'ab'[number % 2]}" for number in range(1, 5)]
    (tmp_path / "participants.tsv").write_text("\n".join(["participant_id\tdiagnosis", *rows]) + "\n")
    maps = nib.Nifti1Image(rng.random((5, 5, 5, 3)).astype(np.float32), AFFINE)
    nib.save(maps, tmp_path / "component_maps.nii.gz")

    options = {name: pattern if sessions else pattern[2:] for name, pattern in patterns(repository).items()}
    options |= {"groups": {"b": ["b"], "a": ["a"]}, "load_confounds": STRATEGY, "high_pass": None, "low_pass": None}
    dataset, qc, dropped = fmri.read("rest", options | {"crop": CROP}, tmp_path)

    assert dataset.people["subject"].tolist() == list(stems) and dropped.empty
    assert dataset.people["person"].tolist() == [stem.split("_")[0] for stem in stems]
    assert dataset.people["group"].tolist() == ["ab"[int(stem[4:6]) % 2] for stem in stems]
    assert (qc["usable_volumes"] < VOLUMES).all()
    masker = NiftiMapsMasker(maps, standardize="zscore_sample", detrend=True, t_r=2.0, resampling_target=None).fit()
    for row, (stem, folder) in enumerate(stems.items()):
        scan = str(folder / f"{stem}_{SPACE}")
        confounds, sample_mask = load_confounds(scan, demean=False, **STRATEGY)
        wanted = masker.transform(scan, confounds=confounds, sample_mask=sample_mask)
        assert qc["usable_volumes"][row] == len(wanted) < VOLUMES
        cut = masker.transform(scan, confounds=confounds, sample_mask=sample_mask[:CROP])
        np.testing.assert_allclose(dataset.values[row], cut, atol=2e-3)
