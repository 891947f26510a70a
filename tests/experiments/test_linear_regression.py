"""A first experiment: a regression whose gradient spectrum is known at every step.

n people have p inputs X and q outputs Y. Both groups see the same inputs, X_g^T X_g = (n / 2) V diag(l) V^T, and
answer by maps with the same directions, B_g = U diag(b_g) V^T. A linear network W of loss |X W^T - Y|^2 / n per
person, trained by gradient descent from 0 at the rate r, then has W = U diag(w) V^T at every step, with
w <- w - 2 r l (w - (b_0 + b_1) / 2), and the part of its gradient that is group g's has the singular values
l |w - b_g|: half of what it would have alone, since the loss is a mean over both.
"""

import numpy as np
import pytest
import torch

from autospec import SpectralMonitor

N, P, Q, RATE, STEPS = 48, 6, 4, 0.05, 20


def made(generator):
    """Inputs and outputs of both groups, and what decides their spectra: l, (q,) and b, (2, q)."""
    u, _ = np.linalg.qr(generator.normal(size=(Q, Q)))
    v, _ = np.linalg.qr(generator.normal(size=(P, P)))
    strength, maps = generator.uniform(0.5, 2, size=P), generator.uniform(0.5, 3, size=(2, Q))
    inputs, outputs = [], []
    for b in maps:
        columns, _ = np.linalg.qr(generator.normal(size=(N // 2, P)))
        x = np.sqrt(N / 2) * columns * np.sqrt(strength) @ v.T
        inputs.append(x)
        outputs.append(x @ v[:, :Q] * b @ u.T)
    return np.concatenate(inputs), np.concatenate(outputs), strength[:Q], maps


@pytest.mark.parametrize("path", ["hooks", "fast"])
@pytest.mark.parametrize("seed", range(3))
def test_the_observed_spectra_are_those_of_the_closed_form(seed, path):
    x, y, strength, maps = made(np.random.default_rng(seed))
    x, y = torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)
    groups = ["first"] * (N // 2) + ["second"] * (N // 2)
    model = torch.nn.Linear(P, Q, bias=False)
    torch.nn.init.zeros_(model.weight)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    monitor = SpectralMonitor(model, ("gradient", "weight"), groups=("first", "second"), path=path)
    expected, w = {}, np.zeros(Q)
    for epoch in range(1, STEPS + 1):
        with monitor.observe(groups):
            ((model(x) - y).square().sum() / N).backward()
        optimizer.step()
        optimizer.zero_grad()
        monitor.end_epoch()
        for group, b in (("first", maps[0]), ("second", maps[1])):
            expected[epoch, "gradient", group] = strength * np.abs(w - b)
        expected[epoch, "gradient", "all"] = 2 * strength * np.abs(w - maps.mean(axis=0))
        w = w - 2 * RATE * strength * (w - maps.mean(axis=0))
        expected[epoch, "weight", "all"] = np.abs(w)
    rows = monitor.table().to_pylist()
    assert len(rows) == len(expected)
    for row in rows:
        wanted = np.sort(expected[row["epoch"], row["quantity"], row["group"]])[::-1]
        np.testing.assert_allclose(row["singular_values"], wanted, rtol=2e-5, atol=2e-5)
    monitor.close()
