"""Steps that look like the one before, which are copied at once, and batches of them that are solved in halves."""

import numpy as np
import pytest
import torch
from torch import nn

from autospec.spectra.monitor import SpectralMonitor


def spectra(monitor):
    return {
        (row["epoch"], row["layer"], row["quantity"], row["group"]): np.array(row["singular_values"])
        for row in monitor.table().to_pylist()
    }


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_an_epochs_last_batch_gives_the_same_on_two_threads_as_on_one(steps):
    found = []
    for background in (True, False):
        torch.manual_seed(0)
        layers = [
            nn.Linear(6, 5),
            nn.Tanh(),
            nn.Unflatten(1, (1, 5)),
            nn.Conv1d(1, 3, 2),
            nn.Flatten(),
            nn.Linear(12, 2),
        ]
        model = nn.Sequential(*layers)
        monitor = SpectralMonitor(model, background=background)
        for step in range(steps):
            with monitor.observe("aabbbb" if step % 3 else "abbbbb"):
                model(torch.randn(6, 6)).square().mean().backward()
        monitor.end_epoch()
        monitor.close()
        found.append(spectra(monitor))
    assert found[0].keys() == found[1].keys() and found[0]
    for key, values in found[0].items():
        np.testing.assert_allclose(values, found[1][key], rtol=1e-5, atol=1e-7, err_msg=str(key))


@pytest.mark.parametrize("path", ["hooks", "fast"])
@pytest.mark.parametrize("before", [0, 1, 3])
def test_a_batch_may_be_written_over_between_two_passes_of_one_step(path, before):
    torch.manual_seed(0)
    layer, buffer = nn.Linear(5, 4), torch.empty(6, 5)
    monitor = SpectralMonitor(layer, path=path, background=False)
    wanted = torch.zeros(4, dtype=torch.float64)
    for step in range(before + 1):
        layer.zero_grad()
        with monitor.observe("aabbbb"):
            # The last step has a pass more than those before it.
            for _ in range(2 if step == before else 1):
                buffer.copy_(torch.randn(6, 5))
                layer(buffer).square().sum().backward()
        wanted += torch.linalg.svdvals(layer.weight.grad.double()) / (before + 1)
    monitor.end_epoch()
    np.testing.assert_allclose(spectra(monitor)[1, "", "gradient", "all"], wanted, rtol=1e-5)


def test_a_list_of_labels_may_be_changed_between_two_steps():
    torch.manual_seed(0)
    layer, labels, adjoint = nn.Linear(5, 4, bias=False), list("aabbbb"), torch.randn(6, 4)
    monitor = SpectralMonitor(layer, background=False)
    wanted = torch.zeros(4, dtype=torch.float64)
    for changed in (None, None, 0, 5):
        if changed is not None:
            labels[changed] = "b" if labels[changed] == "a" else "a"
        x = torch.randn(6, 5)
        with monitor.observe(labels):
            (layer(x) * adjoint).sum().backward()
        rows = [number for number, label in enumerate(labels) if label == "a"]
        values = torch.linalg.svdvals(adjoint[rows].double().mT @ x[rows].double())
        wanted[: len(values)] += values / 4
    monitor.end_epoch()
    np.testing.assert_allclose(spectra(monitor)[1, "", "gradient", "a"], wanted, atol=1e-6 * float(wanted[0]))
