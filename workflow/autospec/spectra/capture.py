"""Forward and tensor hooks that pair every layer call's inputs with its own adjoints."""

import dataclasses

import torch
from torch import nn

from autospec.spectra.factors import Factors
from autospec.spectra.recurrent import recurrent_factors


@dataclasses.dataclass
class Call:
    """One call of one layer in one step: what went in, and the gradients that came back."""

    name: str
    module: nn.Module
    arguments: tuple
    outputs: tuple[torch.Tensor, ...]
    versions: tuple[int, ...]
    gradients: list[torch.Tensor | None]
    samples: int | None = None


class Capture:
    """Hooks on the layers of a model, on only while a step is observed.

    Parameters
    ----------
    model : nn.Module

    Attributes
    ----------
    layers : dict of str to nn.Module
        The observed layers by module path.
    left_out : dict of str to str
        Modules that hold weights but are not observed, with the reason.
    """

    def __init__(self, model: nn.Module):
        self.layers: dict[str, nn.Module] = {}
        self.left_out: dict[str, str] = {}
        self.calls: list[Call] = []
        self._handles: list = []
        for name, module in model.named_modules():
            if isinstance(module, nn.Linear | nn.RNNBase):
                self.layers[name] = module
            elif any(weight.dim() > 1 for weight in module.parameters(recurse=False)):
                self.left_out[name] = f"{type(module).__name__} is not among the layer types observed"

    def start(self) -> None:
        """Put the hooks on and forget the last step's calls."""
        self.calls = []
        for name, module in self.layers.items():
            self._handles.append(module.register_forward_hook(self._forward_hook(name), with_kwargs=True))

    def stop(self) -> None:
        """Take the hooks off."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def _forward_hook(self, name):
        def hook(module, arguments, keywords, output):
            arguments = _flatten((*arguments, *keywords.values()))
            outputs = _flatten(output)
            call = Call(
                name=name,
                module=module,
                arguments=tuple(tensor.detach() for tensor in arguments),
                outputs=tuple(tensor.detach() for tensor in outputs),
                versions=tuple(tensor._version for tensor in arguments),
                gradients=[None] * len(outputs),
            )
            for position, tensor in enumerate(outputs):
                if tensor.requires_grad:
                    tensor.register_hook(_gradient_hook(call, position))
            self.calls.append(call)

        return hook


def _gradient_hook(call: Call, position: int):
    def hook(gradient):
        # A second backward pass through the same call adds to the weight's gradient, so it adds here.
        earlier = call.gradients[position]
        call.gradients[position] = gradient.detach() if earlier is None else earlier + gradient

    return hook


def _flatten(value) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, tuple | list):
        return [tensor for part in value for tensor in _flatten(part)]
    return []


def call_factors(call: Call, samples: int) -> dict[str, Factors]:
    """Factors of each weight of one call, by layer name, with `samples` in front."""
    if isinstance(call.module, nn.Linear):
        inputs = _rows(call.name, call.arguments[0], samples)
        gradient = call.gradients[0]
        adjoints = None if gradient is None else _rows(call.name, gradient, samples)
        return {call.name: Factors(inputs, adjoints, call.module.bias is not None)}
    return {
        f"{call.name}.{weight}" if call.name else weight: factors
        for weight, factors in recurrent_factors(
            call.module, call.arguments, call.outputs, call.gradients
        ).items()
    }


def _rows(name: str, matrix: torch.Tensor, samples: int) -> torch.Tensor:
    """View (..., p) as (samples, t, p); the samples are the first dimension, or sample-major in it."""
    rows = matrix.numel() // matrix.shape[-1]
    if rows % samples or (matrix.dim() > 1 and matrix.shape[0] % samples):
        raise ValueError(
            f"layer '{name}' was called with shape {tuple(matrix.shape)}, but the step has {samples} labels; "
            "wanted the samples in the first dimension"
        )
    return matrix.reshape(samples, rows // samples, matrix.shape[-1])
