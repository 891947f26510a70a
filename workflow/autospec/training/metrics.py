"""How well a model does, on everyone and on each group."""

import math

import numpy as np
import torch
from scipy.stats import rankdata
from sklearn.metrics import recall_score
from torch import nn

from autospec.training.tasks import mean_over_sample, sample_losses

# Samples that are run at a time, so that memory does not grow with the data.
_CHUNK = 1024
_LEAST_EXPLAINED = 0.01


def evaluate(
    model: nn.Module,
    x: torch.Tensor,
    target: torch.Tensor,
    groups: dict[str, np.ndarray],
    task: str,
    mean: torch.Tensor,
    mask: torch.Tensor | None = None,
):
    """Metrics on one part of the data.

    Parameters
    ----------
    x : Tensor, (n, ...)
    target : Tensor of int64, (n,)
    groups : dict of group name to bool mask, (n,)
    task : {"classification", "autoencoding", "masked"}
    mean : Tensor, (...)
        Of the training people, at each feature, pixel, or time point and component.
    mask : Tensor of bool, (n, t), or None
        What is hidden of each sample (masked).

    Yields
    ------
    (group, metric, value)
        `loss`; and `balanced_accuracy` and, where two classes are there, `auroc` (one class against the
        others, mean over classes), or `explained_variance` (1 - error / error of predicting `mean`).
    """
    model.eval()
    losses, powers, scores = [], [], []
    with torch.no_grad():
        for rows in torch.arange(len(x)).split(_CHUNK):
            part = slice(int(rows[0]), int(rows[-1]) + 1)
            hidden = None if mask is None else mask[part]
            output = model(x[part]) if hidden is None else model(x[part], hidden)
            losses.append(sample_losses(output, x[part], target[part], task, hidden))
            powers.append(mean_over_sample((mean - x[part]).square(), hidden))
            scores.append(output if task == "classification" else None)
    model.train()
    losses = torch.cat(losses).double().cpu().numpy()
    power = torch.cat(powers).double().cpu().numpy()
    score = torch.cat(scores).float().cpu().numpy() if task == "classification" else None
    truth = target.cpu().numpy()
    for group, chosen in groups.items():
        if not chosen.any():
            continue
        yield group, "loss", float(losses[chosen].mean())
        if score is None:
            yield group, "explained_variance", float(1 - losses[chosen].sum() / power[chosen].sum())
            continue
        # The mean recall of the classes that are there: balanced accuracy, also where a group is one class.
        present, predicted = np.unique(truth[chosen]), score[chosen].argmax(axis=1)
        recall = recall_score(truth[chosen], predicted, labels=present, average="macro", zero_division=0)
        yield group, "balanced_accuracy", float(recall)
        if len(present) > 1:
            yield group, "auroc", auroc(truth[chosen], score[chosen], present)


def has_learned(task: str, score: float, classes: int, people: int) -> bool:
    """Whether a network ends better than guessing on the people whom it was trained on.

    Parameters
    ----------
    score : float
        Balanced accuracy (classification): above one over the number of classes by more than two standard
        errors of so many guesses. Explained variance (otherwise): more than 0.01, where predicting the mean
        has 0.
    classes, people : int
        How many classes there are, and training people.
    """
    if task != "classification":
        return score > _LEAST_EXPLAINED
    chance = 1 / classes
    return score > chance + 2 * math.sqrt(chance * (1 - chance) / people)


def auroc(truth: np.ndarray, score: np.ndarray, classes: np.ndarray) -> float:
    """Area under the ROC curve of each of `classes` against the others, their mean.

    Parameters
    ----------
    truth : ndarray of int, (n,)
    score : ndarray, (n, all classes)
    classes : ndarray of int
        Those that `truth` has, two at least.

    Notes
    -----
    The score of a class is its log-odds; the area is its Mann-Whitney statistic over the number of pairs.
    """
    own = score[:, classes].astype(np.float64)
    odds = np.stack(
        [own[:, k] - np.logaddexp.reduce(np.delete(score, index, axis=1), axis=1) for k, index in enumerate(classes)],
        axis=1,
    )
    is_class = truth[:, None] == classes
    inside = is_class.sum(axis=0)
    ranks = (rankdata(odds, axis=0) * is_class).sum(axis=0)
    return float(((ranks - inside * (inside + 1) / 2) / (inside * (len(truth) - inside))).mean())
