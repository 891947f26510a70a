"""The people and the data of one data set: groups, outliers, connectivity; nobody can be told from it."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator

from autospec.figures import style
from autospec.tables import read_tsv

_QUANTILES = ("q05", "q25", "median", "q75", "q95")
_MOST_PANELS = 6
#: Sources whose rows are images.
IMAGES = ("digits", "mnist")
_UNITS = {
    "age": "age (years)",
    "motion": "motion (mm)",
    "head_size": "head size (dm³)",
    "mean_fd": "mean FD (mm)",
    "tsnr": "tSNR",
}


def draw_quality(
    name: str, measures: str | Path, features: str | Path, connectivity: str | Path, source: str = ""
) -> tuple[Figure, pd.DataFrame]:
    """Draw the measures of people by group, the spread of the features, and functional connectivity.

    Parameters
    ----------
    name : str
        The data set's.
    measures, features, connectivity : path
        The tables of the rule `quality`; the last has no rows where the data are no time courses.
    source : str
        Where the data are from, in the configuration's words: images are not called people.

    Returns
    -------
    figure : Figure
    table : DataFrame
        What is drawn: panel, item, group, stage, quantity, value, simulated.
    """
    measures, features, matrix = (read_tsv(path) for path in (measures, features, connectivity))
    groups = list(dict.fromkeys(measures["group"])) or ["reference", "other"]
    # A count that is 0 for nearly everyone makes no box; it stands in the tables.
    spread = measures[measures["q75"] > measures["q25"]]
    shown = list(dict.fromkeys(spread["variable"]))[:_MOST_PANELS]
    ranked = features.assign(reach=features["maximum"] - features["minimum"]).sort_values("reach", kind="stable")
    simulated = bool(features["simulated"].iloc[0])
    colours = dict(zip(groups, (style.REFERENCE, style.OTHER), strict=False))

    who = "images" if source in IMAGES else "people"
    what = "columns of pixels, each by its mean over rows" if source in IMAGES else "features"
    if len(matrix):
        what = "components, each by its mean correlation with the others"
    flat = int((ranked["maximum"] <= ranked["minimum"]).sum())
    foot = [
        f"Distance of {who} from the median in robust standard deviations, by its range: {len(ranked)} {what}; "
        f"{int((ranked['outliers'] > 0).sum())} have values beyond 5 (dotted)."
        + (f" {flat} without a spread: more than half of their values are equal (crosses)." if flat else "")
    ]
    if shown:
        foot.insert(0, f"Boxes: the middle half of the {who}, lines 5 to 95 %; pale: everyone, full: those paired.")
    if len(matrix):
        foot.append(
            "Connectivity: mean correlation over those paired; the difference is of Fisher's z; 1 % of the component "
            "pairs lie beyond the colours."
        )
    heights = [*([30] if shown else []), 34, *([52] if len(matrix) else [])]
    keys = [Line2D([], [], color=colour, linewidth=3, label=group) for group, colour in colours.items()]
    title = f"{who.capitalize()} and data: {name}"
    figure = style.new_figure(style.TWO_COLUMNS, sum(heights), title, " ".join(foot), keys if shown else None)
    if simulated:
        style.mark_simulated(figure)
    parts = iter(np.atleast_1d(figure.subfigures(len(heights), 1, height_ratios=heights)))
    if shown:
        _draw_measures(next(parts), measures, shown, colours)
    _draw_features(next(parts), ranked, who)
    if len(matrix):
        _draw_connectivity(next(parts), matrix, groups)
    return figure, _table(measures, shown, features, matrix, groups).assign(simulated=simulated)


def _draw_measures(part, measures: pd.DataFrame, shown: list[str], colours: dict[str, str]) -> None:
    axes = part.subplots(1, max(len(shown), 3), squeeze=False)[0]
    for axis, variable in zip(axes, shown, strict=False):
        places, labels = [], []
        for position, group in enumerate(colours):
            for shift, stage, alpha in ((-0.2, "everyone", 0.3), (0.2, "paired", 1.0)):
                rows = measures[
                    (measures["variable"] == variable) & (measures["group"] == group) & (measures["stage"] == stage)
                ]
                for row in rows.to_dict("records"):
                    low, first, middle, third, high = (row[quantile] for quantile in _QUANTILES)
                    place = position + shift
                    axis.plot([place, place], [low, high], color=colours[group], alpha=alpha, linewidth=0.8)
                    axis.add_patch(_box(place, first, third, colours[group], alpha))
                    axis.plot([place - 0.14, place + 0.14], [middle, middle], color="white", linewidth=1.0)
            places.append(position)
            labels.append(group)
        axis.set_xticks(places, labels)
        axis.set_xlim(-0.5, len(colours) - 0.5)
        axis.set_title(_UNITS.get(variable, variable.replace("_", " ")))
        if variable == "head_size":
            axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 1e6:.2f}"))
    for axis in axes[len(shown) :]:
        axis.set_axis_off()


def _box(place: float, low: float, high: float, colour: str, alpha: float):
    return Rectangle((place - 0.14, low), 0.28, high - low, facecolor=colour, alpha=alpha, linewidth=0)


def _draw_features(part, ranked: pd.DataFrame, who: str) -> None:
    axis = part.subplots()
    edges = np.arange(len(ranked) + 1) + 0.5
    for low, high, alpha in (("minimum", "maximum", 0.15), ("q05", "q95", 0.3), ("q25", "q75", 0.6)):
        # The last step needs its height once more to have a width.
        below, above = (np.append(ranked[name], ranked[name].iloc[-1]) for name in (low, high))
        axis.fill_between(edges, below, above, color=style.ALL, alpha=alpha, linewidth=0, step="post")
    for limit in (-5, 5):
        axis.axhline(limit, color="black", linewidth=0.6, linestyle=":")
    axis.set_yscale("symlog", linthresh=5)
    axis.set_yticks([-100, -5, 0, 5, 100], ["−100", "−5", "0", "5", "100"])
    axis.minorticks_off()
    reach = max(float(np.abs(ranked[["minimum", "maximum"]].to_numpy()).max()), 6.0)
    axis.set_ylim(-1.2 * reach, 1.2 * reach)
    axis.set_xlim(0.5, len(ranked) + 0.5)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_xlabel("feature, by range")
    flat = np.flatnonzero(ranked["maximum"] <= ranked["minimum"]) + 1
    axis.scatter(flat, np.zeros(len(flat)), s=8, marker="x", color="black", linewidths=0.7, gid="no spread")
    axis.set_ylabel("robust z")
    axis.set_title(f"Features: all {who}, 5 to 95 %, middle half; axis linear to 5, logarithmic beyond")


def _draw_connectivity(part, matrix: pd.DataFrame, groups: list[str]) -> None:
    axes = part.subplots(1, 3)
    names = list(dict.fromkeys([*matrix["first"], *matrix["second"]]))
    place = {name: position for position, name in enumerate(names)}
    rows, columns = matrix["first"].map(place).to_numpy(), matrix["second"].map(place).to_numpy()
    for axis, quantity, title in zip(
        axes, ("reference", "other", "difference"), (*groups, f"{groups[1]} minus {groups[0]}"), strict=True
    ):
        image = np.full((len(names), len(names)), np.nan)
        image[rows, columns] = image[columns, rows] = matrix[quantity]
        scale = ["difference"] if quantity == "difference" else ["reference", "other"]
        reach = max(float(np.quantile(np.abs(matrix[scale].to_numpy()), 0.99)), 1e-6)
        drawn = axis.imshow(image, cmap=style.GROUP_MAP, vmin=-reach, vmax=reach, interpolation="nearest")
        axis.set_title(title)
        axis.set_xticks([0, len(names) - 1], [1, len(names)])
        axis.set_yticks([0, len(names) - 1], [1, len(names)])
        axis.set_xlabel("component")
        bar = part.colorbar(drawn, ax=axis, shrink=0.8, aspect=18, extend="both")
        bar.set_label("difference of z" if quantity == "difference" else "correlation")
        bar.outline.set_visible(False)


def _table(measures, shown, features, matrix, groups) -> pd.DataFrame:
    drawn = measures[measures["variable"].isin(shown)].rename(columns={"variable": "item"})
    parts = [
        drawn.melt(["item", "group", "stage"], list(_QUANTILES), "quantity", "value").assign(panel="measures"),
        features.rename(columns={"feature": "item"})
        .melt(["item"], ["minimum", "q05", "q25", "q75", "q95", "maximum", "outliers"], "quantity", "value")
        .assign(panel="features", group="all", stage="everyone"),
    ]
    if len(matrix):
        pairs = matrix.assign(item=matrix["first"].astype(str) + " with " + matrix["second"].astype(str))
        names = {"reference": groups[0], "other": groups[1], "difference": "difference"}
        parts.append(
            pairs.melt(["item"], list(names), "group", "value")
            .replace({"group": names})
            .assign(panel="connectivity", stage="paired", quantity="correlation")
        )
    columns = ["panel", "item", "group", "stage", "quantity", "value"]
    return pd.concat([part[columns] for part in parts if len(part)], ignore_index=True)
