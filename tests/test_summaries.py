import numpy as np
import pytest
from scipy import integrate, stats

from autospec.summaries import area, summarise

MATRIX = np.random.default_rng(0).normal(size=(5, 8))
S = np.linalg.svd(MATRIX, compute_uv=False)


def test_norms_agree_with_numpys_norms_of_the_matrix():
    found = summarise(S)
    assert found["nuclear_norm"] == pytest.approx(np.linalg.norm(MATRIX, "nuc"))
    assert found["frobenius_norm"] == pytest.approx(np.linalg.norm(MATRIX, "fro"))
    assert found["spectral_norm"] == pytest.approx(np.linalg.norm(MATRIX, 2))
    assert found["smallest"] == pytest.approx(np.linalg.norm(MATRIX, -2))
    assert found["top_share"] == pytest.approx(np.linalg.norm(MATRIX, 2) / np.linalg.norm(MATRIX, "nuc"))


def test_ranks_agree_with_scipys_entropy_and_with_plain_loops():
    found = summarise(S)
    assert found["effective_rank"] == pytest.approx(np.exp(stats.entropy(S)))
    assert found["normalised_effective_rank"] == pytest.approx(np.exp(stats.entropy(S)) / 5)
    assert found["stable_rank"] == pytest.approx(np.trace(MATRIX @ MATRIX.T) / np.linalg.norm(MATRIX, 2) ** 2)
    running, count = 0.0, 0
    while running < 0.9 * sum(S):
        running += S[count]
        count += 1
    assert found["rank_90"] == count


def test_equal_singular_values_have_full_rank_and_one_has_rank_one():
    equal, one = summarise(np.full(10, 3.0)), summarise([2.0, 0.0, 0.0, 0.0])
    assert [equal[name] for name in ("effective_rank", "stable_rank", "rank_90", "numerical_rank")] == (
        pytest.approx([10, 10, 9, 10])
    )
    assert equal["normalised_effective_rank"] == pytest.approx(1)
    assert [one[name] for name in ("effective_rank", "stable_rank", "rank_90", "numerical_rank", "top_share")] == (
        pytest.approx([1, 1, 1, 1, 1])
    )


def test_numerical_rank_agrees_with_numpy():
    low = (MATRIX[:, :3] @ MATRIX[:3]).astype(np.float32)
    s = np.linalg.svd(low, compute_uv=False)
    assert summarise(s, larger_side=8)["numerical_rank"] == np.linalg.matrix_rank(low) == 3
    eps = np.finfo(np.float64).eps
    exact = np.linalg.svd(MATRIX[:, :3] @ MATRIX[:3], compute_uv=False)
    assert summarise(exact, 8, eps)["numerical_rank"] == np.linalg.matrix_rank(MATRIX[:, :3] @ MATRIX[:3])


def test_a_stack_of_spectra_gives_what_each_gives_alone():
    stack = np.sort(np.random.default_rng(1).gamma(1.0, size=(3, 4, 6)))[..., ::-1]
    found = summarise(stack)
    for place in np.ndindex(3, 4):
        for name, value in summarise(stack[place]).items():
            assert found[name][place] == pytest.approx(value)


def test_zero_and_broken_spectra_have_defined_values_and_no_warning(recwarn):
    found = summarise(np.array([[0.0, 0.0], [np.nan, 1.0], [np.inf, 1.0], [3.0, 1.0]]))
    for name, values in found.items():
        assert np.isnan(values[0]) if name == "top_share" else values[0] == 0
        assert np.isnan(values[1:3]).all(), name
        assert values[3] > 0
    assert not recwarn.list


def test_very_small_and_very_large_spectra_keep_their_ranks():
    for scale in (1e-200, 1e200):
        found = summarise(S * scale)
        assert found["stable_rank"] == pytest.approx(summarise(S)["stable_rank"])
        assert found["frobenius_norm"] == pytest.approx(np.linalg.norm(S) * scale)


def test_area_agrees_with_scipys_trapezoid_and_a_single_epoch_is_itself():
    curves, epochs = np.random.default_rng(0).random((6, 3)), np.array([1, 2, 4, 5, 9, 10])
    np.testing.assert_allclose(area(curves, epochs), integrate.trapezoid(curves, epochs, axis=0))
    np.testing.assert_array_equal(area(curves[:1], epochs[:1]), curves[0])
