import copy

import numpy as np
import pytest
import torch
from torch import nn

from autospec.spectra.monitor import SpectralMonitor
from autospec.tables import SPECTRA

GROUPS = ("control", "patient")


class Sequence(nn.Module):
    """A recurrent layer and a read-out."""

    def __init__(self, layer):
        super().__init__()
        self.rnn = layer
        width = layer.hidden_size * (2 if layer.bidirectional else 1)
        self.head = nn.Linear(width, 3)

    def forward(self, x):
        return self.head(self.rnn(x)[0])


def perceptron(batch_norm=False):
    middle = nn.BatchNorm1d(12) if batch_norm else nn.Identity()
    return nn.Sequential(nn.Linear(20, 12), middle, nn.ReLU(), nn.Linear(12, 3))


def recurrent(kind, **options):
    return Sequence(kind(7, 5, batch_first=True, **options))


MODELS = {
    "perceptron": (lambda: perceptron(), (20,)),
    "perceptron on tokens": (lambda: perceptron(), (6, 20)),
    "lstm": (lambda: recurrent(nn.LSTM), (9, 7)),
    "lstm, two layers, both directions": (lambda: recurrent(nn.LSTM, num_layers=2, bidirectional=True), (9, 7)),
    "lstm without bias": (lambda: recurrent(nn.LSTM, bias=False), (9, 7)),
    "rnn": (lambda: recurrent(nn.RNN, num_layers=2), (9, 7)),
    "rnn with relu, both directions": (lambda: recurrent(nn.RNN, nonlinearity="relu", bidirectional=True), (9, 7)),
}


def batch(shape, n=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, *shape, generator=generator)
    labels = np.array(GROUPS)[torch.randint(0, 2, (n,), generator=generator).numpy()]
    labels[0], labels[1] = GROUPS
    return x, labels


def loss_of(model, x):
    return (model(x) ** 2).flatten(1).mean(dim=1)


def weight_of(model, layer):
    parameters = dict(model.named_parameters())
    return layer if layer in parameters else f"{layer}.weight"


def observed_factors(model, x, labels):
    """Factors of one step, taken as the monitor takes them, and the weight gradients."""
    monitor = SpectralMonitor(model)
    monitor.capture.start()
    loss_of(model, x).mean().backward()
    monitor.capture.stop()
    layers = monitor.capture.factors(monitor.capture.take(), len(labels))
    return {layer: product for layer, (_, product) in layers.items()}


@pytest.mark.parametrize("name", MODELS)
def test_group_gradients_sum_to_weight_grad(name):
    torch.manual_seed(1)
    build, shape = MODELS[name]
    model = build()
    x, labels = batch(shape)
    for layer, factors in observed_factors(model, x, labels).items():
        total = sum(factors.gradient(torch.from_numpy(np.flatnonzero(labels == group))) for group in GROUPS)
        gradient = dict(model.named_parameters())[weight_of(model, layer)].grad
        torch.testing.assert_close(total, gradient, rtol=1e-5, atol=1e-6 * float(gradient.abs().max()))


def test_group_gradients_sum_to_weight_grad_with_batch_norm():
    torch.manual_seed(1)
    model = perceptron(batch_norm=True)
    x, labels = batch((20,))
    factors = observed_factors(model, x, labels)
    assert set(factors) == {"0", "3"}
    for layer, factor in factors.items():
        total = sum(factor.gradient(torch.from_numpy(np.flatnonzero(labels == group))) for group in GROUPS)
        torch.testing.assert_close(total, model[int(layer)].weight.grad, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", MODELS)
def test_a_groups_spectrum_is_that_of_its_own_loss_by_autograd(name):
    torch.manual_seed(2)
    build, shape = MODELS[name]
    model = build()
    x, labels = batch(shape)
    monitor = SpectralMonitor(model)
    with monitor.observe(labels):
        loss_of(model, x).mean().backward()
    monitor.end_epoch()
    rows = monitor.table().to_pylist()
    wanted = {row["layer"] for row in rows}
    assert len(wanted) == sum(weight.dim() == 2 for weight in model.parameters())
    exact_model = copy.deepcopy(model).double()
    for group in (*GROUPS, "all"):
        exact_model.zero_grad()
        chosen = torch.from_numpy(labels == group) if group != "all" else torch.ones(len(x), dtype=torch.bool)
        (loss_of(exact_model, x.double())[chosen].sum() / len(x)).backward()
        for layer in wanted:
            gradient = dict(exact_model.named_parameters())[weight_of(model, layer)].grad
            exact = np.linalg.svd(gradient.numpy(), compute_uv=False)
            (row,) = [r for r in rows if (r["layer"], r["quantity"], r["group"]) == (layer, "gradient", group)]
            # The float32 forward and backward pass is part of the difference here.
            np.testing.assert_allclose(row["singular_values"], exact, atol=1e-5 * exact[0])
            assert row["n"] == int(chosen.sum())


def test_activation_and_adjoint_spectra_agree_with_lapack():
    torch.manual_seed(3)
    model = perceptron()
    x, labels = batch((20,))
    monitor = SpectralMonitor(model)
    outputs = []

    def keep(module, inputs, output):
        output.retain_grad()
        outputs.append(output)

    handle = model[0].register_forward_hook(keep)
    with monitor.observe(labels):
        loss_of(model, x).mean().backward()
    handle.remove()
    monitor.end_epoch()
    table = monitor.table().to_pandas().set_index(["layer", "quantity", "group"])
    for group in GROUPS:
        chosen = labels == group
        activation = np.linalg.svd(x.numpy()[chosen].astype(float) / np.sqrt(chosen.sum()), compute_uv=False)
        adjoint = np.linalg.svd(outputs[0].grad.numpy()[chosen].astype(float), compute_uv=False)
        found = table.loc[("0", "activation", group), "singular_values"]
        np.testing.assert_allclose(found[: len(activation)], activation, rtol=1e-5, atol=1e-6 * activation[0])
        found = table.loc[("0", "adjoint", group), "singular_values"]
        np.testing.assert_allclose(found, adjoint, rtol=1e-5, atol=1e-6 * adjoint[0])


@pytest.mark.parametrize("sizes", [(2, 6), (1, 7), (3, 5), (4, 4)])
def test_spectra_of_everyone_are_lapacks_whatever_the_groups_sizes(sizes):
    torch.manual_seed(3)
    # 100 rows a sample are taken step by step; the widths lie around the groups' row counts.
    for width in (50, 100, 200):
        layer = nn.Linear(width, width)
        x = torch.randn(8, 100, width)
        monitor = SpectralMonitor(layer, background=False)
        with monitor.observe(["a"] * sizes[0] + ["b"] * sizes[1]):
            loss_of(layer, x).mean().backward()
        monitor.end_epoch()
        rows = {(r["quantity"], r["group"]): r for r in monitor.table().to_pylist()}
        flat = x.double().flatten(0, 1).numpy()
        exact = np.linalg.svd(flat, compute_uv=False) / np.sqrt(len(flat))
        found = rows["activation", "all"]["singular_values"]
        np.testing.assert_allclose(found, exact, atol=1e-6 * exact[0])


def test_the_epochs_row_is_the_mean_over_its_steps():
    torch.manual_seed(4)
    model = perceptron()
    monitor = SpectralMonitor(model, quantities=("gradient",))
    expected = []
    for step in range(5):
        x, labels = batch((20,), seed=step)
        model.zero_grad()
        with monitor.observe(labels):
            loss_of(model, x).mean().backward()
        expected.append(np.linalg.svd(model[0].weight.grad.double().numpy(), compute_uv=False))
    monitor.end_epoch()
    table = monitor.table()
    assert table.schema.equals(SPECTRA)
    (row,) = [r for r in table.to_pylist() if (r["layer"], r["group"]) == ("0", "all")]
    assert (row["steps"], row["n"], row["batch"], row["epoch"]) == (5, 40, 8.0, 1)
    np.testing.assert_allclose(row["singular_values"], np.mean(expected, axis=0), atol=1e-6)
    np.testing.assert_allclose(row["singular_values_sd"], np.std(expected, axis=0), atol=1e-6)


@pytest.mark.parametrize("name", ["perceptron", "lstm"])
def test_training_with_the_monitor_gives_the_same_weights_to_the_bit(name):
    build, shape = MODELS[name]

    def train(observed):
        torch.manual_seed(5)
        model = build()
        optimizer = torch.optim.Adam(model.parameters())
        monitor = SpectralMonitor(model)
        for step in range(6):
            x, labels = batch(shape, seed=step)
            optimizer.zero_grad()
            if observed:
                with monitor.observe(labels, torch.from_numpy(labels == "patient")[None]):
                    loss_of(model, x).mean().backward()
            else:
                loss_of(model, x).mean().backward()
            optimizer.step()
        monitor.close()
        return [weight.detach().clone() for weight in model.parameters()], torch.get_rng_state(), model

    (with_monitor, random, model), (without, plain_random, _) = train(True), train(False)
    assert all(torch.equal(a, b) for a, b in zip(with_monitor, without, strict=True))
    assert torch.equal(random, plain_random)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_an_inplace_activation_after_a_layer_does_not_disturb_its_adjoint():
    torch.manual_seed(6)
    plain = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2))
    inplace = nn.Sequential(nn.Linear(6, 5), nn.ReLU(inplace=True), nn.Linear(5, 2))
    inplace.load_state_dict(plain.state_dict())
    x, labels = batch((6,))
    tables = []
    for model in (plain, inplace):
        monitor = SpectralMonitor(model)
        with monitor.observe(labels):
            loss_of(model, x).mean().backward()
        monitor.end_epoch()
        tables.append(monitor.table())
    assert tables[0].equals(tables[1])


def test_a_layer_that_is_called_twice_counts_both_calls():
    torch.manual_seed(7)
    layer = nn.Linear(6, 6)
    x, labels = batch((6,))
    monitor = SpectralMonitor(nn.Sequential(layer))
    with monitor.observe(labels):
        layer(layer(x).tanh()).square().mean().backward()
    monitor.end_epoch()
    (row,) = [r for r in monitor.table().to_pylist() if (r["quantity"], r["group"]) == ("gradient", "all")]
    exact = np.linalg.svd(layer.weight.grad.double().numpy(), compute_uv=False)
    np.testing.assert_allclose(row["singular_values"], exact, atol=1e-6 * exact[0])


def test_weight_spectra_are_those_of_the_epochs_end():
    model = perceptron()
    monitor = SpectralMonitor(model, quantities=("weight",))
    x, labels = batch((20,))
    with monitor.observe(labels):
        loss_of(model, x).mean().backward()
    monitor.end_epoch()
    exact = np.linalg.svd(model[0].weight.detach().double().numpy(), compute_uv=False)
    (row,) = [r for r in monitor.table().to_pylist() if r["layer"] == "0"]
    assert (row["quantity"], row["group"]) == ("weight", "all")
    np.testing.assert_allclose(row["singular_values"], exact, rtol=1e-6)


def test_an_epoch_without_an_observed_step_has_no_rows():
    model = perceptron()
    monitor = SpectralMonitor(model, quantities=("gradient", "weight"))
    x, labels = batch((20,))
    for observed in (True, False, True):
        if observed:
            with monitor.observe(labels):
                loss_of(model, x).mean().backward()
        monitor.end_epoch()
    assert set(monitor.table()["epoch"].to_pylist()) == {1, 3}


def test_an_unknown_quantity_is_refused():
    with pytest.raises(ValueError, match="unknown quantity 'gradients'"):
        SpectralMonitor(perceptron(), quantities=("gradients",))


def test_a_group_with_the_name_of_everyone_is_refused():
    monitor = SpectralMonitor(perceptron())
    with pytest.raises(ValueError, match="a group is named 'all'"), monitor.observe(["all", "b"]):
        pass


def test_layers_that_are_not_observed_are_named_with_the_reason():
    model = nn.Sequential(nn.Linear(4, 4), nn.Bilinear(4, 4, 4))
    assert SpectralMonitor(model).left_out == {"1": "Bilinear is not among the layer types observed"}


def test_a_resumed_monitor_ends_with_the_same_tables():
    def run(epochs, monitor, model):
        for epoch in epochs:
            for step in range(3):
                x, labels = batch((20,), seed=10 * epoch + step)
                model.zero_grad()
                with monitor.observe(labels, torch.from_numpy(labels == "patient")[None]):
                    loss_of(model, x).mean().backward()
            monitor.end_epoch()

    model = perceptron()
    whole, first, second = (SpectralMonitor(model, groups=GROUPS) for _ in range(3))
    run(range(4), whole, model)
    run(range(2), first, model)
    second.load_state_dict(first.state_dict())
    run(range(2, 4), second, model)
    assert second.table().equals(whole.table())
    assert second.labeling_table().equals(whole.labeling_table())


def as_before(model, x):
    (model(x) ** 2).sum().backward()


def frozen(model, x):
    model[2].weight.requires_grad_(False)  # from here on
    as_before(model, x)


def twice_back(model, x):
    loss = (model(x) ** 2).sum()
    loss.backward(retain_graph=True)
    loss.backward()


def called_again(model, x):
    as_before(model, x)
    with torch.no_grad():
        model(x)


def in_two_calls(model, x):
    as_before(model, x)
    as_before(model, 2 * x)


def not_reached(model, x):
    model[0](x).square().sum().backward()


def with_more_rows(model, x):
    as_before(model, x[:, None] * torch.tensor([1.0, 0.5, -2.0], dtype=x.dtype)[:, None])


@pytest.mark.parametrize("path", ["hooks", "fast"])
@pytest.mark.parametrize(
    "surprise", [as_before, frozen, twice_back, called_again, in_two_calls, not_reached, with_more_rows]
)
def test_a_step_that_looks_unlike_the_one_before_is_seen_as_it_is(surprise, path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4))
    x, labels = torch.randn(8, 6), ["b", "a", "b", "a", "a", "b", "a", "b"]
    mine = x[torch.tensor([label == "a" for label in labels])]
    monitor = SpectralMonitor(model, ("gradient",), path=path)
    steps, wanted = (as_before, as_before, surprise, as_before), {"0": [], "2": []}
    for step in steps:
        with monitor.observe(labels):
            step(model, x)
        exact = copy.deepcopy(model).double()
        exact.zero_grad()
        step(exact, mine.double())
        for layer, spectra in wanted.items():
            gradient = exact[int(layer)].weight.grad
            if gradient is not None:
                spectra.append(torch.linalg.svdvals(gradient).numpy())
    monitor.end_epoch()
    monitor.close()
    rows = {row["layer"]: row for row in monitor.table().to_pylist() if row["group"] == "a"}
    for layer, spectra in wanted.items():
        assert rows[layer]["steps"] == len(spectra)
        np.testing.assert_allclose(rows[layer]["singular_values"], np.mean(spectra, axis=0), atol=2e-6 * spectra[0][0])


def test_passes_without_a_last_one_are_a_step_of_the_epoch_that_saw_them():
    torch.manual_seed(0)
    model = nn.Linear(6, 5)
    x, labels = torch.randn(8, 6), list(GROUPS) * 4
    monitor = SpectralMonitor(model, ("gradient",))
    for passes in (2, 1):
        for part in range(passes):
            with monitor.observe(labels, accumulate=True):
                as_before(model, x + part)
        monitor.end_epoch()
    monitor.close()
    rows = [row for row in monitor.table().to_pylist() if row["group"] == "all"]
    assert [(row["epoch"], row["steps"], row["n"]) for row in rows] == [(1, 1, 16), (2, 1, 8)]
    for row, passes in zip(rows, (2, 1), strict=True):
        model.zero_grad()
        for part in range(passes):
            as_before(model, x + part)
        np.testing.assert_allclose(
            row["singular_values"], torch.linalg.svdvals(model.weight.grad.double()).numpy(), rtol=2e-6
        )
