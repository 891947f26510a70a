"""What the capture asks of every layer type, with the answers that most of them give."""

import torch
from torch import nn

from autospec.spectra.call import Call


class Kind:
    """A layer type; each has a file of its own beside this one.

    `types` are the module classes it serves: exactly these, and not what is derived from them
    with another forward pass.
    """

    types: tuple[type[nn.Module], ...] = ()

    @staticmethod
    def refusal(module: nn.Module) -> str | None:
        """Why a module cannot be observed."""
        return None

    @staticmethod
    def weights(module: nn.Module) -> dict[str, torch.Tensor]:
        """Its weight matrices by name, "" where it has one."""
        return {"": module.weight}

    @staticmethod
    def before(module: nn.Module) -> dict:
        """What must be kept of the state in which the forward pass begins."""
        return {}

    @staticmethod
    def after(call: Call, arguments, output) -> None:
        """See the forward pass, while it is still in the graph."""

    @staticmethod
    def factors(call: Call, samples: int) -> dict:
        """The factors of each weight in one call, by the names of `weights`."""
        raise NotImplementedError
