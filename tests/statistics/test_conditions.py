import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.anova import AnovaRM

from autospec.statistics.claims import judge_claims
from autospec.statistics.conditions import OMNIBUS, compare_conditions
from autospec.statistics.measures import THIRDS, Cell, by_third

EPOCHS = (1, 2)
LAYERS = (("encoder.0", 12), ("encoder.1", 4))


def runs(make_run, level, count, decay, scale=1.0, first=0, layers=LAYERS, field="task", diverged=(), stream=0):
    """Seeds whose spectra decay at a known rate; gives the records and the spectra by seed."""
    generator = np.random.default_rng([count, int(10 * decay), stream])
    made, curves = {}, {}
    for seed in range(first, first + count):
        spectra = {
            (layer, depth, quantity, "all"): scale
            * np.sort(np.exp(-decay * np.arange(r) + 0.1 * generator.normal(size=(2, r))))[:, ::-1]
            for depth, (layer, r) in enumerate(layers)
            for quantity in ("gradient", "adjoint", "weight")
        }
        status = "diverged" if seed in diverged else "finished"
        changes = {"seed": seed, "status": status, "parameters": 7, field: level}
        folder, record = make_run(f"{level}-{seed}", spectra={"curves": spectra, "epochs": EPOCHS}, **changes)
        made[folder] = record
        curves[seed] = spectra
    return made, curves


def measure(name, index, s):
    """A measure of one spectrum an epoch, written out."""
    return {
        "share": lambda: (s[:, index - 1] / s.sum(axis=1)).mean(),
        "log_singular_value": lambda: np.log(s[:, index - 1]).mean(),
        "normalised_effective_rank": lambda: np.exp(stats.entropy(s, axis=1)).mean() / s.shape[1],
        "stable_rank": lambda: ((s**2).sum(axis=1) / s[:, 0] ** 2).mean(),
    }[name]()


def test_two_tasks_agree_with_formulas_written_out_and_scipys_t(make_run):
    head, other_head = (*LAYERS, ("head.a", 2), ("head", 3)), (*LAYERS, ("head.b", 2), ("head", 5))
    first, one = runs(make_run, "autoencoding", 4, 0.3, layers=head)
    second, two = runs(make_run, "classification", 4, 0.5, scale=100.0, layers=other_head)
    table, overall = compare_conditions("task", {"autoencoding": first, "classification": second})

    # Layers of one task alone, or of another size, cannot be compared.
    assert set(table["layer"]) == {"encoder.0", "encoder.1"}
    assert set(table["quantity"]) == {"gradient", "adjoint"}
    assert len(table) == 2 * ((2 * 10 + 2) + (2 * 4 + 2))
    assert set(table["pair"]) == {"classification - autoencoding"}
    for _, row in table.iterrows():
        key = (row["layer"], row["depth"], row["quantity"], "all")
        values = [
            np.array([measure(row["measure"], row["index"], run[seed][key]) for seed in range(4)])
            for run in (one, two)
        ]
        assert row["mean_first"] == pytest.approx(values[0].mean(), rel=1e-5, abs=1e-6)
        assert row["mean_second"] == pytest.approx(values[1].mean(), rel=1e-5, abs=1e-6)
        test = stats.ttest_rel(values[1], values[0])
        assert (row["statistic"], row["p"]) == pytest.approx((test.statistic, test.pvalue), rel=1e-3)
    for _, family in table.groupby(["quantity", "scale"]):
        np.testing.assert_allclose(family["q"], stats.false_discovery_control(family["p"]))
        kind = {"free": "scale-free", "raw": "raw"}[family["scale"].iloc[0]]
        assert set(family["family"]) == {
            f"{len(family)} pairs of conditions in {kind} cells (layer, measure and index) of the "
            f"{family['quantity'].iloc[0]} spectra, corrected by BH at 0.05"
        }
    assert set(table.loc[table["measure"] == "log_singular_value", "scale"]) == {"raw"}
    assert (table["n_seeds"] == 4).all() and table["few_seeds"].all()
    assert overall["caution"].startswith("4 seeds are few")
    assert (overall["task"], overall["activation"]) == ("autoencoding classification", "relu")


def test_a_layer_may_have_another_size_in_another_seed(make_run):
    smaller, levels = (("encoder.0", 11), ("encoder.1", 4)), {}
    for level, decay, stream in (("autoencoding", 0.3, 0), ("classification", 0.5, 1)):
        levels[level] = {}
        for first, layers in ((0, LAYERS), (2, smaller)):
            levels[level] |= runs(make_run, level, 2, decay, first=first, layers=layers, stream=stream)[0]
    table, _ = compare_conditions("task", levels)
    assert set(table["layer"]) == {"encoder.0", "encoder.1"} and table["p"].notna().all()
    assert (table["n_seeds"] == 4).all()


def three(make_run, decays=(0.3, 0.3, 0.5), count=5):
    levels, curves = {}, []
    for stream, (name, decay) in enumerate(zip(("relu", "sigmoid", "tanh"), decays, strict=True)):
        levels[name], spectra = runs(make_run, name, count, decay, field="activation", stream=stream)
        curves.append(spectra)
    return levels, curves


def test_three_activations_have_one_test_together_before_their_pairs(make_run):
    levels, curves = three(make_run, decays=(0.3, 0.4, 0.5))
    table, _ = compare_conditions("activation", levels, indices=2)
    omnibus = table[table["pair"] == OMNIBUS]
    assert set(table["pair"]) == {OMNIBUS, "sigmoid - relu", "tanh - relu", "tanh - sigmoid"}
    assert len(omnibus) * 4 == len(table)
    for _, row in omnibus.iterrows():
        key = (row["layer"], row["depth"], row["quantity"], "all")
        values = [
            (seed, level, measure(row["measure"], row["index"], spectra[seed][key]))
            for level, spectra in enumerate(curves)
            for seed in spectra
        ]
        frame = pd.DataFrame(values, columns=["seed", "level", "value"])
        expected = AnovaRM(frame, "value", "seed", within=["level"]).fit().anova_table["F Value"].item()
        assert row["statistic"] == pytest.approx(expected, rel=1e-3)
    pair = table[(table["pair"] == "tanh - sigmoid") & (table["measure"] == "stable_rank")]
    for _, row in pair.iterrows():
        key = (row["layer"], row["depth"], row["quantity"], "all")
        one, two = (np.array([measure("stable_rank", 0, run[seed][key]) for seed in range(5)]) for run in curves[1:])
        assert row["p"] == pytest.approx(stats.ttest_rel(two, one).pvalue, rel=1e-3)


def test_pairs_and_omnibus_tests_are_families_of_their_own_and_a_pair_needs_both(make_run):
    levels, _ = three(make_run, decays=(0.3, 0.3, 0.32))
    table, _ = compare_conditions("activation", levels, alpha=0.3, indices=4)
    for _, family in table.groupby(["quantity", "scale", table["pair"] == OMNIBUS]):
        np.testing.assert_allclose(family["q"], stats.false_discovery_control(family["p"]))
    cell = ["layer", "quantity", "scale", "measure", "index"]
    whole = table[table["pair"] == OMNIBUS].set_index(cell)["significant"]
    pairs = table[table["pair"] != OMNIBUS]
    for row in pairs.itertuples():
        allowed = whole[(row.layer, row.quantity, row.scale, row.measure, row.index)]
        assert row.significant == (row.q <= 0.3 and allowed)
    # The case occurs: a pair that its own family calls and its omnibus test does not.
    assert ((pairs["q"] <= 0.3) & ~pairs["significant"]).any() and pairs["significant"].any()


def test_a_mere_change_of_scale_leaves_every_scale_free_measure_equal(make_run):
    first, _ = runs(make_run, "autoencoding", 3, 0.3)
    second, _ = runs(make_run, "classification", 3, 0.3, scale=1000.0)
    table, _ = compare_conditions("task", {"autoencoding": first, "classification": second})
    free = table[table["scale"] == "free"]
    assert (free["difference"].abs() < 1e-6).all() and not free["significant"].any()
    raw = table[table["scale"] == "raw"]
    np.testing.assert_allclose(raw["difference"], np.log(1000), rtol=1e-5)


def test_shapes_are_compared_by_thirds_of_their_depth(make_run):
    shallow = (("a", 6), ("b", 5))
    deep = (("a", 6), ("b", 6), ("c", 5), ("d", 4))
    first, one = runs(make_run, "wide", 4, 0.3, layers=shallow, field="shape")
    second, two = runs(make_run, "deep", 4, 0.5, layers=deep, field="shape")
    table, overall = compare_conditions("shape", {"wide": first, "deep": second})
    assert set(table["layer"]) == set(THIRDS)
    # Index 5 is missing in one layer of the deep network.
    assert set(table.loc[table["measure"] == "share", "index"]) == {1, 2, 3, 4}
    # Two layers: the middle third is half of each. Four layers, a quarter of the depth each: the first third
    # holds a (1/4) and a third of b (1/12); the middle one the rest of b and as much of c.
    weights = {
        "first third": ([1, 0], [3 / 4, 1 / 4, 0, 0]),
        "middle third": ([1 / 2, 1 / 2], [0, 1 / 2, 1 / 2, 0]),
        "last third": ([0, 1], [0, 0, 1 / 4, 3 / 4]),
    }
    for row in table[table["quantity"] == "gradient"].itertuples():
        for layers, seeds, weight, found in (
            (shallow, one.values(), weights[row.layer][0], row.mean_first),
            (deep, two.values(), weights[row.layer][1], row.mean_second),
        ):
            means = [
                np.mean([measure(row.measure, row.index, run[name, place, "gradient", "all"]) for run in seeds])
                for place, (name, _) in enumerate(layers)
            ]
            assert found == pytest.approx(np.dot(weight, means), rel=1e-5, abs=1e-6)
    assert overall["shape"] == "wide deep" and overall["levels"][0]["parameters"] == 7


def test_a_third_of_one_layer_is_that_layer_and_two_quantities_may_have_other_layers():
    cells = {Cell(3, "only", "gradient", "free", "stable_rank", 0): 2.5} | {
        Cell(depth, f"l{depth}", "activation", "free", "stable_rank", 0): float(depth) for depth in (1, 4, 9)
    }
    thirds = by_third(cells)
    assert [thirds[Cell(k, name, "gradient", "free", "stable_rank", 0)] for k, name in enumerate(THIRDS)] == [2.5] * 3
    found = [thirds[Cell(k, name, "activation", "free", "stable_rank", 0)] for k, name in enumerate(THIRDS)]
    assert found == pytest.approx([1.0, 4.0, 9.0])


def test_only_seeds_that_finished_in_all_conditions_are_paired_and_diverged_ones_are_told(make_run):
    first, _ = runs(make_run, "autoencoding", 5, 0.3)
    second, _ = runs(make_run, "classification", 5, 0.5, diverged=(0, 3))
    table, overall = compare_conditions("task", {"autoencoding": first, "classification": second})
    assert (table["n_seeds"] == 3).all() and (table["n_diverged"] == 2).all()
    assert table[["p", "effect", "effect_low", "effect_high"]].notna().all(axis=None)
    assert "2 of 5 trainings of classification diverged." in overall["caution"]
    assert [entry["finished"] for entry in overall["levels"]] == [5, 3]


def test_a_condition_that_always_diverged_is_left_out_and_told(make_run):
    levels, _ = three(make_run, decays=(0.3, 0.4, 0.5), count=3)
    for record in levels["sigmoid"].values():
        record["status"] = "diverged"
    table, overall = compare_conditions("activation", levels)
    assert set(table["pair"]) == {"tanh - relu"}
    assert "3 of 3 trainings of sigmoid diverged, so it is left out." in overall["caution"]
    for record in levels["tanh"].values():
        record["status"] = "diverged"
    table, overall = compare_conditions("activation", levels)
    assert table.empty and overall["seeds"] == 0 and "nothing is tested" in overall["caution"]


def test_trainings_that_learned_nothing_are_compared_and_told(make_run):
    levels, _ = three(make_run, decays=(0.3, 0.4, 0.5), count=4)
    assert "learned nothing" not in compare_conditions("activation", levels)[1]["caution"]
    for record in list(levels["sigmoid"].values())[:3]:
        record["learned"] = False
    table, overall = compare_conditions("activation", levels)
    assert (table["n_seeds"] == 4).all()
    assert "3 of 4 trainings of sigmoid learned nothing" in overall["caution"]
    (row,) = judge_claims([], [(overall, table)], []).query("claim == 'C2' and model == 'mlp'").to_dict("records")
    assert "3 of 4 trainings of sigmoid learned nothing" in row["note"]


@pytest.mark.parametrize("common", [1, 2])
def test_fewer_common_seeds_than_an_effect_with_its_interval_needs_are_described_and_not_tested(make_run, common):
    first, _ = runs(make_run, "autoencoding", 2, 0.3)
    second, _ = runs(make_run, "classification", 2, 0.5, first=2 - common)
    table, overall = compare_conditions("task", {"autoencoding": first, "classification": second})
    assert overall["seeds"] == common and len(table) and table["difference"].notna().all()
    assert table[["statistic", "p", "q", "effect", "effect_low", "effect_high"]].isna().all(axis=None)
    assert not table["significant"].any() and "at least 3 are needed" in overall["caution"]
