"""How stable a difference is over trainings. Never evidence about groups.

Repeated trainings see the same people, so a test across seeds finds every accident of who is in
which group: with labels shuffled at random it calls 0 to 100 % of the cells significant.
"""

import numpy as np
import pandas as pd

from autospec.statistics.conditions import FEW
from autospec.statistics.curves import read_curves
from autospec.statistics.effects import paired_t
from autospec.statistics.multiplicity import adjust
from autospec.statistics.shared import shared_cells
from autospec.summaries import area

COLUMNS = [
    "layer", "depth", "index", "mean_reference", "mean_other", "difference", "t", "p", "q", "t_corrected",
    "p_corrected", "q_corrected", "effect", "effect_low", "effect_high", "n_seeds", "few_seeds",
    "stable", "family",
]  # fmt: skip


def stability_over_trainings(records, indices=10, alpha=0.05, correction="bh"):
    """Compare the two groups' gradient spectra across seeds.

    Parameters
    ----------
    records : mapping of path to dict
        Run folder and its `run.json`, one for each seed; diverged seeds are left out.
    indices : int
        How many leading singular values.
    alpha, correction
        Level and correction of the q-values over all rows.

    Returns
    -------
    DataFrame
        One row a layer and index: areas under the curve of s_k over epochs (`mean_reference`,
        `mean_other`, `difference`, means over seeds); `t`, `p`, `q` of the paired t test over
        seeds; `t_corrected`, `p_corrected`, `q_corrected` with the variance of Nadeau and Bengio,
        times 1/J + n_test/n_train; Hedges' g_z (`effect`, `effect_low`, `effect_high`); `n_seeds`, and
        whether they are few (`few_seeds`); `stable` where q_corrected <= alpha; `family`, in words, that q and
        q_corrected belong to. No rows where every seed diverged.
    """
    finished = {folder: record for folder, record in records.items() if record["status"] == "finished"}
    if not finished:
        return pd.DataFrame(columns=COLUMNS)
    rows, seen = [], []
    for folder, record in finished.items():
        reference_name, other_name = record["groups"]
        curves = read_curves(folder / "spectra.parquet", ["gradient"], record["groups"])
        layers = [layer for _, layer, group in curves if group == reference_name]
        keys, areas = [], []
        for layer in layers:
            pair = [curves["gradient", layer, group] for group in (reference_name, other_name)]
            count = min(indices, *(curve.singular_values.shape[1] for curve in pair))
            areas.append(np.array([area(curve.singular_values[:, :count], curve.epochs) for curve in pair]))
            keys += [(layer, pair[0].depth, k + 1) for k in range(count)]
        rows.append(keys)
        seen.append(np.concatenate(areas, axis=1))
    shared, places = shared_cells(rows)
    seen = np.array([areas[:, place] for areas, place in zip(seen, places, strict=True)])
    differences = seen[:, 1] - seen[:, 0]
    seeds = len(finished)
    counts = next(iter(finished.values()))["n"]
    overlap = sum(counts["test"].values()) / sum(counts["train"].values())

    table = pd.DataFrame(shared, columns=["layer", "depth", "index"])
    table["mean_reference"], table["mean_other"] = seen.mean(axis=0)
    table["difference"] = differences.mean(axis=0)
    plain, corrected = paired_t(differences), paired_t(differences, 1 / seeds + overlap)
    table["t"], table["p"], table["q"] = plain["t"], plain["p"], adjust(plain["p"], correction)
    table["t_corrected"], table["p_corrected"] = corrected["t"], corrected["p"]
    table["q_corrected"] = adjust(corrected["p"], correction)
    table[["effect", "effect_low", "effect_high"]] = plain[["effect", "effect_low", "effect_high"]]
    table["n_seeds"], table["few_seeds"] = seeds, seeds < FEW
    table["stable"] = table["q_corrected"] <= alpha
    count = int(table["p_corrected"].notna().sum())
    table["family"] = f"{count} cells (layer and index), corrected by {correction.upper()} at {alpha:g}"
    return table[COLUMNS]
