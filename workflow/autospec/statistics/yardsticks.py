"""Simpler tests on the inputs themselves, under the same swaps: what the spectra are measured against.

They do better at finding that groups differ; the spectra say where and when a network learns differently. They see all
pairs, those held out for testing too, and values that are neither residualised nor harmonised, while the spectra are
of what the network trained on.
"""

import numpy as np
import pandas as pd

from autospec.statistics.multiplicity import adjust
from autospec.statistics.ranks import counts_at_least, monte_carlo_interval

_BLOCK = 2000


def compare_inputs(reference, other, swaps, correction="bh"):
    """Test the paired people's inputs.

    Parameters
    ----------
    reference, other : ndarray, shape (pairs, ...)
        The two people of each pair. Tables (pairs, features) are used as they are; series
        (pairs, time, components) as in `describe_series`; images are flattened.
    swaps : ndarray of bool, shape (labelings, pairs)
        Row 0 the truth; as from `autospec.data.pairing.draw_swaps`.
    correction : {"bh", "by", "holm"}

    Returns
    -------
    DataFrame
        `name`, `value`, `p` by rank among labelings, its interval `p_low`, `p_high`, `q` over the three, and `P`:
        `largest_t` (paired, over features), `largest_log_variance_ratio` (over features) and
        `covariance_distance` (Frobenius norm of the difference of the two groups' covariances of
        features over their pooled standard deviation). Constant features are left out.
    """
    if reference.ndim == 3:
        reference, other = describe_series(reference), describe_series(other)
    reference, other = reference.reshape(len(reference), -1), other.reshape(len(other), -1)
    people = np.concatenate([reference, other]).astype(np.float64)
    scale = np.abs(people).max(axis=0)
    people -= people.mean(axis=0)
    sd = people.std(axis=0)
    varies = sd > 1e-12 * scale
    people = people[:, varies] / sd[varies]
    reference, other = people[: len(reference)], people[len(reference) :]
    signs = np.where(swaps, -1.0, 1.0)
    values = {
        "largest_t": _over_blocks(_largest_t, reference, other, signs),
        "largest_log_variance_ratio": _over_blocks(_largest_log_variance_ratio, reference, other, signs),
        "covariance_distance": _covariance_distance(reference, other, signs),
    }
    rows = []
    for name, value in values.items():
        count = counts_at_least(value)[0]
        low, high = monte_carlo_interval(count, len(swaps))
        rows.append((name, value[0], count / len(swaps), float(low), float(high), len(swaps)))
    table = pd.DataFrame(rows, columns=["name", "value", "p", "p_low", "p_high", "P"])
    table.insert(5, "q", adjust(table["p"], correction))
    return table


def say_inputs(p_of_tests):
    """One sentence with the p of each test of the inputs.

    Parameters
    ----------
    p_of_tests : mapping of str to float
        `name` and `p` of `compare_inputs`.
    """
    told = ", ".join(f"{name.replace('_', ' ')} p = {p:.3g}" for name, p in p_of_tests.items())
    return f"The inputs without a network (all pairs, not residualised or harmonised): {told}."


def describe_series(series):
    """What is compared of a person's series.

    Parameters
    ----------
    series : ndarray, shape (people, time, components)

    Returns
    -------
    ndarray, shape (people, features)
        Fisher's z of the correlations between components, and the log variance of each component.
        A component without variance has correlation 0.
    """
    centred = series.astype(np.float64) - series.mean(axis=1, keepdims=True, dtype=np.float64)
    variance = (centred**2).mean(axis=1)
    unit = centred / np.sqrt(np.where(variance > 0, variance, 1.0))[:, None, :]
    upper = np.triu_indices(series.shape[2], k=1)
    correlations = [(person.T @ person / len(person))[upper] for person in unit]
    z = np.arctanh(np.clip(correlations, -1 + 1e-6, 1 - 1e-6))
    return np.concatenate([z, np.log(np.maximum(variance, 1e-30))], axis=1)


def _over_blocks(statistic, reference, other, signs):
    """Largest over features, a block of them at a time to bound memory."""
    blocks = range(0, reference.shape[1], _BLOCK)
    parts = [statistic(reference[:, b : b + _BLOCK], other[:, b : b + _BLOCK], signs) for b in blocks]
    return np.max(parts, axis=0, initial=0.0) if parts else np.zeros(len(signs))


def _largest_t(reference, other, signs):
    difference = other - reference
    n = len(difference)
    mean = signs @ difference / n
    # Swaps change the signs of the differences, so the mean of their squares is the same for all.
    variance = np.maximum((difference**2).mean(axis=0) - mean**2, 0.0) * n / (n - 1)
    t = np.abs(mean) / np.sqrt(np.maximum(variance, 1e-12) / n)
    return t.max(axis=1)


def _largest_log_variance_ratio(reference, other, signs):
    # With everyone's mean at zero the two groups' means are each other's negatives.
    n = len(reference)
    mean = signs @ (other - reference) / (2 * n)
    half_sum = (reference**2 + other**2).mean(axis=0) / 2
    half_gap = signs @ (other**2 - reference**2) / (2 * n)
    variances = [np.maximum(half_sum + side * half_gap - mean**2, 1e-12) for side in (1, -1)]
    return np.abs(np.log(variances[0] / variances[1])).max(axis=1)


def _covariance_distance(reference, other, signs):
    # The difference of covariances is a signed sum of one matrix a pair, o o' - r r' (the means' parts cancel,
    # being each other's negatives), so its squared norm is a quadratic form of the signs.
    inner = (other @ other.T) ** 2 + (reference @ reference.T) ** 2
    inner -= (other @ reference.T) ** 2 + (reference @ other.T) ** 2
    squared = ((signs @ inner) * signs).sum(axis=1)
    return np.sqrt(np.maximum(squared, 0.0)) / len(reference)
