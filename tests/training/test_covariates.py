import dataclasses
import logging
import sys

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from simulated import GROUPS, simulated_dataset, simulated_pairs, simulated_splits

from autospec.errors import InputError
from autospec.training import covariates
from autospec.training.prepare import prepare

ALL = ["age", "sex", "site", "head_size", "motion"]
OPTIONS = [
    {"residualise": ["age"]},
    {"residualise": ALL},
    {"harmonise": "combat"},
    {"residualise": ALL, "harmonise": "combat"},
]


def make_people(count, seed=0, sites="ABC"):
    generator = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "age": generator.normal(40, 12, count),
            "sex": generator.choice(["F", "M"], count),
            "site": generator.choice(list(sites), count),
            "head_size": generator.normal(1.5e6, 1.2e5, count),
            "motion": generator.gamma(2.0, 0.1, count),
        }
    )


def make_values(people, seed=0):
    """Three features that every covariate moves, the site in mean and spread."""
    generator = np.random.default_rng(seed + 1)
    site = people["site"].map({"A": 0.0, "B": 1.0, "C": 2.5, "D": 9.0}).to_numpy()[:, None]
    scaled = np.stack([people["age"] / 10, people["sex"] == "M", people["head_size"] / 1e5, people["motion"]], axis=1)
    noise = generator.normal(size=(len(people), 3)) * (1 + site)
    return scaled.astype(float) @ generator.normal(size=(4, 3)) + site * generator.normal(size=3) + noise


def parts(train=90, test=30, seed=0, sites="ABC"):
    people = {"train": make_people(train, seed, sites), "test": make_people(test, seed + 50, sites)}
    return {part: make_values(frame, seed) for part, frame in people.items()}, people


def least_squares(values, people, formula):
    """Residuals of both parts from one statsmodels fit a feature on the training part."""
    residuals = {part: np.empty_like(array) for part, array in values.items()}
    for feature in range(values["train"].shape[1]):
        fit = smf.ols(f"y ~ {formula}", people["train"].assign(y=values["train"][:, feature])).fit()
        for part in residuals:
            residuals[part][:, feature] = values[part][:, feature] - fit.predict(people[part]).to_numpy()
    return residuals


@pytest.mark.parametrize(
    ("names", "formula"),
    [(["age"], "age"), (["site"], "C(site)"), (["sex", "motion"], "C(sex) + motion"),
     (ALL, "age + C(sex) + C(site) + head_size + motion")],
)  # fmt: skip
def test_residuals_are_those_of_statsmodels_in_training_and_test(names, formula):
    values, people = parts()
    wanted = least_squares(values, people, formula)
    found = covariates.residualise(values, people, names)
    for part in values:
        np.testing.assert_allclose(found[part], wanted[part], atol=1e-8 * np.abs(values[part]).max())


def test_someone_of_an_unseen_site_gets_the_mean_effect_of_the_sites_that_were_seen():
    values, people = parts()
    people["test"].loc[:9, "site"] = "D"
    found = covariates.residualise(values, people, ALL)["test"]
    for feature in range(3):
        formula = "y ~ age + C(sex) + C(site) + head_size + motion"
        fit = smf.ols(formula, people["train"].assign(y=values["train"][:, feature])).fit()
        for person in range(10):
            # This person's prediction with the site of each training person in turn.
            row = people["test"].iloc[[person] * len(people["train"])].assign(site=people["train"]["site"].to_numpy())
            wanted = values["test"][person, feature] - fit.predict(row).mean()
            assert found[person, feature] == pytest.approx(wanted, abs=1e-8)


def test_covariates_that_say_the_same_are_warned_of_and_predict_alike(caplog):
    values, people = parts()
    for frame in people.values():
        frame["site"] = frame["sex"].map({"F": "A", "M": "B"})
    found = covariates.residualise(values, people, ["sex", "site"])
    wanted = covariates.residualise(values, people, ["sex"])
    assert "depend on one another" in caplog.text
    for part in values:
        np.testing.assert_allclose(found[part], wanted[part], atol=1e-9)


def test_a_covariate_that_does_not_vary_changes_nothing_but_the_mean():
    values, people = parts()
    people["train"]["motion"] = 0.2
    found = covariates.residualise(values, people, ["motion"])
    assert np.isfinite(found["test"]).all()
    np.testing.assert_allclose(found["train"], values["train"] - values["train"].mean(axis=0), atol=1e-10)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame.drop(columns="age"), "'age' is not known of these people, only sex, site, head_size, mot"),
        (lambda frame: frame.assign(age=frame["age"].where(frame.index > 3)), "4 of 90 people have no age"),
    ],
)
def test_a_covariate_that_is_not_known_of_everyone_is_refused(change, message):
    values, people = parts()
    people["train"] = change(people["train"])
    with pytest.raises(InputError, match=message):
        covariates.residualise(values, people, ALL)


def test_as_many_coefficients_as_people_are_refused():
    values, people = parts(train=7)
    people["train"]["site"] = list("ABCABCA")
    with pytest.raises(InputError, match="7 people to train on, wanted more than the 7 coefficients of age, sex"):
        covariates.residualise(values, people, ALL)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("others", [0, 5])
def test_harmonised_values_are_combatlearns(others):
    combatlearn = pytest.importorskip("combatlearn")
    values, people = parts()
    for frame in people.values():
        frame.loc[: others - 1, "sex"] = "O"
    together = pd.concat([people["train"], people["test"]], ignore_index=True)
    every = pd.DataFrame(np.concatenate([values["train"], values["test"]]))
    # Both parts in one frame, so that the library codes sex as a category itself.
    model = combatlearn.ComBat(
        batch=together["site"], discrete_covariates=together[["sex"]], continuous_covariates=together[["age"]],
        method="neurocombat",
    ).fit(every.iloc[:90])  # fmt: skip
    found = covariates.harmonise(values, people)
    np.testing.assert_allclose(found["train"], model.transform(every.iloc[:90]), rtol=1e-9)
    np.testing.assert_allclose(found["test"], model.transform(every.iloc[90:]), rtol=1e-9)
    alone = {part: array[:1] if part == "test" else array for part, array in values.items()}
    one = covariates.harmonise(alone, {"train": people["train"], "test": people["test"].iloc[:1]})
    np.testing.assert_array_equal(one["test"], found["test"][:1])


def test_a_sex_that_nobody_has_in_training_counts_as_their_average():
    pytest.importorskip("combatlearn")
    values, people = parts()
    found = []
    for sex in ("F", "M", "O"):
        people["test"].loc[0, "sex"] = sex
        found.append(covariates.harmonise(values, people)["test"][0])
    share = (people["train"]["sex"] == "M").mean()
    np.testing.assert_allclose(found[2], (1 - share) * found[0] + share * found[1], rtol=1e-9)


def test_harmonising_takes_sites_out_and_leaves_age_in():
    pytest.importorskip("combatlearn")
    values, people = parts(train=600)
    found = covariates.harmonise(values, people)["train"]
    age = people["train"]["age"]
    for feature in range(3):
        frame = people["train"].assign(y=values["train"][:, feature], z=found[:, feature])
        before, after = (smf.ols(f"{name} ~ age + C(sex) + C(site)", frame).fit() for name in "yz")
        assert after.params["age"] == pytest.approx(before.params["age"], abs=4 * before.bse["age"])
        sites = [abs(fit.params["C(site)[T.C]"]) / frame[name].std() for fit, name in ((before, "y"), (after, "z"))]
        assert sites[1] < 0.05
        spread = frame.assign(r=after.resid).groupby("site")["r"].std()
        assert spread.max() / spread.min() < 1.1
    assert age.notna().all()


def test_people_of_a_site_that_cannot_be_fitted_stay_as_measured_and_are_counted(caplog):
    pytest.importorskip("combatlearn")
    values, people = parts()
    people["train"].loc[0, "site"] = "D"
    people["test"].loc[:1, "site"] = ["D", "E"]
    with caplog.at_level(logging.WARNING):
        found = covariates.harmonise(values, people)
    assert "1 people (train) stay as measured" in caplog.text and "2 people (test)" in caplog.text
    np.testing.assert_array_equal(found["train"][0], values["train"][0])
    np.testing.assert_array_equal(found["test"][:2], values["test"][:2])
    assert (found["test"][2:] != values["test"][2:]).all()


def test_one_site_is_refused_and_so_is_an_unknown_age():
    pytest.importorskip("combatlearn")
    values, people = parts(sites="A")
    with pytest.raises(InputError, match=r"found 1 site\(s\) with at least 2 people to train on"):
        covariates.harmonise(values, people)
    values, people = parts()
    people["test"].loc[4, "age"] = np.nan
    with pytest.raises(InputError, match="harmonise: 1 of 30 people have no age"):
        covariates.harmonise(values, people)


def test_without_the_package_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "combatlearn", None)
    with pytest.raises(InputError, match="needs the package combatlearn.*extra `harmonisation`"):
        covariates.harmonise(*parts())


def made(seed=0):
    """A data set with covariates, its pairs, a split, and the rows that are tested."""
    dataset = simulated_dataset((3,), people=80, seed=seed)
    people = make_people(80, seed)
    columns = {name: people[name] for name in ALL}
    dataset = dataclasses.replace(
        dataset, people=dataset.people.assign(**columns), values=make_values(people, seed).astype(np.float32)
    )
    split = simulated_splits([seed], pairs=40, test=10)
    tested = split.loc[split["part"] == "test", "pair"].to_numpy()
    return dataset, simulated_pairs(80), split, np.concatenate([2 * tested, 2 * tested + 1])


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_no_training_input_moves_by_a_bit_when_everything_about_every_test_person_changes(options):
    if "harmonise" in options:
        pytest.importorskip("combatlearn")
    dataset, pairs, split, tested = made()
    before = prepare(dataset, pairs, split, **options)
    values, people = dataset.values.copy(), dataset.people.copy()
    values[tested] = values[tested] * -31 + 1000
    other = make_people(len(tested), seed=99, sites="ABCDE")
    for name in ALL:
        people.loc[tested, name] = other[name].to_numpy()
    people.loc[tested, "age"] += 40
    after = prepare(dataclasses.replace(dataset, values=values, people=people), pairs, split, **options)
    assert after.values["train"].tobytes() == before.values["train"].tobytes()
    assert (after.values["test"] != before.values["test"]).all()
    # The check can fail: one training person who changes moves the others.
    trained = np.setdiff1d(np.arange(80), tested)
    values = dataset.values.copy()
    values[trained[0]] += 50
    moved = prepare(dataclasses.replace(dataset, values=values), pairs, split, **options)
    assert (moved.values["train"][2:] != before.values["train"][2:]).any()


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_no_input_moves_by_a_bit_when_groups_are_swapped_within_pairs(options):
    if "harmonise" in options:
        pytest.importorskip("combatlearn")
    dataset, pairs, split, _ = made()
    swapped = [GROUPS[(place + (place // 2) % 3) % 2] for place in range(80)]
    people = dataset.people.assign(group=swapped, target=swapped)
    after = prepare(dataclasses.replace(dataset, people=people), pairs.assign(group=swapped), split, **options)
    before = prepare(dataset, pairs, split, **options)
    for part in ("train", "test"):
        assert after.values[part].tobytes() == before.values[part].tobytes()
    assert (after.is_other["train"] != before.is_other["train"]).any()


def test_sites_are_brought_together_before_covariates_are_taken_out():
    pytest.importorskip("combatlearn")
    dataset, pairs, split, _ = made()
    both = prepare(dataset, pairs, split, residualise=["age"], harmonise="combat")
    order = {part: pairs["subject"][pairs["pair"].isin(rows["pair"])] for part, rows in split.groupby("part")}
    rows = {part: dataset.people.set_index("subject").index.get_indexer(names) for part, names in order.items()}
    values = {part: dataset.values[places].astype(float) for part, places in rows.items()}
    people = {part: dataset.people.iloc[places] for part, places in rows.items()}
    wanted = least_squares(covariates.harmonise(values, people), people, "age")
    spread = wanted["train"].std(axis=0)
    for part in ("train", "test"):
        np.testing.assert_allclose(both.values[part], wanted[part] / spread, atol=1e-5)


def with_features(dataset, **columns):
    """The data set with further features, stored as float32 as all are."""
    further = np.stack([np.asarray(column, dtype=np.float32) for column in columns.values()], axis=1)
    values = np.concatenate([dataset.values, further], axis=1)
    return dataclasses.replace(dataset, values=values, features=[*dataset.features, *columns])


@pytest.mark.parametrize(
    ("options", "gone"),
    [
        ({"residualise": ["site"]}, ["site-constant"]),
        ({"residualise": ["age"]}, ["age-linear", "large"]),
        ({"residualise": ["age", "site"]}, ["site-constant", "age-linear", "large", "both"]),
        ({"harmonise": "combat"}, ["site-constant", "age-linear", "large", "both"]),
        (
            {"harmonise": "combat", "residualise": ["motion"]},
            ["site-constant", "age-linear", "large", "both", "motion"],
        ),
        ({}, []),
    ],
    ids=str,
)
def test_a_feature_that_only_says_what_the_covariates_say_is_left_out_and_named(options, gone, caplog):
    if "harmonise" in options:
        pytest.importorskip("combatlearn")
    plain, pairs, split, tested = made()
    age, site = plain.people["age"], plain.people["site"].map({"A": 1.1, "B": 3.3, "C": 4.0})
    columns = {"site-constant": site, "age-linear": 0.3 * age - 2, "large": 1e6 + 5 * age, "both": site + age / 7}
    if "motion" in gone:
        columns["motion"] = plain.people["motion"]
    dataset = with_features(plain, **columns)
    # Whoever is not trained on has no say: in the tested the features are noise.
    dataset.values[tested, 3:] = np.random.default_rng(0).normal(size=(len(tested), len(columns)))
    found = prepare(dataset, pairs, split, **options)
    assert found.features_left_out == gone
    assert ", ".join(gone[:4]) in caplog.text and (caplog.text != "") == bool(gone)
    kept = [place for place, name in enumerate(dataset.features) if name not in gone]
    without = dataclasses.replace(
        dataset, values=dataset.values[:, kept], features=[dataset.features[place] for place in kept]
    )
    wanted = prepare(without, pairs, split, **options)
    for part in ("train", "test"):
        assert found.values[part].tobytes() == wanted.values[part].tobytes()


@pytest.mark.parametrize("noise", [1e-4, 1e-2])
def test_a_feature_that_varies_a_little_beyond_the_covariates_stays(noise):
    plain, pairs, split, _ = made()
    little = plain.people["age"] + noise * np.random.default_rng(1).normal(size=80)
    found = prepare(with_features(plain, little=little), pairs, split, residualise=["age"])
    assert found.features_left_out == []
    assert found.values["train"][:, 3].std() == pytest.approx(1, abs=1e-4)


def test_covariates_that_leave_nothing_of_any_feature_are_refused():
    plain, pairs, split, _ = made()
    dataset = dataclasses.replace(plain, values=plain.people[["age"] * 3].to_numpy(dtype=np.float32))
    with pytest.raises(InputError, match="data set 'made': age, sex explain all 3 features wholly"):
        prepare(dataset, pairs, split, residualise=["age", "sex"])
