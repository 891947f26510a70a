"""What the monitor keeps only when asked: directions, alignments, the other scale, summaries."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import nn

from autospec.spectra.monitor import SpectralMonitor
from autospec.spectra.scaling import mean_scale
from autospec.tables import ALIGNMENTS, DIRECTIONS


def steps(model, count=4, n=12, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(count):
        x = torch.randn(n, 10, generator=generator)
        labels = ["a"] * (n // 3) + ["b"] * (n - n // 3)
        model.zero_grad()
        yield x, np.array(labels), lambda x=x: (model(x) ** 2).mean().backward()


def group_gradients(model, layer, x, labels):
    """Each group's part of the mean loss, by autograd in double precision."""
    found = {}
    for group in ("a", "b"):
        model.zero_grad()
        ((model(x)[labels == group] ** 2).sum() / model(x).numel()).backward()
        found[group] = model[layer].weight.grad.double().numpy().copy()
    return found


def test_leading_directions_are_those_of_the_mean_projector():
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(10, 7), nn.Tanh(), nn.Linear(7, 4))
    monitor = SpectralMonitor(model, directions=(["0"], 2), background=False)
    projectors = {"a": 0.0, "b": 0.0}
    for x, labels, backward in steps(model):
        with monitor.observe(labels):
            backward()
        for group, gradient in group_gradients(model, 0, x, labels).items():
            right = np.linalg.svd(gradient)[2][:2].T
            projectors[group] = projectors[group] + right @ right.T / 4
    monitor.end_epoch()
    table = monitor.direction_table()
    assert table.schema.equals(DIRECTIONS)
    rows = table.to_pandas()
    assert len(rows) == 3 * 2 * 2
    for group, projector in projectors.items():
        shares, vectors = np.linalg.eigh(projector)
        for index in (1, 2):
            row = rows[(rows["group"] == group) & (rows["side"] == "right") & (rows["index"] == index)].iloc[0]
            assert row["share"] == pytest.approx(shares[-index], abs=1e-5)
            assert abs(row["vector"] @ vectors[:, -index]) == pytest.approx(1, abs=1e-4)
            assert row["vector"][np.argmax(np.abs(row["vector"]))] > 0


def test_a_planted_input_is_the_first_layers_leading_direction():
    torch.manual_seed(2)
    model = nn.Sequential(nn.Linear(10, 6), nn.Tanh(), nn.Linear(6, 10))
    monitor = SpectralMonitor(model, directions=(["0"], 1), background=False)
    for x, labels, _ in steps(model, n=30):
        x = x * 0.1
        x[labels == "b", 3] += 5.0
        with monitor.observe(labels):
            ((model(x) - x) ** 2).mean().backward()
    monitor.end_epoch()
    rows = monitor.direction_table().to_pandas()
    vector = rows[(rows["group"] == "b") & (rows["side"] == "right")].iloc[0]["vector"]
    assert np.argmax(np.abs(vector)) == 3 and vector[3] > 0.98


def test_cosines_and_alignments_agree_with_numpy():
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(10, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 8))
    monitor = SpectralMonitor(model, alignments=True, background=False)
    cosines = []
    for _, labels, backward in steps(model):
        with monitor.observe(labels):
            backward()
        first, second = (model[layer].weight.grad.double().numpy().ravel() for layer in (2, 4))
        cosines.append(first @ second / np.linalg.norm(first) / np.linalg.norm(second))
    monitor.end_epoch()
    table = monitor.alignment_table()
    assert table.schema.equals(ALIGNMENTS)
    rows = table.to_pandas().set_index(["measure", "first", "second", "group"])
    assert rows.loc[("gradient_cosine", "2", "4", "all"), "value"] == pytest.approx(np.mean(cosines), abs=1e-5)
    for first, second in (("0", "2"), ("2", "4")):
        left = np.linalg.svd(model[int(first)].weight.detach().double().numpy())[0]
        right = np.linalg.svd(model[int(second)].weight.detach().double().numpy())[2]
        count = 8
        expected = np.mean([abs(right[i] @ left[:, i]) for i in range(count)])
        assert rows.loc[("weight_alignment", first, second, "all"), "value"] == pytest.approx(expected, abs=1e-5)


def test_query_is_compared_with_output_and_key_with_value():
    torch.manual_seed(4)
    model = nn.TransformerEncoderLayer(8, 2, 8, dropout=0.0, batch_first=True)
    monitor = SpectralMonitor(model, alignments=True, background=False)
    with monitor.observe("aabb"):
        model(torch.randn(4, 5, 8)).square().mean().backward()
    monitor.end_epoch()
    rows = monitor.alignment_table().to_pandas()
    rows = rows[rows["group"] == "all"]
    row = rows[(rows["first"] == "self_attn.query") & (rows["second"] == "self_attn.out_proj")]
    query, out = model.self_attn.in_proj_weight.grad[:8].flatten(), model.self_attn.out_proj.weight.grad.flatten()
    expected = float(nn.functional.cosine_similarity(query.double(), out.double(), dim=0))
    assert row["value"].item() == pytest.approx(expected, abs=1e-5)
    assert ((rows["first"] == "self_attn.key") & (rows["second"] == "self_attn.value")).any()


def test_the_mean_scale_is_the_gradient_of_the_groups_own_mean_loss():
    torch.manual_seed(5)
    model = nn.Sequential(nn.Linear(10, 7), nn.Tanh(), nn.Linear(7, 4))
    monitor = SpectralMonitor(model, background=False)
    (x, labels, backward), *_ = steps(model, count=1)
    with monitor.observe(labels):
        backward()
    monitor.end_epoch()
    before = monitor.table()
    after = mean_scale(before)
    assert after.schema.equals(before.schema)
    rows = {(r["layer"], r["quantity"], r["group"]): np.array(r["singular_values"]) for r in after.to_pylist()}
    for group in ("a", "b"):
        model.zero_grad()
        (model(x)[labels == group] ** 2).mean().backward()
        exact = np.linalg.svd(model[0].weight.grad.double().numpy(), compute_uv=False)
        np.testing.assert_allclose(rows["0", "gradient", group], exact, atol=1e-5 * exact[0])
    unchanged = {(r["layer"], r["quantity"], r["group"]): np.array(r["singular_values"]) for r in before.to_pylist()}
    for key, values in unchanged.items():
        if key[1] == "activation" or key[2] == "all":
            np.testing.assert_array_equal(rows[key], values)


def test_tables_on_request_survive_a_resumed_run():
    def run(epochs, monitor, model):
        for epoch in epochs:
            for _, labels, backward in steps(model, seed=epoch):
                with monitor.observe(labels):
                    backward()
            monitor.end_epoch()

    model = nn.Sequential(nn.Linear(10, 8), nn.Linear(8, 8))
    whole, first, second = (SpectralMonitor(model, directions=(["0"], 1), alignments=True) for _ in range(3))
    run(range(3), whole, model)
    run(range(1), first, model)
    second.load_state_dict(first.state_dict())
    run(range(1, 3), second, model)
    assert isinstance(second.direction_table(), pa.Table)
    assert second.direction_table().equals(whole.direction_table())
    assert second.alignment_table().equals(whole.alignment_table())


@pytest.mark.parametrize("steps_taken", [3, 40])
def test_the_first_layers_difference_points_where_the_balanced_difference_of_autograd_does(steps_taken):
    """With 40 steps the vectors outnumber the inputs, so that they are reduced on the way."""
    torch.manual_seed(5)
    model = nn.Sequential(nn.Linear(10, 7), nn.Tanh(), nn.Linear(7, 4))
    monitor = SpectralMonitor(model, groups=("a", "b"), directions=(None, 1), background=False)
    projector = 0.0
    for x, labels, backward in steps(model, steps_taken):
        with monitor.observe(labels):
            backward()
        gradients = group_gradients(model, 0, x, labels)
        means = {group: gradients[group] / (labels == group).sum() for group in ("a", "b")}
        right = np.linalg.svd(means["b"] - means["a"])[2][0]
        projector = projector + np.outer(right, right) / steps_taken
    monitor.end_epoch()
    rows = monitor.direction_table().to_pandas()
    assert set(rows["layer"]) == {"0"}
    row = rows[(rows["group"] == "difference") & (rows["side"] == "right")].iloc[0]
    shares, vectors = np.linalg.eigh(projector)
    assert row["share"] == pytest.approx(shares[-1], abs=1e-5)
    assert abs(row["vector"] @ vectors[:, -1]) == pytest.approx(1, abs=1e-4)
