"""The group of each sample of a batch."""

import array
import collections
import functools

import torch


class Labels:
    """The group of each sample of a batch; what follows from that is found out when it is first asked for.

    Parameters
    ----------
    groups : list of str
        Of each sample.
    """

    def __init__(self, groups: list[str]):
        self.groups = groups

    def __len__(self) -> int:
        return len(self.groups)

    @functools.cached_property
    def counts(self) -> dict[str, int]:
        """Samples of each group, the smallest first, so that those of equal size are neighbours."""
        counts = collections.Counter(self.groups)
        return dict(sorted(counts.items(), key=lambda counted: (counted[1], counted[0])))

    @functools.cached_property
    def places(self) -> torch.Tensor:
        """Of each sample's group, its place in `counts`: (n,) int."""
        place = {group: position for position, group in enumerate(self.counts)}
        return torch.frombuffer(array.array("q", map(place.__getitem__, self.groups)), dtype=torch.int64)

    @functools.cached_property
    def samples(self) -> dict[str, torch.Tensor]:
        """Samples of each group: (n_g,) int."""
        order = torch.argsort(self.places, stable=True)
        return dict(zip(self.counts, order.split(list(self.counts.values())), strict=True))
