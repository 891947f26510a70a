"""Means over trainings, and intervals that stay within what a quantity can be."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats

from autospec.figures.frames import bands_in_words, over_seeds


def summarise(values, **options):
    frame = pd.DataFrame({"seed": range(len(values)), "layer": "one", "value": values})
    return over_seeds(frame, ["layer"], interval=True, **options).iloc[0]


@pytest.mark.parametrize("seeds", [4, 5, 12])
def test_the_interval_of_a_share_is_that_of_a_logit_regression_with_a_robust_error(seeds):
    values = np.random.default_rng(seeds).beta(0.5, 0.4, seeds)
    row = summarise(values, bounds=(0, 1))
    fit = sm.GLM(values, np.ones(seeds), sm.families.Binomial()).fit(cov_type="HC0")
    half = fit.bse[0] * np.sqrt(seeds / (seeds - 1)) * stats.t.ppf(0.975, seeds - 1)
    limits = 1 / (1 + np.exp(-np.array([fit.params[0] - half, fit.params[0] + half])))
    np.testing.assert_allclose(row[["mean", "low", "high"]].astype(float), [values.mean(), *limits], rtol=1e-6)


def test_the_interval_of_a_positive_quantity_is_students_of_its_logarithm():
    values = np.random.default_rng(0).lognormal(0, 3, 6)
    row = summarise(values, log=True)
    logs = np.log(values)
    limits = np.exp(stats.t.interval(0.95, 5, logs.mean(), stats.sem(logs)))
    np.testing.assert_allclose(row[["mean", "low", "high"]].astype(float), [stats.gmean(values), *limits])


@pytest.mark.parametrize(("bounds", "values"), [
    ((0, 1), [0.01, 0.02, 0.9, 0.99]), ((0, 1), [1.0, 1.0, 1.0, 1.0]), ((0, 1), [0.0, 0.0, 0.0, 1.0]),
    ((1, np.inf), [1.0001, 1.0, 1.0, 9.0]), ((1, np.inf), [1.0, 1.0, 1.0, 1.0]),
])  # fmt: skip
def test_no_interval_leaves_the_bounds_or_its_mean(bounds, values):
    row = summarise(values, bounds=bounds)
    assert bounds[0] <= row["low"] <= row["mean"] <= row["high"] <= bounds[1]
    assert row["mean"] == pytest.approx(np.mean(values))
    assert (row["low"] == row["high"]) == (len(set(values)) == 1)


@pytest.mark.parametrize("options", [{"bounds": (0, 1)}, {"log": True}, {}])
def test_few_trainings_have_their_range_and_the_words_say_so(options):
    few = summarise([0.2, 0.9, 0.4], **options)
    assert (few["low"], few["high"], few["band"]) == (0.2, 0.9, "range")
    more = summarise([0.2, 0.9, 0.4, 0.3], **options)
    assert more["band"] == "95 % interval" and more["high"] != 0.9
    assert "fewer than 4 their range" in bands_in_words(pd.DataFrame([few, more]))
