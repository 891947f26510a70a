import numpy as np
import pandas as pd
import pytest

from autospec.statistics.claims import judge_claims


def group_run(p, model="mlp", exact=True, q=(0.01, 0.5, 0.5), spectra_seconds=1.0, p_loss=0.5):
    overall = {
        "dataset": "freesurfer", "model": model, "task": "autoencoding" if exact else "classification",
        "activation": "relu", "shape": "base", "groups": ["control", "patient"], "simulated": True,
        "p": None if p is None else min(p, p_loss), "spectra": {"p": p},
        "statistics": {"group_loss": {"p": p_loss}}, "exact": exact,
        "labelings": 200, "seeds": 4, "caution": "Take care.",
        "measured": [{"wall_seconds": 6.0, "labelings_seconds": 2.0, "spectra_seconds": spectra_seconds}] * 2,
    }  # fmt: skip
    layers = pd.DataFrame(
        {
            "statistic": ["spectral_ratio", "gradient_difference", "group_loss"],
            "layer": ["encoder.0", "encoder.1", ""],
            "depth": [0, 1, -1],
            "p": np.array(q) / 2,
            "q": q,
            "effect": [1.3, 1.0, 1.1],
        }
    )
    return overall, layers


def task_cells(q, model="mlp"):
    return pd.DataFrame(
        {
            "dataset": "digits", "model": model, "simulated": False, "layer": ["encoder.0", "encoder.1", "encoder.0"],
            "quantity": "gradient", "scale": ["free", "free", "raw"],
            "measure": ["share", "stable_rank", "log_singular_value"], "index": [1, 0, 1], "t": [8.0, -2.0, 99.0],
            "p": [q / 2, 0.2, 1e-9], "q": [q, 0.2, 1e-9], "effect": [3.0, -0.5, 40.0], "n_seeds": 4,
        }
    )  # fmt: skip


def judged(groups=(), tasks=()):
    return judge_claims(list(groups), list(tasks)).set_index(["claim", "dataset", "model"])


@pytest.mark.parametrize(("q", "status"), [(0.03, "held"), (0.3, "not held"), (np.nan, "not testable here")])
def test_the_task_claim_rests_on_scale_free_gradients_alone(q, status):
    cells = task_cells(q)
    if np.isnan(q):
        cells["q"] = np.nan
    row = judged(tasks=[cells]).loc["C1", "digits", "mlp"]
    assert row["status"] == status
    if status == "held":
        assert (row["q"], row["effect"], row["where"]) == (0.03, 3.0, "encoder.0, index 1")
        assert row["figure"] == "figures/tasks/data-digits_model-mlp.pdf"


def test_several_architectures_need_two_models():
    one = judged(tasks=[task_cells(0.01)]).loc["C1", "all", "all"]
    assert one["status"] == "not testable here"
    two = judged(tasks=[task_cells(0.01), task_cells(0.02, "lstm")]).loc["C1", "all", "all"]
    assert (two["status"], two["value"], two["where"]) == ("held", 2, "lstm, mlp")
    split = judged(tasks=[task_cells(0.01), task_cells(0.5, "lstm")]).loc["C1", "all", "all"]
    assert split["status"] == "not held"


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


def test_a_small_p_of_the_loss_alone_holds_no_claim_and_stands_beside_it():
    run = group_run(0.4, q=(0.4, 0.5, 0.001), p_loss=0.0005)
    assert run[0]["p"] == 0.0005
    row = judged([run]).loc["C4", "freesurfer", "mlp"]
    assert (row["status"], row["p"], row["q"]) == ("not held", 0.4, 0.4)
    assert row["where"] == "encoder.0, spectral ratio"
    assert "Yardstick, the groups' mean loss: p = 0.0005." in row["note"]
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
    assert "C5" not in judged([group_run(0.005, exact=False)]).index.get_level_values("claim")


def test_activation_and_shape_are_not_testable_where_they_are_not_compared():
    table = judged([group_run(0.005)], [task_cells(0.01)])
    assert table.loc["C2", "all", "all"]["status"] == table.loc["C3", "all", "all"]["status"] == "not testable here"


def test_generality_counts_models():
    some = judged([group_run(0.005, "lstm")], [task_cells(0.01)]).loc["C6", "all", "all"]
    assert (some["status"], some["value"], some["where"]) == ("not testable here", 2, "mlp, lstm")
    names = ("mlp", "cnn", "rnn", "lstm", "bert")
    assert judged(tasks=[task_cells(0.01, name) for name in names]).loc["C6", "all", "all"]["status"] == "held"


def test_cost_is_the_measured_share_of_spectra():
    assert judged([group_run(0.5)]).loc["C7", "all", "all"][["status", "value"]].tolist() == ["not held", 0.25]
    assert judged([group_run(0.5, spectra_seconds=3.0)]).loc["C7", "all", "all"]["status"] == "held"
    assert judged().loc["C7", "all", "all"]["status"] == "not testable here"


def test_every_claim_is_judged_once_even_where_nothing_was_run():
    table = judge_claims([], [])
    assert table["claim"].tolist() == ["C1", "C2", "C3", "C4", "C6", "C7"]
    assert set(table["status"]) == {"not testable here"}
