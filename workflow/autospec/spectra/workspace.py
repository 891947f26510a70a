"""Memory that is used again and again.

A large array that is made and dropped for every batch of steps goes back to the operating system
each time, and fetching it anew page by page costs as much as the arithmetic done in it.
"""

import math

import torch


class Workspace:
    """Tensors by name, kept between uses; a name's next use overwrites the last one's contents."""

    def __init__(self):
        self._kept: dict[tuple, torch.Tensor] = {}

    def take(self, name: str, shape: tuple[int, ...], like: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """An uninitialised tensor of `shape` and `dtype` on the device of `like`."""
        key, count = (name, dtype, like.device), math.prod(shape)
        if key not in self._kept or len(self._kept[key]) < count:
            self._kept[key] = torch.empty(count, dtype=dtype, device=like.device)
        return self._kept[key][:count].view(shape)
