"""Who took part: the participants table, mapped to groups and covariates by the configuration."""

import logging
from collections.abc import Collection, Mapping
from pathlib import Path

import pandas as pd

from autospec.data.participants_cells import (
    dropped_table,
    map_groups,
    person_of,
    read_ages,
    read_numbers,
    read_persons,
    read_sex,
    read_texts,
    visit_of,
)
from autospec.data.text_table import MISSING, read_text_table
from autospec.errors import InputError

DEFAULT_FILE = "participants.tsv"
_READERS = {"age": read_ages, "motion": read_numbers, "head_size": read_numbers, "sex": read_sex, "site": read_texts}
#: Read without being asked for where the table has a column of that name (as BIDS writes them).
BY_DEFAULT = ("age", "sex", "site")

#: What the Preprocessed Connectomes Project writes in place of the subject of whom there are no data.
NO_DATA = "no_filename"

_SHOWN_IN_LOG = 5


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
        `sex` as F, M or O (other), `site` as text. `person` is there where several rows may be one person: from
        the column of that name in the configuration, else from labels such as ``sub-01_ses-2``.
    dropped : DataFrame
        Under ``other_groups: drop`` people whose group value belongs to no group, and, under
        ``missing_subjects: drop``, rows of people without data (`NO_DATA`) and people who lack a group
        or a value that matching needs.

    Raises
    ------
    InputError
        A missing file or column, a repeated subject, a missing or unknown group value, a group that
        nobody belongs to, an age that is no number, a sex that BIDS does not know.
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
    persons = read_persons(table.loc[people.index], columns, path)
    if persons is not None:
        people["person"] = persons
    for name, read in _READERS.items():
        if name in columns:
            cells = table.loc[people.index, columns[name]]
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


def labels_in_question(labels: Collection[str], left_out: Collection[str]) -> set[str]:
    """Labels of data, but for those of people whom the table knows and who were left out on purpose."""
    left_out = set(left_out)
    return {label for label in labels if not {label, visit_of(label), person_of(label)} & left_out}


def match_people(
    people: pd.DataFrame, labels: Collection[str], missing: str, origin: str | Path
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Keep the people whose data are there.

    Where the table has one row a person, as BIDS has it, and the data are of several sessions
    (``sub-01_ses-1``, ``sub-01_ses-2``), each session gets its person's row; ``visit.long.person`` gets the row of
    the visit, if there is one. Where no label is the same, zeros in front are not counted, which spreadsheets drop and
    files keep (40000, ``0040000``); people then get the data's.

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
    labels = set(labels)
    people = _by_session(_with_zeros(people, labels), labels)
    known = set(people["subject"])
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
            f"{len(labels)} found. The names must be spelt alike; the log shows some of each.{_prefix(known, labels)}"
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


def _with_zeros(people: pd.DataFrame, labels: Collection[str]) -> pd.DataFrame:
    short = {label.lstrip("0"): label for label in labels}
    stripped = people["subject"].str.lstrip("0")
    if set(people["subject"]) & set(labels) or len(short) < len(labels) or stripped.duplicated().any():
        return people
    return people.assign(subject=stripped.map(short).fillna(people["subject"]))


def _by_session(people: pd.DataFrame, labels: Collection[str]) -> pd.DataFrame:
    known, sessions = set(people["subject"]), {}
    for label in sorted(set(labels) - known):
        row = visit_of(label) if visit_of(label) in known else person_of(label)
        if row in known and row not in labels:
            sessions.setdefault(row, []).append(label)
    if not sessions:
        return people
    people = people.assign(subject=[sessions.get(subject, [subject]) for subject in people["subject"]])
    people = people.explode("subject", ignore_index=True)
    return people if "person" in people else people.assign(person=people["subject"].map(person_of))


def _prefix(known: Collection[str], labels: Collection[str]) -> str:
    """A hint, where names differ by the `sub-` that BIDS puts in front."""
    for less, more, where in ((known, labels, "data"), (labels, known, "table")):
        if {f"sub-{name}" for name in less} & set(more):
            return f" Those of the {where} have `sub-` in front, the others have not."
    return ""


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
