import itertools

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import stats

from autospec.errors import InputError
from autospec.statistics.claims import judge_claims
from autospec.statistics.epochs import compare_epochs
from autospec.statistics.labelings import Labelings, LayerLabelings, read_labelings
from autospec.statistics.swaps import cell_values, compare_groups, swap_test

PAIRS, EPOCHS = 4, 2
#: What the script of the test adds to `overall`.
BESIDE = {"pairs": 12, "inputs": {"largest_t": 0.4}}
ALL_SWAPS = np.array(list(itertools.product([False, True], repeat=PAIRS)))


def random_run(seed, swaps=ALL_SWAPS, pairs=PAIRS, **changes):
    """Per-person gradients of two layers of different size, and losses; epochs by the first axis."""
    generator = np.random.default_rng(seed)
    return {
        "gradients": {
            "encoder.0": generator.normal(size=(EPOCHS, 2, pairs, 4, 5)),
            "encoder.1": generator.normal(size=(EPOCHS, 2, pairs, 2, 4)),
        },
        "losses": generator.gamma(3.0, 1.0, size=(EPOCHS, 2, pairs)),
        "swaps": swaps,
    } | changes


def by_hand(runs):
    """The three statistics of every labeling, by plain loops."""
    x = {}
    for labeling in range(len(runs[0]["swaps"])):
        found = {}
        for run in runs:
            swap = run["swaps"][labeling]
            for epoch in range(EPOCHS):
                for layer, each in run["gradients"].items():
                    control, patient = 0.0, 0.0
                    for pair, exchanged in enumerate(swap):
                        control = control + each[epoch, int(exchanged), pair]
                        patient = patient + each[epoch, 1 - int(exchanged), pair]
                    s_control, s_patient, s_gap = (
                        np.linalg.svd(matrix, compute_uv=False)[:3] for matrix in (control, patient, patient - control)
                    )
                    for k in range(len(s_gap)):
                        ratio = np.log(s_patient[k]) - np.log(s_control[k])
                        found.setdefault(("spectral_ratio", layer, k + 1), []).append(ratio)
                        found.setdefault(("gradient_difference", layer, k + 1), []).append(np.log(s_gap[k]))
                    norm = np.linalg.norm(patient - control)
                    found.setdefault(("gradient_difference", layer, 0), []).append(np.log(norm))
                losses = [
                    np.mean([run["losses"][epoch, side ^ int(e), pair] for pair, e in enumerate(swap)])
                    for side in (0, 1)
                ]
                found.setdefault(("group_loss", "", 0), []).append(losses[1] - losses[0])
        for key, values in found.items():
            x.setdefault(key, []).append(np.mean(values))
    return {key: np.array(values) for key, values in x.items()}


def count_by_hand(values, p):
    # 1e-5: labelings that mirror each other are equal in truth; the table holds float32.
    return sum(1 for value in values if value >= values[p] - 1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_all_p_values_agree_with_full_enumeration_by_plain_loops(make_run, seed):
    runs = [random_run(10 * seed + number) for number in range(2)]
    made = dict(make_run(f"seed-{number}", run | {"shuffle": number}, seed=number) for number, run in enumerate(runs))
    cells, layers, overall = compare_groups(made)

    x = by_hand(runs)
    assert len(cells) == len(x) == 2 * (3 + 2) + 2 + 1
    z = {key: (values - values.mean()) / values.std() for key, values in x.items()}
    comparison = {key: z[key] if key[0] == "gradient_difference" else np.abs(z[key]) for key in z}
    labelings = len(ALL_SWAPS)
    for row in cells.itertuples():
        key = (row.statistic, row.layer, cells["index"][row[0]])
        assert row.estimate == pytest.approx(x[key][0], abs=1e-6)
        assert row.z == pytest.approx(z[key][0], abs=1e-4)
        assert row.p == count_by_hand(comparison[key], 0) / labelings
        if row.statistic == "spectral_ratio":
            assert row.effect == pytest.approx(np.exp(x[key][0]), rel=1e-5)
    spectral = cells[cells["statistic"] != "group_loss"]
    np.testing.assert_allclose(spectral["q"], stats.false_discovery_control(spectral["p"]))

    family = {}
    for row in layers.itertuples():
        members = [key for key in comparison if key[:2] == (row.statistic, row.layer)]
        maximum = np.max([comparison[key] for key in members], axis=0)
        counts = [count_by_hand(maximum, p) for p in range(labelings)]
        family[row.statistic, row.layer] = np.array(counts)
        assert row.p == counts[0] / labelings
        assert row.strongest_index == max(members, key=lambda key: comparison[key][0])[2]
        for key in members:
            reached = sum(1 for value in maximum if value >= comparison[key][0] - 1e-5) / labelings
            found = cells[(cells["statistic"] == key[0]) & (cells["layer"] == key[1]) & (cells["index"] == key[2])]
            assert found["p_within_layer"].item() == reached
    spectral = layers[layers["statistic"] != "group_loss"]
    np.testing.assert_allclose(spectral["q"], stats.false_discovery_control(spectral["p"]))
    assert len(family) == 5
    for table in (cells, layers):
        loss = table[table["statistic"] == "group_loss"]
        assert loss["p"].notna().all() and loss["q"].isna().all() and len(loss) == 1
    assert "12 cells (statistic, layer and index)" in overall["family"]
    assert "their 4 layers and statistics" in overall["family"]

    ratio, difference, loss = "spectral_ratio", "gradient_difference", "group_loss"
    found = {(name,): overall["statistics"][name]["p"] for name in (ratio, difference, loss)}
    found |= {(ratio, difference): overall["spectra"]["p"], (ratio, difference, loss): overall["p"]}
    for names, p in found.items():
        # The smallest p first, ties by the next smallest: Python's own order of lists.
        counts = np.array([counts for (statistic, _), counts in family.items() if statistic in names])
        ordered = [sorted(counts[:, labeling].tolist()) for labeling in range(labelings)]
        assert p == sum(1 for values in ordered if values <= ordered[0]) / labelings
    assert overall["labelings"] == labelings and overall["seeds"] == 2


def test_effects_are_ratios_of_the_groups(make_run):
    run = random_run(3)
    cells, _, _ = compare_groups(dict([make_run("seed-0", run)]))
    loss = cells[cells["statistic"] == "group_loss"].iloc[0]
    assert loss["effect"] == pytest.approx(run["losses"][:, 1].mean() / run["losses"][:, 0].mean(), rel=1e-5)
    x = by_hand([run])
    first = cells[(cells["statistic"] == "gradient_difference") & (cells["index"] == 1)].iloc[0]
    values = x["gradient_difference", first["layer"], 1]
    assert first["effect"] == pytest.approx(np.exp(values[0] - values.mean()), rel=1e-5)


def test_an_effects_interval_is_the_test_turned_round():
    """Divided by an end of its interval, the truth lies at an end of the middle 95 % of the labelings."""
    x = np.random.default_rng(6).normal(size=(400, 3)) * [0.1, 0.2, 0.05]
    x[0] = [0.3, -0.1, 0.04]
    keys = {"statistic": ["spectral_ratio", "spectral_ratio", "group_loss"], "layer": "a", "depth": 0}
    losses = np.log(0.52 / 0.48)  # their difference is 0.04
    cells = pd.DataFrame(keys | {"index": [1, 2, 0], "log_effect": [0.3, -0.1, losses]})
    tested, _, _ = swap_test(cells, x)
    for place, row in enumerate(tested.itertuples()):
        centred = x[:, place] - x[:, place].mean()
        scale = losses / 0.04 if row.statistic == "group_loss" else 1.0
        for end, share in ((row.effect_low, 0.975), (row.effect_high, 0.025)):
            left = (np.log(row.effect) - np.log(end)) / scale
            assert np.mean(centred <= left) == pytest.approx(share, abs=1 / 400)
        assert row.effect_low < row.effect < row.effect_high


def test_a_layers_effect_and_interval_are_those_of_its_strongest_index(make_run):
    cells, layers, _ = compare_groups(dict([make_run("seed-0", random_run(3))]))
    key = ["statistic", "layer", "index"]
    of_cell = cells.set_index(key)
    names = ["z", "effect", "effect_low", "effect_high"]
    for row in layers.to_dict("records"):
        place = row["statistic"], row["layer"], int(row["strongest_index"])
        assert [row[name] for name in names] == of_cell.loc[place, names].tolist()
        assert row["effect_low"] < row["effect"] < row["effect_high"]


@pytest.mark.parametrize("factor", [1.0, 1.3, 2.0])
def test_an_effects_interval_covers_the_true_ratio_about_as_often_as_it_says(factor):
    """Cohorts with heavy tails (t with 4 degrees of freedom), whose patients are controls in another unit."""
    generator = np.random.default_rng(round(10 * factor))
    cohorts, pairs, labelings = 300, 40, 200
    swaps = generator.random((labelings, pairs)) < 0.5
    swaps[0] = False
    people = generator.standard_t(4, size=(2, cohorts, pairs, 3))
    people[1] *= np.sqrt(factor)
    # One person's gradient in a linear layer is of the second degree in the inputs, so the truth is the factor.
    each = np.einsum("gcni,gcnj->gcnij", people @ generator.normal(size=(3, 2)), people)
    gap = np.einsum("ln,cnij->clij", swaps.astype(float), each[1] - each[0])
    sums = [side.sum(axis=1)[:, None] for side in each]
    s = [np.linalg.svd(matrix, compute_uv=False)[..., 0] for matrix in (sums[0] + gap, sums[1] - gap)]
    x = np.log(s[1] / s[0]).T
    cells = pd.DataFrame({"statistic": "spectral_ratio", "layer": "a", "depth": 0, "index": range(1, cohorts + 1)})
    tested, _, _ = swap_test(cells.assign(log_effect=x[0]), x)
    covered = (tested["effect_low"] <= factor) & (factor <= tested["effect_high"])
    # The sampling error of 300 cohorts is 1.3 per cent; the interval itself is approximate.
    assert len(tested) == cohorts and 0.91 <= covered.mean() <= 0.985


def test_a_dead_layer_is_dropped_for_all_labelings_and_counted(make_run):
    run = random_run(1)
    whole = compare_groups(dict([make_run("whole", run)]))
    run["gradients"]["dead"] = np.zeros((EPOCHS, 2, PAIRS, 3, 3))
    cells, layers, overall = compare_groups(dict([make_run("with-dead", run)]))
    pd.testing.assert_frame_equal(cells, whole[0])
    dead = layers[layers["layer"] == "dead"].set_index("statistic")
    assert dead["cells"].tolist() == [0, 0]
    assert (dead.loc["spectral_ratio", "dropped"], dead.loc["gradient_difference", "dropped"]) == (3, 4)
    assert dead[["p", "q"]].isna().all(axis=None)
    assert overall["p"] == whole[2]["p"] and overall["dropped_cells"] == 7


def test_a_cell_that_is_not_finite_in_one_labeling_is_dropped_for_all():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(50, 3))
    x[7, 1] = np.nan
    cells = pd.DataFrame(
        {"statistic": "spectral_ratio", "layer": "a", "depth": 0, "index": [1, 2, 3], "log_effect": x[0]}
    )
    tested, layers, overall = swap_test(cells, x)
    assert tested["index"].tolist() == [1, 3]
    assert layers["dropped"].item() == 1
    assert np.isfinite(tested.drop(columns=["statistic", "layer"]).astype(float)).all(axis=None)
    assert 1 / 50 <= overall["p"] <= 1


def test_with_nothing_left_to_test_p_is_none():
    cells = pd.DataFrame({"statistic": "spectral_ratio", "layer": "a", "depth": 0, "index": [1], "log_effect": 0.0})
    tested, layers, overall = swap_test(cells, np.zeros((20, 1)))
    assert tested.empty and layers["p"].isna().all()
    assert overall["p"] is None and overall["spectra"]["p"] is None


def test_a_loss_that_differs_alone_holds_no_claim_and_spectra_that_differ_do(make_run):
    swaps = np.random.default_rng(0).random((100, 12)) < 0.5
    swaps[0] = False
    run = random_run(5, swaps, pairs=12)
    run["losses"][:, 1] += 100.0
    _, layers, overall = compare_groups(dict([make_run("seed-0", run)]))
    assert overall["statistics"]["group_loss"]["p"] == 0.01
    assert overall["spectra"]["p"] > 0.2
    row = judge_claims([(overall | BESIDE, layers)], [], []).set_index(["claim", "model"]).loc["C4", "mlp"]
    assert row["status"] == "not held" and "loss" not in row["where"] and "loss: p = 0.01" in row["note"]

    for each in run["gradients"].values():
        each[:, 1] *= 100.0
    _, layers, overall = compare_groups(dict([make_run("seed-1", run)]))
    assert overall["spectra"]["p"] == 0.01
    row = judge_claims([(overall | BESIDE, layers)], [], []).set_index(["claim", "model"]).loc["C4", "mlp"]
    assert row["status"] == "held" and row["where"].endswith("spectral ratio")


def test_trainings_that_learned_nothing_are_tested_and_told_in_the_claims(make_run):
    made = dict([make_run(f"seed-{seed}", random_run(seed), seed=seed, learned=seed == 0) for seed in (0, 1, 2)])
    _, layers, overall = compare_groups(made)
    assert overall["seeds"] == 3 and overall["unlearned"] == 2
    rows = judge_claims([(overall | BESIDE, layers)], [], []).set_index(["claim", "model"])
    for claim in ("C4", "C5"):
        assert "2 of 3 trainings learned nothing" in rows.loc[(claim, "mlp"), "note"]
    made = {folder: record | {"learned": True} for folder, record in made.items()}
    assert "learned nothing" not in compare_groups(made)[2]["caution"]


def test_what_the_loss_does_moves_nothing_that_is_said_of_the_spectra(make_run):
    """From labelings to the claims: the same gradients, with losses that differ and with losses that do not."""
    swaps = np.random.default_rng(0).random((100, 12)) < 0.5
    swaps[0] = False
    run = random_run(5, swaps, pairs=12)
    run["gradients"]["encoder.0"][:, 1] *= 1.3
    tables = {}
    for name, losses in (("alike", run["losses"]), ("differ", run["losses"] + np.array([0.0, 100.0])[:, None])):
        cells, layers, overall = compare_groups(dict([make_run(name, run | {"losses": losses})]))
        claims = judge_claims([(overall | BESIDE, layers)], [], [])
        loss = cells["statistic"] == "group_loss"
        assert not cells.loc[loss, "significant"].any()
        tables[name] = (
            cells[~loss],
            layers[layers["statistic"] != "group_loss"],
            claims[claims["claim"] == "C5"],
            claims[claims["claim"] == "C4"].drop(columns="note"),
        )
        tables[name, "p"] = overall["statistics"]["group_loss"]["p"]
    assert tables["alike", "p"] > 0.2 and tables["differ", "p"] == 0.01
    for one, other in zip(tables["alike"], tables["differ"], strict=True):
        assert len(one)
        pd.testing.assert_frame_equal(one, other)


def test_the_truth_counts_in_the_standard_deviation():
    # The truth far out: with itself in the standard deviation its z is at most sqrt(P - 1).
    x = np.random.default_rng(0).normal(size=(20, 1))
    x[0] = 1e6
    cells = pd.DataFrame({"statistic": "spectral_ratio", "layer": "a", "depth": 0, "index": [1], "log_effect": 0.0})
    tested, _, _ = swap_test(cells, x)
    assert tested["z"].item() == pytest.approx((x[0, 0] - x.mean()) / x.std())
    assert tested["z"].item() == pytest.approx(np.sqrt(19), rel=1e-6)
    assert tested["p"].item() == 1 / 20


def test_rank_p_lies_between_one_over_labelings_and_one():
    generator = np.random.default_rng(4)
    for labelings in (2, 20, 99):
        x = generator.normal(size=(labelings, 6))
        x[:, 3] = np.round(x[:, 3])
        cells = pd.DataFrame(
            {
                "statistic": ["spectral_ratio"] * 3 + ["gradient_difference"] * 2 + ["group_loss"],
                "layer": ["a", "a", "b", "a", "a", ""],
                "depth": [0, 0, 1, 0, 0, -1],
                "index": [1, 2, 1, 0, 1, 0],
                "log_effect": x[0],
            }
        )
        tested, layers, overall = swap_test(cells, x)
        p = np.concatenate([tested["p"], tested["p_within_layer"], layers["p"], [overall["p"]]])
        assert (p >= 1 / labelings).all() and (p <= 1).all()
        assert (tested["p_within_layer"] >= tested["p"]).all()
        # Most extreme everywhere: the smallest p there is, also after min-p.
        x[0] = 50
        assert swap_test(cells, x)[2]["p"] == 1 / labelings


def test_only_a_larger_gradient_difference_counts_against_the_null():
    x = np.zeros((100, 2))
    x[1:] = np.random.default_rng(0).normal(size=(99, 2))
    x[0] = -10
    cells = pd.DataFrame(
        {
            "statistic": ["gradient_difference", "spectral_ratio"],
            "layer": "a",
            "depth": 0,
            "index": 1,
            "log_effect": x[0],
        }
    )
    p = swap_test(cells, x)[0].set_index("statistic")["p"]
    assert p["gradient_difference"] == 1 and p["spectral_ratio"] == 0.01


def test_a_diverged_seed_is_left_out_and_counted(make_run):
    one = make_run("seed-0", random_run(0), seed=0)
    gone = make_run("seed-1", seed=1, status="diverged")
    alone = compare_groups(dict([one]))
    both = compare_groups(dict([gone, one]))
    pd.testing.assert_frame_equal(alone[0], both[0])
    assert both[2]["status_counts"] == {"finished": 1, "diverged": 1}


def test_where_training_used_the_labels_the_result_is_descriptive(make_run):
    _, _, overall = compare_groups(dict([make_run("seed-0", random_run(0), labels_used=True)]))
    assert overall["exact"] is False and overall["caution"].startswith("Descriptive only")
    _, _, overall = compare_groups(dict([make_run("seed-1", random_run(0))]))
    assert overall["exact"] is True and "needs a contrast" in overall["caution"]


def test_seeds_with_different_labelings_are_refused(make_run):
    made = [
        make_run("seed-0", random_run(0), seed=0),
        make_run("seed-1", random_run(1, ALL_SWAPS[:8]), seed=1),
    ]
    with pytest.raises(InputError, match=r"seed-1/labelings.parquet: found 8 labelings, wanted the 16"):
        compare_groups(dict(made))


def test_a_seed_with_fewer_singular_values_is_tested_in_those_that_all_have(make_run):
    first, second = random_run(0), random_run(1)
    whole, short = make_run("whole", first), make_run("short", first | {"indices": 2})
    fewer = make_run("fewer", second | {"indices": 2}, seed=1)
    for compare in (compare_groups, compare_epochs):
        mixed, plain = (compare(dict([one, fewer])) for one in (whole, short))
        for table, wanted in zip(mixed, plain, strict=True) if isinstance(mixed, tuple) else [(mixed, plain)]:
            if isinstance(table, dict):
                assert table == wanted
            else:
                assert table["index"].max() == 2 if "index" in table else True
                pd.testing.assert_frame_equal(table, wanted)


def test_a_missing_row_is_told_with_its_layer_and_group(make_run):
    folder, _ = make_run("seed-0", random_run(0))
    path = folder / "labelings.parquet"
    table = pq.read_table(path)
    pq.write_table(pa.concat_tables([table.slice(0, 5), table.slice(6)]), path)
    with pytest.raises(InputError, match=r"found 31 rows, wanted one for each of 2 epochs and 16 labelings"):
        read_labelings(path, ("control", "patient"))


def data_set(generator, pairs, swaps, spread=1.0):
    """One layer of a fixed linear network on two groups of people, under every labeling."""
    people = generator.normal(size=(2, pairs, 4)) * np.array([1.0, spread])[:, None, None]
    weight = np.random.default_rng(0).normal(size=(4, 3))
    adjoint = people @ weight
    each = np.einsum("gnq,gnp->gnqp", adjoint, people)
    # Shape (labelings, pairs): 0 keeps, 1 exchanges.
    exchanged = swaps.astype(float)
    gap = each[1] - each[0]
    control = each[0].sum(axis=0) + np.tensordot(exchanged, gap, 1)
    patient = each[1].sum(axis=0) - np.tensordot(exchanged, gap, 1)
    spectra = [np.linalg.svd(matrix, compute_uv=False)[None] for matrix in (control, patient, patient - control)]
    loss = (adjoint**2).sum(axis=2)
    losses = [
        loss[0].mean() + exchanged @ (loss[1] - loss[0]) / pairs,
        loss[1].mean() - exchanged @ (loss[1] - loss[0]) / pairs,
    ]
    layer = LayerLabelings(0, *spectra, frobenius=np.sqrt((spectra[2] ** 2).sum(axis=-1)))
    return Labelings({"layer": layer}, *(values[None] for values in losses), np.array([1]))


def p_values(data_sets, pairs, spread, seed, labelings=60):
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(data_sets):
        swaps = generator.random((labelings, pairs)) < 0.5
        swaps[0] = False
        overall = swap_test(*cell_values(data_set(generator, pairs, swaps, spread)))[2]
        found.append([overall["spectra"]["p"], overall["p"], *(part["p"] for part in overall["statistics"].values())])
    return np.array(found)


def test_under_the_null_the_false_positive_rate_is_the_nominal_one():
    found = p_values(400, pairs=16, spread=1.0, seed=1) <= 0.05
    # Each rate within the 99.9 % interval of a binomial with 0.05.
    low, high = stats.binom.ppf([0.0005, 0.9995], 400, 0.05)
    assert ((found.sum(axis=0) >= low) & (found.sum(axis=0) <= high)).all(), found.mean(axis=0)


def test_a_planted_difference_in_spread_is_found():
    spectra, overall, ratio, _, loss = (p_values(100, pairs=40, spread=1.6, seed=2) <= 0.05).mean(axis=0)
    assert spectra > 0.8 and overall > 0.8 and ratio > 0.8 and loss > 0.8


def test_with_twenty_labelings_too_the_false_positive_rate_is_the_nominal_one():
    """Rows that are drawn alike, cells that hang together: each row is as often the truth."""
    generator = np.random.default_rng(5)
    names = [("spectral_ratio", f"layer{n % 4}", n % 4, n // 4 + 1) for n in range(12)]
    names += [("gradient_difference", f"layer{n % 4}", n % 4, n // 4) for n in range(16)] + [("group_loss", "", -1, 0)]
    cells = pd.DataFrame(names, columns=["statistic", "layer", "depth", "index"]).assign(log_effect=0.0)
    mixed = generator.normal(size=(10, len(cells)))
    p = [swap_test(cells, generator.standard_t(4, size=(20, 10)) @ mixed)[2]["spectra"]["p"] for _ in range(300)]
    rejected = int(np.sum(np.array(p) <= 0.05 + 1e-9))
    assert stats.binomtest(rejected, 300, 0.05).pvalue > 0.01
