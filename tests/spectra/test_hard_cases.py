"""What loops and models do that is easily forgotten, each against LAPACK in float64."""

import gc
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from autospec.spectra.monitor import SpectralMonitor

GROUPS = ("a", "b")


def labels(n):
    return [GROUPS[i % 2] for i in range(n)]


def spectrum(monitor, layer, quantity, group):
    wanted = (layer, quantity, group)
    (row,) = [r for r in monitor.table().to_pylist() if (r["layer"], r["quantity"], r["group"]) == wanted]
    return np.array(row["singular_values"])


def check(found, matrix, scale=1.0):
    """Against the singular values of a matrix; what is missing or too many must be zero."""
    exact = scale * np.linalg.svd(matrix.detach().double().numpy(), compute_uv=False)
    length = max(len(exact), len(found))
    exact, found = (np.pad(values, (0, length - len(values))) for values in (exact, found))
    np.testing.assert_allclose(found, exact, atol=2e-6 * exact[0])


def product(adjoints, inputs):
    return adjoints.flatten(0, -2).double().mT @ inputs.flatten(0, -2).double()


@pytest.mark.parametrize(("n", "p", "q"), [(8, 8, 3), (8, 3, 8), (8, 8, 8), (64, 64, 10), (8, 4, 4), (8, 4, 2)])
def test_batches_of_as_many_rows_as_the_layer_has_inputs_or_outputs(n, p, q):
    torch.manual_seed(0)
    layer, x = nn.Linear(p, q), torch.randn(n, p)
    monitor = SpectralMonitor(layer, background=False)
    with monitor.observe(labels(n)):
        y = layer(x)
        y.retain_grad()
        y.square().mean().backward()
    monitor.end_epoch()
    for group, chosen in (("a", slice(0, None, 2)), ("b", slice(1, None, 2)), ("all", slice(None))):
        inputs, adjoints = x[chosen], y.grad[chosen]
        check(spectrum(monitor, "", "activation", group), inputs, len(inputs) ** -0.5)
        check(spectrum(monitor, "", "adjoint", group), adjoints)
        check(spectrum(monitor, "", "gradient", group), product(adjoints, inputs))


def test_time_first_with_as_many_times_as_samples():
    torch.manual_seed(0)
    layer = nn.Linear(5, 4)
    monitor = SpectralMonitor(layer, batch_first=False, background=False)
    exact = []
    for _ in range(3):
        x = torch.randn(6, 6, 5)
        with monitor.observe(labels(6)):
            y = layer(x)
            y.retain_grad()
            y.square().mean().backward()
        exact.append(np.linalg.svd(product(y.grad[:, ::2], x[:, ::2]).numpy(), compute_uv=False))
    monitor.end_epoch()
    np.testing.assert_allclose(spectrum(monitor, "", "gradient", "a"), np.mean(exact, axis=0), rtol=1e-5)


def test_a_loader_may_write_into_its_batch_after_any_pass():
    torch.manual_seed(0)
    layer, memory, seen = nn.Linear(8, 6), torch.empty(10, 8), []
    monitor = SpectralMonitor(layer, background=False)
    for last in (False, True):
        memory.normal_()
        seen.append(memory.clone())
        with monitor.observe(labels(10), accumulate=not last):
            layer(memory).square().mean().backward()
    memory.fill_(100.0)
    monitor.end_epoch()
    check(spectrum(monitor, "", "activation", "all"), torch.cat(seen), 20**-0.5)
    check(spectrum(monitor, "", "gradient", "all"), layer.weight.grad)


@pytest.mark.parametrize("kind", [nn.Linear, nn.LSTM])
def test_passes_of_other_lengths_before_one_step(kind):
    torch.manual_seed(0)
    layer, seen = kind(5, 4) if kind is nn.Linear else kind(5, 4, batch_first=True), []
    monitor = SpectralMonitor(layer, background=False)
    for length in (7, 9):
        seen.append(torch.randn(6, length, 5))
        with monitor.observe(labels(6), accumulate=length == 7):
            y = layer(seen[-1])
            (y if kind is nn.Linear else y[0]).square().sum().backward()
    monitor.end_epoch()
    name, weight = ("", layer.weight) if kind is nn.Linear else ("weight_ih_l0", layer.weight_ih_l0)
    check(spectrum(monitor, name, "gradient", "all"), weight.grad)
    check(spectrum(monitor, name, "activation", "a"), torch.cat([x[::2].flatten(0, 1) for x in seen]), 48**-0.5)


def test_embeddings_whose_entries_differ_between_passes_and_calls():
    torch.manual_seed(0)
    layer, seen = nn.Embedding(40, 4), []
    for accumulated in (True, False):
        layer.zero_grad()
        monitor = SpectralMonitor(layer, background=False)
        seen = [torch.randint(0, 40, (6, 3)) for _ in range(2)]
        if accumulated:
            for tokens in seen:
                with monitor.observe(labels(6), accumulate=tokens is seen[0]):
                    layer(tokens).square().sum().backward()
        else:
            with monitor.observe(labels(6)):
                sum(layer(tokens).square().sum() for tokens in seen).backward()
        monitor.end_epoch()
        hot = nn.functional.one_hot(torch.cat([tokens[::2].flatten() for tokens in seen]), 40)
        check(spectrum(monitor, "", "activation", "a"), hot, 18**-0.5)
        check(spectrum(monitor, "", "gradient", "all"), layer.weight.grad)


def test_layers_with_alike_rows_keep_their_own_spectra_when_passes_add_up():
    torch.manual_seed(0)
    model = nn.Sequential(*[nn.Linear(8, 8) for _ in range(6)])
    seen = [[] for _ in model]
    for number, layer in enumerate(model):
        layer.register_forward_hook(lambda _, given, output, number=number: seen[number].append(given[0].detach()))
    monitor = SpectralMonitor(model, background=False)
    for last in (False, True):
        with monitor.observe(labels(10), accumulate=not last):
            model(torch.randn(10, 8)).square().mean().backward()
    monitor.end_epoch()
    for number, inputs in enumerate(seen):
        check(spectrum(monitor, str(number), "activation", "all"), torch.cat(inputs), 20**-0.5)


def test_a_call_without_a_gradient_beside_one_with():
    torch.manual_seed(0)
    layer, x, other = nn.Linear(5, 4), torch.randn(6, 5), torch.randn(6, 5)
    monitor = SpectralMonitor(layer, background=False)
    with monitor.observe(labels(6)):
        with torch.no_grad():
            target = layer(other)
        y = layer(x)
        y.retain_grad()
        (y - target).square().sum().backward()
    monitor.end_epoch()
    check(spectrum(monitor, "", "gradient", "all"), layer.weight.grad)
    check(spectrum(monitor, "", "adjoint", "a"), y.grad[::2])
    check(spectrum(monitor, "", "activation", "a"), torch.cat([x[::2], other[::2]]), 6**-0.5)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [(nn.Conv1d(3, 3, 3, padding=1), (6, 3, 7)), (nn.LSTM(3, 3, batch_first=True), (6, 7, 3))],
    ids=["convolution", "lstm"],
)
def test_layers_of_every_type_may_be_called_twice(layer, shape):
    def first(output):
        return output[0] if isinstance(output, tuple) else output

    monitor = SpectralMonitor(layer, background=False)
    layer.zero_grad()
    with monitor.observe(labels(6)):
        first(layer(first(layer(torch.randn(shape))).tanh())).square().sum().backward()
    monitor.end_epoch()
    name, weight = ("", layer.weight) if isinstance(layer, nn.Conv1d) else ("weight_ih_l0", layer.weight_ih_l0)
    check(spectrum(monitor, name, "gradient", "all"), weight.grad.flatten(1))
    assert {row["quantity"] for row in monitor.table().to_pylist()} == {"activation", "adjoint", "gradient"}


def test_a_layer_with_one_call_that_cannot_be_observed_has_no_rows():
    torch.manual_seed(0)
    layer = nn.Linear(5, 4)
    model = nn.Sequential(layer, nn.Linear(4, 2))
    monitor = SpectralMonitor(model, background=False)
    with monitor.observe(labels(6)):
        (model(torch.randn(6, 5)).sum() + layer(torch.randn(7, 5)).sum()).backward()
    monitor.end_epoch()
    assert list(monitor.left_out) == ["0"]
    assert {row["layer"] for row in monitor.table().to_pylist()} == {"1"}


@pytest.mark.parametrize("path", ["hooks", "fast"])
def test_a_hook_that_changes_the_output_comes_after_ours(path):
    torch.manual_seed(0)
    layer = nn.Linear(5, 4)
    layer.register_forward_hook(lambda module, given, output: output * 3)
    monitor = SpectralMonitor(layer, background=False, path=path)
    with monitor.observe(labels(6)):
        layer(torch.randn(6, 3, 5)).square().sum().backward()
    monitor.end_epoch()
    check(spectrum(monitor, "", "gradient", "all"), layer.weight.grad)


def test_inputs_that_change_in_place_where_autograd_does_not_mind():
    torch.manual_seed(0)
    for frozen in (True, False):
        model = nn.ModuleList([nn.Linear(5, 5), nn.Linear(5, 5).requires_grad_(not frozen)])
        monitor = SpectralMonitor(model, background=False)
        with monitor.observe(labels(6)):
            hidden = model[0](torch.randn(6, 5))
            with torch.autocast("cpu", torch.bfloat16, enabled=not frozen):
                seen = hidden.detach().clone()
                hidden += model[1](hidden)
            hidden.square().sum().backward()
        monitor.end_epoch()
        check(spectrum(monitor, "1", "activation", "all"), seen if frozen else seen.bfloat16(), 6**-0.5)


def test_an_input_that_the_optimiser_changes_is_seen_as_it_was():
    torch.manual_seed(0)
    layer, noise = nn.Conv1d(3, 2, 1), nn.Parameter(torch.randn(1, 3, 200))
    monitor = SpectralMonitor(layer)
    seen = noise.detach().clone()
    with monitor.observe(labels(6)):
        layer(noise.expand(6, -1, -1)).square().sum().backward()
    with torch.no_grad():
        noise.fill_(100.0)
    monitor.end_epoch()
    monitor.close()
    check(spectrum(monitor, "", "activation", "all"), seen[0].mT, 200**-0.5)
    check(spectrum(monitor, "", "gradient", "all"), layer.weight.grad[..., 0])


@pytest.mark.parametrize("reverse", [False, True])
def test_the_fast_recurrent_layers_output_may_be_changed_in_place(reverse):
    torch.manual_seed(0)
    layer, x = nn.RNN(3, 4, batch_first=True, bidirectional=reverse), torch.randn(6, 5, 3)
    monitor = SpectralMonitor(layer, path="fast", background=False)
    layer(x)[0].mul_(2).square().sum().backward()
    expected = {name: weight.grad.clone() for name, weight in layer.named_parameters()}
    layer.zero_grad()
    with monitor.observe(labels(6)):
        layer(x)[0].mul_(2).square().sum().backward()
    for name, weight in layer.named_parameters():
        torch.testing.assert_close(weight.grad, expected[name], rtol=1e-4, atol=1e-4)


def test_the_fast_recurrent_layer_frees_its_graph():
    layer = nn.RNN(3, 4, batch_first=True)
    monitor = SpectralMonitor(layer, path="fast", quantities=("gradient",), background=False)

    def held():
        return sum(torch.is_tensor(thing) and thing.shape == (6, 5, 4) for thing in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            with monitor.observe(labels(6)):
                layer(torch.randn(6, 5, 3))[0].square().sum().backward()
        assert held() == 0
    finally:
        gc.enable()


def test_the_fast_path_gives_directions_and_alignments_too():
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4)), torch.randn(6, 9, 4)
    tables = []
    for path in ("hooks", "fast"):
        options = {"directions": (["0", "2"], 2), "alignments": True, "background": False}
        monitor = SpectralMonitor(model, path=path, **options)
        with monitor.observe(labels(6)):
            model(x).square().mean().backward()
        monitor.end_epoch()
        tables.append((monitor.direction_table().to_pandas(), monitor.alignment_table().to_pandas()))
    (directions, alignments), (fast_directions, fast_alignments) = tables
    np.testing.assert_allclose(np.stack(fast_directions["vector"]), np.stack(directions["vector"]), atol=1e-4)
    np.testing.assert_allclose(fast_alignments["value"], alignments["value"], atol=1e-5)


def test_a_forward_pass_that_someone_put_in_place_stays():
    layer = nn.Linear(5, 4)
    plain = layer.forward
    layer.forward = own = lambda x: plain(x)
    monitor = SpectralMonitor(layer, path="fast", background=False)
    with monitor.observe(labels(6)):
        layer(torch.randn(6, 3, 5)).square().sum().backward()
    assert layer.forward is own
    monitor.end_epoch()
    check(spectrum(monitor, "", "gradient", "all"), layer.weight.grad)


@pytest.mark.parametrize("how", ["a compiled part", "compiled in place"])
def test_models_with_compiled_parts_are_observed_whole(how):
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Sequential(nn.Linear(5, 4), nn.Tanh()), nn.Linear(4, 3)), torch.randn(6, 5)
    first = model[0][0]
    if how == "a compiled part":
        model[0] = torch.compile(model[0], backend="eager")
    else:
        model.compile(backend="eager")
    monitor = SpectralMonitor(model, background=False)
    model(x).sum().backward()
    model.zero_grad()
    with monitor.observe(labels(6)):
        model(x).square().mean().backward()
    monitor.end_epoch()
    name = next(name for name, module in monitor.capture.layers.items() if module is first)
    check(spectrum(monitor, name, "gradient", "all"), first.weight.grad)


def test_a_program_that_ends_without_closing_ends_well():
    program = """
import torch
from torch import nn
from autospec.spectra.monitor import SpectralMonitor
model = nn.Linear(500, 500)
monitor = SpectralMonitor(model)
for _ in range(40):
    with monitor.observe("ab" * 100):
        model(torch.randn(200, 500)).square().mean().backward()
"""
    library = Path(sys.modules["autospec"].__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": str(library)}, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
