"""A step whose layers see what they saw in the step before, copied at once when the last of it has come.

The smallest models' steps are over so soon that every line of Python in them can be seen in their time. So what
follows from the step before is kept in a `Pattern`, and a step does no more than hold what comes until all is there.
"""

import dataclasses
import functools

import torch

from autospec.spectra.call import Call, add_gradient, copied
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
    in_order : bool
        Whether the gradient of the first call's output is the last to come.
    """

    layers: dict[str, tuple]
    kinds: list[Kind]
    samples: int
    stacks: list[Stacked] = dataclasses.field(default_factory=list)
    in_order: bool = True

    @functools.cached_property
    def sides(self) -> list[tuple]:
        """Shape, type and device of every call's inputs and adjoints."""
        return [side for kind in self.kinds for side in kind.sides]


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
        position, kinds = len(self._seen), self.pattern.kinds
        if self._failed or position == len(kinds) or not output.requires_grad:
            self._failed = True
            return False
        kind = kinds[position]
        if kind.layer != layer.name or kind.trained != weight.requires_grad:
            self._failed = True
            return False
        # What the graph of another step brings, should it be gone through again, comes to that step's own list.
        gradients: list[torch.Tensor] = []
        watched = position == 0 or not self.pattern.in_order
        output.register_hook(functools.partial(self._watch, gradients) if watched else gradients.append)
        # Autograd keeps a trained layer's inputs, and refuses a backward pass after a change of them in place.
        self._seen.append((layer, inputs if kind.trained else copied(inputs), gradients))
        return True

    def fail(self) -> None:
        """Expect nothing any more."""
        self._failed = True

    def _watch(self, gradients: list[torch.Tensor], gradient: torch.Tensor) -> None:
        gradients.append(gradient)
        if self._copied or self._failed or len(self._seen) < len(self.pattern.kinds):
            self._failed = True
        elif all([len(arrived) == 1 for *_, arrived in self._seen]):
            self._copy()

    def _copy(self) -> None:
        rows, memory = [], []
        for stack, (_, inputs, gradients) in zip(self.pattern.stacks, self._seen, strict=True):
            rows += inputs, gradients[0]
            memory += stack.next
        # With a graph of the backward pass itself the caller may go through it again.
        if torch.is_grad_enabled() or list(map(kind_of, rows)) != self.pattern.sides:
            self._failed = True
            return
        torch._foreach_copy_(memory, rows)
        for *_, gradients in self._seen:
            gradients.clear()
        self._seen = [(layer, None, gradients) for layer, _, gradients in self._seen]
        self._copied = True

    def complete(self) -> bool:
        """Whether, now that the step is over, all came that was expected, and nothing else."""
        if self._copied and not self._failed:
            return not any([gradients for *_, gradients in self._seen])
        if not self._failed and len(self._seen) == len(self.pattern.kinds):
            self.pattern.in_order = False
        return False

    def calls(self) -> list[Call]:
        """What came, as if nothing had been expected."""
        result = []
        for position, (layer, inputs, gradients) in enumerate(self._seen):
            if self._copied:
                inputs, first = (side.clone() for side in self.pattern.stacks[position].next)
                gradients = [first, *gradients]
            total = functools.reduce(add_gradient, gradients, None)
            result.append(Call(layer.name, layer.module, (inputs.detach(),), [total], layer.batch_first))
        self._seen = []
        return result
