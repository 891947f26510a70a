import itertools

import numpy as np
import pytest
from scipy import stats

from autospec.statistics.whole_spectra import compare_summaries

PAIRS, EPOCHS = 5, 2
ALL_SWAPS = np.array(list(itertools.product([False, True], repeat=PAIRS)))
SUMMARIES = ("nuclear_norm", "top_share", "effective_rank", "stable_rank", "frobenius_norm")


def random_run(seed):
    generator = np.random.default_rng(seed)
    gradients = {
        "encoder.0": generator.normal(size=(EPOCHS, 2, PAIRS, 5, 6)),
        "encoder.1": generator.normal(size=(EPOCHS, 2, PAIRS, 4, 4)) * np.exp(generator.normal(size=(4, 1))),
    }
    return {"gradients": gradients, "losses": generator.gamma(3.0, size=(EPOCHS, 2, PAIRS)), "swaps": ALL_SWAPS}


def by_hand(matrix):
    s = np.linalg.svd(matrix, compute_uv=False)
    share = s / s.sum()
    return {
        "nuclear_norm": np.linalg.norm(matrix, "nuc"),
        "top_share": share[0],
        "effective_rank": np.exp(stats.entropy(s)),
        "stable_rank": np.linalg.norm(matrix) ** 2 / np.linalg.norm(matrix, 2) ** 2,
        "frobenius_norm": np.linalg.norm(matrix),
    }


def test_every_p_agrees_with_full_enumeration_of_the_swaps(make_run):
    runs = [random_run(seed) for seed in (1, 2)]
    table = compare_summaries(dict(make_run(f"run-{n}", labelings=run, seed=n) for n, run in enumerate(runs)))
    x = {}
    for layer, summary in itertools.product(runs[0]["gradients"], SUMMARIES):
        x[layer, summary] = values = []
        for swap in ALL_SWAPS:
            ratios = []
            for run, epoch in itertools.product(runs, range(EPOCHS)):
                each = run["gradients"][layer][epoch]
                control, patient = (sum(each[side ^ int(e), pair] for pair, e in enumerate(swap)) for side in (0, 1))
                ratios.append(np.log(by_hand(patient)[summary] / by_hand(control)[summary]))
            values.append(np.mean(ratios))
    z = {key: np.abs((np.array(v) - np.mean(v)) / np.std(v)) for key, v in x.items()}
    assert set(zip(table["layer"], table["summary"], strict=True)) == set(z)
    largest = {layer: np.max([z[layer, name] for name in SUMMARIES], axis=0) for layer in runs[0]["gradients"]}
    for row in table.itertuples():
        key = (row.layer, row.summary)
        assert row.estimate == pytest.approx(x[key][0], abs=1e-6)
        assert row.effect == pytest.approx(np.exp(x[key][0]), abs=1e-6)
        # 1e-5: a labeling and its mirror image are equal in truth; the table holds float32.
        assert row.p == np.mean(z[key] >= z[key][0] - 1e-5)
        assert row.p_layer == np.mean(largest[row.layer] >= largest[row.layer][0] - 1e-5)
        assert row.p_within_layer == np.mean(largest[row.layer] >= z[key][0] - 1e-5)
    np.testing.assert_allclose(table["q"], stats.false_discovery_control(table["p"]))
    counts = [[sum(largest[layer] >= largest[layer][p] - 1e-5) for layer in largest] for p in range(len(ALL_SWAPS))]
    smallest = [sorted(of_layers) for of_layers in counts]
    assert table["p_all"].unique().item() == np.mean([of_layers <= smallest[0] for of_layers in smallest])
    assert "10 cells (layer and summary)" in table["family"].iloc[0]


def test_a_dead_layer_is_dropped_and_a_diverged_seed_left_out(make_run):
    run = random_run(3)
    alone = compare_summaries(dict([make_run("alone", labelings=run)]))
    run["gradients"]["dead"] = np.zeros((EPOCHS, 2, PAIRS, 3, 3))
    both = compare_summaries(dict([make_run("gone", status="diverged", seed=1), make_run("with-dead", labelings=run)]))
    assert both["layer"].tolist() == alone["layer"].tolist() and both["p"].tolist() == alone["p"].tolist()
    assert np.isfinite(both[["estimate", "p", "p_layer", "p_all", "effect"]]).all(axis=None)


def test_where_every_seed_diverged_there_are_no_rows(make_run):
    assert compare_summaries(dict([make_run("gone", status="diverged")])).empty
