"""Curves over epochs from `spectra.parquet`."""

import dataclasses

import numpy as np

from autospec.errors import InputError
from autospec.tables import read_parquet


@dataclasses.dataclass(frozen=True)
class Curve:
    """One layer's singular values over epochs.

    Attributes
    ----------
    depth : int
    epochs : ndarray, shape (epochs,)
    singular_values : ndarray, shape (epochs, r)
    """

    depth: int
    epochs: np.ndarray
    singular_values: np.ndarray


def read_curves(path, quantities, groups):
    """Read curves of one run.

    Parameters
    ----------
    path : path of `spectra.parquet`
    quantities, groups : collection of str
        What to keep.

    Returns
    -------
    dict of (quantity, layer, group) to Curve
        In order of depth.

    Raises
    ------
    InputError
        If nothing is left.
    """
    columns = ["epoch", "layer", "depth", "quantity", "group", "singular_values"]
    frame = read_parquet(path, columns).to_pandas()
    frame = frame[frame["quantity"].isin(quantities) & frame["group"].isin(groups)].sort_values(["depth", "epoch"])
    curves = {}
    for key, rows in frame.groupby(["quantity", "layer", "group"], sort=False, observed=True):
        length = rows["singular_values"].map(len).min()
        values = np.array([row[:length] for row in rows["singular_values"]], dtype=np.float64)
        curves[key] = Curve(int(rows["depth"].iloc[0]), rows["epoch"].to_numpy(), values)
    if not curves:
        raise InputError(
            f"{path}: found no {' or '.join(quantities)} of {' or '.join(groups)}. Delete it and run again."
        )
    return curves
