"""How the people might have been paired otherwise: what a declared matching is compared with."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from autospec.data.pairing import pair_people
from autospec.errors import InputError

#: The matching that was declared, which carries the results.
PRIMARY = "primary"


def other_matchings(matching: Mapping) -> dict[str, dict]:
    """The declared matching and those beside it.

    Parameters
    ----------
    matching : mapping
        `exact` and `callipers`, both of which may be left out, as `pair_people` takes them.

    Returns
    -------
    dict of str to dict
        `primary`; with every calliper halved, and doubled; and without each variable in turn.
    """
    exact, callipers = list(matching.get("exact", ())), dict(matching.get("callipers", {}))
    found = {PRIMARY: (exact, callipers)}
    if callipers:
        for name, factor in (("callipers halved", 0.5), ("callipers doubled", 2.0)):
            found[name] = exact, {variable: factor * limit for variable, limit in callipers.items()}
    for variable in (*exact, *callipers):
        kept = [name for name in exact if name != variable]
        found[f"without {variable}"] = kept, {name: limit for name, limit in callipers.items() if name != variable}
    others = {name: value for name, value in matching.items() if name not in ("exact", "callipers")}
    return {name: {"exact": one, "callipers": other, **others} for name, (one, other) in found.items()}


def describe_pairing(dataset, matching: Mapping, primary: pd.DataFrame) -> tuple[dict, pd.DataFrame | None]:
    """Pair the people in one way, and tell how that differs from the declared pairing.

    Parameters
    ----------
    dataset : Dataset
    matching : mapping
        One of `other_matchings`.
    primary : DataFrame
        The declared pairing, as from `pair_people`.

    Returns
    -------
    row : dict
        `n_pairs` (of people); `left_out`, people without a partner; `kept`, which share of the declared pairing's
        pairs recur; `largest_smd`, the largest standardised mean difference after pairing in absolute value, of any
        variable that is known, and `largest_smd_of`, which one.
    pairs : DataFrame or None
        None where fewer than two pairs can be had.
    """
    people = dataset.people.loc[dataset.people["group"].isin(dataset.groups), "person"].nunique()
    try:
        pairs, balance = pair_people(dataset, **matching)
    except InputError:
        return {"n_pairs": 0, "left_out": people, "kept": 0.0, "largest_smd": np.nan, "largest_smd_of": ""}, None
    after = balance[(balance["stage"] == "after") & balance["smd"].notna()]
    row = {
        "n_pairs": pairs["match"].nunique(),
        "left_out": people - 2 * pairs["match"].nunique(),
        "kept": len(_couples(pairs) & _couples(primary)) / len(_couples(primary)),
        "largest_smd": np.nan,
        "largest_smd_of": "",
    }
    if len(after):
        most = after.loc[after["smd"].abs().idxmax()]
        row |= {"largest_smd": abs(most["smd"]), "largest_smd_of": f"{most['variable']} {most['level']}".strip()}
    return row, pairs


def _couples(pairs: pd.DataFrame) -> set[frozenset]:
    """Who stands with whom, by the first pair of each match."""
    first = pairs[pairs["pair"].isin(pairs.groupby("match")["pair"].min())]
    return set(first.groupby("match")["subject"].agg(frozenset))
