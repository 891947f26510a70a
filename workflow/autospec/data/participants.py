"""Who took part: the participants table, mapped to groups and covariates by the configuration."""

import logging
import math
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import pandas as pd

from autospec.data.text_table import MISSING, decimal_comma, read_text_table
from autospec.errors import InputError

DEFAULT_FILE = "participants.tsv"
NUMBERS = ("age", "motion", "head_size")
TEXTS = ("sex", "site")
#: Read without being asked for where the table has a column of that name (as BIDS writes them).
BY_DEFAULT = ("age", "sex", "site")
SEX = {"m": "M", "male": "M", "1": "M", "f": "F", "female": "F", "2": "F"}

#: What the Preprocessed Connectomes Project writes in place of the subject of whom there are no data.
NO_DATA = "no_filename"

#: Labels of scans that name their person: BIDS (sub-01_ses-2) and FreeSurfer's longitudinal stream
#: (visit2.long.sub-01).
_SESSIONS = (re.compile(r"(sub-[^_]+)_.+"), re.compile(r".+\.long\.(.+)"))

_SHOWN_IN_LOG = 5


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


def read_participants(folder: str | Path, options: Mapping) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read the participants table of a data set.

    Parameters
    ----------
    folder : path
        Where the data set lies; the table's name is relative to it.
    options : mapping
        The data set's configuration: `participants` (`file`, one name or several of which the first
        that is there is read, and the table's column for `subject`, `group` and, where wanted, `age`,
        `sex`, `site`, `motion`, `head_size`, `person`; a column is found in another case too if only one
        fits), `groups` (name -> values of the group column, the reference group first), `other_groups`,
        `matching`, `missing_subjects`, `target` (a column of the result that classification predicts; the
        group by default).

    Returns
    -------
    people : DataFrame
        `subject`, `group`, `target` and the covariates, in the table's order: `age` in years,
        `sex` as F or M, `site` as text. `person` is there where several rows may be one person: from
        the column of that name in the configuration, else from labels such as ``sub-01_ses-2``.
    dropped : DataFrame
        Under ``other_groups: drop`` people whose group value belongs to no group, and, under
        ``missing_subjects: drop``, rows of people without data (`NO_DATA`) and people who lack a group
        or a value that matching needs.

    Raises
    ------
    InputError
        A missing file or column, a repeated subject, a missing or unknown group value, a group that
        nobody belongs to, an age that is no number, a sex that is neither M nor F.
    """
    columns = dict(options.get("participants") or {})
    files = columns.pop("file", DEFAULT_FILE)
    paths = [Path(folder) / file for file in ([files] if isinstance(files, str) else files)]
    path = next((path for path in paths if path.exists()), paths[0])
    table = read_text_table(path, "a table of participants")
    columns = {"subject": "participant_id", "group": "diagnosis"} | columns
    columns = {name: name for name in BY_DEFAULT if name in table} | columns
    columns = {name: _column(table, name, column, path) for name, column in columns.items()}
    missing = options.get("missing_subjects", "error")
    table, without_data = _with_data(table, columns["subject"], path, missing)

    subjects = table[columns["subject"]]
    _check_subjects(subjects, path)
    groups, outside = map_groups(table[columns["group"]], subjects, options, path)
    dropped = [without_data, *outside]
    people = pd.DataFrame({"subject": subjects, "group": groups})[groups.notna()]
    persons = _persons(table.loc[people.index], columns, path)
    if persons is not None:
        people["person"] = persons
    for name in (*NUMBERS, *TEXTS):
        if name in columns:
            cells = table.loc[people.index, columns[name]]
            read = _numbers if name in NUMBERS else _sex if name == "sex" else _texts
            people[name] = read(cells, path)

    matching, target = options.get("matching") or {}, options.get("target", "group")
    for name in dict.fromkeys([*matching.get("exact", ()), *matching.get("callipers", {}), target]):
        if name in columns:
            people, left_out = _known(people, name, columns[name], path, missing)
            dropped.append(left_out)

    if target not in people:
        raise InputError(f"{path}: `target` names '{target}', which is not read. Use one of {_listed(people)}.")
    people.insert(2, "target", people[target].astype(str))
    return people.reset_index(drop=True), pd.concat(dropped, ignore_index=True)


def match_people(
    people: pd.DataFrame, labels: Collection[str], missing: str, origin: str | Path
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Keep the people whose data are there.

    Parameters
    ----------
    people : DataFrame
        From `read_participants`.
    labels : collection of str
        The subjects of whom there are data (folders, files, rows).
    missing : {"error", "drop"}
        What to do about people without data, and data without a person.
    origin : path
        Where the data lie, for the message.

    Returns
    -------
    people, dropped : DataFrame

    Raises
    ------
    InputError
        Under "error", when table and data do not hold the same subjects; in any case when they
        have none in common. The first few labels go to the log, not into the message.
    """
    known = set(people["subject"])
    labels = set(labels)
    reasons = {
        "no data found": sorted(known - labels),
        "data, but no row in the participants table": sorted(labels - known),
    }
    for reason, left_out in reasons.items():
        if left_out:
            logging.info("%s: %d subject(s): %s; first: %s", origin, len(left_out), reason, left_out[:_SHOWN_IN_LOG])
    without_data, without_row = reasons.values()
    if not known & labels:
        raise InputError(
            f"{origin}: none of the {len(known)} subjects of the participants table has data among the "
            f"{len(labels)} found. The names must be spelt alike; the log shows some of each."
        )
    if missing == "error" and (without_data or without_row):
        raise InputError(
            f"{origin}: {len(without_data)} subject(s) of the participants table have no data, and "
            f"{len(without_row)} have data but no row in the table (the log names some). "
            "Complete them, or set `missing_subjects: drop` to go on without."
        )
    dropped = [dropped_table("subject", left_out, reason) for reason, left_out in reasons.items()]
    kept = people[people["subject"].isin(labels)].reset_index(drop=True)
    return kept, pd.concat(dropped, ignore_index=True)


def _column(table: pd.DataFrame, name: str, column: str, path: Path) -> str:
    """The table's spelling of a column; copies of one table often differ in case."""
    alike = [other for other in table if other.lower() == column.lower()]
    if column not in table and len(alike) != 1:
        raise InputError(
            f"{path}: no column '{column}', which `participants.{name}` names. "
            f"The columns are {_listed(table)}. Correct the configuration."
        )
    return column if column in table else alike[0]


def _with_data(table: pd.DataFrame, subject: str, path: Path, missing: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Take out the rows that say themselves that there are no data; they share one name."""
    without = table[subject] == NO_DATA
    if without.any() and missing == "error":
        raise InputError(
            f"{path}, line {table.index[without][0]}: {int(without.sum())} of {len(table)} rows have '{NO_DATA}' for a "
            "subject, so no data. Remove them, or set `missing_subjects: drop` to go on without."
        )
    labels = [f"{NO_DATA} (line {line})" for line in table.index[without]]
    return table[~without], dropped_table("subject", labels, "the table says that there are no data")


def _check_subjects(subjects: pd.Series, path: Path) -> None:
    for line, subject in subjects.items():
        if subject.lower() in MISSING:
            raise InputError(f"{path}, line {line}: no subject. Fill in column '{subjects.name}' or remove the row.")
    repeated = subjects[subjects.duplicated()]
    if len(repeated):
        first = subjects[subjects == repeated.iloc[0]]
        raise InputError(
            f"{path}, lines {first.index[0]} and {first.index[1]}: subject {first.iloc[0]} stands twice. "
            "Keep one row a subject."
        )


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


def _persons(table: pd.DataFrame, columns: Mapping, path: Path) -> list[str] | None:
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
    persons = [
        next((match[1] for pattern in _SESSIONS if (match := pattern.fullmatch(label))), label) for label in labels
    ]
    return persons if persons != labels else None


def _numbers(cells: pd.Series, path: Path) -> list[float]:
    numbers = []
    for line, cell in cells.items():
        try:
            number = math.nan if cell.lower() in MISSING else float(cell)
        except ValueError:
            number = -math.inf
        if number < 0 or number == math.inf:
            raise InputError(
                f"{path}, line {line}, column '{cells.name}': found '{cell}', wanted a number that is not "
                f"negative (or n/a).{decimal_comma(cell)} Correct the cell."
            )
        numbers.append(number)
    return numbers


def _sex(cells: pd.Series, path: Path) -> list[str | None]:
    for line, cell in cells.items():
        if cell.lower() not in MISSING and as_text(cell).lower() not in SEX:
            raise InputError(
                f"{path}, line {line}, column '{cells.name}': found '{cell}', wanted M, F, male, female, "
                "1 (male) or 2 (female). Recode the column."
            )
    return [SEX.get(as_text(cell).lower()) for cell in cells]


def _texts(cells: pd.Series, path: Path) -> list[str | None]:
    return [None if cell.lower() in MISSING else cell for cell in cells]


def _known(people, name, column, path, missing):
    unknown = people[name].isna()
    if unknown.any() and missing == "error":
        raise InputError(
            f"{path}, line {people.index[unknown][0]}, column '{column}': {int(unknown.sum())} of "
            f"{len(people)} people have no {name}, which `matching`, `residualise`, `harmonise` or `target` "
            f"needs. Fill it in, take {name} out of there, or set `missing_subjects: drop`."
        )
    return people[~unknown], dropped_table("subject", people.loc[unknown, "subject"], f"{name} is not known")


def _listed(table: pd.DataFrame) -> str:
    return ", ".join(map(str, table.columns))


def _shown(values: Iterable[str], most: int = 10) -> str:
    values = sorted(set(values))
    return ", ".join(f"'{value}'" for value in values[:most]) + (", ..." if len(values) > most else "")
