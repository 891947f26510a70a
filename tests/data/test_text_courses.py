"""Text files of time courses, as the tools that people have write them."""

import csv
import gzip

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autospec.data.text_courses import read_text_courses
from autospec.errors import InputError

SERIES = np.random.default_rng(0).standard_normal((40, 3)).round(6)


def as_r(delimiter, corner, quoted_numbers=False):
    """What R's write.csv (an empty name over the row names) and write.table (no name) leave."""
    lines = [delimiter.join([*corner, '"V1"', '"V2"', '"V3"'])]
    for number, row in enumerate(SERIES, start=1):
        lines.append(delimiter.join([f'"{number}"', *(f'"{x}"' if quoted_numbers else f"{x}" for x in row)]))
    return "\n".join(lines) + "\n"


def as_text(delimiter=" ", header=None, end="\n"):
    rows = [delimiter.join(f"{value:.6f}" for value in row) for row in SERIES]
    return end.join([*([header] if header else []), *rows]) + end


@pytest.mark.parametrize(
    "text, names",
    [
        (as_text(), ["1", "2", "3"]),
        (as_text("\t", "#1\t#2\t#3"), ["1", "2", "3"]),
        (as_text("  "), ["1", "2", "3"]),
        (as_text("\t", "#thalamus\t#hand left\t#V1"), ["1", "2", "3"]),
        (as_text("\t", "# thalamus hand V1"), ["thalamus", "hand", "V1"]),
        (as_text(",", "thalamus,hand,V1"), ["thalamus", "hand", "V1"]),
        (as_text(";", '"thalamus";"hand left";"V1"'), ["thalamus", "hand left", "V1"]),
        (as_text(",", "0,1,2"), ["0", "1", "2"]),
        ("# one\n# two lines of words\n" + as_text(), ["1", "2", "3"]),
        ("\ufeff" + as_text(",", "a,b,c", "\r\n"), ["a", "b", "c"]),
        ("\n" + as_text() + "\n\n", ["1", "2", "3"]),
        (pd.DataFrame(SERIES, columns=["a", "b", "c"]).to_csv(), ["a", "b", "c"]),
        (pd.DataFrame(SERIES).to_csv(sep="\t"), ["0", "1", "2"]),
        (pd.DataFrame(SERIES, columns=["a", "b", "c"]).to_csv(index=False, quoting=csv.QUOTE_ALL), ["a", "b", "c"]),
        (as_r(",", ['""']), ["V1", "V2", "V3"]),
        (as_r(",", ['""'], quoted_numbers=True), ["V1", "V2", "V3"]),
        (as_r(" ", []), ["V1", "V2", "V3"]),
        (as_r("\t", []), ["V1", "V2", "V3"]),
        (as_r(",", ['""']).split("\n", 1)[1], ["1", "2", "3"]),
    ],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_every_way_of_writing_a_table_gives_the_same_numbers(tmp_path, text, names, compressed):
    path = tmp_path / ("a.csv.gz" if compressed else "a.csv")
    content = text.encode("utf-8")
    path.write_bytes(gzip.compress(content) if compressed else content)
    series, found = read_text_courses(path)
    np.testing.assert_array_equal(series, SERIES)
    assert found == [f"component-{name}" for name in names]


@pytest.mark.parametrize(
    "text, said",
    [
        (as_text(";").replace(".", ","), r"line 1, column 1: found '.*,.*'.*This is a decimal comma: write .*\."),
        (as_text("\t").replace(".", ","), "This is a decimal comma"),
        (as_text().replace(".", ","), "Is it a decimal comma in a table separated by spaces"),
        (as_text(",", "a,b,c") + "1;2;3\n", "line 42, column 1: found '1;2;3'"),
        ("a,b\n" + as_text(","), "found 3 cells, wanted 2 as in the header"),
        (as_text(",", "a,b,a"), "column 'component-a' stands twice|column 'a' stands twice"),
        (as_text(",", "a,b,c") + "1,2\n", "line 42: found 2 cells, wanted 3 as in line 2"),
        (as_text(",", "a,b,c") + "1,2,n/a\n", "line 42, column 3: found 'n/a'"),
        (as_text(",", "a,b,c") + "1,2,inf\n", "line 42, column 3: found 'inf'|found inf"),
        ("a,b,c\n", "the file is empty below its header"),
        ("", "the file is empty"),
        ("<html>not found</html>\n", "the file is empty below"),
        (as_r(",", ['""']).replace('"2",', '"two",'), "line 3, column 1: found 'two'"),
        (as_r(";", ['""']).replace(".", ","), "line 2, column 2: found '.*,.*'.*decimal comma"),
        (as_text(",", "a,b,c") + '"1\n","2",3\n', "line 42: found|line 42, column 1: found|quotation mark"),
        (as_text("|"), "line 1, column 1: found '.*|.*"),
    ],
)
def test_mistakes_are_named_with_line_and_column(tmp_path, text, said):
    path = tmp_path / "a.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=said) as caught:
        read_text_courses(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


COUNT = np.arange(len(SERIES))


@pytest.mark.parametrize("column", [COUNT, COUNT + 1, 0.72 * COUNT, np.round(COUNT / 3, 3), 5 + 2.0 * COUNT])
@pytest.mark.parametrize("place", [0, 3])
@pytest.mark.parametrize("header", [True, False])
def test_a_column_of_row_numbers_or_times_is_refused_wherever_it_stands(tmp_path, column, place, header):
    table = pd.DataFrame(SERIES, columns=["a", "b", "c"])
    table.insert(place, "volume", column)
    table.to_csv(tmp_path / "a.csv", index=False, header=header)
    name = "volume" if header else place + 1
    with pytest.raises(InputError, match=rf"a.csv, column {place + 1} \('{name}'\): it rises by .* Remove the column"):
        read_text_courses(tmp_path / "a.csv")


@pytest.mark.parametrize("column", [COUNT + 0.05 * SERIES[:, 0], -COUNT, np.zeros(len(COUNT)), np.sqrt(COUNT)])
def test_a_column_that_does_not_rise_evenly_is_a_component(tmp_path, column):
    np.savetxt(tmp_path / "a.txt", np.column_stack([SERIES, column]))
    series, _ = read_text_courses(tmp_path / "a.txt")
    np.testing.assert_allclose(series[:, 3], column)


@pytest.mark.parametrize(
    "text, said",
    [
        ("1,2,3\n4,5,6\n7,8,8\n", "line 1: found whole numbers that count up.*a header or the first volume"),
        ("0 1 2\n4 5 6\n", "line 1: found whole numbers that count up"),
        ("1,5\n1,7\n2,1\n", "line 1: found '1,5': one number with a decimal comma, or two"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(tmp_path, text, said):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InputError, match=said):
        read_text_courses(tmp_path / "a.csv")


@pytest.mark.parametrize("text", ["a,b\n1,5\n1,7\n", "1.0,2.0,3.0\n4,5,6\n", "0,1,2\n4.5,5,6\n1,2,4\n"])
def test_what_can_be_read_in_one_way_is_read(tmp_path, text):
    (tmp_path / "a.csv").write_text(text)
    assert len(read_text_courses(tmp_path / "a.csv")[0]) == 2


def test_a_gzip_file_that_is_cut_short_is_refused(tmp_path):
    path = tmp_path / "a.1D.gz"
    path.write_bytes(gzip.compress(as_text().encode())[:-30])
    with pytest.raises(InputError, match="a.1D.gz: the gzip file is damaged or cut short"):
        read_text_courses(path)


@settings(max_examples=300, deadline=None)
@given(content=st.one_of(st.binary(max_size=80), st.text("0123456789.,;-+e \t\n#na\"'|", max_size=80).map(str.encode)))
def test_whatever_stands_in_a_file_it_is_a_table_or_our_error(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "fuzz.txt"
    path.write_bytes(content)
    try:
        series, names = read_text_courses(path)
    except InputError:
        return
    assert series.ndim == 2 and series.size and np.isfinite(series).all()
    assert len(set(names)) == len(names) == series.shape[1]
