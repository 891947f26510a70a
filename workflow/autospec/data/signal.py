"""One person's time courses: which never change, and cleaning."""

import nilearn.signal
import numpy as np

HIGH_PASS, LOW_PASS = 0.01, 0.1  # Hz, the band of ABIDE's and most resting-state pipelines


def constant(series: np.ndarray) -> np.ndarray:
    """Tell which columns of one time series never change (to rounding), shape (components,)."""
    return series.std(axis=0) <= 1e-7 * np.abs(series).max(axis=0)


def clean(
    series: np.ndarray,
    repetition_time: float,
    high_pass: float | None = HIGH_PASS,
    low_pass: float | None = LOW_PASS,
    confounds: np.ndarray | None = None,
    kept: np.ndarray | None = None,
    detrend: bool = True,
    standardise: bool = True,
) -> np.ndarray:
    """Detrend, band-pass, regress out confounds and standardise one person's time courses.

    `nilearn.signal.clean`: a Butterworth filter of order 5 run forwards and backwards, the confounds
    filtered alike before they are regressed out (Lindquist et al. 2019, Human Brain Mapping 40).
    Censored volumes are interpolated by a cubic spline for the filter alone, and have no part in the
    regression nor in the result. Everything is fitted on this one person, so that nothing is known of
    groups.

    Parameters
    ----------
    series : ndarray, shape (time, components)
    repetition_time : float
        Seconds.
    high_pass, low_pass : float or None
        Hz; None for no such filter.
    confounds : ndarray, shape (time, confounds), optional
    kept : ndarray of bool, shape (time,), optional
        False for censored volumes.
    detrend, standardise : bool
        Whether to remove the linear trend, and to give each column mean 0 and standard deviation 1
        (divided by time - 1).

    Returns
    -------
    ndarray of float64, shape (volumes kept, components)
        All 0 where only rounding is left of a column.
    """
    series = np.asarray(series, dtype=np.float64)
    left = nilearn.signal.clean(
        series,
        detrend=detrend,
        standardize=None,
        confounds=confounds if confounds is not None and confounds.shape[1] else None,
        sample_mask=None if kept is None or kept.all() else np.flatnonzero(kept),
        t_r=repetition_time,
        high_pass=high_pass,
        low_pass=low_pass,
        butterworth__copy=True,  # filters all columns at once; without it, one by one, five times slower
    )
    # nilearn's own standardising would blow rounding errors up to a signal.
    centred = left - left.mean(axis=0)
    spread = centred.std(axis=0, ddof=1)
    seen = series if kept is None else series[kept]
    empty = spread <= 1e-6 * np.abs(seen).max(axis=0)
    if standardise:
        left = centred / np.where(empty, 1.0, spread)
    return np.where(empty, 0.0, left)
