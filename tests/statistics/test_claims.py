import itertools

import numpy as np
import pandas as pd
import pytest

from autospec.statistics.claims import judge_claims


def group_run(p, model="mlp", exact=True, q=(0.01, 0.5, 0.5), p_loss=0.5, dataset="freesurfer", simulated=True):
    overall = {
        "dataset": dataset, "model": model, "task": "autoencoding" if exact else "classification",
        "activation": "relu", "shape": "base", "groups": ["control", "patient"], "simulated": simulated,
        "p": None if p is None else min(p, p_loss), "spectra": {"p": p, "p_low": 0.001, "p_high": 0.9},
        "statistics": {"group_loss": {"p": p_loss}}, "exact": exact,
        "labelings": 200, "seeds": 4, "pairs": 60, "caution": "Take care.", "unlearned": 0,
        "inputs": {"largest_t": 0.0005, "covariance_distance": 0.7},
    }  # fmt: skip
    layers = pd.DataFrame(
        {
            "statistic": ["spectral_ratio", "gradient_difference", "group_loss"],
            "layer": ["encoder.0", "encoder.1", ""],
            "depth": [0, 1, -1],
            "p": np.array(q) / 2,
            "p_low": np.array(q) / 4,
            "p_high": q,
            "q": q,
            "z": [2.5, 0.1, 0.2],
            "effect": [1.3, 1.0, 1.1],
            "effect_low": [1.2, 0.8, 0.9],
            "effect_high": [1.5, 1.2, 1.3],
        }
    )
    return overall, layers


def compared(what="task", q=0.01, model="mlp", gate=True, missing=None, simulated=False):
    """A comparison in which the last pair has this q in its best scale-free cell and the others 0.001."""
    levels = [level for level in {
        "task": ("autoencoding", "classification"),
        "activation": ("relu", "sigmoid", "tanh"),
        "shape": ("base", "wide", "deep"),
    }[what] if level != missing]  # fmt: skip
    pairs = list(itertools.combinations(levels, 2))
    frames = []
    for one, other in pairs:
        best = q if (one, other) == pairs[-1] else 0.001
        frames.append(
            pd.DataFrame(
                {
                    "layer": ["encoder.0", "encoder.1", "encoder.0"], "depth": [0, 1, 0],
                    "quantity": "gradient", "scale": ["free", "free", "raw"],
                    "measure": ["share", "stable_rank", "log_singular_value"], "index": [1, 0, 1],
                    "pair": f"{other} - {one}", "first": one, "second": other, "test": "paired t",
                    "statistic": [8.0, -2.0, 99.0], "p": [best / 2, 0.2, 1e-9], "q": [best, 0.2, 1e-9],
                    "effect": [3.0, -0.5, 40.0], "effect_low": [1.0, -2.0, 9.0], "effect_high": [5.0, 1.0, 90.0],
                    "significant": [best <= 0.05 and gate, False, True],
                }
            )
        )  # fmt: skip
    fixed = {"dataset": "digits", "model": model, "task": "autoencoding", "activation": "relu", "shape": "base"}
    overall = fixed | {
        "compared": what, "simulated": simulated, "seeds": 4, "caution": "Few.",
        "levels": [{"level": level, "finished": 4, "diverged": 0, "parameters": 1000} for level in levels],
    }  # fmt: skip
    return overall, pd.concat(frames, ignore_index=True)


def training(model="mlp", status="finished", spectra_seconds=1.0):
    measured = {"wall_seconds": 6.0, "labelings_seconds": 2.0, "spectra_seconds": spectra_seconds}
    identity = {"model": model, "dataset": "digits", "task": "classification", "shape": "base"}
    return identity | {"status": status, "learned": True, "simulated": False, "measured": measured}


def judged(groups=(), conditions=(), records=()):
    return judge_claims(list(groups), list(conditions), list(records)).set_index(["claim", "dataset", "model"])


def test_trainings_that_learned_nothing_are_told_where_networks_are_said_to_be_served():
    records = [training(), training() | {"learned": False}, training("mlp", "diverged") | {"learned": False}]
    assert judged(records=records).loc["C6", "all", "mlp"]["note"] == "3 trainings, 1 diverged, 1 learned nothing"
    assert judged(records=records[:1]).loc["C6", "all", "mlp"]["note"] == "1 training, 0 diverged"


@pytest.mark.parametrize(("what", "claim"), [("task", "C1"), ("activation", "C2"), ("shape", "C3")])
@pytest.mark.parametrize(("q", "status"), [(0.03, "held"), (0.3, "not held"), (np.nan, "not testable here")])
def test_a_claim_about_conditions_rests_on_scale_free_gradients_alone(what, claim, q, status):
    overall, cells = compared(what, q)
    if np.isnan(q):
        cells["q"] = np.nan
    row = judged(conditions=[(overall, cells)]).loc[claim, "digits", "mlp"]
    assert row["status"] == status
    name = {"task": "activation-relu_shape-base", "activation": "task-autoencoding_shape-base"}
    name = name.get(what, "task-autoencoding_activation-relu")
    assert row["figure"] == f"figures/{what}s/data-digits_model-mlp_{name}.pdf"
    if status == "held":
        assert (row["q"], row["effect"], row["where"]) == (0.03, 3.0, "encoder.0")
        assert row[["effect_low", "effect_high", "n", "n_of"]].tolist() == [1.0, 5.0, 4, "seeds"]
        assert "share 1 at encoder.0" in row["statistic"] and "Few." in row["note"]


def test_activations_are_distinct_only_if_each_two_of_them_differ():
    row = judged(conditions=[compared("activation", 0.2)]).loc["C2", "digits", "mlp"]
    assert row["status"] == "not held" and row["statistic"].startswith("paired t, tanh - sigmoid")
    assert "sigmoid - relu: 1 of 2; tanh - relu: 1 of 2; tanh - sigmoid: 0 of 2" in row["note"]
    row = judged(conditions=[compared("activation", 0.01, missing="tanh")]).loc["C2", "digits", "mlp"]
    assert row["status"] == "not testable here" and "relu and tanh, sigmoid and tanh" in row["note"]


def test_shapes_are_judged_by_wide_against_deep_alone():
    overall, cells = compared("shape", 0.3)  # base differs from both
    row = judged(conditions=[(overall, cells)]).loc["C3", "digits", "mlp"]
    assert row["status"] == "not held" and row["comparison"] == "wide against deep"
    assert "Parameters: base 1,000, wide 1,000, deep 1,000." in row["note"]


def test_a_pair_that_its_omnibus_test_does_not_allow_holds_no_claim():
    table = judged(conditions=[compared("activation", 0.01, gate=False)])
    assert table.loc["C2", "digits", "mlp"]["status"] == "not held"


def test_several_architectures_need_two_models():
    one = judged(conditions=[compared(q=0.01)]).loc["C1", "all", "all"]
    assert one["status"] == "not testable here"
    two = judged(conditions=[compared(q=0.01), compared(q=0.02, model="lstm")]).loc["C1", "all", "all"]
    assert (two["status"], two["value"], two["where"], two["simulated"]) == ("held", 2, "lstm, mlp", False)
    assert two["p"] == 0.02
    assert two["figure"] == "figures/across/tasks.pdf"
    split = judged(conditions=[compared(q=0.01), compared(q=0.5, model="lstm")]).loc["C1", "all", "all"]
    assert split["status"] == "not held" and (split["value"], split["where"]) == (1, "mlp")
    # What the test of all three activations does not allow is no evidence, however small the q of its pairs.
    gated = judged(conditions=[compared("activation"), compared("activation", model="lstm", gate=False)])
    assert gated.loc["C2", "all", "all"][["status", "p"]].tolist() == ["not held", 1.0]


def test_several_runs_of_a_model_and_several_models_must_pay_for_their_number():
    """A model counts by its smallest p times its runs, the second smallest of m models (m - 1) times."""
    runs = [group_run(0.02, "mlp"), group_run(0.3, "mlp", dataset="fmri"), group_run(0.04, "lstm")]
    row = judged(runs).loc["C4", "all", "all"]
    assert (row["status"], row["p"]) == ("held on simulated data only", pytest.approx(0.04))
    runs = [group_run(p, "mlp", dataset=f"d{n}") for n, p in enumerate((0.04, 0.5, 0.5))] + [group_run(0.04, "lstm")]
    row = judged(runs).loc["C4", "all", "all"]
    assert (row["status"], row["p"], row["where"]) == ("not held", pytest.approx(0.12), "lstm")
    runs = [group_run(p, model) for p, model in ((0.01, "mlp"), (0.02, "lstm"), (0.5, "rnn"), (0.6, "cnn"))]
    row = judged(runs).loc["C4", "all", "all"]
    assert (row["status"], row["p"], row["where"]) == ("not held", pytest.approx(0.06), "lstm, mlp")


def test_real_data_are_judged_apart_from_simulated_and_what_simulated_data_alone_show_says_so():
    made = [compared(q=0.01, simulated=True), compared(q=0.01, model="lstm", simulated=True)]
    only = judged(conditions=made).loc["C1", "all", "all"]
    assert (only["status"], only["simulated"]) == ("held on simulated data only", True)
    assert "2 of 2 models on simulated data" in only["note"]
    one = judged(conditions=[*made, compared(q=0.5)]).loc["C1", "all", "all"]
    assert (one["status"], one["simulated"]) == ("held on simulated data only", True)
    assert "Not counted, on real data: not held for mlp on digits." in one["note"]
    real = [compared(q=0.5), compared(q=0.01, model="cnn")]
    two = judged(conditions=[*made, *real]).loc["C1", "all", "all"]
    assert (two["status"], two["simulated"], two["where"]) == ("not held", False, "cnn")
    assert "Not counted, on simulated data: held for mlp on digits; held for lstm on digits." in two["note"]
    mixed = judged(conditions=[made[0], real[1]]).loc["C1", "all", "all"]
    assert mixed["status"] == "not testable here"
    assert "held for mlp on digits, simulated data; held for cnn on digits, real data. 2 models" in mixed["note"]


@pytest.mark.parametrize(
    ("p", "exact", "status"),
    [
        (0.005, True, "held"),
        (0.2, True, "not held"),
        (0.005, False, "descriptive"),
        (None, True, "not testable here"),
    ],
)
def test_the_group_claim_needs_an_exact_p_of_the_spectra(p, exact, status):
    row = judged([group_run(p, exact=exact)]).loc["C4", "freesurfer", "mlp"]
    assert row["status"] == status
    task = "autoencoding" if exact else "classification"
    assert row["figure"] == f"figures/groups/data-freesurfer_model-mlp_task-{task}_activation-relu_shape-base.pdf"
    if p is not None:
        assert row[["p_low", "p_high", "n", "n_of"]].tolist() == [0.001, 0.9, 60, "pairs"]
        assert row[["value", "q", "effect", "effect_low", "effect_high"]].tolist() == [0.005, 0.01, 1.3, 1.2, 1.5]


def test_a_small_p_of_the_loss_alone_holds_no_claim_and_stands_beside_it():
    run = group_run(0.4, q=(0.4, 0.5, 0.001), p_loss=0.0005)
    assert run[0]["p"] == 0.0005
    row = judged([run]).loc["C4", "freesurfer", "mlp"]
    assert (row["status"], row["p"], row["q"]) == ("not held", 0.4, 0.4)
    assert row["where"] == "encoder.0, spectral ratio"
    assert "Yardstick, the groups' mean loss: p = 0.0005." in row["note"]
    assert "largest t p = 0.0005, covariance distance p = 0.7." in row["note"]
    untested = group_run(None, p_loss=0.001)
    assert judged([untested]).loc["C4", "freesurfer", "mlp"]["status"] == "not testable here"


def test_layers_are_hints_at_most_where_the_spectra_as_a_whole_do_not_reject():
    row = judged([group_run(0.2, q=(0.01, 0.5, 0.001), p_loss=0.001)]).loc["C5", "freesurfer", "mlp"]
    assert (row["status"], row["where"]) == ("not held", "")
    assert "1 of 2 layers reject at q <= 0.05, which are hints at most" in row["note"]


def test_locality_lists_the_layers_that_reject_and_never_claims_more():
    row = judged([group_run(0.005)]).loc["C5", "freesurfer", "mlp"]
    assert (row["status"], row["where"]) == ("descriptive", "encoder.0")
    assert "contrast" in row["note"]
    assert judged([group_run(0.5, q=(0.4, 0.5, 0.01))]).loc["C5", "freesurfer", "mlp"]["status"] == "not held"
    descriptive = judged([group_run(0.005, exact=False)]).loc["C5", "all", "all"]
    assert descriptive["status"] == "not testable here" and "had not used the groups' labels" in descriptive["note"]


def test_of_layers_that_share_the_smallest_p_the_row_shows_the_one_furthest_out():
    overall, layers = group_run(0.005, q=(0.01, 0.01, 0.5))
    layers["z"] = [3.4, 12.9, 20.0]
    table = judged([(overall, layers)])
    assert table.loc["C4", "freesurfer", "mlp"]["where"] == "encoder.1, gradient difference"
    assert table.loc["C5", "freesurfer", "mlp"]["value"] == 12.9
    layers["z"] = [-13.4, 12.9, 20.0]
    assert judged([(overall, layers)]).loc["C4", "freesurfer", "mlp"]["where"] == "encoder.0, spectral ratio"


def test_what_is_not_compared_is_not_testable():
    table = judged([group_run(0.005)], [compared("task")])
    assert table.loc["C2", "all", "all"]["status"] == table.loc["C3", "all", "all"]["status"] == "not testable here"


def test_generality_needs_a_finished_training_of_every_model():
    some = judged(records=[training("mlp"), training("lstm")])
    over_all = some.loc["C6", "all", "all"]
    assert (over_all["status"], over_all["value"], over_all["where"]) == ("not testable here", 2, "mlp, lstm")
    assert over_all["figure"] == "figures/models/classification.pdf"
    assert some.loc["C6", "all", "lstm"]["status"] == "held" and ("C6", "all", "cnn") not in some.index
    every = [training(model) for model in ("mlp", "cnn", "rnn", "lstm", "bert")]
    assert judged(records=every).loc["C6", "all", "all"]["status"] == "held"
    diverged = judged(records=[*every[:4], training("bert", "diverged")])
    assert diverged.loc["C6", "all", "all"]["status"] == diverged.loc["C6", "all", "bert"]["status"] == "not held"
    assert diverged.loc["C6", "all", "bert"]["note"] == "1 training, 1 diverged"
    both = [training("mlp") | {"dataset": "made", "simulated": True}, training("mlp")]
    row = judged(records=both).loc["C6", "all", "mlp"]
    assert row[["status", "simulated", "where"]].tolist() == ["held", False, "made (simulated), digits"]
    some = judged(records=[*every[1:], both[0]])
    for model in ("mlp", "all"):
        row = some.loc["C6", "all", model]
        assert row[["status", "simulated"]].tolist() == ["held on simulated data only", True]
    assert some.loc["C6", "all", "all"]["note"] == "5 of 5 models; on simulated data only: mlp"


def test_cost_is_the_measured_share_of_spectra_by_model_and_over_all():
    records = [training("mlp"), training("mlp", spectra_seconds=0.4), training("lstm", spectra_seconds=3.0)]
    table = judged(records=records)
    # Of six seconds two went to labelings, so four are left.
    assert table.loc["C7", "all", "mlp"]["value"] == pytest.approx((0.25 + 0.1) / 2)
    assert table.loc["C7", "all", "lstm"][["status", "value"]].tolist() == ["held", 0.75]
    assert table.loc["C7", "all", "all"][["status", "value"]].tolist() == ["not held", 0.25]
    assert judged(records=[training("mlp", "diverged")]).loc["C7", "all", "all"]["status"] == "not testable here"


def test_every_claim_is_judged_once_even_where_nothing_was_run():
    table = judge_claims([], [], [])
    assert table["claim"].tolist() == ["C1", "C2", "C3", "C4", "C5", "C6", "C7"]
    assert set(table["status"]) == {"not testable here"}
