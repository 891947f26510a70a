"""One observed step, with its samples' groups; several passes that make one."""

import array
import collections
from collections.abc import Sequence

import torch

from autospec.spectra.factors import join_steps, secured
from autospec.spectra.gather import samples_of


class Step:
    """One observed step, as the body of ``with monitor.observe(...) as step`` sees it.

    Attributes
    ----------
    groups : list of str
        Of each sample.
    counts : dict of str to int
        Samples of each group, the smallest first, so that those of equal size are neighbours.
    places : Tensor of int, (n,)
        Of each sample's group, its place in `counts`.
    """

    def __init__(self, groups: Sequence[str], loss_scale: float = 1.0, last: "Step | None" = None):
        labels = groups.tolist() if hasattr(groups, "tolist") else groups
        self.groups = list(map(str, labels))
        if last is not None and self.groups == last.groups:
            self.counts: dict[str, int] = last.counts
            self.places: torch.Tensor = last.places
        else:
            counts = collections.Counter(self.groups)
            self.counts = dict(sorted(counts.items(), key=lambda counted: (counted[1], counted[0])))
            place = {group: position for position, group in enumerate(self.counts)}
            self.places = torch.frombuffer(array.array("q", map(place.__getitem__, self.groups)), dtype=torch.int64)
        self.loss_scale = loss_scale
        self.sample_losses: torch.Tensor | None = None

    def losses(self, values: torch.Tensor) -> None:
        """Take the loss of each sample, (n,), for the groups' losses under every labeling."""
        if values.shape != (len(self.groups),):
            raise ValueError(f"losses have shape {tuple(values.shape)}; wanted ({len(self.groups)},), one a sample")
        self.sample_losses = values.detach()

    def samples(self, device: torch.device) -> dict[str, torch.Tensor | slice]:
        """Samples of each group, on a device; a slice of the batch where they lie side by side."""
        found: dict[str, torch.Tensor | slice] = {}
        for group, part in samples_of(self.places, self.counts).items():
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
    joined = Step([group for step in steps for group in step.groups])
    if all(step.sample_losses is not None for step in steps):
        joined.sample_losses = torch.cat([step.sample_losses for step in steps])
    masks = None
    if all(part is not None for part in labelings):
        masks = torch.cat([torch.as_tensor(part, dtype=torch.bool) for part in labelings], dim=1)
    return joined, join_steps(layers, [len(step.groups) for step in steps]), masks
