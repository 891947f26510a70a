import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from autospec.training.metrics import auroc, has_learned
from autospec.training.tasks import draw_mask, sample_losses


def test_a_mask_hides_its_share_of_every_row_and_another_part_each_time():
    generator = torch.Generator().manual_seed(0)
    first, second = (draw_mask(50, 40, 0.15, generator) for _ in range(2))
    assert (first.sum(dim=1) == 6).all()
    assert not torch.equal(first, second)
    assert first.float().mean(dim=0).std() < 0.1
    assert (draw_mask(5, 4, 0.01, generator).sum(dim=1) == 1).all()


def test_the_masked_loss_is_the_mean_over_what_is_masked():
    x, output = torch.randn(3, 5, 2), torch.randn(3, 5, 2)
    mask = draw_mask(3, 5, 0.4, torch.Generator().manual_seed(0))
    expected = [((output[i] - x[i])[mask[i]] ** 2).mean() for i in range(3)]
    torch.testing.assert_close(sample_losses(output, x, None, "masked", mask), torch.stack(expected))


@pytest.mark.parametrize("classes", [2, 5])
def test_the_area_under_the_curve_is_scikit_learns(classes):
    generator = np.random.default_rng(classes)
    truth = generator.integers(0, classes, 60)
    score = generator.normal(size=(60, classes)).round(1) + np.eye(classes)[truth]
    share = np.exp(score) / np.exp(score).sum(axis=1, keepdims=True)
    if classes == 2:
        expected = roc_auc_score(truth, score[:, 1] - score[:, 0])
    else:
        expected = roc_auc_score(truth, share, multi_class="ovr", average="macro")
    assert auroc(truth, score, np.arange(classes)) == pytest.approx(expected, abs=2e-3)


def test_classes_that_nobody_has_are_left_out_of_the_area():
    truth = np.array([0, 0, 2, 2])
    score = np.array([[3.0, 0.0, 0.0], [2.0, 0.0, 1.0], [0.0, 0.0, 2.0], [2.0, 1.0, 0.0]])
    # Log-odds of class 0: 2.3, 0.69, -2.1, 0.69: of four pairs three are right and one is a tie.
    # Of class 2: -3.0, -1.1, 1.3, -2.3: three of four are right.
    assert auroc(truth, score, np.array([0, 2])) == (3.5 / 4 + 3 / 4) / 2


@pytest.mark.parametrize(("classes", "people"), [(2, 40), (2, 400), (10, 320)])
def test_those_who_guess_seldom_seem_to_have_learned_and_one_class_for_everyone_never_does(classes, people):
    generator = np.random.default_rng(classes + people)
    truth = np.arange(people) % classes
    score = [balanced_accuracy_score(truth, generator.integers(0, classes, people)) for _ in range(1000)]
    seeming = np.mean([has_learned("classification", each, classes, people) for each in score])
    # Two standard errors of a normal distribution leave 2.3 %.
    assert seeming < 0.05
    assert not has_learned("classification", balanced_accuracy_score(truth, 0 * truth), classes, people)


def test_what_counts_as_learned_is_that_of_the_documentation():
    # 100 people of 2 classes: a standard error of 0.05.
    assert has_learned("classification", 0.61, 2, 100) and not has_learned("classification", 0.59, 2, 100)
    for task in ("autoencoding", "masked"):
        assert has_learned(task, 0.011, 2, 100) and not has_learned(task, 0.009, 2, 100)
        assert not has_learned(task, -0.35, 2, 100) and not has_learned(task, float("nan"), 2, 100)
