import numpy as np
import pytest
from scipy import stats

from autospec.errors import InputError
from autospec.statistics.tasks import compare_tasks

EPOCHS = (1, 2)


def runs(make_run, task, count, decay, scale=1.0, head=3, first=0):
    generator = np.random.default_rng([count, int(10 * decay)])
    layers = (("encoder.0", 12), ("encoder.1", 4), (f"head.{task}", 2), ("head", head))
    made, curves = {}, {}
    for seed in range(first, first + count):
        spectra = {
            (layer, depth, quantity, "all"): scale
            * np.sort(np.exp(-decay * np.arange(r) + 0.1 * generator.normal(size=(2, r))))[:, ::-1]
            for depth, (layer, r) in enumerate(layers)
            for quantity in ("gradient", "adjoint", "weight")
        }
        folder, record = make_run(f"{task}-{seed}", spectra={"curves": spectra, "epochs": EPOCHS}, seed=seed, task=task)
        made[folder] = record
        curves[seed] = spectra
    return made, curves


def test_measures_agree_with_formulas_written_out_and_scipys_t(make_run):
    first, one = runs(make_run, "autoencoding", 4, 0.3)
    second, two = runs(make_run, "classification", 4, 0.5, scale=100.0, head=5)
    table = compare_tasks(first, second, indices=10)

    # Layers of one task alone, or of another size, cannot be compared.
    assert set(table["layer"]) == {"encoder.0", "encoder.1"}
    assert set(table["quantity"]) == {"gradient", "adjoint"}
    assert len(table) == 2 * ((2 * 10 + 2) + (2 * 4 + 2))

    def measure(row, s):
        return {
            "share": lambda: (s[:, row["index"] - 1] / s.sum(axis=1)).mean(),
            "log_singular_value": lambda: np.log(s[:, row["index"] - 1]).mean(),
            "normalised_effective_rank": lambda: np.exp(stats.entropy(s, axis=1)).mean() / s.shape[1],
            "stable_rank": lambda: ((s**2).sum(axis=1) / s[:, 0] ** 2).mean(),
        }[row["measure"]]()

    for _, row in table.iterrows():
        key = (row["layer"], row["depth"], row["quantity"], "all")
        values = [np.array([measure(row, run[seed][key]) for seed in range(4)]) for run in (one, two)]
        assert row["autoencoding_mean"] == pytest.approx(values[0].mean(), rel=1e-5, abs=1e-6)
        assert row["classification_mean"] == pytest.approx(values[1].mean(), rel=1e-5, abs=1e-6)
        test = stats.ttest_rel(values[1], values[0])
        assert (row["t"], row["p"]) == pytest.approx((test.statistic, test.pvalue), rel=1e-3)
    for _, family in table.groupby(["quantity", "scale"]):
        np.testing.assert_allclose(family["q"], stats.false_discovery_control(family["p"]))
        kind = {"free": "scale-free", "raw": "raw"}[family["scale"].iloc[0]]
        assert set(family["family"]) == {
            f"{len(family)} {kind} cells (layer, measure and index) of the {family['quantity'].iloc[0]} spectra, "
            "corrected by BH at 0.05"
        }
    assert set(table.loc[table["measure"] == "log_singular_value", "scale"]) == {"raw"}
    assert (table["n_seeds"] == 4).all()


def test_a_mere_change_of_scale_leaves_every_scale_free_measure_equal(make_run):
    first, _ = runs(make_run, "autoencoding", 3, 0.3)
    second, _ = runs(make_run, "classification", 3, 0.3, scale=1000.0)
    table = compare_tasks(first, second)
    free = table[table["scale"] == "free"]
    assert (free["difference"].abs() < 1e-6).all() and not free["significant"].any()
    raw = table[table["scale"] == "raw"]
    np.testing.assert_allclose(raw["difference"], np.log(1000), rtol=1e-5)


def test_only_seeds_that_finished_in_both_tasks_are_paired(make_run):
    first, _ = runs(make_run, "autoencoding", 4, 0.3)
    second, _ = runs(make_run, "classification", 4, 0.5, first=2)
    assert (compare_tasks(first, second)["n_seeds"] == 2).all()
    for record in second.values():
        record["status"] = "diverged"
    with pytest.raises(InputError, match="no seed finished in both tasks"):
        compare_tasks(first, second)
