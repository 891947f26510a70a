"""The faster path: the same spectra and the same training, to rounding."""

import copy

import numpy as np
import pytest
import torch
from networks import Tied
from torch import nn

from autospec.spectra.monitor import SpectralMonitor


class First(nn.Module):
    def __init__(self, layer, time_first=False):
        super().__init__()
        self.layer, self.time_first = layer, time_first

    def forward(self, x):
        x = x.transpose(0, 1) if self.time_first else x
        output = self.layer(x)[0]
        return output.transpose(0, 1) if self.time_first else output


class WithStates(nn.Module):
    """A recurrent layer with initial states, and a loss on its final ones."""

    def __init__(self, kind):
        super().__init__()
        self.layer = kind(8, 5, num_layers=2, bidirectional=True, batch_first=True)

    def forward(self, x):
        start = x[:, 0, :5].expand(4, -1, -1).contiguous()
        output, final = self.layer(x, (start, start + 1) if isinstance(self.layer, nn.LSTM) else start)
        final = torch.cat(final) if isinstance(self.layer, nn.LSTM) else final
        return torch.cat([output.flatten(1), final.transpose(0, 1).flatten(1)], dim=1)


class Mixed(nn.Module):
    """One layer called on tokens and on samples."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, x):
        return self.layer(self.layer(x).mean(dim=1))


TIME = (6, 8)
MODELS = {
    "linear on tokens": (lambda: nn.Sequential(nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, 3)), TIME),
    "linear on samples": (lambda: nn.Sequential(nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, 3)), (8,)),
    "conv1d": (lambda: nn.Sequential(nn.Conv1d(6, 5, 3, stride=2, padding=1), nn.ReLU(), nn.Conv1d(5, 4, 2)), TIME),
    "conv2d": (lambda: nn.Conv2d(4, 6, 3, padding="same", padding_mode="circular", groups=2), (4, 6, 5)),
    "conv3d": (lambda: nn.Conv3d(2, 3, 2, dilation=(1, 2, 1), bias=False), (2, 4, 5, 4)),
    "rnn": (lambda: First(nn.RNN(8, 5, num_layers=2, bidirectional=True, batch_first=True)), TIME),
    "rnn, relu, time first": (lambda: First(nn.RNN(8, 5, nonlinearity="relu"), True), TIME),
    "rnn without bias": (lambda: First(nn.RNN(8, 5, bias=False, batch_first=True)), TIME),
    "rnn with states": (lambda: WithStates(nn.RNN), TIME),
    "lstm": (lambda: First(nn.LSTM(8, 5, num_layers=2, bidirectional=True, batch_first=True)), TIME),
    "lstm, projection, time first": (lambda: First(nn.LSTM(8, 5, proj_size=3), True), TIME),
    "lstm with states": (lambda: WithStates(nn.LSTM), TIME),
    "lstm without bias": (lambda: First(nn.LSTM(8, 5, bias=False, batch_first=True)), TIME),
    "gru": (lambda: First(nn.GRU(8, 5, num_layers=2, batch_first=True)), TIME),
    "gru with states": (lambda: WithStates(nn.GRU), TIME),
    "transformer encoder": (lambda: nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, batch_first=True), TIME),
    "batch norm between": (lambda: nn.Sequential(nn.Linear(8, 5), nn.BatchNorm1d(6), nn.Linear(5, 3)), TIME),
    "tied weight": (lambda: Tied(), TIME),
    "one layer on tokens and on samples": (lambda: Mixed(), TIME),
    "frozen layer": (lambda: freeze(nn.Sequential(nn.Linear(8, 5), nn.Linear(5, 3))), TIME),
    "double precision": (lambda: nn.Sequential(nn.Linear(8, 5), nn.Linear(5, 3)).double(), TIME),
}


def freeze(model):
    model[1].weight.requires_grad_(False)
    return model


def train(build, shape, path, quantities, groups=2, steps=4):
    torch.manual_seed(1)
    model = build()
    optimizer = torch.optim.SGD([weight for weight in model.parameters() if weight.requires_grad], lr=0.05)
    monitor = SpectralMonitor(model, quantities=quantities, path=path, background=False)
    generator = torch.Generator().manual_seed(2)
    for step in range(steps):
        x = torch.randn(9, *shape, generator=generator).to(next(model.parameters()).dtype)
        labels = [f"group {number % groups}" for number in torch.randperm(9, generator=generator).tolist()]
        if step % 2:
            labels.sort(reverse=True)  # where a group lies side by side its rows are not copied
        optimizer.zero_grad()
        with monitor.observe(labels):
            model(x).sin().square().mean().backward()
        optimizer.step()
    monitor.end_epoch()
    monitor.close()
    return model, monitor.table().to_pandas()


@pytest.mark.parametrize("groups", [2, 4])
@pytest.mark.parametrize("quantities", [("gradient",), ("activation", "adjoint", "gradient")], ids=["gradient", "all"])
@pytest.mark.parametrize("name", MODELS)
def test_the_fast_path_agrees_with_the_hooks_to_rounding(name, quantities, groups):
    build, shape = MODELS[name]
    (slow, expected), (fast, found) = (train(build, shape, path, quantities, groups) for path in ("hooks", "fast"))
    for a, b in zip(slow.parameters(), fast.parameters(), strict=True):
        torch.testing.assert_close(b, a, rtol=1e-4, atol=1e-6)
    keys = ["epoch", "layer", "quantity", "group"]
    assert set(map(tuple, found[keys].to_numpy())) == set(map(tuple, expected[keys].to_numpy()))
    merged = found.merge(expected, on=keys, suffixes=("", "_expected"))
    for row in merged.itertuples():
        assert (row.steps, row.n) == (row.steps_expected, row.n_expected)
        scale = row.singular_values_expected[0]
        np.testing.assert_allclose(row.singular_values, row.singular_values_expected, atol=2e-5 * scale + 1e-9)


@pytest.mark.parametrize("labels", ["abcabcabc", "cccaaabbb", "abccccabb"])
@pytest.mark.parametrize("name", MODELS)
def test_the_fast_paths_weight_gradients_are_autograds(name, labels):
    build, shape = MODELS[name]
    torch.manual_seed(3)
    plain = build()
    fast = copy.deepcopy(plain)
    if name == "tied weight":
        fast.read_out.weight = fast.embedding.weight
    x = torch.randn(9, *shape).to(next(plain.parameters()).dtype)
    x_fast = x.clone().requires_grad_(name != "tied weight")
    x.requires_grad_(name != "tied weight")
    plain(x).sin().square().mean().backward()
    monitor = SpectralMonitor(fast, path="fast", background=False)
    with monitor.observe(labels):
        fast(x_fast).sin().square().mean().backward()
    for a, b in zip(plain.parameters(), fast.parameters(), strict=True):
        if a.grad is not None:
            torch.testing.assert_close(b.grad, a.grad, rtol=1e-4, atol=2e-6 * float(a.grad.abs().max()) + 1e-12)
    if x.grad is not None:
        torch.testing.assert_close(x_fast.grad, x.grad, rtol=1e-4, atol=2e-6 * float(x.grad.abs().max()))


def test_the_fast_path_leaves_the_model_as_it_was():
    model = nn.Sequential(nn.Linear(8, 5), nn.Linear(5, 3))
    before = [set(vars(module)) for module in model.modules()]
    monitor = SpectralMonitor(model, path="fast")
    with pytest.raises(RuntimeError, match="interrupted"), monitor.observe("ab"):
        model(torch.randn(2, 4, 8))
        raise RuntimeError("interrupted")
    monitor.close()
    assert [set(vars(module)) for module in model.modules()] == before
    assert not any("forward" in vars(module) for module in model.modules())


def test_steps_with_labelings_take_the_hooks():
    model = nn.Sequential(nn.Linear(8, 5), nn.Linear(5, 3))
    tables = []
    for path in ("hooks", "fast"):
        monitor = SpectralMonitor(model, path=path, background=False)
        torch.manual_seed(4)
        with monitor.observe("abab", torch.tensor([[False, True, False, True]])):
            model(torch.randn(4, 6, 8)).square().mean().backward()
        monitor.end_epoch()
        tables.append((monitor.table(), monitor.labeling_table()))
    assert tables[0][0].equals(tables[1][0]) and tables[0][1].equals(tables[1][1])


def test_an_unknown_path_is_refused():
    with pytest.raises(ValueError, match="unknown path 'quick'"):
        SpectralMonitor(nn.Linear(3, 3), path="quick")
