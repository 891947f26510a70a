"""Every layer type against autograd: the groups' gradients, and their sum."""

import numpy as np
import pytest
import torch
from layers import COUPLED, GROUPS, MODELS, TIME, batch, loss_of, observed, recurrent, weight_gradients
from torch import nn

from autospec.spectra.monitor import SpectralMonitor


@pytest.mark.parametrize("name", MODELS)
def test_group_gradients_sum_to_weight_grad(name):
    torch.manual_seed(1)
    build, shape = MODELS[name]
    model = build()
    x, labels = batch(shape)
    _, factors = observed(model, x, labels)
    gradients = weight_gradients(model)
    assert set(factors) == set(gradients) - ({"read_out"} if name == "tied embedding" else set())
    for layer, product in factors.items():
        total = sum(product.gradient(torch.from_numpy(np.flatnonzero(labels == group))) for group in GROUPS)
        exact = gradients[layer]
        torch.testing.assert_close(total, exact, rtol=1e-4, atol=2e-6 * float(exact.abs().max()))


@pytest.mark.parametrize("name", sorted(set(MODELS) - COUPLED))
def test_a_groups_gradient_is_that_of_its_own_loss(name):
    torch.manual_seed(2)
    build, shape = MODELS[name]
    model = build()
    x, labels = batch(shape)
    _, factors = observed(model, x, labels)
    for group in GROUPS:
        chosen = torch.from_numpy(np.flatnonzero(labels == group))
        model.zero_grad()
        (loss_of(model, x)[chosen].sum() / len(x)).backward()
        for layer, exact in weight_gradients(model).items():
            if layer in factors:
                found = factors[layer].gradient(chosen)
                torch.testing.assert_close(found, exact, rtol=1e-4, atol=2e-6 * float(exact.abs().max()))


@pytest.mark.parametrize("name", MODELS)
def test_per_sample_gradients_add_up_to_the_gradient_and_its_bias(name):
    torch.manual_seed(3)
    build, shape = MODELS[name]
    model = build()
    x, labels = batch(shape)
    _, factors = observed(model, x, labels)
    for product in factors.values():
        total = product.gradient(torch.arange(len(x)))
        each = product.sample_gradients(with_bias=True)
        assert each.shape[-1] == total.shape[-1] + product.bias
        summed = each.sum(dim=0)[:, : total.shape[-1]]
        torch.testing.assert_close(summed, total, rtol=1e-4, atol=2e-6 * float(total.abs().max()))


@pytest.mark.parametrize("name", MODELS)
def test_spectra_hold_the_bound_against_lapack(name):
    torch.manual_seed(4)
    build, shape = MODELS[name]
    model = build()
    x, labels = batch(shape)
    monitor = SpectralMonitor(model, background=False)
    with monitor.observe(labels):
        loss_of(model, x).mean().backward()
    monitor.end_epoch()
    _, factors = observed(model, x, labels)
    rows = {(r["layer"], r["group"]): r for r in monitor.table().to_pylist() if r["quantity"] == "gradient"}
    assert {layer for layer, _ in rows} == set(factors)
    for (layer, group), row in rows.items():
        chosen = torch.from_numpy(np.flatnonzero((labels == group) | (group == "all")))
        exact = torch.linalg.svdvals(factors[layer].sample_gradients(False).double()[chosen].sum(dim=0)).numpy()
        noise = 4 * np.finfo(np.float32).eps
        if hasattr(factors[layer], "inputs"):
            part = factors[layer]
            noise *= float(part.inputs[chosen].double().norm() * part.adjoints[chosen].double().norm())
        found = np.array(row["singular_values"])
        assert np.abs(found - exact[: len(found)]).max() <= 2e-6 * exact[0] + noise


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_dropout_between_recurrent_layers_is_drawn_again_as_it_was(kind):
    torch.manual_seed(5)
    model = recurrent(kind, num_layers=3, dropout=0.5, bidirectional=True)
    x, labels = batch(TIME)
    before = torch.get_rng_state()
    plain = recurrent(kind, num_layers=3, dropout=0.5, bidirectional=True)
    torch.set_rng_state(before)
    _, factors = observed(model, x, labels)
    for layer, exact in weight_gradients(model).items():
        found = factors[layer].gradient(torch.arange(len(x)))
        torch.testing.assert_close(found, exact, rtol=1e-4, atol=2e-6 * float(exact.abs().max()))
    after = torch.get_rng_state()
    plain.load_state_dict(model.state_dict())
    torch.set_rng_state(before)
    loss_of(plain, x)
    assert torch.equal(after, torch.get_rng_state())
