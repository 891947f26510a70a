"""Multi-layer perceptron: classifier and auto-encoder with the same encoder."""

import math
from collections import OrderedDict
from itertools import pairwise

import torch
from torch import nn

from autospec.models.activations import ACTIVATIONS


class MLP(nn.Module):
    """Encoder of `widths`; then a class head, or the mirrored decoder.

    Shapes: n samples, inputs of any shape `sample` flattened to p features, code of widths[-1].
    """

    def __init__(self, sample: tuple[int, ...], classes: int | None, activation: str, widths: list[int]):
        super().__init__()
        self.sample = tuple(sample)
        units = [math.prod(sample), *widths]
        self.encoder = _stack(units, activation, last=True)
        if classes is None:
            self.decoder = _stack(units[::-1], activation, last=False)
        else:
            self.head = nn.Linear(widths[-1], classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        code = self.encoder(x.flatten(1))  # (n, *sample) -> (n, p) -> (n, widths[-1])
        if hasattr(self, "head"):
            return self.head(code)  # (n, classes)
        return self.decoder(code).unflatten(1, self.sample)  # (n, p) -> (n, *sample)


def _stack(units: list[int], activation: str, last: bool) -> nn.Sequential:
    """Linear layers of `units` with an activation after each, after the last one if `last`."""
    layers = OrderedDict()
    for number, (inputs, outputs) in enumerate(pairwise(units), start=1):
        layers[f"linear{number}"] = nn.Linear(inputs, outputs)
        if last or number < len(units) - 1:
            layers[f"activation{number}"] = ACTIVATIONS[activation]()
    return nn.Sequential(layers)
