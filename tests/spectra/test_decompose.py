import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autospec.spectra.decompose import self_product, singular_values, solve_gram, solve_pair


def factors(seed, rows, inputs, outputs, decay=0.0, repeat=False):
    generator = torch.Generator().manual_seed(seed)
    a = torch.randn(rows, inputs, generator=generator)
    d = torch.randn(rows, outputs, generator=generator)
    a = a * torch.logspace(0, -decay, inputs)
    if repeat:
        a[rows // 2 :] = a[: rows - rows // 2].clone()
    return a, d


def reference(a, d):
    """LAPACK's singular values of the float64 product."""
    return torch.linalg.svdvals(d.double().mT @ a.double())


def bound(a, d, values):
    noise = 4 * torch.finfo(torch.float32).eps * a.double().norm() * d.double().norm()
    return 1e-6 * values[0] + noise


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    rows=st.integers(1, 40),
    inputs=st.integers(1, 60),
    outputs=st.integers(1, 60),
    decay=st.sampled_from([0.0, 6.0]),
    repeat=st.booleans(),
)
def test_the_pair_of_row_grams_gives_the_spectrum_of_the_product(seed, rows, inputs, outputs, decay, repeat):
    a, d = factors(seed, rows, inputs, outputs, decay, repeat)
    exact = reference(a, d)
    values = solve_pair(a.double() @ a.double().mT, d.double() @ d.double().mT)
    shared = min(len(exact), rows)
    assert (values[:shared] - exact[:shared]).abs().max() <= bound(a, d, exact)
    assert (values[shared:] <= bound(a, d, exact)).all()


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), a=st.integers(1, 50), b=st.integers(1, 50), power=st.sampled_from([-30, 0, 30]))
def test_gram_spectrum_agrees_with_lapack_at_any_scale(seed, a, b, power):
    matrix = torch.randn(a, b, generator=torch.Generator().manual_seed(seed)) * 10.0**power
    exact = torch.linalg.svdvals(matrix.double())
    assert (singular_values(matrix) - exact).abs().max() <= 1e-6 * exact[0]


LAYOUTS = {
    "rows": lambda x: x,
    "columns": lambda x: x.mT.contiguous().mT,
    "neither dense": lambda x: x.repeat_interleave(2, -1)[..., ::2].repeat_interleave(2, -2)[..., ::2, :],
    "expanded": lambda x: x[..., :1, :1].expand(x.shape),
    "needs a gradient": lambda x: x.requires_grad_(),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(7, 4), (3, 5, 90), (2, 3, 33, 40), (0, 4, 3), (4, 0)])
def test_a_product_of_a_matrix_with_itself_is_that_of_any_two(layout, shape):
    generator = torch.Generator().manual_seed(len(shape))
    matrix = LAYOUTS[layout](torch.randn(shape, generator=generator, dtype=torch.float64))
    expected = torch.einsum("...ik,...jk->...ij", matrix, matrix).detach()
    torch.testing.assert_close(self_product(matrix), expected, rtol=1e-13, atol=1e-13)
    places = torch.full((*expected.shape[:-1], 2 * expected.shape[-1]), -1.0, dtype=torch.float64)
    given = self_product(matrix, out=places[..., : expected.shape[-1]])
    torch.testing.assert_close(given, expected, rtol=1e-13, atol=1e-13)
    assert (places[..., expected.shape[-1] :] == -1).all()


@pytest.mark.filterwarnings("error")
def test_a_product_of_what_is_not_finite_is_not_finite_and_no_error():
    matrix = torch.ones(2, 3, 4, dtype=torch.float64)
    matrix[0, 0, :2] = torch.tensor([torch.inf, -torch.inf])
    with np.errstate(all="raise"):
        product = self_product(matrix)
    assert not product[0, 0].isfinite().any() and (product[1] == 4).all()


def test_a_zero_matrix_has_zero_singular_values():
    assert torch.equal(singular_values(torch.zeros(5, 3)), torch.zeros(3, dtype=torch.float64))
    assert torch.equal(solve_pair(torch.zeros(4, 4).double(), torch.eye(4).double()), torch.zeros(4).double())


def test_one_matrix_that_is_not_finite_leaves_the_others_alone():
    stack = torch.eye(3, dtype=torch.float64).repeat(3, 1, 1)
    stack[1, 0, 0] = torch.nan
    stack[2, 2, 2] = torch.inf
    values = solve_gram(stack)
    assert torch.equal(values[0], torch.ones(3, dtype=torch.float64))
    assert values[1:].isnan().all()


@pytest.mark.parametrize("scale", [1e-30, 1e-10, 1e10])
def test_pairs_hold_their_bound_at_extreme_scales(scale):
    a, d = factors(1, 12, 30, 20)
    a, d = a * scale, d * scale
    exact = reference(a, d)
    values = solve_pair(a.double() @ a.double().mT, d.double() @ d.double().mT)
    assert (values - exact[:12]).abs().max() <= 1e-6 * exact[0]
