"""Tables of asegstats2table and aparcstats2table: one row a subject, one column a structure."""

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from autospec.data.dataset import Dataset
from autospec.data.freesurfer import HEAD_SIZE, current_name
from autospec.data.participants import dropped_table, match_people, read_participants
from autospec.data.quality import clean_features
from autospec.data.text_table import read_text_table
from autospec.errors import InputError

#: Columns of these tables that describe the processing and not the brain.
_NOT_ANATOMY = ("SurfaceHoles", "-to-eTIV")
#: The same measure is rounded differently by different tables.
_ROUNDING = 1e-3


def read_table(path: str | Path) -> pd.DataFrame:
    """Read one table, tab, comma, semicolon or space separated.

    Parameters
    ----------
    path : path
        The first column holds the subjects, whatever its name.

    Returns
    -------
    DataFrame of float64, shape (subjects, structures)
        Subjects as index, structures under their current FreeSurfer names.

    Raises
    ------
    InputError
        A repeated subject or column, a cell that is not a finite number or is negative.
    """
    text = read_text_table(path, "a table of asegstats2table or aparcstats2table")
    subjects, cells = text.iloc[:, 0], text.iloc[:, 1:]
    if cells.shape[1] == 0:
        raise InputError(
            f"{path}: one column only, wanted subjects and at least one structure. Is it the right file?"
        )
    if subjects.duplicated().any():
        same = subjects.index[subjects == subjects[subjects.duplicated()].iloc[0]]
        raise InputError(
            f"{path}, lines {same[0]} and {same[1]}: subject {subjects[same[0]]} stands twice. "
            "Remove one of the two."
        )
    values = cells.apply(pd.to_numeric, errors="coerce").astype(np.float64)
    bad = ~(np.isfinite(values) & (values >= 0)).to_numpy()
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise InputError(
            f"{path}, line {text.index[row]}, subject {subjects.iloc[row]}, column "
            f"'{cells.columns[column]}': found '{cells.iat[row, column]}', wanted a number that is not "
            f"negative ({int(bad.sum())} such cell(s)). Correct the cell or remove the subject."
        )
    values.index = pd.Index(subjects, name="subject")
    values.columns = [current_name(column) for column in values]
    if values.columns.duplicated().any():
        twice = values.columns[values.columns.duplicated()][0]
        raise InputError(
            f"{path}: '{twice}' stands twice, under its old and its new name. Remove one of the two."
        )
    return values


def join_tables(tables: Mapping[str | Path, pd.DataFrame], missing: str) -> tuple[pd.DataFrame, list[str]]:
    """Put tables side by side; a measure that several hold (eTIV, BrainSegVolNotVent) stands once.

    Parameters
    ----------
    tables : mapping of path to DataFrame
        From `read_table`.
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
            differs = ~np.isclose(table[column], joined[column], rtol=_ROUNDING, atol=0)
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
        Its configuration: `tables` (relative to `path`), what `read_participants` takes, and
        `outliers` (keep or drop).
    path : path
        The folder.

    Returns
    -------
    dataset : Dataset
    quality : DataFrame
        One row a subject, see `quality.clean_features`.
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
    table, incomplete = join_tables(
        {path / file: read_table(path / file) for file in options["tables"]}, missing
    )
    people = people[~people["subject"].isin(incomplete)]
    people, unmatched = match_people(people, set(table.index) - set(outside["label"]), missing, path)
    table = table.loc[people["subject"]].reset_index(drop=True)

    sizes = [column for column in HEAD_SIZE if column in table]
    if sizes and "head_size" not in people:
        people["head_size"] = table[sizes[0]]
    processing = [column for column in table if column.endswith(_NOT_ANATOMY)]
    table = table.drop(columns=sizes + processing)
    people, table, quality, cleaned = clean_features(people, table, options.get("outliers", "keep"))
    dataset = Dataset(
        name=name,
        values=table.to_numpy(np.float32),
        people=people,
        features=list(table.columns),
        groups=tuple(options["groups"]),
        simulated=False,
        description=(
            f"Measured FreeSurfer features, {len(table.columns)} of {len(people)} people, "
            f"from {len(options['tables'])} tables of asegstats2table and aparcstats2table."
        ),
    )
    return (
        dataset,
        quality,
        pd.concat(
            [outside, dropped_table("subject", incomplete, "not in every table"), unmatched, cleaned],
            ignore_index=True,
        ),
    )
