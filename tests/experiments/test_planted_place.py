"""A first experiment: two groups that differ in one place, found there and not elsewhere.

Two auto-encoders stand side by side in one network, each with features of its own. In the second one's features,
patients vary twice as much as controls; the first one's have the same distribution in both groups.
"""

import numpy as np
import torch
from torch import nn

from autospec import SpectralMonitor
from autospec.statistics.labelings import read_labelings
from autospec.statistics.swaps import cell_values, swap_test
from autospec.tables import write_parquet

GROUPS = ("control", "patient")
PAIRS, FEATURES, LABELINGS = 60, 8, 100


class SideBySide(nn.Module):
    def __init__(self):
        super().__init__()
        for name in ("without", "planted"):
            layers = (nn.Linear(FEATURES, 4), nn.ReLU(), nn.Linear(4, FEATURES))
            self.add_module(name, nn.Sequential(*layers))

    def forward(self, x):
        return torch.cat([self.without(x[:, :FEATURES]), self.planted(x[:, FEATURES:])], dim=1)


def layers_of(folder, seed, spread):
    """The swap test's table of layers; rows 2 i and 2 i + 1 of the data are a pair, the patient second."""
    generator = np.random.default_rng(seed)
    values = generator.normal(size=(2 * PAIRS, 2 * FEATURES)).astype(np.float32)
    values[1::2, FEATURES:] *= spread
    x = torch.from_numpy(values)
    swaps = generator.random((LABELINGS, PAIRS)) < 0.5
    swaps[0] = False
    swaps = np.repeat(swaps, 2, axis=1)
    labelings = torch.from_numpy(swaps ^ (np.arange(2 * PAIRS) % 2 == 1))
    torch.manual_seed(seed)
    model = SideBySide()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    monitor = SpectralMonitor(model, ("gradient",), groups=GROUPS, background=False)
    for _ in range(3):
        for pairs in torch.from_numpy(generator.permutation(PAIRS)).split(15):
            rows = torch.stack([2 * pairs, 2 * pairs + 1], dim=1).flatten()
            with monitor.observe(np.array(GROUPS)[rows % 2], labelings[:, rows]) as step:
                losses = (model(x[rows]) - x[rows]).square().mean(dim=1)
                losses.mean().backward()
                step.losses(losses)
            optimizer.step()
            optimizer.zero_grad()
        monitor.end_epoch()
    write_parquet(monitor.labeling_table(), folder / "labelings.parquet")
    monitor.close()
    _, layers, _ = swap_test(*cell_values(read_labelings(folder / "labelings.parquet", GROUPS)))
    return layers[layers["statistic"] == "spectral_ratio"].set_index("layer")


def test_a_planted_difference_is_found_in_its_layers_alone(tmp_path):
    layers = layers_of(tmp_path, seed=0, spread=2.0)
    for layer, row in layers.iterrows():
        if layer.startswith("planted"):
            assert row["p"] == 1 / LABELINGS and row["effect"] > 1.5
        else:
            assert len(layers) * row["p"] > 0.05


def test_without_a_planted_difference_nothing_is_found(tmp_path):
    layers = layers_of(tmp_path, seed=0, spread=1.0)
    assert (len(layers) * layers["p"] > 0.05).all()
