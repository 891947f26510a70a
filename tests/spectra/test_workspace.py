import numpy as np
import pytest
import torch
from torch import nn

from autospec.spectra.monitor import SpectralMonitor
from autospec.spectra.workspace import Workspace

LIKES = {"NumPy": np.zeros(1), "torch": torch.zeros(1)}


def held(workspace):
    return sum(array.nbytes for array in (*workspace._named.values(), *workspace._blocks.values()))


@pytest.mark.parametrize("like", LIKES.values(), ids=LIKES)
def test_what_is_kept_stays_as_it_is_until_it_is_released(like):
    workspace = Workspace()
    for shapes in ([(2, 3), (4,)], [(5,), (2, 3), (1, 2, 3)], [(3,)], [(2, 7), (3,)]):
        kept = [workspace.keep(shape, like) for shape in shapes]
        assert [tuple(array.shape) for array in kept] == shapes and type(kept[0]) is type(like)
        for number, array in enumerate(kept):
            array[...] = number
        for number, array in enumerate(kept):
            assert (array == number).all()
        workspace.release()
    assert held(workspace) == 17 * 8  # as much as was kept at most at a time


def test_groups_whose_sizes_vary_take_no_more_memory_with_every_batch():
    random, sizes = np.random.default_rng(0), []
    model = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 16))
    monitor = SpectralMonitor(model, background=False)
    for _ in range(12):
        for _ in range(32):
            with monitor.observe([str(group) for group in random.integers(6, size=60)]):
                model(torch.randn(60, 16)).square().sum().backward()
        monitor.end_epoch()
        sizes.append(held(monitor.solver._own._workspace))
    assert sizes[-1] < 1.5 * sizes[0]
