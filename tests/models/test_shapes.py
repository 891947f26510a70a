import pytest
import torch

from autospec.models import MODELS, build_model
from autospec.models.shapes import parameters, sizes

DEFAULTS = {
    "mlp": {"widths": [64, 32, 16]},
    "cnn": {"channels": [16, 32], "kernel": 3},
    "rnn": {"hidden": 32, "layers": 1, "bidirectional": False},
    "lstm": {"hidden": 32, "layers": 1, "bidirectional": True},
    "bert": {"width": 32, "layers": 2, "heads": 4},
}
SAMPLES = {"mlp": (204,), "cnn": (1, 28, 28), "rnn": (120, 20), "lstm": (120, 20), "bert": (120, 20)}


def builder(name, sample=None, classes=None):
    activation = "tanh" if name == "lstm" else "relu"
    return lambda given: MODELS[name](sample or SAMPLES[name], classes, activation, **given)


def chosen(name, shape, options=None, sample=None, classes=None):
    return sizes(name, options or DEFAULTS[name], shape, builder(name, sample, classes))


def test_the_shapes_of_a_perceptron_are_those_worked_out_by_hand():
    """An auto-encoder of 6 inputs and widths 4, 2. Deep, (4, 4, 2, 2): 28 + 20 + 10 + 6 in the encoder and
    6 + 12 + 20 + 30 in the decoder, 132. Wide: (5, 2) has 35 + 12 + 15 + 36 = 98, (6, 3) has 42 + 21 + 24 + 42 =
    129 and (7, 4) has 49 + 32 + 35 + 48 = 164; the nearest to 132 is (6, 3)."""
    options = {"widths": [4, 2]}
    assert chosen("mlp", "base", options, (6,)) == options
    assert chosen("mlp", "deep", options, (6,)) == {"widths": [4, 4, 2, 2]}
    assert chosen("mlp", "wide", options, (6,)) == {"widths": [6, 3]}


@pytest.mark.parametrize("name", MODELS)
def test_wide_and_deep_have_equally_many_parameters_and_each_differs_from_base_in_one_thing(name):
    base, wide, deep = (chosen(name, shape) for shape in ("base", "wide", "deep"))
    width, depth = {"mlp": ("widths",) * 2, "cnn": ("channels", "each"), "bert": ("width", "layers")}.get(
        name, ("hidden", "layers")
    )
    for option in base:
        assert (wide[option] == base[option]) == (option != width)
        assert (deep[option] == base[option]) == (option != depth)
    for classes in (None, 4):
        activation = "tanh" if name == "lstm" else "relu"
        models = [
            build_model(name, DEFAULTS[name], SAMPLES[name], classes, activation, shape)
            for shape in ("base", "wide", "deep")
        ]
        counts = [sum(weight.numel() for weight in model.parameters()) for model in models]
        assert counts[0] < min(counts[1:])
        assert abs(counts[1] - counts[2]) < 0.03 * counts[2]


@pytest.mark.parametrize("classes", [None, 4])
@pytest.mark.parametrize("name", MODELS)
def test_no_other_width_comes_nearer_to_the_deep_shape(name, classes):
    build, base = builder(name, classes=classes), DEFAULTS[name]
    wanted = parameters(build, chosen(name, "deep", classes=classes))
    found = abs(parameters(build, chosen(name, "wide", classes=classes)) - wanted)
    option = {"mlp": "widths", "cnn": "channels", "bert": "width"}.get(name, "hidden")
    for units in range(16, 130):
        if isinstance(base[option], list):
            value = [round(units * part / max(base[option])) for part in base[option]]
        else:
            value = units
        assert abs(parameters(build, base | {option: value}) - wanted) >= found


@pytest.mark.parametrize(("sample", "channels"), [((120, 8), [8, 16]), ((120, 20), [16, 16]), ((1, 28, 28), [1, 1])])
def test_convolutions_halve_the_resolution_by_their_place_whatever_channels_happen_to_match(sample, channels):
    options = {"channels": channels, "kernel": 3}
    strides = {}
    for shape in ("base", "wide", "deep"):
        encoder = build_model("cnn", options, sample, None, "relu", shape).encoder
        strides[shape] = [layer.stride[0] for layer in encoder if hasattr(layer, "stride")]
    assert strides == {"base": [2, 2], "wide": [2, 2], "deep": [2, 1, 2, 1]}


def test_counting_allocates_nothing_and_draws_nothing():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    chosen("bert", "wide")
    assert torch.equal(torch.get_rng_state(), before)
