"""From what layers saw in several steps to the spectra of every group in every step.

A spectrum costs a few small operations, and calling them costs more than their arithmetic. So
steps are gathered, and what has equal sizes is computed together, over layers, groups and steps.
Indices: s steps, n samples, t rows a sample, R = n t rows, p inputs, q outputs, r = min(p, q).
"""

import dataclasses
import functools
from collections.abc import Iterable

import numpy as np
import torch

from autospec.spectra.decompose import gram, solve_gram, solve_pair
from autospec.spectra.factors import FormedFactors
from autospec.spectra.stacks import ALL, Cores, Key, Stack, stackable
from autospec.spectra.workspace import Workspace

# Cores are solved when they hold this many bytes, so that memory is bounded whatever the number of layers.
_BYTES = 64 * 2**20


@dataclasses.dataclass
class StepRecord:
    """One observed step: the factors of each layer, and the samples of each group.

    Attributes
    ----------
    layers : dict of str to (factors or None, factors or None)
        Factors of a layer's activations and adjoints, None where those are not wanted, and of its gradient.
    order : list of int, length n
        The samples group by group.
    counts : dict of str to int
        Samples of each group, in that order and none zero; last those of ALL, where everyone is wanted too.
    """

    layers: dict[str, tuple]
    order: list[int]
    counts: dict[str, int]

    @functools.cached_property
    def groups(self) -> dict[str, torch.Tensor]:
        """Samples of each group, (n_g,)."""
        counts = {group: count for group, count in self.counts.items() if group != ALL}
        groups = dict(zip(counts, torch.tensor(self.order).split(list(counts.values())), strict=True))
        return groups | ({ALL: torch.arange(len(self.order))} if ALL in self.counts else {})


class StepSolver:
    """Spectra of every layer, quantity and group in each of several steps.

    Parameters
    ----------
    quantities : tuple of {"activation", "adjoint", "gradient"}
    """

    def __init__(self, quantities: tuple[str, ...]):
        self.quantities = quantities
        self._workspace = Workspace()
        self._cores: list[Cores] = []

    def solve(self, records: list[StepRecord]) -> dict[Key, list[tuple[list[int], np.ndarray]]]:
        """Solve some steps together.

        Returns
        -------
        dict
            (layer, quantity, group) to parts, each (positions in `records` of k steps; their descending
            float64 singular values, (k, r)). Activations are divided by the square root of the group's rows.
        """
        stacks: dict[tuple, list[int]] = {}
        single: list[tuple[int, str]] = []
        for step, record in enumerate(records):
            for layer, (rows, product) in record.layers.items():
                shape = stackable(rows, product)
                if shape:
                    stacks.setdefault((layer, *record.counts.items(), shape), []).append(step)
                else:
                    single.append((step, layer))
        solved: dict[Key, list] = {}
        self._cores = []
        for (layer, *_), steps in stacks.items():
            self._take(self._stacked(layer, steps, records), solved)
        for step, layer in single:
            self._take(self._one_step(step, layer, records[step]), solved)
        _solve(self._cores, solved)
        return solved

    def _take(self, cores: Iterable[Cores], solved: dict[Key, list]) -> None:
        """Take more cores; solve those that are there if they hold much memory."""
        self._cores += cores
        if sum(matrix.nbytes for core in self._cores for matrix in core.matrices) > _BYTES:
            _solve(self._cores, solved)
            self._cores = []

    def _stacked(self, layer: str, steps: list[int], records: list[StepRecord]) -> list[Cores]:
        """Cores of one layer with few rows in several steps."""
        first, product = records[steps[0]].layers[layer]
        wanted = set(self.quantities)
        if product is None or not first.trained:
            wanted.discard("gradient")
        factors = [records[step].layers[layer][0] for step in steps]
        order, counts = torch.tensor([records[step].order for step in steps]), records[steps[0]].counts
        number = len(self._cores)
        return Stack(layer, steps, factors, order, counts, wanted, self._workspace, number).cores()

    def _one_step(self, step: int, layer: str, record: StepRecord):
        """Cores of one layer with many rows in one step: Gram matrices of what is formed."""
        rows, product = record.layers[layer]
        for quantity in ("activation", "adjoint"):
            if rows is None or quantity not in self.quantities or (quantity == "adjoint" and rows.adjoints is None):
                continue
            matrix = rows.inputs if quantity == "activation" else rows.adjoints
            for group, core, count in _row_grams(matrix, record.groups):
                scale = count**-0.5 if quantity == "activation" else 1.0
                length = min(count, matrix.shape[-1])
                yield Cores(layer, quantity, [group], [step], (core[None, None],), length, scale)
        if "gradient" in self.quantities and product is not None and product.trained and product.adjoints is not None:
            for group, gradient in _group_gradients(product, record.groups):
                yield Cores(layer, "gradient", [group], [step], (gram(gradient)[None, None],), product.rank)


def _row_grams(matrix: torch.Tensor, groups: dict[str, torch.Tensor]):
    """Group, Gram matrix and row count of each group's rows of (n, t, p).

    Everyone's matrix is the sum of the groups' wherever theirs are (p, p).
    """
    total, width = 0.0, matrix.shape[-1]
    for group, samples in groups.items():
        count = len(samples) * matrix.shape[1]
        if group == ALL and torch.is_tensor(total):
            yield group, total, count
            continue
        core = gram(matrix[samples.to(matrix.device)].flatten(0, 1))
        total = total + core if count > width and total is not None else None
        yield group, core, count


def _group_gradients(product, groups: dict[str, torch.Tensor]):
    """Gradient of each group; everyone's is the sum of the others."""
    total, formed = 0.0, product.gradients if isinstance(product, FormedFactors) else {}
    for group, samples in groups.items():
        if group == ALL and torch.is_tensor(total):
            yield group, total
            continue
        if formed:
            gradient = formed[group]
        else:
            gradient = product.gradient(samples.to(product.adjoints.device))
        total = total + gradient
        yield group, gradient


def _solve(cores: list[Cores], solved: dict[Key, list]) -> None:
    """Solve in batches of equal kind and size, on the CPU."""
    batches: dict[tuple, list[Cores]] = {}
    for core in cores:
        batches.setdefault((len(core.matrices), core.matrices[0].shape[-1]), []).append(core)
    for (kind, _), batch in batches.items():
        stacks = [torch.cat([core.matrices[m].flatten(0, 1).cpu() for core in batch]) for m in range(kind)]
        values = (solve_gram if kind == 1 else solve_pair)(*stacks).numpy()
        position = 0
        for core in batch:
            count = len(core.steps) * len(core.groups)
            part = values[position : position + count, : core.length] * core.scale
            part = np.pad(part, ((0, 0), (0, core.length - part.shape[1])))
            part[np.isnan(part).any(axis=1)] = np.nan
            position += count
            for number, group in enumerate(core.groups):
                key = (core.layer, core.quantity, group)
                solved.setdefault(key, []).append((core.steps, part[number :: len(core.groups)]))
