"""Chosen singular values, and summaries of whole spectra, while training runs, with intervals."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from autospec.figures import style
from autospec.figures.frames import bands_in_words, diverged_words, finished, layers_in_order, over_seeds
from autospec.statistics.curves import read_curves
from autospec.summaries import summarise
from autospec.tables import read_json

INDICES = (1, 2, 5)
#: A summary's name, and between what it lies; without bounds it is drawn (and averaged) on a logarithmic scale.
SUMMARIES = {
    "nuclear_norm": None,
    "top_share": (0, 1),
    "normalised_effective_rank": (0, 1),
    "stable_rank": (1, np.inf),
}


def draw_trajectories(records: Iterable[str | Path]) -> tuple[Figure, pd.DataFrame]:
    """Draw singular values and summaries of the groups' gradients over epochs, a row a layer.

    Parameters
    ----------
    records : iterable of path
        The `run.json` of each seed of one run; `spectra.parquet` lies beside each.

    Returns
    -------
    figure : Figure
    table : DataFrame
        Columns name (`s1`, ... or a summary), layer, depth, group, epoch, mean (geometric where the scale is
        logarithmic), low, high, band (what they are: the 95 % interval of the mean over trainings or, of few, their
        range), seeds, simulated.
    """
    records = list(records)
    folders, kept = finished(records)
    if not kept:
        columns = ["depth", "layer", "name", "group", "epoch", "mean", "low", "high", "seeds", "band"]
        return style.nothing_finished("Trajectories of gradient spectra", read_json(records[0]), columns)
    record = kept[0]
    frame = pd.concat([_read(folder, record["groups"]) for folder in folders])
    names = [*(f"s{index}" for index in INDICES), *SUMMARIES]
    by = ["depth", "layer", "name", "group", "epoch"]
    table = pd.concat(_over_seeds(frame[frame["name"] == name], by, name) for name in names)
    order = layers_in_order(table)
    looks = dict(zip(record["groups"], ((style.REFERENCE, "-"), (style.OTHER, (0, (3, 1.2)))), strict=True))
    keys = [Line2D([], [], color=colour, linestyle=dashes, label=name) for name, (colour, dashes) in looks.items()]
    note = (
        f"Lines: means over {len(kept)} trainings, geometric where the scale is logarithmic; bands: "
        f"{bands_in_words(table)}, cut where they would make an axis more than three times as high as its lines. The "
        f"trainings saw the same people, so the bands say nothing about other people.{diverged_words(records)}"
    )
    title = f"Trajectories of gradient spectra: {style.run_title(record)}"
    figure = style.new_figure(style.TWO_COLUMNS, 8 + 20 * len(order), title, note, keys)
    if record["simulated"]:
        style.mark_simulated(figure)
    axes = figure.subplots(len(order), len(names), sharex=True, squeeze=False)
    for row, layer in zip(axes, order, strict=True):
        for axis, name in zip(row, names, strict=True):
            panel = table[(table["layer"] == layer) & (table["name"] == name)]
            for group, (colour, dashes) in looks.items():
                line = panel[panel["group"] == group]
                if SUMMARIES.get(name) is None:
                    line = line[line["mean"] > 0]
                axis.plot(line["epoch"], line["mean"], color=colour, linestyle=dashes, label=group)
                axis.fill_between(line["epoch"], line["low"], line["high"], color=colour, alpha=0.18, linewidth=0)
            _fit(axis, panel, log=SUMMARIES.get(name) is None and bool((panel["mean"] > 0).any()))
            axis.tick_params(labelsize=5)
        row[0].set_title(layer, loc="left", fontweight="bold", fontsize=6.5)
    for axis, name in zip(axes[0], names, strict=True):
        heading = name if name.startswith("s") and name[1:].isdigit() else name.replace("_", " ")
        heading = heading.replace("normalised effective rank", "normalised\neffective rank")
        axis.annotate(
            heading, (0.5, 1), (0, 14), xycoords="axes fraction", textcoords="offset points", ha="center",
            va="bottom", fontsize=6.5,
        )  # fmt: skip
    for axis in axes[-1]:
        axis.set_xlabel("epoch")
        style.epoch_ticks(axis)
    return figure, table.assign(simulated=record["simulated"])


def _over_seeds(frame: pd.DataFrame, by: list[str], name: str) -> pd.DataFrame:
    bounds = SUMMARIES.get(name)
    if bounds is None:
        return over_seeds(frame, by, log=True, interval=True)
    return over_seeds(frame, by, interval=True, bounds=bounds)


def _fit(axis, panel: pd.DataFrame, log: bool) -> None:
    """Let the y axis hold lines and bands, but be no more than three times as high as the lines."""
    scale, back = (np.log, np.exp) if log else (np.asarray, np.asarray)
    heights = scale(np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in axis.lines] or [[]]))
    low, high = np.nanmin(heights, initial=np.inf), np.nanmax(heights, initial=-np.inf)
    if low <= high:
        span = (high - low) or 0.02
        with np.errstate(divide="ignore"):
            bands = scale(panel[["low", "high"]].to_numpy(dtype=float))
        bottom = max(np.nanmin(bands, initial=low), low - span)
        top = min(np.nanmax(bands, initial=high), high + span)
        axis.set_ylim(*back([bottom - 0.05 * span, top + 0.05 * span]))
    if log:
        style.plain_log_ticks(axis, 3)
    else:
        axis.yaxis.set_major_locator(style.MaxNLocator(nbins=3))


def _read(folder: Path, groups: list[str]) -> pd.DataFrame:
    frames = []
    for (_, layer, group), curve in read_curves(folder / "spectra.parquet", ["gradient"], groups).items():
        s = curve.singular_values
        values = {f"s{index}": s[:, index - 1] for index in INDICES if index <= s.shape[1]}
        values |= {name: np.asarray(value) for name, value in summarise(s).items() if name in SUMMARIES}
        for name, value in values.items():
            about = {"layer": layer, "depth": curve.depth, "group": group, "name": name}
            frames.append(pd.DataFrame({"epoch": curve.epochs, "value": value}).assign(**about))
    return pd.concat(frames)
