"""Many tests at once."""

import numpy as np
from statsmodels.stats.multitest import multipletests

METHODS = {"bh": "fdr_bh", "by": "fdr_by", "holm": "holm"}


def adjust(p, method="bh"):
    """Adjust p-values for the family that they make up.

    Parameters
    ----------
    p : array_like, shape (tests,)
        A NaN (nothing could be tested) is no member of the family and stays NaN.
    method : {"bh", "by", "holm"}
        Benjamini-Hochberg, Benjamini-Yekutieli or Holm, all by statsmodels.

    Returns
    -------
    ndarray, shape (tests,)
    """
    p = np.asarray(p, dtype=float)
    adjusted = np.full(p.shape, np.nan)
    tested = ~np.isnan(p)
    if tested.any():
        adjusted[tested] = multipletests(p[tested], method=METHODS[method])[1]
    return adjusted
