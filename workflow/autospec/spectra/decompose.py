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

import torch

# K_A is singular wherever rows repeat or p < n; this much of its trace on the diagonal keeps the
# factor, and moves no singular value of float32 data by more than 1e-7 of the largest.
_JITTER = 1e-15


def gram(matrix: torch.Tensor) -> torch.Tensor:
    """Gram matrix of (..., a, b) on its smaller side: (..., r, r) float64, r = min(a, b)."""
    wide = matrix.double()
    if wide.shape[-2] > wide.shape[-1]:
        wide = wide.mT
    return wide @ wide.mT


def singular_values(matrix: torch.Tensor) -> torch.Tensor:
    """Singular values of (..., a, b), descending: (..., min(a, b)) float64."""
    scale = _safe_scale(matrix.abs().amax(dim=(-2, -1)))
    return solve_gram(gram(matrix.double() / scale[..., None, None])) * scale[..., None]


def solve_gram(matrices: torch.Tensor) -> torch.Tensor:
    """Square roots of the eigenvalues of (..., r, r) positive semi-definite matrices, descending.

    A matrix with NaN or infinity gives NaN throughout, and leaves the others alone.
    """
    scale = torch.diagonal(matrices, dim1=-2, dim2=-1).amax(dim=-1)
    scale = _safe_scale(scale)
    finite = torch.isfinite(matrices).all(dim=-1).all(dim=-1)
    safe = torch.where(finite[..., None, None], matrices / scale[..., None, None], 0.0)
    values = torch.linalg.eigvalsh(safe).flip(-1).clamp_min(0).sqrt() * scale.sqrt()[..., None]
    return torch.where(finite[..., None], values, torch.nan)


def solve_pair(inputs: torch.Tensor, adjoints: torch.Tensor) -> torch.Tensor:
    """Singular values of D^T A from K_A and K_D, each (..., n, n): (..., n), descending.

    With fewer than n columns in A or D the last values are zero.
    """
    n = inputs.shape[-1]
    scale = _safe_scale(torch.diagonal(inputs, dim1=-2, dim2=-1).sum(dim=-1))
    finite = torch.isfinite(inputs).all(dim=-1).all(dim=-1) & torch.isfinite(adjoints).all(dim=-1).all(dim=-1)
    eye = torch.eye(n, dtype=inputs.dtype, device=inputs.device)
    safe = torch.where(finite[..., None, None], inputs / scale[..., None, None], eye)
    trace = torch.diagonal(safe, dim1=-2, dim2=-1).sum(dim=-1)[..., None, None]
    factor, failed = torch.linalg.cholesky_ex(safe + _JITTER * trace * eye)
    bad = (failed > 0) | ~torch.isfinite(factor).all(dim=-1).all(dim=-1)
    if bool(bad.any()):
        values, vectors = torch.linalg.eigh(safe[bad])
        factor[bad] = vectors * values.clamp_min(0).sqrt()[..., None, :]
    core = factor.mT @ torch.where(finite[..., None, None], adjoints, 0.0) @ factor
    values = solve_gram((core + core.mT) / 2) * scale.sqrt()[..., None]
    return torch.where(finite[..., None], values, torch.nan)


def _safe_scale(scale: torch.Tensor) -> torch.Tensor:
    return torch.where(torch.isfinite(scale) & (scale > 0), scale, torch.ones_like(scale)).double()
