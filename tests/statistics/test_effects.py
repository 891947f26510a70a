import numpy as np
import pytest
from scipy import integrate, stats

from autospec.statistics.effects import hedges_gz, paired_t


def test_t_and_p_agree_with_scipy():
    generator = np.random.default_rng(0)
    one, two = generator.normal(size=(2, 7, 20))
    found = paired_t(one - two)
    expected = stats.ttest_rel(one, two)
    np.testing.assert_allclose(found["t"], expected.statistic)
    np.testing.assert_allclose(found["p"], expected.pvalue)


def test_the_correction_of_nadeau_and_bengio_multiplies_the_variance():
    d = np.array([0.3, 0.5, -0.1, 0.4, 0.6])
    # Written out: mean over sqrt((1/5 + 20/80) * variance with n - 1).
    mean = sum(d) / 5
    variance = sum((value - mean) ** 2 for value in d) / 4
    t = mean / ((1 / 5 + 20 / 80) * variance) ** 0.5
    found = paired_t(d[:, None], 1 / 5 + 20 / 80)
    assert found["t"].item() == pytest.approx(t)
    assert found["p"].item() == pytest.approx(2 * stats.t.cdf(-abs(t), 4))
    assert found["effect"].item() == pytest.approx(paired_t(d[:, None])["effect"].item())


def test_hedges_factor_agrees_with_its_table_and_approximation():
    # Hedges 1981, table 1: the factor c(m) for m = 2, 5, 10, 50.
    for m, factor in ((2, 0.5642), (5, 0.8408), (10, 0.9228), (50, 0.9849)):
        assert float(hedges_gz(1.0, m + 1)[0]) == pytest.approx(factor, abs=6e-5)
    assert float(hedges_gz(1.0, 201)[0]) == pytest.approx(1 - 3 / (4 * 200 - 1), abs=1e-6)


@pytest.mark.parametrize(
    ("t", "df", "low", "high"),
    # The worked example of conf.limits.nct in R's MBESS (Kelley 2007, doi:10.18637/jss.v020.i08).
    [(2.83, 126, 0.8337502, 4.8153590)],
)
def test_limits_agree_with_published_limits_of_the_noncentrality(t, df, low, high):
    n = df + 1
    found = np.array(hedges_gz(t / np.sqrt(n), n)[1:]) * np.sqrt(n)
    np.testing.assert_allclose(found, [low, high], rtol=1e-6)


def test_the_noncentrality_agrees_with_the_table_of_sas():
    # SAS 9.2 reference, function TNONCT: x = 2, df = 4 and probability 0.30115 give 2.5.
    confidence = 1 - 2 * 0.30115
    assert hedges_gz(2 / np.sqrt(5), 5, confidence)[2] * np.sqrt(5) == pytest.approx(2.5, abs=1e-4)


@pytest.mark.parametrize(
    ("d", "n"), [(0.0, 4), (0.8, 4), (-1.5, 4), (0.5, 10), (40.0, 4), (3.0, 20), (51.0, 4), (-70.0, 4), (33.0, 10)]
)
def test_limits_leave_the_right_tails_by_numerical_integration(d, n):
    m, t = n - 1, d * np.sqrt(n)
    _, low, high = (float(value) for value in hedges_gz(d, n))

    def below(shift):
        """P(T <= t) for T = (Z + shift) / sqrt(chi2_m / m), integrated over the chi."""
        grid = np.linspace(*stats.chi.ppf([1e-13, 1 - 1e-13], m), 200_001)
        return integrate.simpson(stats.norm.cdf(t * grid / np.sqrt(m) - shift) * stats.chi.pdf(grid, m), x=grid)

    assert below(low * np.sqrt(n)) == pytest.approx(0.975, abs=1e-5)
    assert below(high * np.sqrt(n)) == pytest.approx(0.025, abs=1e-5)
    assert low <= d <= high


def test_the_limits_of_a_huge_t_are_those_of_the_chi_distribution():
    _, low, high = (float(value) for value in hedges_gz(-1e9, 4))
    expected = -1e9 * stats.chi.ppf([0.975, 0.025], 3) / np.sqrt(3)
    np.testing.assert_allclose([low, high], expected)


def test_the_interval_covers_the_effect_as_often_as_it_says():
    d = np.random.default_rng(1).normal(0.9, 1, size=(5, 4000))
    found = paired_t(d)
    covered = ((found["effect_low"] <= 0.9) & (0.9 <= found["effect_high"])).sum()
    low, high = stats.binom.ppf([0.0005, 0.9995], 4000, 0.95)
    assert low <= covered <= high
    # And g_z is right on average, where d is 25 % too large.
    standard_error = found["effect"].std() / np.sqrt(4000)
    assert found["effect"].mean() == pytest.approx(0.9, abs=4 * standard_error)


def test_too_few_or_equal_differences_give_nan_and_no_warning(recwarn):
    assert paired_t(np.ones((1, 3))).isna().all(axis=None)
    two = paired_t(np.array([[1.0], [2.0]]))
    assert two["p"].notna().all() and two["effect"].isna().all()
    equal = paired_t(np.column_stack([np.full(4, 0.1 + 0.2), np.zeros(4), [1.0, 2, 3, 5]]))
    assert equal["t"].isna().tolist() == [True, True, False]
    assert equal["effect_low"].isna().tolist() == [True, True, False]
    assert not recwarn.list
