"""Which inputs the first layer's gradients point to: bars, and a picture on the brain."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import matplotlib
import nibabel as nib
import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from autospec.figures import paint, style
from autospec.figures.frames import diverged_words, finished
from autospec.statistics.directions import DIFFERENCE
from autospec.tables import read_json, read_tsv
from autospec.text import counted

COLUMNS = ["layer", "group", "feature", "loading", "low", "high", "share", "n_seeds"]
#: How many features have a bar: those with the largest loadings in the difference.
SHOWN = 14
#: Neither of the groups' hues; told apart with every common form of colour blindness.
COLOURS = matplotlib.colormaps["PuOr"]


def draw_brain(
    records: Iterable[str | Path],
    directions: str | Path,
    image: str | Path | None = None,
    numbers: Mapping[str, int] | None = None,
) -> tuple[Figure, pd.DataFrame]:
    """Draw the leading direction of each group's gradients, and of their difference, in the first layer.

    Parameters
    ----------
    records : iterable of path
        The `run.json` of each seed.
    directions : path
        The table of `autospec.statistics.directions.leading_inputs`.
    image : path, optional
        The component maps (4-d) or the atlas (3-d) that the features were taken by.
    numbers : mapping of str to int, optional
        Feature -> its volume (from 0) in the maps, or its number in the atlas.

    Returns
    -------
    figure : Figure
        Desikan-Killiany regions are painted on the fsaverage5 surface, features of `image` in its volume; where
        there is neither, only bars are drawn, and the figure says what is wanting.
    table : DataFrame
        Columns ``COLUMNS`` and simulated, for every feature.
    """
    records, table = list(records), read_tsv(directions)
    first = read_json(records[0])
    if not finished(records)[1]:
        return style.nothing_finished("First layer", first, COLUMNS)
    title = f"Where the first layer's gradients point: {style.run_title(first)}"
    if table.empty:
        text = "No direction was recorded: no gradient reached the first layer, or it was never finite."
        return style.empty_figure(title, text, first["simulated"], COLUMNS)
    groups = [group for group in (*first["groups"], DIFFERENCE) if (table["group"] == group).any()]
    wide = table.pivot(index="feature", columns="group", values="loading")
    pictures, limit, on_brain = _pictures(wide, groups, image, numbers or {})
    leading = groups[-1]
    shown = wide[leading].abs().sort_values(ascending=False, kind="stable").index[:SHOWN].tolist()
    below = pictures[groups[0]] if pictures else []
    heights = [14 + 3.3 * len(shown), *[26.0] * len(below), *([7.0] if below else [])]
    # No loading is beyond 1, as an interval over two trainings may be.
    reach = min(1.0, 1.1 * float(np.nanmax(table[["loading", "low", "high"]].abs())))
    beyond = bool((table.loc[table["feature"].isin(shown), ["low", "high"]].abs() > reach).to_numpy().any())
    note = _note(table, groups, shown, beyond) + f"\n{on_brain}{diverged_words(records)}"
    figure = style.new_figure(style.TWO_COLUMNS, sum(heights), title, note)
    engine = figure.get_layout_engine()
    _, bottom, _, top = engine.get()["rect"]
    engine.set(rect=(0.012, bottom, 0.988, top))  # pictures keep their shape, so the layout ends short of long names
    if first["simulated"]:
        style.mark_simulated(figure)
    # Two columns a group, so that two pictures fit under its bars.
    grid = figure.add_gridspec(len(heights), 2 * len(groups), height_ratios=heights)
    colours = dict(zip((*first["groups"], DIFFERENCE), (style.REFERENCE, style.OTHER, style.ALL), strict=True))
    for place, group in enumerate(groups):
        axis = figure.add_subplot(grid[0, 2 * place : 2 * place + 2])
        rows = table[table["group"] == group].set_index("feature").loc[shown]
        _bars(axis, rows, colours[group], labels=place == 0, reach=reach)
        axis.set_title(f"{group}, share {rows['share'].iloc[0]:.2f}")
        for down, row in enumerate(pictures.get(group, []), start=1):
            width = 2 // len(row)
            for across, (name, pixels) in enumerate(row):
                left = 2 * place + width * across
                axis = figure.add_subplot(grid[down, left : left + width])
                axis.imshow(pixels, interpolation="antialiased", gid="brain")
                axis.set_axis_off()
                axis.set_title(name, fontsize=5.5, pad=1)
    if below:
        # The middle third of the page, whatever the number of groups.
        bar = figure.colorbar(
            ScalarMappable(Normalize(-limit, limit), COLOURS), cax=_strip(figure.add_subplot(grid[-1, :])),
            orientation="horizontal", ticks=[-limit, 0, limit],
            format=lambda value, _: f"{value:.2g}".replace("-", "−"),
        )  # fmt: skip
        bar.set_label("loading on the brain", labelpad=1)
        bar.outline.set_visible(False)
    return figure, table[COLUMNS].assign(simulated=first["simulated"])


def _strip(axis):
    """The place of a colour bar: a third of a row that is as wide as the page."""
    axis.set_axis_off()
    return axis.inset_axes((1 / 3, 0.55, 1 / 3, 0.35))


def _bars(axis, rows: pd.DataFrame, colour: str, labels: bool, reach: float) -> None:
    """One bar a feature, from the top, with its interval."""
    places = np.arange(len(rows))
    axis.barh(places, rows["loading"], color=colour, height=0.7, zorder=1)
    axis.hlines(places, rows["low"], rows["high"], color="black", linewidth=0.7, zorder=2)
    axis.axvline(0, color="black", linewidth=0.6)
    axis.set_xlim(-reach, reach)
    style.mark_beyond(axis, rows["low"], rows["high"], places)
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.set_yticks(places, [name.replace("_", " ") for name in rows.index] if labels else [""] * len(rows))
    axis.tick_params(axis="y", length=0)
    axis.xaxis.set_major_locator(style.MaxNLocator(nbins=4))
    axis.set_xlabel("loading")


def _pictures(wide, groups, image, numbers) -> tuple[dict[str, list], float, str]:
    """Rows of named pictures for each group, the end of their colours, and what stands on the brain, in words."""
    measures = paint.surface_measures(wide.index)
    if measures:
        carried = {measure: sum(wide[groups[-1]].filter(regex=f"^[lr]h_.*_{measure}$") ** 2) for measure in measures}
        measure = max(carried, key=carried.get)
        painted = {group: paint.paint_surface(wide[group], measure) for group in groups}
        limit = _limit(value for sides in painted.values() for value in sides.values())
        pictures = {
            group: [
                [
                    (f"{hemisphere}, {view}", paint.surface_picture(sides[side], side, view, limit, COLOURS))
                    for view in ("lateral", "medial")
                ]
                for side, hemisphere in paint.SIDES.items()
            ]
            for group, sides in painted.items()
        }
        others = [other for other in measures if other != measure]
        words = f"Inflated fsaverage5 surface: {measure} of the Desikan-Killiany regions, left and right, from outside "
        words += "(lateral) and from the middle (medial)."
        if others:
            words += f" Of the measures, {measure} carries most of the difference; {' and '.join(others)} and what is "
            words += "not cortex are in the table."
        return pictures, limit, words
    placed = [name for name in wide.index if name in numbers]
    if image is None or not placed:
        return {}, 0.0, (
            "No picture: the features are no Desikan-Killiany regions, and this data set names no component maps "
            "(`maps`) or atlas (`atlas`) of theirs."
        )
    volume = nib.load(image)
    painting = paint.paint_maps if len(volume.shape) == 4 and volume.shape[3] > 1 else paint.paint_regions
    painted = {
        group: painting(volume, {numbers[name]: wide.loc[name, group] for name in placed}) for group in groups
    }
    limit = _limit(one.get_fdata() for one in painted.values())
    place = paint.peak(painted[groups[-1]])
    pictures = {group: [[("", paint.volume_picture(one, place, limit, COLOURS))]] for group, one in painted.items()}
    where = ", ".join(f"{axis} = {value:.0f}" for axis, value in zip("xyz", place, strict=True))
    what = "maps, each over its largest value, times their loadings, summed" if painting is paint.paint_maps else (
        "regions with their loadings"
    )
    return pictures, limit, (
        f"Slices: {what}, at the largest value of the difference ({where} mm), over MNI152: the images are taken to be "
        "in that space."
    )


def _limit(arrays) -> float:
    return max((float(np.nanmax(np.abs(array), initial=0.0)) for array in arrays), default=0.0) or 1.0


def _note(table: pd.DataFrame, groups: list[str], shown: list[str], beyond: bool) -> str:
    seeds = int(table["n_seeds"].iloc[0])
    few = " Few seeds: intervals are wide." if seeds < 10 else ""
    few += " Arrows: they go on beyond what a loading can be." if beyond else ""
    return (
        f"Right singular vectors of {table['layer'].iloc[0]}, leading one, averaged as subspaces over steps, epochs "
        f"and {counted(seeds, 'training')}; share: how much of it they have in common, from 0 to 1. The "
        f"{len(shown)} of {table['feature'].nunique()} inputs with the largest loadings in the {groups[-1]}. Black: "
        f"95 % interval over trainings on the same people.{few} Descriptive: no test of groups. The sign of a "
        f"direction is a convention; the {len(groups)} are turned towards one another."
    )
