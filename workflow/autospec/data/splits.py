"""Which pairs a model is trained on and which it is tested on."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from autospec.data.pairing import match_of_pairs
from autospec.errors import InputError

_LEAST = 2


def split_pairs(pairs, people, seeds, test_share):
    """Give whole pairs to training or test, for each seed, every site in its share.

    All pairs of one match go together, and with them all sessions and windows of a person.

    Parameters
    ----------
    pairs : DataFrame
        Columns `pair`, `match` and `subject`.
    people : DataFrame
        Columns `subject` and, where known, `site`.
    seeds : sequence of int
        Each seed's split depends on that seed alone.
    test_share : float
        Share of the matches that is tested, in (0, 1); rounded, with at least two matches in each part.
        A site's share is met to within one match.

    Returns
    -------
    DataFrame
        Columns `seed`, `pair`, `part` (train or test), sorted by seed and pair.

    Raises
    ------
    InputError
        Fewer than four pairs, or a share outside (0, 1).
    """
    numbers, match_of_pair = np.unique(match_of_pairs(pairs), return_inverse=True)
    if len(numbers) < 2 * _LEAST:
        raise InputError(
            f"{len(numbers)} pairs of people, wanted at least {2 * _LEAST}: two to train on and two to test on. "
            "Widen the callipers or match on fewer variables (`matching` in the configuration)."
        )
    if not 0 < test_share < 1:
        raise InputError(f"training: test_share is {test_share}, wanted a number between 0 and 1.")
    strata = _sites(pairs, people).loc[numbers].to_numpy()
    tested = int(np.clip(round(test_share * len(numbers)), _LEAST, len(numbers) - _LEAST))
    every_pair = np.sort(pairs["pair"].unique())
    frames = []
    for seed in sorted(set(seeds)):
        part = np.full(len(numbers), "train", dtype=object)
        part[_draw(strata, tested, np.random.default_rng(seed))] = "test"
        frames.append(pd.DataFrame({"seed": seed, "pair": every_pair, "part": part[match_of_pair]}))
    return pd.concat(frames, ignore_index=True)


def check_untested(splits: pd.DataFrame, pairs: pd.DataFrame, people: pd.DataFrame, persons: pd.Series) -> None:
    """Refuse splits that test somebody whom component maps were estimated on.

    Parameters
    ----------
    splits : DataFrame
        From `split_pairs`.
    pairs, people : DataFrame
        As it takes them; `people` with the column `person` besides.
    persons : Series of str
        Whom the maps were estimated on.

    Raises
    ------
    InputError
    """
    tested = pairs.loc[pairs["pair"].isin(splits.loc[splits["part"] == "test", "pair"]), "subject"]
    both = set(people.loc[people["subject"].isin(tested), "person"]) & set(persons)
    if both:
        raise InputError(
            f"group ICA: {len(both)} people whom the component maps were estimated on are in the test part of a split. "
            "Make the maps again (snakemake --forcerun estimate_components)."
        )


def pairs_somewhere_kept(pairs: pd.DataFrame, left_out: Iterable[Iterable[int]]) -> pd.DataFrame:
    """Take out the pairs that every training left out, so that tests of inputs are of the people that networks saw.

    Parameters
    ----------
    pairs : DataFrame
        From `pair_people`.
    left_out : iterable of iterable of int
        The numbers of the pairs that each training left out.

    Returns
    -------
    DataFrame
        Rows of `pairs`.
    """
    return pairs[~pairs["pair"].isin(set.intersection(*map(set, left_out)))]


def _sites(pairs, people):
    """The site of each match; where its two people come from two sites, both, in alphabetical order."""
    if "site" not in people:
        return pd.Series("", index=pairs["match"].unique())
    site = pairs["subject"].map(people.set_index("subject")["site"]).fillna("").astype(str)
    return site.groupby(pairs["match"]).agg(lambda values: "+".join(sorted(set(values))))


def _draw(strata, tested, generator):
    """Positions of `tested` pairs, every stratum in proportion (largest remainders, ties at random)."""
    names, codes, sizes = np.unique(strata, return_inverse=True, return_counts=True)
    quota = sizes * tested / len(strata)
    counts = np.floor(quota).astype(int)
    order = generator.permutation(len(names))
    order = order[np.argsort(-(quota - counts)[order], kind="stable")]
    counts[order[: tested - counts.sum()]] += 1
    chosen = [generator.permutation(np.flatnonzero(codes == code))[:count] for code, count in enumerate(counts)]
    return np.concatenate(chosen)
