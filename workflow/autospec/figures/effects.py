"""Effect sizes of the group tests, layer by layer, beside what relabelling alone gives."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from autospec.figures import style
from autospec.figures.frames import layers_in_order
from autospec.figures.groups import group_sentence
from autospec.tables import read_json, read_tsv

#: (statistic, index) and its name here.
SHOWN = {
    ("spectral_ratio", 1): "ratio of s1",
    ("spectral_ratio", 2): "ratio of s2",
    ("spectral_ratio", 5): "ratio of s5",
    ("gradient_difference", 0): "difference, Frobenius norm",
    ("gradient_difference", 1): "difference, s1",
}
_COLUMNS = [
    "name", "layer", "depth", "effect", "effect_low", "effect_high", "null_low", "null_high", "p", "q", "significant",
    "n_pairs", "n_seeds",
]  # fmt: skip


def draw_effects(cells: str | Path, overall: str | Path) -> tuple[Figure, pd.DataFrame]:
    """Draw the true labels' effect in each layer over the middle 95 % of the labelings.

    Parameters
    ----------
    cells, overall : path
        The tables of the group tests.

    Returns
    -------
    figure : Figure
    table : DataFrame
        Columns name, layer, depth, effect, its 95 % interval effect_low to effect_high, null_low, null_high (ratios:
        of the groups' singular values, or of the difference to its usual size under relabelling), p, q,
        significant, n_pairs, n_seeds, simulated.
    """
    summary, cells = read_json(overall), read_tsv(cells)
    if not summary["seeds"]:
        return style.nothing_finished("Group effects by layer", summary, _COLUMNS)
    names = [SHOWN.get(key) for key in zip(cells["statistic"], cells["index"], strict=True)]
    table = cells.assign(name=names).dropna(subset="name").reset_index(drop=True)
    # The effect is exp(estimate) but for a constant; the range of the labelings takes the same one.
    shift = np.log(table["effect"]) - table["estimate"]
    table["null_low"], table["null_high"] = (np.exp(table[name] + shift) for name in ("null_low", "null_high"))
    table = table[_COLUMNS]
    order = layers_in_order(table)
    keys = [
        Line2D([], [], color="black", marker="o", linestyle="", label="true labels, significant after correction"),
        Line2D([], [], color="black", marker="o", linestyle="", markerfacecolor="white", label="not significant"),
        Line2D([], [], color=style.MISSING, linewidth=4, label="middle 95 % of the labelings"),
    ]
    reference, other = summary["groups"]
    note = (
        f"{group_sentence(summary)} Ratios: {other} over {reference}; differences: over their usual size under "
        f"relabelling. Family: {summary['family']}."
    )
    title = f"Group effects by layer: {style.run_title(summary)}"
    figure = style.new_figure(style.TWO_COLUMNS, 14 + 4.2 * max(3, len(order)), title, note, keys)
    if summary["simulated"]:
        style.mark_simulated(figure)
    shown = [name for name in SHOWN.values() if (table["name"] == name).any()]
    axes = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for axis, name in zip(axes, shown, strict=True):
        axis.axvline(1, color=style.ALL, linewidth=0.6, zorder=0)
        for row in table[table["name"] == name].itertuples():
            place = order.index(row.layer)
            axis.plot([row.null_low, row.null_high], [place, place], color=style.MISSING, linewidth=4, zorder=1)
            face = "black" if row.significant else "white"
            axis.plot(row.effect, place, "o", color="black", markerfacecolor=face, gid=row.layer, zorder=2)
        axis.set_xscale("log", base=2)
        low, high = axis.get_xlim()
        axis.xaxis.set_major_locator(style.MaxNLocator(nbins=4))
        axis.set_xlim(low, high)
        axis.xaxis.set_major_formatter(style.FuncFormatter(lambda tick, _: f"{tick:.3g}"))
        axis.minorticks_off()
        axis.set_title(name)
        axis.set_xlabel("ratio")
    axes[0].set_yticks(range(len(order)), order)
    axes[0].set_ylim(len(order) - 0.5, -0.5)
    return figure, table.assign(simulated=summary["simulated"])
