"""nn.Conv1d, Conv2d and Conv3d with stride, padding, dilation and groups.

Indices: n samples, c input channels, q output channels, t output positions, k kernel elements,
b blocks (the groups of a grouped convolution). The weight's matrix is (q, c / b * k).
"""

import math

import torch
from torch import nn

from autospec.spectra.call import Call, NotObserved
from autospec.spectra.factors import AnyFactors
from autospec.spectra.layers.convolution_gram import add_line_products
from autospec.spectra.layers.kind import Kind
from autospec.spectra.workspace import Workspace

# Doubles of one layer's patches held at a time.
_BLOCK = 2**19


class Convolution(Kind):
    """A convolution is a linear layer on patches: rows are (sample, position) after im2col."""

    types = (nn.Conv1d, nn.Conv2d, nn.Conv3d)

    @staticmethod
    def factors(call: Call, samples: int):
        return {"": ConvolutionFactors(call, samples)}


class ConvolutionFactors(AnyFactors):
    """Factors whose patches are made only when they are asked for.

    Gradients come from the library's own weight-gradient kernel, run on the samples of a group.
    """

    def __init__(self, call: Call, samples: int):
        module, image, gradient = call.module, call.arguments[0], call.gradients[0]
        if image.dim() == len(module.kernel_size) + 1:
            image = image.unsqueeze(0)
            gradient = None if gradient is None else gradient.unsqueeze(0)
        if image.shape[0] % samples:
            raise NotObserved(f"it was called with {image.shape[0]} images, but the step has {samples} samples")
        self.image, self.output_gradient = image, gradient
        self.samples = samples
        self.bias, self.trained = module.bias is not None, module.weight.requires_grad
        self.blocks, self.kernel = module.groups, module.kernel_size
        self.stride, self.dilation = module.stride, module.dilation
        self.weight = module.weight.detach()
        self._padding = module._reversed_padding_repeated_twice
        self._mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
        self.adjoints = None if gradient is None else gradient.flatten(2).mT.reshape(samples, -1, gradient.shape[1])

    @property
    def rank(self) -> int:
        return min(self.weight.flatten(1).shape)

    @property
    def inputs(self) -> torch.Tensor:
        """Patches of all channels: (n, t, c k)."""
        return self.patches().flatten(2)

    def patches(self, samples: torch.Tensor | None = None) -> torch.Tensor:
        """Patches of some samples, or of all, by block: (n, t, b, c / b * k)."""
        images, axes = self.image if samples is None else self.image[self._images(samples)], len(self.kernel)
        # (m, c, o_1.., k_1..) -> (m, o_1.., c, k_1..) -> (n, t, b, c / b * k)
        order = (0, *range(2, 2 + axes), 1, *range(2 + axes, 2 + 2 * axes))
        rows = self._unfolded(images, range(axes)).permute(order).flatten(1, axes).flatten(2)
        count = self.samples if samples is None else len(samples)
        return rows.reshape(count, -1, self.blocks, rows.shape[-1] // self.blocks)

    def _unfolded(self, images: torch.Tensor, axes: range) -> torch.Tensor:
        """Images, padded, (m, c, ..), with what the kernel meets along `axes` as further dimensions."""
        view = nn.functional.pad(images, self._padding, mode=self._mode)
        for axis in axes:
            span = self.dilation[axis] * (self.kernel[axis] - 1) + 1
            view = view.unfold(2 + axis, span, self.stride[axis])[..., :: self.dilation[axis]]
        return view

    def column_gram(self, side: str, samples: torch.Tensor, workspace: Workspace) -> torch.Tensor:
        """Gram matrix of the patches of some samples, (c k, c k), or of their adjoints, (q, q), in float64."""
        images = self._images(samples)
        slides = side == "inputs" and self.stride[0] == 1
        kernel = self.kernel[0] if slides else 1
        one, columns = self._lines(side, images[:1], slides)
        p = math.prod(columns)
        total = torch.zeros(kernel, p, kernel, p, dtype=torch.float64, device=one.device)
        for part in images.split(max(1, _BLOCK // one.numel())):
            seen, _ = self._lines(side, part, slides)
            wide = workspace.take("lines", tuple(seen.shape), seen).copy_(seen)
            add_line_products(total, wide.view(p, seen.shape[len(columns)], -1), self.dilation[0])
        # The weight's columns are channel, line of the kernel, the rest of it.
        total = total.view(kernel, columns[0], -1, kernel, columns[0], p // columns[0])
        return total.permute(1, 0, 2, 4, 3, 5).reshape(kernel * p, kernel * p)

    def _lines(self, side: str, images: torch.Tensor, slides: bool) -> tuple[torch.Tensor, torch.Size]:
        """What `add_line_products` takes of some images, (p.., y, m, ..), and the dimensions that make p.

        The adjoints are one line; so are patches, (c, k..), unless the kernel `slides` along the first axis.
        """
        if side == "adjoints":
            view = self.output_gradient[images].transpose(0, 1).unsqueeze(1)
            return view, view.shape[:1]
        axes = len(self.kernel)
        view = self._unfolded(self.image[images], range(int(slides), axes))
        # (m, c, y, o_2.., k..) -> (c, k.., y, m, o_2..)
        view = view.permute(1, *range(2 + axes, view.dim()), 2, 0, *range(3, 2 + axes))
        return view, view.shape[: -1 - axes]

    def _images(self, samples: torch.Tensor) -> torch.Tensor:
        """Images of some samples, which have one or more each."""
        each = len(self.image) // self.samples
        if each == 1:
            return samples
        return (samples[:, None] * each + torch.arange(each, device=samples.device)).flatten()

    def gradient(self, samples: torch.Tensor) -> torch.Tensor:
        """Gradient from `samples` alone: (q, c / b * k)."""
        rows = self._images(samples)
        image, padding = self.image[rows], self._padding
        if any(padding):
            image = nn.functional.pad(image, padding, mode=self._mode)
        axes = len(self.kernel)
        _, weight, _ = torch.ops.aten.convolution_backward(
            self.output_gradient[rows].contiguous(),
            image,
            self.weight,
            None,
            list(self.stride),
            [0] * axes,
            list(self.dilation),
            False,
            [0] * axes,
            self.blocks,
            [False, True, False],
        )
        return weight.flatten(1)

    def sample_gradients(self, with_bias: bool) -> torch.Tensor:
        """Gradient of every sample by itself: (n, q, c / b * k), plus the bias's column."""
        patches = self.patches()
        if with_bias and self.bias:
            patches = torch.cat([patches, torch.ones_like(patches[..., :1])], dim=-1)
        adjoints = self.adjoints.unflatten(-1, (self.blocks, -1))
        return torch.einsum("ntbq,ntbp->nbqp", adjoints, patches).flatten(1, 2)
