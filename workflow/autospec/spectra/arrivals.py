"""A step whose layers see what they saw in the step before, copied at once when the last of it has come.

The smallest models' steps are over so soon that every line of Python in them can be seen in their time. So what
follows from the step before is kept in a `Pattern`, and a step does no more than hold what comes until all is there.
"""

import dataclasses
import functools

import torch

from autospec.spectra.call import Call, add_gradient
from autospec.spectra.stacked import Kind, Stacked, kind_of


@dataclasses.dataclass
class Pattern:
    """What is expected of a step.

    Attributes
    ----------
    layers : dict
        The observed layers, as its keys.
    kinds : list of Kind
        What is called, in that order.
    samples : int
    stacks : list of Stacked
        Where what comes is put; none until the gatherer gives them.
    """

    layers: dict[str, tuple]
    kinds: list[Kind]
    samples: int
    stacks: list[Stacked] = dataclasses.field(default_factory=list)


class Arrivals:
    """One step that is expected to be as its pattern says."""

    def __init__(self, pattern: Pattern):
        self.pattern = pattern
        self._seen: list[tuple] = []
        self._copied = self._failed = False

    def take(self, layer, weight: torch.Tensor, inputs: torch.Tensor, output: torch.Tensor) -> bool:
        """Take what the next call of a layer saw, and later its adjoints; False where it is not the one expected.

        `layer` has a `name`, its `module`, and whether it is `batch_first`.
        """
        position, pattern = len(self._seen), self.pattern
        if self._failed or position == len(pattern.kinds) or not output.requires_grad:
            self._failed = True
            return False
        kind = pattern.kinds[position]
        # Under mixed precision the output's type is another, and the inputs that autograd keeps are a copy.
        sides = kind_of(inputs), kind_of(output)
        if kind.layer != layer.name or kind.trained != weight.requires_grad or sides != kind.sides:
            self._failed = True
            return False
        # Autograd keeps what it computed for a trained layer, and refuses a backward pass after a change of it in
        # place. All else is the caller's own, who may write into it.
        base = inputs if inputs._base is None else inputs._base
        held = kind.trained and not base.is_leaf
        if not held:
            inputs = pattern.stacks[position].next[0].copy_(inputs.detach())
        # What the graph of another step brings, should it be gone through again, comes to that step's own list.
        gradients: list[torch.Tensor] = []
        output.register_hook(functools.partial(self._watch, gradients))
        self._seen.append((layer, inputs, held, gradients))
        return True

    def fail(self) -> None:
        """Expect nothing any more."""
        self._failed = True

    def abandon(self) -> None:
        """Forget the step: its graph, and that of steps which come from it, has nothing to bring here."""
        self._failed, self._seen = True, []

    def _watch(self, gradients: list[torch.Tensor], gradient: torch.Tensor) -> None:
        gradients.append(gradient)
        if self._copied or self._failed:
            self._failed = True
        elif len(self._seen) == len(self.pattern.kinds) and all([len(arrived) == 1 for *_, arrived in self._seen]):
            self._copy()

    def _copy(self) -> None:
        # With a graph of the backward pass itself the caller may go through it again.
        if torch.is_grad_enabled():
            self._failed = True
            return
        rows, memory = [], []
        for stack, (_, inputs, held, gradients) in zip(self.pattern.stacks, self._seen, strict=True):
            places = stack.next
            if held:
                rows.append(inputs)
                memory.append(places[0])
            rows.append(gradients[0])
            memory.append(places[1])
        torch._foreach_copy_(memory, rows)
        for *_, gradients in self._seen:
            gradients.clear()
        self._seen = [(layer, None, False, gradients) for layer, *_, gradients in self._seen]
        self._copied = True

    def complete(self) -> bool:
        """Whether, now that the step is over, all came that was expected, and nothing else."""
        return self._copied and not self._failed and not any([gradients for *_, gradients in self._seen])

    def calls(self) -> list[Call]:
        """What came, as if nothing had been expected."""
        result = []
        for position, (layer, inputs, held, gradients) in enumerate(self._seen):
            places = self.pattern.stacks[position].next
            inputs = inputs.detach() if held else places[0].clone()
            total = functools.reduce(add_gradient, [places[1].clone(), *gradients] if self._copied else gradients, None)
            result.append(Call(layer.name, layer.module, (inputs,), [total], layer.batch_first))
        self._seen = []
        return result
