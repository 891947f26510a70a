"""Three shapes of every model: `base`, `deep` and `wide`, the last two of the same size.

`base` is what the configuration says. `deep` has every layer of the encoder twice, at the widths of `base`.
`wide` has the layers of `base`, at the width that gives the network as many parameters as the deep one, as
nearly as a whole number of units allows. So base and deep differ in depth alone, base and wide in width alone,
and wide against deep is not big against small. The whole network is counted, with the head or decoder of its
task, so that the wide encoders of two tasks may differ by a few units.
"""

import bisect
from collections.abc import Callable

import torch
from torch import nn

#: The options that are sizes: the one of width first, then the one of depth (the same where both are one list). The
#: cnn's `each` is 1 in every configuration.
SIZES = {
    "mlp": ("widths", "widths"),
    "cnn": ("channels", "each", "kernel"),
    "rnn": ("hidden", "layers", "bidirectional"),
    "lstm": ("hidden", "layers", "bidirectional"),
    "bert": ("width", "layers", "heads"),
}


def sizes(name: str, options: dict, shape: str, build: Callable[..., nn.Module]) -> dict:
    """The sizes of a model in one of its shapes.

    Parameters
    ----------
    name : str
        The model.
    options : dict
        Its options in the configuration.
    shape : {"base", "wide", "deep"}
    build : callable
        Makes the model from its sizes.
    """
    base = {option: ({"each": 1} | options)[option] for option in SIZES[name]}
    width, depth = SIZES[name][:2]
    if shape == "base":
        return base
    twice = [units for units in base[depth] for _ in range(2)] if isinstance(base[depth], list) else 2 * base[depth]
    deep = base | {depth: twice}
    if shape == "deep":
        return deep

    def widened(units: int) -> dict:
        """`base` with `units` in its widest layer, and the others in proportion."""
        if not isinstance(base[width], list):
            return base | {width: units}
        return base | {width: [max(1, round(units * part / max(base[width]))) for part in base[width]]}

    def count(units: int) -> int:
        return parameters(build, widened(units))

    wanted, least = parameters(build, deep), max(base[width]) if isinstance(base[width], list) else base[width]
    most = least
    while count(most) < wanted:
        most *= 2
    above = least + bisect.bisect_left(range(least, most), wanted, key=count)
    return widened(min((max(least, above - 1), above), key=lambda units: abs(count(units) - wanted)))


def parameters(build: Callable[..., nn.Module], given: dict) -> int:
    """How many parameters a model has; nothing is allocated."""
    with torch.device("meta"):
        return sum(weight.numel() for weight in build(given).parameters())
