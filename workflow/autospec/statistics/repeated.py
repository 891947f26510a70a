"""Three or more conditions measured in every seed: one test of them together, before pairs are compared."""

import numpy as np
import pandas as pd
from scipy import special, stats

_LARGE = 5000.0


def repeated_anova(values, confidence=0.95):
    """Analysis of variance with repeated measures, of each cell.

    The degrees of freedom are multiplied by Greenhouse and Geisser's epsilon (1959,
    doi:10.1007/BF02289823), since differences between conditions rarely all vary by the same amount.

    Parameters
    ----------
    values : array_like, shape (n, conditions, cells)
        One row a seed.
    confidence : float
        Of the interval.

    Returns
    -------
    DataFrame
        `F`, `df1`, `df2` (both with epsilon), `p`; `effect` is partial eta squared, the conditions'
        share of what is not between seeds, and `effect_low`, `effect_high` are its limits from those
        of the noncentrality of F (Smithson 2001, doi:10.1177/00131640121971392). NaN where n < 2 or
        the conditions do not vary within seeds.
    """
    values = np.asarray(values, dtype=float)
    n, k, cells = values.shape
    if n < 2:
        return pd.DataFrame(np.nan, range(cells), ["F", "df1", "df2", "p", "effect", "effect_low", "effect_high"])
    within = values - values.mean(axis=1, keepdims=True)
    means = within.mean(axis=0)
    between = n * (means**2).sum(axis=0)
    residuals = within - means
    error = (residuals**2).sum(axis=(0, 1))
    # Values that are equal but for rounding would give an F of any size.
    usable = error > 1e-24 * n * k * np.abs(values).max(axis=(0, 1)) ** 2

    covariance = np.einsum("nkc,nlc->ckl", residuals, residuals)
    trace, squares = np.trace(covariance, axis1=1, axis2=2), (covariance**2).sum(axis=(1, 2))
    epsilon = _divide(trace**2, (k - 1) * squares, usable)
    df1, df2 = epsilon * (k - 1), epsilon * (k - 1) * (n - 1)
    f = _divide(between * (n - 1), error, usable)
    effect = _divide(between, between + error, usable)
    tail = (1 - confidence) / 2
    low, high = (_noncentrality(f, df1, df2, probability) for probability in (1 - tail, tail))
    return pd.DataFrame(
        {
            "F": f,
            "df1": df1,
            "df2": df2,
            "p": stats.f.sf(f, df1, df2),
            "effect": effect,
            "effect_low": low / (low + df1 + df2 + 1),
            "effect_high": high / (high + df1 + df2 + 1),
        }
    )


def _noncentrality(f, df1, df2, probability):
    """The noncentrality for which F is below f with this probability; 0 where none is that small."""
    # scipy's inverse ends at 10,000. There the noncentral part of F is its noncentrality, so that
    # what is left is the spread of the denominator.
    large = df1 * f * special.chdtri(df2, probability) / df2
    exact = special.ncfdtrinc(df1, df2, probability, np.where(large < _LARGE, f, np.nan))
    return np.where(large < _LARGE, exact, large)


def _divide(one, other, usable):
    return np.divide(one, other, out=np.full(one.shape, np.nan), where=usable)
