"""Which of the paper's claims hold on this data, by rules that are fixed here.

The claims are those of Baker, Calhoun and Plis 2024 (arXiv 2406.11825). The level alpha is that of the tests.

C1 task, C2 activation, C3 shape: for each comparison, held if every pair of conditions that the claim names
   (auto-encoding and classification; each two of ReLU, sigmoid and tanh; wide and deep, which have as many
   parameters as each other) differs significantly in a scale-free measure of the gradient spectra of some layer
   or third of the depth: q <= alpha over seeds, and where three conditions are compared, also in the test of all
   of them. Not testable where a condition is missing or fewer than three seeds finished in all conditions, since
   there is no effect with an interval then.
C4 groups: for each run, held if the swap test's p of the gradient spectra is <= alpha, and only where that p
   is exact (training did not use the labels); descriptive otherwise. The p of the groups' mean loss and of the
   inputs stand beside it as yardsticks and decide nothing.
C1 to C4 over all: held if two models show it, by a p that counts runs and models (see `several`); real data are
   judged apart from simulated.
C5 locality: for each exact run, not held if the gradient spectra as a whole do not reject (C4) or no layer does;
   otherwise the layers that reject (q <= alpha) are listed and the claim is descriptive, for "in this layer and
   not in that" needs a contrast of layers. Not testable where no run is exact.
C6 generality: for each model, held if a training on real data finished, with its spectra; held on simulated data
   only if none but such; not held if all diverged; not testable where there is none. Over all, the same for all of
   MLP, CNN, RNN, LSTM and BERT, not held if it is not for one, otherwise not testable here.
C7 cost: for each model, and over all trainings, held if in the median training computing spectra took more than
   half of the time, labelings (which serve the test of groups alone) left out of both.

Statuses: held, held on simulated data only (of judgements over several data sets), not held, not testable here,
descriptive.
"""

import itertools

import numpy as np
import pandas as pd

from autospec.statistics.conditions import FIELDS
from autospec.statistics.several import DESCRIPTIVE, HELD, HELD_ON_SIMULATED, NOT_HELD, UNTESTABLE, judge_over_models
from autospec.statistics.swaps import SPECTRAL, learned_nothing, why_untested
from autospec.statistics.yardsticks import say_inputs
from autospec.text import counted

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
#: The claim about what is compared, and the conditions that all have to differ.
ABOUT = {
    "task": ("C1", ("autoencoding", "classification")),
    "activation": ("C2", ("relu", "sigmoid", "tanh")),
    "shape": ("C3", ("wide", "deep")),
}
FOLDERS = {"task": "tasks", "activation": "activations", "shape": "shapes"}

COLUMNS = [
    "claim", "title", "dataset", "model", "task", "comparison", "status", "statistic", "value", "p", "p_low", "p_high",
    "q", "effect", "effect_low", "effect_high", "n", "n_of", "where", "figure", "simulated", "note",
]  # fmt: skip

_EFFECT = ("effect", "effect_low", "effect_high")


def judge_claims(groups, conditions, records, alpha=0.05):
    """Judge the claims.

    Parameters
    ----------
    groups : sequence of (overall, layers)
        For each run of groups: `overall` (dict) and `layers` (DataFrame) of the swap test.
    conditions : sequence of (overall, cells)
        For each comparison of tasks, activations or shapes: `overall` (dict) and `cells` (DataFrame).
    records : sequence of dict
        The `run.json` of every training.
    alpha : float

    Returns
    -------
    DataFrame
        One row a claim and what it was tested on (`all` where it is one judgement over everything):
        `claim`, `title`, `dataset`, `model`, `task`, `comparison`, `status`, `statistic`, `value`, `p` (by
        rank with its Monte-Carlo interval, `p_low` to `p_high`), `q`, `effect` with its 95 % interval,
        `effect_low` to `effect_high`, how many (`n`) of what (`n_of`: pairs, seeds, trainings or models), `where`,
        `figure` (path under the output folder), `simulated`, `note`.
    """
    rows = []
    for compared, (claim, _) in ABOUT.items():
        judged = [_condition(overall, cells, alpha) for overall, cells in conditions if overall["compared"] == compared]
        rows += [*judged, _several(claim, judged, alpha, f"figures/across/{FOLDERS[compared]}.pdf" if judged else None)]
    by_run = [_groups(overall, layers, alpha) for overall, layers in groups]
    rows += [*by_run, _several("C4", by_run, alpha)]
    exact = [_layers(overall, layers, alpha) for overall, layers in groups if overall["exact"]]
    rows += exact or [_row("C5", status=UNTESTABLE, note="no network was tested that had not used the groups' labels")]
    rows += [*_generality(records), *_cost(records)]
    return pd.DataFrame(rows, columns=COLUMNS).sort_values("claim", kind="stable", ignore_index=True)


def _row(claim, **values):
    return {"claim": claim, "title": CLAIMS[claim], "dataset": "all", "model": "all"} | values


def _condition(overall, cells, alpha):
    compared = overall["compared"]
    claim, wanted = ABOUT[compared]
    fields = [field for field in FIELDS if field != compared]
    name = "_".join(f"{'data' if field == 'dataset' else field}-{overall[field]}" for field in fields)
    row = _row(
        claim,
        dataset=overall["dataset"],
        model=overall["model"],
        task=overall["task"],
        comparison=" against ".join(wanted),
        simulated=overall["simulated"],
        figure=f"figures/{FOLDERS[compared]}/{name}.pdf",
    )
    tested = cells[(cells["quantity"] == "gradient") & (cells["scale"] == "free") & cells["q"].notna()]
    pairs = {}
    for pair in itertools.combinations(wanted, 2):
        pairs[pair] = tested[tested["first"].isin(pair) & tested["second"].isin(pair)]
    missing = [" and ".join(pair) for pair, rows in pairs.items() if rows.empty]
    if missing:
        return row | {
            "status": UNTESTABLE,
            "note": f"nothing to test between {', '.join(missing)}. {overall['caution']}".strip(),
        }
    # Of each pair the cell that tells most, and of the pairs the one that decides: that with the least to tell.
    best = [rows.sort_values(["significant", "p"], ascending=[False, True]).iloc[0] for rows in pairs.values()]
    deciding = min(best, key=lambda cell: (cell["significant"], -cell["p"]))
    counts = [f"{rows['pair'].iloc[0]}: {rows['significant'].sum()} of {len(rows)}" for rows in pairs.values()]
    layers = pairs[tuple(sorted((deciding["first"], deciding["second"]), key=wanted.index))]
    layers = layers[layers["significant"]].sort_values("depth")["layer"]
    held = bool(deciding["significant"])
    size = [f"{entry['level']} {entry['parameters']:,}" for entry in overall["levels"] if entry.get("parameters")]
    return row | {
        "status": HELD if held else NOT_HELD,
        # A pair that the test of all conditions does not allow is no evidence, whatever its q.
        "evidence": deciding["q"] if held or deciding["q"] > alpha else 1.0,
        "statistic": f"{deciding['test']}, {deciding['pair']}, {_measure(deciding)} at {deciding['layer']}",
        "value": deciding["statistic"],
        "p": deciding["p"],
        "q": deciding["q"],
        **{name: deciding[name] for name in _EFFECT},
        "n": overall["seeds"],
        "n_of": "seeds",
        "where": ", ".join(dict.fromkeys(layers)),
        "note": f"Scale-free cells significant at {alpha:g}: {'; '.join(counts)}. The row shows the strongest cell of "
        f"the pair that decides; effect is Hedges' g_z over {overall['seeds']} seeds."
        + (f" Parameters: {', '.join(size)}." if compared == "shape" and size else "")
        + (f" {overall['caution']}" if overall["caution"] else ""),
    }


def _measure(cell):
    return cell["measure"].replace("_", " ") + (f" {cell['index']}" if cell["index"] else "")


def _groups(overall, layers, alpha):
    row = _row("C4", **_run(overall))
    p, of_loss = overall["spectra"]["p"], overall["statistics"]["group_loss"]["p"]
    if p is None:
        return row | {"status": UNTESTABLE, "note": why_untested(overall)}
    spectral = layers[layers["statistic"].isin(SPECTRAL)]
    best = _strongest(spectral)
    yardstick = "" if of_loss is None else f" Yardstick, the groups' mean loss: p = {of_loss:.3g}."
    yardstick = f"{yardstick} {say_inputs(overall['inputs'])}"
    return row | {
        "status": (HELD if p <= alpha else NOT_HELD) if overall["exact"] else DESCRIPTIVE,
        "evidence": p,
        "statistic": "smallest p over layers and their two statistics of the gradient spectra (min-p)",
        "value": best["p"],
        **{name: overall["spectra"][name] for name in ("p", "p_low", "p_high")},
        "q": best["q"],
        **{name: best[name] for name in _EFFECT},
        "n": overall["pairs"],
        "n_of": "pairs",
        "where": f"{best['layer']}, {best['statistic'].replace('_', ' ')}",
        "note": f"{overall['labelings']} labelings, {counted(overall['seeds'], 'seed')}; q and effect are of the "
        f"strongest layer and statistic.{yardstick} {overall['caution']}",
    }


def _layers(overall, layers, alpha):
    row = _row("C5", **_run(overall))
    if overall["spectra"]["p"] is None:
        return row | {"status": UNTESTABLE, "note": why_untested(overall)}
    of_layers = layers[layers["statistic"].isin(SPECTRAL) & layers["p"].notna()]
    rejecting = of_layers[of_layers["q"] <= alpha]
    best = _strongest(of_layers)
    names = list(dict.fromkeys(rejecting.sort_values("depth")["layer"]))
    as_a_whole = overall["spectra"]["p"] <= alpha
    hint = "" if as_a_whole else ", which are hints at most, as the spectra as a whole do not"
    return row | {
        "status": DESCRIPTIVE if names and as_a_whole else NOT_HELD,
        "statistic": "z of the layer's strongest index among the labelings",
        "value": best["z"],
        **{name: best[name] for name in ("p", "p_low", "p_high", "q", *_EFFECT)},
        "n": overall["pairs"],
        "n_of": "pairs",
        "where": ", ".join(names) if as_a_whole else "",
        "note": f"{len(names)} of {of_layers['layer'].nunique()} layers reject at q <= {alpha:g}"
        f"{hint if names else ''}. Every layer tests the same null hypothesis: 'in this layer and not in that' "
        "needs a contrast, which is not made here." + learned_nothing(overall["unlearned"], overall["seeds"]),
    }


def _strongest(layers):
    """The layer and statistic with the smallest p; strong ones share the smallest there is, 1 / P, and go by |z|."""
    return layers.assign(size=layers["z"].abs()).sort_values(["p", "size"], ascending=[True, False]).iloc[0]


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


def _several(claim, rows, alpha, figure=None):
    return _row(claim, comparison="in several architectures", figure=figure, **judge_over_models(rows, alpha))


def _generality(records):
    rows = []
    for model in MODELS:
        trained = [record for record in records if record["model"] == model]
        done = [record for record in trained if record["status"] == "finished"]
        simulated = all(record["simulated"] for record in done)
        data = {record["dataset"]: " (simulated)" if record["simulated"] else "" for record in done}
        count, diverged = len(trained), len(trained) - len(done)
        unlearned = sum(not record["learned"] for record in done)
        rows.append(
            _row(
                "C6",
                model=model,
                status=(HELD_ON_SIMULATED if simulated else HELD) if done else NOT_HELD if trained else UNTESTABLE,
                statistic="finished trainings",
                value=len(done),
                n=count,
                n_of="trainings",
                where=", ".join(name + mark for name, mark in data.items()),
                simulated=simulated if done else None,
                note=f"{counted(count, 'training')}, {diverged} diverged"
                + (f", {unlearned} learned nothing" if unlearned else ""),
            )
        )
    tasks = list(dict.fromkeys(record["task"] for record in records if record["shape"] == "base"))
    drawn = "autoencoding" if "autoencoding" in tasks else tasks[0] if tasks else None
    simulated = [row["model"] for row in rows if row["status"] == HELD_ON_SIMULATED]
    found = [row["model"] for row in rows if row["status"] in (HELD, HELD_ON_SIMULATED)]
    failed = any(row["status"] == NOT_HELD for row in rows)
    status = NOT_HELD if failed else UNTESTABLE
    if len(found) == len(MODELS):
        status = HELD_ON_SIMULATED if simulated else HELD
    over_all = _row(
        "C6",
        status=status,
        statistic="models with finished trainings",
        value=len(found),
        n=len(MODELS),
        n_of="models",
        where=", ".join(found),
        figure=f"figures/models/{drawn}.pdf" if drawn else None,
        simulated=bool(simulated) if found else None,
        note=f"{len(found)} of {len(MODELS)} models"
        + (f"; on simulated data only: {', '.join(simulated)}" if simulated else ""),
    )
    return [row for row in rows if row["status"] != UNTESTABLE] + [over_all]


def _cost(records):
    shares = {}
    for record in records:
        share = share_of_spectra(record["measured"])
        if share is not None and record["status"] == "finished":
            shares.setdefault(record["model"], []).append(share)
    rows = [_cost_row(shares[model], model=model) for model in MODELS if model in shares]
    if not rows:
        return [_row("C7", status=UNTESTABLE, note="no run says how long its spectra took")]
    return [*rows, _cost_row([share for each in shares.values() for share in each])]


def _cost_row(shares, **about):
    share = float(np.median(shares))
    return _row(
        "C7",
        status=HELD if share > 0.5 else NOT_HELD,
        statistic="share of the training time that spectra took",
        value=share,
        n=len(shares),
        n_of="trainings",
        figure="figures/cost/models.pdf",
        note=f"median of {len(shares)} trainings, from {min(shares):.0%} to {max(shares):.0%}; held above 50%",
        **about,
    )


def share_of_spectra(measured):
    """Which share of a training's time its spectra took, labelings left out of both; None if not measured.

    Parameters
    ----------
    measured : mapping
        `measured` of a `run.json`.
    """
    if not measured.get("wall_seconds") or "spectra_seconds" not in measured:
        return None
    return measured["spectra_seconds"] / (measured["wall_seconds"] - measured.get("labelings_seconds", 0.0))
