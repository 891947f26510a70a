"""What the cells of a participants table mean: groups, persons, numbers, sexes."""

import logging
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from autospec.data.text_table import MISSING, decimal_comma
from autospec.errors import InputError

SEX = {"m": "M", "male": "M", "1": "M", "f": "F", "female": "F", "2": "F", "o": "O", "other": "O"}
#: Labels of scans that name their person: BIDS (sub-01_ses-2) and FreeSurfer's longitudinal stream
#: (visit2.long.sub-01).
_LONGITUDINAL = re.compile(r"(?P<visit>.+)\.long\.(?P<base>.+)")
_SESSIONS = (re.compile(r"(sub-[^_]+?)(?:_|\.long\.).+"), re.compile(r".+\.long\.(.+)"))

#: Nobody is known to have been older, in years.
OLDEST = 130
_AGE = re.compile(r"\+?([0-9]+\.?[0-9]*|\.[0-9]+)")
#: As `_AGE`, with a sign, and the exponent that R and pandas write very large and very small numbers with.
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_NOT_NEGATIVE = "a number that is not negative"


def dropped_table(kind: str, labels: Iterable[str], reason: str) -> pd.DataFrame:
    """What was left out and why: columns `kind` (subject or feature), `label`, `reason`."""
    rows = [(kind, str(label), reason) for label in labels]
    return pd.DataFrame(rows, columns=["kind", "label", "reason"], dtype=str)


def as_text(value: object) -> str:
    """One spelling for values that mean the same: 1, "1" and "1.0" become "1"."""
    text = str(value).strip()
    try:
        number = float(text)
    except ValueError:
        return text
    return str(int(number)) if math.isfinite(number) and number == int(number) else text


def person_of(label: str) -> str:
    """Whose scan a label names: the label itself where it names no session."""
    return next((match[1] for pattern in _SESSIONS if (match := pattern.fullmatch(label))), label)


def visit_of(label: str) -> str:
    """Which visit a label of the longitudinal stream names: the label itself where it is none."""
    match = _LONGITUDINAL.fullmatch(label)
    return match["visit"] if match else label


def only_longitudinal(labels: Iterable[str]) -> tuple[set[str], pd.DataFrame]:
    """Leave out what FreeSurfer's longitudinal stream is made from, wherever its result `X.long.Y` is there.

    The base Y is an average over a person's visits, and X the same visit without it (Reuter et al. 2012, NeuroImage
    61, 1402-1418): each visit is one row.

    Returns
    -------
    labels : set of str
    dropped : DataFrame
        `kind`, `label`, `reason`.
    """
    labels = set(labels)
    streams = [match for match in map(_LONGITUDINAL.fullmatch, labels) if match]
    made_from = labels & {name for match in streams for name in (match["visit"], match["base"])}
    reason = "base or cross-sectional of the longitudinal stream"
    return labels - made_from, dropped_table("subject", sorted(made_from), reason)


def map_groups(
    cells: pd.Series, subjects: pd.Series, options: Mapping, path: Path
) -> tuple[pd.Series, list[pd.DataFrame]]:
    """Map the group column's values to group names (None for values of no group), and say who is left out."""
    groups, names = options["groups"], {}
    for name, values in groups.items():
        for value in map(as_text, values):
            if names.setdefault(value, name) != name:
                raise InputError(f"`groups`: value '{value}' is in both '{names[value]}' and '{name}'. Keep one.")
    mapped = cells.map(as_text).map(names.get).astype(object)
    unlabelled = cells.str.lower().isin(MISSING)
    others = mapped.isna() & ~unlabelled
    if unlabelled.any() and options.get("missing_subjects", "error") == "error":
        raise InputError(
            f"{path}, line {cells.index[unlabelled][0]}: no group in column '{cells.name}' ({int(unlabelled.sum())} "
            "such row(s)). Fill it in, remove the row, or set `missing_subjects: drop` to go on without."
        )
    for name, values in groups.items():
        if not (mapped == name).any():
            raise InputError(
                f"{path}: nobody belongs to group '{name}': column '{cells.name}' holds "
                f"{_shown(cells.unique())}, wanted {_shown(map(str, values))}. Correct `groups`."
            )
    if others.any() and options.get("other_groups", "error") == "error":
        raise InputError(
            f"{path}, line {cells.index[others][0]}, column '{cells.name}': found {_shown(cells[others].unique())} "
            f"({int(others.sum())} row(s)), which belongs to no group. Correct it, add it to `groups`, or set "
            "`other_groups: drop` to leave these people out."
        )
    return mapped, [
        dropped_table("subject", subjects[unlabelled], "no group in the participants table"),
        dropped_table("subject", subjects[others], "the group value belongs to no group"),
    ]


def read_persons(table: pd.DataFrame, columns: Mapping, path: Path) -> list[str] | None:
    """Whose scan each row is; None where every row is a person of its own."""
    if "person" in columns:
        cells = table[columns["person"]]
        unknown = cells.str.lower().isin(MISSING)
        if unknown.any():
            raise InputError(
                f"{path}, line {cells.index[unknown][0]}: no person in column '{cells.name}'. Fill it in, or take "
                "`person` out of `participants`."
            )
        return cells.tolist()
    labels = table[columns["subject"]].tolist()
    persons = [person_of(label) for label in labels]
    return persons if persons != labels else None


def read_numbers(
    cells: pd.Series, path: Path, plain: re.Pattern = _NUMBER, most: float = math.inf, wanted: str = _NOT_NEGATIVE
) -> list[float]:
    """Numbers from 0 to `most`, NaN where they are not known; float() alone would also read 2_5, as 25."""
    numbers = []
    for line, cell in cells.items():
        missing = cell.lower() in MISSING
        number = float(cell) if not missing and plain.fullmatch(cell) else math.nan
        if not missing and not (0 <= number <= most and math.isfinite(number)):
            raise InputError(
                f"{path}, line {line}, column '{cells.name}': found '{cell}', wanted {wanted} "
                f"(or n/a).{decimal_comma(cell)} Correct the cell."
            )
        numbers.append(number)
    return numbers


def read_ages(cells: pd.Series, path: Path) -> list[float]:
    """Ages in years; "89+", as BIDS has it for those whom an exact age would tell, is 89."""
    capped = cells.str.fullmatch(r"\d+(\.\d+)?\+")
    if capped.any():
        logging.warning(
            "%s, column '%s': %d age(s) such as '%s' are taken as that number.",
            path, cells.name, int(capped.sum()), cells[capped].iloc[0],
        )  # fmt: skip
    years = cells.where(~capped, cells.str.removesuffix("+"))
    return read_numbers(years, path, _AGE, OLDEST, f"an age in years, 0 to {OLDEST}, in plain digits such as 25.5")


def read_sex(cells: pd.Series, path: Path) -> list[str | None]:
    """Sexes as M, F or O, the three that BIDS knows; None where it is not known."""
    for line, cell in cells.items():
        if cell.lower() not in MISSING and as_text(cell).lower() not in SEX:
            raise InputError(
                f"{path}, line {line}, column '{cells.name}': found '{cell}', wanted M, F, O, male, female, other, "
                "1 (male), 2 (female) or n/a. Recode the column."
            )
    return [SEX.get(as_text(cell).lower()) for cell in cells]


def read_texts(cells: pd.Series, path: Path) -> list[str | None]:
    """Texts as they stand; a warning names those that only their case or a number's format tells apart."""
    spellings: dict[str, set[str]] = {}
    for cell in cells[~cells.str.lower().isin(MISSING)]:
        spellings.setdefault(as_text(cell).lower(), set()).add(cell)
    for alike in spellings.values():
        if len(alike) > 1:
            logging.warning(
                "%s, column '%s': %s count as different. If they are one, spell them alike.",
                path, cells.name, _shown(alike),
            )  # fmt: skip
    return [None if cell.lower() in MISSING else cell for cell in cells]


def _shown(values: Iterable[str], most: int = 10) -> str:
    values = sorted(set(values))
    return ", ".join(f"'{value}'" for value in values[:most]) + (", ..." if len(values) > most else "")
