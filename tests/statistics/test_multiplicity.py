import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from autospec.statistics.multiplicity import adjust


def test_benjamini_and_hochberg_by_hand():
    # Sorted 0.01, 0.02, 0.03, 0.5 times 4 over the rank: 0.04, 0.04, 0.04, 0.5.
    np.testing.assert_allclose(adjust([0.5, 0.01, 0.03, 0.02]), [0.5, 0.04, 0.04, 0.04])


def test_holm_by_hand():
    # Sorted 0.01, 0.02, 0.03 times 3, 2, 1, never falling: 0.03, 0.04, 0.04.
    np.testing.assert_allclose(adjust([0.03, 0.01, 0.02], "holm"), [0.04, 0.03, 0.04])


@pytest.mark.parametrize(("method", "scipys", "statsmodels_name"), [("bh", "bh", "fdr_bh"), ("by", "by", "fdr_by")])
def test_false_discovery_rates_agree_with_scipy_and_statsmodels(method, scipys, statsmodels_name):
    p = np.random.default_rng(0).random(50) ** 2
    np.testing.assert_allclose(adjust(p, method), stats.false_discovery_control(p, method=scipys))
    np.testing.assert_allclose(adjust(p, method), multipletests(p, method=statsmodels_name)[1])


def test_what_could_not_be_tested_is_no_member_of_the_family():
    found = adjust([0.01, np.nan, 0.04])
    np.testing.assert_allclose(found[[0, 2]], [0.02, 0.04])
    assert np.isnan(found[1])
    assert np.isnan(adjust([np.nan, np.nan])).all()
    assert len(adjust([])) == 0
