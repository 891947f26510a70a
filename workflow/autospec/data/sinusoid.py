"""Synthetic sinusoids of two frequencies and two phases, in noise.

Four classes, equally often and in turn: slow-early, slow-late, fast-early and fast-late. A series
of `length` points is sin(2 pi (c t / length) + p) plus white noise of standard deviation `noise`;
slow series pass through c = 2 cycles and fast ones through c = 4, each times a factor drawn evenly
from 0.9 to 1.1; early series have the phase p = 0 and late ones lag by a quarter of a cycle,
p = -pi / 2, each plus a jitter drawn evenly from -pi / 8 to pi / 8.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from autospec.data.dataset import Dataset
from autospec.data.images import groups_of_classes
from autospec.data.participants import dropped_table

#: Class -> (cycles in a series, phase in radians).
CLASSES = {
    "slow-early": (2.0, 0.0),
    "slow-late": (2.0, -np.pi / 2),
    "fast-early": (4.0, 0.0),
    "fast-late": (4.0, -np.pi / 2),
}


def read(name: str, options: Mapping, path: str | Path | None) -> tuple[Dataset, pd.DataFrame, pd.DataFrame]:
    """Make the series; see the head of this file for what they are.

    Parameters
    ----------
    name : str
        The data set's name.
    options : mapping
        `series` (how many, over all four classes), `length` (points), `noise` (standard deviation),
        `seed`, `groups` (name -> classes; classes in no group are left out).
    path : None
        Unused: there are no files.

    Returns
    -------
    dataset : Dataset
        Values of shape (series, length, 1); an item's `target` is its class.
    qc : DataFrame
        `subject` and `standard_deviation`.
    dropped : DataFrame
        `kind`, `label`, `reason` for series of classes in no group.

    Raises
    ------
    InputError
        A class that does not exist or stands in both groups.
    """
    count = options.get("series", 240)
    values, targets = make_series(count, options.get("length", 60), options.get("noise", 0.1), options.get("seed", 0))
    subjects = pd.Series([f"series-{number:04d}" for number in range(1, count + 1)])
    groups = groups_of_classes(targets, options["groups"], f"datasets.{name}")
    inside = groups.notna().to_numpy()
    people = pd.DataFrame({"subject": subjects, "group": groups, "target": targets})[inside]
    people = people.reset_index(drop=True)
    dataset = Dataset(
        name=name,
        values=values[inside],
        people=people,
        features=["amplitude"],
        groups=tuple(options["groups"]),
        simulated=True,
        description=f"{len(people)} synthetic sinusoids of {values.shape[1]} points.",
    )
    spread = dataset.values[..., 0].std(axis=1)
    qc = pd.DataFrame({"subject": people["subject"], "standard_deviation": spread})
    return dataset, qc, dropped_table("subject", subjects[~inside], "the class belongs to no group")


def make_series(count: int, length: int, noise: float, seed: int) -> tuple[np.ndarray, pd.Series]:
    """Draw the series.

    Returns
    -------
    values : ndarray of float32, shape (count, length, 1)
    targets : Series of str
    """
    rng = np.random.default_rng(seed)
    targets = pd.Series(np.resize(list(CLASSES), count).astype(str), dtype=str)
    cycles, phase = np.array([CLASSES[target] for target in targets]).T[:, :, None]
    cycles = cycles * rng.uniform(0.9, 1.1, (count, 1))
    phase = phase + rng.uniform(-np.pi / 8, np.pi / 8, (count, 1))
    values = np.sin(2 * np.pi * cycles * np.arange(length) / length + phase)
    values += noise * rng.standard_normal((count, length))
    return values[..., None].astype(np.float32), targets
