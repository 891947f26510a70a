"""Memory that is used again and again.

A large array that is made and dropped for every batch of steps goes back to the operating system
each time, and fetching it anew page by page costs as much as the arithmetic done in it.
"""

import math
from typing import TypeAlias

import numpy as np
import torch

Array: TypeAlias = np.ndarray | torch.Tensor


def array(tensor: torch.Tensor) -> Array:
    """The same numbers as an array of NumPy's, where they are the CPU's."""
    if tensor.device.type != "cpu":
        return tensor
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()  # NumPy has no bfloat16


class Workspace:
    """Arrays by name, kept between uses; a name's next use overwrites the last one's contents.

    And matrices without a name, which `keep` gives and which stay as they are until `release`.
    """

    def __init__(self):
        self._named: dict[tuple, Array] = {}
        self._blocks: dict[torch.device | None, Array] = {}
        self._wanted: dict[torch.device | None, int] = {}

    def take(self, name: str, shape: tuple[int, ...], like: Array, dtype=None) -> Array:
        """An uninitialised array of `shape`, of the library and on the device of `like`; of float64 without a type."""
        key, count = (name, _device(like), dtype), math.prod(shape)
        if key not in self._named or len(self._named[key]) < count:
            self._named[key] = _empty(count, like, dtype)
        return self._named[key][:count].reshape(shape)

    def keep(self, shape: tuple[int, ...], like: Array) -> Array:
        """An uninitialised float64 array of `shape`, of the library and on the device of `like`."""
        key, count = _device(like), math.prod(shape)
        first = self._wanted.get(key, 0)
        self._wanted[key] = first + count
        if key in self._blocks and first + count <= len(self._blocks[key]):
            return self._blocks[key][first : first + count].reshape(shape)
        return _empty(count, like).reshape(shape)

    def release(self) -> None:
        """Use the memory of all that was kept again, in blocks that would have held it all."""
        for key, count in self._wanted.items():
            if key not in self._blocks or len(self._blocks[key]) < count:
                self._blocks[key] = np.empty(count) if key is None else _on(key, count)
        self._wanted = {}


def _device(like: Array) -> torch.device | None:
    return like.device if isinstance(like, torch.Tensor) else None


def _empty(count: int, like: Array, dtype=None) -> Array:
    if isinstance(like, torch.Tensor):
        return _on(like.device, count, dtype or torch.float64)
    return np.empty(count, dtype or np.float64)


def _on(device: torch.device, count: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.empty(count, dtype=dtype, device=device)
