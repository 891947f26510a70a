import numpy as np
import pytest
from scipy import stats

from autospec.statistics.ranks import counts_at_least, monte_carlo_interval, standardise


def test_counts_agree_with_plain_comparison():
    values = np.random.default_rng(0).integers(0, 8, size=(40, 3)).astype(float)
    expected = (values[None, :, :] >= values[:, None, :]).sum(axis=1)
    np.testing.assert_array_equal(counts_at_least(values), expected)


def test_values_that_differ_by_rounding_count_as_equal():
    assert counts_at_least(np.array([1.0, 1.0 + 1e-9, 0.5])).tolist() == [2, 2, 3]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_never_reaches_a_comparison(bad):
    with pytest.raises(ValueError, match="not finite"):
        counts_at_least(np.array([1.0, bad, 2.0]))


def test_a_standardised_column_has_mean_0_and_deviation_1_over_all_labelings():
    x = np.random.default_rng(0).gamma(2.0, size=(30, 4))
    z, usable = standardise(x)
    np.testing.assert_allclose(z, stats.zscore(x, axis=0))
    assert usable.all()


def test_constant_and_broken_columns_are_unusable_and_have_z_0():
    x = np.random.default_rng(0).normal(size=(30, 5))
    x[:, 0] = 0
    x[:, 1] = 0.1 + 0.2
    x[4, 2] = np.nan
    x[0, 3] = -np.inf
    z, usable = standardise(x)
    assert usable.tolist() == [False, False, False, False, True]
    assert (z[:, :4] == 0).all()


@pytest.mark.parametrize("labelings", [2, 20, 200, 1000])
def test_the_interval_is_clopper_and_pearsons_for_the_drawn_labelings(labelings):
    counts = np.unique([1, 2, labelings // 2, labelings - 1, labelings])
    counts = counts[counts > 0]
    low, high = monte_carlo_interval(counts, labelings)
    for position, count in enumerate(counts):
        expected = stats.binomtest(count - 1, labelings - 1).proportion_ci(0.95, method="exact")
        assert (low[position], high[position]) == pytest.approx((expected.low, expected.high))
        assert low[position] <= count / labelings <= high[position]


def test_with_the_truth_alone_the_interval_is_everything():
    assert [float(limit) for limit in monte_carlo_interval(1, 1)] == [0, 1]
