"""Convolutional network, over images or over time: classifier and auto-encoder with the same encoder."""

from collections import OrderedDict
from itertools import pairwise

import torch
from torch import nn

from autospec.models.activations import ACTIVATIONS

CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d}


class CNN(nn.Module):
    """Convolutions of `channels`, then a class head on the mean over positions, or the mirrored decoder.

    There are `each` convolutions of each number of channels: the first one halves the resolution, the others (of
    the deep shape) keep it. The decoder goes back by repeating positions before it convolves.
    Shapes: n samples, images (1, height, width) or time courses (t, p), whose components are the channels.
    """

    def __init__(
        self, sample: tuple[int, ...], classes: int | None, activation: str,
        channels: list[int], kernel: int, each: int = 1,
    ):  # fmt: skip
        super().__init__()
        self.over_time = len(sample) == 2
        inputs, *size = (sample[1], sample[0]) if self.over_time else sample
        convolution = CONVOLUTIONS[len(size)]
        encoder, decoder = OrderedDict(), []
        widths = [units for units in channels for _ in range(each)]
        for number, (before, after) in enumerate(pairwise([inputs, *widths]), start=1):
            stride = 1 if (number - 1) % each else 2
            encoder[f"conv{number}"] = convolution(before, after, kernel, stride, padding=kernel // 2)
            encoder[f"activation{number}"] = ACTIVATIONS[activation]()
            decoder.insert(0, (nn.Upsample(tuple(size)), convolution(after, before, kernel, padding=kernel // 2)))
            size = [-(-length // stride) for length in size]
        self.encoder = nn.Sequential(encoder)
        if classes is not None:
            self.head = nn.Linear(channels[-1], classes)
            return
        self.decoder = nn.Sequential()
        for number, (upsample, conv) in enumerate(decoder, start=1):
            self.decoder.add_module(f"upsample{number}", upsample)
            self.decoder.add_module(f"conv{number}", conv)
            if number < len(decoder):
                self.decoder.add_module(f"activation{number}", ACTIVATIONS[activation]())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        code = self.encoder(x.mT if self.over_time else x)  # (n, p, t) -> (n, channels[-1], t / 2 / ..)
        if hasattr(self, "head"):
            return self.head(code.flatten(2).mean(dim=2))  # (n, classes)
        output = self.decoder(code)
        return output.mT if self.over_time else output  # (n, t, p) or (n, 1, height, width)
