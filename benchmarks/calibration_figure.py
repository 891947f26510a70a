"""The figure of the calibration, from its table: docs/calibration.png."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import offset_copy

from autospec.figures import style

_LEVEL = {"color": "black", "linewidth": 0.6, "linestyle": style.DASHES[1]}
#: Points that the x axis and its label take.
_LABELS = 30
_LOOKS = {
    "spectra": ("swaps within pairs", style.REFERENCE, "o"),
    "across_seeds": ("across seeds", style.OTHER, "s"),
    "across_seeds_corrected": ("across seeds, Nadeau-Bengio", style.LEVELS[2], "D"),
}


def draw(table: pd.DataFrame, alpha: float = 0.05) -> Figure:
    """Draw the rates of the simulated cohorts.

    Parameters
    ----------
    table : DataFrame
        As from `rates.summarise`.
    alpha : float
        The level of the tests.

    Returns
    -------
    Figure
        Three panels: nothing to find (and the violations), power, a difference in one layer.
    """
    table = table[table["simulated"]].assign(layer=table["layer"].fillna(""))
    keys = [
        Line2D([], [], color=colour, marker=marker, linestyle="", label=label)
        for label, colour, marker in _LOOKS.values()
    ]
    counts = table.groupby("question")["replicates"].agg(["min", "max"])
    foot = (
        "Left: the test of all spectra together (min-p over spectral ratio and gradient difference), and whether a "
        "test across seeds calls any cell significant after Benjamini and Hochberg. Bars: 95 % intervals of Clopper "
        f"and Pearson; dashed: {alpha:g}. Cohorts a rate: "
        + "; ".join(f"{name} {low}" + (f" to {high}" if high > low else "") for name, low, high in counts.itertuples())
        + "."
    )
    nulls = table[table["question"].isin(["null", "violation"])]
    order = list(nulls.sort_values("question", kind="stable")["setting"].unique())
    height = 6.5 * len(order) + 32
    figure = style.new_figure(style.TWO_COLUMNS, height, "How often the tests of groups reject", foot, keys)
    style.mark_simulated(figure)
    left, middle, right = figure.subplots(1, 3, width_ratios=[1.3, 1, 1.2])
    _nulls(left, nulls, order)
    left.axvline(alpha, **_LEVEL)
    _power(middle, table[table["question"] == "power"])
    _places(right, table[(table["question"] == "place") & (table["layer"] != "")])
    for axis in (middle, right):
        axis.axhline(alpha, **_LEVEL)
        axis.set_ylim(-0.03, 1.03)
        axis.set_ylabel("share of cohorts that reject")
    return figure


def _nulls(axis, table: pd.DataFrame, order: list[str]) -> None:
    labels = []
    for place, setting in enumerate(order):
        part = table[table["setting"] == setting]
        first = part.iloc[0]
        mark = "violated: " if first["question"] == "violation" else ""
        labels.append(style.wrapped(f"{mark}{first['model']}, {first['text']}", 46))
        for offset, (test, (_, colour, marker)) in zip((-0.22, 0.0, 0.22), _LOOKS.items(), strict=True):
            _dots(axis, part[part["test"] == test], [place + offset], colour, marker, across=True)
    axis.set_yticks(range(len(order)), labels)
    axis.set_ylim(len(order) - 0.5, -0.5)
    axis.set_xlim(-0.03, 1.03)
    axis.set_title("nothing to find")
    axis.set_xlabel("share of cohorts that reject")


def _power(axis, table: pd.DataFrame) -> None:
    names = {"spectra": ("swaps within pairs", style.REFERENCE), "largest_t": ("largest t of an input", style.ALL)}
    for side, (test, (label, colour)) in zip((-0.02, 0.02), names.items(), strict=True):
        for dash, (people, part) in zip(("--", "-"), table[table["test"] == test].groupby("people"), strict=False):
            part = part.sort_values("planted")
            axis.plot(part["planted"], part["rate"], linestyle=dash, color=colour, label=f"{label}, {people:g} people")
            _dots(axis, part, part["planted"] + (side if dash == "-" else 2 * side), colour, "o")
    axis.set_title("groups that differ, mlp")
    axis.set_xlabel("times the published effects")
    _key(axis)


def _places(axis, table: pd.DataFrame) -> None:
    layers = sorted(table["layer"].unique())
    for number, ((text, test), part) in enumerate(table.groupby(["text", "test"], sort=False)):
        colour, marker = style.SERIES[number], style.MARKERS[number % len(style.MARKERS)]
        places = [layers.index(layer) + 0.16 * (number - 1.5) for layer in part["layer"]]
        _dots(axis, part, places, colour, marker)
        label = style.wrapped(f"{test.replace('_', ' ')}; {text}", 38)
        axis.plot([], [], marker, color=colour, label=label)
    axis.set_xticks(range(len(layers)), layers)
    axis.set_title("a difference in one layer")
    _key(axis)


def _key(axis) -> None:
    if axis.lines:
        below = offset_copy(axis.transAxes, axis.figure, y=-_LABELS, units="points")
        axis.legend(fontsize=5.5, loc="upper left", bbox_to_anchor=(0, 0), bbox_transform=below, borderaxespad=0)


def _dots(axis, rates: pd.DataFrame, places, colour: str, marker: str, across: bool = False) -> None:
    """Rates with their intervals; along the x axis if `across`."""
    error = np.abs(rates[["low", "high"]].to_numpy().T - rates["rate"].to_numpy())
    look = {"fmt": marker, "color": colour, "elinewidth": 0.7, "markersize": 2.6}
    if across:
        axis.errorbar(rates["rate"], places, xerr=error, **look)
    else:
        axis.errorbar(places, rates["rate"], yerr=error, **look)
