"""Observed steps on their way to the solver.

What layers with few rows saw is copied into memory that is used again, so that the training loop gets its own
memory back, which would otherwise go cold. Once a step has shown which layers there are, all that the next one
brings is copied at once, when the last of it has come. Of other layers a reference is kept.
Indices: s steps, n samples, t rows a sample, p inputs, q outputs.
"""

import collections
import copy
import dataclasses
import functools

import torch

from autospec.spectra.call import Call, add_gradient, copied
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
    places : Tensor of int, (n,)
        Of each sample's group, its place in `counts`.
    counts : dict of str to int
        Samples of each group, none zero; last those of ALL, where everyone is wanted too.
    """

    layers: dict[str, tuple]
    places: torch.Tensor
    counts: dict[str, int]

    @property
    def samples(self) -> int:
        """How many samples there are."""
        return self.counts[ALL] if ALL in self.counts else sum(self.counts.values())

    @functools.cached_property
    def groups(self) -> dict[str, torch.Tensor]:
        """Samples of each group, (n_g,)."""
        groups = samples_of(self.places, {group: n for group, n in self.counts.items() if group != ALL})
        return groups | ({ALL: torch.arange(len(self.places))} if ALL in self.counts else {})


def samples_of(places: torch.Tensor, counts: dict[str, int]) -> dict[str, torch.Tensor]:
    """Samples of each group, (n_g,), from the place in `counts` of each sample's group, (n,)."""
    order = torch.argsort(places, stable=True)
    return dict(zip(counts, order.split(list(counts.values())), strict=True))


@dataclasses.dataclass(frozen=True)
class Kind:
    """What a layer with few rows sees in a step; steps of the same kind are stacked.

    Attributes
    ----------
    layer : str
    counts : tuple of (str, int)
        Groups and their samples, and last those of ALL if wanted.
    trained : bool
        Whether the gradient's spectra are wanted.
    sides : tuple of (shape, type, device)
        Of the inputs and, where there are any, of the adjoints.
    """

    layer: str
    counts: tuple
    trained: bool
    sides: tuple


class Stacked:
    """What one layer with few rows saw in several steps.

    Parameters
    ----------
    kind : Kind
    room : int
        Steps that there is room for.

    Attributes
    ----------
    memory : list of Tensor, (room, n, t, p) or (room, n, p)
        Of the inputs and, where there are any, of the adjoints.
    steps : list of int
        Positions of the steps that it holds.
    """

    def __init__(self, kind: Kind, room: int):
        self.kind, self.steps = kind, []
        self.memory = [torch.empty((room, *shape), dtype=dtype, device=at) for shape, dtype, at in kind.sides]
        self._places = list(zip(*(side.unbind(0) for side in self.memory), strict=True))

    def between(self, first: int, end: int) -> "Stacked":
        """Those of its steps that are in [first, end), counted from there, in the same memory."""
        held = [position for position, step in enumerate(self.steps) if first <= step < end]
        part = copy.copy(self)
        part.steps = [self.steps[position] - first for position in held]
        part.memory = [side[held[0] : held[-1] + 1] for side in self.memory] if held else []
        return part

    @property
    def next(self) -> tuple[torch.Tensor, ...]:
        """Where the next step's inputs go, and its adjoints."""
        return self._places[len(self.steps)]

    def expects(self, weight: torch.Tensor, inputs: torch.Tensor, output: torch.Tensor) -> bool:
        """Whether what a layer saw, and the gradient that its output will have, go here."""
        if not output.requires_grad or weight.requires_grad != self.kind.trained:
            return False
        return self.kind.sides == (kind_of(inputs), kind_of(output))


class Arrivals:
    """One step, whose layers are expected to see what they saw in the step before, in memory already there.

    Parameters
    ----------
    stacks : list of Stacked
        Where the calls of the step before went, in their order.
    places : Tensor of int, (n,)
        Of each sample's group, its place among the groups.

    Attributes
    ----------
    calls : list of Call
        Those that came as expected, unless the step is `complete`: then all they saw is in memory.
    """

    def __init__(self, stacks: list[Stacked], places: torch.Tensor):
        self.stacks, self.places = stacks, places
        self.calls: list[Call] = []
        self._seen: list[tuple] = []
        self._missing = len(stacks)
        self._copied = self._failed = False

    @property
    def complete(self) -> bool:
        """Whether all has come that was expected, and nothing else."""
        return self._copied and not self._failed

    def take(self, layer, inputs: torch.Tensor, output: torch.Tensor) -> bool:
        """Take what the next call of a layer saw, and later its adjoints; False where it is not what was expected.

        `layer` has a `name`, its `module`, and whether it is `batch_first`.
        """
        position = len(self._seen)
        stack = None if self._failed or position == len(self.stacks) else self.stacks[position]
        if stack is None or stack.kind.layer != layer.name or not stack.expects(layer.module.weight, inputs, output):
            self.fail()
            return False
        gradients: list[torch.Tensor | None] = [None]

        def arrived(gradient):
            if gradients[0] is not None or self._copied or self._failed:
                self.fail()
                gradients[0] = add_gradient(gradients[0], gradient)
                return
            gradients[0] = gradient
            self._missing -= 1
            if not self._missing:
                self._copy()

        output.register_hook(arrived)
        # Autograd keeps a trained layer's inputs, and refuses a backward pass after a change of them in place.
        self._seen.append((layer, inputs if stack.kind.trained else copied(inputs), gradients))
        return True

    def _copy(self) -> None:
        rows, memory = [], []
        for stack, (_, inputs, gradients) in zip(self.stacks, self._seen, strict=True):
            rows += inputs, gradients[0]
            memory += stack.next
            gradients[0] = None
        with torch.no_grad():
            torch._foreach_copy_(memory, rows)
        self._seen = [(layer, None, gradients) for layer, _, gradients in self._seen]
        self._copied = True

    def fail(self) -> None:
        """Give the calls what they saw, as if nothing had been expected."""
        if self._failed:
            return
        self._failed = True
        for stack, (layer, inputs, gradients) in zip(self.stacks, self._seen, strict=False):
            if self._copied:
                inputs, gradients[0] = (side.clone() for side in stack.next)
            elif gradients[0] is not None:
                gradients[0] = gradients[0].detach()
            self.calls.append(Call(layer.name, layer.module, (inputs.detach(),), gradients, layer.batch_first))
        self._seen = []


@dataclasses.dataclass
class Batch:
    """Several steps, as the solver takes them: layers stacked over steps, and all others by step."""

    records: list[StepRecord] = dataclasses.field(default_factory=list)
    stacks: dict[Kind, Stacked] = dataclasses.field(default_factory=dict)
    single: list[tuple[int, str]] = dataclasses.field(default_factory=list)

    def halves(self) -> list["Batch"]:
        """Its first and its second half of the steps, in the same memory."""
        middle = (len(self.records) + 1) // 2
        result = []
        for first, end in ((0, middle), (middle, len(self.records))):
            stacks = {kind: stack.between(first, end) for kind, stack in self.stacks.items()}
            single = [(step - first, layer) for step, layer in self.single if first <= step < end]
            result.append(Batch(self.records[first:end], stacks, single))
        return result


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
        self._last: tuple[StepRecord, list[Kind]] | None = None
        self._expected: list[Stacked] = []
        self._free: dict[Kind, list[Stacked]] = collections.defaultdict(list)

    def add(self, record: StepRecord, calls: list[Call]) -> None:
        """Take one step, which came from these calls."""
        step, kinds = len(self.batch.records), []
        counts = tuple(record.counts.items())
        for layer, (rows, product) in record.layers.items():
            if not _stackable(rows, product):
                self.batch.single.append((step, layer))
                record.layers[layer] = (secured(rows), secured(product) if product is not rows else product)
                if product is rows:
                    record.layers[layer] = (record.layers[layer][0],) * 2
                continue
            seen = [rows.inputs_seen] if rows.adjoints_seen is None else [rows.inputs_seen, rows.adjoints_seen]
            kind = Kind(layer, counts, product is not None and rows.trained, tuple(map(kind_of, seen)))
            stack = self._stack(kind)
            torch._foreach_copy_(list(stack.next), seen)
            stack.steps.append(step)
            kinds.append(kind)
            record.layers[layer] = (secured(rows),) * 2 if self.keep_rows else None
        self.batch.records.append(record)
        self._expected = []
        alike = [call.name for call in calls] == [kind.layer for kind in kinds] and not self.keep_rows
        self._last = (record, kinds) if kinds and alike and all(map(_expectable, calls)) else None

    def expect(self, places: torch.Tensor, counts: dict[str, int]) -> Arrivals | None:
        """A step that may look like the last one; None where that cannot be, or where more than its rows is wanted."""
        if self._last is None or counts != self._last[0].counts:
            return None
        if not self._expected:
            self._expected = [self._stack(kind) for kind in self._last[1]]
        return Arrivals(self._expected, places)

    def add_arrived(self, arrivals: Arrivals) -> None:
        """Take a step of which all came as expected."""
        for stack in arrivals.stacks:
            stack.steps.append(len(self.batch.records))
        last, _ = self._last
        self.batch.records.append(StepRecord(last.layers, arrivals.places, last.counts))

    def take(self) -> Batch:
        """The batch that is being filled; begin another."""
        batch, self.batch, self._expected = self.batch, Batch(), []
        return batch

    def give_back(self, batch: Batch) -> None:
        """Use a solved batch's memory again."""
        for kind, stack in batch.stacks.items():
            stack.steps = []
            self._free[kind].append(stack)

    def forget(self) -> None:
        """Let all memory go that is not in use, and expect nothing."""
        self._free.clear()
        self._last = None

    def _stack(self, kind: Kind) -> Stacked:
        """Where steps of a kind go in the batch that is being filled."""
        stack = self.batch.stacks.get(kind)
        if stack is None:
            stack = self._free[kind].pop() if self._free[kind] else Stacked(kind, self.steps)
            self.batch.stacks[kind] = stack
        return stack


def kind_of(tensor: torch.Tensor) -> tuple:
    """Shape, type and device."""
    return tensor.shape, tensor.dtype, tensor.device


def _expectable(call: Call) -> bool:
    """Whether the call's next rows may be copied as they come: samples first, and with adjoints."""
    return call.gradients[0] is not None and (call.batch_first or call.arguments[0].dim() == 2)


def _stackable(rows, product) -> bool:
    """Whether a layer has few rows and a weight of its own."""
    if type(rows) is not Factors or (product is not None and product is not rows):
        return False
    n, t, _ = rows.shape
    return n * t <= _FEW_ROWS
