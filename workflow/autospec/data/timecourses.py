"""Region or component time courses in text files, as the Preprocessed Connectomes Project shares them."""

import logging
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from autospec.data.dataset import Dataset
from autospec.data.participants import match_people, read_participants
from autospec.data.signal import assemble, constant, find_files
from autospec.errors import InputError


def read(name: str, options: Mapping, path: str | Path) -> tuple[Dataset, pd.DataFrame, pd.DataFrame]:
    """Read one text file a person (rows are volumes, columns components) and clean it.

    Parameters
    ----------
    name : str
        The data set's name.
    options : mapping
        `files` (pattern with ``{subject}``), `repetition_time` (seconds), `high_pass`, `low_pass`,
        `crop` and what `autospec.data.participants` reads.
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
    labels = set(files) - set(outside["label"])
    people, unmatched = match_people(people, labels, options.get("missing_subjects", "error"), folder)

    series, rows, features = [], [], None
    for subject in people["subject"]:
        one, names = read_series(files[subject])
        features = names if features is None else features
        if names != features:
            raise InputError(
                f"{files[subject]}: found {len(names)} columns ({names[0]} to {names[-1]}), wanted the "
                f"{len(features)} of {files[people['subject'].iloc[0]].name} ({features[0]} to {features[-1]}). "
                "All files must hold the same components."
            )
        still = constant(one)
        moving = one[:, ~still] - one[:, ~still].mean(axis=0)
        lagged = (moving[1:] * moving[:-1]).sum(axis=0) / (moving**2).sum(axis=0)
        rows.append((subject, len(one), int(still.sum()), float(lagged.mean()) if len(lagged) else np.nan))
        series.append(one.astype(np.float32))
    logging.info("%s: read the time courses of %d people", folder, len(series))
    values, kept, constants = assemble(
        series, people["subject"].tolist(), features, options, options.get("repetition_time"), folder
    )
    time = values.shape[1]
    dataset = Dataset(
        name=name,
        values=values,
        people=people,
        features=kept,
        groups=tuple(options["groups"]),
        simulated=False,
        description=f"Time courses of {len(people)} people: {len(kept)} components, {time} volumes.",
    )
    qc = pd.DataFrame(rows, columns=["subject", "volumes", "constant_components", "lag_one_correlation"])
    return dataset, qc, pd.concat([outside, unmatched, constants], ignore_index=True)


def read_series(path: str | Path) -> tuple[np.ndarray, list[str]]:
    """Read one text file (gzip or not), with or without a header line that begins with #.

    Parameters
    ----------
    path : path

    Returns
    -------
    series : ndarray of float64, shape (time, components)
    names : list of str
        From the header (without its # marks), else 1, 2, ...; each as ``component-<name>``.

    Raises
    ------
    InputError
        A file that is empty, cut short, ragged, or holds something that is no finite number.
    """
    import gzip
    import zlib

    path = Path(path)
    wanted = "wanted a table of numbers, one row a volume and one column a component. Replace the file."
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8") as file:
            lines = file.read().splitlines()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numpy warns of an empty file; it is refused below
            series = np.loadtxt(lines, ndmin=2)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise InputError(f"{path}: the gzip file is damaged or cut short. Get it again.") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a text file, {wanted}") from None
    except ValueError as error:
        raise InputError(f"{path}: {str(error).split(';')[0]}; {wanted}") from None
    if series.size == 0:
        raise InputError(f"{path}: the file is empty, {wanted}")
    if not np.isfinite(series).all():
        row, column = np.argwhere(~np.isfinite(series))[0]
        raise InputError(f"{path}: volume {row + 1}, column {column + 1}: found {series[row, column]}, {wanted}")
    header = lines[0].replace("#", " ").split() if lines[0].startswith("#") else []
    components = series.shape[1]
    names = header if len(header) == components else [str(number + 1) for number in range(components)]
    return series, [f"component-{name}" for name in names]
