"""Gram matrices of what layers with many rows saw, a block of samples at a time.

A float64 copy of all rows would cost more in memory than the product in arithmetic.
Indices: n samples, t rows a sample, p columns.
"""

from collections.abc import Iterator

import torch

from autospec.spectra.decompose import gram, self_product
from autospec.spectra.gather import ALL
from autospec.spectra.workspace import Workspace

# Doubles held at a time, about: many enough that adding up the blocks' matrices costs little beside making them.
_BLOCK = 2**20


def rows_of(factors, side: str, samples: torch.Tensor) -> torch.Tensor:
    """Inputs or adjoints of some samples: (n, t, p)."""
    if side == "inputs" and hasattr(factors, "patches"):
        return factors.patches(samples).flatten(2)
    return getattr(factors, side)[samples]


def group_grams(factors, side: str, groups: dict[str, torch.Tensor], workspace: Workspace) -> Iterator[tuple]:
    """Group, Gram matrix on its smaller side, row count and width, for each group's rows, if it has any.

    Everyone's matrix is the sum of the groups' wherever theirs are (p, p).
    """
    parts: list[torch.Tensor] | None = []
    counted = 0
    for group, samples in groups.items():
        if group == ALL and parts:
            yield group, sum(parts), counted, parts[0].shape[-1]
            continue
        pieces = [(part, inside) for part, inside in _pieces(factors, samples) if _has(part, side) and len(inside)]
        if not pieces:
            continue
        core, count, width = _one_group(pieces, side, workspace)
        counted += count
        if count > width and parts is not None:
            parts.append(core)
        else:
            parts = None
        yield group, core, count, width


def _pieces(factors, samples: torch.Tensor) -> list[tuple]:
    """Single calls, each with its own of the samples."""
    if not hasattr(factors, "pieces"):
        return [(factors, samples)]
    return [single for part, inside in factors.pieces(samples) for single in _pieces(part, inside)]


def _has(factors, side: str) -> bool:
    return side == "inputs" or factors.reached


def _one_group(pieces: list[tuple], side: str, workspace: Workspace) -> tuple[torch.Tensor, int, int]:
    firsts = [rows_of(factors, side, samples[:1]) for factors, samples in pieces]
    p, device = firsts[0].shape[2], firsts[0].device
    count = sum(len(samples) * first.shape[1] for (_, samples), first in zip(pieces, firsts, strict=True))
    if count <= p:
        return gram(torch.cat([rows_of(*_here(piece, side, device)).flatten(0, 1) for piece in pieces])), count, p
    total = torch.zeros(p, p, dtype=torch.float64, device=device)
    for piece, first in zip(pieces, firsts, strict=True):
        factors, _, samples = _here(piece, side, device)
        if hasattr(factors, "column_gram"):
            total += factors.column_gram(side, samples, workspace)
            continue
        for part in samples.split(max(1, _BLOCK // (first.shape[1] * p))):
            rows = rows_of(factors, side, part).flatten(0, 1)
            wide = workspace.take("rows", tuple(rows.shape), rows).copy_(rows)
            if device.type == "cpu":
                total += self_product(wide.mT, out=workspace.take("product", (p, p), rows))
            else:
                total.addmm_(wide.mT, wide)
    return total, count, p


def _here(piece: tuple, side: str, device: torch.device) -> tuple:
    factors, samples = piece
    return factors, side, samples.to(device)
