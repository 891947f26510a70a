"""Steps that look like the one before, which are copied at once, and batches of them that are solved in halves."""

import gc

import numpy as np
import pytest
import torch
from torch import nn

from autospec.spectra.accumulate import RunningSpectrum
from autospec.spectra.arrivals import Arrivals
from autospec.spectra.labels import Labels, Numbers, layouts
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


def gradients_spectra(monitor, layer):
    """The mean over the epoch's steps of each group's spectrum, float64."""
    return {key[3]: values for key, values in spectra(monitor).items() if key[1:3] == (layer, "gradient")}


@pytest.mark.parametrize("path", ["hooks", "fast"])
def test_the_gradient_that_another_steps_graph_brings_is_not_this_steps(path):
    """A state that is not detached: each backward pass goes through the graph of the step before again."""
    torch.manual_seed(0)
    layer, state = nn.Linear(4, 4, bias=False), torch.randn(6, 4)
    monitor = SpectralMonitor(layer, path=path, background=False)
    wanted, before = {"a": torch.zeros(4, dtype=torch.float64), "b": torch.zeros(4, dtype=torch.float64)}, None
    for _ in range(5):
        with monitor.observe("aabbbb"):
            given = state
            state = layer(given)
            (state.square().sum() + (0.0 if before is None else before)).backward(retain_graph=True)
        # The loss of this step's own output, by hand: the adjoint is 2 y, its inputs what it was given.
        before = state.sum()
        with torch.no_grad():
            for group, rows in (("a", slice(0, 2)), ("b", slice(2, 6))):
                own = (2 * state[rows]).double().mT @ given[rows].double()
                values = torch.linalg.svdvals(own)
                wanted[group][: len(values)] += values / 5
    monitor.end_epoch()
    found = gradients_spectra(monitor, "")
    for group, values in wanted.items():
        np.testing.assert_allclose(found[group], values, atol=1e-6 * float(values[0]))


class Heads(nn.Module):
    """Two layers side by side, whose gradients may come in either order."""

    def __init__(self):
        super().__init__()
        self.one, self.other = nn.Linear(5, 3, bias=False), nn.Linear(5, 3, bias=False)

    def forward(self, x):
        return self.one(x), self.other(x)


@pytest.mark.parametrize("path", ["hooks", "fast"])
@pytest.mark.parametrize("order", ["together", "one first", "other first", "three passes", "one alone"])
def test_gradients_may_come_in_any_order_and_the_batch_be_written_over_thereafter(path, order):
    torch.manual_seed(0)
    model, buffer, steps = Heads(), torch.empty(6, 5), 6
    monitor = SpectralMonitor(model, path=path, background=False)
    wanted = {"one": torch.zeros(3, dtype=torch.float64), "other": torch.zeros(3, dtype=torch.float64)}
    for step in range(steps):
        model.zero_grad()
        with monitor.observe("aabbbb"):
            buffer.copy_(torch.randn(6, 5))
            losses = [head.square().sum() for head in model(buffer)]
            if order == "together":
                sum(losses).backward()
            elif order == "one alone" and step == 4:
                losses[0].backward()
            else:
                for loss in losses if order == "one first" else reversed(losses):
                    loss.backward(retain_graph=True)
                if order == "three passes":
                    losses[0].backward()
            buffer.fill_(7.0)
        for name, total in wanted.items():
            gradient = getattr(model, name).weight.grad
            total += 0 if gradient is None else torch.linalg.svdvals(gradient.double())
    monitor.end_epoch()
    for name, total in wanted.items():
        seen = steps - (order == "one alone" and name == "other")
        np.testing.assert_allclose(gradients_spectra(monitor, name)["all"], total / seen, rtol=1e-5)


@pytest.mark.parametrize("path", ["hooks", "fast"])
@pytest.mark.parametrize("order", ["together", "one first", "other first"])
def test_a_step_like_the_one_before_is_taken_as_one(path, order, monkeypatch):
    taken, complete = [], Arrivals.complete

    def noted(arrivals):
        taken.append(complete(arrivals))
        return taken[-1]

    monkeypatch.setattr(Arrivals, "complete", noted)
    torch.manual_seed(0)
    model = Heads()
    monitor = SpectralMonitor(model, path=path, background=False)
    for step in range(6):
        with monitor.observe("aabbbb" if step % 2 else "abbbbb"):
            losses = [head.square().sum() for head in model(torch.randn(6, 5))]
            if order == "together":
                sum(losses).backward()
            else:
                for loss in losses if order == "one first" else reversed(losses):
                    loss.backward()
    assert taken == [True] * 5


@pytest.mark.parametrize("path", ["hooks", "fast"])
def test_mixed_precision_and_an_input_that_is_changed_in_place(path):
    torch.manual_seed(0)
    norm, layer, wanted = nn.LayerNorm(4), nn.Linear(4, 4, bias=False), torch.zeros(4, dtype=torch.float64)
    model = nn.ModuleList([norm, layer])
    monitor = SpectralMonitor(model, path=path, background=False)
    for _ in range(4):
        layer.zero_grad()
        with monitor.observe("aabbbb"), torch.autocast("cpu", torch.bfloat16):
            hidden = norm(torch.randn(6, 4))
            hidden += layer(hidden)
            hidden.square().sum().backward()
        wanted += torch.linalg.svdvals(layer.weight.grad.double()) / 4
    monitor.end_epoch()
    # To the precision of bfloat16.
    np.testing.assert_allclose(gradients_spectra(monitor, "1")["all"], wanted, atol=0.005 * float(wanted[0]))


def test_a_step_that_fails_leaves_nothing_behind_and_nothing_in_the_next_one():
    torch.manual_seed(0)
    layer, adjoint = nn.Linear(4, 4, bias=False), torch.randn(6, 4)
    monitor = SpectralMonitor(layer, background=False)
    wanted, state = [], None
    for step in range(6):
        x = torch.randn(6, 4)
        try:
            with monitor.observe("aabbbb"):
                output = layer(x)
                if step == 3:
                    state = output.sum()
                    raise KeyError("the caller's own")
                loss = (output * adjoint).sum()
                (loss if state is None or step != 4 else loss + state).backward()
        except KeyError:
            continue
        wanted.append(torch.linalg.svdvals(adjoint.double().mT @ x.double()).numpy())
    del state, output, loss
    gc.collect()
    assert sum(type(thing) is Arrivals for thing in gc.get_objects()) <= 1
    monitor.end_epoch()
    np.testing.assert_allclose(gradients_spectra(monitor, "")["all"], np.mean(wanted, axis=0), atol=1e-6 * wanted[0][0])


def test_many_small_groups_beside_a_large_one_take_no_room_for_as_large_ones():
    """Room for groups as large as the largest would be 60 times the samples, and its square as a Gram matrix."""
    random = np.random.default_rng(0)
    numbers, steps = Numbers(), []
    for _ in range(8):
        steps.append(Labels([*["large"] * 100, *(f"g{group}" for group in random.integers(60, size=28))], numbers))
    for layout in layouts(steps):
        assert layout.order.shape[1] <= 2 * 128
    assert sorted(place for layout in layouts(steps) for place in layout.places) == list(range(8))


@pytest.mark.parametrize("everyone", [True, False])
@pytest.mark.parametrize(("samples", "times"), [(8, 1), (24, 1), (5, 3), (3, 1)])
@pytest.mark.parametrize("groups", ["abc", "ab"])
def test_groups_may_be_of_another_size_in_every_step_and_missing_in_some(everyone, samples, times, groups):
    """Against LAPACK, from each group's own rows: inputs, autograd's adjoints and their product."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(9, 7, bias=False), nn.Tanh(), nn.Linear(7, 3, bias=False))
    monitor = SpectralMonitor(model, path="fast", everyone=everyone)
    random, wanted = np.random.default_rng(0), {}
    for _ in range(70):
        labels = np.array(list(groups))[random.integers(len(groups), size=samples)]
        x, target = torch.randn(samples, times, 9).squeeze(1), torch.randn(samples, times, 3).squeeze(1)
        with monitor.observe(labels):
            (model(x) * target).sum().backward()
        inner = model[0](x)
        first = torch.autograd.grad((model[2](torch.tanh(inner)) * target).sum(), inner)[0]
        seen = {"0": (x, first), "2": (torch.tanh(inner).detach(), target)}
        for group in [*np.unique(labels), *(["all"] if everyone else [])]:
            rows = np.flatnonzero(labels == group) if group != "all" else np.arange(samples)
            for name, sides in seen.items():
                a, d = (side[rows].flatten(0, -2).double() for side in sides)
                values = {"activation": a / len(a) ** 0.5, "adjoint": d, "gradient": d.mT @ a}
                for quantity, matrix in values.items():
                    wanted.setdefault((name, quantity, group), []).append(torch.linalg.svdvals(matrix).numpy())
    monitor.end_epoch()
    monitor.close()
    found = {key[1:]: values for key, values in spectra(monitor).items()}
    assert found.keys() == wanted.keys()
    for key, steps in wanted.items():
        length = max(map(len, steps))
        mean = np.mean([np.pad(values, (0, length - len(values))) for values in steps], axis=0)
        assert len(found[key]) == length, key
        np.testing.assert_allclose(found[key], mean, atol=1e-6 * mean[0], err_msg=str(key))


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_spectrum_that_was_not_finite_once_is_so_throughout_whatever_its_length_was(order):
    running, steps = RunningSpectrum(), [np.full((1, 2), np.nan), np.ones((3, 4))]
    for step in order:
        running.add(steps[step])
    assert running.steps == 4
    assert np.isnan(running.mean).tolist() == np.isnan(running.deviation()).tolist() == [True] * 4
