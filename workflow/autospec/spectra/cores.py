"""From what layers saw in several steps to the spectra of every group in every step.

A spectrum costs a few small operations, and calling them costs more than their arithmetic. So
steps are gathered, and what has equal sizes is computed together, over layers, groups and steps.
Indices: s steps, n samples, t rows a sample, R = n t rows, p inputs, q outputs, r = min(p, q).
"""

import math
from collections.abc import Iterable

import numpy as np
import torch

from autospec.spectra.decompose import gram, solve_gram, solve_pair
from autospec.spectra.factors import group_gradients
from autospec.spectra.gather import Batch, StepRecord
from autospec.spectra.labels import Layout, layouts
from autospec.spectra.rows import group_grams
from autospec.spectra.stacks import Cores, Key, Stack
from autospec.spectra.workspace import Array, Workspace

# Cores are solved when they hold this many bytes, so that memory is bounded whatever the number of layers.
_BYTES = 64 * 2**20

# Doubles of one layer's cores from which on putting them beside others' costs more than a call of their own.
_MANY = 2**18


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
        self._alike: dict[tuple, list[Cores]] = {}

    def solve(self, batch: Batch) -> dict[Key, list[tuple[list[int], np.ndarray]]]:
        """Solve the steps of a batch together.

        Returns
        -------
        dict
            (layer, quantity, group) to parts, each (positions of k steps in the batch; their descending
            float64 singular values, (k, r)). Activations are divided by the square root of the group's rows.
        """
        solved: dict[Key, list] = {}
        self._forget()
        parts: dict[tuple, list[Layout]] = {}
        for stacked in filter(lambda stacked: stacked.steps, batch.stacks.values()):
            steps = tuple(stacked.steps)
            if steps not in parts:
                parts[steps] = layouts([batch.records[step].labels for step in steps])
            for layout in parts[steps]:
                everyone = batch.records[0].everyone
                stack = Stack(stacked, layout, everyone, set(self.quantities), self._workspace)
                self._take(stack.cores(), solved)
        for step, layer in batch.single:
            self._take(self._one_step(step, layer, batch.records[step]), solved)
        _solve(self._cores, solved)
        self._forget()
        return solved

    def _take(self, cores: Iterable[Cores], solved: dict[Key, list]) -> None:
        """Take more cores; solve those that are there if they hold much memory."""
        self._cores += cores
        if sum(matrix.nbytes for core in self._cores for matrix in core.matrices) > _BYTES:
            _solve(self._cores, solved)
            self._forget()

    def _forget(self) -> None:
        self._cores, self._alike = [], {}
        self._workspace.release()

    def _one_step(self, step: int, layer: str, record: StepRecord) -> list[Cores]:
        """Cores of one layer with many rows in one step: Gram matrices of what is formed."""
        rows, product = record.layers[layer]
        cores = []
        for quantity, side in (("activation", "inputs"), ("adjoint", "adjoints")):
            if quantity in self.quantities and rows is not None and (side == "inputs" or rows.reached):
                cores += self._of_rows(step, layer, quantity, side, record)
        if "gradient" in self.quantities and product is not None and product.trained and product.reached:
            for group, gradient in group_gradients(product, record.groups):
                cores.append(Cores([layer], "gradient", [group], [step], (gram(gradient)[None, None],), product.rank))
        return cores

    def _of_rows(self, step: int, layer: str, quantity: str, side: str, record: StepRecord) -> list[Cores]:
        """Cores of a layer's activations or adjoints; none anew where another layer saw the very same."""
        rows = record.layers[layer][0]
        # Rows made anew whenever they are asked for may lie where another layer's lay before.
        place = _place(getattr(rows, side)) if getattr(rows, "holds_rows", False) else (id(rows),)
        key = (step, side, *place)
        if key in self._alike:
            for core in self._alike[key]:
                core.layers.append(layer)
            return []
        self._alike[key] = []
        for group, core, count, width in group_grams(rows, side, record.groups, self._workspace):
            scale = count**-0.5 if quantity == "activation" else 1.0
            length = min(count, width)
            self._alike[key].append(Cores([layer], quantity, [group], [step], (core[None, None],), length, scale))
        return self._alike[key]


def _joined(parts: list[Array]) -> torch.Tensor:
    """(s, g, k, k) each, one after another: (m, k, k) on the CPU."""
    flat = [part.cpu().numpy() if isinstance(part, torch.Tensor) else part for part in parts]
    flat = [part.reshape(-1, *part.shape[-2:]) for part in flat]
    return torch.from_numpy(flat[0] if len(flat) == 1 else np.concatenate(flat))


def _place(matrix: torch.Tensor) -> tuple:
    """Where a tensor lies in memory, and how."""
    return matrix.data_ptr(), matrix.shape, matrix.stride()


def _solve(cores: list[Cores], solved: dict[Key, list]) -> None:
    """Solve in batches of equal kind and size, on the CPU."""
    batches: dict[tuple, list[Cores]] = {}
    for number, core in enumerate(cores):
        alone = number if math.prod(core.matrices[0].shape) >= _MANY else None
        batches.setdefault((len(core.matrices), core.matrices[0].shape[-1], alone), []).append(core)
    for (kind, *_), batch in batches.items():
        stacks = [_joined([core.matrices[m] for core in batch]) for m in range(kind)]
        values = (solve_gram if kind == 1 else solve_pair)(*stacks).numpy()
        position = 0
        for core in batch:
            count = len(core.steps) * len(core.groups)
            part = values[position : position + count, : core.length] * core.scale
            if part.shape[1] < core.length:
                part = np.pad(part, ((0, 0), (0, core.length - part.shape[1])))
            if core.rows is not None:
                _without_filling(part, core)
            part[np.isnan(part).any(axis=1)] = np.nan
            position += count
            for number, group in enumerate(core.groups):
                mine, steps = part[number :: len(core.groups)], core.steps
                if core.rows is not None:
                    there, most = np.flatnonzero(core.rows[:, number]), core.rows[:, number].max()
                    mine, steps = mine[there], [steps[place] for place in there]
                    mine = mine if core.quantity == "gradient" else mine[:, :most]
                for layer in core.layers:
                    solved.setdefault((layer, core.quantity, group), []).append((steps, mine))


def _without_filling(values: np.ndarray, core: Cores) -> None:
    """A group of fewer rows than there was room for has as many singular values, and others that are zero."""
    rows = core.rows.reshape(-1, 1)
    values *= np.where(np.arange(values.shape[1]) < rows, 1.0, 0.0)
    if core.quantity == "activation":
        values /= np.sqrt(np.maximum(rows, 1))
