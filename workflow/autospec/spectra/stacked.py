"""What layers with few rows saw in several steps, in memory that is used again.

Indices: s steps, n samples, t rows a sample, p inputs, q outputs.
"""

import copy
import dataclasses

import torch


@dataclasses.dataclass(frozen=True)
class Kind:
    """What a layer with few rows sees in a step; steps of the same kind are stacked.

    Attributes
    ----------
    layer : str
    trained : bool
        Whether the gradient's spectra are wanted.
    sides : tuple of (shape, type, device)
        Of the inputs and, where there are any, of the adjoints.
    """

    layer: str
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


def kind_of(tensor: torch.Tensor) -> tuple:
    """Shape, type and device."""
    return tensor.shape, tensor.dtype, tensor.device
