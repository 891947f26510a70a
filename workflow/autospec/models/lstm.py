"""LSTM: classifier and auto-encoder with the same encoder."""

from collections import OrderedDict

import torch
from torch import nn


class LSTM(nn.Module):
    """LSTM encoder; then a class head on the mean over time, or a linear read-out at each time.

    The auto-encoder's bottleneck is the hidden state: `hidden` numbers stand for the components
    at each time point. Shapes: n samples, t time points, p components, h hidden units.
    """

    def __init__(self, components: int, hidden: int, layers: int, classes: int | None):
        super().__init__()
        self.encoder = nn.Sequential(OrderedDict(lstm=nn.LSTM(components, hidden, layers, batch_first=True)))
        if classes is None:
            self.decoder = nn.Sequential(OrderedDict(linear=nn.Linear(hidden, components)))
        else:
            self.head = nn.Linear(hidden, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden, _ = self.encoder(x)  # (n, t, p) -> (n, t, h)
        if hasattr(self, "head"):
            return self.head(hidden.mean(dim=1))  # (n, classes)
        return self.decoder(hidden)  # (n, t, p)
