"""Ways to train with or without spectra; each trains a model of its own for an epoch and says what that cost.

Every way that gives spectra gives those of each group's gradient, in every layer.
"""

import copy
import dataclasses
import time

import numpy as np
import torch
from torch import nn

from autospec.spectra.capture import Capture
from autospec.spectra.monitor import SpectralMonitor

# What a way may keep in memory; one that keeps more takes fewer steps an epoch.
_MEMORY = 2**30


@dataclasses.dataclass
class Cost:
    """Seconds a step, on the clock and of all processor cores together."""

    wall: float
    processor: float


class Stopwatch:
    """Adds up the time spent inside `with`, on the clock and of all the process's threads."""

    def __init__(self):
        self.wall = self.processor = 0.0

    def __enter__(self):
        self._begun = time.perf_counter(), time.process_time()

    def __exit__(self, *_):
        self.wall += time.perf_counter() - self._begun[0]
        self.processor += time.process_time() - self._begun[1]

    def each(self, steps: int) -> Cost:
        return Cost(self.wall / steps, self.processor / steps)


class Plain:
    """A training step without spectra. The ways below change what it does around forward and backward.

    Attributes
    ----------
    kept : int
        Bytes that memory grows by in a step.
    """

    kept = 0

    def __init__(self, model: nn.Module):
        self.model = copy.deepcopy(model)
        self.criterion = nn.CrossEntropyLoss()
        self.prepare()
        # So slow that the gradients of a benchmark's last epoch look like those of its first.
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-5, fused=True)

    def prepare(self) -> None:
        """Change the model where a way needs it, before the optimiser takes its parameters."""

    def backward(self, x, y, labels) -> None:
        self.criterion(self.model(x), y).backward()

    def step(self, x, y, labels) -> None:
        self.backward(x, y, labels)
        self.optimizer.step()
        self.optimizer.zero_grad()

    def end_epoch(self) -> None:
        """What has to be done before an epoch's spectra are there."""

    def epoch(self, batches: list, steps: int) -> Cost:
        """Train `steps` steps and end the epoch; what it cost, a step."""
        watch = Stopwatch()
        with watch:
            for step in range(steps):
                self.step(*batches[step % len(batches)])
            self.end_epoch()
        return watch.each(steps)

    def spectra(self) -> dict[tuple[str, str], np.ndarray] | None:
        """Of the epoch's last step if it had one step: (layer, group) to singular values; None without spectra."""
        return None

    def close(self) -> None:
        """End what runs beside the training."""


class Monitor(Plain):
    """The library's monitor, with the given options."""

    def __init__(self, model: nn.Module, quantities=("gradient",), everyone=False, **options):
        self.options = {"quantities": quantities, "everyone": everyone} | options
        super().__init__(model)

    def prepare(self):
        self.monitor = SpectralMonitor(self.model, **self.options)

    def backward(self, x, y, labels):
        with self.monitor.observe(labels):
            self.criterion(self.model(x), y).backward()

    def end_epoch(self):
        self.monitor.end_epoch()

    def spectra(self):
        rows = self.monitor.table().to_pylist()
        return {
            (row["layer"], row["group"]): np.array(row["singular_values"])
            for row in rows
            if row["quantity"] == "gradient" and row["epoch"] == rows[-1]["epoch"]
        }

    def close(self):
        self.monitor.close()


class Ordered(Monitor):
    """Batches in the order of their groups, whose rows linear and convolution layers then need not copy."""

    def epoch(self, batches, steps):
        ordered = []
        for x, y, labels in batches:
            order = np.argsort(labels, kind="stable")
            ordered.append((x[order], y[order], [labels[sample] for sample in order]))
        return super().epoch(ordered, steps)


class Unobserved(Monitor):
    """The nine steps between two observed ones: their cost alone."""

    def epoch(self, batches, steps):
        watch, unobserved = Stopwatch(), 0
        while unobserved < steps:
            self.step(*batches[0])
            with watch:
                for step in range(9):
                    Plain.backward(self, *batches[step % len(batches)])
                    self.optimizer.step()
                    self.optimizer.zero_grad()
            unobserved += 9
        self.end_epoch()
        return watch.each(unobserved)

    def spectra(self):
        return None


class Naive(Plain):
    """Each group's gradient formed from what hooks saw, and LAPACK's float32 singular values of it, at once."""

    def prepare(self):
        self.capture = Capture(self.model)

    def backward(self, x, y, labels):
        self.capture.start()
        super().backward(x, y, labels)
        self.capture.stop()
        self.last = decompose(self.products(labels), labels)

    def products(self, labels):
        layers = self.capture.factors(self.capture.take(), len(labels))
        return {layer: factors for layer, (_, factors) in layers.items()}

    def spectra(self):
        return self.last


class Store(Naive):
    """Inputs and adjoints of every layer kept at each step; their spectra are computed when training is over."""

    later = True

    def prepare(self):
        super().prepare()
        self.stored: list = []

    def backward(self, x, y, labels):
        self.capture.start()
        Plain.backward(self, x, y, labels)
        self.capture.stop()
        self.stored.append((self.products(labels), labels))

    def epoch(self, batches, steps):
        self.stored = []
        if not self.kept:
            self.backward(*batches[0])
            self.optimizer.zero_grad()
            self.kept, self.stored = self.bytes(), []
        return super().epoch(batches, max(1, min(steps, _MEMORY // self.kept)))

    def afterwards(self) -> Cost:
        """Decompose what the last epoch kept; what it cost, a step."""
        watch = Stopwatch()
        with watch:
            for products, labels in self.stored:
                self.last = decompose(products, labels)
        return watch.each(len(self.stored))

    def bytes(self) -> int:
        """Of the tensors kept for one step, each counted once."""
        tensors = _tensors(self.stored[-1])
        storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage() for tensor in tensors}
        weights = {parameter.untyped_storage().data_ptr() for parameter in self.model.parameters()}
        return sum(storage.nbytes() for pointer, storage in storages.items() if pointer not in weights)


def _tensors(value) -> list[torch.Tensor]:
    """All tensors of what is kept, in containers and in the library's own objects."""
    if torch.is_tensor(value):
        return [value]
    if isinstance(value, nn.Module):
        return []
    inside = value if isinstance(value, list | tuple) else value.values() if isinstance(value, dict) else None
    if inside is None:
        inside = vars(value).values() if type(value).__module__.startswith("autospec.") else ()
    return [tensor for part in inside for tensor in _tensors(part)]


def decompose(products: dict, labels: list[str]) -> dict[tuple[str, str], np.ndarray]:
    """Singular values of each group's gradient by LAPACK in float32."""
    names = np.array(labels)
    groups = {name: torch.from_numpy(np.flatnonzero(names == name)) for name in sorted(set(labels))}
    spectra = {}
    for layer, factors in products.items():
        for group, samples in groups.items():
            spectra[layer, group] = torch.linalg.svdvals(factors.gradient(samples)).numpy()
    return spectra
