"""When two groups differ: the swap test of every layer, index and epoch, corrected by the largest of all."""

import numpy as np
import pandas as pd

from autospec.statistics.labelings import read_labelings
from autospec.statistics.ranks import counts_at_least, monte_carlo_interval, standardise
from autospec.statistics.shared import shared_cells
from autospec.statistics.swaps import SPECTRAL, TINY, effect_interval, log_floored


def compare_epochs(records, alpha=0.05):
    """Test each cell of the map of layers, indices and epochs, over all finished seeds.

    Parameters
    ----------
    records : mapping of path to dict
        Run folder and its `run.json`, one for each seed.
    alpha : float

    Returns
    -------
    DataFrame
        One row a statistic (`spectral_ratio`, `gradient_difference`), layer, epoch and index (0 for the
        Frobenius norm) that varies over labelings: `estimate` (mean over seeds of the log of the groups' ratio, or
        of the difference), `effect` with its 95 % interval as in `swap_test`, `z` among the labelings, `p` by rank
        with its Monte-Carlo interval, `p_layer`, of the largest |z| over the indices of that statistic, layer and
        epoch (the same in its rows, and not corrected for the number of layers and epochs), and `p_map`, which stands
        in the place of a q: how often the largest |z| of the statistic's whole map reaches this cell's, which holds
        the chance of any false cell at alpha (Westfall and Young 1993); `significant` where p_map <= alpha; how many
        `labelings` and `n_seeds`; `family`, in words. For a network that used the labels these are ranks and no
        p-values. No rows where every seed diverged.
    """
    finished = [(folder, record) for folder, record in records.items() if record["status"] == "finished"]
    keys, x = [], np.zeros((1, 0))
    if finished:
        labelings = [read_labelings(folder / "labelings.parquet", record["groups"]) for folder, record in finished]
        seeds = [_by_epoch(of_seed) for of_seed in labelings]
        keys, places = shared_cells([of_seed for of_seed, _ in seeds])
        x = sum(values[:, place] for (_, values), place in zip(seeds, places, strict=True)) / len(seeds)
    table = pd.DataFrame(keys, columns=["statistic", "layer", "depth", "epoch", "index"])
    z, usable = standardise(x)
    one_sided = (table["statistic"] == "gradient_difference").to_numpy()
    comparison = np.where(one_sided, z, np.abs(z))
    count = counts_at_least(comparison)[0]
    low, high = monte_carlo_interval(count, len(x))
    table = table.assign(estimate=x[0], z=z[0], p=count / len(x), p_low=low, p_high=high, p_map=np.nan)
    log_effect = x[0] - np.where(one_sided, x.mean(axis=0), 0.0)
    table["effect"] = np.exp(log_effect)
    table["effect_low"], table["effect_high"] = effect_interval(x, log_effect)
    table["p_layer"] = np.nan
    for cell in table.groupby(["statistic", "layer", "epoch"], sort=False).indices.values():
        members = cell[usable[cell]]
        if len(members):
            table.loc[members, "p_layer"] = counts_at_least(comparison[:, members].max(axis=1))[0] / len(x)
    table["labelings"], table["n_seeds"] = len(x), len(finished)
    table["family"] = ""
    for statistic in SPECTRAL:
        members = np.flatnonzero((table["statistic"] == statistic) & usable)
        if len(members):
            largest = np.round(comparison[:, members].max(axis=1), 6)
            reached = largest[:, None] >= np.round(comparison[0, members], 6)
            table.loc[members, "p_map"] = reached.mean(axis=0)
            table.loc[members, "family"] = (
                f"{len(members)} cells (layer, index and epoch), by the largest of them under {len(x)} labelings at "
                f"{alpha:g}"
            )
    table["significant"] = table["p_map"] <= alpha
    return table[usable].reset_index(drop=True)


def _by_epoch(labelings):
    """Keys, and values of shape (labelings, cells), of one seed."""
    keys, columns = [], []
    for layer, values in labelings.layers.items():
        common = min(values.reference.shape[-1], values.other.shape[-1])
        ratio = log_floored(values.other[..., :common]) - log_floored(values.reference[..., :common])
        norm = np.log(np.maximum(values.frobenius, TINY))[..., None]
        difference = np.concatenate([norm, log_floored(values.difference)], axis=-1)
        for statistic, of_epochs, first in (("spectral_ratio", ratio, 1), ("gradient_difference", difference, 0)):
            for epoch, of_epoch in zip(labelings.epochs, of_epochs, strict=True):
                columns.append(of_epoch)
                indices = range(first, first + of_epoch.shape[-1])
                keys += [(statistic, layer, values.depth, int(epoch), k) for k in indices]
    return keys, np.concatenate(columns, axis=1)
