"""What is known of a scan beside its image: confounds to remove, volumes to leave out, head motion.

Three layouts: a table with named columns (BIDS derivatives; NIAK's, as in the public COBRE release), or
fMRIPrep's, of which nilearn chooses the columns by strategy.
"""

import dataclasses
import fnmatch
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from autospec.data.text_table import MISSING, decimal_comma, read_text, read_text_table
from autospec.errors import InputError

COLUMNS = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z", "csf", "white_matter")
#: Frame-wise displacement as fMRIPrep and as NIAK name it.
DISPLACEMENT = ("framewise_displacement", "FD")


@dataclasses.dataclass(frozen=True)
class Confounds:
    """The confounds of one scan.

    Attributes
    ----------
    values : ndarray of float64, shape (volumes, confounds)
    kept : ndarray of bool, shape (volumes,)
        False for the volumes to leave out (censored).
    mean_fd : float
        Mean frame-wise displacement over all volumes, mm; NaN if the table has none.
    """

    values: np.ndarray
    kept: np.ndarray
    mean_fd: float


def read_confounds(path: str | Path, options: Mapping, volumes: int, scan: str | Path | None = None) -> Confounds:
    """Read the confounds of one scan.

    A first value that is missing (differences have none) is replaced by the second, as
    `nilearn.interfaces.fmriprep.load_confounds` does.

    Parameters
    ----------
    path : path
        Tab-separated, gzip or not, one row a volume.
    options : mapping
        `confound_columns` (names, with ``*`` for anything: ``slow_drift*``), or `load_confounds`, options of
        `nilearn.interfaces.fmriprep.load_confounds`, which then chooses columns and volumes from the table that
        fMRIPrep wrote beside the scan; and `censor`: `columns` (a volume is left out where one of them is not 0,
        as in NIAK's ``scrub`` and fMRIPrep's ``motion_outlier*``) and `displacement` (mm; a volume is left out
        where frame-wise displacement is larger).
    volumes : int
        Length of the scan.
    scan : path, optional
        The image, by which `load_confounds` finds its files.

    Raises
    ------
    InputError
        A missing file or column, a row with more or fewer cells than the header, another number of rows than the
        scan has volumes, a cell that is no number (the first row may be n/a), a negative frame-wise displacement.
    """
    table = read_text_table(path, "a tab-separated table of confounds", fewest_columns=1)
    if len(table) != volumes:
        raise InputError(
            f"{path}: found {len(table)} rows, wanted {volumes}, one for each volume of the scan. "
            "Check that both files are of the same run."
        )
    kept = ~_censored(path, table, options.get("censor") or {})
    if options.get("load_confounds") is not None:
        values, chosen = _by_strategy(path, table, scan, options["load_confounds"])
        kept &= chosen
    else:
        columns = _named(path, table, options.get("confound_columns", COLUMNS), "confound_columns")
        values = _numbers(path, table, columns)
    named = any(name in table for name in DISPLACEMENT)
    return Confounds(values, kept, float(np.nanmean(_displacement(path, table))) if named else float("nan"))


def _named(path, table, patterns, option) -> list[str]:
    """The columns that the patterns name, each once, in the order of the patterns."""
    names = []
    for pattern in patterns:
        found = [column for column in table if fnmatch.fnmatchcase(column, pattern)]
        if not found:
            raise InputError(f"{path}: no column '{pattern}'. The columns are {', '.join(table)}. Correct `{option}`.")
        names += found
    return list(dict.fromkeys(names))


def _missing(cells: pd.DataFrame) -> np.ndarray:
    """Where a marker stands for "not known", shape (volumes, columns)."""
    return cells.apply(lambda column: column.str.lower().isin(MISSING)).to_numpy(dtype=bool)


def _parsed(cells: pd.DataFrame) -> np.ndarray:
    """Cells as numbers, shape (volumes, columns), NaN where there is none."""
    return cells.apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64, copy=True)


def _refuse(
    path, cells: pd.DataFrame, bad: np.ndarray, wanted: str = "a number (only the first row may be n/a)"
) -> None:
    """Name the first bad cell, if there is one."""
    if bad.any():
        row, column = np.argwhere(bad)[0]
        found = cells.iloc[row, column]
        raise InputError(
            f"{path}, line {cells.index[row]}, column '{cells.columns[column]}': found '{found}', "
            f"wanted {wanted}.{decimal_comma(found)} Correct the cell."
        )


def _numbers(path, table, columns) -> np.ndarray:
    """Columns as numbers, shape (volumes, columns), a leading gap filled by the second value."""
    cells = table[columns]
    numbers = _parsed(cells)
    bad = ~np.isfinite(numbers)
    if len(cells) > 1:
        gap = _missing(cells.iloc[:1])[0]
        numbers[0, gap] = numbers[1, gap]
        bad[0, gap] = False
    _refuse(path, cells, bad)
    return numbers


def _displacement(path, table) -> np.ndarray:
    """Frame-wise displacement, mm, shape (volumes,); NaN for a first volume that has none."""
    name = next((column for column in DISPLACEMENT if column in table), DISPLACEMENT[0])
    moved = _numbers(path, table, _named(path, table, [name], "censor.displacement"))[:, 0]
    _refuse(path, table[[name]], moved[:, None] < 0, "a displacement in mm, which is not negative")
    moved[:1][_missing(table[[name]].iloc[:1])[0]] = np.nan
    return moved


def _censored(path, table, censor: Mapping) -> np.ndarray:
    """Volumes to leave out, shape (volumes,)."""
    censored = np.zeros(len(table), dtype=bool)
    for pattern in censor.get("columns", ()):
        # fMRIPrep writes one column an outlier, and none for a scan without any.
        if "*" not in pattern or fnmatch.filter(table, pattern):
            censored |= _numbers(path, table, _named(path, table, [pattern], "censor.columns")).any(axis=1)
    if censor.get("displacement") is not None:
        censored |= _displacement(path, table) > censor["displacement"]
    return censored


def _by_strategy(path, table, scan, options) -> tuple[np.ndarray, np.ndarray]:
    """Confounds (volumes, confounds) and kept volumes as nilearn chooses them of fMRIPrep's table."""
    from nilearn.interfaces.fmriprep import load_confounds

    # nilearn reads the file itself, so that text must be found before; gaps are in columns it does not choose too.
    _refuse(path, table, np.isnan(_parsed(table)) & ~_missing(table))
    if "compcor" in options.get("strategy", ()):
        _check_sidecar(Path(path).with_suffix(".json"))
    kept = np.ones(len(table), dtype=bool)
    try:
        # Not demeaned: signal.clean centres what it is given (so nilearn's documentation advises).
        chosen, mask = load_confounds(str(scan), demean=False, **options)
        if mask is not None:
            kept[:] = False
            kept[mask] = True
        chosen = pd.DataFrame(index=table.index) if chosen is None else chosen.set_axis(table.index)
        values = chosen.to_numpy(dtype=np.float64)
    except (ValueError, OSError, LookupError, TypeError) as error:
        text = " ".join(str(error).split())
        raise InputError(f"{path}: nilearn's load_confounds refuses it: {text} Correct `load_confounds`.") from None
    _refuse(path, chosen.astype(str), ~np.isfinite(values))
    return values, kept


def _check_sidecar(path: Path) -> None:
    """Refuse a sidecar that does not describe columns, of which nilearn takes the components' masks."""
    try:
        columns = json.loads(read_text(path, "the description of the confounds (JSON) that compcor needs"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({error}). Get the file again.") from None
    entries = columns.items() if isinstance(columns, dict) else [("the whole file", columns)]
    for name, entry in entries:
        if not isinstance(entry, dict):
            raise InputError(
                f"{path}: found {json.dumps(entry)[:40]} for {name}, wanted an object for each column, as fMRIPrep "
                "writes it. Get the file again."
            )
