"""What training loops do: several passes, layers not reached, other precision, compiled models, failures."""

import numpy as np
import pytest
import torch
from layers import TIME, batch, loss_of, observed, weight_gradients
from torch import nn

from autospec.spectra.monitor import SpectralMonitor


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
