"""Read a delimited text file into a table of text, every row with its line number."""

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from autospec.errors import InputError

#: In order of preference: a comma inside a tab-separated header belongs to a name.
DELIMITERS = {"\t": "tab", ",": "comma", ";": "semicolon", " ": "space"}

#: Cells that mean "not known" (BIDS writes n/a).
MISSING = frozenset({"", "n/a", "na", "nan"})


def decimal_comma(cell: str) -> str:
    """What to do, if a cell that is no number looks like one with a comma for its point; else nothing."""
    if not re.fullmatch(r"[+-]?\d[\d. ]*,\d+", cell):
        return ""
    whole, part = cell.rsplit(",", 1)
    return f" It has a decimal comma: write {re.sub('[. ]', '', whole)}.{part}."


def read_text(path: str | Path, what: str) -> str:
    """Read a UTF-8 text file, gzip or not (a byte order mark is skipped), or say why it cannot be read.

    Parameters
    ----------
    path : path
    what : str
        What the file is, for the message.

    Raises
    ------
    InputError
        The file is missing, is no file, or is not UTF-8.
    """
    try:
        opener = gzip.open if str(path).endswith(".gz") else open
        with opener(path, "rt", encoding="utf-8-sig") as file:
            text = file.read()
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise InputError(f"{path}: the gzip file is damaged or cut short, wanted {what}. Get it again.") from None
    except FileNotFoundError:
        raise InputError(f"{path}: no such file, wanted {what}. Put it there, or correct the path.") from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: byte {error.start} is not UTF-8 text, wanted {what}. Save the file as UTF-8."
        ) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}), wanted {what}.") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InputError(f"{path}, line {line}: found a NUL character, wanted {what}. Save the file as plain text.")
    return text


def read_text_table(path: str | Path, what: str, fewest_columns: int = 2) -> pd.DataFrame:
    """Read a table separated by tabs, commas, semicolons or spaces; cells stay text, stripped.

    Parameters
    ----------
    path : path
        UTF-8, with or without byte order mark, any line ending.
    what : str
        What the table is, for the messages.
    fewest_columns : int
        A table of one column is most often one with another delimiter.

    Returns
    -------
    DataFrame of str
        The index holds each row's line number in the file, counted from 1.

    Raises
    ------
    InputError
        The file is missing, empty or not UTF-8, has fewer columns, a column name is empty, or stands twice
        above cells that differ (a copy of a column is passed over), or a row has more or fewer cells than
        the header.
    """
    text = read_text(path, what)
    first = next((line for line in text.split("\n") if line.strip()), "")
    delimiter = next((mark for mark in DELIMITERS if mark in first.strip()), "\t")
    rows = [(number, row) for number, row in _rows(text, delimiter, path) if any(row)]
    if len(rows) < 2:
        raise InputError(f"{path}: found {len(rows)} row(s) with text, wanted {what}: a header and rows below it.")
    header = rows[0][1]
    if len(header) < fewest_columns:
        raise InputError(
            f"{path}: found one column, '{header[0][:60]}', wanted {what} with its columns separated by tabs, "
            "commas, semicolons or spaces. Save it so."
        )
    for position, column in enumerate(header, start=1):
        # Tables with row names often leave the corner cell empty.
        if not column and position > 1:
            raise InputError(f"{path}: column {position} has no name. Name it or remove it.")
    for number, row in rows:
        if len(row) != len(header):
            more = "Is a number written with a comma, or a name that holds one not in quotes?"
            if not row[-1]:
                more = "Is there a delimiter at the end of the row?"
            raise InputError(
                f"{path}, line {number}: found {len(row)} cells, wanted {len(header)} as in the header (separated by "
                f"{DELIMITERS[delimiter]}). {'Is the file cut short?' if len(row) < len(header) else more}"
            )
    numbers, cells = zip(*rows[1:], strict=True)
    kept = [position for position, column in enumerate(header) if column not in header[:position]]
    for position in set(range(len(header))) - set(kept):
        first = header.index(header[position])
        for number, row in rows[1:]:
            if row[position] != row[first]:
                raise InputError(
                    f"{path}, line {number}: column '{header[position]}' stands twice and holds '{row[first]}' and "
                    f"'{row[position]}'. Remove or rename one of the two."
                )
    table = pd.DataFrame(list(cells), columns=range(len(header)), index=list(numbers), dtype=str)[kept]
    return table.set_axis([header[position] for position in kept], axis=1)


def _rows(text: str, delimiter: str, path: str | Path) -> Iterator[tuple[int, list[str]]]:
    """Give (line number where the row begins, stripped cells); a quoted cell may span lines."""
    if delimiter == " ":
        yield from ((number, line.split()) for number, line in enumerate(text.split("\n"), start=1))
        return
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    begin = 1
    try:
        for row in reader:
            yield begin, [cell.strip() for cell in row]
            begin = reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"{path}, line {begin}: cannot be read ({error}). Look for a stray quotation mark.") from None
