"""What is known of a scan beside its image: confounds to remove, volumes to leave out, head motion.

Three layouts: a table with named columns (BIDS derivatives; NIAK's, as in the public COBRE release), or
fMRIPrep's, of which nilearn chooses the columns by strategy.
"""

import dataclasses
import fnmatch
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

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
        A missing file or column, another number of rows than the scan has volumes, a cell that is
        no number (the first row may be n/a).
    """
    try:
        table = pd.read_csv(path, sep="\t", na_values=["n/a"])
    except FileNotFoundError:
        raise InputError(f"{path}: no such file. Put it there, or correct `confounds`.") from None
    except (ValueError, EOFError, OSError, zlib.error) as error:
        raise InputError(f"{path}: not a tab-separated table ({error}). Replace the file.") from None
    if len(table) != volumes:
        raise InputError(
            f"{path}: found {len(table)} rows, wanted {volumes}, one for each volume of the scan. "
            "Check that both files are of the same run."
        )
    kept = ~_censored(path, table, options.get("censor") or {})
    if options.get("load_confounds") is not None:
        values, chosen = _by_strategy(path, scan, options["load_confounds"], volumes)
        kept &= chosen
    else:
        columns = _named(path, table, options.get("confound_columns", COLUMNS), "confound_columns")
        values = _numbers(path, table, columns)
    return Confounds(values, kept, _mean_displacement(table))


def _named(path, table, patterns, option) -> list[str]:
    """The columns that the patterns name, each once, in the order of the patterns."""
    names = []
    for pattern in patterns:
        found = [column for column in table if fnmatch.fnmatchcase(column, pattern)]
        if not found:
            raise InputError(
                f"{path}: no column '{pattern}'. The columns are {', '.join(map(str, table.columns))}. "
                f"Correct `{option}`."
            )
        names += found
    return list(dict.fromkeys(names))


def _numbers(path, table, columns) -> np.ndarray:
    """Columns as numbers, shape (volumes, columns), a leading gap filled by the second value."""
    numbers = table[columns].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64, copy=True)
    if len(numbers) > 1:
        numbers[0] = np.where(np.isnan(numbers[0]), numbers[1], numbers[0])
    if not np.isfinite(numbers).all():
        row, column = np.argwhere(~np.isfinite(numbers))[0]
        raise InputError(
            f"{path}, line {row + 2}, column '{columns[column]}': found '{table[columns[column]].iloc[row]}', "
            "wanted a number (only the first row may be n/a). Correct the cell."
        )
    return numbers


def _censored(path, table, censor: Mapping) -> np.ndarray:
    """Volumes to leave out, shape (volumes,)."""
    censored = np.zeros(len(table), dtype=bool)
    for pattern in censor.get("columns", ()):
        # fMRIPrep writes one column an outlier, and none for a scan without any.
        if "*" not in pattern or fnmatch.filter(table, pattern):
            censored |= _numbers(path, table, _named(path, table, [pattern], "censor.columns")).any(axis=1)
    if censor.get("displacement") is not None:
        name = next((column for column in DISPLACEMENT if column in table), DISPLACEMENT[0])
        moved = _numbers(path, table, _named(path, table, [name], "censor.displacement"))[:, 0]
        moved[0] = 0.0 if pd.isna(table[name].iloc[0]) else moved[0]  # nothing moved before the first volume
        censored |= moved > censor["displacement"]
    return censored


def _by_strategy(path, scan, options, volumes) -> tuple[np.ndarray, np.ndarray]:
    """Confounds (volumes, confounds) and kept volumes as nilearn chooses them of fMRIPrep's table."""
    from nilearn.interfaces.fmriprep import load_confounds

    try:
        # Not demeaned: signal.clean centres what it is given (so nilearn's documentation advises).
        table, mask = load_confounds(str(scan), demean=False, **options)
    except (ValueError, OSError, KeyError) as error:
        text = " ".join(str(error).split())
        raise InputError(f"{path}: nilearn's load_confounds refuses it: {text} Correct `load_confounds`.") from None
    kept = np.ones(volumes, dtype=bool)
    if mask is not None:
        kept[:] = False
        kept[mask] = True
    values = np.empty((volumes, 0)) if table is None else table.to_numpy(dtype=np.float64)
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise InputError(
            f"{path}, line {row + 2}, column '{table.columns[column]}': not a number (only the first row may be n/a). "
            "Correct the cell."
        )
    return values, kept


def _mean_displacement(table) -> float:
    name = next((column for column in DISPLACEMENT if column in table), None)
    return float(pd.to_numeric(table[name], errors="coerce").mean()) if name else float("nan")
