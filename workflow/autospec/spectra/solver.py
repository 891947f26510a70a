"""Gathers observed steps and solves their spectra, beside the training thread or on it."""

import atexit
import collections
import dataclasses
import queue
import threading

import numpy as np
import torch

from autospec.spectra.accumulate import RunningSpectrum
from autospec.spectra.arrivals import Arrivals
from autospec.spectra.call import Call
from autospec.spectra.cores import StepSolver
from autospec.spectra.factors import ALL
from autospec.spectra.gather import Batch, Gatherer, StepRecord
from autospec.spectra.labels import Labels, totals
from autospec.spectra.precision import full_precision
from autospec.spectra.stacks import Key

# Steps are solved sixty-four at a time, sooner where they hold much memory or where a layer has so many rows
# that its steps are computed one by one. The division depends on counts and sizes alone, so that the same run
# gives the same bytes under any load.
_STEPS = 64
_STEPS_ONE_BY_ONE = 2
_BYTES = 32 * 2**20
_WAITING = 2


@dataclasses.dataclass
class Epoch:
    """What the observed steps of an epoch came to.

    Attributes
    ----------
    running : dict of (layer, quantity, group) to RunningSpectrum
    layers : dict
        The layers seen, as its keys, in the order of the forward pass.
    seen : Counter
        Samples of each group.
    samples, steps : int
        Samples of all steps, and how many steps there were.
    """

    running: dict[Key, RunningSpectrum] = dataclasses.field(default_factory=dict)
    layers: dict[str, None] = dataclasses.field(default_factory=dict)
    seen: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    samples: int = 0
    steps: int = 0


class Solver:
    """Running means of every spectrum, from step records.

    Parameters
    ----------
    quantities : tuple of str
    background : bool
        Solve on a second thread. The queue is bounded: a training loop that is faster solves what has no
        place in it.
    others : tuple
        What else takes every record (``take(record)``), on the same thread.
    """

    def __init__(self, quantities: tuple[str, ...], background: bool, others: tuple = ()):
        self.others = others
        self._gatherer = Gatherer(_STEPS, bool(others))
        # One a thread: each has its own memory to work in.
        self._own, self._second = StepSolver(quantities), StepSolver(quantities)
        self.epoch = Epoch()
        #: (step of the epoch, key) of the first spectrum that was not finite, or None.
        self.first_nonfinite: tuple[int, Key] | None = None
        self._bytes = 0
        self._handed_over = self._counted = 0
        self._solved: dict[int, tuple[dict, list[StepRecord]]] = {}
        self._lock = threading.Lock()
        self._failure: BaseException | None = None
        self._queue: queue.Queue | None = None
        if background:
            self._queue = queue.Queue(_WAITING)
            # A daemon still at work when the interpreter ends would take the process down.
            atexit.register(self.close)
            self._thread = threading.Thread(target=self._work, args=(self._queue,), daemon=True, name="spectra")
            self._thread.start()

    def add(self, record: StepRecord, calls: list[Call], held: int) -> None:
        """Take one observed step, which came from these calls and holds so many bytes."""
        self._gatherer.add(record, calls)
        self._count(held)

    def expect(self, samples: int) -> Arrivals | None:
        """What takes all that a step brings, if it may look like the last one."""
        return self._gatherer.expect(samples)

    def add_arrived(self, arrivals: Arrivals, labels: Labels, everyone: bool, held: int) -> None:
        """Take a step of which all came as expected."""
        self._gatherer.add_arrived(arrivals, labels, everyone)
        self._count(held)

    def _count(self, held: int) -> None:
        self._bytes += held
        steps = _STEPS_ONE_BY_ONE if self._gatherer.batch.single else _STEPS
        if len(self._gatherer.batch.records) >= steps or self._bytes >= _BYTES:
            self._hand_over()

    def finish(self) -> Epoch:
        """Solve all that is left and give what the epoch came to; begin anew.

        Raises
        ------
        Exception
            Whatever failed on the second thread.
        """
        batch = self._hand_over(last=True)
        if self._queue is not None:
            self._help()
            self._queue.join()
            self._gatherer.give_back(batch)
        self._gatherer.forget()
        self._raise_failure()
        epoch, self.epoch = self.epoch, Epoch()
        return epoch

    def close(self) -> None:
        """End the second thread, after what it still has to do."""
        if self._queue is not None:
            self._queue.put(None)
            self._thread.join()
            self._queue = None
            atexit.unregister(self.close)

    def _hand_over(self, last: bool = False) -> Batch:
        """Give a batch away to be solved; the last of an epoch in halves, one for each thread."""
        batch, self._bytes = self._gatherer.take(), 0
        self._raise_failure()
        parts = batch.halves() if last and self._queue is not None else [batch]
        for part in filter(lambda part: part.records, parts):
            number, self._handed_over = self._handed_over, self._handed_over + 1
            if self._queue is None:
                self._take(number, part, self._own)
            elif self.others:
                self._queue.put((number, part))
            else:
                try:
                    self._queue.put_nowait((number, part))
                except queue.Full:
                    self._take(number, part, self._own)
        return batch

    def _help(self) -> None:
        """Solve what waits in the queue, until nothing does; what else takes records takes them in order."""
        while not self.others and self._failure is None:
            try:
                number, batch = self._queue.get_nowait()
            except queue.Empty:
                return
            try:
                self._take(number, batch, self._own)
            finally:
                self._queue.task_done()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def _work(self, waiting: queue.Queue) -> None:
        while True:
            given = waiting.get()
            try:
                if given is None:
                    return
                number, batch = given
                self._take(number, batch, self._second)
            except BaseException as failure:
                self._failure = failure
            finally:
                waiting.task_done()

    def _take(self, number: int, batch: Batch, solver: StepSolver) -> None:
        solved, records = {}, []
        try:
            with torch.no_grad(), full_precision():
                solved = solver.solve(batch)
                for other in self.others:
                    for record in batch.records:
                        other.take(record)
            self._gatherer.give_back(batch)
            records = batch.records
        finally:
            with self._lock:
                self._solved[number] = solved, records
                # In their order, whoever was first: sums in another order would differ in their last digits.
                while self._counted in self._solved:
                    self._add(*self._solved.pop(self._counted))
                    self._counted += 1

    def _add(self, solved: dict, records: list[StepRecord]) -> None:
        """Add the spectra of some steps to the epoch's."""
        epoch, bad = self.epoch, []
        for key, parts in solved.items():
            for steps, values in parts:
                epoch.running.setdefault(key, RunningSpectrum()).add(values)
                if np.isnan(values).any():
                    bad.append((epoch.steps + 1 + steps[np.isnan(values).any(axis=1).argmax()], key))
        if bad and self.first_nonfinite is None:
            self.first_nonfinite = min(bad, key=lambda found: found[0])
        met = None
        for record in records:
            if record.layers is not met:  # steps alike share theirs
                met = record.layers
                epoch.layers |= dict.fromkeys(met)
            epoch.samples += record.samples
        epoch.seen.update(totals([record.labels for record in records]))
        if records and records[0].everyone:
            epoch.seen[ALL] = epoch.samples
        epoch.steps += len(records)
