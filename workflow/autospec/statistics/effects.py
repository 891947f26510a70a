"""Paired differences with trainings (seeds) as the unit: t, effect size, interval."""

import numpy as np
import pandas as pd
from scipy import special, stats

_LARGE = 100.0


def paired_t(differences, variance_factor=None):
    """Student's paired t test of each column, with Hedges' g_z.

    Parameters
    ----------
    differences : array_like, shape (n, cells)
        One row a seed.
    variance_factor : float, optional
        What the variance of the differences is multiplied by to give the variance of their mean:
        1 / n if not given; 1 / n + n_test / n_train is the correction for overlapping training
        sets of Nadeau and Bengio (2003, doi:10.1023/A:1024068626366).

    Returns
    -------
    DataFrame
        `t`, `p` (two-sided, n - 1 degrees of freedom), `effect`, `effect_low`, `effect_high`. NaN
        where n < 2 or the differences do not vary; the effect also where n < 3 (see `hedges_gz`).
        The effect never uses `variance_factor`.
    """
    differences = np.asarray(differences, dtype=float)
    n, cells = differences.shape
    mean = differences.mean(axis=0) if n else np.full(cells, np.nan)
    sd = differences.std(axis=0, ddof=1) if n > 1 else np.full(cells, np.nan)
    # Differences that are equal but for rounding would give a t of any size.
    usable = sd > 1e-12 * np.abs(differences).max(axis=0, initial=0.0)
    d = np.divide(mean, sd, out=np.full(cells, np.nan), where=usable)
    t = d / np.sqrt(1 / n if variance_factor is None else variance_factor) if n else d
    effect, low, high = hedges_gz(d, n)
    return pd.DataFrame(
        {
            "t": t,
            "p": 2 * stats.t.sf(np.abs(t), n - 1),
            "effect": effect,
            "effect_low": low,
            "effect_high": high,
        }
    )


def hedges_gz(d, n, confidence=0.95):
    """Hedges' g_z of n paired differences, with an interval for the population's effect.

    Parameters
    ----------
    d : array_like
        Mean of the differences over their standard deviation (Cohen's d_z).
    n : int
        How many differences.
    confidence : float

    Returns
    -------
    effect, low, high : ndarray
        g_z = d times the exact small-sample factor gamma(m / 2) / (sqrt(m / 2) gamma((m - 1) / 2)),
        m = n - 1 (Hedges 1981, doi:10.3102/10769986006002107). The limits are those of the
        noncentrality of Student's t over sqrt(n) (Steiger and Fouladi 1997): exact for normal
        differences, and not symmetric about g_z. NaN where n < 3, for the factor is then zero.
    """
    d = np.asarray(d, dtype=float)
    if n < 3:
        return np.full((3, *d.shape), np.nan)
    m = n - 1
    factor = np.exp(special.gammaln(m / 2) - special.gammaln((m - 1) / 2)) / np.sqrt(m / 2)
    t, tail = d * np.sqrt(n), (1 - confidence) / 2
    low, high = (_noncentrality(t, m, probability) / np.sqrt(n) for probability in (1 - tail, tail))
    return factor * d, low, high


def _noncentrality(t, m, probability):
    """The shift for which Student's t with m degrees of freedom is below t with this probability."""
    # scipy's inverse loses digits as t grows, and its time grows with t without bound. The shift is a quantile
    # of |t| chi / sqrt(m) - Z; beyond |t| = 100 two terms of its expansion in 1 / t are the better answer.
    exact = special.nctdtrinc(m, probability, np.clip(t, -_LARGE, _LARGE))
    chi = stats.chi.ppf(np.where(t > 0, 1 - probability, probability), m)
    size = np.maximum(np.abs(t), _LARGE)
    expanded = size * chi / np.sqrt(m) - ((m - 1) / chi - chi) * np.sqrt(m) / (2 * size)
    return np.where(np.abs(t) <= _LARGE, exact, np.sign(t) * expanded)
