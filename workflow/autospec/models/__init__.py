"""The networks, each in one file, and the one function that builds them from a configuration."""

from torch import nn

from autospec.models.bert import BERT
from autospec.models.cnn import CNN
from autospec.models.lstm import LSTM
from autospec.models.mlp import MLP
from autospec.models.rnn import RNN
from autospec.models.shapes import sizes

MODELS = {"mlp": MLP, "cnn": CNN, "rnn": RNN, "lstm": LSTM, "bert": BERT}


def build_model(
    name: str, options: dict, sample: tuple[int, ...], classes: int | None, activation: str, shape: str = "base"
) -> nn.Module:
    """Build a model for data whose samples have the shape `sample`.

    Parameters
    ----------
    name : {"mlp", "cnn", "rnn", "lstm", "bert"}
    options : dict
        The model's options in the configuration; those that are sizes are used.
    sample : tuple of int
        (features,), (time, components) or (1, height, width).
    classes : int or None
        Number of classes; None to reconstruct the input.
    activation : {"relu", "sigmoid", "tanh"}
        Used where the model has an activation of its own: everywhere but in the lstm.
    shape : {"base", "wide", "deep"}
        See `autospec.models.shapes`.
    """
    model = MODELS[name]
    chosen = sizes(name, options, shape, lambda given: model(sample, classes, activation, **given))
    return model(sample, classes, activation, **chosen)
