import dataclasses
import tracemalloc

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from nilearn.connectome import ConnectivityMeasure
from simulated import GROUPS, simulated_dataset
from sklearn.covariance import EmpiricalCovariance
from statsmodels.stats.weightstats import ttest_ind

from autospec.data import quality_tables as tables


def cohort(count=120, seed=0):
    generator = np.random.default_rng(seed)
    people = pd.DataFrame(
        {
            "subject": [f"s{number:03d}" for number in range(count)],
            "group": generator.choice(GROUPS, count),
            "age": generator.normal(40, 10, count),
            "sex": generator.choice(["F", "M"], count, p=[0.3, 0.7]),
            "site": generator.choice(["A", "B", "C"], count),
        }
    )
    people["person"] = people["subject"]
    people.loc[3, "age"] = np.nan
    return people


@pytest.fixture
def described():
    people = cohort()
    return people, tables.group_table(people, people["person"][:80], GROUPS, ["age"])


def test_means_and_welchs_t_are_those_of_pandas_and_statsmodels(described):
    people, table = described
    for stage, frame in (("everyone", people), ("paired", people[:80])):
        row = table[(table["variable"] == "age") & (table["stage"] == stage)].iloc[0]
        control, patient = (frame.loc[frame["group"] == group, "age"].dropna() for group in GROUPS)
        t, p, _ = ttest_ind(patient, control, usevar="unequal")
        assert (row["statistic"], row["p"]) == pytest.approx((t, p))
        assert (row["mean_reference"], row["sd_other"]) == pytest.approx((control.mean(), patient.std()))
        assert (row["n_reference"], row["n_other"]) == (len(control), len(patient))


def test_categories_get_shares_and_one_chi_squared_by_hand(described):
    people, table = described
    rows = table[(table["variable"] == "site") & (table["stage"] == "everyone")]
    counts = pd.crosstab(people["site"], people["group"])[list(GROUPS)].to_numpy().astype(float)
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0) / counts.sum()
    chi = ((counts - expected) ** 2 / expected).sum()
    assert rows["statistic"].iloc[0] == pytest.approx(chi)
    assert rows["p"].iloc[0] == pytest.approx(scipy.stats.chi2.sf(chi, 2))
    assert rows["p"].iloc[1:].isna().all()
    assert rows[["n_reference", "n_other"]].to_numpy().tolist() == counts.tolist()
    np.testing.assert_allclose(rows[["mean_reference", "mean_other"]], counts / counts.sum(axis=0))


def test_small_two_by_two_tables_get_fishers_exact_test():
    people = cohort(8).assign(group=4 * [GROUPS[0]] + 4 * [GROUPS[1]], sex=list("FFFMFMMM"))
    row = tables.group_table(people, [], GROUPS, []).query("variable == 'sex'").iloc[0]
    # Hypergeometric by hand: tables with 3 or 4, and 1 or 0, of the four women in the first group.
    assert row["test"] == "Fisher's exact"
    assert row["p"] == pytest.approx((16 + 1 + 16 + 1) / 70)


def test_groups_that_cannot_be_tested_are_described_without_a_p():
    people = cohort(20).assign(age=30.0, site="A")
    table = tables.group_table(people, people["person"][:4], GROUPS, ["age"])
    assert table.loc[table["variable"].isin(["age", "site"]), "p"].isna().all()
    assert np.isfinite(table.loc[table["variable"] == "age", "mean_other"]).all()


def test_quantiles_are_by_group_and_stage():
    people = cohort()
    table = tables.measure_table(people, people["person"][:80], GROUPS, ["age"]).set_index(["group", "stage"])
    part = people[:80].loc[people["group"] == "patient", "age"].dropna()
    assert table.loc[("patient", "paired"), "q25"] == pytest.approx(part.quantile(0.25))
    assert table.loc[("patient", "paired"), "people"] == len(part)
    assert table.loc[("control", "everyone"), "maximum"] == people.loc[people["group"] == "control", "age"].max()


def test_measures_of_sessions_are_means_over_the_person_and_constants_are_left_out():
    dataset = simulated_dataset(people=6)
    people = dataset.people.assign(person=["a", "b", "a", "b", "c", "d"], motion=[1.0, 2, 3, 4, 5, 6])
    dataset = dataclasses.replace(dataset, people=people)
    quality = pd.DataFrame(
        {"subject": dataset.people["subject"], "mean_fd": people["motion"], "tsnr": [10.0, 20, 30, 40, 50, 60],
         "volumes": 150, "flag": ""}
    )  # fmt: skip
    quality = pd.concat([quality, quality.tail(1).assign(subject="dropped", tsnr=-1e9)])
    joined, measures = tables.people_with_measures(dataset, quality)
    assert measures == ["motion", "tsnr"]  # the displacement is the motion, said once
    joined = joined.set_index("person")
    assert joined["tsnr"].to_dict() == {"a": 20, "b": 30, "c": 50, "d": 60}
    assert joined["motion"].to_dict() == {"a": 2, "b": 3, "c": 5, "d": 6}


def test_outliers_of_a_table_are_counted_by_hand():
    dataset = simulated_dataset((3,), people=41)
    dataset.values[:, 0] = np.arange(41)
    dataset.values[0, 0] = 1000
    table = tables.feature_table(dataset, False).set_index("feature")
    values = np.sort(np.append(np.arange(1, 41), 1000.0))
    scale = 1.4826 * np.median(np.abs(values - 21))
    assert table.loc["f0", "maximum"] == pytest.approx((1000 - 21) / scale)
    assert table.loc["f0", "outliers"] == 1
    assert table.loc["f1", "sd"] == pytest.approx(dataset.values[:, 1].std(ddof=1), rel=1e-6)


def test_a_component_stands_for_its_mean_correlation_and_memory_for_one_persons_matrix():
    dataset = simulated_dataset((40, 60), people=60, seed=4)
    tracemalloc.start()
    table = tables.feature_table(dataset, True)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 60 * 60 * 60 * 8  # bytes of everyone's matrices
    wanted = [(np.corrcoef(one.T.astype(float)).sum(axis=0) - 1) / 59 for one in dataset.values]
    np.testing.assert_allclose(table["mean"], np.mean(wanted, axis=0), atol=1e-9)
    np.testing.assert_allclose(table["sd"], np.std(wanted, axis=0, ddof=1), rtol=1e-6)


def test_connectivity_is_that_of_nilearn_averaged_as_fishers_z():
    dataset = simulated_dataset((60, 5), people=30, seed=2)
    dataset.values[:, :, 1] += dataset.values[:, :, 0] * (dataset.people["group"] == "patient").to_numpy()[:, None]
    subjects = dataset.people["subject"][:20]
    table = tables.connectivity_table(dataset, subjects)
    measure = ConnectivityMeasure(EmpiricalCovariance(), kind="correlation", standardize=False)
    together = measure.fit_transform(list(dataset.values[:20].astype(float)))
    matrices = np.arctanh(np.clip(together, -1 + 1e-12, 1 - 1e-12))
    group = dataset.people["group"][:20]
    means = [matrices[(group == name).to_numpy()].mean(axis=0) for name in GROUPS]
    assert len(table) == 10
    for row in table.itertuples():
        i, j = (dataset.features.index(name) for name in (row.first, row.second))
        assert row.reference == pytest.approx(np.tanh(means[0][i, j]), abs=1e-6)
        assert row.other == pytest.approx(np.tanh(means[1][i, j]), abs=1e-6)
        assert row.difference == pytest.approx(means[1][i, j] - means[0][i, j], abs=1e-6)
    strongest = table.loc[table["difference"].abs().idxmax()]
    assert (strongest["first"], strongest["second"]) == ("f0", "f1")


def test_a_component_that_stands_still_makes_no_nan():
    dataset = simulated_dataset((20, 3), people=8)
    dataset.values[2, :, 1] = 4.0
    dataset.values[3, :, 1] = dataset.values[3, :, 0]
    assert np.isfinite(tables.connectivity_table(dataset, dataset.people["subject"])["difference"]).all()
    assert np.isfinite(tables.feature_table(dataset, True).drop(columns="feature").to_numpy(float)).all()


def test_images_are_described_by_the_mean_of_each_column():
    dataset = simulated_dataset((1, 4, 3), people=10)
    table = tables.feature_table(dataset, False)
    np.testing.assert_allclose(table["mean"], dataset.values.mean(axis=(0, 1, 2)), rtol=1e-5)
