import hashlib
import json
import os
import time

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nilearn.signal import clean
from scipy import signal, stats

from autospec.data import simulate_fmri
from autospec.errors import InputError


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    simulate_fmri.write_cohort(folder, 10, 1.0, 3)
    return folder


def fisher_z(connectivity, people, rng):
    """Correlations of cleaned time courses, shape (people, components, components)."""
    found = []
    for _ in range(people):
        series = clean(
            simulate_fmri.simulate_timecourses(connectivity, rng),
            t_r=2.0,
            low_pass=0.1,
            high_pass=0.01,
            standardize="zscore_sample",
        )
        found.append(np.arctanh(np.corrcoef(series.T) - np.eye(series.shape[1])))
    return np.stack(found)


def cohens_d(one, other):
    return (one.mean(axis=0) - other.mean(axis=0)) / np.sqrt((one.var(axis=0) + other.var(axis=0)) / 2)


@pytest.mark.slow
def test_planted_connectivity_differences_are_found_and_no_others():
    control, patient = simulate_fmri.group_connectivity(1.0)
    rng = np.random.default_rng(0)
    upper = np.triu_indices(len(control), 1)
    controls, patients = (fisher_z(each, 400, rng)[:, *upper] for each in (control, patient))
    effect = np.zeros_like(control)
    effect[upper] = cohens_d(patients, controls)
    higher, lower = simulate_fmri.planted_edges()
    assert len(higher) == 4 and len(lower) == 10
    assert np.mean([effect[edge] for edge in higher]) == pytest.approx(0.6, abs=0.12)
    assert np.mean([effect[edge] for edge in lower]) == pytest.approx(-0.6, abs=0.12)
    assert all(effect[edge] > 0.3 for edge in higher)
    assert all(effect[edge] < -0.3 for edge in lower)
    for edge in higher + lower:
        effect[edge] = 0
    # 176 edges without a difference: their d has a standard error of sqrt(2 / 400).
    assert np.abs(effect).max() < 4 * np.sqrt(2 / 400)


def test_no_effect_means_no_difference():
    control, patient = simulate_fmri.group_connectivity(0.0)
    np.testing.assert_allclose(control, patient, atol=1e-12)


def test_people_vary_about_their_groups_correlations():
    control, _ = simulate_fmri.group_connectivity(1.0)
    z = fisher_z(control, 300, np.random.default_rng(1))
    np.testing.assert_allclose(np.tanh(z.mean(axis=0)) + np.eye(20), control, atol=0.06)


def test_time_courses_lie_in_the_band_of_slow_fluctuations():
    control, _ = simulate_fmri.group_connectivity(1.0)
    series = simulate_fmri.simulate_timecourses(control, np.random.default_rng(2), amplitude=2.0, volumes=2000)
    frequency, power = signal.welch(series, fs=0.5, nperseg=512, axis=0)
    inside = (frequency > 0.005) & (frequency < 0.13)
    assert power[inside].sum() / power.sum() > 0.95
    np.testing.assert_allclose(series.std(axis=0), 2.0, rtol=0.1)


def test_scans_are_small_4d_images_in_mni_that_say_what_they_are(cohort):
    image = nib.load(cohort / "sub-0001" / "func" / "sub-0001_task-rest_desc-preproc_bold.nii.gz")
    assert image.shape == (*simulate_fmri.SHAPE, simulate_fmri.VOLUMES)
    assert image.header.get_zooms() == (12.0, 12.0, 12.0, 2.0)
    assert image.header.get_xyzt_units() == ("mm", "sec")
    assert int(image.header["sform_code"]) == 4  # MNI 152
    maps, mask = nib.load(cohort / "component_maps.nii.gz"), nib.load(cohort / "brain_mask.nii.gz")
    for each in (image, maps, mask):
        assert each.header["descrip"].item().startswith(b"SIMULATED")
        np.testing.assert_array_equal(each.affine, simulate_fmri.AFFINE)
    assert maps.shape == (*simulate_fmri.SHAPE, 20)
    inside = mask.get_fdata().astype(bool)
    data = image.get_fdata()
    assert (data[~inside] == 0).all()
    assert 900 < data[inside].mean() < 1100
    assert np.linalg.cond(maps.get_fdata()[inside]) < 10
    names = pd.read_csv(cohort / "component_maps.tsv", sep="\t")["name"].tolist()
    for name, (_, centres) in simulate_fmri.COMPONENTS.items():
        peak = np.unravel_index(maps.get_fdata()[..., names.index(name)].argmax(), simulate_fmri.SHAPE)
        place = nib.affines.apply_affine(maps.affine, peak)
        assert min(np.linalg.norm(place - centre) for centre in centres) < 15  # the edge of the brain cuts some
    assert json.loads((cohort / "dataset_description.json").read_text())["Simulated"] is True


def test_confounds_are_laid_out_as_fmriprep_does(cohort):
    path = cohort / "sub-0002" / "func" / "sub-0002_task-rest_desc-confounds_timeseries.tsv"
    table = pd.read_csv(path, sep="\t", na_values="n/a")
    assert len(table) == simulate_fmri.VOLUMES
    assert table.columns.tolist() == [*simulate_fmri.MOTION, "framewise_displacement", "csf", "white_matter"]
    assert path.read_text().splitlines()[1].split("\t")[6] == "n/a"
    # Power et al. (2012): the sum of absolute differences, rotations on a sphere of 50 mm.
    steps = table[list(simulate_fmri.MOTION)].diff().abs()
    displacement = steps.iloc[:, :3].sum(axis=1) + 50 * steps.iloc[:, 3:].sum(axis=1)
    np.testing.assert_allclose(table["framewise_displacement"][1:], displacement[1:], atol=1e-3)
    people = pd.read_csv(cohort / "participants.tsv", sep="\t").set_index("participant_id")
    assert people.loc["sub-0002", "motion"] == pytest.approx(table["framewise_displacement"].mean(), abs=1e-3)


def test_confounds_leak_into_the_voxels(cohort):
    shares = []
    for subject in ("sub-0001", "sub-0002", "sub-0003"):
        stem = cohort / subject / "func" / f"{subject}_task-rest_desc-"
        data = nib.load(f"{stem}preproc_bold.nii.gz").get_fdata()
        voxels = signal.detrend(data[data.any(axis=3)], axis=1)
        table = pd.read_csv(f"{stem}confounds_timeseries.tsv", sep="\t", na_values="n/a")
        regressors = signal.detrend(table.drop(columns="framewise_displacement").to_numpy(), axis=0)
        left = voxels.T - regressors @ np.linalg.lstsq(regressors, voxels.T)[0]
        shares.append(1 - left.var() / voxels.var())
    assert min(shares) > 0.15  # eight of 118 degrees of freedom would be 0.07 by chance


def test_groups_are_matched_in_everything_but_diagnosis():
    people = simulate_fmri._recruit(400, np.random.default_rng(5))
    assert people["diagnosis"].value_counts().to_dict() == {"control": 200, "schizophrenia": 200}
    groups = [each for _, each in people.groupby("diagnosis")]
    assert pd.crosstab(people["diagnosis"], [people["sex"], people["site"]]).nunique().eq(1).all()
    for variable in ("age", "scale"):
        assert stats.ks_2samp(groups[0][variable], groups[1][variable]).pvalue > 0.5
    # No block of one diagnosis: the order must not tell the groups.
    assert 150 < (people["diagnosis"] != people["diagnosis"].shift()).sum() < 250


def checksums(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_one_seed_writes_the_same_bytes(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        simulate_fmri.write_cohort(tmp_path / name, 5, 1.0, seed)
        time.sleep(1.1)  # gzip would write the second of writing into its header
    assert checksums(tmp_path / "a") == checksums(tmp_path / "b")
    scan = "sub-0001/func/sub-0001_task-rest_desc-preproc_bold.nii.gz"
    assert checksums(tmp_path / "a")[scan] != checksums(tmp_path / "c")[scan]
    assert len(checksums(tmp_path / "a")) == 5 + 3 * 5


def test_the_effect_changes_patients_alone(tmp_path):
    for effect in (0.0, 1.0):
        simulate_fmri.write_cohort(tmp_path / str(effect), 6, effect, 1)
    people = pd.read_csv(tmp_path / "0.0" / "participants.tsv", sep="\t")
    without, with_effect = checksums(tmp_path / "0.0"), checksums(tmp_path / "1.0")
    for _, person in people.iterrows():
        subject = person["participant_id"]
        stem = f"{subject}/func/{subject}_task-rest_desc-"
        same = without[f"{stem}preproc_bold.nii.gz"] == with_effect[f"{stem}preproc_bold.nii.gz"]
        assert same == (person["diagnosis"] == "control")
        assert without["participants.tsv"] == with_effect["participants.tsv"]


def test_a_cohort_of_120_is_small(tmp_path):
    simulate_fmri.write_cohort(tmp_path, 120, 1.0, 2)
    assert sum(os.path.getsize(path) for path in tmp_path.rglob("*") if path.is_file()) < 60e6


@pytest.mark.parametrize("subjects, effect, said", [(3, 1.0, "wanted 4 or more"), (10, 30.0, "effect 30 asks")])
def test_impossible_cohorts_are_refused(tmp_path, subjects, effect, said):
    with pytest.raises(InputError, match=said):
        simulate_fmri.write_cohort(tmp_path, subjects, effect, 1)
