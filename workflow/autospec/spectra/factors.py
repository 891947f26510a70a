"""What one weight matrix saw in one step, and the small cores of its group spectra.

Indices: n samples, t rows a sample (time steps, tokens, positions), p inputs, q outputs,
b blocks (groups of a grouped convolution; else 1).
"""

import dataclasses

import torch

from autospec.spectra.decompose import gram


@dataclasses.dataclass
class Factors:
    """Inputs and adjoints of a weight W, (b q, p), whose gradient is their product.

    Attributes
    ----------
    inputs : Tensor, (n, t, b p)
    adjoints : Tensor, (n, t, b q), or None where no gradient reached the layer
    bias : bool
        Whether the layer has a bias, whose gradient is a column more.
    blocks : int
        The gradient of block i uses only the i-th slices of inputs and adjoints; the block
        gradients are stacked, as the rows of a grouped convolution's weight are.
    """

    inputs: torch.Tensor
    adjoints: torch.Tensor | None
    bias: bool
    blocks: int = 1

    @property
    def rank(self) -> int:
        """Length of the gradient's spectrum, min(b q, p)."""
        return min(self.adjoints.shape[-1], self.inputs.shape[-1] // self.blocks)

    def gradient(self, samples: torch.Tensor | slice) -> torch.Tensor:
        """Gradient from the rows of `samples` alone, G = D^T A: (b q, p)."""
        inputs = self.inputs[samples].flatten(0, 1)
        adjoints = self.adjoints[samples].flatten(0, 1)
        if self.blocks == 1:
            return adjoints.mT @ inputs
        inputs = inputs.unflatten(-1, (self.blocks, -1))
        adjoints = adjoints.unflatten(-1, (self.blocks, -1))
        return torch.einsum("rbq,rbp->bqp", adjoints, inputs).flatten(0, 1)

    def sample_gradients(self, with_bias: bool) -> torch.Tensor:
        """Gradient of every sample by itself: (n, b q, p), or p + 1 with the bias as a column."""
        inputs = self.inputs.unflatten(-1, (self.blocks, -1))
        adjoints = self.adjoints.unflatten(-1, (self.blocks, -1))
        if with_bias and self.bias:
            inputs = torch.cat([inputs, torch.ones_like(inputs[..., :1])], dim=-1)
        return torch.einsum("ntbq,ntbp->nbqp", adjoints, inputs).flatten(1, 2)


@dataclasses.dataclass
class Core:
    """One spectrum to be solved: a Gram matrix, or a pair of row Gram matrices (see decompose)."""

    key: tuple[str, str, str]
    matrices: tuple[torch.Tensor, ...]
    length: int
    scale: float = 1.0


def step_cores(
    layer: str, factors: Factors, groups: dict[str, torch.Tensor], quantities: tuple[str, ...]
) -> list[Core]:
    """Cores of every wanted spectrum of one layer in one step.

    Parameters
    ----------
    layer : str
    factors : Factors
    groups : dict of group name to sample indices, (n_g,), none of them empty
    quantities : tuple of {"activation", "adjoint", "gradient"}

    Returns
    -------
    list of Core
        Keyed (layer, quantity, group). Activations are scaled by 1 / sqrt(rows of the group).
    """
    cores = []
    if "activation" in quantities:
        cores += _row_cores(layer, "activation", factors.inputs, groups)
    if factors.adjoints is None:
        return cores
    if "adjoint" in quantities:
        cores += _row_cores(layer, "adjoint", factors.adjoints, groups)
    if "gradient" in quantities:
        cores += _gradient_cores(layer, factors, groups)
    return cores


def _row_cores(layer, quantity, matrix, groups) -> list[Core]:
    cores = []
    for group, samples in groups.items():
        rows = matrix[samples].flatten(0, 1)
        scale = len(rows) ** -0.5 if quantity == "activation" else 1.0
        cores.append(Core((layer, quantity, group), (gram(rows),), min(rows.shape), scale))
    return cores


def _gradient_cores(layer, factors, groups) -> list[Core]:
    t = factors.inputs.shape[1]
    cores, formed = [], {}
    for group, samples in groups.items():
        key = (layer, "gradient", group)
        if factors.blocks == 1 and len(samples) * t < factors.rank:
            inputs = factors.inputs[samples].flatten(0, 1).double()
            adjoints = factors.adjoints[samples].flatten(0, 1).double()
            cores.append(Core(key, (inputs @ inputs.mT, adjoints @ adjoints.mT), factors.rank))
        else:
            formed[group] = factors.gradient(samples)
            cores.append(Core(key, (gram(formed[group]),), factors.rank))
    return cores
