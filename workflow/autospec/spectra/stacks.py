"""One layer with few rows in several steps, computed as one.

Calling a small operation costs more than its arithmetic, and a second thread pays for every call
twice, since the interpreter changes hands. So the steps of a layer are computed together, and with
them groups of equal size.
Indices: s steps, n samples, t rows a sample, g groups of m rows, p inputs, q outputs, r = min(p, q).
"""

import dataclasses
import itertools

import numpy as np
import torch

from autospec.spectra.decompose import self_product
from autospec.spectra.factors import ALL
from autospec.spectra.labels import Alike
from autospec.spectra.stacked import Stacked
from autospec.spectra.workspace import Array, Workspace, array

# Doubles of a layer's rows held at a time: few enough to stay near the core that works on them.
_BLOCK = 2**19

Key = tuple[str, str, str]


@dataclasses.dataclass
class Cores:
    """Matrices to be solved, (s, g, k, k) each, of one quantity for g groups in s steps.

    Several layers have the same where they saw the same, as an LSTM's two weights do.
    """

    layers: list[str]
    quantity: str
    groups: list[str]
    steps: list[int]
    matrices: tuple[Array, ...]
    length: int
    scale: float = 1.0


@dataclasses.dataclass
class Family:
    """Groups of equal size that lie side by side among the samples in order: [first, first + g size)."""

    groups: list[str]
    first: int
    size: int

    @property
    def span(self) -> slice:
        return slice(self.first, self.first + len(self.groups) * self.size)


def families(counts: dict[str, int], everyone: bool) -> list[Family]:
    """Everyone, if wanted; then neighbouring groups of equal size together.

    `counts` has the samples of each group, in the order in which they lie.
    """
    found = [Family([ALL], 0, sum(counts.values()))] if everyone else []
    first = 0
    for size, groups in itertools.groupby(counts, key=counts.__getitem__):
        found.append(Family(list(groups), first, size))
        first = found[-1].span.stop
    return found


class Stack:
    """The cores of one layer in several steps.

    On the CPU all is done by NumPy: torch lets the interpreter go at every call, and takes it again, small ones and
    views included, and the training thread waits each time that it finds it taken.

    Parameters
    ----------
    stacked : Stacked
    part : Alike
        Which of the steps that it holds, s of them, with the sizes of their groups and the order of their samples.
    everyone : bool
    quantities : set of {"activation", "adjoint", "gradient"}
    workspace : Workspace
    """

    def __init__(
        self,
        stacked: Stacked,
        part: Alike,
        everyone: bool,
        quantities: set[str],
        workspace: Workspace,
    ):
        self.layer, self.steps = stacked.kind.layer, [stacked.steps[place] for place in part.places]
        self.families, self._workspace = families(part.counts, everyone), workspace
        self.seen = {side: array(memory) for side, memory in zip(("inputs", "adjoints"), stacked.memory, strict=False)}
        shape = self.seen["inputs"].shape
        self.samples, self.per_sample = shape[1], shape[2] if len(shape) == 4 else 1
        self.widths = {side: memory.shape[-1] for side, memory in self.seen.items()}
        # Of the samples of all steps, one after another.
        order = part.order + self.samples * torch.tensor(part.places)[:, None]
        self.order = array(order.to(stacked.memory[0].device))
        self.quantities = quantities if "adjoints" in self.widths else quantities & {"activation"}
        if not stacked.kind.trained:
            self.quantities = self.quantities - {"gradient"}
        self._kept: dict[tuple, Array] = {}
        self._everyones_rows: set[str] = set()

    def cores(self) -> list[Cores]:
        """What is to be solved, in memory of the workspace's until that is released."""
        most = self.samples * self.per_sample * max(self.widths.values())
        each = max(1, _BLOCK // most)
        for first in range(0, len(self.steps), each):
            part = slice(first, min(first + each, len(self.steps)))
            rows = {side: self._rows(side, part) for side in self.widths}
            with np.errstate(all="ignore"):  # a training that diverges goes on
                for family in self.families:
                    self._reduce(family, rows, part)
        return [core for family in self.families for core in self._cores(family)]

    def _cores(self, family: Family):
        groups, rank = family.groups, min(self.widths.values())
        count = family.size * self.per_sample
        for quantity, side in (("activation", "inputs"), ("adjoint", "adjoints")):
            if quantity in self.quantities:
                scale = count**-0.5 if quantity == "activation" else 1.0
                length = min(count, self.widths[side])
                core = (self._kept[side, *groups],)
                yield Cores([self.layer], quantity, groups, self.steps, core, length, scale)
        if "gradient" in self.quantities:
            sides = ("inputs", "adjoints") if self._by_rows(family) else ("gradient",)
            core = tuple(self._kept[side, *groups] for side in sides)
            yield Cores([self.layer], "gradient", groups, self.steps, core, rank)

    def _by_rows(self, family: Family) -> bool:
        """Whether a gradient's spectrum comes from the row Gram matrices: no more rows than singular values."""
        return family.size * self.per_sample <= min(self.widths.values())

    def _rows(self, side: str, part: slice) -> Array:
        """What the layer saw in some of the steps, group by group: (s, n t, p) float64."""
        seen, order = self.seen[side], self.order[part].reshape(-1)
        seen = seen.reshape(-1, *seen.shape[2:])
        rows = self._workspace.take("sorted", (len(order), *seen.shape[1:]), seen, seen.dtype)
        if isinstance(seen, torch.Tensor):
            torch.index_select(seen, 0, order, out=rows)
        else:
            np.take(seen, order, axis=0, out=rows, mode="clip")
        shape = (part.stop - part.start, self.samples * self.per_sample, self.widths[side])
        wide = self._workspace.take(side, shape, seen)
        wide[...] = rows.reshape(shape)
        return wide

    def _reduce(self, family: Family, rows: dict[str, Array], part: slice) -> None:
        """Put a family's matrices of some steps where they are kept: (s, g, k, k)."""
        size, groups = family.size * self.per_sample, len(family.groups)
        span = slice(family.span.start * self.per_sample, family.span.stop * self.per_sample)
        steps = part.stop - part.start
        mine = {side: rows[side][:, span].reshape(steps, groups, size, width) for side, width in self.widths.items()}
        pair = "gradient" in self.quantities and self._by_rows(family)
        if "gradient" in self.quantities and not pair:
            product = mine["adjoints"].swapaxes(-2, -1) @ mine["inputs"]
            wide = product if product.shape[-2] <= product.shape[-1] else product.swapaxes(-2, -1)
            self._keep("gradient", family, wide, part)
        for quantity, side in (("activation", "inputs"), ("adjoint", "adjoints")):
            if pair or quantity in self.quantities:
                if pair or size < self.widths[side]:
                    self._keep_row_grams(side, family, mine[side], part)
                else:
                    self._keep(side, family, mine[side].swapaxes(-2, -1), part)

    def _keep_row_grams(self, side: str, family: Family, mine: Array, part: slice) -> None:
        # Where n t = p, only this tells a matrix of rows from one of columns.
        if family.groups != [ALL] and side in self._everyones_rows:
            everyone, kept = self._kept[side, ALL], self._place(side, family, mine)
            for number in range(len(family.groups)):
                first = (family.first + number * family.size) * self.per_sample
                span = slice(first, first + mine.shape[2])
                kept[part, number] = everyone[part, 0, span, span]
            return
        if family.groups == [ALL]:
            self._everyones_rows.add(side)
        self._keep(side, family, mine, part)

    def _keep(self, side: str, family: Family, wide: Array, part: slice) -> None:
        """Keep X X^T of (s, g, k, m)."""
        self_product(wide, out=self._place(side, family, wide)[part])

    def _place(self, side: str, family: Family, wide: Array) -> Array:
        key = (side, *family.groups)
        if key not in self._kept:
            self._kept[key] = self._workspace.keep((len(self.steps), *wide.shape[1:3], wide.shape[2]), wide)
        return self._kept[key]
