"""Observed steps on their way to the solver.

What layers with few rows saw is copied, sample by sample in the order of the groups, into memory that is
used again, so that the training loop gets its own memory back, which would otherwise go cold. Once a step
has shown which layers there are, the next steps are copied as the layers see them, while all is still in
the cache. Of other layers a reference is kept.
Indices: s steps, n samples, t rows a sample, p inputs, q outputs.
"""

import array
import collections
import dataclasses
import functools

import torch

from autospec.spectra.call import Call, add_gradient
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

    def __post_init__(self):
        self.sides = {"inputs": Side(self.inputs)}
        if self.adjoints is not None:
            self.sides["adjoints"] = Side(self.adjoints)

    def add(self, step: int, inputs: torch.Tensor, adjoints: torch.Tensor | None, order: torch.Tensor) -> None:
        """Take one step."""
        self.sides["inputs"].place(len(self.steps), inputs, order)
        if adjoints is not None:
            self.sides["adjoints"].place(len(self.steps), adjoints, order)
        self.steps.append(step)


class Side:
    """Where the inputs or the adjoints of each step go; `kind` is the shape, type and device that fit."""

    def __init__(self, memory: torch.Tensor):
        self._steps = memory.unbind(0)
        self.kind = kind_of(self._steps[0])

    def place(self, position: int, rows: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
        """Copy what one step brought, group by group; gives the memory."""
        return torch.index_select(rows.detach(), 0, order, out=self._steps[position])


class Arrivals:
    """One step whose rows are copied as its layers see them, as long as it looks like the step before.

    Parameters
    ----------
    stacks : list of Stacked
        Where the calls of the step before went, in their order.
    order : list of int, length n
        The samples group by group.

    Attributes
    ----------
    failed : bool
        Whether a call came that does not look like that of the step before.
    """

    def __init__(self, stacks: list[Stacked], order: list[int]):
        self.failed = False
        self._stacks, self._order = stacks, indices(order, stacks[0].inputs.device)
        self._calls: list[Call] = []
        self._reached = 0

    @property
    def complete(self) -> bool:
        """Whether all has come that was expected, and nothing else."""
        return not self.failed and len(self._calls) == self._reached == len(self._stacks)

    def take(self, call: Call, inputs: torch.Tensor, output: torch.Tensor) -> bool:
        """Copy what the next call saw, and later its adjoints; False where it is not the call expected."""
        position = len(self._calls)
        if self.failed or position == len(self._stacks) or not self._expected(self._stacks[position], call, inputs):
            self.failed = True
            return False
        stack, order = self._stacks[position], self._order
        adjoints, step = stack.sides["adjoints"], len(stack.steps)

        def arrived(gradient):
            if call.gradients[0] is None and not self.failed and kind_of(gradient) == adjoints.kind:
                call.gradients[0] = adjoints.place(step, gradient, order)
                self._reached += 1
                return
            self.release()
            call.gradients[0] = add_gradient(call.gradients[0], gradient)

        if not output.requires_grad:
            self.failed = True
            return False
        call.arguments = (stack.sides["inputs"].place(step, inputs, order),)
        self._calls.append(call)
        output.register_hook(arrived)
        return True

    @staticmethod
    def _expected(stack: Stacked, call: Call, inputs: torch.Tensor) -> bool:
        if stack.layer != call.name or stack.trained != call.module.weight.requires_grad:
            return False
        if stack.adjoints is None or not (call.batch_first or inputs.dim() == 2):
            return False
        return kind_of(inputs) == stack.sides["inputs"].kind

    def release(self) -> None:
        """Give the calls what they saw back in the order of the samples, as if nothing had been copied."""
        self.failed = True
        back = torch.argsort(self._order)
        for call in self._calls:
            call.arguments = (call.arguments[0][back],)
            if call.gradients[0] is not None:
                call.gradients = [call.gradients[0][back]]
        self._calls = []


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
        self._last: tuple[StepRecord, list[Stacked]] | None = None
        self._free: dict[tuple, list[Stacked]] = collections.defaultdict(list)

    def add(self, record: StepRecord, calls: list[Call]) -> None:
        """Take one step, which came from these calls."""
        step, order, places = len(self.batch.records), None, []
        counts = tuple(record.counts.items())
        for layer, (rows, product) in record.layers.items():
            if not _stackable(rows, product):
                self.batch.single.append((step, layer))
                record.layers[layer] = (secured(rows), secured(product) if product is not rows else product)
                if product is rows:
                    record.layers[layer] = (record.layers[layer][0],) * 2
                continue
            if order is None:
                order = indices(record.order, rows.inputs_seen.device)
            trained = product is not None and rows.trained
            key = (layer, counts, rows.width, trained, *kind_of(rows.inputs_seen))
            stack = self.batch.stacks.get(key)
            if stack is None:
                stack = self.batch.stacks[key] = self._stack(key, layer, record.counts, trained, rows)
            stack.add(step, rows.inputs_seen, rows.adjoints_seen, order)
            places.append(stack)
            record.layers[layer] = (secured(rows),) * 2 if self.keep_rows else None
        self.batch.records.append(record)
        alike = [call.name for call in calls] == [stack.layer for stack in places]
        self._last = (record, places) if alike and places and not self.keep_rows else None

    def expect(self, order: list[int], counts: dict[str, int]) -> Arrivals | None:
        """A step that may look like the last one; None where that cannot be, or where more than its rows is wanted."""
        if self._last is None or counts != self._last[0].counts:
            return None
        return Arrivals(self._last[1], order)

    def add_arrived(self) -> None:
        """Take a step whose rows all came as expected."""
        record, places = self._last
        for stack in places:
            stack.steps.append(len(self.batch.records))
        self.batch.records.append(record)

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


def indices(order: list[int], device: torch.device) -> torch.Tensor:
    """Positions as a tensor on a device, without waiting for what the device has still to do."""
    found = torch.frombuffer(array.array("q", order), dtype=torch.int64)
    return found.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else found


def kind_of(tensor: torch.Tensor) -> tuple:
    """Shape, type and device."""
    return tensor.shape, tensor.dtype, tensor.device


def _stackable(rows, product) -> bool:
    """Whether a layer has few rows and a weight of its own."""
    if type(rows) is not Factors or (product is not None and product is not rows):
        return False
    n, t, _ = rows.shape
    return n * t <= _FEW_ROWS
