"""Which of the paper's claims hold on this data, by rules that are fixed here.

The claims are those of Baker, Calhoun and Plis 2024 (arXiv 2406.11825). The level alpha is that of the tests.

C1 task: for each data set and model, held if a scale-free measure of the gradient spectra differs between
   auto-encoding and classification (q <= alpha over seeds); over all, held if it is held for two models.
C2 activation, C3 shape: not testable here, as no such comparison is made.
C4 groups: for each run, held if the swap test's p of the gradient spectra is <= alpha, and only where that p
   is exact (training did not use the labels); descriptive otherwise; over all, held if it is held for two
   models. The p of the groups' mean loss stands beside it as a yardstick and decides nothing.
C5 locality: for each exact run, not held if the gradient spectra as a whole do not reject (C4) or no layer does;
   otherwise the layers that reject (q <= alpha) are listed and the claim is descriptive, for "in this layer and
   not in that" needs a contrast of layers.
C6 generality: held if all of MLP, CNN, RNN, LSTM and BERT have finished runs; otherwise not testable here,
   with the count.
C7 cost: held if, in the median run, computing spectra took more than half of the time of training, labelings
   (which serve the test of groups alone) left out of both.

Statuses: held, not held, not testable here, descriptive.
"""

import numpy as np
import pandas as pd

from autospec.statistics.swaps import SPECTRAL

CLAIMS = {
    "C1": "Auto-encoding and classification give different gradient spectra",
    "C2": "ReLU, Sigmoid and Tanh give distinct spectra",
    "C3": "Wide and deep variants of a model give different spectra",
    "C4": "The groups differ in gradient spectra",
    "C5": "The group differences sit in particular layers",
    "C6": "The same procedure serves MLP, CNN, RNN, LSTM and BERT",
    "C7": "Computing spectra while training is costly",
}
MODELS = ("mlp", "cnn", "rnn", "lstm", "bert")

HELD, NOT_HELD, UNTESTABLE, DESCRIPTIVE = "held", "not held", "not testable here", "descriptive"

COLUMNS = [
    "claim", "title", "dataset", "model", "task", "comparison", "status", "statistic", "value", "p", "q",
    "effect", "where", "figure", "simulated", "note",
]  # fmt: skip

_SEVERAL = 2


def judge_claims(groups, tasks, alpha=0.05):
    """Judge the claims.

    Parameters
    ----------
    groups : sequence of (overall, layers)
        For each run of groups: `overall` (dict) and `layers` (DataFrame) of the swap test.
    tasks : sequence of DataFrame
        For each comparison of tasks: its cells.
    alpha : float

    Returns
    -------
    DataFrame
        One row a claim and what it was tested on (`all` where it is one judgement over everything):
        `claim`, `title`, `dataset`, `model`, `task`, `comparison`, `status`, `statistic`, `value`,
        `p`, `q`, `effect`, `where`, `figure` (path under the output folder), `simulated`, `note`.
    """
    rows = [_task(cells, alpha) for cells in tasks]
    rows.append(_several("C1", rows))
    for claim, what in (("C2", "activation functions"), ("C3", "shapes of a model")):
        rows.append(_row(claim, status=UNTESTABLE, note=f"no comparison of {what} was made"))
    by_run = [_groups(overall, layers, alpha) for overall, layers in groups]
    rows += [*by_run, _several("C4", by_run)]
    rows += [_layers(overall, layers, alpha) for overall, layers in groups if overall["exact"]]
    rows += [_generality(groups, tasks), _cost(groups)]
    return pd.DataFrame(rows, columns=COLUMNS).sort_values("claim", kind="stable", ignore_index=True)


def _row(claim, **values):
    return {"claim": claim, "title": CLAIMS[claim], "dataset": "all", "model": "all"} | values


def _task(cells, alpha):
    first = cells.iloc[0]
    row = _row(
        "C1",
        dataset=first["dataset"],
        model=first["model"],
        comparison="auto-encoding against classification",
        simulated=bool(first["simulated"]),
        figure=f"figures/tasks/data-{first['dataset']}_model-{first['model']}.pdf",
    )
    tested = cells[(cells["quantity"] == "gradient") & (cells["scale"] == "free") & cells["q"].notna()]
    if tested.empty:
        return row | {
            "status": UNTESTABLE,
            "note": f"{first['n_seeds']} finished seed(s); at least 2 are needed",
        }
    best = tested.loc[tested["t"].abs().idxmax()]
    count = int((tested["q"] <= alpha).sum())
    return row | {
        "status": HELD if count else NOT_HELD,
        "statistic": f"paired t, {best['measure'].replace('_', ' ')}",
        "value": best["t"],
        "p": best["p"],
        "q": best["q"],
        "effect": best["effect"],
        "where": f"{best['layer']}" + (f", index {best['index']}" if best["index"] else ""),
        "note": f"{count} of {len(tested)} scale-free cells at q <= {alpha:g}; effect is Hedges' g_z over seeds",
    }


def _groups(overall, layers, alpha):
    row = _row("C4", **_run(overall))
    p, of_loss = overall["spectra"]["p"], overall["statistics"]["group_loss"]["p"]
    if p is None:
        return row | {"status": UNTESTABLE, "note": "every cell of the spectra is constant over labelings"}
    spectral = layers[layers["statistic"].isin(SPECTRAL)]
    best = spectral.loc[spectral["p"].idxmin()]
    yardstick = "" if of_loss is None else f" Yardstick, the groups' mean loss: p = {of_loss:.3g}."
    return row | {
        "status": (HELD if p <= alpha else NOT_HELD) if overall["exact"] else DESCRIPTIVE,
        "statistic": "p of the gradient spectra (min-p over layers and their two statistics)",
        "p": p,
        "q": best["q"],
        "effect": best["effect"],
        "where": f"{best['layer']}, {best['statistic'].replace('_', ' ')}",
        "note": f"{overall['labelings']} labelings, {overall['seeds']} seed(s); q and effect are of the "
        f"strongest layer and statistic.{yardstick} {overall['caution']}",
    }


def _layers(overall, layers, alpha):
    row = _row("C5", **_run(overall))
    if overall["spectra"]["p"] is None:
        return row | {"status": UNTESTABLE, "note": "every cell of the spectra is constant over labelings"}
    of_layers = layers[layers["statistic"].isin(SPECTRAL) & layers["p"].notna()]
    rejecting = of_layers[of_layers["q"] <= alpha]
    best = of_layers.loc[of_layers["p"].idxmin()]
    names = list(dict.fromkeys(rejecting.sort_values("depth")["layer"]))
    as_a_whole = overall["spectra"]["p"] <= alpha
    hint = "" if as_a_whole else ", which are hints at most, as the spectra as a whole do not"
    return row | {
        "status": DESCRIPTIVE if names and as_a_whole else NOT_HELD,
        "statistic": "layer p (largest over indices)",
        "p": best["p"],
        "q": best["q"],
        "effect": best["effect"],
        "where": ", ".join(names) if as_a_whole else "",
        "note": f"{len(names)} of {of_layers['layer'].nunique()} layers reject at q <= {alpha:g}"
        f"{hint if names else ''}. Every layer tests the same null hypothesis: 'in this layer and not in that' "
        "needs a contrast, which is not made here.",
    }


def _run(overall):
    name = "_".join(
        f"{key}-{overall[field]}"
        for key, field in (("data", "dataset"), *((k, k) for k in ("model", "task", "activation", "shape")))
    )
    return {
        "dataset": overall["dataset"],
        "model": overall["model"],
        "task": overall["task"],
        "comparison": " against ".join(reversed(overall["groups"])),
        "simulated": overall["simulated"],
        "figure": f"figures/groups/{name}.pdf",
    }


def _several(claim, rows):
    judged = [row for row in rows if row["status"] in (HELD, NOT_HELD)]
    models = sorted({row["model"] for row in judged})
    held = sorted({row["model"] for row in judged if row["status"] == HELD})
    if len(models) < _SEVERAL:
        status = UNTESTABLE
    else:
        status = HELD if len(held) >= _SEVERAL else NOT_HELD
    return _row(
        claim,
        comparison="in several architectures",
        status=status,
        statistic="models in which it is held",
        value=len(held),
        where=", ".join(held),
        simulated=all(row["simulated"] for row in judged) if judged else None,
        note=f"{len(held)} of {len(models)} model(s) tested; {_SEVERAL} are wanted",
    )


def _generality(groups, tasks):
    run = {overall["model"] for overall, _ in groups} | {cells["model"].iloc[0] for cells in tasks}
    found = [model for model in MODELS if model in run]
    return _row(
        "C6",
        status=HELD if len(found) == len(MODELS) else UNTESTABLE,
        statistic="models with finished runs",
        value=len(found),
        where=", ".join(found),
        note=f"{len(found)} of {len(MODELS)} models were run",
    )


def _cost(groups):
    shares = [
        measured["spectra_seconds"] / (measured["wall_seconds"] - measured.get("labelings_seconds", 0.0))
        for overall, _ in groups
        for measured in overall["measured"]
        if measured.get("wall_seconds") and "spectra_seconds" in measured
    ]
    if not shares:
        return _row("C7", status=UNTESTABLE, note="no run says how long its spectra took")
    share = float(np.median(shares))
    return _row(
        "C7",
        status=HELD if share > 0.5 else NOT_HELD,
        statistic="share of the training time that spectra took",
        value=share,
        note=f"median of {len(shares)} trainings, from {min(shares):.0%} to {max(shares):.0%}; held above 50%",
    )
