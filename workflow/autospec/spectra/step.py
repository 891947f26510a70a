"""One observed step, with its samples' groups; several passes that make one."""

from collections.abc import Sequence

import torch

from autospec.spectra.factors import join_steps, secured
from autospec.spectra.labels import Labels, Numbers


class Step:
    """One observed step, as the body of ``with monitor.observe(...) as step`` sees it.

    Parameters
    ----------
    groups
        Of each sample: a sequence, array or tensor of labels.
    numbers : Numbers
        Of the groups met so far.
    loss_scale : float

    Attributes
    ----------
    labels : Labels
    sample_losses : Tensor, (n,), or None
    """

    def __init__(self, groups: Sequence[str], numbers: Numbers, loss_scale: float = 1.0):
        self.labels = Labels(map(str, groups.tolist() if hasattr(groups, "tolist") else groups), numbers)
        self.loss_scale = loss_scale
        self.sample_losses: torch.Tensor | None = None

    def losses(self, values: torch.Tensor) -> None:
        """Take the loss of each sample, (n,), for the groups' losses under every labeling."""
        if values.shape != (len(self.labels),):
            raise ValueError(f"losses have shape {tuple(values.shape)}; wanted ({len(self.labels)},), one a sample")
        self.sample_losses = values.detach()

    def samples(self, device: torch.device) -> dict[str, torch.Tensor | slice]:
        """Samples of each group, on a device; a slice of the batch where they lie side by side."""
        found: dict[str, torch.Tensor | slice] = {}
        for group, part in self.labels.samples.items():
            first, count = int(part[0]), len(part)
            if int(part[-1]) - first + 1 == count:
                found[group] = slice(first, first + count)
            else:
                # Without waiting for what the device has still to do.
                found[group] = part if device.type == "cpu" else part.pin_memory().to(device, non_blocking=True)
        return found


def secured_layers(layers: dict[str, tuple]) -> dict[str, tuple]:
    """Factors of a pass that others follow, for which the caller may use the same memory."""
    result = {}
    for layer, (rows, product) in layers.items():
        own = secured(rows)
        result[layer] = (own, own if product is rows else secured(product))
    return result


def join_passes(held: list[tuple]) -> tuple:
    """Several backward passes before one optimiser's step: their samples, one after another."""
    steps, layers, labelings = zip(*held, strict=True)
    joined = Step([group for step in steps for group in step.labels.groups], steps[0].labels.numbers)
    if all(step.sample_losses is not None for step in steps):
        joined.sample_losses = torch.cat([step.sample_losses for step in steps])
    masks = None
    if all(part is not None for part in labelings):
        masks = torch.cat([torch.as_tensor(part, dtype=torch.bool) for part in labelings], dim=1)
    return joined, join_steps(layers, [len(step.labels) for step in steps]), masks
