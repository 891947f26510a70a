"""The same comparison in every network and data set, side by side."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from autospec.figures import style
from autospec.figures.conditions import HEADS, SUMMARIES, select_summaries, without_effect
from autospec.statistics.conditions import OMNIBUS, diverged
from autospec.statistics.multiplicity import adjust
from autospec.tables import read_json, read_tsv


def draw_across(overall: Sequence[str | Path]) -> tuple[Figure, pd.DataFrame]:
    """Draw the effect sizes of one kind of comparison in all networks: one row a network, one dot a layer.

    Parameters
    ----------
    overall : sequence of path
        `overall.json` of each comparison, all of one kind; `cells.tsv` lies beside each.

    Returns
    -------
    figure : Figure
    table : DataFrame
        Columns row (data set, network and what else is fixed), pair, layer, depth, name (summary), effect,
        effect_low, effect_high, p, q (over all that the figure shows), significant, family, n_seeds, few_seeds,
        n_diverged, simulated.
    """
    summaries = [read_json(path) for path in overall]
    compared = summaries[0]["compared"]
    rows, frames = [], []
    for path, summary in zip(map(Path, overall), summaries, strict=True):
        data = summary["dataset"] + (" (simulated)" if summary["simulated"] else "")
        row = style.run_title({**summary, "dataset": data, compared: ""})
        rows.append(row)
        cells = read_tsv(path.with_name("cells.tsv"))
        if len(cells):
            frames.append(select_summaries(cells).assign(row=row))
    columns = [
        "row", "pair", "layer", "depth", "name", "effect", "effect_low", "effect_high", "p", "q", "significant",
        "family", "n_seeds", "few_seeds", "n_diverged", "simulated",
    ]  # fmt: skip
    table = pd.concat(frames, ignore_index=True)[columns] if frames else pd.DataFrame(columns=columns)
    table = table[table["pair"] != OMNIBUS].reset_index(drop=True)
    alpha, correction = summaries[0]["alpha"], summaries[0]["correction"]
    table["q"] = adjust(table["p"], correction)
    table["significant"] = table["q"] <= alpha
    table["family"] = (
        f"{table['p'].notna().sum()} tests, all that this figure shows, corrected by {correction.upper()} at {alpha:g}"
    )
    pairs = list(dict.fromkeys(table["pair"]))
    looks = dict(zip(pairs, zip(style.PAIRS, style.MARKERS, strict=True), strict=False))
    keys = [
        Line2D([], [], color=colour, marker=marker, linestyle="", label=pair.replace(" - ", " − "))
        for pair, (colour, marker) in looks.items()
    ]
    hollow = {"marker": "o", "linestyle": "", "markerfacecolor": "white"}
    keys.append(Line2D([], [], color="black", label="not significant among all of this figure", **hollow))
    title = f"{HEADS[compared]} compared in every network"
    lane = 3.4
    height = 18 + lane * max(1, len(pairs)) * len(rows)
    figure = style.new_figure(style.TWO_COLUMNS, height, title, _note(rows, summaries, table), keys)
    if all(summary["simulated"] for summary in summaries):
        style.mark_simulated(figure)
    axes = figure.subplots(1, len(SUMMARIES), sharex=True, sharey=True, squeeze=False)[0]
    offsets = dict(zip(pairs, (np.arange(len(pairs)) - (len(pairs) - 1) / 2) * 0.26, strict=True))
    for axis, name in zip(axes, SUMMARIES.values(), strict=True):
        style.effect_axis(axis, table["effect"], table["effect"], "Hedges' g_z")
        for pair, (colour, marker) in looks.items():
            part = table[(table["name"] == name) & (table["pair"] == pair)]
            y = part["row"].map(rows.index) + offsets[pair]
            face = [colour if significant else "white" for significant in part["significant"]]
            axis.scatter(part["effect"], y, s=8, marker=marker, c=face, edgecolors=colour, linewidths=0.6, gid=pair)
        for place in range(1, len(rows)):
            axis.axhline(place - 0.5, color=style.MISSING, linewidth=0.6, zorder=0)
        for place, (row, summary) in enumerate(zip(rows, summaries, strict=True)):
            if table.loc[(table["name"] == name) & (table["row"] == row), "effect"].isna().all():
                style.say(axis, place, without_effect(summary["seeds"]), axis.get_yaxis_transform())
        axis.set_title(name)
    axes[0].set_yticks(range(len(rows)), [row.replace(", ", "\n", 1) for row in rows])
    axes[0].set_ylim(len(rows) - 0.5, -0.5)
    return figure, table


def _note(rows: list[str], summaries: list[dict], table: pd.DataFrame) -> str:
    seeds = sorted({summary["seeds"] for summary in summaries})
    lines = [
        f"A dot is a layer that all conditions have, or a third of the depth: Hedges' g_z over "
        f"{' to '.join(map(str, dict.fromkeys((seeds[0], seeds[-1]))))} seeds. Filled: significant among all tests "
        "shown here. Intervals, and what is significant within one comparison, stand in its own figure."
    ]
    if len(table):
        lines.append(f"Family: {table['family'].iloc[0]}.")
    if any(summary["few_seeds"] for summary in summaries):
        lines.append("So few seeds make intervals wide, and effects that seeds agree on look huge.")
    for row, summary in zip(rows, summaries, strict=True):
        lines += [f"{row}: {sentence}" for sentence in diverged(summary["levels"])]
    return "\n".join(lines)
