"""Gram matrices of a convolution's patches, without making all of them.

Patches at stride 1 repeat one another. Along the first axis they are not made: the kernel's lines i and j meet the
image's lines u and u + (j - i) d, u from i d to i d + o - 1. So one product for each j - i serves all such pairs of
lines, but for the image's edges, and a negative one is another's transpose: k products in place of k^2.

Indices: m images, y lines of an image, p columns of a line, r elements of a line and column, k lines of the kernel,
d dilation, o = y - (k - 1) d lines of output.
"""

import torch

from autospec.spectra.decompose import self_product


def add_line_products(total: torch.Tensor, lines: torch.Tensor, dilation: int) -> None:
    """Add the products of what every two lines of the kernel meet, summed over the output: (k, p, k, p).

    Parameters
    ----------
    total : Tensor of float64, (k, p, k, p)
    lines : Tensor of float64, (p, y, r)
        Of some images side by side, contiguous.
    dilation : int
    """
    kernel = len(total)
    outputs = lines.shape[1] - (kernel - 1) * dilation
    for apart in range(kernel):
        shift, last = apart * dilation, (kernel - 1 - apart) * dilation

        def product(first, end, shift=shift):
            met = lines[:, first:end].flatten(1)
            return met @ lines[:, first + shift : end + shift].flatten(1).mT if shift else self_product(met)

        # Lines that all pairs so far apart meet, then those that only some do.
        inner = product(last, outputs) if outputs > last else lines.new_zeros(())
        edges = {u: product(u, u + 1) for u in (*range(last), *range(max(last, outputs), last + outputs))}
        for i in range(kernel - apart):
            first = i * dilation
            found = sum((edge for u, edge in edges.items() if first <= u < first + outputs), inner)
            total[i, :, i + apart] += found
            if apart:
                total[i + apart, :, i] += found.mT
