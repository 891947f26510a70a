"""Time courses that were made elsewhere, one file a person: text, NumPy, MATLAB, HDF5, or GIFT's NIfTI."""

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from autospec.data.arrays import SUFFIXES as ARRAYS
from autospec.data.arrays import read_array
from autospec.data.assemble import assemble
from autospec.data.dataset import Dataset
from autospec.data.files import find_files
from autospec.data.participants import labels_in_question, match_people, read_participants
from autospec.data.recording import Recording
from autospec.data.signal import HIGH_PASS, LOW_PASS, constant
from autospec.data.text_courses import SUFFIXES as TEXTS
from autospec.data.text_courses import read_text_courses
from autospec.data.text_table import read_text
from autospec.errors import InputError


def read(name: str, options: Mapping, path: str | Path) -> tuple[Dataset, pd.DataFrame, pd.DataFrame]:
    """Read one file a person and clean it.

    Parameters
    ----------
    name : str
        The data set's name.
    options : mapping
        `files` (pattern with ``{subject}``; the suffix tells the format), `key` and `order` (see `read_series`),
        `component_list` (see `kept_components`), `repetition_time` (seconds), what `assemble` reads and what
        `autospec.data.participants` reads.
    path : path
        The folder.

    Returns
    -------
    dataset : Dataset
        Values of shape (subjects, time, components).
    qc : DataFrame
        `subject`, `volumes`, `constant_components`, `lag_one_correlation` (before cleaning, mean over
        components).
    dropped : DataFrame
        `kind`, `label`, `reason`.

    Raises
    ------
    InputError
        A file that is no table of numbers, and what `assemble` refuses.
    """
    folder = Path(path)
    people, outside = read_participants(folder, options)
    files = find_files(folder, options["files"], "files")
    labels = labels_in_question(files, outside["label"])
    people, unmatched = match_people(people, labels, options.get("missing_subjects", "error"), folder)

    series, features = [], None
    for subject in people["subject"]:
        one, names = read_series(files[subject], options.get("key"), options.get("order", "time_first"))
        features = names if features is None else features
        if names != features:
            raise InputError(
                f"{files[subject]}: found {len(names)} columns ({names[0]} to {names[-1]}), wanted the "
                f"{len(features)} of {files[people['subject'].iloc[0]].name} ({features[0]} to {features[-1]}). "
                "All files must hold the same components."
            )
        series.append(one.astype(np.float32))
    logging.info("%s: read the time courses of %d people", folder, len(series))
    dataset, qc, dropped = from_series(name, series, people, features, options, folder)
    return dataset, qc, pd.concat([outside, unmatched, dropped], ignore_index=True)


def from_series(
    name: str, series: list[np.ndarray], people: pd.DataFrame, features: list[str], options: Mapping, folder: Path
) -> tuple[Dataset, pd.DataFrame, pd.DataFrame]:
    """Choose components, measure quality, clean: the way from time courses, however they were read, to a data set.

    Parameters
    ----------
    series : list of ndarray, each of shape (time, components)
    people : DataFrame
        One row a series.
    features : list of str
    options, folder
        As for `read`.

    Returns
    -------
    dataset, qc, dropped
        As `read`.
    """
    sites = people["site"].nunique() if "site" in people else 1
    if sites > 1 and (options.get("high_pass", HIGH_PASS) or options.get("low_pass", LOW_PASS)):
        logging.warning(
            "%s: %d sites and one `repetition_time` for all of them, by which the band is computed; where a site's "
            "is another, its people's band is another too", folder, sites,
        )  # fmt: skip
    chosen = kept_components(options.get("component_list"), folder, len(features))
    features = [features[index] for index in chosen]
    recordings, rows = [], []
    for subject, one in zip(people["subject"], series, strict=True):
        one = one[:, chosen]
        recordings.append(Recording(subject, one))
        rows.append((subject, len(one), int(constant(one).sum()), _lag_one(one)))
    qc = pd.DataFrame(rows, columns=["subject", "volumes", "constant_components", "lag_one_correlation"])
    values, people, features, dropped = assemble(
        recordings, people, features, options, options.get("repetition_time"), folder
    )
    count = people.get("person", people["subject"]).nunique()
    dataset = Dataset(
        name=name,
        values=values,
        people=people,
        features=features,
        groups=tuple(options["groups"]),
        simulated=False,
        description=f"Time courses of {count} people: {len(features)} components, {values.shape[1]} volumes.",
    )
    return dataset, qc, dropped


def read_series(path: Path, key: str | None = None, order: str = "time_first") -> tuple[np.ndarray, list[str]]:
    """Read one person's time courses.

    Parameters
    ----------
    path : path
    key : str, optional
        Which variable, where a file holds several (see `read_array`).
    order : {"time_first", "components_first"}
        Which axis of the file comes first.

    Returns
    -------
    series : ndarray, shape (time, components)
    names : list of str

    Raises
    ------
    InputError
        An unknown format, and what the readers refuse.
    """
    lower = path.name.lower()
    if lower.removesuffix(".gz").endswith(TEXTS):
        series, names = read_text_courses(path)
        if order == "components_first":
            series = series.T
            names = numbered(series.shape[1])
        return series, names
    if not lower.endswith(ARRAYS):
        raise InputError(
            f"{path}: the suffix tells the format, wanted one of {', '.join((*TEXTS, *ARRAYS))}. Correct `files`."
        )
    series = as_series(read_array(path, key), path, order)
    return series, numbered(series.shape[1])


def as_series(array: np.ndarray | list, origin: str | Path, order: str) -> np.ndarray:
    """Check one person's array and put time first.

    Raises
    ------
    InputError
        An array that is not 2-d, or with a value that is not finite.
    """
    if isinstance(array, list) or array.ndim != 2:
        found = f"a cell of {len(array)}" if isinstance(array, list) else f"an array of shape {array.shape}"
        raise InputError(f"{origin}: found {found}, wanted one array of time by components. Correct `key`.")
    array = array.T if order == "components_first" else array
    if not np.isfinite(array).all():
        volume, component = np.argwhere(~np.isfinite(array))[0]
        raise InputError(
            f"{origin}: volume {volume + 1}, component {component + 1}: found {array[volume, component]}, wanted a "
            "finite number. Correct the file or take the subject out."
        )
    return array


def numbered(count: int) -> list[str]:
    """Names for components that have none."""
    return [f"component-{number + 1}" for number in range(count)]


def kept_components(file: str | None, folder: Path, count: int) -> list[int]:
    """Which components to keep, from 0, in the order of the list; all of them without a list.

    Parameters
    ----------
    file : str or None
        A text file, relative to `folder`, with one number a line, counted from 1.
    folder : path
    count : int
        How many components there are.

    Raises
    ------
    InputError
        A line that is no number from 1 to `count`, or a number that stands twice.
    """
    if file is None:
        return list(range(count))
    path = folder / file
    chosen = []
    for number, line in enumerate(read_text(path, "a list of component numbers").splitlines(), start=1):
        cell = line.strip().strip(",;")
        if not cell:
            continue
        if not cell.isdecimal() or not 1 <= int(cell) <= count or int(cell) - 1 in chosen:
            raise InputError(
                f"{path}, line {number}: found '{cell}', wanted the number of a component, from 1 to {count}, each "
                "once. Correct the list."
            )
        chosen.append(int(cell) - 1)
    if not chosen:
        raise InputError(f"{path}: the list is empty, wanted numbers from 1 to {count}, one a line. Complete it.")
    return chosen


def _lag_one(series: np.ndarray) -> float:
    """Mean correlation of each component with itself one volume later."""
    moving = series[:, ~constant(series)].astype(np.float64)
    moving -= moving.mean(axis=0)
    lagged = (moving[1:] * moving[:-1]).sum(axis=0) / (moving**2).sum(axis=0)
    return float(lagged.mean()) if len(lagged) else float("nan")
