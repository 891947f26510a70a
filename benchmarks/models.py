"""The models that are timed, on simulated batches of the named shapes.

Indices: n samples, t time points, p inputs, d width of a token.
"""

import dataclasses
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import nn


class Recurrent(nn.Module):
    """A recurrent layer, then a linear head on the mean over time."""

    def __init__(self, kind: type[nn.Module], components: int, hidden: int, classes: int = 2):
        super().__init__()
        self.encoder = kind(components, hidden, batch_first=True)
        self.head = nn.Linear(hidden, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden, _ = self.encoder(x)  # (n, t, p) -> (n, t, h)
        return self.head(hidden.mean(dim=1))


class Block(nn.Module):
    """A transformer block whose projections are Linear layers, which every compared tool knows."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.last = (nn.Linear(width, width) for _ in range(4))
        self.wider, self.narrower = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        projected = (layer(x) for layer in (self.query, self.key, self.value))
        parts = (part.unflatten(-1, (self.heads, -1)).transpose(-2, -3) for part in projected)
        attended = nn.functional.scaled_dot_product_attention(*parts)  # (n, heads, t, d / heads)
        x = self.norm1(x + self.last(attended.transpose(-2, -3).flatten(-2)))
        return self.norm2(x + self.narrower(nn.functional.gelu(self.wider(x))))


class Encoder(nn.Module):
    """A bidirectional transformer encoder over time points, then a linear head on their mean."""

    def __init__(self, components: int, width: int, layers: int, length: int, classes: int = 2):
        super().__init__()
        self.project = nn.Linear(components, width)
        # No parameter: tools for per-sample gradients take parameters of layers only.
        self.positions = 0.02 * torch.randn(length, width)
        self.blocks = nn.Sequential(*(Block(width, width // 32) for _ in range(layers)))
        self.head = nn.Linear(width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(
            self.blocks(self.project(x) + self.positions).mean(dim=1)
        )  # (n, t, p) -> (n, classes)


def perceptron(*sizes: int) -> nn.Module:
    """Linear layers of `sizes` with ReLU between them."""
    layers = [nn.Linear(inputs, outputs) for inputs, outputs in zip(sizes, sizes[1:], strict=False)]
    return nn.Sequential(*(part for layer in layers for part in (layer, nn.ReLU())))[:-1]


def convolutional(axes: int, channels: tuple[int, ...], kernel: int, classes: int) -> nn.Module:
    """Convolutions of stride 1, halved by pooling after each, then a linear head on the mean over positions."""
    convolution = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[axes - 1]
    pooling = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)[axes - 1]
    mean = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)[axes - 1]
    parts = []
    for inputs, outputs in zip(channels, channels[1:], strict=False):
        parts += [convolution(inputs, outputs, kernel, padding=kernel // 2), nn.ReLU(), pooling(2)]
    return nn.Sequential(*parts, mean(1), nn.Flatten(), nn.Linear(channels[-1], classes))


@dataclasses.dataclass
class Case:
    """A model, and the batches that it is trained on.

    Attributes
    ----------
    build : callable giving an nn.Module
    shape : tuple of int
        Of one sample.
    batch, groups, classes : int
        Samples a batch, into how many groups they are divided, and classes.
    """

    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    batch: int
    groups: int = 2
    classes: int = 2

    def batches(self, count: int = 8) -> list[tuple[torch.Tensor, torch.Tensor, list[str]]]:
        """Simulated batches of normal inputs, random classes and groups of equal size: (x, y, labels)."""
        random = np.random.default_rng(0)
        result = []
        for _ in range(count):
            x = torch.from_numpy(random.standard_normal((self.batch, *self.shape), dtype=np.float32))
            y = torch.from_numpy(random.integers(self.classes, size=self.batch))
            result.append(
                (x, y, [str(group) for group in random.permutation(np.arange(self.batch) % self.groups)])
            )
        return result


_SCANS = (140, 100)  # time points, components

CASES = {
    "mlp-table": Case(partial(perceptron, 152, 256, 128, 2), (152,), 64),
    "mlp-mnist": Case(partial(perceptron, 784, 128, 128, 10), (784,), 128, classes=10),
    "mlp-mnist-10": Case(partial(perceptron, 784, 128, 128, 10), (784,), 128, groups=10, classes=10),
    **{f"lstm-{h}": Case(partial(Recurrent, nn.LSTM, 100, h), _SCANS, 32) for h in (64, 128, 256)},
    **{f"rnn-{h}": Case(partial(Recurrent, nn.RNN, 100, h), _SCANS, 32) for h in (64, 128, 256)},
    **{f"bert-{d}": Case(partial(Encoder, 100, d, 4, 140), _SCANS, 32) for d in (128, 256)},
    "cnn-1d": Case(partial(convolutional, 1, (100, 64, 128), 5, 2), (100, 140), 32),
    "cnn-2d": Case(partial(convolutional, 2, (1, 32, 64), 3, 10), (1, 28, 28), 128, classes=10),
    "cnn-3d": Case(partial(convolutional, 3, (1, 8, 16), 3, 2), (1, 32, 32, 32), 16),
}

# The same kinds of model, small enough for a test.
QUICK = {
    "mlp-table": Case(partial(perceptron, 12, 16, 8, 2), (12,), 8),
    "mlp-mnist": Case(partial(perceptron, 20, 8, 8, 10), (20,), 16, classes=10),
    "mlp-mnist-10": Case(partial(perceptron, 20, 8, 8, 10), (20,), 20, groups=10, classes=10),
    **{f"lstm-{h}": Case(partial(Recurrent, nn.LSTM, 6, h // 16), (9, 6), 8) for h in (64, 128, 256)},
    **{f"rnn-{h}": Case(partial(Recurrent, nn.RNN, 6, h // 16), (9, 6), 8) for h in (64, 128, 256)},
    **{f"bert-{d}": Case(partial(Encoder, 6, d // 4, 2, 9), (9, 6), 8) for d in (128, 256)},
    "cnn-1d": Case(partial(convolutional, 1, (6, 4, 8), 3, 2), (6, 16), 8),
    "cnn-2d": Case(partial(convolutional, 2, (1, 4, 8), 3, 10), (1, 12, 12), 8, classes=10),
    "cnn-3d": Case(partial(convolutional, 3, (1, 4, 8), 3, 2), (1, 8, 8, 8), 8),
}
