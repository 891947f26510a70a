import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from autospec.spectra.factors import Factors
from autospec.spectra.labelings import EpochDifference, EpochLosses, group_spectra
from autospec.spectra.monitor import SpectralMonitor
from autospec.tables import LABELINGS


def random_factors(seed, n, t, p, q, bias=True):
    generator = torch.Generator().manual_seed(seed)
    return Factors(torch.randn(n, t, p, generator=generator), torch.randn(n, t, q, generator=generator), bias)


def random_masks(seed, labelings, n):
    return torch.rand(labelings, n, generator=torch.Generator().manual_seed(seed)) < 0.5


def lapack(factors, chosen, scale=1.0, with_bias=False):
    a = factors.inputs[chosen].double().numpy().reshape(-1, factors.inputs.shape[-1])
    d = factors.adjoints[chosen].double().numpy().reshape(-1, factors.adjoints.shape[-1]) * scale
    if with_bias:
        a = np.hstack([a, np.ones((len(a), 1))])
    return d.T @ a


@pytest.mark.parametrize(
    "shape", [(16, 1, 40, 30), (16, 1, 6, 30), (16, 5, 12, 8), (16, 1, 40, 9), (6, 2, 30, 30)], ids=str
)
def test_every_labelings_spectra_are_those_of_its_own_group_gradients(shape):
    factors = random_factors(1, *shape)
    masks = random_masks(2, 25, shape[0])
    masks[3], masks[4] = True, False
    found = group_spectra(factors, masks).numpy()
    for labeling, mask in enumerate(masks):
        for group, chosen in enumerate((~mask, mask)):
            exact = np.linalg.svd(lapack(factors, chosen), compute_uv=False)
            np.testing.assert_allclose(found[labeling, group], exact, atol=1e-6 * max(exact[0], 1e-30))


@pytest.mark.parametrize("shape", [(10, 3, 7, 5), (10, 1, 7, 5), (8, 1, 40, 50), (8, 1, 60, 33)], ids=str)
def test_the_epochs_difference_is_that_of_the_summed_balanced_gradients_with_the_bias_as_a_column(shape):
    n = shape[0]
    steps = [(random_factors(seed, *shape), random_masks(seed + 50, 12, n)) for seed in range(4)]
    difference = EpochDifference()
    for factors, masks in steps:
        difference.add(factors, masks)
    found = difference.spectra().numpy()
    for labeling in range(12):
        total = 0.0
        for factors, masks in steps:
            mask = masks[labeling]
            second, first = max(1, int(mask.sum())), max(1, int((~mask).sum()))
            total = total + lapack(factors, mask, n / 2 / second, True) - lapack(factors, ~mask, n / 2 / first, True)
        exact = np.linalg.svd(total, compute_uv=False)
        np.testing.assert_allclose(found[labeling], exact, atol=1e-6 * exact[0])


def test_the_frobenius_norm_of_one_steps_difference_is_the_quadratic_form_of_the_label_signs():
    factors = random_factors(3, 12, 1, 20, 15)
    masks = torch.zeros(8, 12, dtype=torch.bool)
    for labeling in range(8):
        masks[labeling, np.random.default_rng(labeling).permutation(12)[:6]] = True
    difference = EpochDifference()
    difference.add(factors, masks)
    found = difference.spectra().square().sum(dim=-1).sqrt().numpy()
    a, d = factors.inputs[:, 0].double().numpy(), factors.adjoints[:, 0].double().numpy()
    kernel = (a @ a.T + 1) * (d @ d.T)
    signs = np.where(masks.numpy(), 1.0, -1.0)
    np.testing.assert_allclose(found, np.sqrt(np.einsum("li,ij,lj->l", signs, kernel, signs)), rtol=1e-5)


def test_group_losses_are_means_over_the_epochs_samples():
    generator = np.random.default_rng(4)
    values, masks = generator.normal(size=(3, 8)), generator.random((3, 5, 8)) < 0.5
    losses = EpochLosses()
    for step in range(3):
        losses.add(torch.from_numpy(values[step]), torch.from_numpy(masks[step]))
    expected = [[values[~masks[:, k]].mean(), values[masks[:, k]].mean()] for k in range(5)]
    np.testing.assert_allclose(losses.means(), expected)


def test_the_truths_rows_repeat_the_spectra_of_the_groups():
    torch.manual_seed(5)
    model = nn.Sequential(nn.Linear(30, 12), nn.Tanh(), nn.Linear(12, 30))
    monitor = SpectralMonitor(model, groups=("a", "b"), indices=6)
    for seed in range(3):
        x = torch.randn(10, 30, generator=torch.Generator().manual_seed(seed))
        truth = np.array(["a", "b"] * 5)
        masks = torch.cat([torch.from_numpy(truth == "b")[None], random_masks(seed, 4, 10)])
        with monitor.observe(truth, masks) as step:
            losses = (model(x) - x).square().mean(dim=1)
            losses.mean().backward()
            step.losses(losses)
    monitor.end_epoch()
    spectra, labelings = monitor.table().to_pandas(), monitor.labeling_table()
    assert labelings.schema.equals(LABELINGS)
    labelings = labelings.to_pandas()
    truth = labelings[(labelings["labeling"] == 0) & (labelings["group"] != "difference")]
    gradients = spectra[spectra["quantity"] == "gradient"].set_index(["layer", "group"])["singular_values"]
    compared = 0
    for row in truth[truth["quantity"] == "gradient"].itertuples():
        np.testing.assert_allclose(row.singular_values, gradients[row.layer, row.group][:6], rtol=1e-5)
        assert row.frobenius >= np.linalg.norm(row.singular_values) * (1 - 1e-6)
        # Of all twelve values, of which six are kept.
        whole = gradients[row.layer, row.group].astype(np.float64)
        assert len(whole) == 12 and row.nuclear_norm == pytest.approx(whole.sum(), rel=1e-5)
        assert row.top_share == pytest.approx(whole[0] / whole.sum(), rel=1e-5)
        assert row.effective_rank == pytest.approx(np.exp(stats.entropy(whole)), rel=1e-5)
        assert row.stable_rank == pytest.approx((whole**2).sum() / whole[0] ** 2, rel=1e-5)
        compared += 1
    assert compared == 4
    assert set(labelings["quantity"]) == {"gradient", "loss"}


def test_losses_of_the_wrong_length_are_refused():
    model = nn.Sequential(nn.Linear(3, 3))
    monitor = SpectralMonitor(model)
    with pytest.raises(ValueError, match=r"wanted \(4,\)"), monitor.observe("aabb") as step:
        step.losses(torch.zeros(3))
