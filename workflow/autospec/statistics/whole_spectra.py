"""The swap test of summaries: of each layer's whole spectrum, where the cells of `swaps` are single singular values."""

import numpy as np
import pandas as pd

from autospec.statistics.labelings import read_labelings
from autospec.statistics.swaps import TINY, swap_test

STATISTIC = "summary_ratio"


def compare_summaries(records, alpha=0.05, correction="bh"):
    """Test the ratio of the two groups' summaries, layer by layer, over all finished seeds.

    The same swaps, ranks and corrections as the test of singular values, in a family of their own: what the claim
    about groups rests on is declared, and these stand beside it.

    Parameters
    ----------
    records : mapping of path to dict
        Run folder and its `run.json`, one for each seed.
    alpha, correction
        As in `autospec.statistics.swaps.swap_test`.

    Returns
    -------
    DataFrame
        One row a layer and summary (`nuclear_norm`, `frobenius_norm`, `top_share`, `effective_rank`,
        `stable_rank`, each of the mean spectrum of an epoch) that varies over labelings: the columns of the cells of
        `swap_test`, of which `estimate` is the mean over epochs and seeds of log other - log reference, and besides
        `p_layer`, of the largest |z| of the layer's summaries, `p_all` (min-p over the layers), how many
        `labelings` and `n_seeds`, and `family`. No rows where every seed diverged.
    """
    keys, total, count = [], 0.0, 0
    for folder, record in records.items():
        if record["status"] == "finished":
            labelings = read_labelings(folder / "labelings.parquet", record["groups"])
            found, x = _log_ratios(labelings)
            keys, total, count = found, total + x, count + 1
    x = total / count if count else np.zeros((1, 0))
    cells = pd.DataFrame(keys, columns=["statistic", "layer", "depth", "index", "summary"]).assign(log_effect=x[0])
    names = cells.set_index(["layer", "index"])["summary"]
    cells, layers, overall = swap_test(cells.drop(columns="summary"), x, alpha, correction)
    summaries = [names[layer, index] for layer, index in zip(cells["layer"], cells["index"], strict=True)]
    cells.insert(3, "summary", summaries)
    cells["p_layer"] = cells["layer"].map(layers.set_index("layer")["p"])
    cells["p_all"] = overall["p"]
    cells["labelings"], cells["n_seeds"] = len(x), count
    cells["family"] = f"{len(cells)} cells (layer and summary), corrected by {correction.upper()} at {alpha:g}"
    return cells.drop(columns="index")


def _log_ratios(labelings):
    """Keys, and values of shape (labelings, cells), of one seed."""
    keys, columns = [], []
    for layer, values in labelings.layers.items():
        for index, (name, (reference, other)) in enumerate(values.summaries.items(), start=1):
            with np.errstate(invalid="ignore"):  # a spectrum of zeros has no top share; the cell is dropped
                ratio = np.log(np.maximum(other, TINY)) - np.log(np.maximum(reference, TINY))
            columns.append(ratio.mean(axis=0))
            keys.append((STATISTIC, layer, values.depth, index, name))
    return keys, np.stack(columns, axis=1)
