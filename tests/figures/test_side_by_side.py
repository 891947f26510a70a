"""Figures over every network: what is drawn is what the tables of each hold."""

import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.stats.multitest import multipletests

from autospec.figures.across import draw_across
from autospec.figures.models import draw_cost, draw_models


def words(figure):
    return " ".join(text.get_text() for text in figure.texts).replace("\n", " ")


def test_every_layer_of_every_network_is_a_dot_at_its_effect(compared):
    figure, table = draw_across([folder / "overall.json" for folder in compared])
    axis = next(axis for axis in figure.axes if axis.get_title() == "stable rank")
    drawn = next(part for part in axis.collections if part.get_gid() == "sigmoid - relu").get_offsets()
    effects = []
    for place, folder in enumerate(compared):
        cells = pd.read_csv(folder / "cells.tsv", sep="\t")
        cells = cells[(cells["quantity"] == "gradient") & (cells["measure"] == "stable_rank")]
        effects += [(effect, place) for effect in cells["effect"]]
    np.testing.assert_allclose(np.asarray(drawn), effects)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["digits\nMLP, autoencoding", "fmri (simulated)\nLSTM, autoencoding"]
    assert "fmri (simulated), LSTM, autoencoding: 1 of 4 trainings of sigmoid diverged." in words(figure)
    # One of the two is measured, so the whole is not called simulated.
    assert "Simulated data" not in words(figure)
    assert set(table["n_seeds"]) == {3, 4}


def test_dots_are_filled_by_a_q_over_all_that_the_figure_shows(compared, tmp_path):
    """With p made up: what is significant in its own comparison may not be among all of them."""
    made, paths = np.random.default_rng(5), []
    for number, folder in enumerate(compared):
        place = tmp_path / str(number)
        place.mkdir()
        cells = pd.read_csv(folder / "cells.tsv", sep="\t")
        cells["p"] = made.uniform(size=len(cells)) ** 3
        cells.to_csv(place / "cells.tsv", sep="\t", index=False)
        (place / "overall.json").write_text((folder / "overall.json").read_text())
        paths.append(place / "overall.json")
    figure, table = draw_across(paths)
    reject, q, _, _ = multipletests(table["p"], 0.05, method="fdr_bh")
    np.testing.assert_allclose(table["q"], q)
    assert 0 < reject.sum() < len(reject) and list(table["significant"]) == list(reject)
    filled = []
    for axis in figure.axes:
        marks = next(part for part in axis.collections if part.get_gid() == "sigmoid - relu")
        filled += [face.tolist() != [1, 1, 1, 1] for face in marks.get_facecolors()]
        assert [text.get_text() for text in axis.texts] == []
    by_panel = pd.concat([table[table["name"] == axis.get_title()] for axis in figure.axes])
    assert filled == list(by_panel["significant"])
    assert f"Family: {len(table)} tests, all that this figure shows, corrected by BH at 0.05." in words(figure)


def test_networks_stand_side_by_side_with_the_interval_of_the_mean(networks):
    figure, table = draw_models([path for key, paths in networks.items() if key[2] == "relu" for path in paths])
    assert [axis.get_title() for axis in figure.axes[:2]] == ["MLP", "LSTM"]
    line = next(line for line in figure.axes[2].lines if line.get_label() == "digits")
    values = []
    for path in networks["digits", "mlp", "relu"]:
        frame = pq.read_table(path.parent / "spectra.parquet").to_pandas()
        frame = frame[(frame["quantity"] == "gradient") & (frame["group"] == "all")]
        ranks = frame["singular_values"].map(lambda s: (s.astype(float) ** 2).sum() / float(s[0]) ** 2)
        values.append([ranks[frame["layer"] == f"encoder.{k}.weight"].mean() for k in (0, 2, 4)])
    np.testing.assert_allclose(line.get_ydata()[:3], np.mean(values, axis=0))
    first = table[(table["model"] == "mlp") & (table["name"] == "stable rank")].sort_values("depth").iloc[0]
    # A stable rank is at least 1: the interval is that of a gamma regression of what lies above, with a robust error.
    beyond = np.array(values)[:, 0] - 1
    fit = sm.GLM(beyond, np.ones(4), sm.families.Gamma(sm.families.links.Log())).fit(cov_type="HC0")
    half = fit.bse[0] * np.sqrt(4 / 3) * stats.t.ppf(0.975, 3)
    limits = 1 + np.exp([fit.params[0] - half, fit.params[0] + half])
    assert (first["low"], first["high"]) == pytest.approx(tuple(limits)) and first["band"] == "95 % interval"
    assert "bands: the 95 % interval of the mean over trainings." in words(figure)
    absent = next(line for line in figure.axes[2].lines if line.get_label() == "fmri")
    assert len(absent.get_ydata()) == 0


def test_diverged_trainings_are_left_out_and_told(networks):
    figure, table = draw_models(networks["fmri", "lstm", "sigmoid"])
    assert (table["seeds"] == 3).all() and (table["diverged"] == 1).all()
    assert "fmri, LSTM: 1 of 4 trainings diverged, left out." in words(figure)
    assert "Simulated data" in words(figure)


def test_cost_is_a_dot_a_training_and_the_median_of_each_model(networks):
    paths = [path for each in networks.values() for path in each]
    figure, table = draw_cost(paths)
    shares = []
    for path in paths:
        record = json.loads(path.read_text())
        measured = record["measured"]
        if record["model"] == "lstm" and record["status"] == "finished":
            shares.append(measured["spectra_seconds"] / (measured["wall_seconds"] - measured["labelings_seconds"]))
    axis = figure.axes[0]
    drawn = np.concatenate([part.get_offsets()[:, 0] for part in axis.collections if part.get_gid() == "lstm"])
    np.testing.assert_allclose(sorted(drawn), sorted(shares))
    bars = [line.get_xdata()[0] for line in axis.lines[1:]]
    assert bars[1] == pytest.approx(np.median(shares)) and len(table) == 15


def test_nothing_leaves_the_page(networks, compared):
    paths = [path for each in networks.values() for path in each]
    drawn = (draw_across([f / "overall.json" for f in compared]), draw_models(paths[:4]), draw_cost(paths))
    for figure, _ in drawn:
        figure.canvas.draw()
        for text in figure.texts + figure.legends:
            box = text.get_window_extent()
            assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1
