"""Multi-layer perceptron: classifier and auto-encoder with the same encoder."""

import math
from collections import OrderedDict
from itertools import pairwise

import torch
from torch import nn

ACTIVATIONS = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}


class MLP(nn.Module):
    """Encoder of `widths`; then a class head, or the mirrored decoder.

    Shapes: n samples, inputs of any `shape` flattened to p features, code of widths[-1].
    """

    def __init__(self, shape: tuple[int, ...], widths: list[int], classes: int | None, activation: str):
        super().__init__()
        self.shape = tuple(shape)
        sizes = [math.prod(shape), *widths]
        self.encoder = _stack(sizes, activation, last=True)
        if classes is None:
            self.decoder = _stack(sizes[::-1], activation, last=False)
        else:
            self.head = nn.Linear(widths[-1], classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        code = self.encoder(x.flatten(1))  # (n, *shape) -> (n, p) -> (n, widths[-1])
        if hasattr(self, "head"):
            return self.head(code)  # (n, classes)
        return self.decoder(code).unflatten(1, self.shape)  # (n, p) -> (n, *shape)


def _stack(sizes: list[int], activation: str, last: bool) -> nn.Sequential:
    """Linear layers of `sizes` with an activation after each, after the last one if `last`."""
    layers = OrderedDict()
    for number, (inputs, outputs) in enumerate(pairwise(sizes), start=1):
        layers[f"linear{number}"] = nn.Linear(inputs, outputs)
        if last or number < len(sizes) - 1:
            layers[f"activation{number}"] = ACTIVATIONS[activation]()
    return nn.Sequential(layers)
