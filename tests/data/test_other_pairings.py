import itertools

import numpy as np
import pandas as pd
import pytest

from autospec.data.dataset import Dataset
from autospec.data.other_pairings import describe_pairing, other_matchings
from autospec.data.pairing import pair_people

GROUPS = ("control", "patient")
MATCHING = {"exact": ["sex"], "callipers": {"age": 0.4}}


def cohort(seed, n=14):
    generator = np.random.default_rng(seed)
    people = pd.DataFrame(
        {
            "subject": [f"sub-{number:04d}" for number in range(n)],
            "group": ["control", "patient"] * (n // 2),
            "age": generator.normal(30, 8, n).round(1),
            "sex": generator.choice(["F", "M"], n),
        }
    )
    return Dataset("made", np.zeros((n, 2), np.float32), people, ["a", "b"], GROUPS, True, "Made for a test.")


def most_pairs(people, matching):
    """The largest number of allowed pairs, by trying every set of partners."""
    sides = [people[people["group"] == group].to_dict("records") for group in GROUPS]
    spread = people["age"].std()

    def allowed(one, other):
        near = all(abs(one[v] - other[v]) <= limit * spread + 1e-9 for v, limit in matching["callipers"].items())
        return near and all(one[v] == other[v] for v in matching["exact"])

    return max(sum(map(allowed, sides[0], order)) for order in itertools.permutations(sides[1]))


def test_the_declared_matching_is_varied_one_thing_at_a_time():
    found = other_matchings({"exact": ["site", "sex"], "callipers": {"age": 0.2}, "seed": 5})
    assert found == {
        "primary": {"exact": ["site", "sex"], "callipers": {"age": 0.2}, "seed": 5},
        "callipers halved": {"exact": ["site", "sex"], "callipers": {"age": 0.1}, "seed": 5},
        "callipers doubled": {"exact": ["site", "sex"], "callipers": {"age": 0.4}, "seed": 5},
        "without site": {"exact": ["sex"], "callipers": {"age": 0.2}, "seed": 5},
        "without sex": {"exact": ["site"], "callipers": {"age": 0.2}, "seed": 5},
        "without age": {"exact": ["site", "sex"], "callipers": {}, "seed": 5},
    }
    assert list(other_matchings({})) == ["primary"]


@pytest.mark.parametrize("seed", range(3))
def test_counts_agree_with_trying_every_set_of_partners(seed):
    data = cohort(seed)
    primary, _ = pair_people(data, **MATCHING)
    for name, matching in other_matchings(MATCHING).items():
        row, pairs = describe_pairing(data, matching, primary)
        most = most_pairs(data.people, matching)
        if most < 2:
            assert pairs is None and row["n_pairs"] == 0 and row["left_out"] == 14
            continue
        assert (row["n_pairs"], row["left_out"]) == (most, 14 - 2 * most), name
        couples = {frozenset(part["subject"]) for _, part in pairs.groupby("pair")}
        before = {frozenset(part["subject"]) for _, part in primary.groupby("pair")}
        assert row["kept"] == pytest.approx(len(couples & before) / len(before))
        paired = data.people[data.people["subject"].isin(pairs["subject"])]
        largest = 0.0
        for measure in (lambda p: p["age"], lambda p: (p["sex"] == "F").astype(float)):  # M mirrors F
            means = [measure(paired[paired["group"] == group]).mean() for group in GROUPS]
            spread = np.sqrt(np.mean([measure(data.people[data.people["group"] == g]).var() for g in GROUPS]))
            largest = max(largest, abs(means[1] - means[0]) / spread)
        assert row["largest_smd"] == pytest.approx(largest)


def test_the_declared_pairing_recurs_wholly():
    data = cohort(4)
    primary, _ = pair_people(data, **MATCHING)
    row, pairs = describe_pairing(data, other_matchings(MATCHING)["primary"], primary)
    assert row["kept"] == 1.0 and row["n_pairs"] == primary["match"].nunique()
    pd.testing.assert_frame_equal(pairs, primary)
