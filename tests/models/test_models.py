import math

import pytest
import torch
from torch import nn

from autospec.models import build_model
from autospec.models.bert import sinusoids
from autospec.models.rnn import Pass

SIZES = {
    "mlp": {"widths": [12, 6]},
    "cnn": {"channels": [4, 3], "kernel": 3},
    "rnn": {"hidden": 5, "layers": 2, "bidirectional": False},
    "lstm": {"hidden": 5, "layers": 2, "bidirectional": True},
    "bert": {"width": 8, "layers": 2, "heads": 2},
}
KINDS = [
    *(("mlp", sample) for sample in ((10,), (9, 6), (1, 7, 5))),
    *(("cnn", sample) for sample in ((9, 6), (1, 7, 5))),
    *((model, (9, 6)) for model in ("rnn", "lstm", "bert")),
]


def built(name, sample=(9, 6), classes=None, activation=None, shape="base", **sizes):
    torch.manual_seed(0)
    activation = activation or ("tanh" if name == "lstm" else "relu")
    return build_model(name, SIZES[name] | sizes, sample, classes, activation, shape)


@pytest.mark.parametrize("shape", ["base", "wide", "deep"])
@pytest.mark.parametrize(("name", "sample"), KINDS)
def test_a_model_gives_classes_or_the_form_of_its_input(name, sample, shape):
    x = torch.randn(4, *sample)
    assert built(name, sample, shape=shape)(x).shape == x.shape
    assert built(name, sample, 3, shape=shape)(x).shape == (4, 3)


@pytest.mark.parametrize("classes", [None, 3])
@pytest.mark.parametrize(("name", "sample"), KINDS)
def test_no_sample_sees_another_and_every_parameter_learns(name, sample, classes):
    model, x = built(name, sample, classes), torch.randn(4, *sample)
    torch.testing.assert_close(model(x)[:1], model(x[:1]))
    model(x).square().sum().backward()
    without = [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert without == (["encoder.tokens.masked"] if name == "bert" else [])


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh"])
@pytest.mark.parametrize(("name", "sample"), [kind for kind in KINDS if kind[0] != "lstm"])
def test_activations_give_different_outputs_from_the_same_weights(name, sample, activation):
    x = torch.randn(4, *sample)
    other = "tanh" if activation == "relu" else "relu"
    first, second = (built(name, sample, activation=given) for given in (activation, other))
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not torch.allclose(first(x), second(x))


def test_the_lstm_has_no_other_activation_than_its_own():
    with pytest.raises(ValueError, match="its own activation"):
        built("lstm", activation="relu")


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_the_recurrent_cell_is_that_of_torch(activation, reverse):
    own = Pass(6, 5, activation, reverse)
    torchs = nn.RNN(6, 5, nonlinearity=activation, batch_first=True)
    with torch.no_grad():
        torchs.weight_ih_l0.copy_(own.input.weight)
        torchs.weight_hh_l0.copy_(own.recurrent.weight)
        torchs.bias_ih_l0.copy_(own.input.bias)
        torchs.bias_hh_l0.zero_()
    x = torch.randn(4, 9, 6)
    expected = torchs(x.flip(1))[0].flip(1) if reverse else torchs(x)[0]
    torch.testing.assert_close(own(x), expected)


def test_a_bidirectional_network_sees_later_time_points_and_the_others_do_not():
    x = torch.randn(2, 9, 6)
    later = x.clone()
    later[:, 5] += 1
    for name in ("rnn", "lstm"):
        for bidirectional in (False, True):
            model = built(name, bidirectional=bidirectional)
            same = torch.equal(model(x)[:, :5], model(later)[:, :5])
            assert same is not bidirectional


def test_what_is_masked_is_hidden_from_the_encoder_and_what_is_not_is_seen():
    model, x = built("bert"), torch.randn(2, 9, 6)
    mask = torch.zeros(2, 9, dtype=torch.bool)
    mask[0, 3] = mask[1, 7] = True
    hidden, seen = x.clone(), x.clone()
    hidden[0, 3] += 1
    seen[0, 4] += 1
    assert torch.equal(model(x, mask), model(hidden, mask))
    assert not torch.allclose(model(x, mask)[0], model(seen, mask)[0])
    assert not torch.allclose(model(x, mask), model(x))


def test_attention_is_softmax_of_scaled_products_in_each_head():
    model = built("bert", heads=2, layers=1)
    block, x = model.encoder.blocks.block1, torch.randn(3, 10, 8)
    normal = nn.functional.layer_norm(x, (8,))
    query, key, value = (layer(normal) for layer in (block.query, block.key, block.value))
    heads = []
    for head in (slice(0, 4), slice(4, 8)):
        weights = torch.softmax(query[..., head] @ key[..., head].mT / 2.0, dim=-1)
        heads.append(weights @ value[..., head])
    y = x + block.out(torch.cat(heads, dim=-1))
    z = y + block.narrower(torch.relu(block.wider(nn.functional.layer_norm(y, (8,)))))
    torch.testing.assert_close(block(x), z)


def test_a_convolution_over_time_sees_components_as_channels_and_halves_the_time():
    model = built("cnn")
    assert model.encoder.conv1.in_channels == 6
    code = model.encoder(torch.randn(2, 9, 6).mT)
    assert code.shape == (2, 3, 3)  # 9 -> 5 -> 3
    deep = built("cnn", shape="deep")
    assert deep.encoder(torch.randn(2, 9, 6).mT).shape == (2, 3, 3)


def test_positions_begin_as_sines_and_cosines_of_the_place():
    """Place 3 of width 4: sin 3, cos 3, sin 0.03, cos 0.03."""
    expected = torch.tensor([math.sin(3), math.cos(3), math.sin(0.03), math.cos(0.03)])
    torch.testing.assert_close(sinusoids(5, 4)[3], expected)
    assert sinusoids(5, 3).shape == (5, 3)
