"""Spectra while training runs: one panel a layer and quantity, one line a group and index."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from autospec.figures import style
from autospec.figures.frames import diverged_words, finished, layers_in_order, over_seeds, read_spectra
from autospec.tables import read_json

QUANTITIES = ("activation", "adjoint", "gradient", "weight")
#: A few lines can be followed by eye; all of them are in the Parquet.
INDICES = (1, 2, 5, 10)


def draw_spectra(records: Iterable[str | Path]) -> tuple[Figure, pd.DataFrame]:
    """Draw leading singular values over training, by layer, quantity and group.

    Parameters
    ----------
    records : iterable of path
        The `run.json` of each seed of one run; `spectra.parquet` lies beside each.

    Returns
    -------
    figure : Figure
    table : DataFrame
        Columns epoch, layer, depth, quantity, group, index, mean (geometric), low, high, seeds,
        simulated.
    """
    records = list(records)
    folders, kept = finished(records)
    if not kept:
        columns = ["depth", "layer", "quantity", "group", "index", "epoch", "mean", "low", "high", "seeds"]
        return style.nothing_finished("Spectra over training", read_json(records[0]), columns)
    record = kept[0]
    frame = read_spectra(folders, QUANTITIES, leading=max(INDICES))
    frame = frame[frame["index"].isin(INDICES)]
    # People are compared group by group; weights belong to no group.
    frame = frame[(frame["group"] == "all") == (frame["quantity"] == "weight")]
    table = over_seeds(frame, ["depth", "layer", "quantity", "group", "index", "epoch"], log=True)

    layers = layers_in_order(table)
    quantities = [name for name in QUANTITIES if (table["quantity"] == name).any()]
    note = (
        f"Lines: geometric mean of {len(kept)} trainings; bands: their range. "
        f"Numbers: index of the singular value.{diverged_words(records)}"
    )
    looks = dict(zip(record["groups"], ((style.REFERENCE, "-"), (style.OTHER, (0, (3, 1.2)))), strict=True))
    looks["all"] = (style.ALL, "-")
    keys = [
        Line2D([], [], color=looks[name][0], linestyle=looks[name][1], label=name)
        for name in record["groups"]
    ]
    if "weight" in quantities:
        keys.append(Line2D([], [], color=style.ALL, label="everyone (weight)"))
    title = f"Spectra over training: {style.run_title(record)}"
    figure = style.new_figure(style.TWO_COLUMNS, 6 + 26 * len(layers), title, note, keys)
    if record["simulated"]:
        style.mark_simulated(figure)
    axes = figure.subplots(len(layers), len(quantities), sharex=True, squeeze=False)
    for row, layer in zip(axes, layers, strict=True):
        for axis, quantity in zip(row, quantities, strict=True):
            panel = table[(table["layer"] == layer) & (table["quantity"] == quantity)]
            _panel(axis, panel, looks)
        row[0].set_ylabel("singular value")
        row[0].set_title(layer, loc="left", fontweight="bold", fontsize=6.5)
    for axis, quantity in zip(axes[0], quantities, strict=True):
        axis.annotate(
            quantity,
            (0.5, 1),
            (0, 16),
            xycoords="axes fraction",
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=7,
        )
    for axis in axes[-1]:
        axis.set_xlabel("epoch")
        style.epoch_ticks(axis)
    return figure, table.assign(simulated=record["simulated"])


def _panel(axis, panel: pd.DataFrame, looks: dict) -> None:
    ends: dict[int, float] = {}
    for (group, index), line in panel.groupby(["group", "index"], sort=True):
        # A logarithmic axis cannot show an exact zero (fewer rows than the index asks for).
        line = line[line["low"] > 0]
        if line.empty:
            continue
        colour, dashes = looks[group]
        axis.plot(line["epoch"], line["mean"], color=colour, linestyle=dashes, label=f"{group} {index}")
        axis.fill_between(line["epoch"], line["low"], line["high"], color=colour, alpha=0.18, linewidth=0)
        ends[index] = (
            line["mean"].iloc[-1] if index not in ends else (ends[index] * line["mean"].iloc[-1]) ** 0.5
        )
    style.plain_log_ticks(axis)
    low, high = axis.get_ylim()
    heights = [axis.transLimits.transform((0, axis.yaxis.get_transform().transform(end)))[1] for end in ends.values()]
    for index, height in zip(ends, apart(heights, 0.12), strict=True):
        axis.annotate(
            str(index),
            (panel["epoch"].max(), height),
            (2, 0),
            xycoords=axis.get_xaxis_transform(),
            textcoords="offset points",
            va="center",
            fontsize=5.5,
        )
    axis.set_ylim(low, high)
    if not ends:
        axis.text(0.5, 0.5, "all zero", transform=axis.transAxes, ha="center", va="center", color=style.ALL)


def apart(heights: list[float], gap: float) -> list[float]:
    """Move numbers at these heights apart, from 0 to 1, so that none covers another; their order stays."""
    order = sorted(range(len(heights)), key=lambda place: (-heights[place], place))
    moved, top = list(heights), 1.0
    for place in order:
        moved[place] = top = min(moved[place], top)
        top -= gap
    bottom = 0.0
    for place in reversed(order):
        moved[place] = bottom = max(moved[place], bottom)
        bottom += gap
    return moved
