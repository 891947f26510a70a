"""Real scans, small: in full, and those that cannot be used."""

import shutil

import nibabel as nib
import nilearn.signal
import numpy as np
import pandas as pd
import pytest
from scan_files import read

from autospec.errors import InputError


@pytest.mark.slow
def test_real_scans_go_through(shared_data, tmp_path):
    """Haxby et al. (2001), whole brain at 25 mm; each run stands for a person here."""
    source = shared_data / "fmri_4d" / "pymvpa_haxby" / "haxby2001_sub001"
    runs = sorted(source.glob("task001_run*/bold_25mm.nii.gz"))[:4]
    first = nib.load(runs[0])
    rng = np.random.default_rng(0)
    maps = np.abs(rng.standard_normal((*first.shape[:3], 5))).astype(np.float32)
    maps *= (first.get_fdata().std(axis=3) > 0)[..., None]
    nib.save(nib.Nifti1Image(maps, first.affine), tmp_path / "maps.nii.gz")
    for number, run in enumerate(runs):
        shutil.copy(run, tmp_path / f"run{number}.nii.gz")
    people = "participant_id\tdiagnosis\n" + "".join(f"run{n}\t{'ab'[n % 2]}\n" for n in range(4))
    (tmp_path / "participants.tsv").write_text(people)
    dataset, qc, dropped = read(
        tmp_path, bold="{subject}.nii.gz", maps="maps.nii.gz", confounds=None, groups={"a": ["a"], "b": ["b"]}
    )
    assert dataset.values.shape == (4, 121, 5)
    assert not dataset.simulated
    assert dropped.empty
    assert set(qc["repetition_time"]) == {2.5}
    assert qc["mean_fd"].isna().all()
    assert "motion" not in dataset.people
    assert dataset.features[0] == "component-01"
    volumes = nib.load(runs[3]).get_fdata().reshape(-1, 121)
    raw = np.linalg.lstsq(maps.reshape(-1, 5).astype(float), volumes)[0].T
    wanted = nilearn.signal.clean(raw, t_r=2.5, low_pass=0.1, high_pass=0.01, standardize="zscore_sample")
    np.testing.assert_allclose(dataset.values[3], wanted, atol=5e-3)


@pytest.mark.parametrize(
    "name, said",
    [
        ("nibabel/functional.nii", "20 volumes of 2 s are too few"),
        ("nitime/fmri1.nii.gz", "40 volumes of 1.35 s are too few.* 3 confounds"),
        ("nibabel/example4d.nii.gz", "a.nii.gz: no usable repetition time in the header .time step 2000, unit sec"),
    ],
)
def test_real_scans_that_are_too_short_or_mislabelled_are_refused(shared_data, tmp_path, name, said):
    path = shared_data / "fmri_4d" / name
    image = nib.load(path)
    suffix = ".nii.gz" if name.endswith(".gz") else ".nii"
    for person in "ab":
        shutil.copy(path, tmp_path / f"{person}{suffix}")
    maps = np.random.default_rng(0).random((*image.shape[:3], 3)).astype(np.float32)
    nib.save(nib.Nifti1Image(maps, image.affine), tmp_path / "maps.nii.gz")
    (tmp_path / "participants.tsv").write_text("participant_id\tdiagnosis\na\ta\nb\tb\n")
    options = {"maps": "maps.nii.gz", "groups": {"a": ["a"], "b": ["b"]}, "bold": "{subject}" + suffix}
    options |= {"confounds": "{subject}.tsv", "confound_columns": list("xyz"), "low_pass": 0.04}
    for person in "ab":
        pd.DataFrame(np.eye(image.shape[3], 3), columns=list("xyz")).to_csv(
            tmp_path / f"{person}.tsv", sep="\t", index=False
        )
    with pytest.raises(InputError, match=said):
        read(tmp_path, **options)
