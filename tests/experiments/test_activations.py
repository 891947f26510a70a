"""A first experiment: ReLU against Sigmoid in a perceptron that classifies digits, MNIST's where they are at hand.

What comes back through an activation f is D = (D_next W_next) o f'(Z), so |D|_F <= max f' |W_next|_2 |D_next|_F, with
max f' = 1 for ReLU and 1 / 4 for Sigmoid: through every layer Sigmoid hands on a quarter at most.
"""

import numpy as np
import pytest
import torch

from autospec import SpectralMonitor
from autospec.data import images
from autospec.models import build_model
from autospec.summaries import summarise

SLOPE = {"relu": 1.0, "sigmoid": 0.25}
LAYERS = ("encoder.linear1", "encoder.linear2", "encoder.linear3")
SEEDS, EPOCHS = 4, 10


def digits(source, path):
    options = {"source": source, "groups": {"even": [0, 2, 4, 6, 8], "odd": [1, 3, 5, 7, 9]}, "limit": 600}
    dataset, _, _ = images.read("digits", options, path)
    values = (dataset.values - dataset.values.mean()) / dataset.values.std()
    return torch.from_numpy(values), torch.tensor(dataset.people["target"].astype(int).to_numpy())


def spectra(x, y, activation, seed):
    """Singular values of each epoch, {(layer, quantity): (epochs, r)}, and the accuracy on what was learned."""
    torch.manual_seed(seed)
    model = build_model("mlp", {"widths": [32, 32, 32]}, x.shape[1:], 10, activation)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    monitor = SpectralMonitor(model, ("adjoint", "gradient", "weight"), background=False)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x)).split(50):
            with monitor.observe(["everyone"] * len(rows)):
                torch.nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()
            optimizer.zero_grad()
        monitor.end_epoch()
    table = monitor.table().to_pandas()
    monitor.close()
    table = table[table["group"] == "all"]
    parts = table.groupby(["layer", "quantity"], observed=True)["singular_values"]
    found = {key: np.stack(values) for key, values in parts}
    return found, (model(x).argmax(dim=1) == y).float().mean().item()


@pytest.fixture(scope="module", params=["digits", "mnist"])
def trained(request):
    path = None
    if request.param == "mnist":
        path = request.getfixturevalue("shared_data") / "mnist"
    x, y = digits(request.param, path)
    return {(name, seed): spectra(x, y, name, seed) for name in SLOPE for seed in range(SEEDS)}


def test_both_activations_learn(trained):
    assert all(accuracy > 0.7 for _, accuracy in trained.values())


def test_sigmoid_hands_on_a_quarter_at_most_and_relu_more(trained):
    passed = {name: [] for name in SLOPE}
    for (name, _), (found, _) in trained.items():
        for here, later in zip(LAYERS, (*LAYERS[1:], "head"), strict=True):
            norms = [np.sqrt((found[layer, "adjoint"] ** 2).sum(axis=1)) for layer in (here, later)]
            # The weight is that of the epoch's end, and it moves: a tenth more covers it.
            ratio = norms[0] / norms[1] / found[later, "weight"][:, 0]
            assert (ratio <= 1.1 * SLOPE[name]).all()
            passed[name].append(ratio.mean())
    assert min(passed["relu"]) > max(passed["sigmoid"])


def test_sigmoids_gradients_have_the_larger_stable_rank_in_every_layer_and_training(trained):
    """Free of scale, so that the smaller gradients of Sigmoid do not decide it."""
    for layer in LAYERS:
        for seed in range(SEEDS):
            relu, sigmoid = (
                summarise(trained[name, seed][0][layer, "gradient"])["stable_rank"].mean() for name in SLOPE
            )
            assert sigmoid > relu
