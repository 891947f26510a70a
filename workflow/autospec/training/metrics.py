"""How well a model does, on everyone and on each group."""

import numpy as np
import torch
from sklearn.metrics import recall_score
from torch import nn


def sample_losses(output: torch.Tensor, x: torch.Tensor, target: torch.Tensor, task: str) -> torch.Tensor:
    """Loss of each sample, (n,): cross-entropy, or the squared error's mean over the sample."""
    if task == "classification":
        return nn.functional.cross_entropy(output, target, reduction="none")
    return (output - x).square().flatten(1).mean(dim=1)


def evaluate(model: nn.Module, x: torch.Tensor, target: torch.Tensor, groups: dict[str, np.ndarray], task: str):
    """Metrics on one part of the data.

    Parameters
    ----------
    x : Tensor, (n, ...)
    target : Tensor of int64, (n,)
    groups : dict of group name to bool mask, (n,)
    task : {"classification", "autoencoding"}

    Yields
    ------
    (group, metric, value)
        `loss`, and `balanced_accuracy` or `explained_variance` (1 - error / variance about the
        mean of the scaled training data, which is 0).
    """
    model.eval()
    with torch.no_grad():
        output = model(x)
        losses = sample_losses(output, x, target, task).double().cpu().numpy()
        power = x.double().square().flatten(1).mean(dim=1).cpu().numpy()
        predicted = output.argmax(dim=-1).cpu().numpy() if task == "classification" else None
    model.train()
    truth = target.cpu().numpy()
    for group, mask in groups.items():
        if not mask.any():
            continue
        yield group, "loss", float(losses[mask].mean())
        if predicted is not None:
            # The mean recall of the classes that are there: balanced accuracy, also where a group is one class.
            present = np.unique(truth[mask])
            recall = recall_score(truth[mask], predicted[mask], labels=present, average="macro", zero_division=0)
            yield group, "balanced_accuracy", float(recall)
        else:
            yield group, "explained_variance", float(1 - losses[mask].sum() / power[mask].sum())
