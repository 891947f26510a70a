import itertools

import numpy as np
import pandas as pd
import pytest

from autospec.data.pairing import draw_swaps
from autospec.statistics.epochs import compare_epochs

PAIRS, EPOCHS = 5, (3, 7)
ALL_SWAPS = np.array(list(itertools.product([False, True], repeat=PAIRS)))


def random_run(seed, swaps=ALL_SWAPS, pairs=PAIRS, shift=0.0):
    """Per-person gradients; in the second epoch of the second layer patients' are larger by a factor exp(shift)."""
    generator = np.random.default_rng(seed)
    gradients = {
        "encoder.0": generator.normal(size=(2, 2, pairs, 3, 4)),
        "encoder.1": generator.normal(size=(2, 2, pairs, 2, 4)),
    }
    gradients["encoder.1"][1, 1] *= np.exp(shift)
    losses = generator.gamma(3.0, 1.0, size=(2, 2, pairs))
    return {"gradients": gradients, "losses": losses, "swaps": swaps, "epochs": EPOCHS}


def by_hand(runs):
    """log ratio and log difference of every labeling, epoch by epoch, by plain loops; means over runs."""
    found = {}
    for swap in runs[0]["swaps"]:
        for place, epoch in enumerate(EPOCHS):
            for layer in runs[0]["gradients"]:
                values = []
                for run in runs:
                    each = run["gradients"][layer][place]
                    sums = [sum(each[side ^ int(e), pair] for pair, e in enumerate(swap)) for side in (0, 1)]
                    matrices = (*sums, sums[1] - sums[0])
                    control, patient, gap = (np.linalg.svd(matrix, compute_uv=False) for matrix in matrices)
                    norm = np.linalg.norm(matrices[2])
                    values.append(np.concatenate([np.log(patient / control), [np.log(norm)], np.log(gap)]))
                r = len(gap)
                keys = [("spectral_ratio", layer, epoch, k) for k in range(1, r + 1)]
                keys += [("gradient_difference", layer, epoch, k) for k in range(r + 1)]
                for key, value in zip(keys, np.mean(values, axis=0), strict=True):
                    found.setdefault(key, []).append(value)
    return {key: np.array(values) for key, values in found.items()}


def p_over_indices(of_indices):
    """How often the largest over indices is at least that of the truth."""
    reached = 0
    for labeling in range(len(ALL_SWAPS)):
        if max(values[labeling] for values in of_indices.values()) >= max(v[0] for v in of_indices.values()) - 1e-5:
            reached += 1
    return reached / len(ALL_SWAPS)


def test_every_cell_agrees_with_plain_loops_over_all_swaps(make_run):
    runs = [random_run(seed, shift=0.3) for seed in (1, 2)]
    records = dict(make_run(f"run-{n}", labelings=run, seed=n) for n, run in enumerate(runs))
    table = compare_epochs(records)
    expected = by_hand(runs)
    assert len(table) == len(expected)
    z = {key: (values - values.mean()) / values.std() for key, values in expected.items()}
    for row in table.itertuples():
        key = (row.statistic, row.layer, row.epoch, row.index)
        assert row.estimate == pytest.approx(expected[key][0], abs=1e-5)
        assert row.z == pytest.approx(z[key][0], abs=1e-4)
        size = np.abs if row.statistic == "spectral_ratio" else np.asarray
        largest = np.max([size(values) for name, values in z.items() if name[0] == row.statistic], axis=0)
        assert row.p == np.mean(size(z[key]) >= size(z[key][0]) - 1e-5)
        assert row.p_map == np.mean(largest >= size(z[key][0]) - 1e-5)
        assert row.p_layer == p_over_indices({name[3]: size(z[name]) for name in z if name[:3] == key[:3]})
        assert row.significant == (row.p_map <= 0.05)
        # The test turned round: taken away, an end of the interval leaves the truth at an end of the middle 95 %.
        around = expected[key] - expected[key].mean()
        effect = expected[key][0] if row.statistic == "spectral_ratio" else around[0]
        ends = np.exp(effect - np.quantile(around, [0.975, 0.025]))
        np.testing.assert_allclose([row.effect, row.effect_low, row.effect_high], [np.exp(effect), *ends], rtol=1e-4)


def test_a_difference_planted_in_one_layer_and_epoch_is_found_there(make_run):
    swaps = draw_swaps(pd.DataFrame({"pair": np.arange(40), "match": np.arange(40)}), 200, 1)
    records = dict(make_run(f"r{n}", labelings=random_run(n, swaps, 40, shift=1.5), seed=n) for n in range(2))
    table = compare_epochs(records)
    found = table[table["significant"] & (table["statistic"] == "spectral_ratio")]
    assert set(zip(found["layer"], found["epoch"], strict=True)) == {("encoder.1", 7)}
    assert "cells (layer, index and epoch), by the largest of them under 200 labelings" in found["family"].iloc[0]


def test_diverged_seeds_are_left_out(make_run):
    one = dict([make_run("good", labelings=random_run(3))])
    both = one | dict([make_run("bad", status="diverged", seed=1)])
    pd.testing.assert_frame_equal(compare_epochs(one), compare_epochs(both))
