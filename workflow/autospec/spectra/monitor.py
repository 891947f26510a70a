"""The monitor: what a training loop sees of this library."""

import contextlib
import logging
import time
import warnings
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import torch
from torch import nn

from autospec.spectra.accumulate import RunningSpectrum
from autospec.spectra.capture import Capture, call_factors
from autospec.spectra.decompose import singular_values, solve_gram, solve_pair
from autospec.spectra.factors import Factors, step_cores
from autospec.spectra.labelings import EpochDifference, EpochLosses, group_spectra
from autospec.tables import LABELINGS, SPECTRA

QUANTITIES = ("activation", "adjoint", "gradient", "weight")
ALL = "all"

logger = logging.getLogger(__name__)


class SpectralMonitor:
    """Singular values of every layer's activations, adjoints and gradients, by sample group.

    Observing uses hooks and changes nothing: a model trained with the monitor has the same
    weights, to the bit, as one trained without it.

    Parameters
    ----------
    model : nn.Module
        Any model; Linear layers (on inputs of any rank, samples first), RNN and LSTM are observed.
    quantities : sequence of {"activation", "adjoint", "gradient", "weight"}
        `weight` is taken at each epoch's end, the others at every observed step.
    groups : (str, str), optional
        Names of the two groups that labelings tell apart, the reference first. Needed for
        labelings only.
    indices : int, optional
        How many leading singular values the labelings keep; all of them by default.

    Raises
    ------
    ValueError
        For an unknown quantity, or a model without a layer that can be observed.

    Notes
    -----
    Spectra are on the scale of each group's contribution: the group gradients sum to
    ``weight.grad``. Activations are divided by the square root of the group's rows.
    The method is that of Baker, Calhoun and Plis (2024), arXiv:2406.11825.
    """

    def __init__(
        self,
        model: nn.Module,
        quantities: Sequence[str] = ("activation", "adjoint", "gradient"),
        groups: tuple[str, str] | None = None,
        indices: int | None = None,
    ):
        unknown = sorted(set(quantities) - set(QUANTITIES))
        if unknown:
            raise ValueError(f"unknown quantity {unknown[0]!r}; known are {', '.join(QUANTITIES)}")
        self.model = model
        self.quantities = tuple(quantities)
        self.groups = groups
        self.indices = indices
        self.capture = Capture(model)
        if not self.capture.layers:
            raise ValueError("the model has no layer that can be observed")
        for name, reason in self.capture.left_out.items():
            warnings.warn(f"layer '{name}' is not observed: {reason}", stacklevel=2)
        self.epoch = 1
        self.seconds = {"spectra": 0.0, "labelings": 0.0}
        self._rows: list[dict] = []
        self._labeling_tables: list[pa.Table] = []
        self._depths: dict[str, int] = {}
        self._start_epoch()

    def _start_epoch(self) -> None:
        self._running: dict[tuple[str, str, str], RunningSpectrum] = {}
        self._seen: dict[str, int] = {}
        self._samples, self._steps = 0, 0
        self._relabeled: dict[str, np.ndarray] = {}
        self._differences: dict[str, EpochDifference] = {}
        self._losses = EpochLosses()

    @contextlib.contextmanager
    def observe(self, groups: Sequence[str], labelings: torch.Tensor | None = None) -> Iterator["Step"]:
        """Observe the forward and backward pass in the body of the `with` statement.

        Parameters
        ----------
        groups : sequence of str (or anything whose text is the label), length n
            The group of each sample of the batch.
        labelings : Tensor of bool, (l, n), optional
            Other ways to split the batch in two; True is the second of `groups` of the monitor.

        Yields
        ------
        Step
            ``step.losses(values)`` takes the per-sample losses (n,), for labelings.
        """
        step = Step([str(label) for label in groups])
        self.capture.start()
        try:
            yield step
        finally:
            self.capture.stop()
        self._take(step, labelings)
        self.capture.calls = []

    def _take(self, step: "Step", labelings: torch.Tensor | None) -> None:
        names = np.array(step.groups)
        groups = {str(name): torch.from_numpy(np.flatnonzero(names == name)) for name in np.unique(names)}
        groups[ALL] = torch.arange(len(names))
        self._steps += 1
        self._samples += len(names)
        for name, samples in groups.items():
            self._seen[name] = self._seen.get(name, 0) + len(samples)
        begun = time.perf_counter()
        layers = self._factors(len(names))
        with torch.no_grad():
            cores = [core for name, factors in layers.items() for core in self._cores(name, factors, groups)]
            for core, values in _solve(cores):
                self._running.setdefault(core.key, RunningSpectrum()).add(values)
            observed = time.perf_counter()
            if labelings is not None:
                self._take_labelings(layers, step, torch.as_tensor(labelings, dtype=torch.bool))
        self.seconds["spectra"] += observed - begun
        self.seconds["labelings"] += time.perf_counter() - observed

    def _factors(self, samples: int) -> dict[str, Factors]:
        layers: dict[str, Factors] = {}
        for call in self.capture.calls:
            for name, factors in call_factors(call, samples).items():
                self._depths.setdefault(name, len(self._depths))
                layers[name] = _join(layers[name], factors) if name in layers else factors
        return layers

    def _cores(self, name, factors, groups):
        return step_cores(name, factors, groups, self.quantities)

    def _take_labelings(self, layers, step, masks) -> None:
        for name, factors in layers.items():
            if factors.adjoints is None:
                continue
            values = group_spectra(factors, masks)
            norms = values.square().sum(dim=-1, keepdim=True).sqrt()
            kept = torch.cat([norms, values[..., : self.indices]], dim=-1).numpy()
            self._relabeled[name] = self._relabeled[name] + kept if name in self._relabeled else kept
            self._differences.setdefault(name, EpochDifference()).add(factors, masks)
        if step.sample_losses is not None:
            self._losses.add(step.sample_losses, masks)

    def end_epoch(self) -> None:
        """Turn the running means into rows and begin the next epoch."""
        if "weight" in self.quantities and self._steps:
            self._take_weights()
        for (layer, quantity, group), running in self._running.items():
            self._rows.append(
                {
                    "epoch": self.epoch,
                    "layer": layer,
                    "depth": self._depths[layer],
                    "quantity": quantity,
                    "group": group,
                    "batch": self._samples / self._steps,
                    "n": self._seen[group],
                    "steps": running.steps,
                    "singular_values": running.mean.astype(np.float32),
                    "singular_values_sd": running.deviation().astype(np.float32),
                }
            )
        if self._relabeled:
            self._labeling_tables.append(self._labeling_table())
        self.epoch += 1
        self._start_epoch()

    def _take_weights(self) -> None:
        weights = dict(self.model.named_parameters(remove_duplicate=False))
        for layer in self._depths:
            weight = weights[layer] if layer in weights else weights[f"{layer}.weight".lstrip(".")]
            values = singular_values(weight.detach().flatten(1)).cpu().numpy()
            running = self._running.setdefault((layer, "weight", ALL), RunningSpectrum())
            running.add(values)

    def _labeling_table(self) -> pa.Table:
        reference, other = self.groups or ("0", "1")
        steps = self._differences[next(iter(self._differences))].steps
        parts = []
        for layer, sums in self._relabeled.items():
            means = sums / steps
            difference = self._differences[layer].spectra()
            norms = difference.square().sum(dim=-1).sqrt().numpy()
            depth = self._depths[layer]
            spectra = difference[:, : self.indices].numpy()
            parts.append((layer, depth, "gradient", reference, means[:, 0, 0], means[:, 0, 1:]))
            parts.append((layer, depth, "gradient", other, means[:, 1, 0], means[:, 1, 1:]))
            parts.append((layer, depth, "gradient", "difference", norms, spectra))
        if self._losses.sums is not None:
            losses = self._losses.means()
            for position, group in enumerate((reference, other)):
                parts.append(("", -1, "loss", group, None, losses[:, position : position + 1]))
        return pa.concat_tables(
            [_labeling_rows(self.epoch, steps, *part) for part in parts]
        ).unify_dictionaries()

    def table(self) -> pa.Table:
        """Spectra of all finished epochs, in the schema ``autospec.tables.SPECTRA``."""
        return pa.Table.from_pylist(self._rows, schema=SPECTRA)

    def labeling_table(self) -> pa.Table:
        """Spectra of all labelings, in the schema ``autospec.tables.LABELINGS``."""
        if not self._labeling_tables:
            return LABELINGS.empty_table()
        return pa.concat_tables(self._labeling_tables).unify_dictionaries()

    def close(self) -> None:
        """Leave the model as it was."""
        self.capture.stop()

    def state_dict(self) -> dict:
        """What a resumed run needs, at an epoch's end: plain numbers, text and tensors."""
        if self._steps:
            raise RuntimeError("the monitor's state is taken between epochs: call end_epoch() first")
        rows = [
            row | {name: torch.from_numpy(row[name]) for name in ("singular_values", "singular_values_sd")}
            for row in self._rows
        ]
        return {
            "epoch": self.epoch,
            "depths": dict(self._depths),
            "rows": rows,
            "seconds": dict(self.seconds),
            "labelings": _to_bytes(self.labeling_table()),
        }

    def load_state_dict(self, state: dict) -> None:
        """Go on from `state_dict`'s state."""
        self.epoch = state["epoch"]
        self._depths, self.seconds = dict(state["depths"]), dict(state["seconds"])
        self._rows = [
            row | {name: row[name].numpy() for name in ("singular_values", "singular_values_sd")}
            for row in state["rows"]
        ]
        table = _from_bytes(state["labelings"])
        self._labeling_tables = [table] if len(table) else []
        self._start_epoch()


class Step:
    """One observed step, as the body of ``with monitor.observe(...) as step`` sees it."""

    def __init__(self, groups: list[str]):
        self.groups = groups
        self.sample_losses: torch.Tensor | None = None

    def losses(self, values: torch.Tensor) -> None:
        """Take the loss of each sample, (n,), for the groups' losses under every labeling."""
        if values.shape != (len(self.groups),):
            raise ValueError(f"losses have shape {tuple(values.shape)}; wanted ({len(self.groups)},), one a sample")
        self.sample_losses = values.detach()


def _solve(cores):
    """Solve cores in batches of equal kind and size; give (core, values) in the given order."""
    batches: dict[tuple, list[int]] = {}
    for position, core in enumerate(cores):
        batches.setdefault((len(core.matrices), core.matrices[0].shape[-1]), []).append(position)
    solved: list = [None] * len(cores)
    for (kind, _), positions in batches.items():
        stacks = [torch.stack([cores[p].matrices[m] for p in positions]) for m in range(kind)]
        values = (solve_gram if kind == 1 else solve_pair)(*stacks).cpu().numpy()
        for position, row in zip(positions, values, strict=True):
            core = cores[position]
            row = row[: core.length] * core.scale
            solved[position] = np.pad(row, (0, core.length - len(row)))
    return zip(cores, solved, strict=True)


def _join(first: Factors, second: Factors) -> Factors:
    """Two calls of one layer in one step: the rows of a sample are those of both."""
    adjoints = [factors.adjoints for factors in (first, second)]
    if any(part is None for part in adjoints):
        # A call that no gradient reached adds nothing to the weight's gradient.
        adjoints = [
            torch.zeros_like(factors.inputs[..., :1]).expand(-1, -1, width) if part is None else part
            for part, factors, width in zip(
                adjoints, (first, second), [next((a.shape[-1] for a in adjoints if a is not None), 0)] * 2, strict=True
            )
        ]
    joined = None if not adjoints[0].shape[-1] else torch.cat(adjoints, dim=1)
    return Factors(torch.cat([first.inputs, second.inputs], dim=1), joined, first.bias, first.blocks)


def _labeling_rows(epoch, steps, layer, depth, quantity, group, norms, values) -> pa.Table:
    count, width = values.shape
    offsets = pa.array(np.arange(count + 1) * width, pa.int32())
    spectra = pa.ListArray.from_arrays(offsets, pa.array(values.reshape(-1).astype(np.float32)))

    def constant(value):
        return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count), pa.int32()), pa.array([value]))

    columns = [
        pa.array(np.full(count, epoch), pa.int32()),
        pa.array(np.arange(count), pa.int32()),
        constant(layer),
        pa.array(np.full(count, depth), pa.int32()),
        constant(quantity),
        constant(group),
        pa.array(np.full(count, steps), pa.int32()),
        pa.nulls(count, pa.float64()) if norms is None else pa.array(norms, pa.float64()),
        spectra.cast(LABELINGS.field("singular_values").type),
    ]
    return pa.Table.from_arrays(columns, schema=LABELINGS)


def _to_bytes(table: pa.Table) -> torch.Tensor:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return torch.from_numpy(np.frombuffer(sink.getvalue(), dtype=np.uint8).copy())


def _from_bytes(data: torch.Tensor) -> pa.Table:
    with pa.ipc.open_stream(pa.py_buffer(data.numpy())) as reader:
        return reader.read_all()
