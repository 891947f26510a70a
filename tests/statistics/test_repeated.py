import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats
from statsmodels.stats.anova import AnovaRM

from autospec.statistics.effects import paired_t
from autospec.statistics.repeated import repeated_anova


def measured(seeds, conditions, cells, seed=0):
    generator = np.random.default_rng(seed)
    effects = np.linspace(0, 1, conditions)[:, None] * generator.normal(size=cells)
    return generator.normal(size=(seeds, 1, cells)) + effects + generator.normal(size=(seeds, conditions, cells))


@pytest.mark.parametrize(("seeds", "conditions"), [(4, 3), (20, 3), (7, 5), (2, 3)])
def test_f_agrees_with_statsmodels_and_epsilon_only_takes_degrees_of_freedom_away(seeds, conditions):
    values = measured(seeds, conditions, 6)
    found = repeated_anova(values)
    for cell in range(6):
        rows = [(s, c, values[s, c, cell]) for s in range(seeds) for c in range(conditions)]
        frame = pd.DataFrame(rows, columns=["seed", "condition", "value"])
        table = AnovaRM(frame, "value", "seed", within=["condition"]).fit().anova_table
        row = found.iloc[cell]
        assert row["F"] == pytest.approx(table["F Value"].item())
        epsilon = row["df1"] / table["Num DF"].item()
        assert row["df2"] / table["Den DF"].item() == pytest.approx(epsilon)
        assert 1 / (conditions - 1) - 1e-12 <= epsilon <= 1
        assert row["p"] == pytest.approx(stats.f.sf(row["F"], row["df1"], row["df2"]))


def test_epsilon_is_greenhouse_and_geissers_formula():
    values = measured(9, 4, 3)
    for cell in range(3):
        s = np.cov(values[:, :, cell], rowvar=False)
        # Box's formula as Greenhouse and Geisser give it, from the covariance matrix itself.
        numerator = 16 * (np.diag(s).mean() - s.mean()) ** 2
        rows = (s.mean(axis=1) ** 2).sum()
        denominator = 3 * ((s**2).sum() - 2 * 4 * rows + 16 * s.mean() ** 2)
        found = repeated_anova(values[:, :, cell : cell + 1])
        assert found["df1"].item() == pytest.approx(3 * numerator / denominator)


def test_two_conditions_give_the_paired_t_test_squared():
    values = measured(8, 2, 5)
    found, t = repeated_anova(values), paired_t(values[:, 1] - values[:, 0])
    np.testing.assert_allclose(found["F"], t["t"] ** 2)
    np.testing.assert_allclose(found["p"], t["p"])
    np.testing.assert_allclose(found["effect"], t["t"] ** 2 / (t["t"] ** 2 + 7))


def test_the_interval_is_where_the_noncentral_f_leaves_two_and_a_half_per_cent():
    values = measured(10, 3, 8) + np.array([0, 1.5, 3])[:, None]
    for row in repeated_anova(values).itertuples():
        rest = row.df1 + row.df2 + 1
        for limit, tail in ((row.effect_low, 0.975), (row.effect_high, 0.025)):
            wanted = optimize.brentq(lambda nc, r=row, t=tail: stats.ncf.cdf(r.F, r.df1, r.df2, nc) - t, 0, 5000)
            assert limit == pytest.approx(wanted / (wanted + rest), abs=1e-3)
        assert row.effect_low < row.effect < row.effect_high


def test_limits_stay_in_order_for_effects_of_any_size():
    sizes = 10.0 ** np.arange(0, 7)
    values = measured(6, 3, 1) + np.array([0.0, 0.0, 1.0])[:, None] * sizes
    found = repeated_anova(values)
    assert (found["effect_low"] < found["effect"]).all() and (found["effect"] < found["effect_high"]).all()
    assert (np.diff(found["effect_low"]) >= 0).all() and (np.diff(found["effect_high"]) > 0).all()


def test_conditions_that_do_not_vary_and_single_seeds_are_not_tested():
    generator = np.random.default_rng(1)
    seeds = generator.normal(size=(5, 1, 1))
    assert repeated_anova(np.repeat(seeds, 3, axis=1))["p"].isna().all()
    assert repeated_anova(measured(1, 3, 4)).isna().all(axis=None)
