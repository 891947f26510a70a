import numpy as np
import pytest
from scipy import stats

from autospec.statistics.yardsticks import compare_inputs, describe_series


def by_hand(reference, other, swap):
    """The three yardsticks of one labeling by scipy and numpy."""
    people = np.concatenate([reference, other])
    first, second = np.where(swap[:, None], other, reference), np.where(swap[:, None], reference, other)
    scale = people.std(axis=0)
    covariance = [np.cov(side / scale, rowvar=False, ddof=0) for side in (first, second)]
    return (
        np.abs(stats.ttest_rel(second, first).statistic).max(),
        np.abs(np.log(second.var(axis=0) / first.var(axis=0))).max(),
        np.linalg.norm(covariance[1] - covariance[0]),
    )


@pytest.mark.parametrize("seed", range(3))
def test_values_and_p_agree_with_scipy_labeling_by_labeling(seed):
    generator = np.random.default_rng(seed)
    reference = generator.normal(5, 2, size=(12, 6))
    other = generator.normal(5.5, 3, size=(12, 6)) @ generator.normal(size=(6, 6))
    swaps = generator.random((50, 12)) < 0.5
    swaps[0] = False
    found = compare_inputs(reference, other, swaps)
    values = np.array([by_hand(reference, other, swap) for swap in swaps])
    assert found["name"].tolist() == ["largest_t", "largest_log_variance_ratio", "covariance_distance"]
    np.testing.assert_allclose(found["value"], values[0])
    np.testing.assert_allclose(found["p"], (values >= values[0] - 1e-9).mean(axis=0))
    assert (found["P"] == 50).all()
    np.testing.assert_allclose(found["q"], stats.false_discovery_control(found["p"]))
    assert ((found["p_low"] <= found["p"]) & (found["p"] <= found["p_high"])).all()


def test_each_yardstick_finds_what_it_is_made_for():
    generator = np.random.default_rng(1)
    swaps = generator.random((200, 80)) < 0.5
    swaps[0] = False
    reference = generator.normal(size=(80, 10))
    mean, spread, mixed = (generator.normal(size=(80, 10)) for _ in range(3))
    mean[:, 3] += 1.0
    spread[:, 3] *= 3.0
    mixed = 0.8 * mixed[:, :1] + 0.6 * mixed
    for position, other in enumerate((mean, spread, mixed)):
        assert compare_inputs(reference, other, swaps)["p"][position] == 1 / 200


def test_constant_features_are_left_out():
    generator = np.random.default_rng(1)
    reference, other = generator.normal(size=(2, 20, 3))
    swaps = generator.random((20, 20)) < 0.5
    swaps[0] = False
    whole = compare_inputs(reference, other, swaps)
    padded = [np.column_stack([side, np.full(20, 0.1)]) for side in (reference, other)]
    np.testing.assert_allclose(compare_inputs(*padded, swaps)["value"], whole["value"])


def test_many_features_in_blocks_give_the_same_as_few(monkeypatch):
    generator = np.random.default_rng(1)
    reference, other = generator.normal(size=(2, 20, 11))
    swaps = generator.random((20, 20)) < 0.5
    whole = compare_inputs(reference, other, swaps)
    monkeypatch.setattr("autospec.statistics.yardsticks._BLOCK", 4)
    np.testing.assert_allclose(compare_inputs(reference, other, swaps)["value"], whole["value"])


def test_series_become_connectivity_and_log_variances():
    series = np.random.default_rng(0).normal(size=(3, 40, 4)).astype(np.float32)
    series[1] += 100
    described = describe_series(series)
    for person, row in zip(series.astype(float), described, strict=True):
        upper = np.triu_indices(4, 1)
        np.testing.assert_allclose(row[:6], np.arctanh(np.corrcoef(person, rowvar=False)[upper]), rtol=1e-5)
        np.testing.assert_allclose(row[6:], np.log(person.var(axis=0)), rtol=1e-5)
    series[0, :, 2] = 7
    assert np.isfinite(describe_series(series)).all()
    assert describe_series(series[:, :, :1]).shape == (3, 1)
