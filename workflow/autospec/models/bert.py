"""A bidirectional transformer encoder over time points: classifier and auto-encoder with the same encoder."""

from collections import OrderedDict

import torch
from torch import nn

from autospec.models.activations import ACTIVATIONS


class Tokens(nn.Module):
    """A token of `width` numbers for each time point, and the class token before them; learned positions.

    Positions begin as sinusoids (Vaswani et al. 2017), which few epochs do not find by themselves.
    """

    def __init__(self, time: int, components: int, width: int):
        super().__init__()
        self.project = nn.Linear(components, width)
        self.first = nn.Parameter(0.02 * torch.randn(width))
        self.masked = nn.Parameter(0.02 * torch.randn(width))
        self.positions = nn.Parameter(sinusoids(1 + time, width))

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        tokens = self.project(x)  # (n, t, p) -> (n, t, d)
        if mask is not None:
            tokens = torch.where(mask[..., None], self.masked, tokens)
        return torch.cat([self.first.expand(len(x), 1, -1), tokens], dim=1) + self.positions  # (n, 1 + t, d)


def sinusoids(places: int, width: int) -> torch.Tensor:
    """Sine and cosine of every place at wavelengths from 2 pi to 20000 pi: (places, width)."""
    columns = torch.arange(width)
    angles = torch.arange(places)[:, None] * 10_000.0 ** (-2 * (columns // 2) / width)
    return torch.where(columns % 2 == 0, angles.sin(), angles.cos())


class Block(nn.Module):
    """Attention, then two layers on each token; each normalised before and added to what came in.

    A head has width // heads numbers.
    """

    def __init__(self, width: int, heads: int, activation: str):
        super().__init__()
        self.heads, inside = heads, heads * max(1, width // heads)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value = (nn.Linear(width, inside) for _ in range(3))
        self.out = nn.Linear(inside, width)
        self.wider, self.narrower = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.activation = ACTIVATIONS[activation]()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        normal = self.norm1(x)  # (n, t, d)
        parts = (layer(normal) for layer in (self.query, self.key, self.value))
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        attended = nn.functional.scaled_dot_product_attention(query, key, value)  # (n, heads, t, d / heads)
        x = x + self.out(attended.transpose(1, 2).flatten(2))
        return x + self.narrower(self.activation(self.wider(self.norm2(x))))


class Encoder(nn.Module):
    """Tokens, blocks and a last norm."""

    def __init__(self, sample: tuple[int, int], activation: str, width: int, layers: int, heads: int):
        super().__init__()
        self.tokens = Tokens(*sample, width)
        blocks = ((f"block{number}", Block(width, heads, activation)) for number in range(1, layers + 1))
        self.blocks = nn.Sequential(OrderedDict(blocks))
        self.norm = nn.LayerNorm(width)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        return self.norm(self.blocks(self.tokens(x, mask)))  # (n, t, p) -> (n, 1 + t, d)


class BERT(nn.Module):
    """Encoder; then a class head on the class token, or a linear read-out at each time.

    With a `mask`, (n, t), the time points that it marks are hidden from the encoder.
    Shapes: n samples, t time points, p components, d width.
    """

    def __init__(
        self, sample: tuple[int, int], classes: int | None, activation: str, width: int, layers: int, heads: int
    ):
        super().__init__()
        self.encoder = Encoder(sample, activation, width, layers, heads)
        if classes is None:
            self.decoder = nn.Sequential(OrderedDict(linear=nn.Linear(width, sample[1])))
        else:
            self.head = nn.Linear(width, classes)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        hidden = self.encoder(x, mask)  # (n, t, p) -> (n, 1 + t, d)
        if hasattr(self, "head"):
            return self.head(hidden[:, 0])  # (n, classes)
        return self.decoder(hidden[:, 1:])  # (n, t, p)
