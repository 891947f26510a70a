"""People matched in pairs across the two groups, and the swaps of their labels."""

import logging

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from autospec.data.balance import ALL_SITES, NUMERIC, balance_table, confounded_sites
from autospec.errors import InputError

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
        Two rows a pair: `pair` (0, 1, ...), `match`, `group`, `subject` and the matching variables. A
        match is two people; where people have several sessions or windows, the first of one and the
        first of the other are a pair, the second and the second another, of the same match. The order
        of matches, and which of the two people stands first, are random: nothing but the column
        `group` tells who belongs to which group.
    balance : DataFrame
        See `balance_table`.

    Raises
    ------
    InputError
        A matching variable that does not exist, is not a number where it must be, is missing for
        some people or, if it must be equal, differs between sessions of a person; fewer than two pairs.
    """
    exact, callipers = list(exact), dict(callipers or {})
    rows = dataset.people[dataset.people["group"].isin(dataset.groups)]
    _check_variables(dataset.name, rows, exact, callipers)
    people = one_row_a_person(rows)

    # Sorting first makes the result independent of the file's order, shuffling makes ties random.
    generator = np.random.default_rng(seed)
    shuffled = people.sort_values("person").iloc[generator.permutation(len(people))]
    scaled = _in_standard_deviations(shuffled, callipers)
    limits = np.array(list(callipers.values()), dtype=float)
    is_other = (shuffled["group"] == dataset.groups[1]).to_numpy()

    matched = []
    for stratum in _strata(shuffled, exact):
        reference, other = stratum[~is_other[stratum]], stratum[is_other[stratum]]
        left, right = _assign(scaled[reference], scaled[other], limits)
        matched.append(np.column_stack([reference[left], other[right]]))
    matched = np.concatenate(matched)
    confounded = confounded_sites(people, dataset.groups)
    for text in confounded.values():
        logging.warning("%s: %s", dataset.name, text)
    if len(matched) < 2:
        raise InputError(
            f"data set '{dataset.name}': found {len(matched)} pair(s) among {int((~is_other).sum())} people "
            f"of '{dataset.groups[0]}' and {int(is_other.sum())} of '{dataset.groups[1]}', wanted at least 2. "
            "Widen the callipers or match on fewer variables (`matching` in the configuration)."
            f"{' Note: ' + confounded[ALL_SITES] if ALL_SITES in confounded else ''}"
        )
    # A draw of its own numbers the matches and orders each: positions in the shuffled order are those that the
    # assignment saw, one group against the other.
    place = generator.permutation(len(people))
    matched = np.take_along_axis(matched, np.argsort(place[matched], axis=1), axis=1)
    matched = matched[np.argsort(place[matched[:, 0]])]
    persons = shuffled["person"].to_numpy()[matched]
    pairs = _session_pairs(rows, persons)[["pair", "match", "group", "subject", *exact, *callipers]]

    logging.info(
        "%s: %d matched pairs of people; %d of %d people have no partner and are left out",
        dataset.name, len(matched), len(people) - 2 * len(matched), len(people),
    )  # fmt: skip
    surplus = int(rows["person"].isin(persons.ravel()).sum()) - len(pairs)
    if surplus:
        logging.info("%s: %d sessions of paired people have no counterpart and are left out", dataset.name, surplus)
    if len(matched) < _FEW:
        logging.warning(
            "%s: only %d pairs. With fewer than %d the tests of groups find little.",
            dataset.name, len(matched), _FEW,
        )  # fmt: skip
    kept = people["person"].isin(persons.ravel())
    return pairs, balance_table(people, people[kept], dataset.groups, exact, callipers)


def unpaired_people(dataset, pairs, exact=(), callipers=None) -> pd.DataFrame:
    """Tell who of the two groups is in no pair, and why.

    Parameters
    ----------
    dataset, exact, callipers
        As for `pair_people`.
    pairs : DataFrame
        What that gave.

    Returns
    -------
    DataFrame
        One row a subject, in the order of the data: `kind` (person, for every session of one without a
        partner, or session, for those that somebody with a partner has in surplus), `subject`, `person`,
        `group` and `reason`.
    """
    exact, callipers = list(exact), dict(callipers or {})
    rows = dataset.people[dataset.people["group"].isin(dataset.groups)]
    people = one_row_a_person(rows)
    scaled, limits = _in_standard_deviations(people, callipers), np.array(list(callipers.values()), dtype=float)
    is_other = (people["group"] == dataset.groups[1]).to_numpy()
    alike = np.zeros(len(people), dtype=bool)
    for stratum in _strata(people, exact):
        reference, other = stratum[~is_other[stratum]], stratum[is_other[stratum]]
        allowed = _allowed(scaled[reference], scaled[other], limits)
        alike[reference], alike[other] = allowed.any(axis=1), allowed.any(axis=0)

    paired = rows["subject"].isin(pairs["subject"])
    is_surplus = rows["person"].isin(rows.loc[paired, "person"])
    had_choice = rows["person"].isin(people.loc[alike, "person"])
    reason = np.select(
        [is_surplus, had_choice],
        ["the partner has no further session", "whoever meets the matching is paired with somebody else"],
        "nobody of the other group meets the matching",
    )
    table = rows.assign(kind=np.where(is_surplus, "session", "person"), reason=reason)[~paired]
    return table[["kind", "subject", "person", "group", "reason"]].reset_index(drop=True)


def one_row_a_person(people):
    """Bring several sessions or windows of a person to one row: means of numbers, the first of everything else.

    Parameters
    ----------
    people : DataFrame
        As in `Dataset`.

    Returns
    -------
    DataFrame
        In the order in which people first occur.
    """
    if not people["person"].duplicated().any():
        return people
    numbers = [name for name in NUMERIC if name in people]
    grouped = people.groupby("person", sort=False)
    first = grouped.agg({name: "first" for name in people if name != "person"})
    for name in numbers:
        # What is the same in all sessions is kept to the bit, so that windows pair people as whole series do.
        first[name] = first[name].where(grouped[name].nunique() < 2, grouped[name].mean())
    return first.reset_index()


def draw_swaps(pairs: pd.DataFrame, labelings: int, seed: int) -> np.ndarray:
    """Draw which pairs swap their labels, for many labelings.

    Parameters
    ----------
    pairs : DataFrame
        As from `pair_people`. The pairs of one match, which are sessions of the same two people, swap
        together: people are what is exchangeable, not their sessions.
    labelings : int
        How many labelings P are wanted.
    seed : int
        The same seed gives the same swaps; more labelings continue fewer.

    Returns
    -------
    ndarray of bool, shape (labelings, pairs)
        True where a pair's two labels are exchanged; pairs in the order of their numbers. Row 0 is the
        truth: nothing exchanged. The other rows are independent fair coins, one a match, so that p by
        rank among all rows is exact (Hemerik and Goeman 2018, doi:10.1007/s11749-017-0571-1).
    """
    _, match_of_pair = np.unique(match_of_pairs(pairs), return_inverse=True)
    matches = match_of_pair.max() + 1
    swaps = np.zeros((labelings, matches), dtype=bool)
    swaps[1:] = np.random.default_rng(seed).integers(0, 2, size=(labelings - 1, matches), dtype=np.uint8)
    return swaps[:, match_of_pair]


def match_of_pairs(pairs: pd.DataFrame) -> np.ndarray:
    """The number of each pair's match, pairs in the order of their numbers."""
    return pairs.drop_duplicates("pair").sort_values("pair")["match"].to_numpy()


def paired_values(dataset, pairs):
    """Each pair's measured values, by group; components that somebody of them lacks are left out.

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
    reference, other = (dataset.values[rows[side]] for side in sides)
    if dataset.values.ndim == 3:
        known = (reference.any(axis=1) & other.any(axis=1)).all(axis=0)
        reference, other = reference[..., known], other[..., known]
    return reference, other


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
    for variable in exact:
        levels = people.groupby("person")[variable].nunique()
        if (levels > 1).any():
            raise InputError(
                f"data set '{name}', column '{variable}': {int((levels > 1).sum())} people have sessions that differ "
                "in it, wanted one value a person since people are matched on it. Correct the cells, or leave it out "
                "of `matching`."
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


def _allowed(reference, other, limits):
    """Which two may be a pair, by their callipers alone, shape (n, m)."""
    return (np.abs(reference[:, None, :] - other[None, :, :]) <= limits * (1 + 1e-9)).all(axis=2)


def _assign(reference, other, limits):
    """Positions of an optimal assignment between two sets of scaled values, (n, variables) and (m, variables)."""
    allowed = _allowed(reference, other, limits)
    cost = ((reference[:, None, :] - other[None, :, :]) ** 2).sum(axis=2)
    # One forbidden pair costs more than any set of allowed ones, so the count of allowed pairs is maximal.
    forbidden = 1.0 + min(cost.shape) * cost[allowed].max(initial=0.0)
    left, right = linear_sum_assignment(np.where(allowed, cost, forbidden))
    keep = allowed[left, right]
    return left[keep], right[keep]


def _session_pairs(rows, persons):
    """The k-th session of one person with the k-th of the other; persons of shape (matches, 2)."""
    sessions = {person: list(places) for person, places in rows.reset_index(drop=True).groupby("person").groups.items()}
    match, places = [], []
    for number, (first, second) in enumerate(persons):
        for two in zip(sessions[first], sessions[second], strict=False):
            match += 2 * [number]
            places += two
    pairs = rows.iloc[places].reset_index(drop=True)
    return pairs.assign(pair=np.arange(len(pairs)) // 2, match=match)
