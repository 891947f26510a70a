"""Observed steps on their way to the solver.

What layers with few rows saw is copied into memory that is used again, so that the training loop gets its own
memory back, which would otherwise go cold. Once a step has shown which layers there are, all that the next one
brings is copied at once, when the last of it has come. Of other layers a reference is kept.
Indices: s steps, n samples, t rows a sample, p inputs, q outputs.
"""

import collections
import dataclasses

import torch

from autospec.spectra.arrivals import Arrivals, Pattern
from autospec.spectra.call import Call
from autospec.spectra.factors import ALL, Factors, secured
from autospec.spectra.labels import Labels
from autospec.spectra.stacked import Kind, Stacked, kind_of

# Above this many rows a layer's products are large enough to be computed step by step.
_FEW_ROWS = 512


@dataclasses.dataclass
class StepRecord:
    """One observed step: the factors of each layer, and the group of each sample.

    Attributes
    ----------
    layers : dict of str to (factors or None, factors or None)
        Factors of a layer's activations and adjoints, None where those are not wanted, and of its gradient.
    labels : Labels
    everyone : bool
        Whether the spectra of all samples together are wanted too.
    """

    layers: dict[str, tuple]
    labels: Labels
    everyone: bool

    @property
    def samples(self) -> int:
        """How many samples there are."""
        return len(self.labels)

    @property
    def counts(self) -> dict[str, int]:
        """Samples of each group, none zero; last those of ALL, where everyone is wanted too."""
        return self.labels.counts | ({ALL: self.samples} if self.everyone else {})

    @property
    def groups(self) -> dict[str, torch.Tensor]:
        """Samples of each group, (n_g,)."""
        return self.labels.samples | ({ALL: torch.arange(self.samples)} if self.everyone else {})


@dataclasses.dataclass
class Batch:
    """Several steps, as the solver takes them: layers stacked over steps, and all others by step.

    The memory of a `part` of a batch is that batch's.
    """

    records: list[StepRecord] = dataclasses.field(default_factory=list)
    stacks: dict[Kind, Stacked] = dataclasses.field(default_factory=dict)
    single: list[tuple[int, str]] = dataclasses.field(default_factory=list)
    part: bool = False

    def halves(self) -> list["Batch"]:
        """Its first and its second half of the steps, in the same memory."""
        middle = (len(self.records) + 1) // 2
        result = []
        for first, end in ((0, middle), (middle, len(self.records))):
            stacks = {kind: stack.between(first, end) for kind, stack in self.stacks.items()}
            single = [(step - first, layer) for step, layer in self.single if first <= step < end]
            result.append(Batch(self.records[first:end], stacks, single, part=True))
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
        self._used: set[Kind] = set()
        self._pattern: Pattern | None = None
        self._free: dict[Kind, list[Stacked]] = collections.defaultdict(list)

    def add(self, record: StepRecord, calls: list[Call]) -> None:
        """Take one step, which came from these calls."""
        step, kinds = len(self.batch.records), []
        for layer, (rows, product) in record.layers.items():
            if not _stackable(rows, product):
                self.batch.single.append((step, layer))
                record.layers[layer] = (secured(rows), secured(product) if product is not rows else product)
                if product is rows:
                    record.layers[layer] = (record.layers[layer][0],) * 2
                continue
            seen = [rows.inputs_seen] if rows.adjoints_seen is None else [rows.inputs_seen, rows.adjoints_seen]
            kind = Kind(layer, product is not None and rows.trained, tuple(map(kind_of, seen)))
            stack = self._stack(kind)
            torch._foreach_copy_(list(stack.next), seen)
            stack.steps.append(step)
            kinds.append(kind)
            record.layers[layer] = (secured(rows),) * 2 if self.keep_rows else None
        self.batch.records.append(record)
        alike = [call.name for call in calls] == [kind.layer for kind in kinds] and not self.keep_rows
        self._pattern = None
        if kinds and alike and all(map(_expectable, calls)):
            self._pattern = Pattern(record.layers, kinds, record.samples)

    def expect(self, samples: int) -> Arrivals | None:
        """A step that may look like the last one; None where that cannot be, or where more than its rows is wanted."""
        pattern = self._pattern
        if pattern is None or pattern.samples != samples:
            return None
        if not pattern.stacks:
            pattern.stacks = [self._stack(kind) for kind in pattern.kinds]
        return Arrivals(pattern)

    def add_arrived(self, arrivals: Arrivals, labels: Labels, everyone: bool) -> None:
        """Take a step of which all came as expected."""
        for stack in arrivals.pattern.stacks:
            stack.steps.append(len(self.batch.records))
        self.batch.records.append(StepRecord(arrivals.pattern.layers, labels, everyone))

    def take(self) -> Batch:
        """The batch that is being filled; begin another."""
        batch, self.batch = self.batch, Batch()
        if self._pattern is not None:
            self._pattern.stacks = []
        return batch

    def give_back(self, batch: Batch) -> None:
        """Use a solved batch's memory again, if it is its own."""
        if batch.part:
            return
        for kind, stack in batch.stacks.items():
            stack.steps = []
            self._free[kind].append(stack)

    def forget(self) -> None:
        """Let memory go that no step since the last time needed, and expect nothing."""
        self._free = collections.defaultdict(list, {kind: self._free[kind] for kind in self._used})
        self._used, self._pattern = set(), None

    def _stack(self, kind: Kind) -> Stacked:
        """Where steps of a kind go in the batch that is being filled."""
        stack = self.batch.stacks.get(kind)
        if stack is None:
            stack = self._free[kind].pop() if self._free[kind] else Stacked(kind, self.steps)
            self.batch.stacks[kind] = stack
            self._used.add(kind)
        return stack


def _expectable(call: Call) -> bool:
    """Whether the call's next rows may be copied as they come: samples first, and with adjoints."""
    return call.gradients[0] is not None and (call.batch_first or call.arguments[0].dim() == 2)


def _stackable(rows, product) -> bool:
    """Whether a layer has few rows and a weight of its own."""
    if type(rows) is not Factors or (product is not None and product is not rows):
        return False
    n, t, _ = rows.shape
    return n * t <= _FEW_ROWS
