"""Gram matrices of what layers with many rows saw, a block of samples at a time.

A float64 copy of all rows would cost more in memory than the product in arithmetic.
Indices: n samples, t rows a sample, p columns.
"""

from collections.abc import Iterator

import torch

from autospec.spectra.decompose import gram
from autospec.spectra.gather import ALL
from autospec.spectra.workspace import Workspace

# Doubles held at a time, about: they should stay in a core's own cache.
_BLOCK = 2**17


def rows_of(factors, side: str, samples: torch.Tensor) -> torch.Tensor:
    """Inputs or adjoints of some samples: (n, t, p)."""
    if side == "inputs" and hasattr(factors, "patches"):
        return factors.patches(samples).flatten(2)
    return getattr(factors, side)[samples]


def group_grams(factors, side: str, groups: dict[str, torch.Tensor], workspace: Workspace) -> Iterator[tuple]:
    """Group, Gram matrix on its smaller side, row count and width, for each group's rows.

    Everyone's matrix is the sum of the groups' wherever theirs are (p, p).
    """
    parts: list[torch.Tensor] | None = []
    counted = 0
    for group, samples in groups.items():
        samples = samples.to(factors.adjoints.device if factors.adjoints is not None else factors.inputs.device)
        if group == ALL and parts:
            yield group, sum(parts), counted, parts[0].shape[-1]
            continue
        core, count, width = _one_group(factors, side, samples, workspace)
        counted += count
        if count > width and parts is not None:
            parts.append(core)
        else:
            parts = None
        yield group, core, count, width


def _one_group(factors, side, samples, workspace) -> tuple[torch.Tensor, int, int]:
    first = rows_of(factors, side, samples[:1])
    t, p = first.shape[1:]
    count = len(samples) * t
    if count <= p:
        return gram(rows_of(factors, side, samples).flatten(0, 1)), count, p
    total = torch.zeros(p, p, dtype=torch.float64, device=first.device)
    for part in samples.split(max(1, _BLOCK // (t * p))):
        rows = rows_of(factors, side, part).reshape(len(part) * t, p)
        wide = workspace.take("rows", tuple(rows.shape), rows, torch.float64).copy_(rows)
        total.addmm_(wide.mT, wide)
    return total, count, p
