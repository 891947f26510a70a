"""Observed steps on their way to the solver.

What layers with few rows saw is copied at once, sample by sample in the order of the groups, into
memory that is used again: while it is still in the cache, and so that the training loop gets its own
memory back, which would otherwise go cold. Of other layers a reference is kept.
Indices: s steps, n samples, t rows a sample, p inputs, q outputs.
"""

import collections
import dataclasses
import functools

import torch

from autospec.spectra.call import Call
from autospec.spectra.factors import ALL, Factors, secured

# Above this many rows a layer's products are large enough to be computed step by step.
_FEW_ROWS = 512


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


@dataclasses.dataclass
class Stacked:
    """What one layer with few rows saw in several steps, in the order of the groups.

    Attributes
    ----------
    layer : str
    counts : dict of str to int
        Samples of each group, and last those of ALL if wanted.
    trained : bool
        Whether the gradient's spectra are wanted.
    inputs : Tensor, (steps that there is room for, n, t, p)
    adjoints : Tensor or None, with q
    steps : list of int
        Positions of the steps that it holds.
    """

    layer: str
    counts: dict[str, int]
    trained: bool
    inputs: torch.Tensor
    adjoints: torch.Tensor | None
    steps: list[int] = dataclasses.field(default_factory=list)

    def fits(self, inputs: torch.Tensor, adjoints: torch.Tensor | None) -> bool:
        """Whether a step's tensors have the sizes and the type of those that are here."""
        if adjoints is None or self.adjoints is None or inputs.dtype != self.inputs.dtype:
            return False
        same = inputs.shape == self.inputs.shape[1:] and adjoints.shape == self.adjoints.shape[1:]
        return same and adjoints.dtype == self.adjoints.dtype

    def add(self, step: int, inputs: torch.Tensor, adjoints: torch.Tensor | None, order: torch.Tensor) -> None:
        """Take one step."""
        place = len(self.steps)
        torch.index_select(inputs, 0, order, out=self.inputs[place])
        if adjoints is not None:
            torch.index_select(adjoints, 0, order, out=self.adjoints[place])
        self.steps.append(step)


@dataclasses.dataclass
class Batch:
    """Several steps, as the solver takes them: layers stacked over steps, and all others by step."""

    records: list[StepRecord] = dataclasses.field(default_factory=list)
    stacks: dict[tuple, Stacked] = dataclasses.field(default_factory=dict)
    single: list[tuple[int, str]] = dataclasses.field(default_factory=list)


class Gatherer:
    """Fills batches of steps, and takes the memory of solved ones back.

    Parameters
    ----------
    steps : int
        Steps a batch.
    keep_rows : bool
        Whether records keep the factors of stacked layers too, for others than the solver.
    """

    def __init__(self, steps: int, keep_rows: bool):
        self.steps, self.keep_rows = steps, keep_rows
        self.batch = Batch()
        self._last: StepRecord | None = None
        self._free: dict[tuple, list[Stacked]] = collections.defaultdict(list)

    def add(self, record: StepRecord) -> None:
        """Take one step."""
        step, order, stacked_alone = len(self.batch.records), None, True
        counts = tuple(record.counts.items())
        for layer, (rows, product) in record.layers.items():
            if not _stackable(rows, product):
                stacked_alone = False
                self.batch.single.append((step, layer))
                record.layers[layer] = (secured(rows), secured(product) if product is not rows else product)
                if product is rows:
                    record.layers[layer] = (record.layers[layer][0],) * 2
                continue
            if order is None:
                order = torch.tensor(record.order, device=rows.inputs_seen.device)
            trained = product is not None and rows.trained
            key = (layer, counts, rows.inputs_seen.shape, rows.width, trained, rows.inputs_seen.dtype)
            stack = self.batch.stacks.get(key)
            if stack is None:
                stack = self.batch.stacks[key] = self._stack(key, layer, record.counts, trained, rows)
            stack.add(step, rows.inputs_seen, rows.adjoints_seen, order)
            record.layers[layer] = (secured(rows),) * 2 if self.keep_rows else None
        self.batch.records.append(record)

        self._last = record if stacked_alone and not self.keep_rows else None

    def add_alike(self, calls: list[Call], order: list[int], counts: dict[str, int]) -> bool:
        """Take a step whose calls look like those of the last one, without a look at what they are.

        False, and nothing taken, where they do not, or where the last step had more than stacked layers.
        """
        last = self._last
        if last is None or counts != last.counts or len(calls) != len(self.batch.stacks):
            return False
        stacks = self.batch.stacks.values()
        for call, stack in zip(calls, stacks, strict=True):
            if call.name != stack.layer or not stack.fits(call.arguments[0], call.gradients[0]):
                return False
            if not call.batch_first and call.arguments[0].dim() > 2:
                return False
        step, order = len(self.batch.records), torch.tensor(order, device=calls[0].arguments[0].device)
        for call, stack in zip(calls, stacks, strict=True):
            stack.add(step, call.arguments[0], call.gradients[0], order)
        self.batch.records.append(last)
        return True

    def take(self) -> Batch:
        """The batch that is being filled; begin another."""
        batch, self.batch, self._last = self.batch, Batch(), None
        return batch

    def give_back(self, batch: Batch) -> None:
        """Use a solved batch's memory again."""
        for key, stack in batch.stacks.items():
            stack.steps = []
            self._free[key].append(stack)

    def forget(self) -> None:
        """Let all memory go that is not in use."""
        self._free.clear()

    def _stack(self, key: tuple, layer: str, counts: dict[str, int], trained: bool, rows: Factors) -> Stacked:
        if self._free[key]:
            return self._free[key].pop()
        adjoints = rows.adjoints_seen
        inputs = rows.inputs_seen.new_empty((self.steps, *rows.inputs_seen.shape))
        adjoints = None if adjoints is None else adjoints.new_empty((self.steps, *adjoints.shape))
        return Stacked(layer, counts, trained, inputs, adjoints)


def _stackable(rows, product) -> bool:
    """Whether a layer has few rows and a weight of its own."""
    if type(rows) is not Factors or (product is not None and product is not rows):
        return False
    n, t, _ = rows.shape
    return n * t <= _FEW_ROWS
