"""The test of groups: swaps of labels within matched pairs.

The truth is compared with relabellings of the same trained network, so p holds for any network and
any number of seeds, provided training did not use the labels.
"""

import logging

import numpy as np
import pandas as pd

from autospec.errors import InputError
from autospec.statistics.labelings import read_labelings
from autospec.statistics.multiplicity import adjust
from autospec.statistics.ranks import counts_at_least, monte_carlo_interval, standardise
from autospec.statistics.shared import shared_cells

#: The statistics of the gradient spectra, which the claim about groups rests on.
SPECTRAL = ("spectral_ratio", "gradient_difference")
#: The groups' mean loss stands beside them: a network may fit one group worse with the same spectra.
YARDSTICK = "group_loss"
STATISTICS = (*SPECTRAL, YARDSTICK)

_FLOOR = 1e-6
TINY = 1e-30

_KEY = ["statistic", "layer", "depth", "index"]


def cell_values(labelings):
    """The three statistics of one seed under every labeling.

    Parameters
    ----------
    labelings : Labelings

    Returns
    -------
    cells : DataFrame
        `statistic`, `layer`, `depth`, `index` (from 1; 0 for the Frobenius norm and for the
        loss) and `log_effect`, whose exponential is a ratio: of the two groups' singular values, of the
        difference under the truth to its typical value under relabelling, of the two losses.
    x : ndarray, shape (labelings, cells)
        Means over epochs: of log s_other - log s_reference; of log s_difference; of loss_other -
        loss_reference. Singular values are floored at 1e-6 of the largest.
    """
    keys, columns, log_effects = [], [], []
    for layer, values in labelings.layers.items():
        common = min(values.reference.shape[-1], values.other.shape[-1])
        ratio = log_floored(values.other[..., :common]) - log_floored(values.reference[..., :common])
        ratio = ratio.mean(axis=0)
        norm = np.log(np.maximum(values.frobenius, TINY))[..., None]
        difference = np.concatenate([norm, log_floored(values.difference)], axis=-1).mean(axis=0)
        columns += [ratio, difference]
        log_effects += [ratio[0], difference[0] - difference.mean(axis=0)]
        keys += [("spectral_ratio", layer, values.depth, k + 1) for k in range(common)]
        keys += [("gradient_difference", layer, values.depth, k) for k in range(difference.shape[-1])]
    columns.append((labelings.loss_other - labelings.loss_reference).mean(axis=0)[:, None])
    means = [np.maximum(loss[:, 0].mean(), TINY) for loss in (labelings.loss_other, labelings.loss_reference)]
    log_effects.append(np.log(means[:1]) - np.log(means[1:]))
    keys.append((YARDSTICK, "", -1, 0))
    cells = pd.DataFrame(keys, columns=_KEY)
    cells["log_effect"] = np.concatenate(log_effects)
    return cells, np.concatenate(columns, axis=1)


def swap_test(cells, x, alpha=0.05, correction="bh"):
    """Test every cell, every layer and everything together.

    Parameters
    ----------
    cells : DataFrame
        As from `cell_values`, means over seeds.
    x : ndarray, shape (labelings, cells)
        Row 0 is the truth.
    alpha : float
    correction : {"bh", "by", "holm"}

    Returns
    -------
    cells : DataFrame
        One row a usable cell, with `estimate`, `effect` (a ratio, see `cell_values`), `z`, `p` by
        rank with its Monte-Carlo interval, `q` over all cells but the group loss, which is a yardstick with a p and
        no q (NaN), `significant`,
        `p_within_layer`: how often the layer's largest |z| reaches this cell's, `null_low` and
        `null_high`, between which the middle 95 % of the labelings have their estimate, and the 95 % interval of the
        effect, `effect_low` to `effect_high`: the effects by which the other group's values could be multiplied for
        the truth to lie in that middle (the test turned round, for an effect that shifts and does not spread).
    layers : DataFrame
        One row a statistic and layer: `cells`, how many were `dropped` (constant over labelings or
        not finite, for all labelings alike), p of the largest |z| over indices, q over these rows but the group
        loss's. Of the index with the largest |z|, `strongest_index`, its `z` and its `effect` with the interval, which
        tells nothing of the choice of that index. p is NaN where no cell is usable.
    overall : dict
        Each p is that of the smallest layer p (min-p), ranked among the smallest layer p of every
        labeling, ties by the next smallest: under `statistics` of each statistic, under `spectra` of
        the statistics of the gradient spectra together (the loss left out), and of all. None where
        nothing could be tested.
    """
    labelings = len(x)
    z, usable = standardise(x)
    # A larger difference of gradients tells against the null hypothesis, a smaller one does not.
    comparison = np.where((cells["statistic"] == "gradient_difference").to_numpy(), z, np.abs(z))

    count = counts_at_least(comparison)[0]
    low, high = monte_carlo_interval(count, labelings)
    log_effect = cells["log_effect"].to_numpy(dtype=float)
    tested = cells.drop(columns="log_effect").assign(
        estimate=x[0], effect=np.exp(cells["log_effect"]), z=z[0], p=count / labelings, p_low=low, p_high=high
    )

    tested["p_within_layer"] = np.nan
    tested["null_low"], tested["null_high"] = np.quantile(x, [0.025, 0.975], axis=0)
    # A difference of losses is brought to the logarithm of their ratio by the factor between the two.
    factor = np.where(x[0] == 0, np.nan, log_effect / np.where(x[0] == 0, 1.0, x[0]))
    factor = np.where(cells["statistic"] == YARDSTICK, factor, 1.0)
    tested["effect_low"], tested["effect_high"] = effect_interval(x, log_effect, factor)

    family, rows, within = [], [], np.full(len(cells), np.nan)
    for (statistic, layer, depth), members in cells.groupby(
        ["statistic", "layer", "depth"], sort=False
    ).indices.items():
        kept = members[usable[members]]
        row = {"statistic": statistic, "layer": layer, "depth": depth}
        row |= {"cells": len(kept), "dropped": len(members) - len(kept)}
        if len(kept):
            maximum = comparison[:, kept].max(axis=1)
            layer_count = counts_at_least(maximum)
            family.append(layer_count)
            reached = np.round(maximum, 6)[:, None] >= np.round(comparison[0, kept], 6)
            within[kept] = reached.mean(axis=0)
            strongest = kept[np.argmax(comparison[0, kept])]
            row |= _p(layer_count, labelings)
            row |= {"strongest_index": cells["index"].iloc[strongest]}
            row |= {name: tested[name].iloc[strongest] for name in ("z", "effect", "effect_low", "effect_high")}
        rows.append(row)
    names = ["p", "p_low", "p_high", "strongest_index", "z", "effect", "effect_low", "effect_high"]
    layers = pd.DataFrame(rows).reindex(columns=["statistic", "layer", "depth", "cells", "dropped", *names])
    layers.insert(8, "q", _adjust_all_but_the_yardstick(layers, correction))

    tested["p_within_layer"] = within
    tested = tested[usable].reset_index(drop=True)
    tested.insert(10, "q", _adjust_all_but_the_yardstick(tested, correction))
    tested.insert(11, "significant", tested["q"] <= alpha)

    counts = np.array(family).reshape(-1, labelings)
    of_family = layers.loc[layers["p"].notna(), "statistic"].to_numpy()
    by_statistic = {name: _min_p(counts[of_family == name], labelings) for name in STATISTICS}
    spectra = _min_p(counts[np.isin(of_family, SPECTRAL)], labelings)
    overall = {"statistics": by_statistic, "spectra": spectra, **_min_p(counts, labelings)}
    return tested, layers, overall


def effect_interval(x, log_effect, factor=1.0):
    """The 95 % interval of an effect, by the test turned round.

    Parameters
    ----------
    x : ndarray, shape (labelings, cells)
    log_effect : ndarray, shape (cells,)
        Of the truth.
    factor : float or ndarray, shape (cells,)
        From the scale of `x` to that of `log_effect`.

    Returns
    -------
    low, high : ndarray, shape (cells,)
        The effects by which the other group's values could be multiplied for the truth to lie in the middle 95 % of
        the labelings, for an effect that shifts and does not spread.
    """
    ends = np.quantile(x, [0.975, 0.025], axis=0) - x.mean(axis=0)
    with np.errstate(over="ignore"):
        return np.exp(np.asarray(log_effect, dtype=float) - factor * ends)


def compare_groups(records, alpha=0.05, correction="bh"):
    """The swap test of one configuration's runs, over all finished seeds.

    Parameters
    ----------
    records : mapping of path to dict
        Run folder and its `run.json`, one for each seed.
    alpha, correction
        As in `swap_test`.

    Returns
    -------
    cells, layers : DataFrame
        As from `swap_test`, with how many `labelings` and `n_seeds`.
    overall : dict
        As from `swap_test`, with the run's identity, how many labelings and seeds, how many seeds
        diverged and were left out, whether the p-values are exact, and the caution to print.
        Where every seed diverged the tables have no rows, `seeds` is 0 and no p is given.

    Raises
    ------
    InputError
        The seeds have different numbers of labelings, or no layer in common.
    """
    finished = {folder: record for folder, record in records.items() if record["status"] == "finished"}
    first = next(iter(records.values()))
    if not finished:
        logging.warning("%s: all %d seed(s) diverged, so nothing is tested", next(iter(records)), len(records))
    cells, x = _mean_over_seeds(finished) if finished else _no_cells()
    cells, layers, overall = swap_test(cells, x, alpha, correction)

    for table in (cells, layers):
        table["labelings"], table["n_seeds"] = len(x), len(finished)
    exact = not first["labels_used"]
    members = int(layers["q"].notna().sum())
    dropped = int(layers["dropped"].sum())
    unlearned = sum(not record["learned"] for record in finished.values())
    if dropped:
        logging.info("%d cells are constant over labelings and are dropped for all labelings alike", dropped)
    return (
        cells,
        layers,
        overall
        | {
            **{name: first[name] for name in ("dataset", "model", "task", "activation", "shape")},
            "groups": list(first["groups"]),
            "simulated": first["simulated"],
            "labelings": len(x),
            "smallest_p": 1 / len(x),
            "seeds": len(finished),
            "status_counts": {"finished": len(finished), "diverged": len(records) - len(finished)},
            "dropped_cells": dropped,
            "alpha": alpha,
            "correction": correction,
            "exact": exact,
            "unlearned": unlearned,
            "caution": (_CAUTION if exact else _DESCRIPTIVE) + learned_nothing(unlearned, len(finished)),
            "family": f"{cells['q'].count()} cells (statistic, layer and index) of the gradient spectra of this run, "
            f"corrected by {correction.upper()}; their {members} layers and statistics, for the layers' q and the p "
            "of the whole (min-p over the same swaps)",
        },
    )


def learned_nothing(count, trainings):
    """Say, after what else is said, that trainings learned nothing; nothing if none did."""
    if not count:
        return ""
    return f" {count} of {trainings} trainings learned nothing: their spectra are those of networks that only guess."


def why_untested(overall):
    """Say why a run's groups could not be tested.

    Parameters
    ----------
    overall : mapping
        As from `compare_groups`, with no p of the spectra.
    """
    if not overall["seeds"]:
        return (
            f"Nothing could be tested: all {overall['status_counts']['diverged']} trainings diverged. Lower "
            "`learning_rate` of this model in the configuration and run again."
        )
    return "Nothing could be tested: every cell of the spectra is the same under every labeling."


def _no_cells():
    return pd.DataFrame(columns=[*_KEY, "log_effect"]), np.zeros((1, 0))


def _mean_over_seeds(finished):
    seeds = {
        folder: cell_values(read_labelings(folder / "labelings.parquet", record["groups"]))
        for folder, record in finished.items()
    }
    keys = [list(cells[_KEY].itertuples(index=False, name=None)) for cells, _ in seeds.values()]
    shared, places = shared_cells(keys)
    first, (_, x) = next(iter(seeds.items()))
    for folder, (_, other) in seeds.items():
        if len(other) != len(x) or not any(layer for _, layer, *_ in shared):
            raise InputError(
                f"{folder}/labelings.parquet: found {len(other)} labelings, wanted the {len(x)} of "
                f"{first}, and layers that all seeds have. Delete the runs and train again."
            )
    taken = [(cells.iloc[place], x[:, place]) for (cells, x), place in zip(seeds.values(), places, strict=True)]
    cells = taken[0][0].reset_index(drop=True)
    cells["log_effect"] = np.mean([cells["log_effect"].to_numpy() for cells, _ in taken], axis=0)
    return cells, sum(x for _, x in taken) / len(taken)


_CAUTION = (
    "Exact if, within a pair, the two people's data are exchangeable given the matching variables; unmeasured "
    "confounds remain. The inference is about these people and this pairing. Every layer tests the same null "
    "hypothesis: 'seen at this layer' does not mean 'not at another', which needs a contrast."
)
_DESCRIPTIVE = (
    "Descriptive only: the labels were used in training, so a relabelling would have trained another network. "
    "These ranks are no p-values of a test of groups."
)


def _adjust_all_but_the_yardstick(table, correction):
    """q, which the loss has no part in: what it does must not move what is said of the spectra."""
    return adjust(table["p"].where(table["statistic"] != YARDSTICK), correction)


def log_floored(singular_values):
    """Logarithms of singular values (last axis), floored at 1e-6 of the largest."""
    floor = np.maximum(_FLOOR * singular_values[..., :1], TINY)
    return np.log(np.maximum(singular_values, floor))


def _p(counts, labelings):
    low, high = monte_carlo_interval(counts[0], labelings)
    return {"p": counts[0] / labelings, "p_low": float(low), "p_high": float(high)}


def _min_p(counts, labelings):
    """min-p over a family; counts has shape (members, labelings).

    With P labelings many share the smallest possible p, 1 / P. Ties are broken by the next smallest
    p, and so on: an order that treats all labelings alike, so the rank stays exact.
    """
    if not len(counts):
        return {"p": None, "p_low": None, "p_high": None}
    _, place = np.unique(np.sort(counts, axis=0).T, axis=0, return_inverse=True)
    return _p(counts_at_least(-place.astype(float)), labelings)
