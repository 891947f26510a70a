"""Conditions side by side: what is drawn is what the tables hold."""

import json

import matplotlib
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from scipy import stats

from autospec.figures import style
from autospec.figures.across import draw_across
from autospec.figures.conditions import SMALLEST_SHARE, _draw_shares, draw_conditions
from autospec.statistics.conditions import compare_conditions
from autospec.tables import write_json, write_tsv

SUMMARIES = {
    "normalised effective rank": ("normalised_effective_rank", 0),
    "stable rank": ("stable_rank", 0),
    "top share": ("share", 1),
}


@pytest.fixture(scope="module")
def drawings(levels, comparisons):
    return {
        compared: draw_conditions(levels[compared], folder / "cells.tsv", folder / "overall.json")
        for compared, folder in comparisons.items()
    }


def spectra(paths, layer):
    """Gradient spectra of everyone, shape (seeds, epochs, r), read without the library."""
    seeds = []
    for path in paths:
        frame = pq.read_table(path.parent / "spectra.parquet").to_pandas()
        frame = frame[(frame["quantity"] == "gradient") & (frame["layer"] == layer) & (frame["group"] == "all")]
        seeds.append(np.stack(list(frame.sort_values("epoch")["singular_values"])))
    return np.array(seeds, dtype=float)


def read(folder):
    cells = pd.read_csv(folder / "cells.tsv", sep="\t")
    return cells[(cells["quantity"] == "gradient") & (cells["scale"] == "free")]


def note(figure):
    return " ".join(text.get_text() for text in figure.texts).replace("\n", " ")


def panel(figure, title):
    """The lowest panel of this title: effects stand below."""
    return [axis for axis in figure.axes if axis.get_title() == title][-1]


@pytest.mark.parametrize(("compared", "level"), [("task", "classification"), ("activation", "tanh")])
def test_layers_are_drawn_as_shares_of_the_sum(drawings, levels, compared, level):
    figure, _ = drawings[compared]
    values = spectra(levels[compared][level], "encoder.4.weight")
    axis = next(axis for axis in figure.axes if axis.get_title() == "encoder.4.weight")
    line = next(line for line in axis.lines if line.get_label() == level)
    expected = (values / values.sum(axis=-1, keepdims=True)).mean(axis=(0, 1))
    np.testing.assert_allclose(line.get_ydata(), expected, rtol=1e-6)


def test_shapes_are_drawn_over_their_relative_depth(drawings, levels):
    figure, table = drawings["shape"]
    axis = next(axis for axis in figure.axes if axis.get_title() == "stable rank")
    lines = {line.get_label(): line for line in axis.lines}
    np.testing.assert_allclose(lines["base"].get_xdata(), (np.arange(6) + 0.5) / 6)
    np.testing.assert_allclose(lines["deep"].get_xdata(), (np.arange(12) + 0.5) / 12)
    values = spectra(levels["shape"]["deep"], "decoder.2.weightb")
    expected = ((values**2).sum(axis=-1) / values[..., 0] ** 2).mean()
    assert lines["deep"].get_ydata()[9] == pytest.approx(expected, rel=1e-6)
    assert "Parameters: base 15,872, wide 63,488, deep 31,744." in note(figure)


def test_a_layer_with_a_narrow_spectrum_does_not_cut_the_others_off():
    """The first layer has one singular value, the second shares down to 1e-6, one of rounding and two of nothing.

    The third has no gradient.
    """
    values = {"first": [1.0], "second": [0.9, 1e-3, 1e-6, 1e-12, 0.0, 0.0], "third": [np.nan, np.nan]}
    looks = {"autoencoding": ("black", "-"), "classification": ("grey", "-")}
    shares = pd.DataFrame(
        [
            {"layer": layer, "name": task, "index": index, "mean": value, "low": value / 2, "high": value * 2}
            for layer, layer_values in values.items()
            for task in looks
            for index, value in enumerate(layer_values, start=1)
        ]
    )
    figure = style.new_figure(style.TWO_COLUMNS, 80, "Tasks")
    _draw_shares(figure, shares, list(values), 1, looks)
    for axis in figure.axes:
        low, high = axis.get_ylim()
        assert SMALLEST_SHARE / 1.01 <= low <= 5e-7 and high >= 1.0
    (alone, _) = figure.axes[0].lines
    assert alone.get_marker() == "o"
    # Each has room for what is drawn in it, and ticks at whole numbers.
    assert [axis.get_xlim() for axis in figure.axes] == [(0.5, 1.5), (0.5, 4.5), (0.5, 1.5)]
    assert all((axis.get_xticks() % 1 == 0).all() for axis in figure.axes)


def test_only_layers_of_both_tasks_are_compared(drawings):
    table = drawings["task"][1]
    assert set(table["layer"]) == {"encoder.0.weight", "encoder.2.weight", "encoder.4.weight"}


@pytest.mark.parametrize("compared", ["task", "activation", "shape"])
def test_effects_are_the_tables_with_their_intervals_and_filled_where_significant(drawings, comparisons, compared):
    cells = read(comparisons[compared])
    for title, (measure, index) in SUMMARIES.items():
        rows = cells[(cells["measure"] == measure) & (cells["index"] == index) & (cells["pair"] != "omnibus")]
        axis = panel(drawings[compared][0], title)
        dots = {line.get_gid(): line for line in axis.lines if line.get_gid()}
        assert set(dots) == {f"{row.pair}, {row.layer}" for row in rows.itertuples()}
        intervals = {tuple(line.get_xdata()) for line in axis.lines if len(line.get_xdata()) == 2}
        for row in rows.itertuples():
            dot = dots[f"{row.pair}, {row.layer}"]
            np.testing.assert_allclose(dot.get_xdata(), [row.effect])
            assert (row.effect_low, row.effect_high) in intervals
            assert (dot.get_markerfacecolor() != "white") == row.significant


def test_the_note_names_the_families_and_the_order_of_the_tests(drawings, comparisons):
    cells = read(comparisons["task"])
    assert (
        f"Family: {len(cells)} pairs of conditions in scale-free cells (layer, measure and index) of the gradient "
        "spectra, corrected by BH at 0.05." in note(drawings["task"][0])
    )
    np.testing.assert_allclose(cells["q"], stats.false_discovery_control(cells["p"]))
    text = note(drawings["activation"][0])
    assert "A pair is significant only where the test of all conditions together" in text
    assert "3 seeds are few" in text


def test_a_cell_that_does_not_reject_has_a_hollow_dot(levels, comparisons, tmp_path):
    folder = comparisons["task"]
    cells = pd.read_csv(folder / "cells.tsv", sep="\t")
    chosen = (cells["measure"] == "stable_rank") & (cells["quantity"] == "gradient")
    cells.loc[chosen, "significant"] = [True, False, True]
    cells.to_csv(tmp_path / "cells.tsv", sep="\t", index=False)
    figure, _ = draw_conditions(levels["task"], tmp_path / "cells.tsv", folder / "overall.json")
    dots = [line for line in panel(figure, "stable rank").lines if line.get_gid()]
    assert [dot.get_markerfacecolor() != "white" for dot in dots] == [True, False, True]


def test_a_comparison_in_which_nothing_finished_says_so_instead_of_drawing(levels, comparisons, tmp_path):
    folder = comparisons["task"]
    pd.read_csv(folder / "cells.tsv", sep="\t").iloc[:0].to_csv(tmp_path / "cells.tsv", sep="\t", index=False)
    overall = json.loads((folder / "overall.json").read_text())
    overall |= {"caution": "3 of 3 trainings of classification diverged, so it is left out."}
    (tmp_path / "overall.json").write_text(json.dumps(overall))
    figure, table = draw_conditions(levels["task"], tmp_path / "cells.tsv", tmp_path / "overall.json")
    assert table.empty and "classification diverged" in note(figure) and "Simulated data" in note(figure)
    assert not [child for child in figure.axes if isinstance(child, matplotlib.axes.Axes)]


def test_a_comparison_of_two_seeds_says_why_it_has_no_effects(levels, tmp_path):
    paths = {level: paths[:2] for level, paths in levels["task"].items()}
    read = {level: {path.parent: json.loads(path.read_text()) for path in seeds} for level, seeds in paths.items()}
    cells, overall = compare_conditions("task", read)
    write_tsv(cells, tmp_path / "cells.tsv")
    write_json(overall, tmp_path / "overall.json")
    figure, _ = draw_conditions(paths, tmp_path / "cells.tsv", tmp_path / "overall.json")
    for title in SUMMARIES:
        axis = panel(figure, title)
        assert [text.get_text() for text in axis.texts] == ["g_z needs 3 seeds; finished: 2"]
        assert all(np.isnan(line.get_xdata()).all() for line in axis.lines if line.get_gid())
    figure, _ = draw_across([tmp_path / "overall.json"])
    for axis in figure.axes:
        assert [text.get_text() for text in axis.texts] == ["g_z needs 3 seeds; finished: 2"]
