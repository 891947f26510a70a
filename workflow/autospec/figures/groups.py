"""Where and when two groups differ: maps of layers by index, and by epoch."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from autospec.figures import style
from autospec.figures.frames import finished, layers_in_order, over_seeds, read_spectra
from autospec.statistics.swaps import why_untested
from autospec.tables import read_json, read_tsv
from autospec.text import counted

#: A few seeds that agree give any g_z; beyond this all are just large.
LARGE_G = 5.0


def draw_groups(
    records: Iterable[str | Path],
    cells: str | Path,
    layers: str | Path,
    stability: str | Path,
    overall: str | Path,
) -> tuple[Figure, pd.DataFrame]:
    """Draw the group tests of one run as four maps.

    a: spectral ratio by layer and index (log2, other over reference) with each layer's p;
    b: gradient difference by layer and index (z among the labelings) with each layer's p;
    c: the ratio of the largest singular values by layer and epoch, which says when;
    d: stability over trainings (Hedges' g_z across seeds), under that name, as it is no
    evidence about groups.

    Parameters
    ----------
    records : iterable of path
        The `run.json` of each seed; `spectra.parquet` lies beside each (for map c).
    cells, layers, stability, overall : path
        The tables of the group tests.

    Returns
    -------
    figure : Figure
    table : DataFrame
        Columns panel, layer, depth, column (index, 0 for the Frobenius norm, or epoch), value,
        significant, simulated.
    """
    records = list(records)
    folders, kept = finished(records)
    if not kept:
        columns = ["panel", "layer", "depth", "column", "value", "significant"]
        return style.nothing_finished("Where and when groups differ", read_json(records[0]), columns)
    record, summary = kept[0], read_json(overall)
    reference, other = summary["groups"]
    cells, layers, stability = (read_tsv(path) for path in (cells, layers, stability))
    cells["log2_ratio"] = cells["estimate"] / np.log(2)
    ratio = cells[cells["statistic"] == "spectral_ratio"]
    difference = cells[cells["statistic"] == "gradient_difference"]
    panels = {
        "spectral_ratio": _panel(ratio, "index", "log2_ratio"),
        "gradient_difference": _panel(difference, "index", "z"),
        "by_epoch": _by_epoch(folders, reference, other),
        "stability": _panel(stability.rename(columns={"stable": "significant"}), "index", "effect"),
    }
    table = pd.concat([frame.assign(panel=name) for name, frame in panels.items()], ignore_index=True)
    table = table[["panel", "layer", "depth", "column", "value", "significant"]]

    order = layers_in_order(table[table["panel"] != "stability"])
    marked = (
        "significant after correction" if summary["exact"] else f"q ≤ {summary['alpha']:g}, descriptive only"
    )
    keys = [
        Line2D([], [], color="black", marker="o", linestyle="", markersize=2.5, label=f"a, b: {marked}"),
        Line2D(
            [],
            [],
            color="black",
            marker="o",
            linestyle="",
            markersize=2.5,
            markerfacecolor="white",
            label="d: stable over trainings",
        ),
        Line2D(
            [],
            [],
            color=style.MISSING,
            marker="s",
            linestyle="",
            markersize=5,
            label="no such index, or constant",
        ),
    ]
    title = f"Where and when groups differ: {style.run_title(record)}"
    figure = style.new_figure(
        style.TWO_COLUMNS, 42 + 6.4 * max(4, len(order)), title, _note(cells, stability, summary), keys
    )
    if record["simulated"]:
        style.mark_simulated(figure)
    axes = figure.subplots(2, 2)
    toward = f"log₂ ratio\n{other} / {reference}"
    looks = {
        "spectral_ratio": ("a  Spectral ratio", toward, "index", style.GROUP_MAP),
        "gradient_difference": ("b  Gradient difference", "z among\nlabelings", "index", style.ONE_SIDED_MAP),
        "by_epoch": ("c  Largest singular value by epoch", toward, "epoch", style.GROUP_MAP),
        "stability": ("d  Stability over trainings, not a group test", "g_z over\nseeds", "index",
                      style.GROUP_MAP),
    }  # fmt: skip
    for axis, (name, (heading, scale, across, colours)) in zip(axes.flat, looks.items(), strict=True):
        stable = name == "stability"
        mesh = draw_map(
            axis, panels[name], order, colours, filled=not stable, cap=LARGE_G if stable else np.inf
        )
        axis.set_title(heading, loc="left", fontweight="bold")
        axis.set_xlabel(across)
        bar = figure.colorbar(
            mesh, ax=axis, shrink=0.85, aspect=14, pad=0.15, extend="both" if stable else "neither"
        )
        bar.set_label(scale)
        bar.outline.set_linewidth(0.5)
        bar.ax.tick_params(width=0.5, size=2)
        bar.locator = style.MaxNLocator(nbins=5)
        bar.update_ticks()
        if axis in axes[:, 1]:
            axis.set_yticklabels([])
    for axis, name in zip(axes[0], ("spectral_ratio", "gradient_difference"), strict=True):
        _layer_p(axis, layers[layers["statistic"] == name], order, summary["alpha"])
    return figure, table.assign(simulated=record["simulated"])


def draw_map(
    axis, panel: pd.DataFrame, order: list[str], colours: Colormap, filled: bool = True, cap: float = np.inf
):
    """Draw one map of layers (down, in forward order) by column, centred on 0.

    Parameters
    ----------
    axis : matplotlib Axes
    panel : DataFrame
        Columns layer, column, value, significant.
    order : list of str
        Layers from the first down.
    colours : Colormap
        Its middle stands for 0.
    filled : bool
        Mark significant cells by a filled dot, else by a ring.
    cap : float
        The colours end here at the latest.

    Returns
    -------
    QuadMesh
        Shape (layers, columns); cells without a value are masked and left grey.
    """
    grid = panel.pivot(index="layer", columns="column", values="value").reindex(order)
    values = np.ma.masked_invalid(grid.to_numpy(dtype=float))
    limit = float(np.abs(values).max()) if values.count() else 1.0
    limit = min(limit or 1.0, cap)
    axis.set_facecolor(style.MISSING)
    across = np.arange(len(grid.columns) + 1) - 0.5
    down = np.arange(len(order) + 1) - 0.5
    mesh = axis.pcolormesh(
        across, down, values, cmap=colours, vmin=-limit, vmax=limit, edgecolors="white", linewidth=0.4
    )
    if not values.count():
        note = "too few trainings or constant"
        axis.text(0.5, 0.5, note, transform=axis.transAxes, ha="center", va="center")
    marked = panel[panel["significant"] & panel["value"].notna()]
    places = {column: place for place, column in enumerate(grid.columns)}
    x = [places[column] for column in marked["column"]]
    y = [order.index(layer) for layer in marked["layer"]]
    face, edge = ("black", "white") if filled else ("white", "black")
    axis.scatter(x, y, s=6, c=face, linewidths=0.5, edgecolors=edge, gid="significant", zorder=3)
    axis.invert_yaxis()
    axis.set_yticks(range(len(order)), order)
    step = max(1, -(-len(grid.columns) // 12))
    shown = range(0, len(grid.columns), step)
    axis.set_xticks(list(shown), [str(grid.columns[place] or "F") for place in shown])
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    return mesh


def _panel(frame: pd.DataFrame, column: str, value: str) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "layer": frame["layer"],
            "depth": frame["depth"],
            "column": frame[column].astype(int),
            "value": frame[value].astype(float),
            "significant": frame["significant"].astype(bool),
        }
    )


def _by_epoch(folders: list[Path], reference: str, other: str) -> pd.DataFrame:
    frame = read_spectra(folders, ("gradient",), leading=1)
    means = over_seeds(frame, ["layer", "depth", "epoch", "group"], log=True)
    wide = means.pivot(index=["layer", "depth", "epoch"], columns="group", values="mean").reset_index()
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.log2(wide[other] / wide[reference])
    return pd.DataFrame(
        {
            "layer": wide["layer"],
            "depth": wide["depth"],
            "column": wide["epoch"],
            "value": value,
            "significant": False,
        }
    )


def _layer_p(axis, layers: pd.DataFrame, order: list[str], alpha: float) -> None:
    margin = {"transform": axis.get_yaxis_transform(), "fontsize": 6, "ha": "left"}
    axis.text(1.02, -0.62, "layer p", va="bottom", **margin)
    for _, row in layers[layers["p"].notna()].iterrows():
        weight = "bold" if row["q"] <= alpha else "normal"
        axis.text(
            1.02,
            order.index(row["layer"]),
            style.format_p(row["p"]),
            va="center",
            fontweight=weight,
            **margin,
        )


def _note(cells: pd.DataFrame, stability: pd.DataFrame, summary: dict) -> str:
    reference, other = summary["groups"]
    loss = cells[cells["statistic"] == "group_loss"]
    lines = [group_sentence(summary), f"Family of a, b: {summary['family']}."]
    if len(loss):
        cell = loss.iloc[0]
        lines[0] += (
            f" Yardstick, mean loss, {other} minus {reference}: {cell['estimate']:.3g}, "
            f"p = {style.format_p(cell['p'])}."
        )
    lines.append(
        f"Bold p: q ≤ {summary['alpha']:g} over the layers of a and b. F: Frobenius norm. c, d: "
        f"{counted(summary['seeds'], 'training')} on the same people, so d says nothing about other people. "
        f"Family of d: {stability['family'].iloc[0]} (t corrected after Nadeau and Bengio)."
    )
    return "\n".join(lines)


def group_sentence(summary: dict) -> str:
    """Say in one line what the group tests of a run found and what kind of statement it is."""
    p = summary["spectra"]["p"]
    if p is None:
        return why_untested(summary)
    kind = (
        "exact under exchangeability within pairs"
        if summary["exact"]
        else "descriptive: training used the labels"
    )
    return f"Gradient spectra: p = {style.format_p(p)} (P = {summary['labelings']} labelings, {kind})."
