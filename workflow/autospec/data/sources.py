"""From a data set's configuration to its reader."""

import importlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from autospec.data.dataset import Dataset, check_dataset
from autospec.errors import InputError

#: `source` in the configuration -> module of this package. Each has
#: ``read(name, options, path) -> (Dataset, quality, dropped)``.
MODULES = {
    "digits": "images",
    "mnist": "images",
    "sinusoid": "sinusoid",
    "freesurfer": "freesurfer",
    "freesurfer_tables": "freesurfer_tables",
    "fmri": "fmri",
    "timecourses": "timecourses",
    "timecourse_array": "timecourse_array",
}


def read(
    name: str, options: Mapping, path: str | Path | None, parts: Iterable[str | Path] = ()
) -> tuple[Dataset, pd.DataFrame, pd.DataFrame]:
    """Read a data set whatever its source; only the reader that is needed is imported.

    Parameters
    ----------
    name : str
        The data set's name in the configuration.
    options : mapping
        Its entry there.
    path : path or None
        The folder of its files, which is there; None for sources without files.
    parts : iterable of path
        What was taken of 4-d scans beforehand, in several jobs.

    Returns
    -------
    dataset : Dataset
        Checked by `check_dataset`.
    quality : DataFrame
        One row a subject: `subject` and the source's measures of quality.
    dropped : DataFrame
        What was left out: `kind` (subject or feature), `label`, `reason`.

    Raises
    ------
    InputError
        An unknown source, or anything that the reader refuses.
    """
    source = options.get("source")
    if source not in MODULES:
        raise InputError(f"datasets.{name}.source: found '{source}', wanted one of {', '.join(MODULES)}.")
    module = importlib.import_module(f"autospec.data.{MODULES[source]}")
    dataset, quality, dropped = module.read(name, options, path, *([parts] if parts else []))
    check_dataset(dataset, str(path) if path else f"datasets.{name}")
    return dataset, quality, dropped
