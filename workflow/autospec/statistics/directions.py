"""Which inputs the first layer's gradients point to: leading right singular vectors, averaged as subspaces.

A singular vector has no sign of its own and turns from step to step; its projector does neither. So what is averaged,
over an epoch's steps, over epochs and over seeds, are projectors, and a direction is the leading eigenvector of a mean.
"""

import numpy as np
import pandas as pd
from scipy import stats

from autospec.tables import read_parquet

#: Of the two groups' gradients, other minus reference, each group scaled as if both had as many people.
DIFFERENCE = "difference"


def leading_inputs(records, features):
    """How much each input takes part in the leading direction of the first layer's gradients.

    Parameters
    ----------
    records : mapping of path to dict
        Run folder, with its `directions.parquet`, and its `run.json`, one for each seed; diverged seeds are left out.
    features : sequence of str
        The features of the data set, in order.

    Returns
    -------
    DataFrame
        One row a group (the reference, the other, `difference`) and feature: `loading`, mean over seeds, with its
        95 % interval `low` to `high` by Student's t over seeds (NaN for one seed), and `share`, how much of the
        direction all steps, epochs and seeds have in common, from 0 to 1. The sign of a direction is a convention:
        over all seeds its largest entry is positive, and the other group and the difference are turned towards the
        reference. Where the layer sees a feature several times (each time point, each place of a kernel), the
        feature's loading has the size of all those entries together and the sign of their sum. A feature that a seed
        left out has no part in it. No rows where nothing was recorded.
    """
    finished = [(folder, record) for folder, record in records.items() if record["status"] == "finished"]
    rows, towards = [], None
    names = finished[0][1]["groups"] if finished else []
    tables = [read_parquet(folder / "directions.parquet").to_pandas() for folder, _ in finished]
    channels_first = bool(finished) and finished[0][1]["model"] == "cnn"
    kept = [~np.isin(features, record["left_out"]["features"]) for _, record in finished]
    for group in (*names, DIFFERENCE):
        found = [_of_epochs(table, group) for table in tables]
        if not found or any(not len(vectors) for vectors in found):
            continue
        found = [_everywhere(vectors, mask, channels_first) for vectors, mask in zip(found, kept, strict=True)]
        share, direction = mean_direction(np.concatenate(found))
        direction *= _sign(direction[np.argmax(np.abs(direction))] if towards is None else towards @ direction)
        towards = direction if towards is None else towards
        seeds = np.array([mean_direction(vectors)[1] for vectors in found])
        seeds *= np.array([_sign(vector @ direction) for vector in seeds])[:, None]
        loadings = np.array([by_feature(vector, len(features), channels_first) for vector in seeds])
        mean, count = loadings.mean(axis=0), len(loadings)
        half = np.full(len(mean), np.nan)
        if count > 1:
            half = stats.t.ppf(0.975, count - 1) * loadings.std(axis=0, ddof=1) / np.sqrt(count)
        layer = tables[0].loc[tables[0]["group"] == group, "layer"].iloc[0]
        rows.append(
            pd.DataFrame({"layer": layer, "group": group, "feature": list(features), "loading": mean,
                          "low": mean - half, "high": mean + half, "share": share, "n_seeds": count})
        )  # fmt: skip
    columns = ["layer", "group", "feature", "loading", "low", "high", "share", "n_seeds"]
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=columns)


def mean_direction(vectors):
    """The leading eigenvalue and eigenvector of the mean of v v^T over vectors v.

    Parameters
    ----------
    vectors : ndarray, shape (vectors, inputs)

    Returns
    -------
    share : float
    direction : ndarray, shape (inputs,)
        Of length 1; its sign is arbitrary.
    """
    _, values, right = np.linalg.svd(vectors, full_matrices=False)
    return float(values[0] ** 2 / len(vectors)), right[0]


def by_feature(vector, features, channels_first=False):
    """Bring a layer's inputs to features, where it sees each of them several times.

    Parameters
    ----------
    vector : ndarray, shape (inputs,)
        `inputs` is a multiple of `features`.
    features : int
    channels_first : bool
        Whether the entries of one feature are neighbours, as in a convolution, or `features` apart, as in a series
        that is made flat.

    Returns
    -------
    ndarray, shape (features,)
        Euclidean norm of a feature's entries, with the sign of their sum.
    """
    entries = vector.reshape(features, -1) if channels_first else vector.reshape(-1, features).T
    return np.where(entries.sum(axis=1) < 0, -1.0, 1.0) * np.linalg.norm(entries, axis=1)


def _of_epochs(table, group):
    """One seed's direction of each epoch, times the root of its share, shape (epochs, inputs)."""
    rows = table[(table["side"] == "right") & (table["index"] == 1) & (table["group"] == group)]
    return np.array([np.sqrt(row.share) * row.vector.astype(np.float64) for row in rows.itertuples()])


def _everywhere(vectors, kept, channels_first):
    """Zeros where a seed left a feature out: (epochs, inputs of the seed) to (epochs, inputs of all features)."""
    count = int(kept.sum())
    entries = vectors.reshape(len(vectors), *((count, -1) if channels_first else (-1, count)))
    shape = (len(kept), entries.shape[2]) if channels_first else (entries.shape[1], len(kept))
    full = np.zeros((len(vectors), *shape))
    full[(slice(None), kept) if channels_first else (..., kept)] = entries
    return full.reshape(len(vectors), -1)


def _sign(value):
    return -1.0 if value < 0 else 1.0
