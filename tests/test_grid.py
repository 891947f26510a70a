"""What a configuration asks for, and what it is called."""

import pytest
from configured import SMALL

from autospec import configuration, grid


def test_every_network_is_trained_once():
    runs = grid.runs(configuration.complete(SMALL))
    assert [(run["model"], run["task"], run["activation"]) for run in runs] == [
        ("mlp", "autoencoding", "relu"),
        ("mlp", "classification", "relu"),
    ]


def test_comparisons_of_conditions_share_the_runs_that_they_have_in_common():
    both = {"dataset": "brains", "model": "mlp", "task": "autoencoding"}
    config = SMALL | {"comparisons": SMALL["comparisons"] | {"activations": [both], "shapes": [both]}}
    runs = [grid.run_name(run) for run in grid.runs(configuration.complete(config))]
    assert runs == [
        "data-brains_model-mlp_task-autoencoding_activation-relu_shape-base",
        "data-brains_model-mlp_task-classification_activation-relu_shape-base",
        "data-brains_model-mlp_task-autoencoding_activation-sigmoid_shape-base",
        "data-brains_model-mlp_task-autoencoding_activation-tanh_shape-base",
        "data-brains_model-mlp_task-autoencoding_activation-relu_shape-wide",
        "data-brains_model-mlp_task-autoencoding_activation-relu_shape-deep",
    ]


def test_a_comparison_is_named_like_its_runs_without_what_it_varies():
    entry = {"dataset": "brains", "model": "mlp", "task": "classification", "activation": "tanh"}
    assert grid.comparison_name("shapes", entry) == "data-brains_model-mlp_task-classification_activation-tanh"
    assert grid.comparison_name("tasks", {"dataset": "a", "model": "mlp"}) == (
        "data-a_model-mlp_activation-relu_shape-base"
    )


def test_masked_reconstruction_is_a_third_task_of_the_bert():
    assert list(grid.conditions("tasks", {"dataset": "a", "model": "bert"})) == [
        "autoencoding", "classification", "masked",
    ]  # fmt: skip
    assert len(grid.conditions("tasks", {"dataset": "a", "model": "mlp"})) == 2


@pytest.mark.parametrize(
    ("output", "logs"),
    [
        ("results", "logs/results"),
        ("results/abide/", "logs/results/abide"),
        ("../mine", "logs/mine"),
        ("/scratch/mine", "logs/scratch/mine"),
        (".", "logs"),
    ],
)
def test_logs_lie_by_output_folder_and_always_under_logs(output, logs):
    assert grid.logs_folder(output) == logs
