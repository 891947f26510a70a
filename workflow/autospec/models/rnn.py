"""Recurrent network: classifier and auto-encoder with the same encoder."""

from collections import OrderedDict

import torch
from torch import nn

FUNCTIONS = {"relu": torch.relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh}


class Pass(nn.Module):
    """One layer in one direction: h_t = f(W_input x_t + W_recurrent h_{t-1} + b).

    Made of Linear layers, since nn.RNN has no sigmoid.
    """

    def __init__(self, inputs: int, hidden: int, activation: str, reverse: bool = False):
        super().__init__()
        self.input = nn.Linear(inputs, hidden)
        self.recurrent = nn.Linear(hidden, hidden, bias=False)
        self.function, self.reverse = FUNCTIONS[activation], reverse
        for weight in self.parameters():
            nn.init.uniform_(weight, -(hidden**-0.5), hidden**-0.5)  # as nn.RNN

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        given = self.input(x).unbind(dim=1)  # (n, t, p) -> t times (n, h)
        state, states = torch.zeros_like(given[0]), []
        for step in reversed(given) if self.reverse else given:
            state = self.function(step + self.recurrent(state))
            states.append(state)
        return torch.stack(states[::-1] if self.reverse else states, dim=1)  # (n, t, h)


class Layer(nn.Module):
    """A pass forward in time and, if `bidirectional`, another one backward."""

    def __init__(self, inputs: int, hidden: int, activation: str, bidirectional: bool):
        super().__init__()
        self.ahead = Pass(inputs, hidden, activation)
        self.back = Pass(inputs, hidden, activation, reverse=True) if bidirectional else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        states = self.ahead(x)  # (n, t, p) -> (n, t, h)
        return states if self.back is None else torch.cat([states, self.back(x)], dim=-1)


class RNN(nn.Module):
    """Recurrent encoder; then a class head on the mean over time, or a linear read-out at each time.

    The auto-encoder's bottleneck is the hidden state: `hidden` numbers (twice as many if bidirectional) stand
    for the components at each time point. Shapes: n samples, t time points, p components, h hidden units.
    """

    def __init__(
        self, sample: tuple[int, int], classes: int | None, activation: str,
        hidden: int, layers: int, bidirectional: bool,
    ):  # fmt: skip
        super().__init__()
        components, width = sample[1], hidden * (2 if bidirectional else 1)
        self.encoder = nn.Sequential(OrderedDict(
            (f"layer{number}", Layer(components if number == 1 else width, hidden, activation, bidirectional))
            for number in range(1, layers + 1)
        ))  # fmt: skip
        if classes is None:
            self.decoder = nn.Sequential(OrderedDict(linear=nn.Linear(width, components)))
        else:
            self.head = nn.Linear(width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.encoder(x)  # (n, t, p) -> (n, t, width)
        if hasattr(self, "head"):
            return self.head(hidden.mean(dim=1))  # (n, classes)
        return self.decoder(hidden)  # (n, t, p)
