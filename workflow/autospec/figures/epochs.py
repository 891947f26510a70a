"""Spectra of two groups over training, epoch by index, and where and when they differ."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from autospec.figures import style
from autospec.figures.frames import finished, layers_in_order, over_seeds, read_spectra
from autospec.figures.groups import group_sentence
from autospec.tables import read_json, read_tsv
from autospec.text import counted

_TABLE = ["panel", "layer", "depth", "epoch", "index", "value", "p", "p_map", "significant"]


def draw_epochs(
    records: Iterable[str | Path], epochs: str | Path, overall: str | Path
) -> tuple[Figure, pd.DataFrame]:
    """Draw maps of epoch by index, a row a layer: each group's gradient spectrum, and how the two differ.

    Parameters
    ----------
    records : iterable of path
        The `run.json` of each seed; `spectra.parquet` lies beside each.
    epochs, overall : path
        The tables of the group tests.

    Returns
    -------
    figure : Figure
    table : DataFrame
        Columns panel (the two groups: log10 of the geometric mean over trainings; spectral_ratio: log2;
        gradient_difference: z among labelings), layer, depth, epoch, index (0 for the Frobenius norm), value,
        p, p_map, significant, simulated.
    """
    records = list(records)
    folders, kept = finished(records)
    if not kept:
        return style.nothing_finished("Spectra by epoch and index", read_json(records[0]), _TABLE)
    record, summary = kept[0], read_json(overall)
    reference, other = summary["groups"]
    tests = read_tsv(epochs)
    ratio = tests["statistic"] == "spectral_ratio"
    tests["value"] = np.where(ratio, tests["estimate"] / np.log(2), tests["z"])
    indices = int(tests["index"].max())
    spectra = read_spectra(folders, ("gradient",), leading=indices)
    spectra = over_seeds(spectra, ["layer", "depth", "epoch", "group", "index"], log=True)
    with np.errstate(divide="ignore"):
        spectra["value"] = np.log10(spectra["mean"])
    panels = {name: spectra[spectra["group"] == name].assign(significant=False) for name in (reference, other)}
    panels |= {name: rows for name, rows in tests.groupby("statistic", sort=False)}
    table = pd.concat([rows.assign(panel=name) for name, rows in panels.items()], ignore_index=True)
    table = table.reindex(columns=_TABLE)

    order = layers_in_order(table)
    looks = {
        reference: (f"{reference}, log₁₀ s", None),
        other: (f"{other}, log₁₀ s", None),
        "spectral_ratio": (f"log₂ {other} / {reference}", style.GROUP_MAP),
        "gradient_difference": ("difference, z", style.ONE_SIDED_MAP),
    }
    marked = "significant in the whole map" if summary["exact"] else f"p ≤ {summary['alpha']:g}, descriptive only"
    dot = {"color": "black", "marker": "o", "linestyle": "", "markersize": 2.5}
    keys = [Line2D([], [], label=marked, **dot)]
    title = f"Spectra by epoch and index: {style.run_title(record)}"
    note = _note(tests, summary)
    figure = style.new_figure(style.TWO_COLUMNS, 12 + 21 * len(order), title, note, keys)
    if record["simulated"]:
        style.mark_simulated(figure)
    axes = figure.subplots(len(order), len(looks), sharex=True, squeeze=False)
    trained = sorted(table["epoch"].unique())
    for row, layer in zip(axes, order, strict=True):
        of_layer = table[table["layer"] == layer]
        both = of_layer.loc[of_layer["panel"].isin((reference, other)), "value"]
        both = both[np.isfinite(both)]
        limits = (both.min(), both.max()) if len(both) else (0.0, 1.0)
        for axis, (name, (_, colours)) in zip(row, looks.items(), strict=True):
            _map(figure, axis, of_layer[of_layer["panel"] == name], trained, colours, limits)
        row[0].set_ylabel("index")
        row[0].set_title(layer, loc="left", fontweight="bold", fontsize=6.5)
    for axis, (heading, _) in zip(axes[0], looks.values(), strict=True):
        axis.annotate(
            heading, (0.5, 1), (0, 16), xycoords="axes fraction", textcoords="offset points", ha="center",
            va="bottom", fontsize=7,
        )  # fmt: skip
    for axis in axes[-1]:
        axis.set_xlabel("epoch")
    return figure, table.assign(simulated=record["simulated"])


def _map(figure, axis, panel: pd.DataFrame, epochs: list[int], colours, limits: tuple[float, float]) -> None:
    axis.set_facecolor(style.MISSING)
    # All maps share their epochs, also those in which no labelings were observed.
    grid = panel.pivot(index="index", columns="epoch", values="value").reindex(columns=epochs)
    values = np.ma.masked_invalid(grid.to_numpy(dtype=float))
    if values.count():
        reach = float(np.abs(values).max()) or 1.0
        low, high = limits if colours is None else (-reach, reach)
        across, down = np.arange(len(grid.columns) + 1) - 0.5, np.arange(len(grid.index) + 1) - 0.5
        mesh = axis.pcolormesh(across, down, values, cmap=colours or "cividis", vmin=low, vmax=high)
        bar = figure.colorbar(mesh, ax=axis, aspect=12, pad=0.02)
        bar.outline.set_linewidth(0.5)
        bar.ax.tick_params(width=0.5, size=2)
        bar.locator = style.MaxNLocator(nbins=3)
        bar.update_ticks()
        columns, rows = list(grid.columns), list(grid.index)
        marked = panel[panel["significant"].astype(bool)]
        x = [columns.index(epoch) for epoch in marked["epoch"]]
        y = [rows.index(index) for index in marked["index"]]
        axis.scatter(x, y, s=3, c="black", linewidths=0.3, edgecolors="white", gid="significant", zorder=3)
        step = max(1, -(-len(columns) // 6))
        axis.set_xticks(range(0, len(columns), step), [str(epoch) for epoch in columns[::step]])
        step = max(1, -(-len(rows) // 4))
        axis.set_yticks(range(0, len(rows), step), [str(index or "F") for index in rows[::step]])
    axis.invert_yaxis()
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)


def _note(tests: pd.DataFrame, summary: dict) -> str:
    families = {name: rows["family"].iloc[0] for name, rows in tests.groupby("statistic", sort=False)}
    named = "; ".join(f"{name.replace('_', ' ')}, {family}" for name, family in families.items())
    return "\n".join(
        [
            f"{group_sentence(summary)} Spectra: geometric means over {counted(summary['seeds'], 'training')}, the "
            "same colours in both groups. F: Frobenius norm. Grey: no such index, constant over labelings, or no "
            "labelings observed.",
            f"Families of the dots: {named}.",
        ]
    )
