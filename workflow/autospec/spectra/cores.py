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
from autospec.spectra.factors import Factors, FormedFactors
from autospec.spectra.workspace import Workspace

#: The name of everyone together.
ALL = "all"

# Above this many rows a layer's products are large enough to be computed step by step.
_FEW_ROWS = 512

# Cores are solved when they hold this many bytes, so that memory is bounded whatever the number of layers.
_BYTES = 64 * 2**20

Key = tuple[str, str, str]


@dataclasses.dataclass
class StepRecord:
    """One observed step: the factors of each layer, and the samples of each group.

    `layers` maps a layer to (factors of its activations and adjoints, or None where those are not wanted;
    factors of its gradient, or None); `groups` maps a group to sample indices, (n_g,), none of them empty.
    Those of ALL, where everyone together is wanted too, come last; the other groups divide the samples.
    """

    layers: dict[str, tuple]
    groups: dict[str, torch.Tensor]

    @functools.cached_property
    def order(self) -> torch.Tensor:
        """The samples group by group, (n,)."""
        return torch.cat([samples for group, samples in self.groups.items() if group != ALL])

    @functools.cached_property
    def spans(self) -> dict[str, tuple[int, int]]:
        """Where each group lies in `order`: first, and one past the last."""
        spans, first = {}, 0
        for group, samples in self.groups.items():
            spans[group] = (0, len(samples)) if group == ALL else (first, first + len(samples))
            first += len(samples)
        return spans


@dataclasses.dataclass
class _Cores:
    """Matrices to be solved, (s, m, m) each, for one key in several steps."""

    key: Key
    steps: list[int]
    matrices: tuple[torch.Tensor, ...]
    length: int
    scale: float = 1.0


class StepSolver:
    """Spectra of every layer, quantity and group in each of several steps.

    Parameters
    ----------
    quantities : tuple of {"activation", "adjoint", "gradient"}
    """

    def __init__(self, quantities: tuple[str, ...]):
        self.quantities = quantities
        self._workspace = Workspace()
        self._cores: list[_Cores] = []

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
                shape = _stackable(rows, product)
                if shape:
                    stacks.setdefault((layer, *record.spans.items(), shape), []).append(step)
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

    def _take(self, cores: Iterable[_Cores], solved: dict[Key, list]) -> None:
        """Take more cores; solve those that are there if they hold much memory."""
        self._cores += cores
        if sum(matrix.nbytes for core in self._cores for matrix in core.matrices) > _BYTES:
            _solve(self._cores, solved)
            self._cores = []

    def _stacked(self, layer: str, steps: list[int], records: list[StepRecord]) -> list[_Cores]:
        """Cores of one layer with few rows in several steps."""
        first, product = records[steps[0]].layers[layer]
        spans = records[steps[0]].spans
        n, t, p = first.inputs.shape
        inputs = self._rows("inputs", layer, steps, records)
        adjoints = None if first.adjoints is None else self._rows("adjoints", layer, steps, records)
        input_grams, adjoint_grams = self._grams("inputs", inputs, spans), self._grams("adjoints", adjoints, spans)
        wanted = self.quantities if adjoints is not None else [q for q in self.quantities if q == "activation"]
        cores = []
        for group, (begin, end) in spans.items():
            count = (end - begin) * t

            def row_core(rows, grams, group=group, begin=begin, end=end, count=count):
                return grams(group) if count < rows.shape[-1] else gram(rows[:, begin * t : end * t])

            if "activation" in wanted:
                core = row_core(inputs, input_grams)
                cores.append(_Cores((layer, "activation", group), steps, (core,), min(count, p), count**-0.5))
            if "adjoint" in wanted:
                length = min(count, adjoints.shape[-1])
                core = row_core(adjoints, adjoint_grams)
                cores.append(_Cores((layer, "adjoint", group), steps, (core,), length))
            if "gradient" in wanted and product is not None and first.trained:
                key, rank = (layer, "gradient", group), first.rank
                if count <= rank:
                    cores.append(_Cores(key, steps, (input_grams(group), adjoint_grams(group)), rank))
                else:
                    part = slice(begin * t, end * t)
                    cores.append(_Cores(key, steps, (gram(adjoints[:, part].mT @ inputs[:, part]),), rank))
        return cores

    def _rows(self, name: str, layer: str, steps: list[int], records: list[StepRecord]) -> torch.Tensor:
        """What one layer saw, group by group: (s, R, p) float64."""
        first = getattr(records[steps[0]].layers[layer][0], name)
        n, t, p = first.shape
        gathered = self._workspace.take("gathered", (len(steps), n, t, p), first, first.dtype)
        for target, step in zip(gathered, steps, strict=True):
            matrix = getattr(records[step].layers[layer][0], name)
            torch.index_select(matrix, 0, records[step].order.to(matrix.device), out=target)
        wide = self._workspace.take(name, (len(steps), n * t, p), first, torch.float64)
        return wide.copy_(gathered.view(len(steps), n * t, p))

    def _grams(self, name: str, rows: torch.Tensor | None, spans: dict[str, tuple[int, int]]):
        """A function from a group to the Gram matrix of its rows, (s, n_g t, n_g t), made when first asked for."""
        t = 0 if rows is None else rows.shape[1] // max(end for _, end in spans.values())

        @functools.cache
        def grams(group):
            if ALL in spans and group != ALL:
                part = slice(spans[group][0] * t, spans[group][1] * t)
                return grams(ALL)[:, part, part]
            part = rows[:, spans[group][0] * t : spans[group][1] * t]
            shape = (*part.shape[:2], part.shape[1])
            kept = self._workspace.take(f"{name} {group} {len(self._cores)}", shape, rows, rows.dtype)
            return torch.bmm(part, part.mT, out=kept)

        return grams

    def _one_step(self, step: int, layer: str, record: StepRecord):
        """Cores of one layer with many rows in one step: Gram matrices of what is formed."""
        rows, product = record.layers[layer]
        for quantity in ("activation", "adjoint"):
            if rows is None or quantity not in self.quantities or (quantity == "adjoint" and rows.adjoints is None):
                continue
            matrix = rows.inputs if quantity == "activation" else rows.adjoints
            for group, core, count in _row_grams(matrix, record.groups):
                scale = count**-0.5 if quantity == "activation" else 1.0
                yield _Cores((layer, quantity, group), [step], (core[None],), min(count, matrix.shape[-1]), scale)
        if "gradient" in self.quantities and product is not None and product.trained and product.adjoints is not None:
            for group, gradient in _group_gradients(product, record.groups):
                yield _Cores((layer, "gradient", group), [step], (gram(gradient)[None],), product.rank)


def _stackable(rows, product) -> tuple | None:
    """The sizes that must agree for several steps of a layer to be computed as one; None if too many rows."""
    if type(rows) is not Factors or (product is not None and product is not rows):
        return None
    n, t, p = rows.inputs.shape
    if n * t > _FEW_ROWS:
        return None
    q = None if rows.adjoints is None else rows.adjoints.shape[-1]
    return n, t, p, q, product is not None and rows.trained


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


def _solve(cores: list[_Cores], solved: dict[Key, list]) -> None:
    """Solve in batches of equal kind and size, on the CPU."""
    batches: dict[tuple, list[_Cores]] = {}
    for core in cores:
        batches.setdefault((len(core.matrices), core.matrices[0].shape[-1]), []).append(core)
    for (kind, _), batch in batches.items():
        stacks = [torch.cat([core.matrices[m].cpu() for core in batch]) for m in range(kind)]
        values = (solve_gram if kind == 1 else solve_pair)(*stacks).numpy()
        position = 0
        for core in batch:
            part = values[position : position + len(core.steps), : core.length] * core.scale
            part = np.pad(part, ((0, 0), (0, core.length - part.shape[1])))
            part[np.isnan(part).any(axis=1)] = np.nan
            position += len(core.steps)
            solved.setdefault(core.key, []).append((core.steps, part))
