"""The monitor: what a training loop sees of this library."""

import contextlib
import functools
import logging
import time
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import torch
from torch import nn

from autospec.spectra.accumulate import RunningSpectrum
from autospec.spectra.alignment import Alignments
from autospec.spectra.capture import Capture
from autospec.spectra.decompose import singular_values
from autospec.spectra.directions import Directions
from autospec.spectra.gather import ALL, StepRecord
from autospec.spectra.labelings import EpochLabelings
from autospec.spectra.labels import Numbers
from autospec.spectra.precision import full_precision
from autospec.spectra.record import Record
from autospec.spectra.solver import Epoch, Solver
from autospec.spectra.step import Step, join_passes, secured_layers
from autospec.tables import SPECTRA

QUANTITIES = ("activation", "adjoint", "gradient", "weight", "update")

logger = logging.getLogger(__name__)


class SpectralMonitor:
    """Singular values of every layer's activations, adjoints and gradients, by sample group.

    Observing uses hooks and changes nothing: a model trained with the monitor has the same
    weights, to the bit, as one trained without it.

    Parameters
    ----------
    model : nn.Module
        Any model. Linear, convolution, RNN, LSTM, GRU, multi-head attention and embedding layers
        are observed; what else holds weights is in ``left_out``, with the reason.
    quantities : sequence of {"activation", "adjoint", "gradient", "weight", "update"}
        `weight` is taken at each epoch's end; `update`, the optimiser's step, and the others at
        every observed step.
    groups : (str, str), optional
        Names of the two groups that labelings tell apart, the reference first.
    indices : int, optional
        How many leading singular values the labelings keep; all of them by default.
    batch_first : bool
        Whether samples come before time in inputs with three or more dimensions. Layers that
        have a ``batch_first`` of their own, and the layers around them, follow that.
    path : {"hooks", "fast"}
        `hooks` changes nothing in training. `fast` replaces, while a step is observed, the forward
        pass of layers with many rows a sample by one whose backward pass forms the groups' gradients
        in place of the weight's: the same sums in another order, equal to rounding. Steps with
        labelings take the hooks.
    background : bool
        Solve the spectra on a second thread too.
    everyone : bool
        Take the spectra of all samples together too, as group `all`. Where a layer is wide, they cost more
        than those of the groups.
    directions : (sequence of str or None, int), optional
        Layers (None for the first), and how many leading singular vectors of their group gradients, and of
        the difference of the two `groups`, to keep (``direction_table``).
    alignments : bool
        Keep cosines of neighbouring layers' gradients and alignments of their weights
        (``alignment_table``).
    stop_at_nonfinite : bool
        Raise ``FloatingPointError`` at the end of an epoch that met a spectrum with NaN or
        infinity; by default it is logged and recorded as NaN.

    Attributes
    ----------
    epoch : int
        The epoch being observed, from 1.
    seconds : dict
        Time of the training thread spent on `spectra` and on `labelings`; time spent on `directions`.
    first_nonfinite : dict or None
        Epoch, step, layer, quantity and group of the first spectrum with NaN or infinity.

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
        *,
        groups: tuple[str, str] = ("0", "1"),
        indices: int | None = None,
        batch_first: bool = True,
        path: str = "hooks",
        background: bool = True,
        everyone: bool = True,
        directions: tuple[Sequence[str] | None, int] | None = None,
        alignments: bool = False,
        stop_at_nonfinite: bool = False,
    ):
        unknown = sorted(set(quantities) - set(QUANTITIES))
        if unknown:
            raise ValueError(f"unknown quantity {unknown[0]!r}; known are {', '.join(QUANTITIES)}")
        if path not in ("hooks", "fast"):
            raise ValueError(f"unknown path {path!r}; wanted 'hooks' or 'fast'")
        # A compiled model keeps the one that it was made from; observed steps run that one.
        self.model = model._orig_mod if hasattr(model, "_orig_mod") else model
        parts = self.model.modules()
        self._compiled = self.model is not model or any(
            hasattr(part, "_orig_mod") or part._compiled_call_impl is not None for part in parts
        )
        self.quantities = tuple(quantities)
        self.groups = groups
        self.indices = indices
        self.path = path
        self.everyone, self.background = everyone, background
        self.stop_at_nonfinite = stop_at_nonfinite
        self.capture = Capture(self.model, batch_first, bool({"activation", "adjoint"} & set(quantities)))
        if not self.capture.layers:
            raise ValueError("the model has no layer that can be observed")
        self._directions = Directions(*directions, groups) if directions else None
        self._alignments = Alignments() if alignments else None
        others = tuple(other for other in (self._directions, self._alignments) if other is not None)
        self.solver = Solver(self.quantities, background, others)
        self.epoch = 1
        self.first_nonfinite: dict | None = None
        self.seconds = {"spectra": 0.0, "labelings": 0.0, "directions": 0.0}
        self._record = Record()
        self._depths: dict[str, int] = {}
        self._before: dict[str, torch.Tensor] = {}
        self._held: list[tuple] = []
        self._numbers = Numbers()
        self._start_epoch()

    @property
    def left_out(self) -> dict[str, str]:
        """Layers that are not observed, by module path, with the reason."""
        return dict(self.capture.left_out)

    def _start_epoch(self) -> None:
        self.capture.find_shared()
        self._device = next(self.model.parameters()).device
        self._steps = 0
        self._bytes: dict[int, int] = {}
        self._labelings = EpochLabelings(self.groups, self.indices)
        self._updates: dict[tuple[str, str, str], RunningSpectrum] = {}

    @contextlib.contextmanager
    def observe(
        self,
        groups: Sequence[str],
        labelings: torch.Tensor | None = None,
        *,
        accumulate: bool = False,
        loss_scale: float = 1.0,
    ) -> Iterator[Step]:
        """Observe the forward and backward pass in the body of the `with` statement.

        Parameters
        ----------
        groups : sequence of str (or anything whose text is the label), or an array or tensor of labels, length n
            The group of each sample of the batch.
        labelings : Tensor of bool, (l, n), optional
            Other ways to split the batch in two; True is the second of the monitor's `groups`.
        accumulate : bool
            More backward passes follow before the optimiser's step: their samples and these make
            one step.
        loss_scale : float
            What the loss was multiplied by (a gradient scaler's ``get_scale()``).

        Yields
        ------
        Step
            ``step.losses(values)`` takes the per-sample losses (n,), for labelings.

        Raises
        ------
        ValueError
            If a group is named `all`, or if no layer saw as many samples as there are labels.
        """
        begun = time.perf_counter()
        if "update" in self.quantities and not self._held:
            self._take_update()
            self._before = {name: weight.clone() for name, weight in self.capture.weights().items()}
        step = Step(groups, self._numbers, loss_scale)
        alone = labelings is None and not accumulate and not self._held and loss_scale == 1.0
        arrivals = self.solver.expect(len(step.labels)) if alone else None
        fast = functools.partial(step.samples, self._device) if alone and self.path == "fast" else None
        self.capture.start(fast, arrivals)
        began_body = time.perf_counter()
        try:
            with torch.compiler.set_stance("force_eager") if self._compiled else contextlib.nullcontext():
                yield step
        except BaseException:
            if arrivals is not None:
                arrivals.abandon()
            raise
        finally:
            self.capture.stop()
            body = time.perf_counter() - began_body
        if arrivals is not None and arrivals.complete():
            self._steps += 1
            self.solver.add_arrived(arrivals, step.labels, self.everyone, self._bytes[len(step.labels)])
        else:
            self._take(step, labelings, accumulate)
        self.seconds["spectra"] += time.perf_counter() - begun - body

    @full_precision()
    def _take(self, step: Step, labelings: torch.Tensor | None, accumulate: bool) -> None:
        seen, samples = self.capture.take(), len(step.labels)
        if samples not in self._bytes:
            self._bytes[samples] = seen.bytes
        with torch.no_grad():
            layers = self.capture.factors(seen, samples, step.loss_scale)
            if not layers:
                raise ValueError(
                    f"no layer saw the {samples} samples that have labels: give one label a sample, and "
                    "run the forward and backward pass inside observe()"
                )
            if accumulate:
                self._held.append((step, secured_layers(layers), labelings))
                return
            self._add(step, layers, labelings, seen.calls, self._bytes[samples])

    def _add(self, step: Step, layers: dict, labelings: torch.Tensor | None, calls: list, held: int) -> None:
        """Add one step, of this pass and those that waited for it, to the epoch."""
        if self._held:
            held += sum(self._bytes[len(waiting.labels)] for waiting, _, _ in self._held)
            step, layers, labelings = join_passes([*self._held, (step, layers, labelings)])
        self._held, self._steps = [], self._steps + 1
        if labelings is not None:
            begun = time.perf_counter()
            self._labelings.add(layers, torch.as_tensor(labelings, dtype=torch.bool), step.sample_losses)
            spent = time.perf_counter() - begun
            self.seconds["labelings"] += spent
            self.seconds["spectra"] -= spent
        self.solver.add(StepRecord(layers, step.labels, self.everyone), calls, held)

    @full_precision()
    def end_epoch(self) -> None:
        """Turn the running means into rows and begin the next epoch.

        Passes that still wait for the last one of their step make one without it.

        Raises
        ------
        FloatingPointError
            If a spectrum was not finite and `stop_at_nonfinite` is set.
        """
        begun = time.perf_counter()
        if self._held:
            step, layers, labelings = self._held.pop()
            with torch.no_grad():
                self._add(step, layers, labelings, [], self._bytes[len(step.labels)])
        if self._before:
            self._take_update()
        epoch = self.solver.finish()
        for name in epoch.layers:
            self._depths.setdefault(name, len(self._depths))
        if "weight" in self.quantities and epoch.steps:
            epoch.running |= self._weights()
        epoch.running |= {key: spectrum for key, spectrum in self._updates.items() if key[0] in self._depths}
        self._record.add("spectra", pa.Table.from_pylist(self._spectra_rows(epoch), schema=SPECTRA))
        if self._directions is not None:
            self._record.add("directions", self._directions.table(self.epoch))
            spent, self._directions.seconds = self._directions.seconds, 0.0
            self.seconds["directions"] += spent
            if not self.background:
                self.seconds["spectra"] -= spent
        if self._alignments is not None:
            weights = self.capture.weights()
            ordered = {layer: weights[layer] for layer in self._depths if layer in weights}
            self._record.add("alignments", self._alignments.table(self.epoch, ordered))
        self.seconds["spectra"] += time.perf_counter() - begun
        if self._labelings.steps:
            begun = time.perf_counter()
            self._record.add("labelings", self._labelings.table(self.epoch, self._depths))
            self.seconds["labelings"] += time.perf_counter() - begun
        self.epoch += 1
        self._start_epoch()
        self._report_nonfinite()

    def _spectra_rows(self, epoch: Epoch) -> list[dict]:
        return [
            {
                "epoch": self.epoch,
                "layer": layer,
                "depth": self._depths[layer],
                "quantity": quantity,
                "group": group,
                "batch": epoch.samples / epoch.steps,
                "n": epoch.seen[group],
                "steps": spectrum.steps,
                "singular_values": spectrum.mean.astype(np.float32),
                "singular_values_sd": spectrum.deviation().astype(np.float32),
            }
            for (layer, quantity, group), spectrum in sorted(epoch.running.items(), key=self._place)
        ]

    def _place(self, item) -> tuple:
        (layer, quantity, group), _ = item
        return self._depths[layer], QUANTITIES.index(quantity), group == ALL, group

    def _weights(self) -> dict:
        return {
            (layer, "weight", ALL): _one_spectrum(weight)
            for layer, weight in self.capture.weights().items()
            if layer in self._depths
        }

    def _take_update(self) -> None:
        """The optimiser's step since the last observed one: W after it minus W before."""
        now = self.capture.weights()
        for layer, before in self._before.items():
            spectrum = self._updates.setdefault((layer, "update", ALL), RunningSpectrum())
            spectrum.add(singular_values((now[layer] - before).cpu())[None].numpy())
        self._before = {}

    def _report_nonfinite(self) -> None:
        if self.first_nonfinite is None and self.solver.first_nonfinite is not None:
            step, (layer, quantity, group) = self.solver.first_nonfinite
            self.first_nonfinite = {
                "epoch": self.epoch - 1,
                "step": step,
                "layer": layer,
                "quantity": quantity,
                "group": group,
            }
            logger.warning(
                "epoch %d, step %d: the %s of layer '%s', group '%s', has NaN or infinity for the first time",
                *(self.epoch - 1, step, quantity, layer, group),
            )
        if self.first_nonfinite is not None and self.stop_at_nonfinite:
            raise FloatingPointError(f"a spectrum is not finite: {self.first_nonfinite}")

    def table(self) -> pa.Table:
        """Spectra of all finished epochs, in the schema ``autospec.tables.SPECTRA``."""
        return self._record.table("spectra")

    def labeling_table(self) -> pa.Table:
        """Spectra of all labelings, in the schema ``autospec.tables.LABELINGS``."""
        return self._record.table("labelings")

    def direction_table(self) -> pa.Table:
        """Leading directions, in the schema ``autospec.tables.DIRECTIONS``."""
        return self._record.table("directions")

    def alignment_table(self) -> pa.Table:
        """Cosines and alignments, in the schema ``autospec.tables.ALIGNMENTS``."""
        return self._record.table("alignments")

    def close(self) -> None:
        """Leave the model as it was, and end the second thread."""
        self.capture.stop()
        self.solver.close()

    def state_dict(self) -> dict:
        """What a resumed run needs, at an epoch's end: plain numbers, text and tensors."""
        if self._steps:
            raise RuntimeError("the monitor's state is taken between epochs: call end_epoch() first")
        return {
            "epoch": self.epoch,
            "depths": dict(self._depths),
            "first_nonfinite": self.first_nonfinite,
            "record": self._record.state_dict(),
            "seconds": dict(self.seconds),
        }

    def load_state_dict(self, state: dict) -> None:
        """Go on from `state_dict`'s state."""
        self.epoch = state["epoch"]
        self.first_nonfinite = state["first_nonfinite"]
        self._depths, self.seconds = dict(state["depths"]), dict(state["seconds"])
        self._record.load_state_dict(state["record"])
        self._start_epoch()


def _one_spectrum(matrix: torch.Tensor) -> RunningSpectrum:
    spectrum = RunningSpectrum()
    spectrum.add(singular_values(matrix.cpu())[None].numpy())
    return spectrum
