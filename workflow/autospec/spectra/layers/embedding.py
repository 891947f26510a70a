"""nn.Embedding: a linear layer on one-hot rows. Indices: n samples, t tokens, v entries, d width."""

import torch
from torch import nn

from autospec.spectra.call import Call, sample_rows
from autospec.spectra.factors import AnyFactors
from autospec.spectra.layers.kind import Kind


class Embedding(Kind):
    """The weight, (v, d), has the gradient A^T D with A one-hot, (n t, v)."""

    types = (nn.Embedding,)

    @staticmethod
    def factors(call: Call, samples: int):
        return {"": EmbeddingFactors(call, samples)}


class EmbeddingFactors(AnyFactors):
    """Factors whose one-hot inputs are never formed for the gradient."""

    bias = False

    def __init__(self, call: Call, samples: int):
        module, gradient = call.module, call.gradients[0]
        self.tokens = sample_rows(call.arguments[0].unsqueeze(-1), samples, call.batch_first)[..., 0]
        self.entries, self.width = module.weight.shape
        self.trained = module.weight.requires_grad
        #: The columns of `inputs`; None for the entries that occur in this call.
        self.occurring: torch.Tensor | None = None
        self.adjoints = None
        if gradient is not None:
            weight = torch.ones_like(self.tokens, dtype=gradient.dtype)
            if module.padding_idx is not None:
                weight = weight * (self.tokens != module.padding_idx)
            if module.scale_grad_by_freq:
                weight = weight / torch.bincount(self.tokens.flatten(), minlength=self.entries)[self.tokens]
            self.adjoints = sample_rows(gradient, samples, call.batch_first) * weight[..., None]

    @property
    def rank(self) -> int:
        return min(self.entries, self.width)

    @property
    def inputs(self) -> torch.Tensor:
        """One-hot rows over the entries that occur: (n, t, occurring). The others are zero columns."""
        occurring = self.tokens.unique() if self.occurring is None else self.occurring
        numbers = torch.searchsorted(occurring, self.tokens)
        return nn.functional.one_hot(numbers, len(occurring)).to(torch.get_default_dtype())

    def gradient(self, samples: torch.Tensor) -> torch.Tensor:
        """Gradient from `samples` alone: (v, d)."""
        adjoints = self.adjoints[samples].flatten(0, 1)
        return adjoints.new_zeros(self.entries, self.width).index_add_(0, self.tokens[samples].flatten(), adjoints)

    def sample_gradients(self, with_bias: bool) -> torch.Tensor:
        """Gradient of every sample by itself: (n, v, d)."""
        n = len(self.tokens)
        rows = (torch.arange(n, device=self.tokens.device)[:, None] * self.entries + self.tokens).flatten()
        gradients = self.adjoints.new_zeros(n * self.entries, self.width)
        return gradients.index_add_(0, rows, self.adjoints.flatten(0, 1)).view(n, self.entries, self.width)
