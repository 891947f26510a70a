"""What one weight matrix saw in one step.

Indices: n samples, t rows a sample (time steps, tokens, positions), p inputs, q outputs.
"""

from collections.abc import Iterator

import torch

#: The name of everyone together.
ALL = "all"


class AnyFactors:
    """What all kinds of factors answer."""

    @property
    def reached(self) -> bool:
        """Whether a gradient came back to the layer."""
        return self.adjoints is not None

    @property
    def device(self) -> torch.device:
        """Where the adjoints are."""
        return self.adjoints.device


class Factors(AnyFactors):
    """Inputs and adjoints of a weight W, (q, p), whose gradient is their product D^T A.

    Parameters
    ----------
    inputs : Tensor, (n, t, p), or (n, p) with one row a sample
    adjoints : Tensor, (n, t, q) or (n, q), or None where no gradient reached the layer
    bias : bool
        Whether the layer has a bias, whose gradient is a column more.
    trained : bool
        Whether the weight takes a gradient.

    Attributes
    ----------
    inputs_seen, adjoints_seen
        Both as they were given; `inputs` and `adjoints` always have three dimensions.
    """

    #: Its rows stay where they are in memory, while it is there.
    holds_rows = True

    def __init__(self, inputs: torch.Tensor, adjoints: torch.Tensor | None, bias: bool, trained: bool = True):
        self.inputs_seen, self.adjoints_seen, self.bias, self.trained = inputs, adjoints, bias, trained

    @property
    def inputs(self) -> torch.Tensor:
        return self.inputs_seen if self.inputs_seen.dim() == 3 else self.inputs_seen.unsqueeze(1)

    @property
    def adjoints(self) -> torch.Tensor | None:
        seen = self.adjoints_seen
        return seen if seen is None or seen.dim() == 3 else seen.unsqueeze(1)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Samples, rows a sample and inputs: n, t, p."""
        shape = self.inputs_seen.shape
        return tuple(shape) if len(shape) == 3 else (shape[0], 1, shape[1])

    @property
    def width(self) -> int | None:
        """Outputs, q; None where no gradient reached the layer."""
        return None if self.adjoints_seen is None else self.adjoints_seen.shape[-1]

    @property
    def rank(self) -> int:
        """Length of the gradient's spectrum, min(q, p)."""
        return min(self.width, self.inputs_seen.shape[-1])

    def gradient(self, samples: torch.Tensor) -> torch.Tensor:
        """Gradient from the rows of `samples`, (n_g,), alone: G = D^T A, (q, p)."""
        return self.adjoints[samples].flatten(0, 1).mT @ self.inputs[samples].flatten(0, 1)

    def sample_gradients(self, with_bias: bool) -> torch.Tensor:
        """Gradient of every sample by itself: (n, q, p), or p + 1 with the bias as a column."""
        inputs = self.inputs
        if with_bias and self.bias:
            inputs = torch.cat([inputs, torch.ones_like(inputs[..., :1])], dim=-1)
        return self.adjoints.mT @ inputs


class FormedFactors(AnyFactors):
    """Group gradients that the backward pass left ready: {group: (q, p)}, and nothing else.

    `adjoints` says only that a gradient reached the layer.
    """

    trained = True

    def __init__(self, gradients: dict[str, torch.Tensor]):
        self.gradients = gradients
        self.adjoints = next(iter(gradients.values()))

    @property
    def rank(self) -> int:
        return min(self.adjoints.shape)


class SharedFactors(AnyFactors):
    """A weight used by several calls: its gradient is the sum of theirs.

    `parts` are those of all calls; `adjoints` says only whether there is a gradient.
    """

    def __init__(self, parts: list):
        self.parts, self._reached_parts = parts, [part for part in parts if part.reached]
        self.adjoints = self._reached_parts[0].adjoints if self._reached_parts else None
        self.bias = any(part.bias for part in self.parts)
        self.trained = parts[0].trained
        share_columns(parts)

    @property
    def rank(self) -> int:
        return self._reached_parts[0].rank

    def gradient(self, samples: torch.Tensor) -> torch.Tensor:
        return sum(part.gradient(samples) for part in self._reached_parts)

    def sample_gradients(self, with_bias: bool) -> torch.Tensor:
        gradients = [part.sample_gradients(with_bias) for part in self._reached_parts]
        width = max(gradient.shape[-1] for gradient in gradients)
        return sum(torch.nn.functional.pad(gradient, (0, width - gradient.shape[-1])) for gradient in gradients)

    def pieces(self, samples: torch.Tensor) -> list[tuple]:
        """The calls, each with the samples of it."""
        return [(part, samples) for part in self.parts]


def share_columns(parts: list) -> None:
    """Give one-hot inputs of several calls, (n, t, occurring), the same columns."""
    hot = [part for part in parts if hasattr(part, "occurring")]
    if hot:
        occurring = torch.cat([part.tokens.flatten() for part in hot]).unique()
        for part in hot:
            part.occurring = occurring


def secured(factors):
    """The same factors, with copies of what may be the caller's own, who may write the next batch into it."""
    if type(factors) is Factors:
        return Factors(factors.inputs_seen.clone(), factors.adjoints_seen, factors.bias, factors.trained)
    if type(factors) is SharedFactors:
        return SharedFactors([secured(part) for part in factors.parts])
    if type(factors) is ManySteps:
        return ManySteps([secured(part) for part in factors.parts], factors.sizes)
    return factors


def join_calls(parts: list):
    """Several calls of one layer in one step: the rows of a sample are those of all calls."""
    if len(parts) == 1:
        return parts[0]
    if all(type(part) is Factors and part.adjoints is not None for part in parts):
        inputs = torch.cat([part.inputs for part in parts], dim=1)
        return Factors(inputs, torch.cat([part.adjoints for part in parts], dim=1), parts[0].bias, parts[0].trained)
    return SharedFactors(parts)


class ManySteps(AnyFactors):
    """Factors of several backward passes before one optimiser's step: the samples of all of them.

    Parameters
    ----------
    parts : list of factors, or None where a pass did not reach the layer
    sizes : list of int
        Samples of each pass.

    Attributes
    ----------
    adjoints
        Says only whether a gradient reached the layer.
    """

    def __init__(self, parts: list, sizes: list[int]):
        self.parts, self.sizes = parts, sizes
        there = [part for part in parts if part is not None]
        reached = [part for part in there if part.adjoints is not None]
        self.bias, self.trained = there[0].bias, there[0].trained
        self.adjoints, self.rank = (reached[0].adjoints, reached[0].rank) if reached else (None, 0)
        share_columns(there)

    def gradient(self, samples: torch.Tensor) -> torch.Tensor:
        return sum(part.gradient(inside) for part, inside in self.pieces(samples) if part.reached)

    def sample_gradients(self, with_bias: bool) -> torch.Tensor:
        gradients = [
            None if part is None or part.adjoints is None else part.sample_gradients(with_bias) for part in self.parts
        ]
        like = next(gradient for gradient in gradients if gradient is not None)
        return torch.cat(
            [
                like.new_zeros((size, *like.shape[1:])) if gradient is None else gradient
                for gradient, size in zip(gradients, self.sizes, strict=True)
            ]
        )

    def pieces(self, samples: torch.Tensor) -> list[tuple]:
        """The passes that reached the layer, each with its own of these samples."""
        found, first = [], 0
        for part, size in zip(self.parts, self.sizes, strict=True):
            if part is not None:
                found.append((part, samples[(samples >= first) & (samples < first + size)] - first))
            first += size
        return found


def join_steps(layers: list[dict[str, tuple]], sizes: list[int]) -> dict[str, tuple]:
    """The layers of several backward passes, `sizes` samples each, as those of one step."""
    names = dict.fromkeys(name for part in layers for name in part)
    joined = {}
    for name in names:
        pairs = [part.get(name, (None, None)) for part in layers]
        rows, products = zip(*pairs, strict=True)
        shared = all(product is None for product in products)
        joined[name] = (ManySteps(list(rows), sizes), None if shared else ManySteps(list(products), sizes))
    return joined


def group_gradients(product, groups: dict[str, torch.Tensor]) -> Iterator[tuple[str, torch.Tensor]]:
    """Gradient of each group, (q, p); everyone's, named ALL, comes last and is the sum of the others."""
    total, formed = 0.0, product.gradients if isinstance(product, FormedFactors) else {}
    for group, samples in groups.items():
        if group == ALL and torch.is_tensor(total):
            yield group, total
            continue
        gradient = formed[group] if formed else product.gradient(samples.to(product.device))
        total = total + gradient
        yield group, gradient
