"""From what layers saw in several steps to the spectra of every group in every step.

A spectrum costs a few small operations, and calling them costs more than their arithmetic. So
steps are gathered, and what has equal sizes is computed together, over layers, groups and steps.
Indices: s steps, n samples, t rows a sample, R = n t rows, p inputs, q outputs, r = min(p, q).
"""

import dataclasses

import numpy as np
import torch

from autospec.spectra.decompose import gram, solve_gram, solve_pair
from autospec.spectra.factors import Factors, FormedFactors

# Above this many rows a layer's products are large enough to be computed step by step.
_FEW_ROWS = 512

Key = tuple[str, str, str]


@dataclasses.dataclass
class StepRecord:
    """One observed step: the factors of each layer, and the samples of each group.

    `layers` maps a layer to (factors of its activations and adjoints, or None where those are not
    wanted; factors of its gradient, or None); `groups` maps a group to sample indices, (n_g,), none of them empty.
    """

    layers: dict[str, tuple]
    groups: dict[str, torch.Tensor]

    @property
    def bytes(self) -> int:
        """Memory held, in bytes."""
        parts = {id(part): part for pair in self.layers.values() for part in pair if part is not None}
        return sum(part.bytes for part in parts.values())


@dataclasses.dataclass
class _Cores:
    """Matrices to be solved, (s, m, m) each, for one key in several steps."""

    key: Key
    steps: list[int]
    matrices: tuple[torch.Tensor, ...]
    length: int
    scale: float = 1.0


def solve_steps(records: list[StepRecord], quantities: tuple[str, ...]) -> list[dict[Key, np.ndarray]]:
    """Spectra of every layer, quantity and group in each of several steps.

    Parameters
    ----------
    records : list of StepRecord, length s
    quantities : tuple of {"activation", "adjoint", "gradient"}

    Returns
    -------
    list of dict, length s
        (layer, quantity, group) to descending float64 singular values. Activations are divided
        by the square root of the group's rows.
    """
    stacks: dict[tuple, list[int]] = {}
    cores: list[_Cores] = []
    for step, record in enumerate(records):
        sizes = tuple((group, len(samples)) for group, samples in record.groups.items())
        for layer, (rows, product) in record.layers.items():
            shape = _stackable(rows, product)
            if shape:
                stacks.setdefault((layer, sizes, *shape), []).append(step)
            else:
                cores += _step_cores(step, layer, rows, product, record.groups, quantities)
    for (layer, *_), steps in stacks.items():
        cores += _stacked_cores(layer, steps, records, quantities)
    return _solve(cores, len(records))


def _stackable(rows, product) -> tuple | None:
    """The sizes that must agree for several steps of a layer to be computed as one; None if too many rows."""
    if type(rows) is not Factors or (product is not None and product is not rows):
        return None
    n, t, p = rows.inputs.shape
    if n * t > _FEW_ROWS:
        return None
    q = None if rows.adjoints is None else rows.adjoints.shape[-1]
    return n, t, p, q, product is not None and rows.trained


def _stacked_cores(layer, steps, records, quantities) -> list[_Cores]:
    parts = [records[step].layers[layer] for step in steps]
    first, product = parts[0]
    t = first.inputs.shape[1]
    inputs = torch.stack([rows.inputs for rows, _ in parts]).flatten(1, 2).double()
    adjoints = None
    if first.adjoints is not None:
        adjoints = torch.stack([rows.adjoints for rows, _ in parts]).flatten(1, 2).double()
    total, p = inputs.shape[1:]
    within = torch.arange(t)
    which = torch.arange(len(steps), device=inputs.device)[:, None]
    input_gram, adjoint_gram = _Lazy(inputs), _Lazy(adjoints)
    cores = []
    for group in records[steps[0]].groups:
        samples = torch.stack([records[step].groups[group] for step in steps])
        rows = (samples[:, :, None] * t + within).flatten(1).to(inputs.device)
        count = rows.shape[1]
        pick = None if count == total else (which, rows)

        def taken(matrix, pick=pick):
            return matrix if pick is None else matrix[pick]

        def block(matrix, pick=pick):
            return matrix if pick is None else matrix[pick[0][..., None], pick[1][:, :, None], pick[1][:, None, :]]

        def row_core(lazy, block=block, taken=taken, count=count):
            return block(lazy.gram()) if count < lazy.matrix.shape[-1] else gram(taken(lazy.matrix))

        if "activation" in quantities:
            core = row_core(input_gram)
            cores.append(_Cores((layer, "activation", group), steps, (core,), min(count, p), count**-0.5))
        if adjoints is None:
            continue
        if "adjoint" in quantities:
            length = min(count, adjoints.shape[-1])
            cores.append(_Cores((layer, "adjoint", group), steps, (row_core(adjoint_gram),), length))
        if "gradient" in quantities and product is not None and first.trained:
            key, rank = (layer, "gradient", group), first.rank
            if count <= rank:
                pair = (block(input_gram.gram()), block(adjoint_gram.gram()))
                cores.append(_Cores(key, steps, pair, rank))
            else:
                product = taken(adjoints.to(first.adjoints.dtype)).mT @ taken(inputs.to(first.inputs.dtype))
                cores.append(_Cores(key, steps, (gram(product),), rank))
    return cores


class _Lazy:
    """A matrix and its row Gram matrix, computed when first asked for."""

    def __init__(self, matrix):
        self.matrix, self._gram = matrix, None

    def gram(self):
        if self._gram is None:
            self._gram = self.matrix @ self.matrix.mT
        return self._gram


def _step_cores(step, layer, rows, product, groups, quantities) -> list[_Cores]:
    """Cores of one layer with many rows in one step: Gram matrices of what is formed."""
    cores = []
    for quantity in ("activation", "adjoint"):
        if rows is None or quantity not in quantities or (quantity == "adjoint" and rows.adjoints is None):
            continue
        matrix = rows.inputs if quantity == "activation" else rows.adjoints
        for group, core, count in _row_grams(matrix, groups):
            scale = count**-0.5 if quantity == "activation" else 1.0
            length = min(count, matrix.shape[-1])
            cores.append(_Cores((layer, quantity, group), [step], (core[None],), length, scale))
    if "gradient" in quantities and product is not None and product.trained and product.adjoints is not None:
        for group, gradient in _group_gradients(product, groups):
            cores.append(_Cores((layer, "gradient", group), [step], (gram(gradient)[None],), product.rank))
    return cores


def _row_grams(matrix: torch.Tensor, groups: dict[str, torch.Tensor]):
    """Gram matrix and row count of each group's rows of (n, t, p).

    The groups before the last divide the samples, so the last one's matrix, everyone's, is their sum
    wherever theirs are (p, p).
    """
    total, width = 0.0, matrix.shape[-1]
    for number, (group, samples) in enumerate(groups.items(), start=1):
        count = len(samples) * matrix.shape[1]
        if number == len(groups) and torch.is_tensor(total):
            yield group, total, count
            continue
        core = gram(matrix[samples.to(matrix.device)].flatten(0, 1))
        total = total + core if count > width and total is not None else None
        yield group, core, count


def _group_gradients(product, groups: dict[str, torch.Tensor]):
    """Gradient of each group; everyone's, the last, is the sum of the others."""
    total, formed = 0.0, product.gradients if isinstance(product, FormedFactors) else {}
    for number, (group, samples) in enumerate(groups.items(), start=1):
        if number == len(groups) and torch.is_tensor(total):
            yield group, total
            continue
        if formed:
            gradient = formed[group]
        else:
            gradient = product.gradient(samples.to(product.adjoints.device))
        total = total + gradient
        yield group, gradient


def _solve(cores: list[_Cores], steps: int) -> list[dict[Key, np.ndarray]]:
    """Solve in batches of equal kind and size, on the CPU, and hand out by step."""
    batches: dict[tuple, list[_Cores]] = {}
    for core in cores:
        batches.setdefault((len(core.matrices), core.matrices[0].shape[-1]), []).append(core)
    result: list[dict] = [{} for _ in range(steps)]
    for (kind, _), batch in batches.items():
        stacks = [torch.cat([core.matrices[m].cpu() for core in batch]) for m in range(kind)]
        values = (solve_gram if kind == 1 else solve_pair)(*stacks).numpy()
        position = 0
        for core in batch:
            part = values[position : position + len(core.steps), : core.length] * core.scale
            part = np.pad(part, ((0, 0), (0, core.length - part.shape[1])))
            part[np.isnan(part).any(axis=1)] = np.nan
            position += len(core.steps)
            for step, row in zip(core.steps, part, strict=True):
                result[step][core.key] = row
    return result
