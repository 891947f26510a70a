"""Every layer type against autograd: the groups' gradients, and their sum."""

import numpy as np
import pytest
import torch
from networks import Tied
from torch import nn

from autospec.spectra.monitor import SpectralMonitor

GROUPS = ("control", "patient")


class First(nn.Module):
    """The first output of a layer, for layers that give several."""

    def __init__(self, layer, order=(0, 1, 2)):
        super().__init__()
        self.layer, self.order = layer, order

    def forward(self, x):
        return self.layer(x.permute(self.order))[0].permute(self.order)


class SelfAttention(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True, **options)

    def forward(self, x):
        return self.attention(x, x, x, need_weights=False)[0]


class CrossAttention(nn.Module):
    def __init__(self, values_too, **options):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True, **options)
        self.values_too = values_too

    def forward(self, x):
        query, key = x[:, :3], x[:, 3:].tanh()
        value = key + 1 if self.values_too else key
        return self.attention(query, key[..., : self.attention.kdim], value[..., : self.attention.vdim])[0]


class Tokens(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.embedding = nn.Embedding(11, 6, **options)
        self.head = nn.Linear(6, 2)

    def forward(self, x):
        return self.head(self.embedding((x[..., 0] * 3).long().abs() % 11))


class TwiceCalled(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, x):
        return self.layer(self.layer(x).tanh())


class TimeFirst(nn.Module):
    """A transformer encoder that keeps time before the samples."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0), 2)

    def forward(self, x):
        return self.encoder(x.transpose(0, 1)).transpose(0, 1)


def encoder(norm_first):
    layer = nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, batch_first=True, norm_first=norm_first)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)


def recurrent(kind, **options):
    return First(kind(8, 5, batch_first=True, **options))


TIME = (6, 8)
MODELS = {
    "conv1d": (lambda: nn.Conv1d(6, 4, 3), TIME),
    "conv1d, stride, padding, dilation": (lambda: nn.Conv1d(6, 4, 3, stride=2, padding=2, dilation=2), TIME),
    "conv1d, same padding": (lambda: nn.Conv1d(6, 4, 4, padding="same"), TIME),
    "conv1d, groups": (lambda: nn.Conv1d(6, 4, 3, groups=2, bias=False), TIME),
    "conv2d, circular": (lambda: nn.Conv2d(3, 5, 3, padding=1, padding_mode="circular"), (3, 6, 7)),
    "conv2d, reflect, groups": (
        lambda: nn.Conv2d(4, 6, (3, 2), padding=1, padding_mode="reflect", groups=2),
        (4, 6, 7),
    ),
    "conv2d, depthwise": (lambda: nn.Conv2d(3, 3, 3, groups=3, stride=(2, 1)), (3, 6, 7)),
    "conv3d, replicate": (
        lambda: nn.Conv3d(2, 3, 2, padding=1, padding_mode="replicate", dilation=(1, 2, 1)),
        (2, 4, 5, 4),
    ),
    "lstm, projection, two layers": (lambda: recurrent(nn.LSTM, num_layers=2, proj_size=3), TIME),
    "lstm, projection, both directions": (lambda: recurrent(nn.LSTM, bidirectional=True, proj_size=3), TIME),
    "lstm, time first": (lambda: First(nn.LSTM(8, 5), (1, 0, 2)), TIME),
    "gru": (lambda: recurrent(nn.GRU), TIME),
    "gru, three layers, both directions": (lambda: recurrent(nn.GRU, num_layers=3, bidirectional=True), TIME),
    "gru without bias": (lambda: recurrent(nn.GRU, bias=False), TIME),
    "self-attention": (lambda: SelfAttention(), TIME),
    "self-attention without bias": (lambda: SelfAttention(bias=False), TIME),
    "attention, query against key and value": (lambda: CrossAttention(False), TIME),
    "attention, three sources": (lambda: CrossAttention(True), TIME),
    "attention, three sources, no bias": (lambda: CrossAttention(True, bias=False), TIME),
    "attention, own widths": (lambda: CrossAttention(True, kdim=5, vdim=4), TIME),
    "transformer encoder": (lambda: encoder(False), TIME),
    "transformer encoder, norm first": (lambda: encoder(True), TIME),
    "transformer encoder, time first": (lambda: TimeFirst(), TIME),
    "embedding": (lambda: Tokens(), TIME),
    "embedding with padding": (lambda: Tokens(padding_idx=2), TIME),
    "tied embedding": (lambda: Tied(), TIME),
    "a layer called twice": (lambda: TwiceCalled(), TIME),
    "batch norm between": (lambda: nn.Sequential(nn.Linear(8, 5), nn.BatchNorm1d(6), nn.Linear(5, 3)), TIME),
}
COUPLED = {"batch norm between"}


def batch(shape, n=6, seed=0):
    x = torch.randn(n, *shape, generator=torch.Generator().manual_seed(seed))
    return x, np.array([GROUPS[i % 3 == 0] for i in range(n)])


def loss_of(model, x):
    return (model(x) ** 2).flatten(1).mean(dim=1)


def observed(model, x, labels, backward=None):
    monitor = SpectralMonitor(model, background=False)
    monitor.capture.start()
    (backward or (lambda: loss_of(model, x).mean().backward()))()
    monitor.capture.stop()
    layers = monitor.capture.factors(monitor.capture.take(), len(labels))
    return monitor, {layer: product for layer, (_, product) in layers.items() if product is not None}


def weight_gradients(model):
    """Gradient of each observed weight as a matrix, by the monitor's layer names."""
    found = {}
    for path, module in model.named_modules():
        prefix = f"{path}." if path else ""
        if isinstance(module, nn.MultiheadAttention):
            if module.in_proj_weight is not None:
                parts = module.in_proj_weight.grad.chunk(3)
            else:
                parts = [w.grad for w in (module.q_proj_weight, module.k_proj_weight, module.v_proj_weight)]
            found |= {f"{prefix}{name}": part for name, part in zip(("query", "key", "value"), parts, strict=True)}
        elif isinstance(module, nn.RNNBase):
            found |= {f"{prefix}{n}": w.grad for n, w in module.named_parameters() if n.startswith("weight")}
        elif isinstance(module, nn.Linear | nn.Embedding | nn.modules.conv._ConvNd):
            found[path] = module.weight.grad.flatten(1)
    return found


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


def test_gradients_that_come_back_through_the_final_states_are_counted():
    torch.manual_seed(6)
    for kind in (nn.LSTM, nn.GRU, nn.RNN):
        layer = kind(8, 5, num_layers=2, batch_first=True, bidirectional=True)
        x, labels = batch(TIME)
        start = torch.randn(4, 6, 5)

        def backward(layer=layer, x=x, start=start, kind=kind):
            states = (start, start + 1) if kind is nn.LSTM else start
            output, final = layer(x, states)
            final = sum(part.square().sum() for part in (final if kind is nn.LSTM else [final]))
            (final + output[:, 2].sum()).backward()

        _, factors = observed(layer, x, labels, backward)
        for name, exact in weight_gradients(layer).items():
            found = factors[name].gradient(torch.arange(6))
            torch.testing.assert_close(found, exact, rtol=1e-4, atol=2e-6 * float(exact.abs().max()))


def test_two_backward_passes_through_one_forward_add_up():
    model = nn.Sequential(nn.Linear(8, 3))
    x, labels = batch((8,))

    def backward():
        loss = loss_of(model, x).mean()
        loss.backward(retain_graph=True)
        loss.backward()

    _, factors = observed(model, x, labels, backward)
    torch.testing.assert_close(factors["0"].gradient(torch.arange(6)), model[0].weight.grad)


def test_a_frozen_layer_has_activations_but_no_gradient():
    model = nn.Sequential(nn.Linear(8, 5), nn.Tanh(), nn.Linear(5, 5), nn.Tanh(), nn.Linear(5, 3))
    model[2].weight.requires_grad_(False)
    x, labels = batch((8,))
    monitor = SpectralMonitor(model, background=False)
    with monitor.observe(labels):
        loss_of(model, x).mean().backward()
    monitor.end_epoch()
    found = {(r["layer"], r["quantity"]) for r in monitor.table().to_pylist()}
    assert ("2", "gradient") not in found
    assert {("2", "activation"), ("2", "adjoint"), ("0", "gradient"), ("4", "gradient")} <= found


def test_a_layer_that_a_step_does_not_reach_has_fewer_steps():
    class Branches(nn.Module):
        def __init__(self):
            super().__init__()
            self.left, self.right = nn.Linear(8, 3), nn.Linear(8, 3)

        def forward(self, x, left):
            return self.left(x) if left else self.right(x)

    model = Branches()
    monitor = SpectralMonitor(model, background=False)
    for left in (True, True, False):
        x, labels = batch((8,))
        with monitor.observe(labels):
            model(x, left).square().mean().backward()
    monitor.end_epoch()
    steps = {r["layer"]: r["steps"] for r in monitor.table().to_pylist()}
    assert steps == {"left": 2, "right": 1}


def test_a_batch_without_one_group_and_a_group_of_one_are_taken():
    model = nn.Sequential(nn.Linear(8, 3))
    monitor = SpectralMonitor(model, background=False)
    for labels in (["control"] * 5, ["control"] * 4 + ["patient"]):
        x, _ = batch((8,), n=5)
        with monitor.observe(labels):
            loss_of(model, x).mean().backward()
    monitor.end_epoch()
    rows = {r["group"]: r for r in monitor.table().to_pylist() if r["quantity"] == "gradient"}
    assert (rows["control"]["steps"], rows["control"]["n"]) == (2, 9)
    assert (rows["patient"]["steps"], rows["patient"]["n"]) == (1, 1)
    assert rows["patient"]["singular_values"][1] <= 1e-6 * rows["patient"]["singular_values"][0]


def test_several_backward_passes_before_a_step_make_one_step():
    torch.manual_seed(7)
    whole = nn.Sequential(nn.Conv1d(6, 4, 3), nn.Flatten(), nn.Linear(24, 7), nn.Tanh(), nn.Linear(7, 3))
    x, labels = batch(TIME, n=10)
    truth = torch.from_numpy(labels == "patient")[None]
    tables = []
    for sizes in ([10], [4, 6], [2, 2, 6]):
        monitor = SpectralMonitor(whole, background=False)
        whole.zero_grad()
        for last, rows in enumerate(torch.arange(10).split(sizes), start=1):
            with monitor.observe(labels[rows], truth[:, rows], accumulate=last < len(sizes)) as step:
                losses = loss_of(whole, x[rows])
                step.losses(losses)
                (losses.sum() / 10).backward()
        monitor.end_epoch()
        tables.append((monitor.table().to_pandas(), monitor.labeling_table().to_pandas()))
    for spectra, labelings in tables[1:]:
        for found, expected in ((spectra, tables[0][0]), (labelings, tables[0][1])):
            assert len(found) == len(expected)
            keys = [k for k in ("layer", "quantity", "group", "labeling") if k in found]
            merged = found.merge(expected, on=keys, suffixes=("", "_expected"))
            for row in merged.itertuples():
                scale = max(row.singular_values_expected[0], 1e-12)
                np.testing.assert_allclose(row.singular_values, row.singular_values_expected, atol=2e-6 * scale)


def test_double_precision_models_are_observed_in_double_precision():
    torch.manual_seed(8)
    model = nn.Sequential(nn.Linear(8, 5), nn.Linear(5, 3)).double()
    x, labels = batch((8,))
    _, factors = observed(model, x.double(), labels, lambda: loss_of(model, x.double()).mean().backward())
    assert factors["0"].inputs.dtype == torch.float64
    torch.testing.assert_close(factors["0"].gradient(torch.arange(6)), model[0].weight.grad, rtol=1e-13, atol=1e-15)


def test_mixed_precision_agrees_with_autograd_to_its_own_rounding():
    torch.manual_seed(9)
    model = nn.Sequential(nn.Linear(8, 5), nn.Tanh(), nn.Linear(5, 3))
    x, labels = batch((8,))

    def backward():
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = model(x).float().square().mean()
        loss.backward()

    _, factors = observed(model, x, labels, backward)
    for layer in ("0", "2"):
        found, exact = factors[layer].gradient(torch.arange(6)), model[int(layer)].weight.grad
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, exact, rtol=2e-2, atol=1e-2 * float(exact.abs().max()))


def test_a_scaled_loss_gives_the_spectra_of_the_loss_itself():
    torch.manual_seed(10)
    model = nn.Sequential(nn.Linear(8, 5), nn.Tanh(), nn.Linear(5, 3))
    x, labels = batch((8,))
    tables = []
    for scale in (1.0, 1024.0):
        monitor = SpectralMonitor(model, background=False)
        with monitor.observe(labels, loss_scale=scale):
            (loss_of(model, x).mean() * scale).backward()
        monitor.end_epoch()
        tables.append(monitor.table())
    assert tables[0].equals(tables[1])


def test_a_layer_called_with_other_samples_is_named_as_not_observed():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(8, 4), nn.Linear(4, 2)

        def forward(self, x):
            return self.second(self.first(x)[: len(x) - 1])

    model = Odd()
    monitor = SpectralMonitor(model, background=False)
    x, labels = batch((8,))
    with monitor.observe(labels):
        model(x).square().mean().backward()
    assert list(monitor.left_out) == ["second"]
    assert "no dimension is that of the 6 samples" in monitor.left_out["second"]


def test_labels_that_fit_no_layer_are_an_error():
    model = nn.Sequential(nn.Linear(8, 4))
    monitor = SpectralMonitor(model, background=False)
    x, _ = batch((8,))
    with pytest.raises(ValueError, match="no layer saw the 4 samples"), monitor.observe("abab"):
        loss_of(model, x).mean().backward()


def test_packed_sequences_are_named_as_not_observed():
    layer = nn.LSTM(8, 5, batch_first=True)
    model = nn.Sequential(nn.Linear(8, 8))
    model.rnn = layer
    x, labels = batch(TIME)
    monitor = SpectralMonitor(model, background=False)
    with monitor.observe(labels):
        packed = nn.utils.rnn.pack_padded_sequence(model[0](x), [6] * 6, batch_first=True)
        layer(packed)[1][0].sum().backward()
    assert "PackedSequence" in monitor.left_out["rnn"]


def test_a_compiled_model_is_observed_eagerly_and_runs_compiled_otherwise():
    torch.manual_seed(11)
    model = nn.Sequential(nn.Linear(8, 5), nn.Tanh(), nn.Linear(5, 3))
    compiled = torch.compile(model, backend="eager")
    x, labels = batch((8,))
    monitor = SpectralMonitor(compiled, background=False)
    loss_of(compiled, x).mean().backward()
    model.zero_grad()
    with monitor.observe(labels):
        loss_of(compiled, x).mean().backward()
    monitor.end_epoch()
    wanted = ("0", "gradient", "all")
    (row,) = [r for r in monitor.table().to_pylist() if (r["layer"], r["quantity"], r["group"]) == wanted]
    exact = np.linalg.svd(model[0].weight.grad.double().numpy(), compute_uv=False)
    np.testing.assert_allclose(row["singular_values"], exact, atol=1e-6 * exact[0])


def test_the_optimisers_step_is_the_change_of_the_weight():
    torch.manual_seed(12)
    model = nn.Sequential(nn.Linear(8, 5), nn.Tanh(), nn.Linear(5, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    monitor = SpectralMonitor(model, quantities=("update",), background=False)
    expected = []
    for seed in range(3):
        x, labels = batch((8,), seed=seed)
        optimizer.zero_grad()
        with monitor.observe(labels):
            loss_of(model, x).mean().backward()
        expected.append(np.linalg.svd(0.3 * model[0].weight.grad.double().numpy(), compute_uv=False))
        optimizer.step()
    monitor.end_epoch()
    (row,) = [r for r in monitor.table().to_pylist() if r["layer"] == "0"]
    assert row["steps"] == 3
    np.testing.assert_allclose(row["singular_values"], np.mean(expected, axis=0), atol=1e-5 * expected[0][0])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_gradient_that_is_not_finite_is_recorded_and_told(value, caplog):
    model = nn.Sequential(nn.Linear(8, 5), nn.Linear(5, 3))
    for stop in (False, True):
        monitor = SpectralMonitor(model, background=False, stop_at_nonfinite=stop)
        for step in range(3):
            x, labels = batch((8,), seed=step)
            if step == 1:
                x = x.clone()
                x[0, 0] = value
            with monitor.observe(labels):
                loss_of(model, x).mean().backward()
        if stop:
            with pytest.raises(FloatingPointError):
                monitor.end_epoch()
            continue
        monitor.end_epoch()
        assert (monitor.first_nonfinite["epoch"], monitor.first_nonfinite["step"]) == (1, 2)
        assert "has NaN or infinity for the first time" in caplog.text
        rows = {r["group"]: r for r in monitor.table().to_pylist() if (r["layer"], r["quantity"]) == ("0", "gradient")}
        # The first sample is a patient: the other group's own rows are sound.
        assert np.isnan(rows["patient"]["singular_values"]).all()
        assert np.isfinite(rows["control"]["singular_values"]).all()


def test_the_second_thread_gives_the_same_rows_to_the_bit():
    torch.manual_seed(13)
    model = nn.Sequential(nn.Linear(8, 5), nn.Tanh(), nn.Linear(5, 3))
    tables = []
    for background in (False, True):
        monitor = SpectralMonitor(model, background=background)
        for _ in range(2):
            for seed in range(37):
                x, labels = batch((8,), seed=seed)
                with monitor.observe(labels):
                    loss_of(model, x).mean().backward()
            monitor.end_epoch()
        monitor.close()
        tables.append(monitor.table())
    assert tables[0].equals(tables[1])


def test_a_failure_on_the_second_thread_reaches_the_training_loop(monkeypatch):
    def fail(*arguments):
        raise MemoryError("no memory for the spectra")

    monkeypatch.setattr("autospec.spectra.cores.StepSolver.solve", fail)
    model = nn.Sequential(nn.Linear(8, 5))
    monitor = SpectralMonitor(model)
    x, labels = batch((8,))
    with monitor.observe(labels):
        loss_of(model, x).mean().backward()
    with pytest.raises(MemoryError, match="no memory for the spectra"):
        monitor.end_epoch()
