"""What a reader wants to know of the people and the data before any result: tables without a subject's name.

Made after everything that the analysis uses, and read by nothing but figures and the report.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd
import scipy.stats

from autospec.data.balance import CATEGORICAL, NUMERIC
from autospec.data.dataset import Dataset
from autospec.data.pairing import one_row_a_person
from autospec.data.quality import OUTLIER, robust_z

STAGES = ("everyone", "paired")
#: Shares of people at or below which a distribution is described.
QUANTILES = {"minimum": 0.0, "q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95, "maximum": 1.0}
#: Expected counts below this make chi-squared rough; two by two tables get Fisher's test instead.
_SMALL_COUNT = 5


def people_with_measures(dataset: Dataset, quality: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Join people with the measures of quality that vary, one row a person.

    Parameters
    ----------
    dataset : Dataset
    quality : DataFrame
        One row a subject, as in `qc.tsv`; people who were dropped are left out.

    Returns
    -------
    people : DataFrame
    measures : list of str
        The numeric variables, covariates first.
    """
    numbers = quality.drop(columns=[name for name in quality if name in dataset.people and name != "subject"])
    numbers = numbers.set_index("subject").select_dtypes("number")
    numbers = numbers.loc[:, numbers.nunique() > 1]
    joined = dataset.people.join(numbers, on="subject")
    people = one_row_a_person(joined)
    if len(people) < len(joined):
        means = joined.groupby("person", sort=False)[list(numbers)].mean()
        people = people.drop(columns=list(numbers)).join(means, on="person")
    known = [name for name in NUMERIC if name in people and people[name].notna().any()]
    # Motion is often the mean displacement itself; said once is enough.
    measures = [name for name in numbers if not (name == "mean_fd" and _same(people, "motion", name))]
    return people, [*known, *measures]


def group_table(
    people: pd.DataFrame, paired: Iterable[str], groups: tuple[str, str], measures: list[str]
) -> pd.DataFrame:
    """Describe the two groups, everyone and those paired, with a test for each variable.

    Parameters
    ----------
    people : DataFrame
        One row a person: `person`, `group`, `sex`, `site` where known, and the measures.
    paired : iterable of str
        Persons who have a partner.
    groups : (str, str)
    measures : list of str

    Returns
    -------
    DataFrame
        `variable`, `level`, `stage`; numbers of people; for measures mean and standard deviation of each
        group, for levels the share in `mean_*`; `test`, `statistic`, `p` (Welch's t for measures; for
        categories chi-squared, or Fisher's exact test where a two by two table has an expected count below 5).
        The tests describe: pairing is what keeps the groups alike.
    """
    stages = dict(zip(STAGES, (people, people[people["person"].isin(set(paired))]), strict=True))
    rows = []
    for stage, frame in stages.items():
        halves = [frame[frame["group"] == group] for group in groups]
        rows.append(_row("people", "", stage, [len(half) for half in halves]))
        for name in measures:
            values = [half[name].dropna().to_numpy(float) for half in halves]
            rows.append(
                _row(name, "", stage, [len(one) for one in values], _moments(values), _welch(*values))
            )
        for name in CATEGORICAL:
            if name in frame and frame[name].notna().any():
                counts = pd.crosstab(frame[name], frame["group"]).reindex(columns=list(groups), fill_value=0)
                test = _categories(counts.to_numpy())
                for level, pair in counts.iterrows():
                    shares = {
                        f"mean_{side}": count / total if total else np.nan
                        for side, count, total in zip(("reference", "other"), pair, counts.sum(), strict=True)
                    }
                    rows.append(_row(name, str(level), stage, pair.tolist(), shares, test))
                    test = {}  # one test a variable, in the row of its first level
    return pd.DataFrame(rows)


def measure_table(
    people: pd.DataFrame, paired: Iterable[str], groups: tuple[str, str], measures: list[str]
) -> pd.DataFrame:
    """Quantiles of each measure by group, everyone and those paired; `QUANTILES` are the columns."""
    rows = []
    paired = set(paired)
    for stage in STAGES:
        frame = people if stage == "everyone" else people[people["person"].isin(paired)]
        for name in measures:
            for group in groups:
                values = frame.loc[frame["group"] == group, name].dropna().to_numpy(float)
                if len(values):
                    described = dict(zip(QUANTILES, np.quantile(values, list(QUANTILES.values())), strict=True))
                    rows.append({"variable": name, "group": group, "stage": stage, "people": len(values)} | described)
    return pd.DataFrame(rows, columns=["variable", "group", "stage", "people", *QUANTILES])


def feature_table(dataset: Dataset, time_courses: bool) -> pd.DataFrame:
    """Distribution and outliers of each feature over people.

    Parameters
    ----------
    dataset : Dataset
    time_courses : bool
        Whether the second axis of arrays is time; then a component stands for its mean correlation with the
        others in a person. Of other arrays the mean over the axes before the last is taken.

    Returns
    -------
    DataFrame
        `feature`, `mean`, `sd`, quantiles of the distance from the median in robust standard deviations
        (`QUANTILES`), `outliers` (people further than 5), in the data set's order.
    """
    values = dataset.values
    if values.ndim == 3 and time_courses and values.shape[2] > 1:
        # One person at a time: the matrices of everyone may not fit into memory.
        together = np.stack([correlations(one[None].astype(np.float64))[0].sum(axis=1) for one in values])
        values = (together - 1) / (values.shape[2] - 1)
    elif values.ndim > 2:
        values = values.mean(axis=tuple(range(1, values.ndim - 1)), dtype=np.float64)
    values = values.astype(np.float64)
    distance = robust_z(values)
    quantiles = dict(zip(QUANTILES, np.quantile(distance, list(QUANTILES.values()), axis=0), strict=True))
    return pd.DataFrame(
        {"feature": dataset.features, "mean": values.mean(axis=0), "sd": values.std(axis=0, ddof=1)}
        | quantiles
        | {"outliers": (np.abs(distance) > OUTLIER).sum(axis=0)}
    )


def connectivity_table(dataset: Dataset, subjects: Iterable[str]) -> pd.DataFrame:
    """Functional connectivity of the two groups: mean correlation of components over people, and its difference.

    Parameters
    ----------
    dataset : Dataset
        Time courses, shape (subjects, time, components).
    subjects : iterable of str
        Who is counted.

    Returns
    -------
    DataFrame
        One row a pair of components: `first`, `second`, `reference`, `other` (correlations averaged as
        Fisher's z and turned back), `difference` (other minus reference, of the z).
    """
    chosen = dataset.people["subject"].isin(set(subjects)).to_numpy()
    mean_z = []
    for group in dataset.groups:
        rows = np.flatnonzero(chosen & (dataset.people["group"] == group).to_numpy())
        # One person at a time: the matrices of everyone may not fit into memory.
        mean_z.append(sum(_fisher_z(dataset.values[row]) for row in rows) / len(rows))
    upper = np.triu_indices(len(dataset.features), 1)
    names = np.array(dataset.features, dtype=object)
    return pd.DataFrame(
        {
            "first": names[upper[0]],
            "second": names[upper[1]],
            "reference": np.tanh(mean_z[0][upper]),
            "other": np.tanh(mean_z[1][upper]),
            "difference": (mean_z[1] - mean_z[0])[upper],
        }
    )


def correlations(values: np.ndarray) -> np.ndarray:
    """Correlations of components over time; 0 for a component that stands still.

    Parameters
    ----------
    values : ndarray of float64, shape (people, time, components)

    Returns
    -------
    ndarray of float64, shape (people, components, components)
        Ones on the diagonal.
    """
    centred = values - values.mean(axis=1, keepdims=True)
    length = np.sqrt((centred**2).sum(axis=1, keepdims=True))
    unit = np.divide(centred, length, out=np.zeros_like(centred), where=length > 0)
    result = np.clip(np.einsum("pti,ptj->pij", unit, unit, optimize=True), -1, 1)
    diagonal = np.arange(values.shape[2])
    result[:, diagonal, diagonal] = 1.0
    return result


def _fisher_z(series: np.ndarray) -> np.ndarray:
    """Fisher's z of one person's correlations, (components, components); 0 on the diagonal, finite everywhere."""
    matrix = correlations(series[None].astype(float))[0]
    np.fill_diagonal(matrix, 0.0)
    limit = 1 - 1e-12
    return np.arctanh(np.clip(matrix, -limit, limit))


def _same(people: pd.DataFrame, one: str, other: str) -> bool:
    return one in people and np.allclose(people[one], people[other], rtol=1e-3, equal_nan=True)


def _row(variable, level, stage, counts, moments=None, test=None) -> dict:
    empty = dict.fromkeys(("mean_reference", "sd_reference", "mean_other", "sd_other"), np.nan)
    return (
        {"variable": variable, "level": level, "stage": stage, "n_reference": counts[0], "n_other": counts[1]}
        | empty
        | (moments or {})
        | {"test": "", "statistic": np.nan, "p": np.nan}
        | (test or {})
    )


def _moments(values: list[np.ndarray]) -> dict:
    result = {}
    for side, one in zip(("reference", "other"), values, strict=True):
        result[f"mean_{side}"] = one.mean() if len(one) else np.nan
        result[f"sd_{side}"] = one.std(ddof=1) if len(one) > 1 else np.nan
    return result


def _welch(reference: np.ndarray, other: np.ndarray) -> dict:
    if min(len(reference), len(other)) < 2 or max(np.ptp(reference), np.ptp(other)) == 0:
        return {}
    result = scipy.stats.ttest_ind(other, reference, equal_var=False)
    return {"test": "Welch's t", "statistic": float(result.statistic), "p": float(result.pvalue)}


def _categories(counts: np.ndarray) -> dict:
    if min(counts.shape) < 2 or not counts.sum(axis=0).all():
        return {}
    chi = scipy.stats.chi2_contingency(counts)
    if counts.shape == (2, 2) and chi.expected_freq.min() < _SMALL_COUNT:
        result = scipy.stats.fisher_exact(counts)
        return {"test": "Fisher's exact", "statistic": float(result.statistic), "p": float(result.pvalue)}
    return {"test": "chi-squared", "statistic": float(chi.statistic), "p": float(chi.pvalue)}
