"""Tables of FreeSurfer's measures: those made for the tests, ENIGMA's layout, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stats_files import by_pandas

from autospec.data import freesurfer
from autospec.data.freesurfer_tables import read, read_table
from autospec.data.simulate_freesurfer import write_cohort
from autospec.errors import InputError

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
    expected = read_table(folder / "aseg.tsv").values
    text = ASEG.replace("Measure:volume", corner).replace("\t", delimiter)
    (folder / "other.txt").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    pd.testing.assert_frame_equal(read_table(folder / "other.txt").values, expected)


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("aseg.tsv", "s2\t", "s1\t", ["aseg.tsv, lines 2 and 3", "subject s1 stands twice"]),
        ("aseg.tsv", "Left-Putamen", "Left-Thalamus-Proper", ["aseg.tsv", "stands twice"]),
        ("aseg.tsv", "Left-Putamen", "Left-Thalamus", ["aseg.tsv", "as 'Left-Thalamus-Proper' and as 'Left-Thalamus'"]),
        ("aseg.tsv", "8100.0", "NaN", ["aseg.tsv, line 3, subject s2", "'Left-Thalamus-Proper'", "'NaN'"]),
        ("aseg.tsv", "8100.0", "", ["aseg.tsv, line 3", "''"]),
        ("aseg.tsv", "8100.0", "8.100,0", ["aseg.tsv, line 3", "'8.100,0'", "write 8100.0"]),
        ("aseg.tsv", "8100.0", "inf", ["aseg.tsv, line 3", "'inf'"]),
        ("aseg.tsv", "8100.0", "-1", ["aseg.tsv, line 3", "'-1'", "a number from 0"]),
        ("aseg.tsv", "8100.0", "1e100", ["aseg.tsv, line 3", "'1e100'", "a number from 0 to 1e+12"]),
        ("aseg.tsv", "8100.0\t", "", ["aseg.tsv, line 3", "found 5 cells, wanted 6"]),
        ("lh.tsv", "s2\t3.2\t1210000.0\t1510000.12\n", "", ["lh.tsv", "1 subject(s) of", "aseg.tsv"]),
        (
            "aseg.tsv",
            "s2\t8100.0\t5100.0\t1210000.0\t31\t1510000.123456\n",
            "",
            ["1 subject(s) of", "lh.tsv"],
        ),
        ("aseg.tsv", "8100.0", "n/a", ["aseg.tsv, line 3", "'n/a'", "`missing_subjects: drop`"]),
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


VOLUMES = """\
SubjID,LLatVent,RLatVent,Lthal,Rthal,ICV
s1,6523.3,6343.5,7598.5,7488.2,1500000
s2,6623.3,NA,7698.5,7588.2,1510000
s3,6723.3,6543.5,7798.5,7688.2,1520000
s4,6823.3,6643.5,7898.5,7788.2,1530000
s5,6923.3,6743.5,7998.5,7888.2,1540000
"""
THICKNESS = """\
SubjID,L_bankssts_thickavg,R_insula_thickavg,LThickness,RThickness,LSurfArea,RSurfArea,ICV
s1,2.51,2.91,2.61,2.60,83001,83101,1500000
s2,2.52,2.92,2.62,2.61,83002,83102,1510000
s3,2.53,2.93,2.63,2.62,83003,83103,1520000
s4,2.54,2.94,2.64,2.63,83004,83104,1530000
s5,2.55,2.95,2.65,2.64,83005,83105,1540000
"""
COVARIATES = "SubjID,Dx,Age,Sex,SiteX\ns1,0,20,1,3\ns2,0,21,2,3\ns3,0,22,1,3\ns4,1,23,2,3\ns5,1,24,1,3\n"
ENIGMA = {
    "tables": ["LandRvolumes.csv", "CorticalMeasuresENIGMA_ThickAvg.csv"],
    "participants": {"file": "Covariates.csv", "subject": "SubjID", "group": "Dx", "age": "Age", "sex": "Sex"},
    "groups": {"control": [0], "patient": [1]},
}


def test_tables_of_enigma_are_read_under_freesurfers_names(tmp_path):
    for name, text in zip([*ENIGMA["tables"], "Covariates.csv"], [VOLUMES, THICKNESS, COVARIATES], strict=True):
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=r"LandRvolumes.csv, line 3, subject s2, column 'RLatVent': found 'NA'"):
        read("enigma", ENIGMA, tmp_path)
    dataset, _, dropped = read("enigma", ENIGMA | {"missing_subjects": "drop"}, tmp_path)
    assert dataset.features == [
        "Left-Lateral-Ventricle", "Right-Lateral-Ventricle", "Left-Thalamus", "Right-Thalamus",
        "lh_bankssts_thickness", "rh_insula_thickness", "lh_MeanThickness_thickness", "rh_MeanThickness_thickness",
        "lh_WhiteSurfArea_area", "rh_WhiteSurfArea_area",
    ]  # fmt: skip
    assert dataset.people["subject"].tolist() == ["s1", "s3", "s4", "s5"]
    assert dropped.values.tolist() == [["subject", "s2", "a measure is not known"]]
    expected = [6723.3, 6543.5, 7798.5, 7688.2, 2.53, 2.93, 2.63, 2.62, 83003, 83103]
    np.testing.assert_allclose(dataset.values[1], expected)
    assert dataset.people["head_size"].tolist() == [1.50e6, 1.52e6, 1.53e6, 1.54e6]
    assert dataset.people["sex"].tolist() == ["M", "M", "F", "M"]


def header_of(path):
    """Short name -> value of the header's measures, read without our code; the first is the long name of eTIV."""
    lines = [line.split("Measure ")[1].split(", ") for line in path.read_text().splitlines() if "# Measure" in line]
    return {(fields[0] if fields[1] == "eTIV" else fields[1].split(" ")[0]): float(fields[-2]) for fields in lines}


def tables_from_stats(folder, separator):
    """What asegstats2table and aparcstats2table would make of a SUBJECTS_DIR, by pandas alone."""
    subjects = sorted(path.parent for path in folder.glob("*/stats"))
    rows = [by_pandas(path / "stats" / "aseg.stats")["Volume_mm3"].to_dict() for path in subjects]
    rows = [row | header_of(path / "stats" / "aseg.stats") for row, path in zip(rows, subjects, strict=True)]
    tables = {"aseg.txt": rows}
    for side in ("lh", "rh"):
        files = [path / "stats" / f"{side}.aparc.stats" for path in subjects]
        for kind, column, whole in (
            ("volume", "GrayVol", None),
            ("thickness", "ThickAvg", "MeanThickness"),
            ("area", "SurfArea", "WhiteSurfArea"),
        ):
            rows = [by_pandas(file)[column].add_prefix(f"{side}_").add_suffix(f"_{kind}").to_dict() for file in files]
            extra = [{} if whole is None else {f"{side}_{whole}_{kind}": header_of(file)[whole]} for file in files]
            tables[f"{side}.{kind}.txt"] = [row | more for row, more in zip(rows, extra, strict=True)]
    for name, rows in tables.items():
        frame = pd.DataFrame(rows, index=pd.Index([path.name for path in subjects], name="Measure:volume"))
        frame.to_csv(folder / name, sep=separator)
    return list(tables)


@pytest.mark.parametrize("separator", ["\t", ",", " "])
def test_stats_files_and_the_tables_made_of_them_give_the_same_data(tmp_path, separator):
    folder = tmp_path / "raw"
    write_cohort(folder, subjects=8, effect=1.0, seed=2)
    options = {"groups": {"control": ["control"], "patient": ["schizophrenia"]}}
    measures = {"measures": ["volume", "thickness", "area", "global"]}
    stats, quality, _ = freesurfer.read("name", options | measures, folder)
    tables, table_quality, _ = read("name", options | {"tables": tables_from_stats(folder, separator)}, folder)
    assert sorted(tables.features) == sorted(stats.features) and len(stats.features) > 2 * 34 * 3 + 39
    columns = [tables.features.index(feature) for feature in stats.features]
    np.testing.assert_array_equal(tables.values[:, columns], stats.values)
    assert tables.people.equals(stats.people)
    pd.testing.assert_frame_equal(quality, table_quality)


def test_volumes_of_a_table_can_be_divided_by_head_size(folder):
    plain, _, _ = read("name", SMALL, folder)
    divided, _, _ = read("name", SMALL | {"head_size": "proportion"}, folder)
    sizes = plain.people["head_size"].to_numpy()[:, None]
    np.testing.assert_allclose(divided.values[:, :3], plain.values[:, :3] / sizes, rtol=1e-6)
    np.testing.assert_array_equal(divided.values[:, 3], plain.values[:, 3])
    assert plain.features[3] == "lh_insula_thickness"


def test_holes_in_the_surfaces_are_a_sign_of_quality_and_no_feature(folder):
    dataset, quality, dropped = read("name", SMALL, folder)
    assert quality["surface_holes"].tolist() == [30, 31, 32, 33]
    assert "SurfaceHoles" not in dataset.features and dropped.empty


def test_columns_are_chosen_by_name_or_pattern_in_either_spelling(folder):
    for features in (["Left-Thalamus", "*_thickness"], ["Left-Thalamus-Proper", "lh_insula*"]):
        dataset, _, dropped = read("name", SMALL | {"features": features}, folder)
        assert dataset.features == ["Left-Thalamus", "lh_insula_thickness"]
        assert dropped["label"].tolist() == ["Left-Putamen", "BrainSegVolNotVent"]
        assert "head_size" in dataset.people
    with pytest.raises(InputError, match=r"aseg.tsv: no column fits `features` \(lh_insula\*\)"):
        read("name", SMALL | {"features": ["lh_insula*"]}, folder)


def test_a_column_that_is_no_measure_is_left_out_and_named(folder):
    lines = [line + ("\tIQ" if number == 0 else "\thigh") for number, line in enumerate(ASEG.splitlines())]
    (folder / "aseg.tsv").write_text("\n".join(lines))
    dataset, _, dropped = read("name", SMALL, folder)
    assert dropped.values.tolist() == [["feature", "IQ", "not a measure of FreeSurfer by its name"]]
    assert dataset.values.shape == (4, 4)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("subject\tIQ\ns1\t100\n", ["no column is named like a measure of FreeSurfer"]),
        ("Measure:volume\ts1\ts2\nLeft-Putamen\t1\t2\nLeft-Amygdala\t1\t2\n", ["without --transpose"]),
        ("subject|Left-Putamen\ns1|5000\n", ["found one column, 'subject|Left-Putamen'"]),
        ("subject;Left-Putamen\ns1;5000,5\n", ["line 2", "'5000,5'", "decimal comma: write 5000.5"]),
        ("subject,Left-Putamen\ns1,5000,5\n", ["line 2: found 3 cells, wanted 2", "written with a comma"]),
        ("subject\tLeft-Putamen\tLeft-Putamen\ns1\t1\t2\n", ["line 2", "'Left-Putamen' stands twice", "'1' and '2'"]),
    ],
)
def test_a_table_in_another_form_is_refused_with_what_to_do(tmp_path, text, words):
    (tmp_path / "table.txt").write_text(text)
    with pytest.raises(InputError) as error:
        read_table(tmp_path / "table.txt")
    for word in ["table.txt", *words]:
        assert word in str(error.value)


def test_a_column_and_its_copy_stand_once(folder):
    expected = read_table(folder / "aseg.tsv").values
    rows = [line.split("\t") for line in ASEG.splitlines()]
    (folder / "copy.tsv").write_text("\n".join("\t".join([*row, row[2]]) for row in rows))
    pd.testing.assert_frame_equal(read_table(folder / "copy.tsv").values, expected)


def test_a_missing_table_is_named(folder):
    (folder / "lh.tsv").unlink()
    with pytest.raises(InputError, match=r"lh.tsv: no such file"):
        read("name", SMALL, folder)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_text_in_any_table_gives_a_data_set_or_an_input_error(folder, data):
    texts = {"aseg.tsv": ASEG, "lh.tsv": LEFT, "participants.tsv": PEOPLE}
    name = data.draw(st.sampled_from(sorted(texts)))
    rows = [line.split("\t") for line in texts[name].splitlines()]
    cells = st.sampled_from(
        ["", "n/a", "NA", "-1", "1,5", "1e999", "s1", "patient", "eTIV", "Left-Putamen", '"', "é", " "]
    )
    for _ in range(data.draw(st.integers(1, 3))):
        row = data.draw(st.sampled_from(rows))
        row[data.draw(st.integers(0, len(row) - 1))] = data.draw(cells | st.text(max_size=5))
    for file, text in texts.items():
        (folder / file).write_text(text)
    mark = data.draw(st.sampled_from(["\t", ",", ";", " "]))
    (folder / name).write_text("\n".join(mark.join(row) for row in rows), encoding="utf-8", errors="replace")
    options = SMALL | {
        "missing_subjects": data.draw(st.sampled_from(["error", "drop"])),
        "other_groups": data.draw(st.sampled_from(["error", "drop"])),
        "head_size": data.draw(st.sampled_from(["none", "proportion"])),
    }
    try:
        dataset, quality, _ = read("name", options, folder)
    except InputError as error:
        assert str(error)
    else:
        assert np.isfinite(dataset.values).all() and dataset.people["subject"].is_unique
        assert dataset.values.shape == (len(dataset.people), len(dataset.features)) and len(quality)


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
        table = read_table(path).values
    except InputError as error:
        assert "mutated.tsv" in str(error)
    else:
        assert np.isfinite(table.to_numpy()).all() and (table.to_numpy() >= 0).all()
        assert table.index.is_unique and table.columns.is_unique
