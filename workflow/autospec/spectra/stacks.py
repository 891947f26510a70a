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
from autospec.spectra.labels import Layout
from autospec.spectra.stacked import Stacked
from autospec.spectra.workspace import Array, Workspace, array

# Doubles of a layer's rows held at a time: few enough to stay near the core that works on them.
_BLOCK = 2**19

Key = tuple[str, str, str]


@dataclasses.dataclass
class Cores:
    """Matrices to be solved, (s, g, k, k) each, of one quantity for g groups in s steps.

    Several layers have the same where they saw the same, as an LSTM's two weights do. Where not all groups have as
    many rows as there was room for, `rows`, (s, g), are those that they have, and what is scaled by them is yet to be.
    """

    layers: list[str]
    quantity: str
    groups: list[str]
    steps: list[int]
    matrices: tuple[Array, ...]
    length: int
    scale: float = 1.0
    rows: np.ndarray | None = None


@dataclasses.dataclass
class Family:
    """Groups of equal size that lie side by side among the samples in order: [first, first + g size).

    Where a layout is filled, `sizes`, (s, g), are those without what fills it.
    """

    groups: list[str]
    first: int
    size: int
    sizes: np.ndarray | None = None

    @property
    def span(self) -> slice:
        return slice(self.first, self.first + len(self.groups) * self.size)


def families(layout: Layout, everyone: bool) -> list[Family]:
    """Everyone, if wanted; then neighbouring groups of equal size together."""
    found = [Family([ALL], 0, sum(layout.room))] if everyone else []
    first = column = 0
    for size, places in itertools.groupby(range(len(layout.groups)), key=layout.room.__getitem__):
        groups = [layout.groups[place] for place in places]
        sizes = layout.sizes[:, column : column + len(groups)] if layout.filled else None
        found.append(Family(groups, first, size, sizes))
        first, column = found[-1].span.stop, column + len(groups)
    return found


class Stack:
    """The cores of one layer in several steps.

    On the CPU all is done by NumPy: torch lets the interpreter go at every call, and takes it again, small ones and
    views included, and the training thread waits each time that it finds it taken.

    Parameters
    ----------
    stacked : Stacked
    layout : Layout
        Of its s steps.
    everyone : bool
        Whether the spectra of all samples together are wanted too.
    quantities : set of {"activation", "adjoint", "gradient"}
    workspace : Workspace
    """

    def __init__(
        self,
        stacked: Stacked,
        layout: Layout,
        everyone: bool,
        quantities: set[str],
        workspace: Workspace,
    ):
        self.layer, self.steps = stacked.kind.layer, [stacked.steps[place] for place in layout.places]
        self.families, self._workspace = families(layout, everyone), workspace
        self.seen = {side: array(memory) for side, memory in zip(("inputs", "adjoints"), stacked.memory, strict=False)}
        shape = self.seen["inputs"].shape
        self.samples, self.per_sample = shape[1], shape[2] if len(shape) == 4 else 1
        self.widths = {side: memory.shape[-1] for side, memory in self.seen.items()}
        self._room = layout.order.shape[1]
        # Of the samples of all steps, one after another; of rows that only fill, those of the step's last sample.
        order = np.minimum(layout.order, self.samples - 1) + self.samples * np.array(layout.places)[:, None]
        self.order = array(torch.from_numpy(order).to(stacked.memory[0].device))
        self._filling = layout.order == self.samples if layout.filled else None
        self.quantities = quantities if "adjoints" in self.widths else quantities & {"activation"}
        if not stacked.kind.trained:
            self.quantities = self.quantities - {"gradient"}
        self._kept: dict[tuple, Array] = {}
        # In the steps at hand, where that is everyone's Gram matrix of rows.
        self._everyone: dict[str, Array] = {}

    def cores(self) -> list[Cores]:
        """What is to be solved, in memory of the workspace's until that is released."""
        most = self._room * self.per_sample * max(self.widths.values())
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
        count = (self.samples if groups == [ALL] else family.size) * self.per_sample
        rows = None if family.sizes is None else family.sizes * self.per_sample
        for quantity, side in (("activation", "inputs"), ("adjoint", "adjoints")):
            if quantity in self.quantities:
                scale = count**-0.5 if quantity == "activation" and rows is None else 1.0
                length = min(count, self.widths[side])
                core = (self._kept[side, *groups],)
                yield Cores([self.layer], quantity, groups, self.steps, core, length, scale, rows)
        if "gradient" in self.quantities:
            sides = ("inputs", "adjoints") if self._by_rows(family) else ("gradient",)
            core = tuple(self._kept[side, *groups] for side in sides)
            yield Cores([self.layer], "gradient", groups, self.steps, core, rank, rows=rows)

    def _by_rows(self, family: Family) -> bool:
        """Whether a gradient's spectrum comes from the row Gram matrices: no more rows than singular values."""
        size = self.samples if family.groups == [ALL] else family.size
        return size * self.per_sample <= min(self.widths.values())

    def _rows(self, side: str, part: slice) -> Array:
        """What the layer saw in some of the steps, group by group, zeros where it is filled: (s, m t, p) float64."""
        seen, order = self.seen[side], self.order[part].reshape(-1)
        seen = seen.reshape(-1, *seen.shape[2:])
        rows = self._workspace.take("sorted", (len(order), *seen.shape[1:]), seen, seen.dtype)
        if isinstance(seen, torch.Tensor):
            torch.index_select(seen, 0, order, out=rows)
        else:
            np.take(seen, order, axis=0, out=rows, mode="clip")
        shape = (part.stop - part.start, self._room * self.per_sample, self.widths[side])
        wide = self._workspace.take(side, shape, seen)
        wide[...] = rows.reshape(shape)
        if self._filling is not None:
            wide.reshape(-1, self.per_sample, shape[2])[np.flatnonzero(self._filling[part])] = 0.0
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
                count = self.samples * self.per_sample if family.groups == [ALL] else size
                if pair or count < self.widths[side]:
                    self._keep_row_grams(side, family, mine[side], part)
                else:
                    self._keep(side, family, mine[side].swapaxes(-2, -1), part)

    def _keep_row_grams(self, side: str, family: Family, mine: Array, part: slice) -> None:
        if family.groups == [ALL]:
            self._everyone[side] = self._everyones_gram(side, family, mine, part)
            return
        if self._everyone.get(side) is None:
            self._keep(side, family, mine, part)
            return
        kept, everyone = self._place(side, family, mine), self._everyone[side]
        for number in range(len(family.groups)):
            first = (family.first + number * family.size) * self.per_sample
            span = slice(first, first + mine.shape[2])
            kept[part, number] = everyone[:, span, span]

    def _everyones_gram(self, side: str, family: Family, mine: Array, part: slice) -> Array:
        """Keep everyone's, without what fills the layout; give it with that, whose blocks are the groups'."""
        if self._filling is None:
            self._keep(side, family, mine, part)
            return self._kept[side, ALL][part, 0]
        steps, rows = len(mine), self._room * self.per_sample
        filled = self._workspace.take(f"everyone's {side}", (steps, rows, rows), mine)
        self_product(mine[:, 0], out=filled)
        there = np.argsort(self._filling[part], axis=1, kind="stable")[:, : self.samples]
        there = (there[:, :, None] * self.per_sample + np.arange(self.per_sample)).reshape(steps, -1)
        # Rows of the matrices of all steps, one under another, and then columns of each.
        lines = (there + rows * np.arange(steps)[:, None]).reshape(-1)
        columns = there[:, None, :].repeat(there.shape[1], axis=1).reshape(len(lines), -1)
        kept = self._place(side, family, mine[:, :, : there.shape[1]])[part, 0]
        if isinstance(filled, torch.Tensor):
            lines, columns = (torch.from_numpy(index).to(filled.device) for index in (lines, columns))
            kept[...] = filled.reshape(-1, rows)[lines].gather(1, columns).reshape(kept.shape)
        else:
            kept[...] = np.take_along_axis(filled.reshape(-1, rows)[lines], columns, axis=1).reshape(kept.shape)
        return filled

    def _keep(self, side: str, family: Family, wide: Array, part: slice) -> None:
        """Keep X X^T of (s, g, k, m)."""
        self_product(wide, out=self._place(side, family, wide)[part])

    def _place(self, side: str, family: Family, wide: Array) -> Array:
        key = (side, *family.groups)
        if key not in self._kept:
            self._kept[key] = self._workspace.keep((len(self.steps), *wide.shape[1:3], wide.shape[2]), wide)
        return self._kept[key]
