import dataclasses
import itertools
import logging

import numpy as np
import pandas as pd
import pytest

from autospec.data.dataset import Dataset
from autospec.data.pairing import draw_swaps, pair_people, paired_values, unpaired_people
from autospec.errors import InputError

GROUPS = ("control", "patient")


def cohort(**columns):
    people = pd.DataFrame(columns)
    people.insert(0, "subject", [f"sub-{number:04d}" for number in range(len(people))])
    values = np.arange(2 * len(people), dtype=np.float32).reshape(-1, 2)
    return Dataset("cohort", values, people, ["a", "b"], GROUPS, True, "Made for a test.")


def random_cohort(n, seed):
    generator = np.random.default_rng(seed)
    return cohort(
        group=generator.choice(GROUPS, n),
        age=generator.normal(30, 8, n).round(1),
        motion=generator.gamma(2, 0.1, n),
        sex=generator.choice(["F", "M"], n),
        site=generator.choice(["A", "B", "C"], n),
    )


def numbered_pairs(matches):
    """One pair for each entry: the number of its match."""
    matches = list(matches)
    return pd.DataFrame({"pair": np.repeat(np.arange(len(matches)), 2), "match": np.repeat(matches, 2)})


def sessions(people, counts, seed=0):
    """A cohort in which each person of another has so many sessions, in random order; age moves between them."""
    generator = np.random.default_rng(seed)
    rows = people.loc[people.index.repeat(counts)].reset_index(drop=True)
    rows["person"] = rows["subject"]
    rows["subject"] = rows["person"] + "_" + rows.groupby("person").cumcount().add(1).astype(str)
    rows["age"] += generator.normal(0, 0.1, len(rows))
    rows = rows.iloc[generator.permutation(len(rows))].reset_index(drop=True)
    return Dataset("cohort", np.zeros((len(rows), 1)), rows, ["a"], GROUPS, True, "Made for a test.")


def test_a_third_sex_is_paired_with_itself():
    people = cohort(group=["control", "patient"] * 4, sex=["F", "O", "O", "F", "M", "M", "O", "M"], age=range(8))
    pairs, _ = pair_people(people, ["sex"], {"age": 10})
    assert sorted(pairs.groupby("match")["sex"].agg("".join)) == ["FF", "MM", "OO"]


def by_group(pairs):
    return pairs.pivot(index="pair", columns="group", values="subject")


@pytest.mark.parametrize("seed", range(8))
def test_assignment_has_most_pairs_and_then_the_least_squared_gap(seed):
    generator = np.random.default_rng(seed)
    age = generator.normal(0, 1, 11)
    data = cohort(group=["control"] * 5 + ["patient"] * 6, age=age)
    pairs, _ = pair_people(data, [], {"age": 0.4})

    limit = 0.4 * age.std(ddof=1)
    best = (0, np.inf)
    for chosen in itertools.permutations(range(5, 11), 5):
        gaps = np.abs(age[list(chosen)] - age[:5])
        # Of a complete pairing, any gap within the calliper may stand and every other must go.
        allowed = gaps[gaps <= limit]
        best = min(best, (-len(allowed), float((allowed**2).sum())))
    ages = pairs.pivot(index="pair", columns="group", values="age")
    gaps = ages["patient"] - ages["control"]
    assert (gaps.abs() <= limit).all()
    assert -len(ages) == best[0]
    assert (gaps**2).sum() == pytest.approx(best[1])


def test_pairs_agree_exactly_within_exact_variables_and_within_every_calliper():
    data = random_cohort(200, 3)
    pairs, _ = pair_people(data, ["site", "sex"], {"age": 0.3, "motion": 0.5})
    people = data.people.set_index("subject")
    for _, pair in pairs.groupby("pair"):
        one, two = (people.loc[subject] for subject in pair["subject"])
        assert {one["group"], two["group"]} == set(GROUPS)
        assert (one["site"], one["sex"]) == (two["site"], two["sex"])
        assert abs(one["age"] - two["age"]) <= 0.3 * data.people["age"].std() + 1e-9
        assert abs(one["motion"] - two["motion"]) <= 0.5 * data.people["motion"].std() + 1e-9
    assert pairs["subject"].is_unique
    assert list(pairs) == ["pair", "match", "group", "subject", "site", "sex", "age", "motion"]


def test_pairing_does_not_depend_on_the_order_of_the_file():
    data = random_cohort(120, 5)
    order = np.random.default_rng(0).permutation(120)
    shuffled = Dataset(
        data.name,
        data.values[order],
        data.people.iloc[order].reset_index(drop=True),
        data.features,
        GROUPS,
        True,
        data.description,
    )
    for matching in (([], {}), (["site"], {}), (["site", "sex"], {"age": 0.2})):
        first, second = (pair_people(each, *matching)[0] for each in (data, shuffled))
        pd.testing.assert_frame_equal(first, second)


def test_order_within_a_pair_and_the_number_of_a_pair_say_nothing_about_the_group():
    data = cohort(group=["control"] * 1000 + ["patient"] * 1000)
    pairs, _ = pair_people(data)
    first = pairs.groupby("pair")["group"].first()
    # 1000 fair coins: 3.5 standard deviations are 55.
    assert abs((first == "control").sum() - 500) < 55
    control = by_group(pairs)["control"].str[4:].astype(int)
    assert abs(np.corrcoef(control.index, control)[0, 1]) < 0.12


def test_without_matching_variables_partners_are_random_and_fixed_by_the_seed():
    data = cohort(group=["control"] * 300 + ["patient"] * 400)
    one, again, other = (by_group(pair_people(data, seed=seed)[0]) for seed in (0, 0, 1))
    assert len(one) == 300
    pd.testing.assert_frame_equal(one, again)
    assert not one["patient"].equals(other["patient"])
    numbers = [one[group].str[4:].astype(int) for group in GROUPS]
    assert abs(np.corrcoef(*numbers)[0, 1]) < 0.2
    assert len(set(one["patient"]) ^ set(other["patient"])) > 50


def test_swapping_the_names_of_the_groups_leaves_the_pairs_as_they_are():
    data = random_cohort(150, 9)
    swapped = data.people.assign(group=data.people["group"].map(dict(zip(GROUPS, GROUPS[::-1], strict=True))))
    mirror = Dataset(data.name, data.values, swapped, data.features, GROUPS, True, data.description)
    matching = (["site", "sex"], {"motion": 0.2})
    pairs = [pair_people(each, *matching)[0][["pair", "subject"]] for each in (data, mirror)]
    pd.testing.assert_frame_equal(*pairs)


def test_balance_agrees_with_pandas_on_everyone_and_on_the_matched():
    data = random_cohort(200, 3)
    pairs, balance = pair_people(data, ["site"], {"age": 0.2})
    balance = balance.set_index(["variable", "level", "stage"])
    people = data.people
    matched = people[people["subject"].isin(pairs["subject"])]
    spread = np.sqrt(people.groupby("group")["age"].var().mean())
    for stage, frame in (("before", people), ("after", matched)):
        control, patient = (frame.loc[frame["group"] == group, "age"] for group in GROUPS)
        row = balance.loc["age", "", stage]
        assert row["mean_reference"] == pytest.approx(control.mean())
        assert row["mean_other"] == pytest.approx(patient.mean())
        assert row["mean_gap"] == pytest.approx(patient.mean() - control.mean())
        assert row["smd"] == pytest.approx((patient.mean() - control.mean()) / spread)
        assert row["variance_ratio"] == pytest.approx(patient.var() / control.var())
        assert (row["n_reference"], row["n_other"]) == (len(control), len(patient))
        share = (frame.loc[frame["group"] == "patient", "site"] == "B").mean()
        assert balance.loc["site", "B", stage]["mean_other"] == pytest.approx(share)
        assert balance.loc["people", "", stage]["n_other"] == len(patient)
    assert balance.loc["site", "B", "after"]["mean_gap"] == pytest.approx(0)
    assert abs(balance.loc["age", "", "after"]["smd"]) < abs(balance.loc["age", "", "before"]["smd"])
    # Known but not matched on: listed all the same.
    assert ("motion", "", "after") in balance.index


def test_a_missing_value_names_the_column_and_the_count():
    data = random_cohort(60, 1)
    data.people.loc[[3, 4, 7], "age"] = np.nan
    with pytest.raises(InputError, match=r"column 'age': missing for 3 of 60 people"):
        pair_people(data, [], {"age": 0.2})


def test_a_variable_that_people_do_not_have_is_named_with_those_they_have():
    with pytest.raises(InputError, match=r"matching on 'handedness', but people have only age, motion, sex, site"):
        pair_people(random_cohort(60, 1), ["handedness"], {})


def test_a_calliper_on_words_is_refused():
    with pytest.raises(InputError, match=r"column 'sex': found .* wanted numbers"):
        pair_people(random_cohort(60, 1), [], {"sex": 0.2})


def test_fewer_than_two_pairs_are_refused_and_fewer_than_forty_warned_of(caplog):
    data = cohort(group=["control"] * 3 + ["patient"] * 3, age=[1.0, 2, 3, 3.01, 90, 91])
    with pytest.raises(InputError, match=r"found 1 pair\(s\) among 3 people of 'control' and 3 of 'patient'"):
        pair_people(data, [], {"age": 0.01})
    with caplog.at_level(logging.WARNING):
        pairs, _ = pair_people(data)
    assert pairs["pair"].nunique() == 3
    assert "only 3 pairs" in caplog.text


def test_a_constant_calliper_variable_forbids_nothing():
    pairs, balance = pair_people(cohort(group=["control"] * 5 + ["patient"] * 5, age=[20.0] * 10), [], {"age": 0.2})
    assert pairs["pair"].nunique() == 5
    assert (balance.loc[balance["variable"] == "age", "smd"] == 0).all()


def test_paired_values_are_the_two_people_of_each_pair():
    data = random_cohort(100, 2)
    pairs, _ = pair_people(data, ["sex"], {"age": 0.3})
    reference, other = paired_values(data, pairs.sample(frac=1, random_state=0))
    subjects = by_group(pairs)
    rows = data.people.reset_index().set_index("subject")["index"]
    np.testing.assert_array_equal(reference, data.values[rows[subjects["control"]]])
    np.testing.assert_array_equal(other, data.values[rows[subjects["patient"]]])


def test_swaps_begin_with_the_truth_and_are_fair_coins_fixed_by_the_seed():
    pairs = numbered_pairs(range(300))
    swaps = draw_swaps(pairs, 1000, 7)
    assert swaps.shape == (1000, 300) and swaps.dtype == bool
    assert not swaps[0].any()
    # 299 700 coins: 4 standard deviations are 0.0037 of them.
    assert abs(swaps[1:].mean() - 0.5) < 0.0037
    np.testing.assert_array_equal(draw_swaps(pairs, 200, 7), swaps[:200])
    assert (draw_swaps(pairs, 1000, 8)[1:] != swaps[1:]).any()


def test_sessions_of_two_people_are_paired_with_one_another_and_never_across_matches():
    people = random_cohort(80, 4).people
    counts = np.random.default_rng(1).integers(1, 4, 80)
    data = sessions(people, counts)
    pairs, balance = pair_people(data, ["sex"], {"age": 0.3})
    person = pairs["subject"].map(data.people.set_index("subject")["person"])
    assert pairs["subject"].is_unique
    assert person.groupby(pairs["match"]).nunique().eq(2).all()
    assert pairs["match"].groupby(person).nunique().eq(1).all()
    has = dict(zip(people["subject"], counts, strict=True))
    for _, pair_person in person.groupby(pairs["match"]):
        assert len(pair_person) == 2 * min(has[one] for one in set(pair_person))
    assert [len(set(two)) for two in person.to_numpy().reshape(-1, 2)] == [2] * (len(pairs) // 2)
    assert pairs["group"].to_numpy().reshape(-1, 2).tolist() != [list(GROUPS)] * (len(pairs) // 2)
    # People are counted, not their sessions.
    everyone = balance[balance["variable"] == "people"].set_index("stage")
    assert everyone.loc["before", ["n_reference", "n_other"]].sum() == 80
    assert everyone.loc["after", ["n_reference", "n_other"]].sum() == 2 * pairs["match"].nunique()


def test_who_is_in_no_pair_is_told_with_the_reason():
    # Standard deviation of age 12.6: within a calliper of 0.2 are 2.5 years.
    data = cohort(
        group=["control", "control", "control", "patient", "patient", "patient", "patient"],
        sex=["F", "F", "F", "F", "F", "F", "M"],
        age=[20.0, 21, 50, 20, 50, 35, 21],
    )
    pairs, _ = pair_people(data, ["sex"], {"age": 0.2})
    assert sorted(pairs["subject"]) == ["sub-0000", "sub-0002", "sub-0003", "sub-0004"]
    taken, alone = "whoever meets the matching is paired with somebody else", "nobody of the other group meets the"
    table = unpaired_people(data, pairs, ["sex"], {"age": 0.2})
    assert table["subject"].tolist() == ["sub-0001", "sub-0005", "sub-0006"]
    assert table["group"].tolist() == ["control", "patient", "patient"]
    assert table["reason"].tolist() == [taken, f"{alone} matching", f"{alone} matching"]
    assert (table["kind"] == "person").all()
    pairs, _ = pair_people(data)
    assert unpaired_people(data, pairs)["reason"].tolist() == [taken]


@pytest.mark.parametrize("seed", range(4))
def test_everyone_is_in_a_pair_or_told_why_not_by_a_look_at_each_possible_partner(seed):
    single = random_cohort(60, seed)
    single.people["motion"] = 0.0
    data = sessions(single.people, np.random.default_rng(seed).integers(1, 4, 60), seed)
    data.people.loc[data.people["subject"].str.startswith("sub-0007"), "group"] = "neither"
    pairs, _ = pair_people(data, ["site"], {"age": 0.1})
    table = unpaired_people(data, pairs, ["site"], {"age": 0.1})
    asked = data.people[data.people["group"].isin(GROUPS)]
    assert list(table["subject"]) == [subject for subject in asked["subject"] if subject not in set(pairs["subject"])]
    people = asked.groupby("person").agg({"group": "first", "site": "first", "age": "mean"})
    partners = set(asked.loc[asked["subject"].isin(pairs["subject"]), "person"])
    limit = 0.1 * people["age"].std()
    for _, row in table.iterrows():
        assert row["group"] == people.loc[row["person"], "group"]
        me, others = people.loc[row["person"]], people[people["group"] != row["group"]]
        alike = others[(others["site"] == me["site"]) & ((others["age"] - me["age"]).abs() <= limit)]
        if row["person"] in partners:
            wanted = "session", "the partner has no further session"
        elif len(alike):
            assert set(alike.index) <= partners
            wanted = "person", "whoever meets the matching is paired with somebody else"
        else:
            wanted = "person", "nobody of the other group meets the matching"
        assert (row["kind"], row["reason"]) == wanted
    assert table["reason"].nunique() == 3


def test_people_are_matched_as_they_would_be_without_the_further_sessions():
    data = random_cohort(80, 4)
    double = dataclasses.replace(
        data,
        values=data.values.repeat(2, axis=0),
        people=data.people.loc[data.people.index.repeat(2)]
        .assign(subject=[f"{person}_{place % 2}" for place, person in enumerate(data.people["subject"].repeat(2))])
        .reset_index(drop=True),
    )
    one, two = (pair_people(each, ["site", "sex"], {"age": 0.2})[0] for each in (data, double))
    assert two["subject"].str[:-2].tolist() == [
        subject for pair in one["subject"].to_numpy().reshape(-1, 2) for subject in (*pair, *pair)
    ]


def test_sessions_that_differ_in_what_must_be_equal_are_refused():
    data = sessions(random_cohort(40, 4).people, np.full(40, 2))
    data.people.loc[data.people["subject"] == "sub-0003_2", "site"] = "D"
    with pytest.raises(InputError, match="column 'site': 1 people have sessions that differ in it"):
        pair_people(data, ["site"], {})


def test_pairs_of_one_match_swap_together():
    matches = [0, 0, 1, 2, 2, 2]
    swaps = draw_swaps(numbered_pairs(matches), 500, 1)
    people = draw_swaps(numbered_pairs(range(3)), 500, 1)
    np.testing.assert_array_equal(swaps, people[:, matches])


def test_a_site_with_one_group_alone_is_warned_of_loudly(caplog):
    data = random_cohort(90, 2)
    data.people.loc[data.people["site"] == "B", "group"] = "patient"
    _, balance = pair_people(data, ["site"])
    count = int((data.people["site"] == "B").sum())
    text = f"SITE AND GROUP GO TOGETHER at site B: its {count} people are all patient."
    assert text in caplog.text
    warned = balance[balance["warning"] != ""]
    assert warned[["variable", "level", "stage"]].to_numpy().tolist() == [["site", "B", "before"]]
    assert warned["warning"].iloc[0].startswith(text)


def test_sites_that_are_the_groups_are_warned_of_and_named_where_nobody_can_be_paired(caplog):
    data = random_cohort(90, 2)
    data.people["group"] = np.where(data.people["site"] == "B", "patient", "control")
    _, balance = pair_people(data)
    text = "SITE AND GROUP CANNOT BE TOLD APART: none of the 3 sites has people of both control and patient"
    assert text in caplog.text
    assert balance.loc[balance["variable"] == "people", "warning"].str.startswith(text).all()
    with pytest.raises(InputError, match="found 0 pair.*Note: SITE AND GROUP CANNOT BE TOLD APART"):
        pair_people(data, ["site"])


def test_one_site_is_no_confounding():
    data = random_cohort(60, 2)
    data.people["site"] = "A"
    _, balance = pair_people(data)
    assert (balance["warning"] == "").all()


def test_abide_pairs_within_site_and_sex(shared_data):
    people = pd.read_csv(shared_data / "abide_freesurfer" / "phenotypic_min.csv").rename(
        columns={"FILE_ID": "subject", "AGE_AT_SCAN": "age", "SITE_ID": "site"}
    )
    people["group"] = people["DX_GROUP"].map({2: "control", 1: "patient"})
    data = Dataset("abide", np.zeros((len(people), 1)), people, ["a"], GROUPS, False, "ABIDE")
    pairs, balance = pair_people(data, ["site", "sex"], {"age": 0.2})
    assert pairs["pair"].nunique() > 300
    after = balance[(balance["variable"] == "age") & (balance["stage"] == "after")].iloc[0]
    assert abs(after["smd"]) < 0.1
