"""The networks, each in one file, and the one function that builds them from a configuration."""

from torch import nn

from autospec.models.lstm import LSTM
from autospec.models.mlp import MLP


def build_model(name: str, options: dict, shape: tuple[int, ...], classes: int | None, activation: str) -> nn.Module:
    """Build a model for data of one sample's `shape`.

    Parameters
    ----------
    name : {"mlp", "lstm"}
    options : dict
        The model's sizes: `widths` (mlp); `hidden`, `layers` (lstm).
    shape : tuple of int
        (features,), (time, components) or (height, width).
    classes : int or None
        Number of classes; None for auto-encoding.
    activation : {"relu", "sigmoid", "tanh"}
        Used where the model has an activation of its own.
    """
    if name == "mlp":
        return MLP(shape, options["widths"], classes, activation)
    return LSTM(shape[-1], options["hidden"], options["layers"], classes)
