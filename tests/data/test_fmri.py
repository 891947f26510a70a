import gzip
import json
import logging
import shutil
import tracemalloc

import nibabel as nib
import nilearn.signal
import numpy as np
import pandas as pd
import pytest
from scan_files import SCAN, by_nilearn, save, scan

from autospec.data import confounds, fmri, simulate_fmri
from autospec.errors import InputError

OPTIONS = {
    "source": "fmri",
    "participants": {"subject": "participant_id", "group": "diagnosis"},
    "groups": {"control": ["control"], "patient": ["schizophrenia"]},
}
CONFOUNDS = "sub-0002/func/sub-0002_task-rest_desc-confounds_timeseries.tsv"


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    simulate_fmri.write_cohort(folder, 4, 1.0, 3)
    return folder


@pytest.fixture
def copy(cohort, tmp_path):
    return shutil.copytree(cohort, tmp_path / "cohort")


def read(folder, **options):
    return fmri.read("rest", OPTIONS | options, folder)


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


def edit_confounds(change):
    def edited(folder):
        table = pd.read_csv(folder / CONFOUNDS, sep="\t", dtype=str, keep_default_na=False)
        change(table).to_csv(folder / CONFOUNDS, sep="\t", index=False)

    return edited


def set_cell(table):
    table.loc[5, "csf"] = "n/a"
    return table


def shifted(folder):
    affine = simulate_fmri.AFFINE.copy()
    affine[0, 3] += 6
    save(folder, scan(folder), affine)


def with_nan(folder):
    data = scan(folder)
    data[6, 8, 6, 3] = np.nan
    save(folder, data)


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


def with_infinity(folder):
    data = scan(folder)
    data[6, 8, 6] = np.inf
    save(folder, data)


def cut_short(folder):
    (folder / SCAN).write_bytes((folder / SCAN).read_bytes()[:-20_000])


def cut_short_unpacked(folder):
    plain = folder / SCAN.removesuffix(".gz")
    plain.write_bytes(gzip.decompress((folder / SCAN).read_bytes())[:-1000])
    (folder / SCAN).unlink()
    for path in folder.glob("sub-*/func/*.nii.gz"):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))


def empty_map(folder):
    maps = scan(folder, "component_maps.nii.gz")
    maps[..., 7] = 0
    save(folder, maps, name="component_maps.nii.gz")


def other_step(folder):
    (folder / SCAN.replace(".nii.gz", ".json")).unlink()
    save(folder, scan(folder), step=2.5)


BOLD = "sub-0002_task-rest_desc-preproc_bold.nii.gz"


@pytest.mark.parametrize(
    "damage, said",
    [
        (lambda folder: save(folder, scan(folder)[..., 0]), BOLD + r": found an image of shape \(13, 16, 12\)"),
        (cut_short, BOLD + ": the file is damaged or cut short"),
        (lambda folder: (folder / SCAN).write_bytes(b"no image"), BOLD + ": not a readable NIfTI"),
        (lambda folder: (folder / SCAN).write_bytes(b""), BOLD + ": not a readable NIfTI"),
        (shifted, BOLD + r": grid .*origin \(-66.0, -108.0, -54.0\).*\(-72.0"),
        (lambda folder: save(folder, scan(folder)[:-1]), BOLD + r": grid \(12, 16, 12\)"),
        (with_infinity, BOLD + r": volume 1, voxel \(6, 8, 6\): found inf, wanted a finite number.*120 such values"),
        (with_nan, BOLD + r": volume 4, voxel \(6, 8, 6\): found nan"),
        (lambda folder: save(folder, np.full((13, 16, 12, 120), 7.0, np.float32)), BOLD + ": no voxel under"),
        (lambda folder: (folder / SCAN).unlink(), "1 subject.s. of the participants table have no data"),
        (lambda folder: (folder / CONFOUNDS).unlink(), "sub-0002.*tsv: no confounds for subject sub-0002"),
        (edit_confounds(lambda table: table.iloc[:-3]), "timeseries.tsv: found 117 rows, wanted 120"),
        (edit_confounds(lambda table: table.drop(columns="rot_x")), "timeseries.tsv: no column 'rot_x'"),
        (edit_confounds(set_cell), "timeseries.tsv, line 7, column 'csf': found"),
        (lambda folder: (folder / CONFOUNDS).write_bytes(b""), "timeseries.tsv: found 0 row"),
        (lambda folder: (folder / CONFOUNDS).write_bytes(b"\xff\xfe\x00"), "timeseries.tsv: byte 0 is not UTF-8"),
        (lambda folder: (folder / "component_maps.nii.gz").unlink(), "component_maps.nii.gz: no such file"),
        (empty_map, "component_maps.nii.gz: component map 8 is zero everywhere"),
        (
            lambda folder: save(folder, scan(folder, "brain_mask.nii.gz"), name="component_maps.nii.gz"),
            r"component_maps.nii.gz: found an image of shape \(13, 16, 12\), wanted component maps",
        ),
        (lambda folder: (folder / "component_maps.tsv").write_text("name\none\n"), "maps.tsv: wanted a column 'name'"),
        (lambda folder: save(folder, scan(folder), step=2.5), BOLD + ": contradictory repetition times: 2.5 s in the"),
        (other_step, BOLD + ": repetition time 2.5 s of subject sub-0002, but 2 s of sub-0001"),
        (
            lambda folder: (folder / SCAN.replace(".nii.gz", ".json")).write_text("{"),
            "bold.json: not JSON",
        ),
    ],
)
def test_bad_files_are_named_in_one_message(copy, damage, said):
    damage(copy)
    with pytest.raises(InputError, match=said) as caught:
        read(copy)
    assert "\n" not in str(caught.value)


def test_an_unpacked_scan_that_is_cut_short_is_refused(copy):
    cut_short_unpacked(copy)
    with pytest.raises(InputError, match="bold.nii: the file is damaged or cut short"):
        read(copy, bold="{subject}/func/{subject}_task-rest_desc-preproc_bold.nii")


def test_a_configured_repetition_time_that_contradicts_the_files_is_refused(cohort):
    with pytest.raises(InputError, match="2 s in the header.*3 s in `repetition_time`"):
        read(cohort, repetition_time=3.0)


def test_people_without_a_scan_can_be_left_out(copy):
    (copy / SCAN).unlink()
    dataset, qc, dropped = read(copy, missing_subjects="drop")
    assert dataset.people["subject"].tolist() == ["sub-0001", "sub-0003", "sub-0004"]
    assert len(qc) == len(dataset.values) == 3
    assert dropped["label"].tolist() == ["sub-0002"]


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
