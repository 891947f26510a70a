"""Two tasks, one network: do their gradients have spectra of different shape?"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from autospec.figures import style
from autospec.figures.frames import finished, layers_in_order, over_seeds, read_spectra
from autospec.tables import read_tsv

TASKS = ("autoencoding", "classification")
DASHES = {"autoencoding": "-", "classification": (0, (3, 1.2))}
COLUMNS = 4
#: (measure, index) in the table of the comparison, and its name here.
SUMMARIES = {
    ("normalised_effective_rank", 0): "normalised effective rank",
    ("stable_rank", 0): "stable rank",
    ("share", 1): "top share",
}


def draw_tasks(
    autoencoding: Iterable[str | Path], classification: Iterable[str | Path], cells: str | Path
) -> tuple[Figure, pd.DataFrame]:
    """Draw the two tasks' normalised gradient spectra, and effect sizes of scale-free summaries.

    Only layers that both tasks have are drawn, and only quantities without a scale: the two
    losses are of different size, so raw gradients would differ for that alone.

    Parameters
    ----------
    autoencoding, classification : iterable of path
        The `run.json` of each seed of the two runs.
    cells : path
        The table of the comparison of tasks.

    Returns
    -------
    figure : Figure
    table : DataFrame
        Columns panel (share | effect), layer, depth, name (task or summary), index, mean (or
        effect), low, high, significant, simulated.
    """
    shares, seeds = [], {}
    for task, records in zip(TASKS, (autoencoding, classification), strict=True):
        folders, kept = finished(records)
        seeds[task], record = len(kept), kept[0]
        shares.append(normalised(read_spectra(folders, ("gradient",))))
    shares = pd.concat(shares)
    shared = set.intersection(*(set(part["layer"]) for _, part in shares.groupby("task")))
    shares = over_seeds(shares[shares["layer"].isin(shared)], ["depth", "layer", "task", "index"])
    effects = _summaries(read_tsv(cells))
    order = layers_in_order(shares)

    keys = [
        Line2D([], [], color=colour, linestyle=DASHES[task], label=task)
        for task, colour in zip(TASKS, style.TASKS, strict=True)
    ]
    keys += [
        Line2D([], [], color="black", marker="o", linestyle="", label="significant after correction"),
        Line2D(
            [], [], color="black", marker="o", linestyle="", markerfacecolor="white", label="not significant"
        ),
    ]
    note = (
        f"Above: mean over epochs and {min(seeds.values())} trainings of s / sum s; bands: their range. "
        "Below: Hedges' g_z over trainings with its 95 % interval; right of 0: larger in classification. "
        f"Significance by the paired t test. Family: {effects['family'].iloc[0]}."
    )
    title = f"Tasks: {record['dataset']}, {record['model'].upper()}"
    rows = -(-len(order) // COLUMNS)
    heights = (34 * rows, 16 + 4.5 * len(order))
    figure = style.new_figure(style.TWO_COLUMNS, sum(heights), title, note, keys)
    if record["simulated"]:
        style.mark_simulated(figure)
    above, below = figure.subfigures(2, 1, height_ratios=heights)
    _draw_shares(above, shares, order, rows)
    _draw_effects(below, effects, order)
    table = pd.concat(
        [
            shares.rename(columns={"task": "name"}).assign(panel="share", significant=pd.NA),
            effects.rename(columns={"effect": "mean", "effect_low": "low", "effect_high": "high"}).assign(
                panel="effect", index=pd.NA
            ),
        ],
        ignore_index=True,
    )
    table = table[["panel", "layer", "depth", "name", "index", "mean", "low", "high", "significant"]]
    return figure, table.assign(simulated=record["simulated"])

#: Shares below this are rounding of float32 data; the axis ends here.
SMALLEST_SHARE = 1e-8


def normalised(frame: pd.DataFrame) -> pd.DataFrame:
    """Turn everyone's spectra into shares s / sum s, averaged over epochs; one row a seed and index."""
    frame = frame[frame["group"] == "all"]
    keys = ["task", "seed", "epoch", "layer", "depth"]
    total = frame.groupby(keys)["value"].transform("sum")
    frame = frame.assign(value=frame["value"] / total.where(total > 0))
    return frame.groupby(["task", "seed", "layer", "depth", "index"], as_index=False)["value"].mean()


def _summaries(cells: pd.DataFrame) -> pd.DataFrame:
    cells = cells[(cells["quantity"] == "gradient") & (cells["scale"] == "free")]
    names = [SUMMARIES.get(key) for key in zip(cells["measure"], cells["index"], strict=True)]
    return cells.assign(name=names).dropna(subset="name")


def _draw_shares(figure, shares: pd.DataFrame, order: list[str], rows: int) -> None:
    columns = min(COLUMNS, len(order))
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for axis in axes.flat[len(order) :]:
        axis.set_visible(False)
    for axis, layer in zip(axes.flat, order, strict=False):
        for task, colour in zip(TASKS, style.TASKS, strict=True):
            line = shares[(shares["layer"] == layer) & (shares["task"] == task)]
            line = line[line["low"] > 0]
            alone = "o" if len(line) == 1 else ""
            axis.plot(line["index"], line["mean"], color=colour, linestyle=DASHES[task], marker=alone, label=task)
            axis.fill_between(line["index"], line["low"], line["high"], color=colour, alpha=0.2, linewidth=0)
        axis.set_title(layer)
        axis.set_xlabel("index")
        axis.set_xlim(left=0.5)
        axis.xaxis.set_major_locator(style.MaxNLocator(nbins=4, integer=True))
    # The axes share their scale, so its end is set when all layers are drawn.
    axes.flat[0].set_yscale("log")
    axes.flat[0].set_ylim(bottom=max(axes.flat[0].get_ylim()[0], SMALLEST_SHARE))
    for axis in axes.flat[: len(order)]:
        style.plain_log_ticks(axis)
    for row in axes:
        row[0].set_ylabel("share of the sum")


def _draw_effects(figure, effects: pd.DataFrame, order: list[str]) -> None:
    names = list(SUMMARIES.values())
    axes = figure.subplots(1, len(names), sharex=True, sharey=True, squeeze=False)[0]
    for axis, name in zip(axes, names, strict=True):
        axis.axvline(0, color=style.ALL, linewidth=0.6)
        for _, row in effects[effects["name"] == name].iterrows():
            if row["layer"] not in order:
                continue
            place = order.index(row["layer"])
            axis.plot([row["effect_low"], row["effect_high"]], [place, place], color="black", linewidth=0.8)
            fill = "black" if row["significant"] else "white"
            axis.plot(row["effect"], place, "o", color="black", markerfacecolor=fill, markeredgewidth=0.8)
        axis.set_title(name)
        axis.set_xlabel("g_z, classification minus autoencoding")
    # Seeds that agree closely make g_z as large as one likes; near 0 the scale is linear.
    reach = np.nanmax(np.abs(effects[["effect_low", "effect_high"]].to_numpy(dtype=float)), initial=2.0)
    axes[0].set_xscale("symlog", linthresh=1)
    axes[0].set_xlim(-1.3 * reach, 1.3 * reach)
    highest = int(np.log10(reach))
    decades = sorted({10.0 ** (highest // 2), 10.0**highest})
    axes[0].set_xticks([-tick for tick in decades] + [0.0] + decades)
    axes[0].xaxis.set_major_formatter(style.FuncFormatter(lambda tick, _: f"{tick:g}".replace("-", "−")))
    axes[0].minorticks_off()
    axes[0].set_yticks(range(len(order)), order)
    axes[0].set_ylim(len(order) - 0.5, -0.5)
