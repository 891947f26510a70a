"""One run: one seed of one configuration, trained and observed."""

import logging
import math
import time

import numpy as np
import pyarrow as pa
import torch

from autospec.models import build_model
from autospec.spectra.monitor import SpectralMonitor
from autospec.tables import METRICS
from autospec.training.batches import epoch_batches
from autospec.training.metrics import evaluate, has_learned
from autospec.training.prepare import Prepared
from autospec.training.tasks import draw_mask, sample_losses

logger = logging.getLogger(__name__)

# A training loss so many times that before training is divergence too, finite as it is.
_EXPLODED = 10.0
_PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16}


class Run:
    """Model, optimiser, random streams, monitor and metrics of one run, between two epochs.

    Parameters
    ----------
    prepared : Prepared
    groups : (str, str)
        The reference group first.
    swaps : ndarray of bool, (labelings, pairs of the data set), or None
        Which pairs each labeling swaps; the first swaps none. None records no labelings.
    settings : dict
        model, task, activation, shape, seed, model_options, training, statistics.
    device : torch.device
    """

    def __init__(self, prepared: Prepared, groups, swaps: np.ndarray | None, settings: dict, device: torch.device):
        self.settings, self.prepared, self.groups, self.device = settings, prepared, groups, device
        options, training = settings["model_options"], settings["training"]
        self.task = settings["task"]
        torch.manual_seed(seed_of(settings, "initialisation"))
        classes = len(prepared.classes) if self.task == "classification" else None
        sample = prepared.values["train"].shape[1:]
        self.model = build_model(
            settings["model"], options, sample, classes, settings["activation"], settings["shape"]
        ).to(device)
        self.optimizer = make_optimizer(self.model, training, options["learning_rate"])
        self.monitor = SpectralMonitor(
            self.model,
            quantities=("activation", "adjoint", "gradient", "weight"),
            groups=groups,
            indices=settings["statistics"]["indices"],
            # Labelings need every sample's rows, which only the hooks keep.
            path="fast" if swaps is None else "hooks",
            background=False,
            # Where groups are compared, also which inputs the first layer's gradients point to.
            directions=None if swaps is None else (None, 1),
        )
        # All data stay on the device, so that no step waits for a transfer.
        self.x = {part: torch.from_numpy(array).to(device) for part, array in prepared.values.items()}
        # In float64, so that as many people as there may be do not blur it.
        self.mean = torch.from_numpy(prepared.values["train"].mean(axis=0, dtype=np.float64).astype(np.float32))
        self.mean = self.mean.to(device)
        self.target = {part: torch.from_numpy(array).to(device) for part, array in prepared.targets.items()}
        order = seed_of(settings, "order")
        self.order = np.random.default_rng([order, 1])
        self.masks = torch.Generator().manual_seed(order)
        # What is hidden when the model is measured is the same in every epoch.
        fixed = torch.Generator().manual_seed(0)
        self.measured_masks = {part: self._mask(len(x), fixed) for part, x in self.x.items()}
        # (labelings, training people): whether each person counts as `other` under each labeling.
        self.labelings = None
        if swaps is not None:
            swapped = np.repeat(swaps[:, prepared.pairs], 2, axis=1)
            self.labelings = torch.from_numpy(prepared.is_other["train"][None] ^ swapped)
        self.labels = np.where(prepared.is_other["train"], groups[1], groups[0])
        self.epoch = 0
        self.metrics: list[dict] = []
        self.diverged = False
        self.seconds = 0.0
        self._measure()

    @property
    def finished(self) -> bool:
        """Whether there is nothing more to train."""
        return self.diverged or self.epoch >= self.settings["training"]["epochs"]

    @property
    def learned(self) -> bool:
        """Whether it now does better than guessing on its training people; see `has_learned`."""
        score = self.last("balanced_accuracy" if self.task == "classification" else "explained_variance", "train")
        return not self.diverged and has_learned(self.task, score, len(self.prepared.classes), len(self.x["train"]))

    def train_epoch(self) -> None:
        """Train and observe one epoch, then measure both parts."""
        begun = time.perf_counter()
        training, every = self.settings["training"], self.settings["statistics"]["labelings_every"]
        rate = self.settings["model_options"]["learning_rate"]
        for group in self.optimizer.param_groups:
            group["lr"] = rate * rate_factor(training["schedule"], self.epoch, training["epochs"])
        self.model.train()
        pairs, batch = len(self.prepared.pairs), self.settings["model_options"]["batch"]
        batches = epoch_batches(pairs, batch, self.order, training["balanced"])
        # One transfer an epoch; a batch is then a slice on the device.
        order = torch.from_numpy(np.concatenate(batches)).to(self.device)
        indices = order.split([len(rows) for rows in batches])
        for number, (rows, index) in enumerate(zip(batches, indices, strict=True)):
            relabeled = self.labelings is not None and (self.epoch * len(batches) + number) % every == 0
            labelings = self.labelings[:, torch.from_numpy(rows)] if relabeled else None
            with self.monitor.observe(self.labels[rows], labelings) as step:
                losses = self._losses(self.x["train"][index], self.target["train"][index])
                losses.mean().backward()
                step.losses(losses)
            self.optimizer.step()
            self.optimizer.zero_grad()
        self.monitor.end_epoch()
        self.epoch += 1
        self._measure()
        self.seconds += time.perf_counter() - begun

    def _losses(self, x: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        mask = self._mask(len(x), self.masks)
        precision = _PRECISIONS[self.settings["training"]["precision"]]
        with torch.autocast(self.device.type, precision, enabled=precision is not None):
            output = self.model(x) if mask is None else self.model(x, mask)
        return sample_losses(output, x, target, self.task, mask)

    def _mask(self, people: int, generator: torch.Generator) -> torch.Tensor | None:
        if self.task != "masked":
            return None
        time_points = self.x["train"].shape[1]
        mask = draw_mask(people, time_points, self.settings["model_options"]["masked"], generator)
        return mask.to(self.device, non_blocking=True)

    def _measure(self) -> None:
        for part in ("train", "test"):
            other = self.prepared.is_other[part]
            groups = {"all": np.ones_like(other), self.groups[0]: ~other, self.groups[1]: other}
            found = evaluate(
                self.model, self.x[part], self.target[part], groups, self.task, self.mean, self.measured_masks[part]
            )
            for group, metric, value in found:
                self.metrics.append(
                    {"epoch": self.epoch, "part": part, "group": group, "metric": metric, "value": value}
                )
                self.diverged |= metric == "loss" and not np.isfinite(value)
        first = next(row["value"] for row in self.metrics if (row["metric"], row["group"]) == ("loss", "all"))
        self.diverged |= self.last("loss", "train") > _EXPLODED * first

    def last(self, metric: str, part: str = "test") -> float:
        """The newest value of a metric on everyone of one part."""
        return next(
            row["value"]
            for row in reversed(self.metrics)
            if (row["metric"], row["part"], row["group"]) == (metric, part, "all")
        )

    def metrics_table(self) -> pa.Table:
        """All metrics so far, in the schema ``autospec.tables.METRICS``; epoch 0 is before training."""
        return pa.Table.from_pylist(self.metrics, schema=METRICS)

    def state_dict(self) -> dict:
        """Everything that the epochs to come depend on."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "monitor": self.monitor.state_dict(),
            "order": _plain(self.order.bit_generator.state),
            "masks": self.masks.get_state(),
            "random": torch.get_rng_state(),
            "epoch": self.epoch,
            "metrics": self.metrics,
            "diverged": self.diverged,
            "seconds": self.seconds,
        }

    def load_state_dict(self, state: dict) -> None:
        """Go on from `state_dict`'s state."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.monitor.load_state_dict(state["monitor"])
        self.order.bit_generator.state = state["order"]
        self.masks.set_state(state["masks"])
        torch.set_rng_state(state["random"])
        self.epoch, self.metrics = state["epoch"], list(state["metrics"])
        self.diverged, self.seconds = state["diverged"], state["seconds"]


def seed_of(settings: dict, part: str) -> int:
    """The seed of one part of a run's chance (initialisation, split or order): 0 where it is held fixed."""
    return 0 if part in settings["training"]["fixed"] else settings["seed"]


def make_optimizer(model: torch.nn.Module, training: dict, rate: float) -> torch.optim.Optimizer:
    """Adam with decoupled weight decay, or stochastic gradient descent with momentum."""
    decay = training["weight_decay"]
    if training["optimiser"] == "sgd":
        return torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9, weight_decay=decay, fused=True)
    return torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=decay, fused=True)


def rate_factor(schedule: str, epoch: int, epochs: int) -> float:
    """What the learning rate is multiplied by in an epoch, counted from 0: half a cosine falls to almost 0."""
    return 0.5 * (1 + math.cos(math.pi * epoch / epochs)) if schedule == "cosine" else 1.0


def _plain(state: dict) -> dict:
    return {name: _plain(value) if isinstance(value, dict) else value for name, value in state.items()}
