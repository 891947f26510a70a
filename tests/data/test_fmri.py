import json
import logging
import tracemalloc

import nibabel as nib
import nilearn.signal
import numpy as np
import pandas as pd
import pytest
from scan_files import CONFOUNDS, OPTIONS, SCAN, by_nilearn, read, save, scan

from autospec.data import confounds, fmri, simulate_fmri
from autospec.errors import InputError


def confounds_by_hand(folder, subject="sub-0002"):
    path = folder / subject / "func" / f"{subject}_task-rest_desc-confounds_timeseries.tsv"
    return pd.read_csv(path, sep="\t", na_values="n/a")[list(confounds.COLUMNS)].to_numpy()


def test_time_courses_are_nilearns(cohort):
    dataset, _, dropped = read(cohort)
    wanted = by_nilearn(cohort / "component_maps.nii.gz", cohort / SCAN, confounds=confounds_by_hand(cohort))
    row = dataset.people["subject"].tolist().index("sub-0002")
    np.testing.assert_allclose(dataset.values[row], wanted, atol=2e-3)
    assert dataset.values.shape == (4, 120, 20)
    assert dataset.features == list(simulate_fmri.COMPONENTS)
    assert dataset.simulated
    assert "imulated" in dataset.description
    assert dropped.empty


def test_time_courses_are_the_least_squares_of_the_maps_on_each_volume(cohort):
    dataset, _, _ = read(cohort, confounds=None, high_pass=0.02, low_pass=0.15)
    maps = nib.load(cohort / "component_maps.nii.gz").get_fdata().reshape(-1, 20)
    volumes = nib.load(cohort / SCAN).get_fdata().reshape(-1, 120)
    wanted = nilearn.signal.clean(
        np.linalg.lstsq(maps, volumes)[0].T, t_r=2.0, low_pass=0.15, high_pass=0.02, standardize="zscore_sample"
    )
    row = dataset.people["subject"].tolist().index("sub-0002")
    np.testing.assert_allclose(dataset.values[row], wanted, atol=2e-3)


@pytest.mark.slow
def test_confounds_are_gone_from_what_is_left(cohort):
    # Without a band nothing but the trend and the confounds is taken out.
    dataset, _, _ = read(cohort, high_pass=None, low_pass=None)
    left = dataset.values[dataset.people["subject"].tolist().index("sub-0002")]
    confounds = confounds_by_hand(cohort)
    across = np.corrcoef(
        left.T, nilearn.signal.standardize_signal(confounds, detrend=True, standardize="zscore_sample").T
    )[:20, 20:]
    assert np.abs(across).max() < 1e-4
    kept, _, _ = read(cohort, high_pass=None, low_pass=None, confounds=None)
    across = np.corrcoef(
        kept.values[1].T, nilearn.signal.standardize_signal(confounds, detrend=True, standardize="zscore_sample").T
    )[:20, 20:]
    assert np.abs(across).max() > 0.3


@pytest.mark.slow
def test_removing_confounds_recovers_the_simulated_signal(cohort):
    people = pd.read_csv(cohort / "participants.tsv", sep="\t")
    connectivity = dict(zip(("control", "schizophrenia"), simulate_fmri.group_connectivity(1.0), strict=True))
    with_confounds, without = read(cohort)[0].values, read(cohort, confounds=None)[0].values
    scores = []
    for index, diagnosis in enumerate(people["diagnosis"]):
        rng = np.random.default_rng([3, 2, index])
        rng.standard_normal()  # the amplitude comes first
        truth = nilearn.signal.clean(
            simulate_fmri.simulate_timecourses(connectivity[diagnosis], rng),
            t_r=2.0,
            low_pass=0.1,
            high_pass=0.01,
            standardize="zscore_sample",
        )
        scores.append([(truth * found[index]).mean(axis=0).mean() for found in (with_confounds, without)])
    cleaned, raw = np.mean(scores, axis=0)
    assert cleaned > 0.8
    assert cleaned > raw + 0.02


@pytest.mark.slow
def test_quality_measures_are_those_of_the_files(cohort):
    dataset, qc, _ = read(cohort)
    row = qc.set_index("subject").loc["sub-0002"]
    table = pd.read_csv(cohort / CONFOUNDS, sep="\t", na_values="n/a")
    data = nib.load(cohort / SCAN).get_fdata()
    voxels = data[data.any(axis=3)]
    assert row["volumes"] == 120
    assert row["repetition_time"] == 2.0
    assert row["constant_components"] == 0
    assert row["coverage"] == pytest.approx(1)
    assert row["mean_fd"] == pytest.approx(table["framewise_displacement"].mean())
    assert row["tsnr"] == pytest.approx(np.median(voxels.mean(axis=1) / voxels.std(axis=1)), rel=1e-4)
    # The participants table was not asked for motion, so it comes from the confounds.
    assert dataset.people["motion"].tolist() == qc["mean_fd"].tolist()


@pytest.mark.slow
def test_motion_of_the_participants_table_is_kept(copy):
    table = pd.read_csv(copy / "participants.tsv", sep="\t").assign(motion=[0.1, 0.2, 0.3, 0.4])
    table.to_csv(copy / "participants.tsv", sep="\t", index=False)
    dataset, _, _ = read(copy, participants=OPTIONS["participants"] | {"motion": "motion"})
    assert dataset.people["motion"].tolist() == [0.1, 0.2, 0.3, 0.4]


@pytest.mark.slow
def test_one_scan_is_in_memory_at_a_time_and_maps_are_inverted_once(cohort, monkeypatch):
    # A scan of 120 volumes takes 1.2 MB as float32; four at once would show.
    read(cohort)  # imports and caches
    tracemalloc.start()
    read(cohort)
    two = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    size = np.prod(simulate_fmri.SHAPE) * 120 * 4
    assert two < 12 * size
    inverted = []
    monkeypatch.setattr(np.linalg, "pinv", _counted(np.linalg.pinv, inverted))
    read(cohort)
    assert len(inverted) == 1


def _counted(function, calls):
    def counted(*arguments, **options):
        calls.append(function)
        return function(*arguments, **options)

    return counted


@pytest.mark.slow
def test_progress_is_logged_with_the_time_left(cohort, caplog):
    with caplog.at_level(logging.INFO):
        read(cohort)
    assert "4 of 4 scans read, about 0 s left" in caplog.text


@pytest.mark.slow
def test_a_component_outside_one_scan_is_zero_there_and_named(copy):
    maps, data = scan(copy, "component_maps.nii.gz"), scan(copy)
    data[maps[..., 3] > 0.2] = 0
    save(copy, data)
    dataset, qc, dropped = read(copy)
    assert "cerebellum-anterior" in dropped["label"].tolist()
    assert set(dropped["reason"]) == {"constant in 1 of 4 people, left out where one of them is trained on"}
    assert len(dropped) < 4
    assert dataset.features == list(simulate_fmri.COMPONENTS) and dataset.values.shape == (4, 120, 20)
    row = dataset.people["subject"].tolist().index("sub-0002")
    lacking = [dataset.features[column] for column in np.flatnonzero(~dataset.values[row].any(axis=0))]
    assert lacking == dropped["label"].tolist()
    assert qc["constant_components"].tolist() == [0, len(dropped), 0, 0]
    assert qc["coverage"].tolist()[1] < 0.5


@pytest.mark.slow
def test_different_lengths_are_refused_unless_cropping_is_asked_for(copy):
    save(copy, scan(copy)[..., :100])
    (copy / CONFOUNDS).write_text("".join((copy / CONFOUNDS).read_text().splitlines(keepends=True)[:101]))
    with pytest.raises(InputError, match="subject sub-0002 has 100 volumes, 3 of 4 people have 120"):
        read(copy)
    dataset, qc, _ = read(copy, crop=100)
    assert dataset.values.shape == (4, 100, 20)
    assert qc["volumes"].tolist() == [120, 100, 120, 120]


@pytest.mark.slow
def test_repetition_time_comes_from_header_sidecar_or_configuration(copy):
    for path in copy.glob("sub-*/func/*.json"):
        path.unlink()
    assert set(read(copy)[1]["repetition_time"]) == {2.0}
    for path in sorted(copy.glob("sub-*/func/*bold.nii.gz")):
        save(copy, scan(copy, path), name=path, step=2000.0, unit="msec")
    assert set(read(copy)[1]["repetition_time"]) == {2.0}
    for path in sorted(copy.glob("sub-*/func/*bold.nii.gz")):
        save(copy, scan(copy, path), name=path, step=1.0, unit="unknown")
    with pytest.raises(InputError, match="no usable repetition time in the header .time step 1, unit unknown"):
        read(copy)
    assert set(read(copy, repetition_time=2.5)[1]["repetition_time"]) == {2.5}


@pytest.mark.slow
def test_maps_on_another_grid_are_resampled_only_when_asked_for(copy):
    expected = read(copy)[0].values
    maps = nib.load(copy / "component_maps.nii.gz")
    finer = simulate_fmri.AFFINE.copy()
    finer[:3, :3] /= 2
    from nilearn.image import resample_img

    resample_img(maps, finer, tuple(2 * size for size in simulate_fmri.SHAPE)).to_filename(
        copy / "component_maps.nii.gz"
    )
    with pytest.raises(InputError, match="voxels of 12 x 12 x 12 mm.*6 x 6 x 6 mm.*resample_maps"):
        read(copy)
    resampled = read(copy, resample_maps=True)[0].values
    alike = [np.corrcoef(resampled[0, :, k], expected[0, :, k])[0, 1] for k in range(20)]
    assert min(alike) > 0.9


def test_voxels_that_are_nan_in_every_volume_count_as_zeros_as_in_nilearns_maskers(copy):
    maps, data = scan(copy, "component_maps.nii.gz"), scan(copy)
    outside = ~maps.any(axis=3)
    outside[:, :5] = True  # some of the maps lie there, and so outside this scan
    data[outside] = np.nan
    save(copy, data)
    maps[~maps.any(axis=3)] = np.nan
    save(copy, maps, name="component_maps.nii.gz")
    dataset, qc, _ = read(copy)
    wanted = by_nilearn(copy / "component_maps.nii.gz", copy / SCAN, confounds=confounds_by_hand(copy))
    there = dataset.values[1].any(axis=0)
    assert there.sum() > 5 and qc["coverage"][1] < 1
    np.testing.assert_allclose(dataset.values[1][:, there], wanted[:, there], atol=2e-3)
    data[outside] = 0
    save(copy, data)
    np.testing.assert_array_equal(read(copy)[0].values, dataset.values)


def test_what_is_no_number_under_no_component_does_not_matter(copy):
    maps, data = scan(copy, "component_maps.nii.gz"), scan(copy)
    expected = read(copy)[0].values
    assert not maps[0, 0, 0].any()
    data[0, 0, 0, 3], data[0, 0, 0, 4] = np.nan, np.inf
    save(copy, data)
    np.testing.assert_array_equal(read(copy)[0].values, expected)


@pytest.mark.slow
def test_records_can_be_written_and_read_again(cohort, tmp_path):
    from autospec.data.dataset import check_dataset, read_dataset, write_dataset

    dataset, _, _ = read(cohort)
    check_dataset(dataset, str(cohort))
    write_dataset(dataset, tmp_path / "data.parquet")
    again = read_dataset(tmp_path / "data.parquet")
    np.testing.assert_array_equal(again.values, dataset.values)
    assert again.simulated and again.features == dataset.features
    assert json.loads((cohort / "dataset_description.json").read_text())["Name"].startswith("SIMULATED")


def test_parts_together_are_the_whole(cohort, tmp_path):
    from autospec.data.extracted import write_extracted
    from autospec.data.extraction import extract_part

    whole, whole_qc, _ = read(cohort)
    for part in range(3):
        write_extracted(extract_part(OPTIONS, cohort, part, 3), tmp_path / f"{part}.parquet")
    parts = [tmp_path / f"{part}.parquet" for part in range(3)]
    joined, qc, _ = fmri.read("rest", OPTIONS, cohort, parts)
    np.testing.assert_array_equal(joined.values, whole.values)
    pd.testing.assert_frame_equal(joined.people, whole.people)
    pd.testing.assert_frame_equal(qc, whole_qc)
    with pytest.raises(InputError, match="the parts hold other people or components than the folder now"):
        fmri.read("rest", OPTIONS, cohort, parts[:2])
