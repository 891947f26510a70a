"""Time courses of everybody stacked in one array, as neighbours of the method keep COBRE.

There (github.com/UsmanMahmood27/MILC): HDF5, key `COBRE_dataset`, (157, 14000), reshaped to (157, 100, 140),
people by components by time; a list of the components to keep, counted from 1; and a file of labels, 1 or 2.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from autospec.data.arrays import read_array
from autospec.data.dataset import Dataset
from autospec.data.participants import labels_in_question, map_groups, match_people, read_participants
from autospec.data.text_table import read_text
from autospec.data.timecourses import as_series, from_series, numbered
from autospec.errors import InputError


def read(name: str, options: Mapping, path: str | Path) -> tuple[Dataset, pd.DataFrame, pd.DataFrame]:
    """Read one array of many people and clean each one's time courses.

    Parameters
    ----------
    name : str
        The data set's name.
    options : mapping
        `array` (the file, relative to the folder), `key` (see `read_array`), `volumes` (time points, where the
        array is people by everything else), `order` (whether components or time come first after people), and
        one of `labels` (a text file with the group's value of each row of the array, one a line; subjects are
        then the rows) and `subjects` (a text file with the subject of each row, who are looked up in the
        participants table); `component_list`, `repetition_time` and what `assemble` reads, as in `timecourses`.
    path : path
        The folder.

    Returns
    -------
    dataset, qc, dropped
        As `autospec.data.timecourses.read`.

    Raises
    ------
    InputError
        Files of different lengths, shapes that do not fit, and what `timecourses` refuses.
    """
    folder = Path(path)
    file = folder / options["array"]
    series = _split(read_array(file, options.get("key")), options, file)
    people, left_out = _people(options, folder, len(series), file)
    rows = people.pop("row")
    series = [series[row].astype(np.float32) for row in rows]
    features = numbered(series[0].shape[1])
    for subject, one in zip(people["subject"], series, strict=True):
        if one.shape[1] != len(features):
            raise InputError(
                f"{file}: subject {subject} has {one.shape[1]} components, wanted {len(features)} as the first has. "
                "Correct `order`, or take the subject out."
            )
    dataset, qc, dropped = from_series(name, series, people, features, options, folder)
    return dataset, qc, pd.concat([left_out, dropped], ignore_index=True)


def _split(array, options, file) -> list[np.ndarray]:
    """One array of (time, components) a person."""
    order, volumes = options.get("order", "time_first"), options.get("volumes")
    if not isinstance(array, list) and array.ndim == 2:
        if not volumes or array.shape[1] % volumes:
            raise InputError(
                f"{file}: found an array of shape {array.shape}, people by everything else, wanted `volumes` to say "
                f"how many time points that is, a divisor of {array.shape[1]} (found {volumes}). Set `volumes`."
            )
        shape = (-1, volumes) if order == "components_first" else (volumes, -1)
        array = array.reshape(len(array), *shape)
    if not isinstance(array, list) and array.ndim != 3:
        raise InputError(
            f"{file}: found an array of shape {array.shape}, wanted people by time by components. Correct `key`."
        )
    series = [as_series(one, f"{file}, row {row}", order) for row, one in enumerate(array, start=1)]
    for row, one in enumerate(series, start=1):
        if volumes and len(one) != volumes:
            raise InputError(
                f"{file}, row {row}: found {len(one)} time points, wanted {volumes}. Correct `volumes` or `order`."
            )
    return series


def _people(options, folder, count, file) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Who the rows are, with their position in `row`, and who is left out."""
    if ("labels" in options) == ("subjects" in options):
        raise InputError(
            f"{file}: the array does not say whose its rows are; wanted one of `labels` (a group's value a line) "
            "and `subjects` (a subject a line)."
        )
    option = "labels" if "labels" in options else "subjects"
    path = folder / options[option]
    lines = [line.strip() for line in read_text(path, f"a list, one line for each row of {file.name}").splitlines()]
    cells = pd.Series([line for line in lines if line], name=option)
    cells.index = [number for number, line in enumerate(lines, start=1) if line]
    if len(cells) != count:
        raise InputError(f"{path}: found {len(cells)} lines, wanted {count}, one for each person in {file.name}.")
    if option == "subjects":
        repeated = cells[cells.duplicated()]
        if len(repeated):
            raise InputError(f"{path}, line {repeated.index[0]}: subject {repeated.iloc[0]} stands twice. Keep one.")
        people, outside = read_participants(folder, options)
        labels = labels_in_question(cells, outside["label"])
        people, unmatched = match_people(people, labels, options.get("missing_subjects", "error"), path)
        rows = pd.Series(range(count), index=cells.to_numpy())
        return people.assign(row=people["subject"].map(rows)), pd.concat([outside, unmatched], ignore_index=True)
    subjects = pd.Series([f"row-{row:03d}" for row in range(1, count + 1)], index=cells.index)
    group, left_out = map_groups(cells, subjects, options, path)
    people = pd.DataFrame({"subject": subjects, "group": group, "target": group, "row": range(count)})
    return people[group.notna()].reset_index(drop=True), pd.concat(left_out, ignore_index=True)
