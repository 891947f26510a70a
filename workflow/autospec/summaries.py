"""The numbers that sum up a spectrum. Needs numpy alone."""

import numpy as np

_FLOAT32_EPS = float(np.finfo(np.float32).eps)


def summarise(singular_values, larger_side=None, eps=_FLOAT32_EPS):
    """Sum up spectra s_1 >= s_2 >= ... >= s_r.

    Parameters
    ----------
    singular_values : array_like, shape (..., r), r >= 1
        Descending, not negative.
    larger_side : int, optional
        The larger of the matrix's two sides, for the numerical rank; r if not given.
    eps : float
        Rounding unit of the numbers that the matrix was computed in; float32's by default.

    Returns
    -------
    dict of str to ndarray, shape (...)
        `nuclear_norm` sum s; `frobenius_norm` sqrt(sum s^2); `spectral_norm` s_1; `smallest` s_r;
        `top_share` s_1 / sum s; `effective_rank` exp(entropy of s / sum s) (Roy and Vetterli 2007);
        `normalised_effective_rank` effective rank / r; `stable_rank` sum s^2 / s_1^2; `rank_90` how
        many s reach 90 % of sum s; `numerical_rank` how many s exceed larger_side * eps * s_1.
        A spectrum of zeros has norms and ranks 0 and no top share (NaN). A spectrum with a NaN or
        an infinity has NaN everywhere.
    """
    s = np.asarray(singular_values, dtype=np.float64)
    r = s.shape[-1]
    s = np.where(np.isfinite(s).all(axis=-1, keepdims=True), s, np.nan)
    largest, total = s[..., 0], s.sum(axis=-1)
    # Where everything is zero the divisions below are by one: ranks come out 0.
    zero = total == 0
    by_largest = s / np.where(zero, 1.0, largest)[..., None]
    share = s / np.where(zero, 1.0, total)[..., None]
    energy = (by_largest**2).sum(axis=-1)
    entropy = -(share * np.log(np.where(share > 0, share, 1.0))).sum(axis=-1)
    effective = np.where(zero, 0.0, np.exp(entropy))
    # The tolerance keeps rounding in the running sum from asking for one value more.
    reached = np.cumsum(share, axis=-1) >= 0.9 - 1e-12
    threshold = (larger_side or r) * eps
    invalid = np.isnan(total)
    return {
        "nuclear_norm": total,
        "frobenius_norm": largest * np.sqrt(energy),
        "spectral_norm": largest,
        "smallest": s[..., -1],
        "top_share": np.where(zero, np.nan, share[..., 0]),
        "effective_rank": effective,
        "normalised_effective_rank": effective / r,
        "stable_rank": energy,
        "rank_90": np.where(invalid, np.nan, np.where(zero, 0.0, np.argmax(reached, axis=-1) + 1.0)),
        "numerical_rank": np.where(invalid, np.nan, (by_largest > threshold).sum(axis=-1)),
    }


def area(curves, epochs):
    """Area under curves over epochs by the trapezoid rule, along the first axis.

    Parameters
    ----------
    curves : array_like, shape (epochs, ...)
    epochs : array_like, shape (epochs,)
        A single epoch has no width: its value itself is returned.

    Returns
    -------
    ndarray, shape (...)
    """
    curves = np.asarray(curves, dtype=np.float64)
    if len(curves) == 1:
        return curves[0]
    return np.trapezoid(curves, np.asarray(epochs, dtype=np.float64), axis=0)
