"""Networks that more than one test observes."""

import torch
from torch import nn


class Tied(nn.Module):
    """One weight in an embedding and in the read-out."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(11, 6)
        self.read_out = nn.Linear(6, 11, bias=False)
        self.read_out.weight = self.embedding.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.read_out(self.embedding((x[..., 0] * 3).long().abs() % 11))
