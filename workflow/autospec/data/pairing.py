"""People matched in pairs across the two groups, and the swaps of their labels."""

import logging

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from autospec.errors import InputError

NUMERIC = ("age", "head_size", "motion")
CATEGORICAL = ("sex", "site")

_FEW = 40


def pair_people(dataset, exact=(), callipers=None, seed=0):
    """Match people of the two groups in pairs: as many as possible, then as alike as possible.

    Two people may be a pair if every `exact` variable is equal and every calliper variable differs
    by no more than its calliper times the standard deviation of that variable over everyone. Of all
    such pairings, one with the most pairs is taken, and of those one with the smallest sum of
    squared gaps in standard deviations (optimal assignment; Rosenbaum 1989, doi:10.2307/2290079).
    Squares, since sums of absolute gaps leave many pairings of one variable equally good. Ties,
    and everything where no variable is given, are decided at random from `seed`.

    Parameters
    ----------
    dataset : Dataset
        Only `people` and `groups` are used; the measured values are never looked at.
    exact : sequence of str
        Columns of `people` that must be equal within a pair.
    callipers : mapping of str to float, optional
        Numeric columns of `people`, each with its largest gap in standard deviations (> 0).
    seed : int
        Decides ties, the order of pairs and the order within a pair.

    Returns
    -------
    pairs : DataFrame
        Two rows a pair: `pair` (0, 1, ...), `group`, `subject` and the matching variables. The
        order of pairs, and which of the two people stands first, are random: nothing but the
        column `group` tells who belongs to which group.
    balance : DataFrame
        See `balance_table`.

    Raises
    ------
    InputError
        A matching variable that does not exist, is not a number where it must be or is missing for
        some people; fewer than two pairs.
    """
    exact, callipers = list(exact), dict(callipers or {})
    people = dataset.people[dataset.people["group"].isin(dataset.groups)]
    _check_variables(dataset.name, people, exact, callipers)

    # Sorting first makes the result independent of the file's order, shuffling makes ties random.
    generator = np.random.default_rng(seed)
    shuffled = people.sort_values("subject").iloc[generator.permutation(len(people))]
    scaled = _in_standard_deviations(shuffled, callipers)
    limits = np.array(list(callipers.values()), dtype=float)
    is_other = (shuffled["group"] == dataset.groups[1]).to_numpy()

    matched = []
    for rows in _strata(shuffled, exact):
        reference, other = rows[~is_other[rows]], rows[is_other[rows]]
        left, right = _assign(scaled[reference], scaled[other], limits)
        matched.append(np.column_stack([reference[left], other[right]]))
    matched = np.concatenate(matched)
    if len(matched) < 2:
        raise InputError(
            f"data set '{dataset.name}': found {len(matched)} pair(s) among {int((~is_other).sum())} people "
            f"of '{dataset.groups[0]}' and {int(is_other.sum())} of '{dataset.groups[1]}', wanted at least 2. "
            "Widen the callipers or match on fewer variables (`matching` in the configuration)."
        )
    # A draw of its own numbers the pairs and orders each: positions in the shuffled order are those that the
    # assignment saw, one group against the other.
    place = generator.permutation(len(people))
    matched = np.take_along_axis(matched, np.argsort(place[matched], axis=1), axis=1)
    matched = matched[np.argsort(place[matched[:, 0]])]
    pairs = shuffled.iloc[matched.ravel()][["group", "subject", *exact, *callipers]].reset_index(drop=True)
    pairs.insert(0, "pair", np.repeat(np.arange(len(matched)), 2))

    logging.info(
        "%s: %d pairs; %d of %d people have no partner and are left out",
        dataset.name, len(matched), len(people) - len(pairs), len(people),
    )  # fmt: skip
    if len(matched) < _FEW:
        logging.warning(
            "%s: only %d pairs. With fewer than %d the tests of groups find little.",
            dataset.name, len(matched), _FEW,
        )  # fmt: skip
    return pairs, balance_table(people, pairs, dataset.groups, exact, callipers)


def balance_table(people, pairs, groups, exact=(), callipers=()):
    """How alike the two groups are, before matching and after.

    Parameters
    ----------
    people, pairs : DataFrame
        Everyone, and who was matched (`subject` tells).
    groups : (str, str)
        The reference group first.
    exact, callipers : iterable of str
        The matching variables. `age`, `head_size`, `motion`, `sex` and `site` are listed besides
        where they are known.

    Returns
    -------
    DataFrame
        One row a variable (and `level`, whose share is the mean, for categories) and `stage`
        (before, after): means, `mean_gap` (other minus reference), `smd` (the gap over the root mean
        square of the two standard deviations before matching, so that both stages have one scale),
        `variance_ratio` (other over reference) and how many people have a value. The variable
        `people` holds the counts alone.
    """
    kept = people[people["subject"].isin(pairs["subject"])]
    columns = [("people", "", pd.Series(np.nan, index=people.index))]
    for name in dict.fromkeys([*callipers, *NUMERIC]):
        if name in people and people[name].notna().any():
            columns.append((name, "", people[name].astype(float)))
    for name in dict.fromkeys([*exact, *CATEGORICAL]):
        if name in people:
            values = people[name]
            for level in sorted(values.dropna().unique(), key=str):
                columns.append((name, str(level), (values == level).astype(float).where(values.notna())))

    rows = []
    for variable, level, values in columns:
        before = [values[people["group"] == group] for group in groups]
        scale = np.sqrt(np.mean([_variance(part) for part in before]))
        for stage, frame in (("before", people), ("after", kept)):
            reference, other = (values.loc[frame.index[frame["group"] == group]].dropna() for group in groups)
            gap = _mean(other) - _mean(reference)
            spread = _variance(reference)
            counts = [len(reference), len(other)]
            if variable == "people":
                counts = [int((frame["group"] == group).sum()) for group in groups]
            rows.append(
                {
                    "variable": variable,
                    "level": level,
                    "stage": stage,
                    "mean_reference": _mean(reference),
                    "mean_other": _mean(other),
                    "mean_gap": gap,
                    "smd": gap / scale if scale > 0 else (0.0 if gap == 0 else np.nan),
                    "variance_ratio": _variance(other) / spread if spread > 0 else np.nan,
                    "n_reference": counts[0],
                    "n_other": counts[1],
                }
            )
    return pd.DataFrame(rows)


def draw_swaps(pairs: int, labelings: int, seed: int) -> np.ndarray:
    """Draw which pairs swap their labels, for many labelings.

    Parameters
    ----------
    pairs, labelings : int
        How many pairs there are, and how many labelings P are wanted.
    seed : int
        The same seed gives the same swaps; more labelings continue fewer.

    Returns
    -------
    ndarray of bool, shape (labelings, pairs)
        True where a pair's two labels are exchanged. Row 0 is the truth: nothing exchanged. The
        other rows are independent fair coins, so that p by rank among all rows is exact
        (Hemerik and Goeman 2018, doi:10.1007/s11749-017-0571-1).
    """
    swaps = np.zeros((labelings, pairs), dtype=bool)
    swaps[1:] = np.random.default_rng(seed).integers(0, 2, size=(labelings - 1, pairs), dtype=np.uint8)
    return swaps


def paired_values(dataset, pairs):
    """Each pair's measured values, by group.

    Parameters
    ----------
    dataset : Dataset
    pairs : DataFrame
        As from `pair_people`.

    Returns
    -------
    reference, other : ndarray, shape (pairs, ...)
        In the order of the pairs' numbers.
    """
    rows = pd.Series(np.arange(len(dataset.people)), index=dataset.people["subject"])
    sides = (pairs[pairs["group"] == group].sort_values("pair")["subject"] for group in dataset.groups)
    return tuple(dataset.values[rows[side]] for side in sides)


def _check_variables(name, people, exact, callipers):
    for variable in [*exact, *callipers]:
        if variable not in people:
            known = ", ".join(column for column in people if column not in ("subject", "person", "group", "target"))
            raise InputError(
                f"data set '{name}': matching on '{variable}', but people have only {known or 'no covariates'}. "
                "Name the column under `participants` in the configuration, or leave it out of `matching`."
            )
        missing = int(people[variable].isna().sum())
        if missing:
            raise InputError(
                f"data set '{name}', column '{variable}': missing for {missing} of {len(people)} people, "
                "wanted a value for everyone since people are matched on it. Fill it in, drop these people, "
                "or leave it out of `matching`."
            )
    for variable, calliper in callipers.items():
        if not pd.api.types.is_numeric_dtype(people[variable]):
            raise InputError(
                f"data set '{name}', column '{variable}': found {people[variable].dtype} values, "
                "wanted numbers since it has a calliper. List it under `matching: exact` instead."
            )
        if not calliper > 0:
            raise InputError(
                f"data set '{name}': calliper of '{variable}' is {calliper}, wanted a number above 0 "
                "(in standard deviations; 0.2 is usual)."
            )


def _in_standard_deviations(people, callipers):
    """The calliper variables, shape (people, variables), each over its standard deviation in everyone."""
    values = people[list(callipers)].to_numpy(dtype=float)
    spread = values.std(axis=0, ddof=1)
    return values / np.where(spread > 0, spread, 1.0)


def _strata(people, exact):
    """Row numbers of people who share every exact variable, strata in a fixed order."""
    if not exact:
        return [np.arange(len(people))]
    codes = people.groupby(exact, sort=True, observed=True).ngroup().to_numpy()
    return [np.flatnonzero(codes == code) for code in range(codes.max() + 1)]


def _assign(reference, other, limits):
    """Positions of an optimal assignment between two sets of scaled values, (n, variables) and (m, variables)."""
    gaps = np.abs(reference[:, None, :] - other[None, :, :])
    allowed = (gaps <= limits * (1 + 1e-9)).all(axis=2)
    cost = (gaps**2).sum(axis=2)
    # One forbidden pair costs more than any set of allowed ones, so the count of allowed pairs is maximal.
    forbidden = 1.0 + min(cost.shape) * cost[allowed].max(initial=0.0)
    left, right = linear_sum_assignment(np.where(allowed, cost, forbidden))
    keep = allowed[left, right]
    return left[keep], right[keep]


def _mean(values):
    return float(values.mean()) if len(values) else np.nan


def _variance(values):
    values = values.dropna()
    return float(values.var(ddof=1)) if len(values) > 1 else np.nan
