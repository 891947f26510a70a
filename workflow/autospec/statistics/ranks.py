"""p-values by rank among labelings, the truth among them."""

import numpy as np
from scipy import stats

_DECIMALS = 6


def standardise(x):
    """Over the standard deviation among all labelings, the truth among them.

    Parameters
    ----------
    x : ndarray, shape (labelings, cells)

    Returns
    -------
    z : ndarray, shape (labelings, cells)
        Leaving the truth out of the mean and the standard deviation would treat it unlike the other
        labelings and call too many nulls.
    usable : ndarray of bool, shape (cells,)
        False for cells that are constant over labelings or not finite in any of them. They are the
        same for every labeling; their z is 0.
    """
    finite = np.isfinite(x).all(axis=0)
    x = np.where(finite, x, 0.0)
    usable = finite & (np.ptp(x, axis=0) > 1e-10 * np.abs(x).max(axis=0))
    centred = x - x.mean(axis=0)
    sd = np.where(usable, x.std(axis=0), 1.0)
    return np.where(usable, centred / sd, 0.0), usable


def counts_at_least(comparison):
    """For every labeling, how many labelings have a value at least as large: 1 to P.

    Parameters
    ----------
    comparison : ndarray, shape (labelings, ...)
        Finite. Compared to six decimals, since labelings that are equal in truth (a labeling and
        its mirror image, for one) differ by rounding.

    Returns
    -------
    ndarray of int, same shape
    """
    if not np.isfinite(comparison).all():
        raise ValueError("a value that is not finite has come to a comparison of labelings")
    return stats.rankdata(-np.round(comparison, _DECIMALS), method="max", axis=0).astype(int)


def monte_carlo_interval(count, labelings, confidence=0.95):
    """Clopper-Pearson interval for the p-value that all swaps would give.

    Parameters
    ----------
    count : array_like of int
        Labelings at least as extreme, the truth among them: p = count / labelings.
    labelings : int
        P. The truth was not drawn, so the interval is that of count - 1 in P - 1 draws.

    Returns
    -------
    low, high : ndarray
        (0, 1) where nothing was drawn.
    """
    hits, draws = np.asarray(count) - 1, labelings - 1
    tail = (1 - confidence) / 2
    if draws == 0:
        return np.zeros(hits.shape), np.ones(hits.shape)
    low = np.where(hits > 0, stats.beta.ppf(tail, np.maximum(hits, 1), draws - hits + 1), 0.0)
    high = np.where(hits < draws, stats.beta.ppf(1 - tail, hits + 1, np.maximum(draws - hits, 1)), 1.0)
    return low, high
