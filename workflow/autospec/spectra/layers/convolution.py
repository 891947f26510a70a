"""nn.Conv1d, Conv2d and Conv3d with stride, padding, dilation and groups.

Indices: n samples, c input channels, q output channels, t output positions, k kernel elements,
b blocks (the groups of a grouped convolution). The weight's matrix is (q, c / b * k).
"""

import torch
from torch import nn

from autospec.spectra.call import Call, NotObserved
from autospec.spectra.factors import AnyFactors
from autospec.spectra.layers.kind import Kind


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
        images = self.image if samples is None else self.image[self._images(samples)]
        padded = nn.functional.pad(images, self._padding, mode=self._mode)
        axes = len(self.kernel)
        for axis in range(axes):
            span = self.dilation[axis] * (self.kernel[axis] - 1) + 1
            padded = padded.unfold(2 + axis, span, self.stride[axis])[..., :: self.dilation[axis]]
        # (m, c, o_1.., k_1..) -> (m, o_1.., c, k_1..) -> (n, t, b, c / b * k)
        order = (0, *range(2, 2 + axes), 1, *range(2 + axes, 2 + 2 * axes))
        rows = padded.permute(order).flatten(1, axes).flatten(2)
        count = self.samples if samples is None else len(samples)
        return rows.reshape(count, -1, self.blocks, rows.shape[-1] // self.blocks)

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
