"""Types in which NumPy does not count, and numbers beyond what a float holds."""

import numpy as np
import pytest
import torch
from torch import nn

from autospec.spectra.decompose import solve_pair
from autospec.spectra.monitor import SpectralMonitor


def rows(monitor):
    return {(row["layer"], row["quantity"], row["group"]): row for row in monitor.table().to_pylist()}


def test_rows_in_bfloat16_that_no_gradient_reaches_are_taken_as_they_are():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 4)).to(torch.bfloat16)
    monitor = SpectralMonitor(model, background=False)
    x = torch.randn(4, 6, dtype=torch.bfloat16)
    with monitor.observe("aabb"):
        with torch.no_grad():
            hidden = model[0](x)
        model[1](hidden).sum().backward()
    monitor.end_epoch()
    exact = np.linalg.svd(x[:2].double().numpy(), compute_uv=False) / np.sqrt(2)
    np.testing.assert_allclose(rows(monitor)["0", "activation", "a"]["singular_values"][:2], exact, rtol=1e-6)


LAYERS = {
    "linear": lambda: nn.Linear(5, 4),
    "convolution": lambda: nn.Conv1d(7, 4, 2),
    "rnn": lambda: nn.RNN(5, 4, num_layers=2, batch_first=True),
    "lstm": lambda: nn.LSTM(5, 4, num_layers=2, batch_first=True),
    "gru": lambda: nn.GRU(5, 4, num_layers=2, batch_first=True),
}


@pytest.mark.parametrize("build", LAYERS.values(), ids=LAYERS)
def test_mixed_precision_that_is_on_when_spectra_are_solved_makes_them_no_coarser(build):
    """As where a loop has all of itself under autocast; the model runs without it, so that the same is wanted."""
    found, masks = [], torch.tensor([[True] * 3 + [False] * 3, [True, False] * 3])
    for around in (True, False):
        torch.manual_seed(0)
        model, inputs = build(), torch.randn(6, 7, 5)
        monitor = SpectralMonitor(model, ("activation", "adjoint", "gradient", "weight"), background=False)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=around):
            with monitor.observe("001111", masks) as step, torch.autocast("cpu", enabled=False):
                output = model(inputs)
                losses = (output[0] if isinstance(output, tuple) else output).square().flatten(1).sum(dim=1)
                losses.sum().backward()
                step.losses(losses)
            monitor.end_epoch()
        found.append([monitor.table(), monitor.labeling_table()])
    assert all(len(table) for table in found[0])
    for table, wanted in zip(*found, strict=True):
        assert table.equals(wanted)


def test_a_product_beyond_float64_of_matrices_within_it_is_recorded_as_such():
    side = torch.randn(3, 4, 8, dtype=torch.float64)
    side[1] *= 1e90
    values = solve_pair(side @ side.mT, side @ side.mT)
    assert values[1].isnan().all()
    for number in (0, 2):
        exact = torch.linalg.svdvals(side[number].mT @ side[number])[:4]
        torch.testing.assert_close(values[number], exact, rtol=1e-6, atol=0)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("samples", [4, 60])
def test_an_infinite_input_is_no_warning(samples):
    layer = nn.Linear(6, 5)
    monitor = SpectralMonitor(layer, background=False)
    x = torch.randn(samples, 6)
    x[0, 0] = torch.inf
    with monitor.observe("ab" * (samples // 2)):
        layer(x).sum().backward()
    monitor.end_epoch()
    found = rows(monitor)
    assert np.isnan(found["", "gradient", "a"]["singular_values"]).all()
    assert np.isfinite(found["", "gradient", "b"]["singular_values"]).all()
