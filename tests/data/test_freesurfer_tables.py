"""Tables of asegstats2table and aparcstats2table, against pandas and a derived copy."""

import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autospec.data.freesurfer_tables import read, read_table
from autospec.errors import InputError

ABIDE = {
    "source": "freesurfer_tables",
    "path": "abide_freesurfer",
    "tables": [
        "stats/aseg_table.tsv",
        "stats/lh.aparc_table_volume.tsv",
        "stats/rh.aparc_table_volume.tsv",
        "stats/lh.aparc_table_thickness.tsv",
        "stats/rh.aparc_table_thickness.tsv",
    ],
    "participants": {
        "file": "phenotypic_min.csv",
        "subject": "FILE_ID",
        "group": "DX_GROUP",
        "age": "AGE_AT_SCAN",
        "sex": "SEX",
        "site": "SITE_ID",
        "motion": "func_mean_fd",
    },
    "groups": {"control": ["2"], "autism": ["1"]},
    "matching": {"exact": ["site", "sex"], "callipers": {"age": 0.2}},
}
SMALL = {
    "source": "freesurfer_tables",
    "tables": ["aseg.tsv", "lh.tsv"],
    "groups": {"control": ["control"], "patient": ["patient"]},
}
ASEG = """\
Measure:volume\tLeft-Thalamus-Proper\tLeft-Putamen\tBrainSegVolNotVent\tSurfaceHoles\tIntraCranialVol
s1\t8000.0\t5000.0\t1200000.0\t30\t1500000.123456
s2\t8100.0\t5100.0\t1210000.0\t31\t1510000.123456
s3\t8200.0\t5200.0\t1220000.0\t32\t1520000.123456
s4\t8300.0\t5300.0\t1230000.0\t33\t1530000.123456
"""
LEFT = """lh.aparc.thickness\tlh_insula_thickness\tBrainSegVolNotVent\teTIV
s4\t3.4\t1230000.0\t1530000.12
s1\t3.1\t1200000.0\t1500000.12
s2\t3.2\t1210000.0\t1510000.12
s3\t3.3\t1220000.0\t1520000.12
"""
PEOPLE = "participant_id\tdiagnosis\ns1\tcontrol\ns2\tpatient\ns3\tcontrol\ns4\tpatient\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "aseg.tsv").write_text(ASEG)
    (tmp_path / "lh.tsv").write_text(LEFT)
    (tmp_path / "participants.tsv").write_text(PEOPLE)
    return tmp_path


def new_name(name):
    """What FreeSurfer 6 and 7 made of older names."""
    return name.replace("Thalamus-Proper", "Thalamus").replace("CorticalWhite", "CerebralWhite")


def test_abide_reads_as_pandas_reads_it_and_fast(shared_data):
    root = shared_data / "abide_freesurfer"
    begin = time.perf_counter()
    dataset, quality, dropped = read("abide", ABIDE, root)
    assert time.perf_counter() - begin < 10  # a fraction of a second on an idle machine

    tables = [pd.read_csv(root / file, sep="\t", index_col=0) for file in ABIDE["tables"]]
    expected = pd.concat(tables, axis=1).loc[dataset.people["subject"]]
    expected = expected.rename(columns=new_name)
    head_size = expected.pop("IntraCranialVol")
    constant = expected.columns[expected.nunique() == 1]
    expected = expected.drop(columns=constant)
    assert dataset.features == list(expected.columns)
    assert dataset.values.shape == (1035, 188)
    np.testing.assert_array_equal(dataset.values, expected.to_numpy(np.float32))
    np.testing.assert_array_equal(dataset.people["head_size"], head_size)
    assert sorted(dropped["label"]) == sorted(constant) and len(constant) == 4

    # 29 people have an intracranial volume that nobody can have; they are flagged and kept.
    flagged = quality["flag"].str.startswith("head size")
    assert flagged.sum() == (head_size < 800_000).sum() == 29
    assert not dataset.simulated


def test_abide_agrees_with_the_derived_table(shared_data):
    root = shared_data / "abide_freesurfer"
    dataset, _, _ = read("abide", ABIDE, root)
    derived = pd.read_csv(root / "abide_fs6_aseg_aparc_with_dx.csv", index_col="subject")
    derived = derived.rename(columns=new_name)
    derived = derived.loc[dataset.people["subject"]]
    np.testing.assert_allclose(dataset.values, derived[dataset.features], rtol=1e-6)
    assert (derived["sex"].to_numpy() == dataset.people["sex"].to_numpy()).all()
    np.testing.assert_allclose(derived["age"], dataset.people["age"])
    assert (derived["site"].to_numpy() == dataset.people["site"].to_numpy()).all()
    assert dataset.people["group"].value_counts().to_dict() == {"control": 530, "autism": 505}
    names = derived["diagnosis"].map({"ASD": "autism", "TC": "control"}).to_numpy()
    assert (names == dataset.people["group"].to_numpy()).all()


def test_flagged_people_are_dropped_only_if_asked(shared_data):
    root = shared_data / "abide_freesurfer"
    dataset, quality, dropped = read("abide", ABIDE | {"outliers": "drop"}, root)
    flagged = set(quality.loc[quality["flag"] != "", "subject"])
    assert len(quality) == 1035 and len(dataset.people) == 1035 - len(flagged)
    assert set(dropped.loc[dropped["kind"] == "subject", "label"]) == flagged


def test_tables_are_joined_by_subject_and_repeated_measures_stand_once(folder):
    dataset, _, _ = read("name", SMALL, folder)
    assert dataset.features == ["Left-Thalamus", "Left-Putamen", "BrainSegVolNotVent", "lh_insula_thickness"]
    expected = [[8000 + 100 * i, 5000 + 100 * i, 1.2e6 + 1e4 * i, 3.1 + 0.1 * i] for i in range(4)]
    np.testing.assert_allclose(dataset.values, expected, rtol=1e-6)
    np.testing.assert_allclose(dataset.people["head_size"], 1.5e6 + 1e4 * np.arange(4), rtol=1e-6)


@pytest.mark.parametrize(
    ("delimiter", "corner"),
    [(",", "Measure:volume"), (" ", "Measure:volume"), (";", "subject"), (",", ""), ("\t", '""')],
)
def test_any_delimiter_and_any_name_of_the_first_column_will_do(folder, delimiter, corner):
    expected = read_table(folder / "aseg.tsv")
    text = ASEG.replace("Measure:volume", corner).replace("\t", delimiter)
    (folder / "other.txt").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    pd.testing.assert_frame_equal(read_table(folder / "other.txt"), expected)


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("aseg.tsv", "s2\t", "s1\t", ["aseg.tsv, lines 2 and 3", "subject s1 stands twice"]),
        ("aseg.tsv", "Left-Putamen", "Left-Thalamus-Proper", ["aseg.tsv", "stands twice"]),
        ("aseg.tsv", "Left-Putamen", "Left-Thalamus", ["aseg.tsv", "old and its new name"]),
        ("aseg.tsv", "8100.0", "NaN", ["aseg.tsv, line 3, subject s2", "'Left-Thalamus-Proper'", "'NaN'"]),
        ("aseg.tsv", "8100.0", "", ["aseg.tsv, line 3", "''"]),
        ("aseg.tsv", "8100.0", "8.100,0", ["aseg.tsv, line 3", "'8.100,0'"]),
        ("aseg.tsv", "8100.0", "inf", ["aseg.tsv, line 3", "'inf'"]),
        ("aseg.tsv", "8100.0", "-1", ["aseg.tsv, line 3", "'-1'", "not negative"]),
        ("aseg.tsv", "8100.0\t", "", ["aseg.tsv, line 3", "found 5 cells, wanted 6"]),
        ("lh.tsv", "s2\t3.2\t1210000.0\t1510000.12\n", "", ["lh.tsv", "1 subject(s) of", "aseg.tsv"]),
        (
            "aseg.tsv",
            "s2\t8100.0\t5100.0\t1210000.0\t31\t1510000.123456\n",
            "",
            ["1 subject(s) of", "lh.tsv"],
        ),
        ("lh.tsv", "1210000.0", "1290000.0", ["lh.tsv, subject s2, column 'BrainSegVolNotVent'", "1.21e+06"]),
        ("participants.tsv", "s2\tpatient\n", "", ["1 have data but no row"]),
    ],
)
def test_a_bad_table_is_refused_with_its_place(folder, file, old, new, words):
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1))
    with pytest.raises(InputError) as error:
        read("name", SMALL, folder)
    for word in words:
        assert word in str(error.value)


def test_subjects_missing_from_a_table_can_be_dropped(folder):
    (folder / "lh.tsv").write_text(LEFT.replace("s2\t3.2\t1210000.0\t1510000.12\n", "s9\t3.2\t1.0\t1.0\n"))
    dataset, _, dropped = read("name", SMALL | {"missing_subjects": "drop"}, folder)
    assert dataset.people["subject"].tolist() == ["s1", "s3", "s4"]
    assert dropped[dropped["kind"] == "subject"].values.tolist() == [
        ["subject", "s2", "not in every table"],
        ["subject", "s9", "not in every table"],
    ]


def test_a_missing_table_is_named(folder):
    (folder / "lh.tsv").unlink()
    with pytest.raises(InputError, match=r"lh.tsv: no such file"):
        read("name", SMALL, folder)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_bytes_give_a_table_or_an_input_error(folder, data):
    content = bytearray(ASEG.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(content) - 1))
        content[position : position + data.draw(st.integers(0, 30))] = data.draw(st.binary(max_size=8))
    path = folder / "mutated.tsv"
    path.write_bytes(content)
    try:
        table = read_table(path)
    except InputError as error:
        assert "mutated.tsv" in str(error)
    else:
        assert np.isfinite(table.to_numpy()).all() and (table.to_numpy() >= 0).all()
        assert table.index.is_unique and table.columns.is_unique
