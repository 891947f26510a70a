"""One person's time courses in a text file: rows are volumes, columns components.

Layouts: AFNI's .1D as the Preprocessed Connectomes Project shares ABIDE (tab-separated under one line of
``#1 #2 ...``); plain numbers separated by spaces (``<subject>_timeseries.txt`` of Dadi et al. 2019, OSF gyrnx);
CSV with a header, as pandas and R write it, with or without a column of row numbers. Row numbers are known by an empty
name, or by being in quotes before values that are not, as R's write.csv and write.table leave them; they are left out.
Any other column of row numbers or times is refused, for it would pass for a component.
"""

import re
from pathlib import Path

import numpy as np

from autospec.data.text_table import read_text
from autospec.errors import InputError

#: Suffixes, before a .gz, of what is read here.
SUFFIXES = (".1d", ".txt", ".csv", ".tsv", ".dat")
_TABLE = "a table of numbers, one row a volume and one column a component"
_WANTED = f"wanted {_TABLE}"
#: A cell in quotes; and one at the beginning of a row before one without.
_QUOTED = re.compile(r'(?<![^\s,;])"([^"\s,;]+)"(?![^\s,;])')
#: A row of whole numbers; and one that is a number with a decimal comma, or two whole numbers.
_WHOLE = re.compile(r"[-+\d\s,;]+")
_COMMA = re.compile(r"\s*[+-]?\d+,\d+\s*")
_FEWEST_RISING = 8  # rows, of which a component that rises evenly by chance is out of the question (ours)
_ROW_NAME = re.compile(r'\s*"[^"]+"[\s,;]+[^"\s]')


def read_text_courses(path: str | Path) -> tuple[np.ndarray, list[str]]:
    """Read one text file: gzip or not; tabs, semicolons, commas or spaces; with a header or without.

    Parameters
    ----------
    path : path

    Returns
    -------
    series : ndarray of float64, shape (time, components)
    names : list of str
        ``component-<name>``, names from the header, else 1, 2, ...

    Raises
    ------
    InputError
        A file that is empty, cut short or ragged, or that holds something that is no finite number, with the
        line and column; one that can be read in two ways; a column that rises evenly, as row numbers and times do.
    """
    text = read_text(path, _TABLE)
    lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    comments = [line.replace("#", " ") for _, line in lines if line.lstrip().startswith("#")]
    rows = [(number, line) for number, line in lines if not line.lstrip().startswith("#")]
    if not rows:
        raise InputError(f"{path}: the file is empty, {_WANTED}. Replace the file.")
    delimiter = _delimiter(rows[0][1])
    header = None
    first = _cells(rows[0][1], delimiter)
    _refuse_two_readings(path, rows, first)
    if _is_header(first):
        header, rows = first, rows[1:]
        if not rows:
            raise InputError(f"{path}: the file is empty below its header, {_WANTED}. Replace the file.")
        delimiter = _delimiter(rows[0][1]) if _delimiter(rows[0][1]) != " " else delimiter
    named_rows = all(_ROW_NAME.match(line) for _, line in rows)
    rows = [(number, _QUOTED.sub(r"\1", line)) for number, line in rows]
    try:
        series = np.loadtxt([line for _, line in rows], ndmin=2, delimiter=None if delimiter == " " else delimiter)
    except ValueError:
        raise InputError(_first_fault(path, rows, delimiter)) from None
    if not np.isfinite(series).all():
        row, column = np.argwhere(~np.isfinite(series))[0]
        raise InputError(
            f"{path}, line {rows[row][0]}, column {column + 1}: found {series[row, column]}, {_WANTED}. "
            "Correct the cell."
        )
    if header is not None and named_rows and len(header) == series.shape[1] - 1:
        header = ["", *header]  # write.table names no column of row names
    if header is not None and len(header) != series.shape[1]:
        raise InputError(
            f"{path}, line {rows[0][0]}: found {series.shape[1]} cells, wanted {len(header)} as in the header. "
            "Is the delimiter the same throughout?"
        )
    if header is None and comments:
        named = [cells for cells in (line.split() for line in comments) if len(cells) == series.shape[1]]
        header = named[-1] if named else None
    left_out = int(named_rows or (header is not None and header[0] == ""))
    if left_out:
        header, series = header and header[1:], series[:, 1:]
    names = header or [str(number + 1) for number in range(series.shape[1])]
    _refuse_rising(path, series, names, left_out)
    for position, name in enumerate(names):
        if name in names[:position]:
            raise InputError(f"{path}: column '{name}' stands twice. Rename or remove one of the two.")
    return series, [f"component-{name}" for name in names]


def _refuse_two_readings(path, rows, first) -> None:
    """Refuse a first row that may be a header of numbers or data, and one column that may be two."""
    if len(rows) > 1 and _is_header(first) and any(map(_is_number, first)) and "" not in first:
        if all(_WHOLE.fullmatch(line) for _, line in rows):
            raise InputError(
                f"{path}, line {rows[0][0]}: found whole numbers that count up, above whole numbers: a header or the "
                "first volume? Name the columns with words, or write the numbers with decimals (1.0)."
            )
    if all(_COMMA.fullmatch(line) for _, line in rows):
        raise InputError(
            f"{path}, line {rows[0][0]}: found '{rows[0][1].strip()[:40]}': one number with a decimal comma, or two "
            "whole ones? Write decimal points, or a header with the columns' names."
        )


def _refuse_rising(path, series, names, left_out) -> None:
    """Refuse a column of row numbers or times: equally spaced to a hundredth of a step."""
    if len(series) < _FEWEST_RISING:
        return
    step = (series[-1] - series[0]) / (len(series) - 1)
    line = series[0] + step * np.arange(len(series))[:, None]
    rising = (step > 0) & (np.abs(series - line) <= 0.01 * step).all(axis=0)
    if rising.any():
        column = int(np.argmax(rising))
        raise InputError(
            f"{path}, column {column + left_out + 1} ('{names[column]}'): it rises by {step[column]:.6g} in every row, "
            f"as an index or a time does, {_WANTED}. Remove the column."
        )


def _delimiter(line: str) -> str:
    return next((mark for mark in "\t;," if mark in line.strip()), " ")


def _cells(line: str, delimiter: str) -> list[str]:
    cells = line.split() if delimiter == " " else line.split(delimiter)
    return [cell.strip().strip('"') for cell in cells]


def _is_header(cells: list[str]) -> bool:
    """Words alone, or the numbers 0, 1, 2, ... or 1, 2, 3, ... that data frames without names are written with."""
    if not any(_is_number(cell) for cell in cells) and any(re.search("[A-Za-z]", cell) for cell in cells):
        return not all(cell.lower() in ("nan", "n/a", "na", "") for cell in cells)
    count = [str(number) for number in range(len(cells) + 1)]
    plain = cells[1:] if cells[0] == "" else cells
    return len(plain) > 2 and plain in (count[: len(plain)], count[1 : len(plain) + 1])


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return cell.lower().lstrip("+-") not in ("nan", "inf", "infinity")


def _first_fault(path, rows, delimiter) -> str:
    """Say where the first cell stands that is no number, or the first row of another length."""
    wanted = len(_cells(rows[0][1], delimiter))
    for number, line in rows:
        cells = _cells(line, delimiter)
        for column, cell in enumerate(cells, start=1):
            if _is_number(cell) or cell.lower() == "nan":
                continue
            advice = "Correct the cell."
            if re.fullmatch(r"[+-]?\d+(,\d+)([eE][+-]?\d+)?", cell):
                advice = f"This is a decimal comma: write {cell.replace(',', '.')}, in all cells."
            elif re.search(r"\d\s+[+-]?\d", cell):
                advice = "Is it a decimal comma in a table separated by spaces? Write decimal points."
            return f"{path}, line {number}, column {column}: found '{cell}', {_WANTED}. {advice}"
        if len(cells) != wanted:
            return (
                f"{path}, line {number}: found {len(cells)} cells, wanted {wanted} as in line {rows[0][0]}; {_WANTED}. "
                "Is the file cut short, or the delimiter another?"
            )
    return f"{path}: not readable as numbers; {_WANTED}. Is a quotation mark astray?"
