"""What is compared between trainings: measures of a spectrum, as means over epochs.

Losses of different tasks, and activations of different slopes, have different sizes, so claims rest on what has no
scale: each singular value's share of their sum, the normalised effective rank and the stable rank. The raw scale
stands apart.
"""

import dataclasses

import numpy as np

from autospec.statistics.curves import read_curves
from autospec.summaries import summarise

QUANTITIES = ("gradient", "activation", "adjoint")
RANKS = ("normalised_effective_rank", "stable_rank")
#: Parts of a network's depth, in which networks of different depth can be compared.
THIRDS = ("first third", "middle third", "last third")

_FLOOR = 1e-6
_TINY = 1e-30


@dataclasses.dataclass(frozen=True, order=True)
class Cell:
    """What a number was measured on and how; `index` is 0 where the measure is of the whole spectrum."""

    depth: int
    layer: str
    quantity: str
    scale: str
    measure: str
    index: int


def by_layer(path, indices):
    """Measure every layer of one run.

    Parameters
    ----------
    path : path of `spectra.parquet`
    indices : int
        How many leading singular values.

    Returns
    -------
    measures : dict of Cell to float
        Means over epochs. Scale `free`: `share` (s / sum s; of index 1 it is the top share) and ``RANKS``;
        scale `raw`: `log_singular_value`, floored at 1e-6 of the largest.
    sizes : dict of (layer, quantity) to int
        How many singular values there are: layers of another size are not the same layer.
    """
    measures, sizes = {}, {}
    for (quantity, layer, _), curve in read_curves(path, QUANTITIES, ["all"]).items():
        s = curve.singular_values
        summary = summarise(s)
        sizes[layer, quantity] = s.shape[1]
        # An epoch whose spectrum is zero has no shares; it has ranks of 0.
        total = s.sum(axis=1, keepdims=True)
        shares = np.divide(s, total, out=np.zeros_like(s), where=total > 0).mean(axis=0)
        logs = np.log(np.maximum(s, np.maximum(_FLOOR * s[:, :1], _TINY))).mean(axis=0)
        for k in range(min(indices, s.shape[1])):
            measures[Cell(curve.depth, layer, quantity, "free", "share", k + 1)] = shares[k]
            measures[Cell(curve.depth, layer, quantity, "raw", "log_singular_value", k + 1)] = logs[k]
        for measure in RANKS:
            measures[Cell(curve.depth, layer, quantity, "free", measure, 0)] = summary[measure].mean()
    return measures, sizes


def by_third(measures):
    """Bring the measures of a network's layers to thirds of its depth.

    Of L layers that have a quantity, layer i = 0, 1, ... covers the relative depths from i / L to
    (i + 1) / L; a third's value is the mean over the depths that it covers.

    Parameters
    ----------
    measures : dict of Cell to float
        As from `by_layer`.

    Returns
    -------
    dict of Cell to float
        `layer` is a name of ``THIRDS`` and `depth` its place; only indices that every layer has.
    """
    depths: dict[str, set] = {}
    grouped: dict[tuple, dict] = {}
    for cell, value in measures.items():
        place = (cell.depth, cell.layer)
        depths.setdefault(cell.quantity, set()).add(place)
        grouped.setdefault((cell.quantity, cell.scale, cell.measure, cell.index), {})[place] = value
    result = {}
    for (quantity, *rest), values in grouped.items():
        places = sorted(depths[quantity])
        if len(values) < len(places):
            continue
        edges = np.arange(len(places) + 1) / len(places)
        for third, name in enumerate(THIRDS):
            covered = np.clip(np.minimum(edges[1:], (third + 1) / 3) - np.maximum(edges[:-1], third / 3), 0, None)
            mean = covered @ [values[place] for place in places] / covered.sum()
            result[Cell(third, name, quantity, *rest)] = float(mean)
    return result
