"""The caller's mixed precision, which is for the model and not for its spectra."""

import contextlib

import torch

_KINDS = ("cpu", "cuda", "mps")


@contextlib.contextmanager
def full_precision():
    """Switch mixed precision off, wherever it is on; a function can be decorated with it."""
    with contextlib.ExitStack() as stack:
        for kind in filter(torch.is_autocast_enabled, _KINDS):
            stack.enter_context(torch.autocast(kind, enabled=False))
        yield
