"""One network under two or three conditions: do its gradients have spectra of different shape?"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from autospec.figures import style
from autospec.figures.frames import finished, layers_in_order, over_seeds, read_spectra
from autospec.statistics.conditions import OMNIBUS
from autospec.statistics.measures import by_layer
from autospec.tables import read_json, read_tsv

COLUMNS = 4
#: (measure, index) in the table of the comparison, and its name here.
SUMMARIES = {
    ("normalised_effective_rank", 0): "normalised effective rank",
    ("stable_rank", 0): "stable rank",
    ("share", 1): "top share",
}
#: Between what each of them lies.
BOUNDS = {"normalised effective rank": (0, 1), "stable rank": (1, np.inf), "top share": (0, 1)}
#: Shares below this are rounding of float32 data; the axis ends here.
SMALLEST_SHARE = 1e-8

#: Hedges' correction of g_z has no value for fewer.
FEWEST_SEEDS = 3

HEADS = {"task": "Tasks", "activation": "Activations", "shape": "Shapes"}
_TABLE = ["panel", "layer", "depth", "name", "index", "mean", "low", "high", "p", "q", "significant"]


def draw_conditions(
    records: Mapping[str, Iterable[str | Path]], cells: str | Path, overall: str | Path
) -> tuple[Figure, pd.DataFrame]:
    """Draw the gradient spectra under each condition, and effect sizes of their scale-free summaries.

    Only quantities without a scale are drawn: losses of different tasks, and activations of different
    slopes, make raw gradients differ for that alone. Tasks and activations are drawn layer by layer, as
    shares of the sum; shapes as summaries over the relative depth, since their layers are not the same.

    Parameters
    ----------
    records : mapping of str to iterable of path
        For each condition the `run.json` of each seed.
    cells, overall : path
        The tables of the comparison.

    Returns
    -------
    figure : Figure
    table : DataFrame
        Columns panel (share, depth or effect), layer, depth, name (condition, or summary and pair), index, mean (or
        effect), low, high, p, q, significant, simulated.
    """
    records = {level: list(paths) for level, paths in records.items()}
    summary, cells = read_json(overall), read_tsv(cells)
    kept = [entry["level"] for entry in summary["levels"] if entry["finished"]]
    title = f"{HEADS[summary['compared']]}: {style.run_title(_without(summary))}"
    if cells.empty:
        text = summary["caution"] or "No layer is the same in all conditions."
        return style.empty_figure(title, text, summary["simulated"], _TABLE)
    effects = select_summaries(cells)
    by_depth = summary["compared"] == "shape"
    above = _depths(records, kept) if by_depth else _shares(records, kept, set(effects["layer"]))
    order = layers_in_order(effects)
    looks = dict(zip(records, zip(style.LEVELS, style.DASHES, strict=True), strict=False))
    keys = [Line2D([], [], color=looks[level][0], linestyle=looks[level][1], label=level) for level in kept]
    keys += [
        Line2D([], [], color="black", marker="o", linestyle="", markerfacecolor=fill, label=label)
        for fill, label in (("black", "significant after correction"), ("white", "not significant"))
    ]
    pairs = [pair for pair in dict.fromkeys(effects["pair"]) if pair != OMNIBUS]
    rows = 1 if by_depth else -(-len(order) // COLUMNS)
    heights = (38 if by_depth else 34 * rows, 20 + (2.2 + 2.3 * len(pairs)) * len(order))
    figure = style.new_figure(style.TWO_COLUMNS, sum(heights), title, _note(effects, summary), keys)
    if summary["simulated"]:
        style.mark_simulated(figure)
    upper, lower = figure.subfigures(2, 1, height_ratios=heights)
    if by_depth:
        _draw_depths(upper, above, looks)
    else:
        _draw_shares(upper, above, order, rows, looks)
    _draw_effects(lower, effects, order, pairs)
    effects = effects.assign(panel="effect", name=effects["name"] + ", " + effects["pair"], index=pd.NA)
    effects = effects.rename(columns={"effect": "mean", "effect_low": "low", "effect_high": "high"})
    table = pd.concat([above, effects], ignore_index=True).reindex(columns=_TABLE)
    return figure, table.assign(simulated=summary["simulated"])


def normalised(frame: pd.DataFrame) -> pd.DataFrame:
    """Turn everyone's spectra into shares s / sum s, averaged over epochs; one row a seed and index."""
    frame = frame[frame["group"] == "all"]
    keys = ["seed", "epoch", "layer", "depth"]
    total = frame.groupby(keys)["value"].transform("sum")
    frame = frame.assign(value=frame["value"] / total.where(total > 0))
    return frame.groupby(["seed", "layer", "depth", "index"], as_index=False)["value"].mean()


def read_depths(folders: Iterable[Path]) -> pd.DataFrame:
    """Read summaries of gradient spectra by relative depth: of L layers, layer i = 0, 1, ... lies at (i + 1/2) / L.

    Returns
    -------
    DataFrame
        Columns seed (its folder), layer, depth, relative_depth, name (of ``SUMMARIES``), value (mean over epochs).
    """
    rows = []
    for folder in folders:
        measures, _ = by_layer(folder / "spectra.parquet", 1)
        chosen = {cell: value for cell, value in measures.items() if (cell.measure, cell.index) in SUMMARIES}
        chosen = {cell: value for cell, value in chosen.items() if cell.quantity == "gradient"}
        places = sorted({(cell.depth, cell.layer) for cell in chosen})
        for cell, value in chosen.items():
            place = (places.index((cell.depth, cell.layer)) + 0.5) / len(places)
            name = SUMMARIES[cell.measure, cell.index]
            rows.append((folder.name, cell.layer, cell.depth, place, name, value))
    return pd.DataFrame(rows, columns=["seed", "layer", "depth", "relative_depth", "name", "value"])


def _without(summary: Mapping) -> dict:
    """The run's identity, without what is compared."""
    return {**summary, summary["compared"]: ""}


def _shares(records: Mapping, kept: list[str], layers: set[str]) -> pd.DataFrame:
    shares = []
    for level in kept:
        folders, _ = finished(records[level])
        frame = normalised(read_spectra(folders, ("gradient",)))
        frame = over_seeds(frame[frame["layer"].isin(layers)], ["depth", "layer", "index"])
        shares.append(frame.assign(panel="share", name=level))
    return pd.concat(shares, ignore_index=True)


def _depths(records: Mapping, kept: list[str]) -> pd.DataFrame:
    depths = []
    for level in kept:
        folders, _ = finished(records[level])
        frame = over_seeds(read_depths(folders), ["depth", "layer", "relative_depth", "name"])
        depths.append(frame.assign(panel="depth", summary=frame["name"], level=level))
    depths = pd.concat(depths, ignore_index=True)
    return depths.assign(name=depths["summary"] + ", " + depths["level"])


def select_summaries(cells: pd.DataFrame) -> pd.DataFrame:
    """Keep the rows of ``SUMMARIES`` of gradient spectra, with their `name`."""
    cells = cells[(cells["quantity"] == "gradient") & (cells["scale"] == "free")]
    names = [SUMMARIES.get(key) for key in zip(cells["measure"], cells["index"], strict=True)]
    return cells.assign(name=names).dropna(subset="name")


def without_effect(seeds: int) -> str:
    """Say in a line why a comparison of so many seeds has no effect size."""
    if seeds < FEWEST_SEEDS:
        return f"g_z needs {FEWEST_SEEDS} seeds; finished: {seeds}"
    return "no spread over seeds"


def _note(effects: pd.DataFrame, summary: Mapping) -> str:
    pairs = effects[effects["pair"] != OMNIBUS]
    lines = [
        f"Above: means over epochs and trainings; bands: their range over trainings. Below: Hedges' g_z over "
        f"{summary['seeds']} seeds with its 95 % interval, first-named minus second-named condition, by the paired t "
        f"test. Family: {pairs['family'].iloc[0]}."
    ]
    if (effects["pair"] == OMNIBUS).any():
        lines.append(
            "A pair is significant only where the test of all conditions together (repeated-measures analysis of "
            f"variance) is too; its family: {effects.loc[effects['pair'] == OMNIBUS, 'family'].iloc[0]}."
        )
    if summary["compared"] == "shape":
        sizes = ", ".join(f"{entry['level']} {entry['parameters']:,}" for entry in summary["levels"])
        lines.append(f"Layers are brought to thirds of the depth. Parameters: {sizes}.")
    return "\n".join([*lines, *([summary["caution"]] if summary["caution"] else [])])


def _draw_shares(figure, shares: pd.DataFrame, order: list[str], rows: int, looks: Mapping) -> None:
    columns = min(COLUMNS, len(order))
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for axis in axes.flat[len(order) :]:
        axis.set_visible(False)
    for axis, layer in zip(axes.flat, order, strict=False):
        lines = shares[(shares["layer"] == layer) & (shares["low"] > 0)]
        for level, (colour, dashes) in looks.items():
            line = lines[lines["name"] == level]
            alone = "o" if len(line) == 1 else ""
            axis.plot(line["index"], line["mean"], color=colour, linestyle=dashes, marker=alone, label=level)
            axis.fill_between(line["index"], line["low"], line["high"], color=colour, alpha=0.2, linewidth=0)
        axis.set_title(layer)
        axis.set_xlabel("index")
        axis.set_xlim(0.5, max(lines["index"], default=1) + 0.5)
        axis.xaxis.set_major_locator(style.MaxNLocator(nbins=4, integer=True, min_n_ticks=1))
    # The axes share their scale, so its end is set when all layers are drawn.
    axes.flat[0].set_yscale("log")
    axes.flat[0].set_ylim(bottom=max(axes.flat[0].get_ylim()[0], SMALLEST_SHARE))
    for axis in axes.flat[: len(order)]:
        style.plain_log_ticks(axis)
    for row in axes:
        row[0].set_ylabel("share of the sum")


def _draw_depths(figure, depths: pd.DataFrame, looks: Mapping) -> None:
    axes = figure.subplots(1, len(SUMMARIES), squeeze=False)[0]
    for axis, name in zip(axes, SUMMARIES.values(), strict=True):
        for (level, (colour, dashes)), marker in zip(looks.items(), style.MARKERS, strict=False):
            line = depths[(depths["summary"] == name) & (depths["level"] == level)].sort_values("relative_depth")
            x = line["relative_depth"]
            axis.plot(x, line["mean"], color=colour, linestyle=dashes, marker=marker, markersize=2.5, label=level)
            axis.fill_between(x, line["low"], line["high"], color=colour, alpha=0.2, linewidth=0)
        axis.set_title(name)
        axis.set_xlabel("relative depth")
        axis.set_xlim(0, 1)
        axis.set_xticks([0, 1 / 3, 2 / 3, 1], ["0", "1/3", "2/3", "1"])


def _draw_effects(figure, effects: pd.DataFrame, order: list[str], pairs: list[str]) -> None:
    effects = effects[effects["pair"] != OMNIBUS]
    names = list(SUMMARIES.values())
    axes = figure.subplots(1, len(names), sharex=True, sharey=True, squeeze=False)[0]
    offsets = (np.arange(len(pairs)) - (len(pairs) - 1) / 2) * 0.26
    looks = dict(zip(pairs, zip(style.PAIRS, style.MARKERS, offsets, strict=False), strict=True))
    for axis, name in zip(axes, names, strict=True):
        for _, row in effects[effects["name"] == name].iterrows():
            colour, marker, offset = looks[row["pair"]]
            place = order.index(row["layer"]) + offset
            axis.plot([row["effect_low"], row["effect_high"]], [place, place], color=colour, linewidth=0.8)
            fill = colour if row["significant"] else "white"
            axis.plot(
                row["effect"], place, marker, color=colour, markerfacecolor=fill, markeredgewidth=0.8,
                markersize=2.6, gid=f"{row['pair']}, {row['layer']}",
            )  # fmt: skip
        axis.set_title(name)
        label = "g_z" if len(pairs) > 1 else f"g_z, {pairs[0].replace(' - ', ' − ')}"
        style.effect_axis(axis, effects["effect_low"], effects["effect_high"], label)
        if effects.loc[effects["name"] == name, "effect"].isna().all():
            style.say(axis, 0.5, without_effect(int(effects["n_seeds"].iloc[0])), axis.transAxes)
    axes[0].set_yticks(range(len(order)), order)
    axes[0].set_ylim(len(order) - 0.5, -0.5)
    if len(pairs) > 1:
        handles = [
            Line2D([], [], color=colour, marker=marker, label=pair.replace(" - ", " − "))
            for pair, (colour, marker, _) in looks.items()
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=len(pairs))
