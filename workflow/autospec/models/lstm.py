"""Long short-term memory: classifier and auto-encoder with the same encoder."""

from collections import OrderedDict

import torch
from torch import nn


class LSTM(nn.Module):
    """LSTM encoder; then a class head on the mean over time, or a linear read-out at each time.

    The auto-encoder's bottleneck is the hidden state: `hidden` numbers (twice as many if bidirectional) stand
    for the components at each time point. Its activations are its own: tanh, and sigmoid for the gates.
    Shapes: n samples, t time points, p components, h hidden units.
    """

    def __init__(
        self, sample: tuple[int, int], classes: int | None, activation: str,
        hidden: int, layers: int, bidirectional: bool,
    ):  # fmt: skip
        super().__init__()
        if activation != "tanh":
            raise ValueError(f"the LSTM has its own activation, tanh; found {activation!r}")
        components, width = sample[1], hidden * (2 if bidirectional else 1)
        lstm = nn.LSTM(components, hidden, layers, batch_first=True, bidirectional=bidirectional)
        self.encoder = nn.Sequential(OrderedDict(lstm=lstm))
        if classes is None:
            self.decoder = nn.Sequential(OrderedDict(linear=nn.Linear(width, components)))
        else:
            self.head = nn.Linear(width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden, _ = self.encoder(x)  # (n, t, p) -> (n, t, width)
        if hasattr(self, "head"):
            return self.head(hidden.mean(dim=1))  # (n, classes)
        return self.decoder(hidden)  # (n, t, p)
