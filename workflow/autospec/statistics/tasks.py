"""Auto-encoding against classification: a property of trainings, so seeds are the unit."""

import logging

import numpy as np
import pandas as pd

from autospec.errors import InputError
from autospec.statistics.curves import read_curves
from autospec.statistics.effects import paired_t
from autospec.statistics.multiplicity import adjust
from autospec.summaries import summarise

QUANTITIES = ("gradient", "activation", "adjoint")

_FLOOR = 1e-6
_TINY = 1e-30


def compare_tasks(autoencoding, classification, indices=10, alpha=0.05, correction="bh"):
    """Compare the spectra of two tasks of one model on one data set, paired by seed.

    Losses of different tasks have different sizes, so the claim rests on what has no scale: each
    singular value's share of their sum, the normalised effective rank and the stable rank. The
    raw scale stands apart.

    Parameters
    ----------
    autoencoding, classification : mapping of path to dict
        Run folder and its `run.json`, one for each seed. Seeds that finished in both are used.
    indices : int
        How many leading singular values.
    alpha, correction
        Level and correction. The family is all rows of one quantity and one scale.

    Returns
    -------
    DataFrame
        One row a layer that both tasks have, quantity, measure and index: `dataset`, `model`,
        `simulated`; `scale` (free or raw); `measure` (`share`, whose index 1 is the top share,
        `normalised_effective_rank`, `stable_rank`; raw: `log_singular_value`), each the mean over
        epochs; means over seeds of both tasks; `difference` (classification minus auto-encoding);
        paired `t`, `p`, `q`; Hedges' g_z with its 95 % interval; `n_seeds`; `significant`; `family`,
        in words, that q belongs to.

    Raises
    ------
    InputError
        No seed finished in both tasks, or the tasks share no layer.
    """
    by_seed = [
        {record["seed"]: (folder, record) for folder, record in records.items() if record["status"] == "finished"}
        for records in (autoencoding, classification)
    ]
    seeds = sorted(set(by_seed[0]) & set(by_seed[1]))
    if not seeds:
        raise InputError(
            f"{next(iter(autoencoding))}: no seed finished in both tasks, wanted at least one (two for a test). "
            "Lower `learning_rate` of this model in the configuration."
        )
    measured = [[_measures(side[seed][0] / "spectra.parquet", indices) for seed in seeds] for side in by_seed]
    shared = [key for key in measured[0][0] if all(key in run for side in measured for run in side)]
    left_out = sorted({key[0] for side in measured for run in side for key in run} - {key[0] for key in shared})
    if left_out:
        logging.info("layers that only one task has are left out: %s", ", ".join(left_out))
    if not shared:
        raise InputError(
            f"{next(iter(autoencoding))}: the two tasks share no layer of the same name and size. "
            "Delete the runs of both tasks and train again."
        )
    first, second = (np.array([[run[key] for key in shared] for run in side]) for side in measured)

    record = by_seed[0][seeds[0]][1]
    table = pd.DataFrame(shared, columns=["layer", "depth", "quantity", "scale", "measure", "index", "size"])
    table = table.drop(columns="size")
    for position, name in enumerate(("dataset", "model", "simulated")):
        table.insert(position, name, record[name])
    table["autoencoding_mean"], table["classification_mean"] = first.mean(axis=0), second.mean(axis=0)
    table["difference"] = table["classification_mean"] - table["autoencoding_mean"]
    tests = paired_t(second - first)
    table["t"], table["p"] = tests["t"], tests["p"]
    families = table.groupby(["quantity", "scale"])["p"]
    table["q"] = families.transform(lambda p: pd.Series(adjust(p, correction), index=p.index))
    table[["effect", "effect_low", "effect_high"]] = tests[["effect", "effect_low", "effect_high"]]
    table["n_seeds"] = len(seeds)
    table["significant"] = table["q"] <= alpha
    table["family"] = [
        f"{count} {'scale-free' if scale == 'free' else 'raw'} cells (layer, measure and index) of the "
        f"{quantity} spectra, corrected by {correction.upper()} at {alpha:g}"
        for quantity, scale, count in zip(
            table["quantity"], table["scale"], families.transform("count"), strict=True
        )
    ]
    return table


def _measures(path, indices):
    """Means over epochs, by (layer, depth, quantity, scale, measure, index, number of singular values)."""
    result = {}
    for (quantity, layer, _), curve in read_curves(path, QUANTITIES, ["all"]).items():
        s = curve.singular_values
        summary = summarise(s)
        key, size = (layer, curve.depth, quantity), s.shape[1]
        # An epoch whose spectrum is zero has no shares; it has ranks of 0.
        total = s.sum(axis=1, keepdims=True)
        shares = np.divide(s, total, out=np.zeros_like(s), where=total > 0).mean(axis=0)
        logs = np.log(np.maximum(s, np.maximum(_FLOOR * s[:, :1], _TINY))).mean(axis=0)
        for k in range(min(indices, size)):
            result[*key, "free", "share", k + 1, size] = shares[k]
            result[*key, "raw", "log_singular_value", k + 1, size] = logs[k]
        for measure in ("normalised_effective_rank", "stable_rank"):
            result[*key, "free", measure, 0, size] = summary[measure].mean()
    return result
