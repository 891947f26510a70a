"""Tables of FreeSurfer's measures: one row a subject, one column a measure.

What asegstats2table and aparcstats2table write, ENIGMA's tables, and wide tables that hold everything, with
or without the participants' columns among them.
"""

import dataclasses
import logging
from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pandas as pd

from autospec.data.dataset import Dataset
from autospec.data.freesurfer_cohort import assemble
from autospec.data.freesurfer_names import HEAD_SIZE, LARGEST, PROCESSING, SURFACE_HOLES, current_name, is_measure
from autospec.data.participants import BY_DEFAULT, labels_in_question, match_people, read_participants
from autospec.data.participants_cells import dropped_table
from autospec.data.text_table import MISSING, decimal_comma, read_text_table
from autospec.errors import InputError

#: Columns that are read besides the features.
_MEASURED = {HEAD_SIZE: "head_size", SURFACE_HOLES: "surface_holes"}
#: The same measure is rounded differently by different tables.
_ROUNDING = 1e-3


@dataclasses.dataclass(frozen=True)
class Table:
    """One table.

    Attributes
    ----------
    values : DataFrame of float64, shape (subjects, measures)
        Subjects as index, measures under their current names; NaN where the table says n/a.
    originals : dict of str to str
        Current name -> the table's, where it is another.
    others : list of str
        Columns that were not taken.
    """

    values: pd.DataFrame
    originals: dict[str, str]
    others: list[str]


def read_table(
    path: str | Path, subject: str | None = None, features: Sequence[str] | None = None, missing: str = "error"
) -> Table:
    """Read one table, tab, comma, semicolon or space separated.

    Parameters
    ----------
    path : path
    subject : str, optional
        The column with the subjects; the first one where there is none of that name.
    features : sequence of str, optional
        Names or patterns (``*_thickness``) of the columns that are taken, in the table's spelling or
        FreeSurfer's; by default every column whose name is one of FreeSurfer's measures.
    missing : {"error", "drop"}
        Whether a cell may say that it is not known.

    Raises
    ------
    InputError
        A repeated subject, a column under its old and its new name, a cell that is not a finite number
        or is negative, no column that is a measure.
    """
    text = read_text_table(path, "a table of FreeSurfer's measures, one row a subject")
    subjects = text[subject if subject in text else text.columns[0]]
    if is_measure(current_name(subjects.name)):
        raise InputError(f"{path}: no column with the subjects; the first one is '{subjects.name}'. Put them in front.")
    if subjects.duplicated().any():
        same = subjects.index[subjects == subjects[subjects.duplicated()].iloc[0]]
        raise InputError(
            f"{path}, lines {same[0]} and {same[1]}: subject {subjects[same[0]]} stands twice. Remove one of the two."
        )
    columns = [column for column in text if column != subjects.name]
    taken = [column for column in columns if _is_taken(column, features)]
    if not any(_is_feature(column, features) for column in taken):
        raise InputError(f"{path}: {_no_measures(columns, subjects, features)}")
    names = [current_name(column) for column in taken]
    for position, name in enumerate(names):
        if name in names[:position]:
            raise InputError(
                f"{path}: '{name}' stands twice, as '{taken[names.index(name)]}' and as '{taken[position]}'. Are two "
                "versions of FreeSurfer mixed in one table? Make it anew from one version, or remove one of the two."
            )
    cells = text[taken]
    values = cells.apply(pd.to_numeric, errors="coerce").astype(np.float64)
    unknown = cells.apply(lambda column: column.str.lower().isin(MISSING)).to_numpy()
    bad = ~((values >= 0) & (values <= LARGEST)).to_numpy() & ~(unknown & (missing == "drop"))
    if bad.any():
        row, column = np.argwhere(bad)[0]
        cell = cells.iat[row, column]
        raise InputError(
            f"{path}, line {text.index[row]}, subject {subjects.iloc[row]}, column '{taken[column]}': found '{cell}', "
            f"wanted a number from 0 to {LARGEST:g} ({int(bad.sum())} such cell(s)).{decimal_comma(cell)} Correct the "
            "cell or remove the subject"
            + (", or set `missing_subjects: drop` to go on without." if unknown[row, column] else ".")
        )
    values = values.set_axis(names, axis=1).set_axis(pd.Index(subjects, name="subject"), axis=0)
    originals = {name: column for name, column in zip(names, taken, strict=True) if name != column}
    return Table(values, originals, [column for column in columns if column not in taken])


def _is_feature(column: str, features: Sequence[str] | None) -> bool:
    name = current_name(column)
    if features is None:
        return is_measure(name)
    return name not in _MEASURED and any(fnmatchcase(text, pattern) for text in (name, column) for pattern in features)


def _is_taken(column: str, features: Sequence[str] | None) -> bool:
    return current_name(column) in _MEASURED or _is_feature(column, features)


def _no_measures(columns: Sequence[str], subjects: pd.Series, features: Sequence[str] | None) -> str:
    """Why a table seems to hold no measure, and what to do."""
    shown = ", ".join(columns[:5])
    if features is not None:
        return f"no column fits `features` ({', '.join(features)}); the first are {shown}. Correct the option."
    if subjects.map(current_name).map(is_measure).any():
        return "the rows are measures and the columns subjects. Make the table anew without --transpose."
    return (
        f"no column is named like a measure of FreeSurfer (Left-Hippocampus, lh_fusiform_thickness); the first are "
        f"{shown}. Name those that are measures under `features`, or is it the wrong file?"
    )


def join_tables(tables: Mapping[str | Path, pd.DataFrame], missing: str) -> tuple[pd.DataFrame, list[str]]:
    """Put tables side by side; a measure that several hold (eTIV, BrainSegVolNotVent) stands once.

    Parameters
    ----------
    tables : mapping of path to DataFrame
        The `values` of `read_table`.
    missing : {"error", "drop"}
        What to do about subjects who are not in every table.

    Returns
    -------
    joined : DataFrame, shape (subjects, structures)
        In the first table's order of subjects.
    left_out : list of str
        Subjects who are not in every table.

    Raises
    ------
    InputError
        Under "error", if the tables do not hold the same subjects; if they contradict one another.
    """
    (first_path, joined), *others = tables.items()
    everyone = joined.index
    for path, table in others:
        only_before, only_here = joined.index.difference(table.index), table.index.difference(joined.index)
        for there, not_there, subjects in ((first_path, path, only_before), (path, first_path, only_here)):
            if len(subjects) and missing == "error":
                logging.info("%s: not in %s; first: %s", there, not_there, list(subjects[:5]))
                raise InputError(
                    f"{not_there}: {len(subjects)} subject(s) of {there} are not in it (the log names some). "
                    "Make the tables anew from the same subjects, or set `missing_subjects: drop`."
                )
        everyone = everyone.union(table.index, sort=False)
        joined = joined.loc[joined.index.isin(table.index)]
        table = table.loc[joined.index]
        for column in table.columns.intersection(joined.columns):
            differs = ~np.isclose(table[column], joined[column], rtol=_ROUNDING, atol=0, equal_nan=True)
            if differs.any():
                subject = joined.index[differs][0]
                raise InputError(
                    f"{path}, subject {subject}, column '{column}': found {table.at[subject, column]:g}, but "
                    f"an earlier table has {joined.at[subject, column]:g}. Make the tables anew from the "
                    "same run of FreeSurfer."
                )
        joined = pd.concat([joined, table[table.columns.difference(joined.columns, sort=False)]], axis=1)
    return joined, list(everyone.difference(joined.index, sort=False))


def read(name: str, options: Mapping, path: str | Path) -> tuple[Dataset, pd.DataFrame, pd.DataFrame]:
    """Read the tables listed in `options["tables"]` with the participants table.

    Parameters
    ----------
    name : str
        The data set's name.
    options : mapping
        Its configuration: `tables` (relative to `path`), `features`, what `read_participants` takes,
        and `head_size` (none or proportion).
    path : path
        The folder.

    Returns
    -------
    dataset : Dataset
    quality : DataFrame
        One row a subject, see `quality.clean_features`; also `surface_holes` where a table has them.
    dropped : DataFrame
        `kind`, `label`, `reason`.

    Raises
    ------
    InputError
        Whatever is missing or malformed, named by file, line and column.
    """
    path = Path(path)
    missing = options.get("missing_subjects", "error")
    people, outside = read_participants(path, options)
    columns = {"subject": "participant_id", "group": "diagnosis"} | dict(options.get("participants") or {})
    tables = {
        path / file: read_table(path / file, columns["subject"], options.get("features"), missing)
        for file in options["tables"]
    }
    table, incomplete = join_tables({file: one.values for file, one in tables.items()}, missing)
    unknown = table.index[table.isna().any(axis=1)]
    people = people[~people["subject"].isin([*incomplete, *unknown])]
    table = table.drop(index=unknown)
    people, unmatched = match_people(people, labels_in_question(table.index, outside["label"]), missing, path)
    table = table.loc[people["subject"]].reset_index(drop=True)
    logging.info("%s: read %d table(s) of %d people", path, len(tables), len(people))

    measured = {new: table[column].to_numpy() for column, new in _MEASURED.items() if column in table}
    originals = {current: column for one in tables.values() for current, column in one.originals.items()}
    dataset, quality, cleaned = assemble(
        name, options, path, people, table.drop(columns=[*_MEASURED], errors="ignore"), measured, originals,
        f"{len(tables)} table(s)",
    )  # fmt: skip
    others = dict.fromkeys(column for one in tables.values() for column in one.others)
    lost = _not_features(others, [*columns.values(), *BY_DEFAULT])
    subjects = [
        dropped_table("subject", incomplete, "not in every table"),
        dropped_table("subject", unknown, "a measure is not known"),
    ]
    return dataset, quality, pd.concat([outside, *subjects, unmatched, *lost, cleaned], ignore_index=True)


def _not_features(columns: Collection[str], covariates: Collection[str]) -> list[pd.DataFrame]:
    """Columns that are no features, but for those that are people's covariates, and why."""
    processing = [column for column in columns if current_name(column).endswith(PROCESSING)]
    others = [column for column in columns if column not in processing and column not in covariates]
    return [
        dropped_table("feature", processing, "describes the processing, not the brain"),
        dropped_table("feature", others, "not a measure of FreeSurfer by its name"),
    ]
