"""What is drawn is what the tables hold, and it can be read."""

import itertools
import json
import re
import shutil

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.collections import QuadMesh
from scipy import stats

from autospec.figures.conditions import draw_conditions
from autospec.figures.effects import draw_effects
from autospec.figures.epochs import draw_epochs
from autospec.figures.groups import draw_groups
from autospec.figures.learning import draw_learning
from autospec.figures.spectra import QUANTITIES, apart, draw_spectra
from autospec.figures.trajectories import draw_trajectories

DRAWN = (
    "spectra", "learning", "trajectories", "groups", "descriptive", "effects", "epochs", "task", "activation", "shape",
)  # fmt: skip
GROUP_FILES = ("cells.tsv", "layers.tsv", "stability.tsv", "overall.json")

@pytest.fixture(scope="module")
def drawings(records, levels, group_tables, comparisons):
    def groups(task):
        folder = group_tables[task]
        return draw_groups(records[task], *(folder / name for name in GROUP_FILES))

    drawn = {
        "spectra": draw_spectra(records["autoencoding"]),
        "learning": draw_learning(records["autoencoding"]),
        "groups": groups("autoencoding"),
        "descriptive": groups("classification"),
        "trajectories": draw_trajectories(records["autoencoding"]),
        "effects": draw_effects(*(group_tables["autoencoding"] / name for name in ("cells.tsv", "overall.json"))),
        "epochs": draw_epochs(
            records["autoencoding"], *(group_tables["autoencoding"] / name for name in ("epochs.tsv", "overall.json"))
        ),
    }
    for compared, folder in comparisons.items():
        drawn[compared] = draw_conditions(levels[compared], folder / "cells.tsv", folder / "overall.json")
    for figure, _ in drawn.values():
        figure.canvas.draw()
    return drawn


def rows(paths, name):
    """One table of all seeds, read without the library."""
    frames = [
        pq.read_table(path.parent / f"{name}.parquet").to_pandas().assign(seed=seed)
        for seed, path in enumerate(paths)
    ]
    return pd.concat(frames)


def meshes(figure):
    return [next(c for c in axis.collections if isinstance(c, QuadMesh)) for axis in figure.axes[:4]]


def test_spectra_are_geometric_means_over_seeds(drawings, records):
    figure, table = drawings["spectra"]
    frame = rows(records["autoencoding"], "spectra")
    row = frame[
        (frame["layer"] == "encoder.2.weight")
        & (frame["quantity"] == "gradient")
        & (frame["group"] == "patient")
    ]
    seeds = np.array(
        [
            [values[4] for values in part.sort_values("epoch")["singular_values"]]
            for _, part in row.groupby("seed")
        ]
    )
    line = next(line for line in figure.axes[1 * 4 + 2].lines if line.get_label() == "patient 5")
    np.testing.assert_allclose(line.get_ydata(), np.exp(np.log(seeds.astype(float)).mean(axis=0)), rtol=1e-6)
    assert list(line.get_xdata()) == [1, 2, 3, 4, 5, 6]
    behind = table.query(
        "layer == 'encoder.2.weight' and quantity == 'gradient' and group == 'patient' and index == 5"
    )
    np.testing.assert_allclose(behind["mean"], line.get_ydata())
    np.testing.assert_allclose(behind["low"], seeds.min(axis=0), rtol=1e-6)
    np.testing.assert_allclose(behind["high"], seeds.max(axis=0), rtol=1e-6)


def test_every_index_has_its_number_beside_the_lines_and_none_covers_another(drawings):
    figure, table = drawings["spectra"]
    for axis, (layer, quantity) in zip(
        figure.axes, itertools.product(dict.fromkeys(table.sort_values("depth")["layer"]), QUANTITIES), strict=True
    ):
        there = table[(table["layer"] == layer) & (table["quantity"] == quantity)]["index"].unique()
        numbers = [text.get_text() for text in axis.texts if text.get_text().isdigit()]
        assert sorted(map(int, numbers)) == sorted(there)


@given(st.lists(st.floats(0, 1), max_size=6))
def test_numbers_are_moved_apart_and_keep_their_order(heights):
    moved = apart(heights, 0.12)
    assert all(-1e-9 <= height <= 1 + 1e-9 for height in moved)
    for one, other in itertools.combinations(range(len(heights)), 2):
        assert abs(moved[one] - moved[other]) >= 0.12 - 1e-9
        assert heights[one] == heights[other] or (heights[one] < heights[other]) == (moved[one] < moved[other])


def test_layers_are_drawn_in_the_order_of_the_forward_pass(drawings):
    names = [axis.get_title(loc="left") for axis in drawings["spectra"][0].axes]
    layers = [
        f"{name}.weight"
        for name in ("encoder.0", "encoder.2", "encoder.4", "decoder.0", "decoder.2", "decoder.4")
    ]
    assert [name for name in names if name] == layers


def test_learning_curves_are_means_over_seeds(drawings, records):
    figure, _ = drawings["learning"]
    frame = rows(records["autoencoding"], "metrics")
    row = frame[(frame["metric"] == "loss") & (frame["part"] == "test") & (frame["group"] == "control")]
    axis = next(axis for axis in figure.axes if axis.get_title() == "loss, test")
    line = next(line for line in axis.lines if line.get_label() == "control")
    np.testing.assert_allclose(line.get_ydata(), row.groupby("epoch")["value"].mean())
    lines = {axis.get_title(): [line.get_ydata()[0] for line in axis.lines if line.get_gid() == "nothing learned"]
             for axis in figure.axes}  # fmt: skip
    assert lines["loss, test"] == [] and lines["explained variance, test"] == [0.0]
    titles = [axis.get_title() for axis in figure.axes]
    assert titles == ["loss, train", "loss, test", "explained variance, train", "explained variance, test"]


def test_accuracy_has_a_line_where_guessing_among_its_classes_would_be(records, tmp_path):
    path = records["classification"][0]
    shutil.copytree(path.parent, tmp_path / "seed-0")
    record = json.loads(path.read_text()) | {"classes": ["a", "b", "c", "d"]}
    (tmp_path / "seed-0" / "run.json").write_text(json.dumps(record))
    figure, _ = draw_learning([tmp_path / "seed-0" / "run.json"])
    for part in ("train", "test"):
        axis = next(axis for axis in figure.axes if axis.get_title() == f"balanced accuracy, {part}")
        assert [line.get_ydata()[0] for line in axis.lines if line.get_gid() == "nothing learned"] == [0.25]
    assert "Balanced accuracy: the mean share" in " ".join(text.get_text() for text in figure.texts)


def test_the_map_of_ratios_holds_log2_of_the_tables_effects(drawings, group_tables):
    cells = pd.read_csv(group_tables["autoencoding"] / "cells.tsv", sep="\t")
    ratio = cells[cells["statistic"] == "spectral_ratio"].sort_values(["depth", "index"])
    drawn = np.asarray(meshes(drawings["groups"][0])[0].get_array())
    np.testing.assert_allclose(drawn.ravel(), np.log2(ratio["effect"]), atol=1e-9)
    low, high = meshes(drawings["groups"][0])[0].get_clim()
    assert low == -high


def test_the_map_of_gradient_differences_holds_z_and_the_frobenius_norm_comes_first(drawings, group_tables):
    cells = pd.read_csv(group_tables["autoencoding"] / "cells.tsv", sep="\t")
    z = cells[cells["statistic"] == "gradient_difference"].sort_values(["depth", "index"])["z"]
    axis = drawings["groups"][0].axes[1]
    np.testing.assert_allclose(np.asarray(meshes(drawings["groups"][0])[1].get_array()).ravel(), z)
    assert [label.get_text() for label in axis.get_xticklabels()] == ["F", *map(str, range(1, 11))]


def test_the_map_by_epoch_is_the_ratio_of_geometric_means(drawings, records):
    frame = rows(records["autoencoding"], "spectra")
    frame = frame[(frame["quantity"] == "gradient") & (frame["layer"] == "decoder.2.weight")]
    logs = frame.assign(log=[np.log2(float(values[0])) for values in frame["singular_values"]])
    means = logs.pivot_table(index="epoch", columns="group", values="log", observed=True)
    drawn = np.asarray(meshes(drawings["groups"][0])[2].get_array())[4]
    np.testing.assert_allclose(drawn, means["patient"] - means["control"], atol=1e-6)


def test_marks_stand_at_the_significant_cells_and_nowhere_else(drawings, group_tables):
    cells = pd.read_csv(group_tables["autoencoding"] / "cells.tsv", sep="\t")
    ratio = cells[(cells["statistic"] == "spectral_ratio") & cells["significant"]]
    marks = next(c for c in drawings["groups"][0].axes[0].collections if c.get_gid() == "significant")
    expected = {
        (index - 1.0, float(depth)) for index, depth in zip(ratio["index"], ratio["depth"], strict=True)
    }
    assert {tuple(place) for place in marks.get_offsets().tolist()} == expected
    assert expected


def test_each_layer_has_its_p_beside_it(drawings, group_tables):
    layers = pd.read_csv(group_tables["autoencoding"] / "layers.tsv", sep="\t")
    ratio = layers[layers["statistic"] == "spectral_ratio"].sort_values("depth")
    texts = {text.get_position()[1]: text for text in drawings["groups"][0].axes[0].texts}
    assert [texts[depth].get_text() for depth in range(6)] == [f"{p:.3f}" for p in ratio["p"]]
    bold = [texts[depth].get_fontweight() == "bold" for depth in range(6)]
    assert bold == list(ratio["q"] <= 0.05)


def test_indices_that_a_layer_lacks_are_left_empty(drawings):
    head = np.ma.getmaskarray(meshes(drawings["descriptive"][0])[0].get_array())[3]
    assert list(head) == [False] * 2 + [True] * 8


def test_the_note_says_whether_p_is_exact_or_descriptive_and_names_the_family(drawings, group_tables):
    for name, task, word in (
        ("groups", "autoencoding", "exact"),
        ("descriptive", "classification", "descriptive"),
    ):
        overall = json.loads((group_tables[task] / "overall.json").read_text())
        note = " ".join(text.get_text() for text in drawings[name][0].texts).replace("\n", " ")
        assert word in note
        loss = overall["statistics"]["group_loss"]["p"]
        assert f"Gradient spectra: p = {overall['spectra']['p']:.3f} (P = 100 labelings" in note
        assert re.search(rf"Yardstick, mean loss, patient minus control: [0-9.]+, p = {loss:.3f}\.", note)
        assert overall["family"] in note


def test_rings_stand_where_the_corrected_test_over_trainings_rejects(drawings, group_tables):
    table = pd.read_csv(group_tables["autoencoding"] / "stability.tsv", sep="\t")
    figure, behind = drawings["groups"]
    stable = stats.false_discovery_control(table["p_corrected"]) <= 0.05
    expected = {(row.index_ - 1.0, float(row.depth)) for row in
                table.rename(columns={"index": "index_"})[stable].itertuples()}  # fmt: skip
    marks = next(c for c in figure.axes[3].collections if c.get_gid() == "significant")
    assert {tuple(place) for place in marks.get_offsets().tolist()} == expected
    # Some are left out by the correction for overlapping training people, which the plain t test calls.
    assert expected and len(expected) < (table["q"] <= 0.05).sum()
    assert (behind.loc[behind["panel"] == "stability", "significant"] == stable).all()
    note = " ".join(text.get_text() for text in figure.texts).replace("\n", " ")
    assert f"Family of d: {len(table)} cells (layer and index), corrected by BH at 0.05" in note


def maps(figure):
    """The maps of a figure by row, without the colour bars."""
    return [axis for axis in figure.axes if any(c.get_gid() == "significant" for c in axis.collections)]


def test_maps_of_epoch_by_index_hold_the_spectra_and_the_tests_of_every_epoch(drawings, records, group_tables):
    axes = maps(drawings["epochs"][0])
    assert len(axes) == 6 * 4
    drawn = [np.asarray(next(c for c in axis.collections if isinstance(c, QuadMesh)).get_array()) for axis in axes[4:8]]
    frame = rows(records["autoencoding"], "spectra")
    frame = frame[(frame["quantity"] == "gradient") & (frame["layer"] == "encoder.2.weight")]
    for values, group in zip(drawn, ("control", "patient"), strict=False):
        logs = [
            np.log10(np.stack(list(part.sort_values("epoch")["singular_values"]))[:, :10].astype(float))
            for _, part in frame[frame["group"] == group].groupby("seed")
        ]
        np.testing.assert_allclose(values, np.mean(logs, axis=0).T, atol=1e-6)
    tests = pd.read_csv(group_tables["autoencoding"] / "epochs.tsv", sep="\t")
    tests = tests[tests["layer"] == "encoder.2.weight"]
    ratio = tests[tests["statistic"] == "spectral_ratio"].pivot(index="index", columns="epoch", values="estimate")
    np.testing.assert_allclose(drawn[2], ratio / np.log(2))
    z = tests[tests["statistic"] == "gradient_difference"].pivot(index="index", columns="epoch", values="z")
    np.testing.assert_allclose(drawn[3], z)


def test_dots_stand_at_the_cells_that_are_significant_in_the_whole_map(drawings, group_tables):
    tests = pd.read_csv(group_tables["autoencoding"] / "epochs.tsv", sep="\t")
    significant = tests[(tests["statistic"] == "spectral_ratio") & tests["significant"]]
    # The truth differs in the layers of depth 1 and 4.
    assert {1, 4} <= set(significant["depth"])
    for depth, axis in enumerate(maps(drawings["epochs"][0])[2::4]):
        dots = next(c for c in axis.collections if c.get_gid() == "significant").get_offsets()
        here = significant[significant["depth"] == depth]
        assert {tuple(dot) for dot in np.asarray(dots)} == set(
            zip(here["epoch"] - 1.0, here["index"] - 1.0, strict=True)
        )


def test_epochs_without_labelings_stay_grey_and_the_others_in_their_place(records, group_tables, tmp_path):
    folder = group_tables["autoencoding"]
    tests = pd.read_csv(folder / "epochs.tsv", sep="\t")
    tests[tests["epoch"].isin([2, 5])].to_csv(tmp_path / "epochs.tsv", sep="\t", index=False)
    figure, _ = draw_epochs(records["autoencoding"], tmp_path / "epochs.tsv", folder / "overall.json")
    mesh = next(c for c in maps(figure)[2].collections if isinstance(c, QuadMesh)).get_array()
    assert mesh.shape[1] == 6
    assert [column for column in range(6) if not np.ma.getmaskarray(mesh)[:, column].all()] == [1, 4]


def test_trajectories_are_means_over_seeds_with_their_range(drawings, records):
    figure, table = drawings["trajectories"]
    frame = rows(records["autoencoding"], "spectra")
    frame = frame[
        (frame["quantity"] == "gradient") & (frame["layer"] == "encoder.0.weight") & (frame["group"] == "control")
    ]
    frame = frame[frame["epoch"] == 4].sort_values("seed")
    s = np.stack(list(frame["singular_values"])).astype(float)
    cases = {"s2": s[:, 1], "nuclear_norm": s.sum(axis=1), "stable_rank": (s**2).sum(axis=1) / s[:, 0] ** 2}
    for name, values in cases.items():
        row = table.query("name == @name and layer == 'encoder.0.weight' and group == 'control' and epoch == 4").iloc[0]
        mean = values.mean() if name == "stable_rank" else stats.gmean(values)
        np.testing.assert_allclose(row[["mean", "low", "high"]].astype(float), [mean, values.min(), values.max()], 1e-6)
        assert row["band"] == "range"
    line = next(line for line in figure.axes[1].lines if line.get_label() == "control")
    assert line.get_ydata()[3] == pytest.approx(stats.gmean(cases["s2"]), rel=1e-6)
    note = " ".join(text.get_text() for text in figure.texts).replace("\n", " ")
    assert "bands: the range over trainings (an interval of the mean wants 4)" in note


def test_a_wide_band_does_not_flatten_the_lines(records, tmp_path):
    paths = []
    for seed, path in enumerate(records["autoencoding"]):
        folder = tmp_path / f"seed-{seed}"
        shutil.copytree(path.parent, folder)
        table = pq.read_table(folder / "spectra.parquet")
        # One training's values are ten decades smaller.
        frame = table.to_pandas()
        frame["singular_values"] = [s * np.float32(1e-10 if seed == 1 else 1) for s in frame["singular_values"]]
        smaller = pa.Table.from_pandas(frame, schema=table.schema, preserve_index=False)
        pq.write_table(smaller, folder / "spectra.parquet")
        paths.append(folder / "run.json")
    figure, _ = draw_trajectories(paths)
    for axis in figure.axes:
        scale = np.log if axis.get_yscale() == "log" else np.asarray
        heights = scale(np.concatenate([line.get_ydata() for line in axis.lines]))
        low, high = scale(axis.get_ylim())
        assert low <= heights.min() and heights.max() <= high
        assert np.ptp(heights) > 0.3 * (high - low)


def test_effects_of_groups_stand_over_the_middle_of_the_labelings(drawings, group_tables, records):
    figure, table = drawings["effects"]
    cells = pd.read_csv(group_tables["autoencoding"] / "cells.tsv", sep="\t")
    axis = next(axis for axis in figure.axes if axis.get_title() == "ratio of s2")
    here = cells[(cells["statistic"] == "spectral_ratio") & (cells["index"] == 2)]
    dots = {line.get_gid(): line for line in axis.lines if line.get_gid()}
    assert len(dots) == 6
    for row in here.itertuples():
        np.testing.assert_allclose(dots[row.layer].get_xdata(), [row.effect])
        assert (dots[row.layer].get_markerfacecolor() == "black") == row.significant
    # The bar of one layer from the labelings themselves.
    frame = rows(records["autoencoding"], "labelings")
    frame = frame[frame["layer"] == "encoder.0.weight"]
    logs = {
        group: frame[frame["group"] == group]
        .assign(log=lambda part: [np.log(float(s[1])) for s in part["singular_values"]])
        .groupby("labeling")["log"].mean()
        for group in ("control", "patient")
    }  # fmt: skip
    expected = np.exp(np.quantile(logs["patient"] - logs["control"], [0.025, 0.975]))
    bar = table[(table["name"] == "ratio of s2") & (table["layer"] == "encoder.0.weight")].iloc[0]
    np.testing.assert_allclose([bar["null_low"], bar["null_high"]], expected, rtol=1e-5)


def test_stability_is_called_by_its_name(drawings):
    title = drawings["groups"][0].axes[3].get_title(loc="left")
    assert "Stability over trainings, not a group test" in title


@pytest.mark.parametrize("name", DRAWN)
def test_simulated_runs_say_so_on_the_face_and_in_the_table(drawings, name):
    figure, table = drawings[name]
    assert [text.get_text() for text in figure.texts].count("Simulated data") == 1
    assert table["simulated"].dtype == bool and table["simulated"].all()


def test_figures_and_tables_of_measured_people_are_not_called_simulated(records, group_tables, comparisons, tmp_path):
    measured = {}
    for task, paths in records.items():
        folder = tmp_path / paths[0].parents[1].name / "seed-0"
        shutil.copytree(paths[0].parent, folder)
        record = json.loads(paths[0].read_text()) | {"simulated": False}
        (folder / "run.json").write_text(json.dumps(record))
        measured[task] = [folder / "run.json"]
    overall = json.loads((comparisons["task"] / "overall.json").read_text()) | {"simulated": False}
    (tmp_path / "overall.json").write_text(json.dumps(overall))
    one = measured["autoencoding"]
    drawn = [
        draw_spectra(one),
        draw_learning(one),
        draw_conditions(measured, comparisons["task"] / "cells.tsv", tmp_path / "overall.json"),
        draw_groups(one, *(group_tables["autoencoding"] / name for name in GROUP_FILES)),
    ]
    for figure, table in drawn:
        assert not any("imulated" in text.get_text() for text in figure.texts)
        assert table["simulated"].dtype == bool and not table["simulated"].any()


@pytest.mark.parametrize("name", DRAWN)
def test_nothing_overlaps_and_nothing_leaves_the_page(drawings, name):
    figure, _ = drawings[name]
    page = figure.bbox
    for axis in figure.axes:
        low, high = sorted(axis.get_ylim())
        labels = [label for label in axis.get_yticklabels() if low <= label.get_position()[1] <= high]
        groups = [[label for label in axis.get_xticklabels() if label.get_text()], labels, list(axis.texts)]
        for texts in groups:
            boxes = [text.get_window_extent() for text in texts if text.get_text() and text.get_visible()]
            for position, box in enumerate(boxes):
                assert page.x0 - 1 <= box.x0 and box.x1 <= page.x1 + 1
                assert not any(box.overlaps(other) for other in boxes[position + 1 :])
    heads = [text.get_window_extent() for text in figure.texts if text.get_text()]
    for position, box in enumerate(heads):
        assert page.x0 <= box.x0 and box.x1 <= page.x1
        assert not any(box.overlaps(other) for other in heads[position + 1 :])


def test_a_diverged_seed_is_left_out(records, tmp_path):
    folder = tmp_path / "run" / "seed-0"
    folder.mkdir(parents=True)
    record = json.loads(records["autoencoding"][0].read_text()) | {"status": "diverged", "seed": 9}
    (folder / "run.json").write_text(json.dumps(record))
    figure, with_it = draw_learning([folder / "run.json", *records["autoencoding"]])
    without = draw_learning(records["autoencoding"])[1]
    pd.testing.assert_frame_equal(with_it, without)
    words = " ".join(text.get_text() for text in figure.texts).replace("\n", " ")
    assert "1 of 4 trainings diverged and are left out." in words


@pytest.mark.parametrize("draw", [draw_learning, draw_spectra, draw_trajectories])
def test_a_run_of_which_every_training_diverged_says_so_instead_of_being_drawn(draw, records, tmp_path):
    record = json.loads(records["autoencoding"][0].read_text()) | {"status": "diverged"}
    (tmp_path / "run.json").write_text(json.dumps(record))
    figure, table = draw([tmp_path / "run.json"])
    words = " ".join(text.get_text() for text in figure.texts).replace("\n", " ")
    assert "Every training diverged. Lower `learning_rate`" in words and "Simulated data" in words
    assert table.empty and list(table) == list(draw(records["autoencoding"])[1])
