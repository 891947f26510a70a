import numpy as np
import pytest
from scipy import integrate, stats

from autospec.statistics.stability import stability_over_trainings

EPOCHS = (1, 2, 4)


def seeds(make_run, count, **changes):
    generator = np.random.default_rng(0)
    made, curves = {}, []
    for seed in range(count):
        spectra = {
            (layer, depth, quantity, group): np.sort(generator.gamma(2.0, size=(3, r)))[:, ::-1]
            for depth, (layer, r) in enumerate((("encoder.0", 4), ("encoder.1", 2)))
            for quantity in ("gradient", "activation")
            for group in ("control", "patient", "all")
        }
        folder, record = make_run(f"seed-{seed}", spectra={"curves": spectra, "epochs": EPOCHS}, seed=seed, **changes)
        made[folder] = record
        curves.append(spectra)
    return made, curves


def test_areas_t_and_corrected_t_agree_with_scipy_and_the_formula_written_out(make_run):
    made, curves = seeds(make_run, 5)
    table = stability_over_trainings(made, indices=3)
    assert len(table) == 3 + 2
    for _, row in table.iterrows():
        areas = {
            group: [
                integrate.trapezoid(run[row["layer"], row["depth"], "gradient", group][:, row["index"] - 1], EPOCHS)
                for run in curves
            ]
            for group in ("control", "patient")
        }
        assert row["mean_reference"] == pytest.approx(np.mean(areas["control"]), rel=1e-6)
        assert row["mean_other"] == pytest.approx(np.mean(areas["patient"]), rel=1e-6)
        test = stats.ttest_rel(areas["patient"], areas["control"])
        assert (row["t"], row["p"]) == pytest.approx((test.statistic, test.pvalue), rel=1e-5)
        d = np.subtract(areas["patient"], areas["control"])
        # 4 tested for 16 trained: variance times 1/5 + 4/16 instead of 1/5.
        corrected = d.mean() / np.sqrt((1 / 5 + 4 / 16) * d.var(ddof=1))
        assert row["t_corrected"] == pytest.approx(corrected, rel=1e-5)
        assert row["p_corrected"] == pytest.approx(2 * stats.t.sf(abs(corrected), 4), rel=1e-4)
        assert row["effect_low"] < row["effect"] < row["effect_high"]
    np.testing.assert_allclose(table["q"], stats.false_discovery_control(table["p"]))
    np.testing.assert_allclose(table["q_corrected"], stats.false_discovery_control(table["p_corrected"]))
    assert (table["n_seeds"] == 5).all()
    assert set(table["family"]) == {"5 cells (layer and index), corrected by BH at 0.05"}


def test_one_seed_gives_areas_and_no_p(make_run):
    made, _ = seeds(make_run, 1)
    table = stability_over_trainings(made)
    assert table["difference"].notna().all()
    assert table[["t", "p", "q", "effect"]].isna().all(axis=None)
    assert not table["stable"].any()


def test_a_diverged_seed_is_left_out(make_run):
    made, _ = seeds(make_run, 3)
    folder, record = make_run("seed-9", seed=9, status="diverged")
    assert (stability_over_trainings(made | {folder: record})["n_seeds"] == 3).all()
