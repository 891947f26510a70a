"""Where the monitor's time goes, and how little it could be."""

import collections
import contextlib
import cProfile
import pstats
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import torch
from models import Case
from torch import nn
from ways import Plain

from autospec.spectra import cores
from autospec.spectra.layers import recurrent

_STEPS = 64


def profile(case: Case, make) -> str:
    """Main parts of a monitored step, under Python's profiler, which makes small calls look dearer than they are."""
    torch.manual_seed(0)
    model, batches = case.build(), case.batches()
    plain, run = Plain(model), make(model)
    for way in (plain, run):
        way.epoch(batches, 4)
    bare, seen = plain.epoch(batches, _STEPS), run.epoch(batches, _STEPS)
    profiler = cProfile.Profile()
    begun = time.perf_counter()
    profiler.enable()
    run.epoch(batches, _STEPS)
    profiler.disable()
    profiled = (time.perf_counter() - begun) / _STEPS
    run.close()
    statistics = pstats.Stats(profiler).stats
    own, built_in = [], []
    for (file, line, name), (_, calls, alone, together, _) in statistics.items():
        if "autospec" in Path(file).parts:
            own.append((together, alone, calls, f"{Path(file).name}:{line} {name}"))
        else:
            built_in.append(
                (alone, alone, calls, name if file == "~" else f"{Path(file).name}:{line} {name}")
            )
    lines = [
        f"plain step {1e3 * bare.wall:.3f} ms, monitored {1e3 * seen.wall:.3f} ms, "
        f"{1e3 * profiled:.3f} ms under the profiler; milliseconds a step:",
        "",
        f"{'with callees':>12} {'alone':>8} {'calls':>8}  of the library",
    ]
    for title, found in (("", own), (f"{'':>12} {'alone':>8} {'calls':>8}  outside it", built_in)):
        lines += [title] if title else []
        for together, alone, calls, name in sorted(found, reverse=True)[:22]:
            first = f"{1e3 * together / _STEPS:12.3f}" if found is own else " " * 12
            lines.append(f"{first} {1e3 * alone / _STEPS:8.3f} {calls / _STEPS:8.1f}  {name}")
    header, rows = floors({"": case})
    lines += ["", "; ".join(f"{name} {value}" for name, value in zip(header[1:], rows[0][1:], strict=True))]
    return "\n".join(lines)


#: What is timed, by the part of the work that it belongs to; each is a function of a module or a class.
PARTS = {
    "replay of recurrent layers": [(recurrent._Replay, "_run"), (recurrent._Replay, "_by_kernel")],
    "products": [(cores.Stack, "cores"), (cores, "group_grams"), (cores, "gram"), (cores, "group_gradients")],
    "decompositions": [(cores, "_solve")],
}


SHARES = ("model", "plain step, ms", "hooks, copies and the rest", *PARTS)


def shares(name: str, case: Case, make, seconds: float) -> list[tuple]:
    """Rows under SHARES: what a monitored step costs by parts, as shares of a plain step, on one thread."""
    torch.manual_seed(0)
    model, batches = case.build(), case.batches()
    plain, run = Plain(model), make(model)
    for way in (plain, run):
        way.epoch(batches, 4)
    steps = max(2, min(32, round(seconds / plain.epoch(batches, 2).wall)))
    best = None
    for _ in range(5):
        with _timed() as spent:
            bare, seen = plain.epoch(batches, steps).wall, run.epoch(batches, steps).wall
        if best is None or seen / bare < best[1] / best[0]:
            best = bare, seen, dict(spent)
    run.close()
    bare, seen, spent = best
    parts = {part: spent.get(part, 0.0) / steps for part in PARTS}
    rest = seen - bare - sum(parts.values())
    return [(name, f"{1e3 * bare:.3g}", *(f"{value / bare:.2f}" for value in (rest, *parts.values())))]


@contextlib.contextmanager
def _timed():
    """Time spent in each of PARTS, inside `with`; what one part asks of another counts for that one alone."""
    spent: collections.Counter = collections.Counter()
    under_way: list[str] = []
    since = 0.0

    def change():
        nonlocal since
        now = time.perf_counter()
        if under_way:
            spent[under_way[-1]] += now - since
        since = now

    def timing(part, function):
        def timed(*arguments, **keywords):
            change()
            under_way.append(part)
            try:
                result = function(*arguments, **keywords)
                return list(result) if isinstance(result, Iterator) else result
            finally:
                change()
                under_way.pop()

        return timed

    with contextlib.ExitStack() as stack:
        for part, functions in PARTS.items():
            for owner, name in functions:
                stack.enter_context(mock.patch.object(owner, name, timing(part, getattr(owner, name))))
        yield spent


def floors(cases: dict[str, Case]) -> tuple[tuple, list[tuple]]:
    """Header and rows: arithmetic of a plain step and of its spectra, and the ratio if both ran at one speed.

    Counted is what weights take part in. A spectrum of n rows below r = min(p, q) takes two row Gram
    matrices, a Cholesky factor, two products and the eigenvalues; with more rows the group's gradient
    costs what the weight gradient would have, and its Gram matrix and the eigenvalues come on top.
    """
    rows = []
    for name, case in cases.items():
        step = groups = everyone = 0.0
        for n, p, q, first in _products(case):
            step += (4 if first else 6) * n * p * q
            groups += case.groups * _spectrum(n // case.groups, p, q)
            everyone += _spectrum(n, p, q)
        ratios = 1 + groups / step, 1 + (groups + everyone) / step
        counts = (f"{count / 1e6:.1f}" for count in (step, groups, everyone))
        rows.append((name, *counts, *(f"{ratio:.2f}" for ratio in ratios)))
    counted = ("MFLOP of a plain step", "of the groups' spectra", "of everyone's")
    return ("model", *counted, "floor, groups", "floor, both"), rows


def _spectrum(n: int, p: int, q: int) -> float:
    small, large = min(p, q), max(p, q)
    formed = 2 * small * small * large + 4 / 3 * small**3
    return min(formed, 2 * n * n * (p + q) + n**3 / 3 + 4 * n**3 + 4 / 3 * n**3) if n < small else formed


def _products(case: Case):
    """Rows, inputs and outputs of each weight, and whether its input is the batch itself."""
    model, (x, _, _) = case.build(), case.batches(1)[0]
    found = []

    def hook(module, arguments, output):
        first = not arguments[0].requires_grad
        output = output if torch.is_tensor(output) else output[0]
        for weight in module.parameters(recurse=False):
            if weight.dim() > 1:
                matrix = weight.flatten(1)
                channel = -1 if isinstance(module, nn.Linear | nn.RNNBase) else 1
                count = output.numel() // output.shape[channel]
                hidden = isinstance(module, nn.RNNBase) and matrix.shape[1] == module.hidden_size
                found.append((count, matrix.shape[1], matrix.shape[0], first and not hidden))

    for module in model.modules():
        if not list(module.children()):
            module.register_forward_hook(hook)
    model(x)
    return found
