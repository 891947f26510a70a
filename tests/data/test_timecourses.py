import gzip

import nilearn.signal
import numpy as np
import pandas as pd
import pytest
from scipy import signal

from autospec.data import timecourses
from autospec.data.files import find_files
from autospec.data.signal import clean
from autospec.errors import InputError

OPTIONS = {
    "source": "timecourses",
    "files": "raw/{subject}_rois.1D*",
    "repetition_time": 2.0,
    "participants": {"subject": "id", "group": "dx"},
    "groups": {"control": ["2"], "autism": ["1"]},
}


def series(seed, volumes=100, components=6):
    rng = np.random.default_rng(seed)
    return 50 + np.cumsum(rng.standard_normal((volumes, components)), axis=0)


def write(folder, subject, values, header=True):
    (folder / "raw").mkdir(exist_ok=True)
    names = "\t".join(f"#{number + 1}" for number in range(values.shape[1]))
    np.savetxt(folder / "raw" / f"{subject}_rois.1D", values, "%.6f", "\t", header=names if header else "", comments="")


@pytest.fixture
def folder(tmp_path):
    table = pd.DataFrame({"id": list("abcd"), "dx": [1, 2, 1, 2], "age": [20, 21, 22, 23]})
    table.to_csv(tmp_path / "participants.tsv", sep="\t", index=False)
    for seed, subject in enumerate("abcd"):
        write(tmp_path, subject, series(seed))
    return tmp_path


def read(folder, **options):
    return timecourses.read("rest", OPTIONS | options, folder)


def test_people_whose_data_are_copies_are_warned_of(folder, caplog):
    read(folder)
    assert "another has too" not in caplog.text
    write(folder, "c", series(0))
    read(folder)
    assert "2 subjects have data that another has too, to the last bit: a = c." in caplog.text


def test_cleaning_is_nilearns(folder):
    dataset, qc, dropped = read(folder)
    assert dataset.values.shape == (4, 100, 6)
    assert dataset.groups == ("control", "autism")
    assert dataset.people["group"].tolist() == ["autism", "control"] * 2
    assert dataset.features == [f"component-{number}" for number in range(1, 7)]
    for row, subject in enumerate("abcd"):
        raw = np.loadtxt(folder / "raw" / f"{subject}_rois.1D")
        wanted = nilearn.signal.clean(raw, low_pass=0.1, high_pass=0.01, t_r=2.0, standardize="zscore_sample")
        np.testing.assert_allclose(dataset.values[row], wanted, atol=1e-4)
    assert qc["volumes"].tolist() == [100] * 4
    assert qc["constant_components"].tolist() == [0] * 4
    assert dropped.empty
    assert not dataset.simulated


def test_cleaning_is_detrending_a_butterworth_filter_and_a_z_score():
    raw = series(5)
    band = signal.butter(5, (0.02, 0.12), btype="bandpass", fs=0.5, output="sos")
    wanted = signal.sosfiltfilt(band, signal.detrend(raw, axis=0), axis=0)
    wanted = (wanted - wanted.mean(axis=0)) / wanted.std(axis=0, ddof=1)
    np.testing.assert_allclose(clean(raw, 2.0, 0.02, 0.12), wanted, atol=1e-8)


@pytest.mark.parametrize(
    "sites, band, warned",
    [("NYU KKI NYU KKI", {}, True), ("NYU NYU NYU NYU", {}, False),
     ("NYU KKI NYU KKI", {"high_pass": None, "low_pass": None}, False)],
)  # fmt: skip
def test_a_band_over_several_sites_with_one_repetition_time_is_warned_of(folder, caplog, sites, band, warned):
    table = pd.read_csv(folder / "participants.tsv", sep="\t").assign(site=sites.split())
    table.to_csv(folder / "participants.tsv", sep="\t", index=False)
    read(folder, **band)
    assert ("2 sites and one `repetition_time`" in caplog.text) == warned


def test_no_band_leaves_every_frequency(folder):
    dataset, _, _ = read(folder, high_pass=None, low_pass=None)
    wanted = signal.detrend(np.loadtxt(folder / "raw" / "a_rois.1D"), axis=0)
    np.testing.assert_allclose(dataset.values[0], wanted / wanted.std(axis=0, ddof=1), atol=1e-4)


def test_one_persons_time_courses_do_not_depend_on_the_others(folder):
    before = read(folder)[0].values[0]
    write(folder, "b", 1000 * series(77))
    np.testing.assert_array_equal(read(folder)[0].values[0], before)


def test_a_component_constant_in_one_person_is_zero_there_and_named(folder):
    lacking = series(1)
    lacking[:, 2] = 0
    write(folder, "b", lacking)
    dataset, qc, dropped = read(folder)
    assert dataset.features == [f"component-{number}" for number in range(1, 7)]
    reason = "constant in 1 of 4 people, left out where one of them is trained on"
    assert dropped.to_dict("records") == [{"kind": "feature", "label": "component-3", "reason": reason}]
    assert qc["constant_components"].tolist() == [0, 1, 0, 0]
    wanted = nilearn.signal.clean(
        lacking[:, [0, 1, 3, 4, 5]], low_pass=0.1, high_pass=0.01, t_r=2.0, standardize="zscore_sample"
    )
    np.testing.assert_allclose(dataset.values[1], np.insert(wanted, 2, 0.0, axis=1), atol=1e-4)


def test_different_lengths_are_refused_unless_cropping_is_asked_for(folder):
    write(folder, "c", series(2, volumes=90))
    with pytest.raises(InputError, match="subject c has 90 volumes, 3 of 4 people have 100.*crop: 90"):
        read(folder)
    dataset, qc, _ = read(folder, crop=90)
    assert dataset.values.shape == (4, 90, 6)
    assert qc["volumes"].tolist() == [100, 100, 90, 100]
    wanted = nilearn.signal.clean(series(0)[:90], low_pass=0.1, high_pass=0.01, t_r=2.0, standardize="zscore_sample")
    np.testing.assert_allclose(dataset.values[0], wanted, atol=1e-4)


def test_sessions_of_people_of_no_group_are_left_out_without_an_error(folder):
    table = pd.DataFrame({"id": [f"sub-{letter}" for letter in "abcdef"], "dx": [1, 2, 3, 1, 2, 3]})
    table.to_csv(folder / "participants.tsv", sep="\t", index=False)
    for seed, letter in enumerate("abcdef"):
        for session in (1, 2):
            write(folder, f"sub-{letter}_ses-{session}", series(seed + 10 * session))
    for letter in "abcd":
        (folder / "raw" / f"{letter}_rois.1D").unlink()
    dataset, _, dropped = read(folder, other_groups="drop")
    assert dataset.people["person"].tolist() == [f"sub-{letter}" for letter in "aabbddee"]
    assert dropped["label"].tolist() == ["sub-c", "sub-f"]


def test_plain_tables_without_header_are_read_alike(folder):
    expected = read(folder)[0].values
    for seed, subject in enumerate("abcd"):
        np.savetxt(folder / f"{subject}_timeseries.txt", series(seed), "%.6f")
    dataset, _, _ = read(folder, files="{subject}_timeseries.txt")
    np.testing.assert_array_equal(dataset.values, expected)


def test_people_without_data_and_data_without_people_can_be_dropped(folder):
    (folder / "raw" / "a_rois.1D").unlink()
    write(folder, "stranger", series(9))
    write(folder, "e", series(8))
    with open(folder / "participants.tsv", "a") as table:
        table.write("e\t3\t30\nf\t2\t31\n")
    with pytest.raises(InputError, match="2 subject.s. of the participants table have no data"):
        read(folder, other_groups="drop")
    with pytest.raises(InputError, match="1 have data but no row"):
        read(folder, other_groups="drop")
    dataset, _, dropped = read(folder, other_groups="drop", missing_subjects="drop")
    assert dataset.people["subject"].tolist() == ["b", "c", "d"]
    assert sorted(dropped["label"]) == ["a", "e", "f", "stranger"]


def break_file(name, change):
    def broken(folder):
        path = folder / "raw" / name
        path.write_text(change(path.read_text()))

    return broken


def constant_scan(folder):
    write(folder, "b", np.full((100, 6), 7.0))


def cut_gzip(folder):
    path = folder / "raw" / "a_rois.1D"
    (folder / "raw" / "a_rois.1D.gz").write_bytes(gzip.compress(path.read_bytes())[:-50])
    path.unlink()


@pytest.mark.parametrize(
    "damage, said",
    [
        (break_file("a_rois.1D", lambda text: text.replace(".", "x", 1)), "a_rois.1D, line 2, column 1: found '50x"),
        (break_file("b_rois.1D", lambda text: text[:-200] + "\n"), "b_rois.1D, line 98, column 5: found ''"),
        (break_file("c_rois.1D", lambda text: ""), "c_rois.1D: the file is empty"),
        (break_file("d_rois.1D", lambda text: text.splitlines()[0] + "\n"), "d_rois.1D: the file is empty"),
        (lambda folder: write(folder, "b", series(1, components=5)), "b_rois.1D: found 5 columns"),
        (lambda folder: write(folder, "b", np.where(series(1) > 50, np.nan, 1)), "1D, line 2, column 1: found nan"),
        (constant_scan, "subject b: every component is constant"),
        (cut_gzip, "a_rois.1D.gz: the gzip file is damaged or cut short"),
        (lambda folder: (folder / "raw" / "a_rois.1Dx").write_text(""), "a second file for subject a"),
        (lambda folder: [path.unlink() for path in (folder / "raw").iterdir()], "no file matches"),
        (lambda folder: write(folder, "b", np.outer(-np.arange(100.0), np.ones(6))), "nothing is left after"),
        (lambda folder: (folder / "raw" / "a_rois.1D").write_bytes(b"\x8f\xff\x00"), "byte 0 is not UTF-8 text"),
    ],
)
def test_bad_files_are_named_in_one_message(folder, damage, said):
    damage(folder)
    with pytest.raises(InputError, match=said):
        read(folder)


@pytest.mark.parametrize(
    "options, said",
    [
        ({"repetition_time": None}, "found repetition time None"),
        ({"repetition_time": -2.0}, "found repetition time -2.0"),
        ({"low_pass": 0.3}, "both up to 0.25 Hz"),
        ({"high_pass": 0.1, "low_pass": 0.05}, "wanted high_pass < low_pass"),
        ({"high_pass": 0.01, "low_pass": 0.0125}, "too few"),
        ({"files": "raw/a.1D"}, "wanted a file pattern with {subject}"),
    ],
)
def test_wrong_options_are_refused(folder, options, said):
    with pytest.raises(InputError, match=said):
        read(folder, **options)


def test_a_pattern_may_name_the_subject_twice(tmp_path):
    for subject in ("s1", "s2"):
        (tmp_path / subject).mkdir()
        (tmp_path / subject / f"{subject}_run.txt").touch()
    (tmp_path / "s1" / "s2_run.txt").touch()
    files = find_files(tmp_path, "{subject}/{subject}_run.txt", "files")
    assert files == {name: tmp_path / name / f"{name}_run.txt" for name in ("s1", "s2")}


def test_a_folder_that_fits_the_pattern_is_no_file(tmp_path):
    (tmp_path / "s1.txt").touch()
    (tmp_path / "s2.txt").mkdir()
    assert find_files(tmp_path, "{subject}.txt", "files") == {"s1": tmp_path / "s1.txt"}


def test_abide_nyu_is_read_whole(shared_data):
    folder = shared_data / "abide_cc200_nyu"
    dataset, qc, dropped = read(
        folder,
        files="raw/{subject}_rois_cc200.1D*",
        participants={
            "file": "labels.csv",
            "subject": "FILE_ID",
            "group": "DX_GROUP",
            "age": "AGE_AT_SCAN",
            "motion": "func_mean_fd",
        },
    )
    # Two people have one region of zeros, the same one (the data's own notes).
    assert dataset.values.shape == (175, 176, 200)
    assert [reason[:27] for reason in dropped["reason"]] == ["constant in 2 of 175 people"]
    assert qc["constant_components"].sum() == 2
    assert dataset.people["group"].value_counts().to_dict() == {"control": 100, "autism": 75}
    raw = np.loadtxt(folder / "raw" / "NYU_0050954_rois_cc200.1D.gz")
    lacking = int(dropped["label"].iloc[0].removeprefix("component-")) - 1
    assert (~dataset.values[..., lacking].any(axis=1)).sum() == 2
    row = dataset.people["subject"].tolist().index("NYU_0050954")
    wanted = nilearn.signal.clean(raw, low_pass=0.1, high_pass=0.01, t_r=2.0, standardize="zscore_sample")
    np.testing.assert_allclose(dataset.values[row], wanted, atol=1e-4)
