"""One run: one seed of one configuration, trained and observed."""

import logging
import time

import numpy as np
import pyarrow as pa
import torch

from autospec.models import build_model
from autospec.spectra.monitor import SpectralMonitor
from autospec.tables import METRICS
from autospec.training.metrics import evaluate, sample_losses
from autospec.training.prepare import Prepared, epoch_batches

logger = logging.getLogger(__name__)


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
        model, task, activation, seed, model_options, training, statistics.
    device : torch.device
    """

    def __init__(self, prepared: Prepared, groups, swaps: np.ndarray | None, settings: dict, device: torch.device):
        self.settings, self.prepared, self.groups = settings, prepared, groups
        seed, options, training = settings["seed"], settings["model_options"], settings["training"]
        self.task = settings["task"]
        torch.manual_seed(seed)
        classes = len(prepared.classes) if self.task == "classification" else None
        shape = prepared.values["train"].shape[1:]
        self.model = build_model(settings["model"], options, shape, classes, settings["activation"]).to(device)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=options["learning_rate"],
            weight_decay=training["weight_decay"],
            fused=True,
        )
        self.monitor = SpectralMonitor(
            self.model,
            quantities=("activation", "adjoint", "gradient", "weight"),
            groups=groups,
            indices=settings["statistics"]["indices"],
            # Labelings need every sample's rows, which only the hooks keep.
            path="fast" if swaps is None else "hooks",
            background=False,
        )
        self.order = np.random.default_rng([seed, 1])
        self.x = {part: torch.from_numpy(array).to(device) for part, array in prepared.values.items()}
        self.target = {part: torch.from_numpy(array).to(device) for part, array in prepared.targets.items()}
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

    def train_epoch(self) -> None:
        """Train and observe one epoch, then measure both parts."""
        begun = time.perf_counter()
        every = self.settings["statistics"]["labelings_every"]
        self.model.train()
        batches = epoch_batches(len(self.prepared.pairs), self.settings["model_options"]["batch"], self.order)
        for number, rows in enumerate(batches):
            index = torch.from_numpy(rows)
            x, target = self.x["train"][rows], self.target["train"][rows]
            relabeled = self.labelings is not None and number % every == 0
            labelings = self.labelings[:, index] if relabeled else None
            with self.monitor.observe(self.labels[rows], labelings) as step:
                losses = sample_losses(self.model(x), x, target, self.task)
                losses.mean().backward()
                step.losses(losses)
            self.optimizer.step()
            self.optimizer.zero_grad()
        self.monitor.end_epoch()
        self.epoch += 1
        self._measure()
        self.seconds += time.perf_counter() - begun

    def _measure(self) -> None:
        for part in ("train", "test"):
            other = self.prepared.is_other[part]
            groups = {"all": np.ones_like(other), self.groups[0]: ~other, self.groups[1]: other}
            for group, metric, value in evaluate(self.model, self.x[part], self.target[part], groups, self.task):
                self.metrics.append(
                    {"epoch": self.epoch, "part": part, "group": group, "metric": metric, "value": value}
                )
                self.diverged |= metric == "loss" and not np.isfinite(value)

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
        torch.set_rng_state(state["random"])
        self.epoch, self.metrics = state["epoch"], list(state["metrics"])
        self.diverged, self.seconds = state["diverged"], state["seconds"]


def _plain(state: dict) -> dict:
    return {name: _plain(value) if isinstance(value, dict) else value for name, value in state.items()}
