"""The participants table: what is read, what is left out, what is refused."""

import csv
import gzip
import logging

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autospec import configuration
from autospec.data.participants import labels_in_question, match_people, read_participants
from autospec.data.participants_cells import as_text
from autospec.errors import InputError

OPTIONS = {
    "participants": {"subject": "participant_id", "group": "diagnosis"},
    "groups": {"control": ["0"], "patient": [1]},
    "matching": {"exact": ["site", "sex"], "callipers": {"age": 0.2}},
    "other_groups": "drop",
}
ROWS = [
    ("participant_id", "age", "sex", "diagnosis", "site"),
    ("sub-01", "20", "M", "0", "a"),
    ("sub-02", "21.5", "F", "1", "a"),
    ("sub-03", "40", "male", "1.0", "b"),
    ("sub-04", "41", "2", "0", "b"),
    ("sub-05", "33", "f", "7", "b"),
]


def write(folder, rows=ROWS, delimiter="\t", name="participants.tsv", newline="\n", bom=False):
    text = newline.join(delimiter.join(row) for row in rows) + newline
    (folder / name).write_bytes((b"\xef\xbb\xbf" if bom else b"") + text.encode())


def with_cell(line, column, value):
    rows = [list(row) for row in ROWS]
    rows[line - 1][rows[0].index(column)] = value
    return rows


def test_people_get_group_target_and_coded_covariates(tmp_path):
    write(tmp_path)
    people, dropped = read_participants(tmp_path, OPTIONS)
    expected = pd.DataFrame(
        {
            "subject": ["sub-01", "sub-02", "sub-03", "sub-04"],
            "group": ["control", "patient", "patient", "control"],
            "target": ["control", "patient", "patient", "control"],
            "age": [20.0, 21.5, 40.0, 41.0],
            "sex": ["M", "F", "M", "F"],
            "site": ["a", "a", "b", "b"],
        }
    )
    pd.testing.assert_frame_equal(people[expected.columns], expected, check_dtype=False)
    assert set(people) == set(expected)
    assert dropped.values.tolist() == [["subject", "sub-05", "the group value belongs to no group"]]


@pytest.mark.parametrize("delimiter", ["\t", ",", ";"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", [False, True])
def test_delimiter_line_ending_and_byte_order_mark_do_not_matter(tmp_path, delimiter, newline, bom):
    write(tmp_path)
    expected, _ = read_participants(tmp_path, OPTIONS)
    (tmp_path / "participants.tsv").unlink()
    write(tmp_path, delimiter=delimiter, name="people.csv", newline=newline, bom=bom)
    options = OPTIONS | {"participants": OPTIONS["participants"] | {"file": "people.csv"}}
    people, _ = read_participants(tmp_path, options)
    pd.testing.assert_frame_equal(people, expected)


def test_quoted_cells_may_hold_delimiters_and_line_breaks(tmp_path):
    rows = [(*ROWS[0], "comment")] + [(*row, 'says "a,\nb"') for row in ROWS[1:]]
    with open(tmp_path / "participants.tsv", "w", newline="") as file:
        csv.writer(file).writerows(rows)
    people, _ = read_participants(tmp_path, OPTIONS)
    assert people["age"].tolist() == [20.0, 21.5, 40.0, 41.0]


def test_columns_are_mapped_by_the_configuration(tmp_path):
    header = ("SUB", "AGE_AT_SCAN", "SEX", "DX", "SITE_ID")
    write(tmp_path, [header, *ROWS[1:]])
    mapping = {"subject": "SUB", "group": "DX", "age": "AGE_AT_SCAN", "sex": "SEX", "motion": "AGE_AT_SCAN"}
    people, _ = read_participants(tmp_path, OPTIONS | {"participants": mapping, "matching": {}})
    assert people["age"].tolist() == people["motion"].tolist() == [20.0, 21.5, 40.0, 41.0]
    assert "site" not in people


@pytest.mark.parametrize(
    ("given", "text"), [(1, "1"), ("1.0", "1"), (" 1 ", "1"), ("1.5", "1.5"), ("ASD", "ASD"), ("inf", "inf")]
)
def test_one_value_has_one_spelling(given, text):
    assert as_text(given) == text


def test_another_column_may_be_the_target(tmp_path):
    write(tmp_path)
    people, _ = read_participants(tmp_path, OPTIONS | {"target": "sex"})
    assert people["target"].tolist() == ["M", "F", "M", "F"]


def test_the_values_that_bids_knows_of_age_and_sex_are_read(tmp_path, caplog):
    rows = [list(row) for row in ROWS]
    cells = [("89+", "O"), ("90", "other"), ("89.5+", "FEMALE"), ("20", "Male")]
    for row, (age, sex) in zip(rows[1:5], cells, strict=True):
        row[1:3] = age, sex
    write(tmp_path, rows)
    with caplog.at_level(logging.WARNING):
        people, _ = read_participants(tmp_path, OPTIONS)
    assert people["age"].tolist() == [89.0, 90.0, 89.5, 20.0]
    assert people["sex"].tolist() == ["O", "O", "F", "M"]
    assert "column 'age': 2 age(s) such as '89+' are taken as that number" in caplog.text
    write(tmp_path, with_cell(3, "sex", "n/a"))
    with pytest.raises(InputError, match="line 3, column 'sex': 1 of 4 people have no sex"):
        read_participants(tmp_path, OPTIONS)
    people, dropped = read_participants(tmp_path, OPTIONS | {"missing_subjects": "drop"})
    assert people["sex"].tolist() == ["M", "M", "F"] and "sex is not known" in dropped["reason"].tolist()


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (with_cell(3, "age", "+"), ["line 3", "'+'"]),
        (with_cell(3, "age", "eighty+"), ["line 3", "'eighty+'"]),
        (with_cell(3, "participant_id", "sub-01"), ["lines 2 and 3", "sub-01", "twice"]),
        (with_cell(3, "participant_id", ""), ["line 3", "no subject"]),
        (with_cell(3, "diagnosis", "n/a"), ["line 3", "no group", "diagnosis"]),
        (with_cell(3, "age", "old"), ["line 3", "'age'", "'old'"]),
        (with_cell(3, "age", "21,5"), ["line 3", "'21,5'", "a decimal comma: write 21.5"]),
        (with_cell(3, "age", "-3"), ["line 3", "'age'", "'-3'"]),
        (with_cell(3, "age", "2_5"), ["line 3", "'age'", "'2_5'", "in plain digits"]),
        (with_cell(3, "age", "1e3"), ["line 3", "'age'", "'1e3'", "in plain digits"]),
        (with_cell(3, "age", "1e1"), ["line 3", "'age'", "'1e1'", "in plain digits"]),
        (with_cell(3, "age", "0x19"), ["line 3", "'0x19'"]),
        (with_cell(3, "age", "300"), ["line 3", "'age'", "'300'", "0 to 130"]),
        (with_cell(3, "age", "300+"), ["line 3", "'age'", "'300'", "0 to 130"]),
        (with_cell(3, "age", "inf"), ["line 3", "'inf'"]),
        (with_cell(3, "age", "n/a"), ["line 3", "1 of 4 people have no age", "missing_subjects: drop"]),
        (with_cell(3, "sex", "3"), ["line 3", "'sex'", "'3'"]),
        (with_cell(1, "diagnosis", "dx"), ["no column 'diagnosis'", "participant_id, age, sex, dx, site"]),
        (with_cell(1, "sex", "age"), ["line 2", "column 'age' stands twice", "'20' and 'M'"]),
        (with_cell(1, "sex", ""), ["column 3 has no name"]),
        ([ROWS[0], ROWS[1], ROWS[2][:3]], ["line 3", "found 3 cells, wanted 5", "cut short"]),
        ([ROWS[0], ROWS[1], (*ROWS[2], "0")], ["line 3", "found 6 cells, wanted 5", "written with a comma"]),
        ([("|".join(row),) for row in ROWS], ["one column, 'participant_id|age", "tabs, commas, semicolons"]),
        ([ROWS[0]], ["found 1 row"]),
        (
            [row for row in ROWS if not row[3].startswith("1")],
            ["nobody", "'patient'", "'0', '7'", "wanted '1'"],
        ),
    ],
)
def test_a_bad_table_is_refused_with_its_place(tmp_path, rows, words):
    write(tmp_path, rows)
    with pytest.raises(InputError) as error:
        read_participants(tmp_path, OPTIONS)
    for word in ["participants.tsv", *words]:
        assert word in str(error.value)


def test_measures_may_have_an_exponent_but_no_underscore_and_no_sign(tmp_path):
    options = OPTIONS | {"participants": OPTIONS["participants"] | {"head_size": "site"}, "matching": {}}
    cells = ["site", "1.5e+06", "1400000", ".5", "+7.", "n/a"]
    rows = [(*row[:4], cell) for row, cell in zip(ROWS, cells, strict=True)]
    write(tmp_path, rows)
    assert read_participants(tmp_path, options)[0]["head_size"].tolist() == [1.5e6, 1.4e6, 0.5, 7.0]
    for cell in ("1_400_000", "-3", "1e999", "infinity", "\u0663"):
        write(tmp_path, [*rows[:2], (*rows[2][:4], cell), *rows[3:]])
        with pytest.raises(InputError, match=f"line 3, column 'site': found '{cell}', wanted a number that is not neg"):
            read_participants(tmp_path, options)


def test_sites_that_only_their_spelling_tells_apart_are_warned_of(tmp_path, caplog):
    write(tmp_path)
    read_participants(tmp_path, OPTIONS)
    assert "count as different" not in caplog.text
    sites = ["site", "NYU", "nyu", "1", "1.0", "b"]
    write(tmp_path, [(*row[:4], site) for row, site in zip(ROWS, sites, strict=True)])
    people, _ = read_participants(tmp_path, OPTIONS)
    assert people["site"].tolist() == sites[1:5]
    assert "column 'site': 'NYU', 'nyu' count as different" in caplog.text
    assert "column 'site': '1', '1.0' count as different" in caplog.text


def test_a_missing_table_and_a_table_that_is_not_text_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"participants.tsv: no such file"):
        read_participants(tmp_path, OPTIONS)
    (tmp_path / "participants.tsv").write_bytes("participant_id\tage\n".encode("utf-16"))
    with pytest.raises(InputError, match=r"not UTF-8"):
        read_participants(tmp_path, OPTIONS)
    (tmp_path / "participants.tsv").write_text('a\tb\n"c\td\n')
    with pytest.raises(InputError, match=r"line 2: cannot be read"):
        read_participants(tmp_path, OPTIONS)


def test_a_value_in_two_groups_is_refused(tmp_path):
    write(tmp_path)
    with pytest.raises(InputError, match="value '1' is in both 'control' and 'patient'"):
        read_participants(tmp_path, OPTIONS | {"groups": {"control": [0, 1], "patient": ["1.0"]}})


def test_an_unknown_group_value_stops_a_run_that_does_not_allow_for_it(tmp_path):
    write(tmp_path)
    with pytest.raises(InputError) as error:
        read_participants(tmp_path, OPTIONS | {"other_groups": "error"})
    for word in ["participants.tsv, line 6, column 'diagnosis': found '7' (1 row(s))", "`other_groups: drop`"]:
        assert word in str(error.value)


def test_people_without_a_group_can_be_dropped(tmp_path):
    write(tmp_path, with_cell(3, "diagnosis", "n/a"))
    people, dropped = read_participants(tmp_path, OPTIONS | {"missing_subjects": "drop"})
    assert people["subject"].tolist() == ["sub-01", "sub-03", "sub-04"]
    assert ["subject", "sub-02", "no group in the participants table"] in dropped.values.tolist()


def test_scans_of_one_person_are_told_by_a_column_or_by_their_labels(tmp_path):
    write(tmp_path)
    assert "person" not in read_participants(tmp_path, OPTIONS)[0]
    header = ("participant_id", "age", "sex", "diagnosis", "site", "who")
    rows = [header] + [(*row, who) for row, who in zip(ROWS[1:], "aabcd", strict=True)]
    write(tmp_path, rows)
    named = OPTIONS | {"participants": OPTIONS["participants"] | {"person": "who"}}
    assert read_participants(tmp_path, named)[0]["person"].tolist() == ["a", "a", "b", "c"]
    write(tmp_path, [*rows[:2], (*rows[2][:-1], "n/a"), *rows[3:]])
    with pytest.raises(InputError, match="line 3: no person in column 'who'"):
        read_participants(tmp_path, named)

    labels = ["sub-01_ses-1", "sub-01_ses-2", "visit1.long.ann", "plain", "sub-9_ses-1"]
    write(tmp_path, [ROWS[0], *((label, *row[1:]) for label, row in zip(labels, ROWS[1:], strict=True))])
    people, _ = read_participants(tmp_path, OPTIONS)
    assert people["person"].tolist() == ["sub-01", "sub-01", "ann", "plain"]


def test_who_lacks_a_matching_variable_can_be_dropped(tmp_path):
    write(tmp_path, with_cell(3, "age", "n/a"))
    people, dropped = read_participants(tmp_path, OPTIONS | {"missing_subjects": "drop"})
    assert people["subject"].tolist() == ["sub-01", "sub-03", "sub-04"]
    assert ["subject", "sub-02", "age is not known"] in dropped.values.tolist()


def test_a_value_that_matching_does_not_need_may_be_missing(tmp_path):
    write(tmp_path, with_cell(3, "age", "n/a"))
    people, _ = read_participants(tmp_path, OPTIONS | {"matching": {}})
    assert people["age"].isna().tolist() == [False, True, False, False]


PUBLISHED = """\
,Unnamed: 0,SUB_ID,X,subject,SITE_ID,FILE_ID,DX_GROUP,DSM_IV_TR,AGE_AT_SCAN,SEX,MEDICATION_NAME,func_mean_fd,SUB_IN_SMP
0,1,1,1,1,PITT,no_filename,1,1,16.77,1,,0.1168276402,1
1,2,2,2,2,PITT,Pitt_1,1,1,24.45,1,"Fluoxetine, Sertraline",0.3220915328,1
2,3,3,3,3,PITT,Pitt_2,2,0,19.09,2,,0.1277446264,0
3,4,4,4,4,NYU,no_filename,2,0,-9999,1,,,1
4,5,5,5,5,NYU,NYU_3,2,0,13.73,1,Fluoxetine,0.1281363702,1
5,6,6,6,6,NYU,NYU_4,1,1,13.37,2,,,1
"""
"""The layout of Phenotypic_V1_0b_preprocessed1.csv, with some of its columns and made-up people."""

ABIDE = {
    "participants": {
        "file": ["Phenotypic_V1_0b_preprocessed1.csv", "cut.csv"],
        "subject": "FILE_ID", "group": "DX_GROUP", "age": "AGE_AT_SCAN", "sex": "SEX", "site": "SITE_ID",
        "motion": "func_mean_fd",
    },
    "groups": {"control": ["2"], "autism": ["1"]},
    "matching": {"exact": ["site"], "callipers": {"motion": 0.2}},
    "missing_subjects": "drop",
}  # fmt: skip


def test_the_phenotypic_table_of_abide_is_read_as_it_is_published(tmp_path):
    (tmp_path / "Phenotypic_V1_0b_preprocessed1.csv").write_text(PUBLISHED)
    people, dropped = read_participants(tmp_path, ABIDE)
    assert people["subject"].tolist() == ["Pitt_1", "Pitt_2", "NYU_3"]
    assert people["group"].tolist() == ["autism", "control", "control"]
    assert people["sex"].tolist() == ["M", "F", "M"]
    assert people["motion"].tolist() == [0.3220915328, 0.1277446264, 0.1281363702]
    assert dropped.values.tolist() == [
        ["subject", "no_filename (line 2)", "the table says that there are no data"],
        ["subject", "no_filename (line 5)", "the table says that there are no data"],
        ["subject", "NYU_4", "motion is not known"],
    ]


def test_rows_without_data_stop_a_run_that_does_not_allow_for_them(tmp_path):
    (tmp_path / "Phenotypic_V1_0b_preprocessed1.csv").write_text(PUBLISHED)
    with pytest.raises(InputError) as error:
        read_participants(tmp_path, ABIDE | {"missing_subjects": "error"})
    for word in ["preprocessed1.csv, line 2", "2 of 6 rows", "no_filename", "missing_subjects: drop"]:
        assert word in str(error.value)


def test_the_first_table_that_is_there_is_read_and_the_case_of_its_columns_may_differ(tmp_path):
    (tmp_path / "Phenotypic_V1_0b_preprocessed1.csv").write_text(PUBLISHED)
    expected, _ = read_participants(tmp_path, ABIDE)
    (tmp_path / "cut.csv").write_text(PUBLISHED.replace(",SEX,", ",sex,").replace("Pitt_1", "Pitt_9"))
    assert read_participants(tmp_path, ABIDE)[0].equals(expected)
    (tmp_path / "Phenotypic_V1_0b_preprocessed1.csv").unlink()
    people, _ = read_participants(tmp_path, ABIDE)
    assert people.replace("Pitt_9", "Pitt_1").equals(expected)
    (tmp_path / "cut.csv").unlink()
    with pytest.raises(InputError, match="Phenotypic_V1_0b_preprocessed1.csv: no such file"):
        read_participants(tmp_path, ABIDE)


def test_a_column_that_fits_two_others_but_for_case_is_refused(tmp_path):
    header = ("participant_id", "Age", "AGE", "diagnosis", "site")
    write(tmp_path, [header, *ROWS[1:]])
    options = OPTIONS | {"participants": OPTIONS["participants"] | {"age": "age"}}
    with pytest.raises(InputError, match="no column 'age'"):
        read_participants(tmp_path, options)


def test_the_cut_copies_of_abide_hold_what_the_published_layout_gives(shared_data, tmp_path, repository):
    config = configuration.read_configuration(repository / "config" / "abide.yaml")["datasets"]
    table = pd.read_csv(shared_data / "abide_freesurfer" / "phenotypic_min.csv", dtype=str)
    table = table.drop(columns=["sex", "diagnosis"])
    table.insert(0, "Unnamed: 0", range(1, len(table) + 1))
    extra = pd.DataFrame([table.iloc[0].to_dict() | {"FILE_ID": "no_filename"}] * 2)
    pd.concat([extra, table], ignore_index=True).to_csv(tmp_path / "Phenotypic_V1_0b_preprocessed1.csv")
    for name, folder in (("abide_freesurfer", "abide_freesurfer"), ("abide_nyu", "abide_cc200_nyu")):
        cut, _ = read_participants(shared_data / folder, config[name])
        published, dropped = read_participants(tmp_path, config[name])
        assert (dropped["reason"] == "the table says that there are no data").sum() == 2
        kept = published[published["subject"].isin(cut["subject"])].reset_index(drop=True)
        pd.testing.assert_frame_equal(kept.drop(columns="age"), cut.drop(columns="age"))
        assert kept["age"].tolist() == pytest.approx(cut["age"].tolist())
    assert len(cut) == 175


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_bytes_give_people_or_an_input_error(tmp_path, data):
    write(tmp_path, delimiter=data.draw(st.sampled_from(["\t", ",", ";", " "])))
    content = bytearray((tmp_path / "participants.tsv").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(content)))
        new = data.draw(st.binary(max_size=8) | st.text(max_size=6).map(lambda text: text.encode()))
        content[position : position + data.draw(st.integers(0, 20))] = new
    (tmp_path / "participants.tsv").write_bytes(content)
    options = OPTIONS | {
        "missing_subjects": data.draw(st.sampled_from(["error", "drop"])),
        "other_groups": data.draw(st.sampled_from(["error", "drop"])),
    }
    try:
        people, _ = read_participants(tmp_path, options)
    except InputError as error:
        assert "participants.tsv" in str(error)
    else:
        assert people["subject"].is_unique and set(people["group"]) == {"control", "patient"}
        assert (people.get("age", pd.Series()) >= 0).all()
        assert people.get("sex", pd.Series()).isin(["M", "F"]).all()


def test_table_and_data_must_hold_the_same_people(tmp_path, caplog):
    write(tmp_path)
    people, _ = read_participants(tmp_path, OPTIONS)
    labels = ["sub-01", "sub-02", "sub-03", "sub-99"]
    with caplog.at_level(logging.INFO), pytest.raises(InputError) as error:
        match_people(people, labels, "error", "the folder")
    assert "1 subject(s) of the participants table have no data, and 1 have data" in str(error.value)
    assert "missing_subjects: drop" in str(error.value)
    assert "sub-" not in str(error.value)
    assert "sub-04" in caplog.text and "sub-99" in caplog.text

    kept, dropped = match_people(people, labels, "drop", "the folder")
    assert kept["subject"].tolist() == ["sub-01", "sub-02", "sub-03"]
    assert dropped.values.tolist() == [
        ["subject", "sub-04", "no data found"],
        ["subject", "sub-99", "data, but no row in the participants table"],
    ]
    with pytest.raises(InputError, match="none of the 4 subjects"):
        match_people(people, ["x"], "drop", "the folder")
    with pytest.raises(InputError, match="Those of the table have `sub-` in front"):
        match_people(people, ["01", "02"], "drop", "the folder")


@pytest.mark.parametrize(
    "table, labels, found",
    [
        (["0040000", "0040010", "0040002"], ["40010", "40000"], ["40000", "40010"]),
        (["40000", "40010"], ["0040000", "0040010", "0040011"], ["0040000", "0040010"]),
        (["40000", "0040000", "7"], ["040000"], None),  # whose it is cannot be told
        (["40000", "7"], ["040000", "0040000"], None),
        (["01", "2"], ["2", "1"], ["2"]),  # where one label is the same, all are taken at their word
    ],
)
def test_zeros_in_front_of_labels_are_not_counted_where_nobody_would_be_found(table, labels, found, tmp_path):
    people = pd.DataFrame({"subject": table, "group": "control"})
    if found is None:
        with pytest.raises(InputError, match="must be spelt alike"):
            match_people(people, labels, "drop", tmp_path)
    else:
        assert match_people(people, labels, "drop", tmp_path)[0]["subject"].tolist() == found


def test_sessions_get_the_row_of_their_person(tmp_path):
    write(tmp_path)
    people, outside = read_participants(tmp_path, OPTIONS)
    labels = ["sub-01_ses-2", "sub-01_ses-1", "sub-02", "sub-03_ses-1", "sub-04_ses-1", "sub-05_ses-1"]
    labels = labels_in_question(labels, outside["label"])
    matched, dropped = match_people(people, labels, "error", "the folder")
    assert matched["subject"].tolist() == ["sub-01_ses-1", "sub-01_ses-2", "sub-02", "sub-03_ses-1", "sub-04_ses-1"]
    assert matched["person"].tolist() == ["sub-01", "sub-01", "sub-02", "sub-03", "sub-04"]
    assert matched["age"].tolist() == [20.0, 20.0, 21.5, 40.0, 41.0] and dropped.empty
    # A label that the table has is never given another row.
    again, dropped = match_people(people, {"sub-01", "sub-01_ses-1"}, "drop", "the folder")
    assert again["subject"].tolist() == ["sub-01"]
    assert ["subject", "sub-01_ses-1", "data, but no row in the participants table"] in dropped.values.tolist()


def test_visits_of_the_longitudinal_stream_have_rows_of_their_own_or_their_persons(tmp_path):
    people = pd.DataFrame(
        {"subject": ["first-a", "second-a", "b"], "group": ["x", "x", "y"], "age": [20.0, 22.0, 30.0]}
    )
    labels = ["first-a.long.a", "second-a.long.a", "one.long.b", "two.long.b"]
    matched, dropped = match_people(people, labels, "error", "the folder")
    assert matched["subject"].tolist() == labels and dropped.empty
    assert matched["person"].tolist() == ["a", "a", "b", "b"]
    assert matched["age"].tolist() == [20.0, 22.0, 30.0, 30.0]
    assert labels_in_question(labels, ["first-a", "b"]) == {"second-a.long.a"}


def test_a_compressed_table_is_read_and_one_cut_short_is_refused(tmp_path):
    """The COBRE release has phenotypic_data.tsv.gz."""
    text = "ID\tCurrent Age\tGender\tSubject Type\n40000\t20\tFemale\tPatient\n40001\t27\tMale\tControl\n"
    path = tmp_path / "phenotypic_data.tsv.gz"
    path.write_bytes(gzip.compress(text.encode()))
    columns = {"file": path.name, "subject": "ID", "group": "Subject Type", "age": "Current Age", "sex": "Gender"}
    options = {"participants": columns, "groups": {"control": ["Control"], "patient": ["Patient"]}}
    people, _ = read_participants(tmp_path, options)
    assert people[["subject", "group", "age", "sex"]].values.tolist() == [
        ["40000", "patient", 20.0, "F"],
        ["40001", "control", 27.0, "M"],
    ]
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="phenotypic_data.tsv.gz: the gzip file is damaged or cut short"):
        read_participants(tmp_path, options)


def test_a_nul_character_is_named_with_its_line(tmp_path):
    write(tmp_path)
    text = (tmp_path / "participants.tsv").read_text(encoding="utf-8")
    (tmp_path / "participants.tsv").write_text(text + "\0", encoding="utf-8")
    with pytest.raises(InputError, match=r"participants.tsv, line \d+: found a NUL character"):
        read_participants(tmp_path, OPTIONS)
