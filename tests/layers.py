"""Networks with every layer type, and what the monitor and autograd say of a step of them."""

import numpy as np
import torch
from networks import Tied
from torch import nn

from autospec.spectra.monitor import SpectralMonitor

GROUPS = ("control", "patient")


class First(nn.Module):
    """The first output of a layer, for layers that give several."""

    def __init__(self, layer, order=(0, 1, 2)):
        super().__init__()
        self.layer, self.order = layer, order

    def forward(self, x):
        return self.layer(x.permute(self.order))[0].permute(self.order)


class SelfAttention(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True, **options)

    def forward(self, x):
        return self.attention(x, x, x, need_weights=False)[0]


class CrossAttention(nn.Module):
    def __init__(self, values_too, **options):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True, **options)
        self.values_too = values_too

    def forward(self, x):
        query, key = x[:, :3], x[:, 3:].tanh()
        value = key + 1 if self.values_too else key
        return self.attention(query, key[..., : self.attention.kdim], value[..., : self.attention.vdim])[0]


class Tokens(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.embedding = nn.Embedding(11, 6, **options)
        self.head = nn.Linear(6, 2)

    def forward(self, x):
        return self.head(self.embedding((x[..., 0] * 3).long().abs() % 11))


class TwiceCalled(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, x):
        return self.layer(self.layer(x).tanh())


class TimeFirst(nn.Module):
    """A transformer encoder that keeps time before the samples."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0), 2)

    def forward(self, x):
        return self.encoder(x.transpose(0, 1)).transpose(0, 1)


def encoder(norm_first):
    layer = nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, batch_first=True, norm_first=norm_first)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)


def recurrent(kind, **options):
    return First(kind(8, 5, batch_first=True, **options))


TIME = (6, 8)
MODELS = {
    "conv1d": (lambda: nn.Conv1d(6, 4, 3), TIME),
    "conv1d, stride, padding, dilation": (lambda: nn.Conv1d(6, 4, 3, stride=2, padding=2, dilation=2), TIME),
    "conv1d, same padding": (lambda: nn.Conv1d(6, 4, 4, padding="same"), TIME),
    "conv1d, groups": (lambda: nn.Conv1d(6, 4, 3, groups=2, bias=False), TIME),
    "conv2d, circular": (lambda: nn.Conv2d(3, 5, 3, padding=1, padding_mode="circular"), (3, 6, 7)),
    "conv2d, reflect, groups": (
        lambda: nn.Conv2d(4, 6, (3, 2), padding=1, padding_mode="reflect", groups=2),
        (4, 6, 7),
    ),
    "conv2d, depthwise": (lambda: nn.Conv2d(3, 3, 3, groups=3, stride=(2, 1)), (3, 6, 7)),
    "conv3d, replicate": (
        lambda: nn.Conv3d(2, 3, 2, padding=1, padding_mode="replicate", dilation=(1, 2, 1)),
        (2, 4, 5, 4),
    ),
    "lstm, projection, two layers": (lambda: recurrent(nn.LSTM, num_layers=2, proj_size=3), TIME),
    "lstm, projection, both directions": (lambda: recurrent(nn.LSTM, bidirectional=True, proj_size=3), TIME),
    "lstm, time first": (lambda: First(nn.LSTM(8, 5), (1, 0, 2)), TIME),
    "gru": (lambda: recurrent(nn.GRU), TIME),
    "gru, three layers, both directions": (lambda: recurrent(nn.GRU, num_layers=3, bidirectional=True), TIME),
    "gru without bias": (lambda: recurrent(nn.GRU, bias=False), TIME),
    "self-attention": (lambda: SelfAttention(), TIME),
    "self-attention without bias": (lambda: SelfAttention(bias=False), TIME),
    "attention, query against key and value": (lambda: CrossAttention(False), TIME),
    "attention, three sources": (lambda: CrossAttention(True), TIME),
    "attention, three sources, no bias": (lambda: CrossAttention(True, bias=False), TIME),
    "attention, own widths": (lambda: CrossAttention(True, kdim=5, vdim=4), TIME),
    "transformer encoder": (lambda: encoder(False), TIME),
    "transformer encoder, norm first": (lambda: encoder(True), TIME),
    "transformer encoder, time first": (lambda: TimeFirst(), TIME),
    "embedding": (lambda: Tokens(), TIME),
    "embedding with padding": (lambda: Tokens(padding_idx=2), TIME),
    "tied embedding": (lambda: Tied(), TIME),
    "a layer called twice": (lambda: TwiceCalled(), TIME),
    "batch norm between": (lambda: nn.Sequential(nn.Linear(8, 5), nn.BatchNorm1d(6), nn.Linear(5, 3)), TIME),
}
COUPLED = {"batch norm between"}


def batch(shape, n=6, seed=0):
    x = torch.randn(n, *shape, generator=torch.Generator().manual_seed(seed))
    return x, np.array([GROUPS[i % 3 == 0] for i in range(n)])


def loss_of(model, x):
    return (model(x) ** 2).flatten(1).mean(dim=1)


def observed(model, x, labels, backward=None):
    monitor = SpectralMonitor(model, background=False)
    monitor.capture.start()
    (backward or (lambda: loss_of(model, x).mean().backward()))()
    monitor.capture.stop()
    layers = monitor.capture.factors(monitor.capture.take(), len(labels))
    return monitor, {layer: product for layer, (_, product) in layers.items() if product is not None}


def weight_gradients(model):
    """Gradient of each observed weight as a matrix, by the monitor's layer names."""
    found = {}
    for path, module in model.named_modules():
        prefix = f"{path}." if path else ""
        if isinstance(module, nn.MultiheadAttention):
            if module.in_proj_weight is not None:
                parts = module.in_proj_weight.grad.chunk(3)
            else:
                parts = [w.grad for w in (module.q_proj_weight, module.k_proj_weight, module.v_proj_weight)]
            found |= {f"{prefix}{name}": part for name, part in zip(("query", "key", "value"), parts, strict=True)}
        elif isinstance(module, nn.RNNBase):
            found |= {f"{prefix}{n}": w.grad for n, w in module.named_parameters() if n.startswith("weight")}
        elif isinstance(module, nn.Linear | nn.Embedding | nn.modules.conv._ConvNd):
            found[path] = module.weight.grad.flatten(1)
    return found
