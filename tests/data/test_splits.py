import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autospec.data.splits import pairs_somewhere_kept, split_pairs
from autospec.errors import InputError


def make(pairs, sites):
    """Pairs within site, pair p at site p modulo `sites` (weighted towards the first)."""
    site = [f"site {int(np.sqrt(pair)) % sites}" for pair in range(pairs)]
    frame = pd.DataFrame(
        {
            "pair": np.repeat(np.arange(pairs), 2),
            "match": np.repeat(np.arange(pairs), 2),
            "group": ["control", "patient"] * pairs,
            "subject": [f"sub-{number}" for number in range(2 * pairs)],
        }
    )
    return frame, pd.DataFrame({"subject": frame["subject"], "site": np.repeat(site, 2)})


@settings(deadline=None, max_examples=60)
@given(
    pairs=st.integers(4, 120),
    sites=st.integers(1, 8),
    share=st.floats(0.02, 0.98),
    seeds=st.lists(st.integers(0, 2**31), min_size=1, max_size=4),
)
def test_every_seed_gives_each_pair_to_one_part_and_each_site_its_share(pairs, sites, share, seeds):
    frame, people = make(pairs, sites)
    splits = split_pairs(frame, people, seeds, share)
    assert sorted(splits["seed"].unique()) == sorted(set(seeds))
    site = people["site"].to_numpy()[::2]
    for seed, part in splits.groupby("seed"):
        assert part["pair"].tolist() == list(range(pairs))
        tested = (part["part"] == "test").to_numpy()
        assert set(part["part"]) == {"train", "test"}
        assert tested.sum() == min(max(round(share * pairs), 2), pairs - 2)
        for name in set(site):
            quota = tested.mean() * (site == name).sum()
            assert abs(tested[site == name].sum() - quota) < 1
        alone = split_pairs(frame, people, [seed], share)
        assert alone["part"].tolist() == part["part"].tolist()


def test_seeds_differ_and_every_pair_is_tested_in_some_seed():
    frame, people = make(60, 3)
    splits = split_pairs(frame, people, range(40), 0.2)
    tested = splits[splits["part"] == "test"].groupby("pair").size()
    assert len(tested) == 60
    # Of 40 seeds at a share of 0.2: mean 8, standard deviation 2.5.
    assert tested.max() <= 20


def test_the_order_of_rows_and_the_group_change_nothing():
    frame, people = make(50, 4)
    mirrored = frame.assign(group=frame["group"].map({"control": "patient", "patient": "control"}))
    mirrored = mirrored.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(
        split_pairs(frame, people, [0, 1], 0.3), split_pairs(mirrored, people.iloc[::-1], [0, 1], 0.3)
    )


def test_without_a_site_or_with_pairs_across_sites_the_split_works():
    frame, people = make(20, 2)
    assert len(split_pairs(frame, people[["subject"]], [0], 0.2)) == 20
    people["site"] = ["A", "B"] * 20
    assert (split_pairs(frame, people, [0], 0.2)["part"] == "test").sum() == 4


@pytest.mark.parametrize("seed", range(5))
def test_all_sessions_of_a_person_are_in_one_part(seed):
    frame, people = make(60, 3)
    frame["match"] = np.repeat(np.random.default_rng(seed).integers(0, 20, 60), 2)
    splits = split_pairs(frame, people.assign(site="A"), [seed], 0.2)
    assert splits["pair"].tolist() == list(range(60))
    part = splits.set_index("pair")["part"].reindex(frame["pair"]).to_numpy()
    parts = pd.Series(part).groupby(frame["match"].to_numpy()).nunique()
    assert (parts == 1).all()
    tested = pd.Series(part).groupby(frame["match"].to_numpy()).first() == "test"
    assert tested.sum() == round(0.2 * len(tested))


def test_three_pairs_are_refused():
    with pytest.raises(InputError, match="3 pairs of people, wanted at least 4"):
        split_pairs(*make(3, 1), [0], 0.2)


def test_a_share_that_is_no_share_is_refused():
    with pytest.raises(InputError, match=r"test_share is 1.0, wanted a number between 0 and 1"):
        split_pairs(*make(10, 1), [0], 1.0)


def test_pairs_that_every_training_left_out_are_gone_and_others_stay():
    pairs, _ = make(5, 1)
    assert pairs_somewhere_kept(pairs, [[1, 3], [3, 4], [0, 3]])["pair"].tolist() == [0, 0, 1, 1, 2, 2, 4, 4]
    pd.testing.assert_frame_equal(pairs_somewhere_kept(pairs, [[1], []]), pairs)
