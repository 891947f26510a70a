"""Memory that is used again and again.

A large array that is made and dropped for every batch of steps goes back to the operating system
each time, and fetching it anew page by page costs as much as the arithmetic done in it.
"""

import math
from typing import Any, TypeAlias

import numpy as np
import torch

Array: TypeAlias = np.ndarray | torch.Tensor


def array(tensor: torch.Tensor) -> Array:
    """The same memory as an array of NumPy's, where it is the CPU's."""
    return tensor.numpy() if tensor.device.type == "cpu" else tensor


class Workspace:
    """Arrays by name, kept between uses; a name's next use overwrites the last one's contents."""

    def __init__(self):
        self._kept: dict[tuple, Array] = {}

    def take(self, name: str, shape: tuple[int, ...], like: Array, dtype=None) -> Array:
        """An uninitialised array of `shape`, of the library and on the device of `like`; of float64 without a type."""
        library: Any = torch if isinstance(like, torch.Tensor) else np
        options = {"device": like.device} if isinstance(like, torch.Tensor) else {}
        dtype, count = dtype or library.float64, math.prod(shape)
        key = (name, dtype, *options.values())
        if key not in self._kept or len(self._kept[key]) < count:
            self._kept[key] = library.empty(count, dtype=dtype, **options)
        return self._kept[key][:count].reshape(shape)
