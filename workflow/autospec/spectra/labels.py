"""The group of each sample of a batch."""

import array
import dataclasses
import functools
from collections.abc import Iterable, Sequence

import numpy as np
import torch

from autospec.spectra.factors import ALL


class Numbers(dict[str, int]):
    """A number for each group's name, in the order in which they first appear."""

    def __missing__(self, name: str) -> int:
        if name == ALL:
            raise ValueError(f"a group is named {ALL!r}, which is the name of everyone together; rename it")
        number = self[name] = len(self)
        return number


class Labels:
    """The group of each sample of a batch.

    Names become numbers at once, and what follows from them is found out when it is asked for, of many steps together.

    Parameters
    ----------
    groups : iterable of str
        Of each sample.
    numbers : Numbers
        Of the groups met so far.

    Raises
    ------
    ValueError
        If a group is named `all`.
    """

    def __init__(self, groups: Iterable[str], numbers: Numbers):
        self.numbers = numbers
        self.coded = array.array("i", map(numbers.__getitem__, groups))

    def __len__(self) -> int:
        return len(self.coded)

    @property
    def groups(self) -> list[str]:
        """Of each sample."""
        names = list(self.numbers)
        return [names[number] for number in self.coded]

    @functools.cached_property
    def counts(self) -> dict[str, int]:
        """Samples of each group, the smallest first, so that those of equal size are neighbours."""
        (part,) = alike([self])
        return part.counts

    @functools.cached_property
    def samples(self) -> dict[str, torch.Tensor]:
        """Samples of each group: (n_g,) int."""
        (part,) = alike([self])
        return dict(zip(part.counts, part.order[0].split(list(part.counts.values())), strict=True))


@dataclasses.dataclass
class Alike:
    """Steps in which the groups have the same sizes.

    Attributes
    ----------
    places : list of int
        Which they are of the steps asked about: k of them.
    counts : dict of str to int
        Samples of each group, the smallest first, so that those of equal size are neighbours.
    order : Tensor of int, (k, n)
        The samples, group by group.
    """

    places: list[int]
    counts: dict[str, int]
    order: torch.Tensor


def alike(labels: Sequence[Labels]) -> list[Alike]:
    """Divide steps of n samples each into those in which the groups have the same sizes."""
    names = list(labels[0].numbers)
    coded = np.frombuffer(b"".join([label.coded for label in labels]), dtype=np.intc).reshape(len(labels), -1)
    shifted = coded + len(names) * np.arange(len(labels))[:, None]
    sizes = np.bincount(shifted.ravel(), minlength=len(labels) * len(names)).reshape(len(labels), -1)
    places: dict[tuple[int, ...], list[int]] = {}
    for place, row in enumerate(sizes.tolist()):
        places.setdefault(tuple(row), []).append(place)
    found = []
    for row, here in places.items():
        there = sorted((size, name, number) for number, (size, name) in enumerate(zip(row, names, strict=True)) if size)
        rank = np.zeros(len(names), dtype=np.int16)
        rank[[number for *_, number in there]] = np.arange(len(there))
        order = np.argsort(rank[coded[here]], axis=1, kind="stable")
        found.append(Alike(here, {name: size for size, name, _ in there}, torch.from_numpy(order)))
    return found


def totals(labels: Sequence[Labels]) -> dict[str, int]:
    """Samples of each group in all of the steps."""
    if not labels:
        return {}
    names = list(labels[0].numbers)
    sizes = np.bincount(np.frombuffer(b"".join([label.coded for label in labels]), dtype=np.intc))
    return {name: size for name, size in zip(names, sizes.tolist(), strict=False) if size}
