"""Time courses of many people, made comparable: one length, no constant components, cleaned."""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import nilearn.signal
import numpy as np
import pandas as pd

from autospec.data.participants import dropped_table
from autospec.errors import InputError

HIGH_PASS, LOW_PASS = 0.01, 0.1  # Hz, the band of ABIDE's and most resting-state pipelines
_SHORTEST = 34  # volumes; the forward-backward Butterworth filter of order 5 pads by 33


def find_files(folder: str | Path, pattern: str, option: str) -> dict[str, Path]:
    """Find every subject's file.

    Parameters
    ----------
    folder : path
    pattern : str
        Path inside `folder`, with ``{subject}`` once or more, and ``*`` for what does not matter.
    option : str
        The configuration key that holds the pattern, for messages.

    Returns
    -------
    dict
        Subject -> path, sorted by subject.

    Raises
    ------
    InputError
        A pattern without ``{subject}``, no file at all, two files for one subject.
    """
    if "{subject}" not in pattern:
        raise InputError(f"{option}: found '{pattern}', wanted a file pattern with {{subject}} in it.")
    expression = re.escape(pattern).replace(r"\*", "[^/]*").replace(r"\?", "[^/]")
    expression = expression.replace(r"\{subject\}", "(?P<subject>[^/]+?)", 1)
    expression = expression.replace(r"\{subject\}", "(?P=subject)")
    files: dict[str, Path] = {}
    for path in sorted(Path(folder).glob(pattern.replace("{subject}", "*"))):
        match = re.fullmatch(expression, path.relative_to(folder).as_posix())
        if match is None:
            continue
        subject = match["subject"]
        if subject in files:
            raise InputError(
                f"{path}: a second file for subject {subject}, beside {files[subject].name}; one is wanted. "
                f"Remove one, or make `{option}` ('{pattern}') narrower."
            )
        files[subject] = path
    if not files:
        raise InputError(f"{folder}: no file matches '{pattern}'. Correct `{option}` or the folder's contents.")
    return dict(sorted(files.items()))


def constant(series: np.ndarray) -> np.ndarray:
    """Tell which columns of one time series never change (to rounding), shape (components,)."""
    return series.std(axis=0) <= 1e-7 * np.abs(series).max(axis=0)


def clean(
    series: np.ndarray,
    repetition_time: float,
    high_pass: float | None = HIGH_PASS,
    low_pass: float | None = LOW_PASS,
    confounds: np.ndarray | None = None,
) -> np.ndarray:
    """Detrend, band-pass, regress out confounds and standardise one person's time courses.

    `nilearn.signal.clean`: a Butterworth filter of order 5 run forwards and backwards, the confounds
    filtered alike before they are regressed out (Lindquist et al. 2019, Human Brain Mapping 40).
    Everything is fitted on this one person, so that nothing is known of groups.

    Parameters
    ----------
    series : ndarray, shape (time, components)
    repetition_time : float
        Seconds.
    high_pass, low_pass : float or None
        Hz; None for no such filter.
    confounds : ndarray, shape (time, confounds), optional

    Returns
    -------
    ndarray of float64, shape (time, components)
        Mean 0 and standard deviation 1 (divided by time - 1) in every column; all 0 where only
        rounding is left of a column.
    """
    series = np.asarray(series, dtype=np.float64)
    left = nilearn.signal.clean(
        series,
        detrend=True,
        standardize=None,
        confounds=confounds,
        t_r=repetition_time,
        high_pass=high_pass,
        low_pass=low_pass,
        butterworth__copy=True,  # filters all columns at once; without it, one by one, five times slower
    )
    # nilearn's own standardising would blow rounding errors up to a signal.
    left -= left.mean(axis=0)
    spread = left.std(axis=0, ddof=1)
    empty = spread <= 1e-6 * np.abs(series).max(axis=0)
    return np.where(empty, 0.0, left / np.where(empty, 1.0, spread))


def assemble(
    series: Sequence[np.ndarray],
    subjects: Sequence[str],
    features: Sequence[str],
    options: Mapping,
    repetition_time: float | None,
    origin: str | Path,
    confounds: Sequence[np.ndarray] | None = None,
    absent: np.ndarray | None = None,
) -> tuple[np.ndarray, list[str], pd.DataFrame]:
    """Bring people's time courses to one length and one set of components, and clean each.

    A component that is constant in anybody is left out for everybody: whoever has it cannot be
    told from whoever has not by a missing column, and no group has a say.

    Parameters
    ----------
    series : sequence of ndarray, each of shape (time, components)
    subjects, features : sequence of str
        Names along the sequence and along the components.
    options : mapping
        `high_pass`, `low_pass` (Hz, null for none), `crop` ("shortest": use everybody's first
        volumes, as many as the shortest series has).
    repetition_time : float or None
        Seconds.
    origin : path
        For messages.
    confounds : sequence of ndarray, optional
        Per person, shape (time, confounds).
    absent : ndarray of bool, shape (subjects, components), optional
        Components to count as constant besides.

    Returns
    -------
    values : ndarray of float32, shape (subjects, time, components left)
    features : list of str
    dropped : DataFrame
        `kind`, `label`, `reason` of the components that were left out.

    Raises
    ------
    InputError
        Lengths that differ, a repetition time or a band that cannot be, series too short for it, a
        person or a whole cohort without a usable component, a series that cleaning leaves empty.
    """
    time = _common_length(series, subjects, options.get("crop"), origin)
    series = [one[:time] for one in series]
    columns = confounds[0].shape[1] if confounds is not None else 0
    high_pass, low_pass = _band(options, repetition_time, time, columns, origin)

    still = np.stack([constant(one) for one in series])
    for subject, lacking in zip(subjects, still, strict=True):
        if lacking.all():
            raise InputError(
                f"{origin}: subject {subject}: every component is constant, wanted a signal. "
                "Replace the file or take the subject out of the participants table."
            )
    if absent is not None:
        still |= absent
    keep = ~still.any(axis=0)
    if not keep.any():
        raise InputError(
            f"{origin}: every component is constant in somebody, so none is left for all. "
            "Take the people with most constant components (see qc.tsv's columns) out of the "
            "participants table."
        )
    dropped = [
        dropped_table("feature", [features[index]], f"constant in {count} of {len(still)} people")
        for index, count in enumerate(still.sum(axis=0))
        if count
    ]
    kept = [features[index] for index in np.flatnonzero(keep)]

    values = np.empty((len(series), time, len(kept)), dtype=np.float32)
    for row, (subject, one) in enumerate(zip(subjects, series, strict=True)):
        nuisance = None if confounds is None else confounds[row][:time]
        values[row] = clean(one[:, keep], repetition_time, high_pass, low_pass, nuisance)
        empty = np.flatnonzero(~values[row].any(axis=0))
        if len(empty):
            raise InputError(
                f"{origin}: subject {subject}, component {kept[empty[0]]}: nothing is left after detrending, "
                "confound removal and band-pass. Check the file, name fewer confounds or widen the band."
            )
    return values, kept, pd.concat([dropped_table("feature", [], ""), *dropped], ignore_index=True)


def _common_length(series, subjects, crop, origin) -> int:
    if crop not in (None, "shortest"):
        raise InputError(f"`crop`: found '{crop}', wanted 'shortest' or nothing.")
    lengths = pd.Series([len(one) for one in series], index=list(subjects))
    if lengths.nunique() > 1 and crop is None:
        usual = int(lengths.mode().iloc[0])
        other = lengths[lengths != usual]
        raise InputError(
            f"{origin}: time courses differ in length: subject {other.index[0]} has {other.iloc[0]} volumes, "
            f"{int((lengths == usual).sum())} of {len(lengths)} people have {usual}, the shortest has "
            f"{lengths.min()}. Set `crop: shortest` to use everybody's first volumes, or take those people out."
        )
    return int(lengths.min())


def _band(options, repetition_time, time, confounds, origin) -> tuple[float | None, float | None]:
    """Give the band in Hz, or say why these series cannot be filtered to it."""
    if not isinstance(repetition_time, int | float) or not 0 < repetition_time < 100:
        raise InputError(
            f"{origin}: found repetition time {repetition_time}, wanted seconds between two volumes, such "
            "as 2.0. Set `repetition_time`."
        )
    high_pass, low_pass = options.get("high_pass", HIGH_PASS), options.get("low_pass", LOW_PASS)
    nyquist = 0.5 / repetition_time
    lower, upper = high_pass or 0.0, nyquist if low_pass is None else low_pass
    if not 0 <= lower < upper <= nyquist:
        raise InputError(
            f"{origin}: found high_pass {high_pass} and low_pass {low_pass} Hz, wanted high_pass < low_pass, "
            f"both up to {nyquist:g} Hz (half the sampling rate at a repetition time of {repetition_time:g} s). "
            "Correct the band."
        )
    # A band of B Hz over T seconds holds about 2BT independent values.
    freedom = math.floor(2 * (upper - lower) * time * repetition_time)
    if time < _SHORTEST or freedom <= confounds + 1:
        raise InputError(
            f"{origin}: {time} volumes of {repetition_time:g} s are too few: the band {lower:g} to "
            f"{upper:g} Hz leaves about {freedom} independent values, wanted more than the {confounds} confounds "
            f"and {_SHORTEST} volumes or more. Use longer scans, a wider band or fewer confounds."
        )
    return high_pass or None, low_pass
