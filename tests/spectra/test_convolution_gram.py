"""Gram matrices of a convolution's patches and adjoints, against the library's convolution by the identity."""

import itertools

import pytest
import torch
from torch import nn

from autospec.spectra.call import Call
from autospec.spectra.layers.convolution import ConvolutionFactors
from autospec.spectra.workspace import Workspace

LAYERS = {
    "same size": (nn.Conv2d, (3, 5, 3), dict(padding=1), (7, 6)),
    "unpadded": (nn.Conv2d, (2, 4, (3, 2)), {}, (5, 6)),
    "an even kernel": (nn.Conv2d, (2, 4, (4, 3)), dict(padding="same"), (6, 5)),
    "fewer lines than the kernel": (nn.Conv2d, (2, 4, 5), dict(padding=2), (3, 8)),
    "lines far apart": (nn.Conv2d, (2, 4, 3), dict(padding=3, dilation=3), (5, 7)),
    "a stride along the first axis": (nn.Conv2d, (2, 4, 3), dict(padding=1, stride=(2, 1)), (7, 6)),
    "a stride along the second axis": (nn.Conv2d, (2, 4, 3), dict(padding=1, stride=(1, 2)), (7, 6)),
    "groups": (nn.Conv2d, (4, 6, 3), dict(padding=1, groups=2, padding_mode="circular"), (5, 6)),
    "over time": (nn.Conv1d, (6, 4, 5), dict(padding=2), (12,)),
    "one line of the kernel": (nn.Conv1d, (6, 4, 1), {}, (9,)),
    "in space": (nn.Conv3d, (2, 3, (3, 2, 2)), dict(padding=1, dilation=(1, 2, 1)), (4, 5, 3)),
}


def factors(kind, sizes, options, size, images=6, samples=6):
    torch.manual_seed(0)
    layer = kind(*sizes, **options)
    x = torch.randn(images, layer.in_channels, *size)
    adjoints = torch.randn_like(layer(x))
    return layer, x, adjoints, ConvolutionFactors(Call("layer", layer, (x,), [adjoints]), samples)


def patches(layer, x):
    """Rows (image, position) of all channels, in float64: a convolution by the identity takes them out."""
    padded = nn.functional.pad(
        x.double(),
        layer._reversed_padding_repeated_twice,
        mode="constant" if layer.padding_mode == "zeros" else layer.padding_mode,
    )
    width = layer.in_channels * torch.Size(layer.kernel_size).numel()
    identity = torch.eye(width, dtype=torch.float64).view(width, layer.in_channels, *layer.kernel_size)
    convolve = {1: nn.functional.conv1d, 2: nn.functional.conv2d, 3: nn.functional.conv3d}[len(layer.kernel_size)]
    return convolve(padded, identity, stride=layer.stride, dilation=layer.dilation).flatten(2).mT.flatten(0, 1)


@pytest.mark.parametrize(("name", "block"), list(itertools.product(LAYERS, (1, 2**19))))
def test_patches_multiply_to_what_the_whole_product_gives(name, block, monkeypatch):
    monkeypatch.setattr("autospec.spectra.layers.convolution._BLOCK", block)
    layer, x, _, seen = factors(*LAYERS[name])
    samples = torch.tensor([4, 0, 5])
    rows = patches(layer, x[samples])
    found = seen.column_gram("inputs", samples, Workspace())
    torch.testing.assert_close(found, rows.mT @ rows, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", LAYERS)
def test_adjoints_multiply_to_what_the_whole_product_gives(name):
    _, _, adjoints, seen = factors(*LAYERS[name])
    samples = torch.tensor([1, 3])
    rows = adjoints[samples].double().flatten(2).mT.flatten(0, 1)
    found = seen.column_gram("adjoints", samples, Workspace())
    torch.testing.assert_close(found, rows.mT @ rows, rtol=1e-12, atol=1e-12)


def test_a_sample_of_several_images_has_the_rows_of_all():
    layer, x, _, seen = factors(*LAYERS["same size"], samples=3)
    rows = patches(layer, x[[2, 3]])
    found = seen.column_gram("inputs", torch.tensor([1]), Workspace())
    torch.testing.assert_close(found, rows.mT @ rows, rtol=1e-12, atol=1e-12)
