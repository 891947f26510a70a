"""Singular values from small symmetric matrices in float64.

Indices: n rows, p inputs, q outputs, r = min(p, q).

A spectrum is always reduced to one of two cores, whichever is smaller, and the cores are solved
in batches of equal size, since a small eigenproblem costs its latency more than its arithmetic:

- ``gram``: a symmetric matrix S whose eigenvalues are the squared singular values;
- ``pair``: two row Gram matrices K_A = A A^T and K_D = D D^T, (n, n). The singular values of
  D^T A are the square roots of the eigenvalues of L^T K_D L with K_A = L L^T, so that D^T A,
  (q, p), is never formed.

Both are float64: a float32 Gram matrix loses the small half of a spectrum (errors near 3e-4 of
the largest singular value), a float64 one made from float32 data keeps it to about 1e-8.
"""

import numpy as np
import torch

from autospec.spectra.workspace import Array

# K_A is singular wherever rows repeat or p < n; this much of its trace on the diagonal keeps the
# factor, and moves no singular value of float32 data by more than 1e-7 of the largest.
_JITTER = 1e-15


def gram(matrix: torch.Tensor) -> torch.Tensor:
    """Gram matrix of (..., a, b) on its smaller side: (..., r, r) float64, r = min(a, b)."""
    wide = matrix.double()
    if wide.shape[-2] > wide.shape[-1]:
        wide = wide.mT
    return self_product(wide)


def self_product(matrix: Array, out: Array | None = None) -> Array:
    """X X^T of (..., a, b): (..., a, a), in `out` where that is given; without a derivative.

    On the CPU by NumPy, whose BLAS computes one half of it (syrk) where torch computes both (gemm).
    """
    if isinstance(matrix, torch.Tensor):
        matrix = matrix.detach()
        if matrix.device.type != "cpu":
            return torch.matmul(matrix, matrix.mT, out=out)
        product = self_product(matrix.numpy(), None if out is None else out.numpy())
        return torch.from_numpy(product) if out is None else out
    # NumPy leaves BLAS where neither axis is dense.
    rows = matrix if matrix.itemsize in matrix.strides[-2:] else np.ascontiguousarray(matrix)
    with np.errstate(all="ignore"):  # a training that diverges goes on
        return np.matmul(rows, rows.swapaxes(-2, -1), out=out)


def singular_values(matrix: torch.Tensor) -> torch.Tensor:
    """Singular values of (..., a, b), descending: (..., min(a, b)) float64."""
    largest = matrix.abs().amax(dim=(-2, -1)).double()
    scale = torch.where(torch.isfinite(largest) & (largest > 0), largest, 1.0)
    return solve_gram(gram(matrix.double() / scale[..., None, None])) * scale[..., None]


def solve_gram(matrices: torch.Tensor) -> torch.Tensor:
    """Square roots of the eigenvalues of (..., r, r) positive semi-definite matrices, descending.

    A matrix with NaN or infinity gives NaN throughout, and leaves the others alone. Squares of
    float32 values are far inside the range of float64, so nothing is scaled.
    """
    trace = _trace(matrices)
    if _all_finite(trace):
        return torch.linalg.eigvalsh(matrices).flip(-1).clamp_min_(0).sqrt_()
    finite = torch.isfinite(trace)[..., None]
    return torch.where(finite, solve_gram(torch.where(finite[..., None], matrices, 0.0)), torch.nan)


def solve_pair(inputs: torch.Tensor, adjoints: torch.Tensor) -> torch.Tensor:
    """Singular values of D^T A from K_A and K_D, each (..., n, n): (..., n), descending.

    With fewer than n columns in A or D the last values are zero.
    """
    trace, other = _trace(inputs), _trace(adjoints)
    if _all_finite(trace) and _all_finite(other):
        return _roots_of_pair(inputs, trace, adjoints)
    finite = (torch.isfinite(trace) & torch.isfinite(other))[..., None]
    inputs, adjoints = (torch.where(finite[..., None], matrices, 0.0) for matrices in (inputs, adjoints))
    return torch.where(finite, _roots_of_pair(inputs, _trace(inputs), adjoints), torch.nan)


def _roots_of_pair(inputs: torch.Tensor, trace: torch.Tensor, adjoints: torch.Tensor) -> torch.Tensor:
    lifted = inputs.clone()
    torch.diagonal(lifted, dim1=-2, dim2=-1).add_(trace[..., None], alpha=_JITTER)
    factor, failed = torch.linalg.cholesky_ex(lifted)
    if failed.any():
        bad = failed > 0
        values, vectors = torch.linalg.eigh(inputs[bad])
        factor[bad] = vectors * values.clamp_min(0).sqrt()[..., None, :]
    # Only the lower triangle is read, so the rounding between the two halves does not matter.
    return solve_gram(factor.mT @ (adjoints @ factor))


def _trace(matrices: torch.Tensor) -> torch.Tensor:
    """Of each matrix; where that is finite a Gram matrix is: no entry exceeds the largest of the diagonal."""
    return torch.einsum("...ii->...", matrices)


def _all_finite(traces: torch.Tensor) -> bool:
    return bool(torch.isfinite(traces).all())
