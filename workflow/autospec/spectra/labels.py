"""The group of each sample of a batch."""

import array
import functools
from collections.abc import Iterable, Sequence

import numpy as np
import torch

from autospec.spectra.factors import ALL

# Rows that a layout may have for each sample, those that only fill it counted.
_ROOM = 2


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
        (layout,) = layouts([self])
        return dict(zip(layout.groups, layout.room, strict=True))

    @functools.cached_property
    def samples(self) -> dict[str, torch.Tensor]:
        """Samples of each group: (n_g,) int."""
        (layout,) = layouts([self])
        return dict(zip(layout.groups, torch.from_numpy(layout.order[0]).split(layout.room), strict=True))


class Layout:
    """The samples of several steps, group by group, all steps in the same way.

    Where a group has not the same size in every step, each has room for the largest of all; what is left over is
    filled, so that steps can still be computed together.

    Parameters
    ----------
    names : list of str
        Of the groups, by number.
    coded : ndarray of int, (s, n)
        Number of each sample's group in s steps of n samples each.
    places : sequence of int
        Which these steps are of those asked about.

    Attributes
    ----------
    groups : list of str
        The smallest first, so that those of equal size are neighbours.
    room : list of int
        For each group.
    sizes : ndarray of int, (s, g)
        Samples of each group in each step.
    order : ndarray of int, (s, m)
        The samples, group by group; n where there is none.
    filled : bool
        Whether there is room left over.
    """

    def __init__(self, names: list[str], coded: np.ndarray, places: Sequence[int]):
        self.places, (steps, samples) = places, coded.shape
        sizes = _sizes(coded, len(names))
        most = sizes.max(axis=0)
        there = sorted((size, names[number], number) for number, size in enumerate(most.tolist()) if size)
        numbers = [number for *_, number in there]
        self.groups, self.sizes = [name for _, name, _ in there], sizes[:, numbers]
        rank = np.zeros(len(names), dtype=np.int32)
        rank[numbers] = np.arange(len(numbers))
        ranked = rank[coded]
        by_group = np.argsort(ranked, axis=1, kind="stable")
        self.filled = not (sizes == sizes[0]).all()
        self.room = most[numbers].tolist()
        if not self.filled:
            self.order = by_group
            return
        self.room = [max(self.room)] * len(self.room)
        # Where each sample goes: to the place of its group, and there behind those of it that come before.
        firsts = np.cumsum(self.sizes, axis=1) - self.sizes
        sorted_ranks = np.take_along_axis(ranked, by_group, axis=1)
        within = np.arange(samples) - np.take_along_axis(firsts, sorted_ranks, axis=1)
        self.order = np.full((steps, sum(self.room)), samples)
        np.put_along_axis(self.order, sorted_ranks.astype(np.intp) * self.room[0] + within, by_group, axis=1)


def layouts(labels: Sequence[Labels]) -> list[Layout]:
    """Of steps of n samples each: one for all; where filling would be most of it, one for each way to be divided."""
    names, samples = list(labels[0].numbers), len(labels[0])
    coded = np.frombuffer(b"".join([label.coded for label in labels]), dtype=np.intc).reshape(len(labels), samples)
    sizes = _sizes(coded, len(names))
    if (sizes == sizes[0]).all() or np.count_nonzero(sizes.any(axis=0)) * sizes.max() <= _ROOM * samples:
        return [Layout(names, coded, range(len(labels)))]
    alike: dict[tuple[int, ...], list[int]] = {}
    for place, row in enumerate(sizes.tolist()):
        alike.setdefault(tuple(row), []).append(place)
    return [Layout(names, coded[places], places) for places in alike.values()]


def _sizes(coded: np.ndarray, groups: int) -> np.ndarray:
    """Samples of each group in each step, (s, groups), from their groups' numbers, (s, n)."""
    shifted = coded + groups * np.arange(len(coded))[:, None]
    return np.bincount(shifted.ravel(), minlength=len(coded) * groups).reshape(len(coded), groups)


def totals(labels: Sequence[Labels]) -> dict[str, int]:
    """Samples of each group in all of the steps."""
    if not labels:
        return {}
    names = list(labels[0].numbers)
    sizes = np.bincount(np.frombuffer(b"".join([label.coded for label in labels]), dtype=np.intc))
    return {name: size for name, size in zip(names, sizes.tolist(), strict=False) if size}
