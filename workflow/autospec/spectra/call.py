"""One call of one layer in one step."""

import dataclasses

import torch
from torch import nn


class NotObserved(Exception):
    """A layer, or a call of it, that cannot be observed; the message is the reason."""


@dataclasses.dataclass(slots=True)
class Call:
    """What went into a layer, and the gradients that came back.

    Attributes
    ----------
    name : str
        Module path.
    module : nn.Module
    arguments : tuple of Tensor
        Detached, in the order of the call.
    gradients : list of Tensor or None
        Of each of its outputs, summed over backward passes.
    batch_first : bool
        Whether samples come before time in what the layer sees, where it does not say so itself.
    formed : bool
        Whether the backward pass leaves the group gradients ready (see `grouped`).
    extra : dict
        What the layer's own file keeps from the forward pass.
    """

    name: str
    module: nn.Module
    arguments: tuple[torch.Tensor, ...]
    gradients: list[torch.Tensor | None]
    batch_first: bool = True
    formed: bool = False
    extra: dict = dataclasses.field(default_factory=dict)


def tensors_in(value) -> list[torch.Tensor]:
    """All tensors of nested tuples and lists, in order."""
    if type(value) is tuple and len(value) == 1 and isinstance(value[0], torch.Tensor):
        return [value[0]]
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, tuple | list):
        return [tensor for part in value for tensor in tensors_in(part)]
    return []


def kept(tensor: torch.Tensor) -> torch.Tensor:
    """What may be kept of a tensor that a layer saw, until its spectra are solved.

    A tensor that the graph did not compute (a batch, a parameter, a view of one) is the caller's own, who
    may write the next one into it.
    """
    base = tensor if tensor._base is None else tensor._base
    return copied(tensor) if base.is_leaf else tensor.detach()


def copied(tensor: torch.Tensor) -> torch.Tensor:
    """A copy outside the graph."""
    return tensor.detach().clone()


def guarded(module: nn.Module, given: list[torch.Tensor]) -> bool:
    """Whether autograd keeps what a layer saw, and so refuses a backward pass after a change of it in place."""
    if not torch.is_grad_enabled():
        return False
    for weight in module._parameters.values():
        if weight is not None and not weight.requires_grad:
            return False
    # Mixed precision keeps the layer's own copy in the lower precision.
    return not torch.is_autocast_enabled(given[0].device.type) or given[0].dtype != torch.float32


def add_gradient(earlier: torch.Tensor | None, gradient: torch.Tensor) -> torch.Tensor:
    """Sum over backward passes: a second one through the same call adds to the weight's gradient."""
    return gradient.detach() if earlier is None else earlier + gradient


def sample_rows(matrix: torch.Tensor, samples: int, batch_first: bool) -> torch.Tensor:
    """View what a layer saw, (..., p), as (samples, t, p).

    Raises
    ------
    NotObserved
        If no dimension can be that of the samples.
    """
    width = matrix.shape[-1]
    leading = tuple(matrix.shape[:-1])
    if not leading:
        leading = (1,)
    if batch_first or len(leading) == 1:
        if leading[0] % samples == 0:
            return matrix.reshape(samples, -1, width)
    elif leading[1] == samples:
        return matrix.transpose(0, 1).reshape(samples, -1, width)
    raise NotObserved(
        f"it was called with shape {tuple(matrix.shape)}, in which no dimension is that of the {samples} samples"
    )
