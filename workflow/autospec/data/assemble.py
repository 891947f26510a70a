"""Time courses of many people, made comparable: one length, one set of components, cleaned, in windows."""

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from autospec.data.participants import dropped_table
from autospec.data.quality import warn_of_copies
from autospec.data.recording import Recording
from autospec.data.signal import HIGH_PASS, LOW_PASS, clean, constant
from autospec.errors import InputError

_SHORTEST = 34  # volumes; the forward-backward Butterworth filter of order 5 pads by 33


def assemble(
    recordings: Sequence[Recording],
    people: pd.DataFrame,
    features: Sequence[str],
    options: Mapping,
    repetition_time: float | None,
    origin: str | Path,
) -> tuple[np.ndarray, pd.DataFrame, list[str], pd.DataFrame]:
    """Bring people's time courses to one length and one set of components, clean each, cut windows.

    Nothing is done to one person because of another's values. A component that is constant in somebody is zero in
    that person's rows, and is left out where one of those rows is trained on (`autospec.training.prepare`); one that
    is constant in everybody is left out here.

    Parameters
    ----------
    recordings : sequence of Recording
    people : DataFrame
        One row a recording, in the same order.
    features : sequence of str
        Names of the components.
    options : mapping
        `high_pass`, `low_pass` (Hz, null for none), `detrend`, `standardise` (bool), `crop` (use everybody's first
        so many volumes, and leave out who has fewer), `constant_components` ("drop" or "error"), `windows` (`length`
        and `stride` in volumes).
    repetition_time : float or None
        Seconds.
    origin : path
        For messages.

    Returns
    -------
    values : ndarray of float32, shape (rows, time, components left)
    people : DataFrame
        One row a person, or one a window: then `person` holds who it is, and `subject` is the person with
        the window's number.
    features : list of str
    dropped : DataFrame
        `kind`, `label`, `reason` of the people and components that are left out.

    Raises
    ------
    InputError
        Lengths that differ, a repetition time or a band that cannot be, series too short for it or for a
        window, a person or a whole cohort without a usable component, a series that cleaning leaves empty.
    """
    recordings, people, short = _long_enough(recordings, people, options.get("crop"), origin)
    time = options.get("crop") or _common_length(recordings, origin)
    recordings = [one.crop(time) for one in recordings]
    columns = max(0 if one.confounds is None else one.confounds.shape[1] for one in recordings)
    high_pass, low_pass = _band(options, repetition_time, time, columns, origin)
    still, constants = _constant(recordings, features, options.get("constant_components", "drop"), origin)
    warn_of_copies((one.subject for one in recordings), (one.series for one in recordings), origin)
    keep = ~still.all(axis=0)
    features, still = [features[index] for index in np.flatnonzero(keep)], still[:, keep]

    values = np.empty((len(recordings), time, len(features)), dtype=np.float32)
    for row, one in enumerate(recordings):
        values[row] = clean(
            one.series[:, keep],
            repetition_time,
            high_pass,
            low_pass,
            one.confounds,
            one.kept,
            options.get("detrend", True),
            options.get("standardise", True),
        )
        values[row, :, still[row]] = 0.0
        empty = np.flatnonzero(~values[row].any(axis=0) & ~still[row])
        if len(empty):
            raise InputError(
                f"{origin}: subject {one.subject}, component {features[empty[0]]}: nothing is left after detrending, "
                "confound removal and band-pass. Check the file, name fewer confounds or widen the band."
            )
    values, people = _windows(values, people, options.get("windows"), origin)
    return values, people, features, pd.concat([short, constants], ignore_index=True)


def _long_enough(recordings, people, crop, origin):
    """Leave out who has fewer volumes than all are cut to."""
    empty = next((one.subject for one in recordings if not one.volumes()), None)
    if empty and not crop:
        raise InputError(
            f"{origin}: subject {empty}: all volumes are censored. Censor fewer, or set `crop`, which leaves out "
            "whoever has fewer volumes."
        )
    enough = np.array([one.volumes() >= (crop or 0) for one in recordings])
    if not enough.any():
        raise InputError(
            f"{origin}: nobody has {crop} volumes or more (the most is {max(one.volumes() for one in recordings)}). "
            "Lower `crop`."
        )
    if not enough.all():
        logging.info("%s: %d people have fewer than %d volumes", origin, int((~enough).sum()), crop)
    short = [one.subject for one, kept in zip(recordings, enough, strict=True) if not kept]
    dropped = dropped_table("subject", short, f"fewer than {crop} usable volumes")
    recordings = [one for one, kept in zip(recordings, enough, strict=True) if kept]
    return recordings, people[enough].reset_index(drop=True), dropped


def _common_length(recordings, origin) -> int:
    lengths = pd.Series({one.subject: one.volumes() for one in recordings})
    if lengths.nunique() > 1:
        usual = int(lengths.mode().iloc[0])
        other = lengths[lengths != usual]
        raise InputError(
            f"{origin}: time courses differ in length: subject {other.index[0]} has {other.iloc[0]} volumes, "
            f"{int((lengths == usual).sum())} of {len(lengths)} people have {usual}, the shortest has "
            f"{lengths.min()}. Set `crop: {lengths.min()}` to use everybody's first {lengths.min()} volumes, or a "
            "larger number to leave out whoever has fewer."
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


def _constant(recordings, features, policy, origin) -> tuple[np.ndarray, pd.DataFrame]:
    """Tell which components are constant in whom, shape (people, components), and list them."""
    still = np.stack([constant(one.series if one.kept is None else one.series[one.kept]) for one in recordings])
    for one, lacking in zip(recordings, still, strict=True):
        if lacking.all():
            raise InputError(
                f"{origin}: subject {one.subject}: every component is constant, wanted a signal. "
                "Replace the file or take the subject out of the participants table."
            )
    still |= np.stack([np.zeros(len(features), bool) if one.lacking is None else one.lacking for one in recordings])
    counts = still.sum(axis=0)
    if policy == "error" and counts.any():
        component = int(np.argmax(counts > 0))
        subject = recordings[int(np.argmax(still[:, component]))].subject
        raise InputError(
            f"{origin}: subject {subject}: component {features[component]} is constant or lies outside the scan "
            f"({int(still.any(axis=1).sum())} people lack {int((counts > 0).sum())} components in all). Take these "
            "people out, or set `constant_components: drop` to leave such components out where they are trained on."
        )
    if (counts == len(still)).all():
        raise InputError(f"{origin}: every component lies outside everybody's scan. Are the maps in the scans' space?")
    dropped = []
    for name, count in zip(features, counts, strict=True):
        some = f"constant in {count} of {len(still)} people, left out where one of them is trained on"
        reason = "constant in everybody" if count == len(still) else some
        dropped += [dropped_table("feature", [name], reason)] if count else []
    return still, pd.concat([dropped_table("feature", [], ""), *dropped], ignore_index=True)


def _windows(values, people, windows, origin) -> tuple[np.ndarray, pd.DataFrame]:
    """Cut each person's series into windows, rows of their own that share `person`."""
    if not windows:
        return values, people
    length, stride = windows["length"], windows["stride"]
    time = values.shape[1]
    if length > time:
        raise InputError(
            f"{origin}: `windows` asks for {length} volumes, but the time courses have {time}. Shorten the windows."
        )
    begins = np.arange(0, time - length + 1, stride)
    cut = np.stack([values[:, begin : begin + length] for begin in begins], axis=1)
    rows = people.loc[people.index.repeat(len(begins))].reset_index(drop=True)
    persons = rows["person"] if "person" in rows else rows["subject"]
    numbers = np.tile(np.arange(1, len(begins) + 1), len(people))
    rows = rows.drop(columns="person", errors="ignore")
    rows["subject"] = [
        f"{subject}_window-{number:03d}" for subject, number in zip(rows["subject"], numbers, strict=True)
    ]
    rows.insert(1, "person", persons.to_numpy())
    return cut.reshape(-1, length, values.shape[2]), rows
