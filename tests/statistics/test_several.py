import numpy as np
import pytest
from scipy import stats

from autospec.statistics.several import p_of_two


def test_the_p_of_two_is_as_computed_by_hand():
    p, by_model = p_of_two({"a": [0.01, 0.5, 0.5], "b": [0.002], "c": [0.9, 0.8]})
    assert by_model == {"a": pytest.approx(0.03), "b": 0.002, "c": 1.0}
    assert p == pytest.approx(2 * 0.03)


@pytest.mark.parametrize("models", [2, 3, 5])
def test_under_the_null_two_models_are_found_as_often_as_the_binomial_says(models):
    """Independent models of one run; one of them with an effect of any size, or none."""
    generator = np.random.default_rng(models)
    drawn = generator.random((20000, models))
    level = 0.05 / (models - 1)
    for of_first, expected in (
        (drawn[:, 0], stats.binom.sf(1, models, level)),
        (np.zeros(20000), stats.binom.sf(0, models - 1, level)),
    ):
        drawn[:, 0] = of_first
        found = sum(p_of_two({str(n): [p] for n, p in enumerate(row)})[0] <= 0.05 for row in drawn)
        assert stats.binomtest(int(found), 20000, expected).pvalue > 0.001
        assert expected <= 0.05


def test_the_level_holds_where_all_runs_and_models_see_the_same_people():
    """One p for all, the strongest dependence there is: nothing is gained by running more."""
    same = np.random.default_rng(0).random(20000)
    for models, runs in ((2, 1), (2, 4), (5, 2)):
        found = [p_of_two({str(n): [p] * runs for n in range(models)})[0] <= 0.05 for p in same]
        assert stats.binomtest(int(np.sum(found)), 20000, 0.05, alternative="greater").pvalue > 0.01
