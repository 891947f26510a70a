"""What a network is trained to do: classify, reconstruct its input, or reconstruct what is masked of it."""

import torch
from torch import nn

#: The tasks whose output has the form of the input.
RECONSTRUCTIONS = ("autoencoding", "masked")


def draw_mask(people: int, time: int, share: float, generator: torch.Generator) -> torch.Tensor:
    """Draw the time points of each person that are hidden: (people, time) of bool, equally many in each row."""
    order = torch.rand(people, time, generator=generator).argsort(dim=1)
    return order < max(1, round(share * time))


def sample_losses(
    output: torch.Tensor, x: torch.Tensor, target: torch.Tensor, task: str, mask: torch.Tensor | None = None
) -> torch.Tensor:
    """Loss of each sample, (n,): cross-entropy, or the squared error's mean over the sample.

    With a `mask`, (n, t), the mean is over the masked time points alone.
    """
    if task == "classification":
        return nn.functional.cross_entropy(output.float(), target, reduction="none")
    return mean_over_sample((output.float() - x).square(), mask)


def mean_over_sample(values: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Mean of (n, ...) over each sample, or of (n, t, p) over its masked time points: (n,)."""
    if mask is None:
        return values.flatten(1).mean(dim=1)
    return (values.mean(dim=-1) * mask).sum(dim=1) / mask.sum(dim=1)
