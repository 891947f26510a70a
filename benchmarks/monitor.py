"""What the spectra cost: the monitor, and what one could do instead, against plain training.

    python benchmarks/monitor.py                              every model: about 20 minutes on two idle cores
    python benchmarks/monitor.py --models mlp-table lstm-128  some of them
    python benchmarks/monitor.py --peers                      and other libraries, where they are installed
    python benchmarks/monitor.py --profile mlp-table          where the monitor's time goes
    python benchmarks/monitor.py --quick                      tiny shapes: a test that it runs, not a measurement
    python benchmarks/monitor.py --peers --write              put the tables into benchmarks/README.md
    python benchmarks/monitor.py --keep monitor.json          go on from there if the run is stopped

All ways train in one process, one after another in every repeat, so that a busy machine disturbs
all of them; times are ratios to the plain step of the same repeat. README.md explains the table.
"""

import argparse
import functools
import gc
import math
import os
import platform
import re
import statistics
import sys
import time
import warnings
from importlib import metadata, util
from pathlib import Path

import library  # noqa: F401
import numpy as np
import torch
from kept import Kept
from models import CASES, QUICK, Case
from oracle import reference, worst_error
from peers import PACKAGES, PEERS, check
from profiles import SHARES, floors, profile, shares
from ways import Monitor, Naive, Ordered, Plain, Store, Unobserved

from autospec.errors import InputError

_ALL = ("activation", "adjoint", "gradient")

#: One line a way. Options of Monitor are those of SpectralMonitor.
WAYS = {
    "plain": Plain,
    "monitor": Monitor,
    "monitor, fast path": functools.partial(Monitor, path="fast"),
    "monitor, fast path, batches in order of groups": functools.partial(Ordered, path="fast"),
    "monitor, everyone together too": functools.partial(Monitor, everyone=True),
    "monitor, activations and adjoints too": functools.partial(Monitor, quantities=_ALL),
    "monitor, fast path, activations and adjoints too": functools.partial(Monitor, path="fast", quantities=_ALL),
    "monitor, no second thread": functools.partial(Monitor, background=False),
    "monitor, an unobserved step": functools.partial(Unobserved, background=False),
    "naive: svdvals of each group's gradient": Naive,
    "store everything, decompose later": Store,
}

HEADER = ("model", "way", "wall / plain", "limit", "processor / plain", "bytes kept a step", "worst error")

#: What a way's median wall time may be at most, by the beginning of the models' names.
LIMITS = {
    "monitor": {"mlp": 2.3, "lstm": 2.7, "rnn": 1.8, "bert": 1.5, "cnn": 1.6},
    "monitor, fast path": {
        "mlp-table": 1.25,
        "mlp-mnist": 1.5,
        "lstm": 1.3,
        "rnn": 1.0,
        "bert": 1.2,
        "cnn-1d": 1.35,
        "cnn": 1.1,
    },
    "monitor, an unobserved step": {"": 1.02},
}
#: A way whose cost beyond plain training may be at most twice that of the other.
TWICE = {"monitor, fast path, activations and adjoints too": "monitor, fast path"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=list(CASES), default=list(CASES), metavar="MODEL")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="length of a plain epoch, about")
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--profile", choices=list(CASES), metavar="MODEL")
    parser.add_argument("--write", action="store_true", help="into README.md")
    parser.add_argument("--keep", metavar="FILE", help="what is measured, model by model; a later run goes on from it")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    warnings.filterwarnings("ignore")
    cases = QUICK if options.quick else CASES
    if options.profile:
        print(profile(cases[options.profile], functools.partial(Monitor, background=False)))
        return
    repeats, seconds = (1, 0.0) if options.quick else (options.repeats, options.seconds)
    ways = WAYS | (PEERS if options.peers else {})
    kept = Kept(options.keep, {"machine": machine(), "ways": list(ways), "repeats": repeats, "seconds": seconds})
    for number, model in enumerate(options.models, start=1):
        if model not in kept.models:
            begun = time.perf_counter()
            measured = {"monitor": measure(model, cases[model], ways, repeats, seconds)}
            measured["shares"] = shares(model, cases[model], functools.partial(Monitor, background=False), seconds)
            kept.add(model, measured | {"seconds": time.perf_counter() - begun})
        spent = [kept.models[name]["seconds"] for name in options.models[:number]]
        left = sum(spent) / number * (len(options.models) - number)
        done = f"{number} of {len(options.models)} models, {left / 60:.0f} more minutes or so"
        print(done, file=sys.stderr, flush=True)
    minutes = sum(kept.models[model]["seconds"] for model in options.models) / 60
    left_out = {"--keep", options.keep}
    command = " ".join(["benchmarks/monitor.py", *(word for word in sys.argv[1:] if word not in left_out)])

    def rows(name):
        return [tuple(row) for model in options.models for row in kept.models[model][name]]

    parts = {
        "monitor": f"{machine()} `python {command}`, {minutes:.0f} minutes.\n\n{table(HEADER, rows('monitor'))}",
        "unequal": table(*unequal(cases, options.models, repeats, seconds)),
        "labelings": table(*labelings(cases["mlp-table"], 20 if options.quick else 200, repeats)),
        "shares": table(SHARES, rows("shares")),
        "floors": table(*floors({model: cases[model] for model in options.models})),
    }
    print("\n\n".join(parts.values()))
    if options.write:
        write(Path(__file__).with_name("README.md"), parts)


def measure(name: str, case: Case, ways: dict, repeats: int, seconds: float) -> list[tuple]:
    """Rows of the table for one model: its ways, interleaved, over several repeats."""
    torch.manual_seed(0)
    model, batches = case.build(), case.batches()
    wanted = reference(model, torch.nn.CrossEntropyLoss(), batches[0])
    runs, errors, costs, slow = {}, {}, {}, {}
    for way, make in ways.items():
        try:
            runs[way], errors[way], slow[way] = _warm(make, model, batches, wanted)
            costs[way] = []
        except Exception as reason:
            if way in WAYS:
                raise
            errors[way] = "not installed" if util.find_spec(PACKAGES[way]) is None else "unsupported"
            text = (str(reason).splitlines() or [""])[0]
            print(f"{name}, {way}: {errors[way]}: {type(reason).__name__}: {text[:150]}", file=sys.stderr)
    later: dict[str, list] = {way: [] for way, run in runs.items() if isinstance(run, Store)}
    plain = runs["plain"].epoch(batches, 8)
    steps = max(4, min(400, round(seconds / plain.wall))) if seconds else 2
    for repeat in range(repeats):
        order = list(runs)
        # Each way has each neighbour, and the beginning and the end of a repeat, in turn.
        for way in order[repeat % len(order) :] + order[: repeat % len(order)]:
            gc.collect()
            costs[way].append(runs[way].epoch(batches, _fewer(steps, slow[way], seconds)))
            if way in later:
                later[way].append(runs[way].afterwards())
    rows = []
    for way in ways:
        if way not in runs:
            rows.append((name, way, errors[way], "", "", "", ""))
            continue
        kept = f"{runs[way].kept:,}"
        if way in later:
            wall, processor = _ratios(costs[way], costs["plain"])
            rows.append((name, f"{way}: in training", wall, "", processor, kept, ""))
            wall, processor = _ratios(later[way], costs["plain"])
            rows.append((name, f"{way}: afterwards", wall, "", processor, "", errors[way]))
        elif way == "plain":
            wall, processor = _milliseconds(costs[way])
            rows.append((name, way, wall, "", processor, kept, ""))
        else:
            wall, processor = _ratios(costs[way], costs["plain"])
            rows.append((name, way, wall, _judged(name, way, costs), processor, kept, errors[way]))
        runs[way].close()
    # A long run that is interrupted leaves what it had.
    print(
        f"{name}: {steps} steps an epoch, {repeats} repeats\n{table(HEADER, rows)}\n",
        file=sys.stderr,
        flush=True,
    )
    return rows


def _fewer(steps: int, each: float, seconds: float) -> int:
    """Steps of an epoch by a way whose steps take `each` seconds: it may last twice as long as plain training."""
    return max(2, min(steps, round(2 * seconds / each)))


def _warm(make, model, batches, wanted) -> tuple:
    """A way that has trained an epoch, the error of its spectra in its first step, and its seconds a step."""
    run = make(model)
    if make in PEERS.values():
        check(run, model, batches[0])
    run.epoch(batches, 1)
    if hasattr(run, "afterwards"):
        run.afterwards()
    spectra = run.spectra()
    error = "no spectra" if spectra is None else f"{worst_error(spectra, wanted):.1e}"
    return run, error, run.epoch(batches, 2).wall


def _milliseconds(costs: list) -> list[str]:
    medians = [statistics.median(getattr(cost, kind) for cost in costs) for kind in ("wall", "processor")]
    return [f"1 ({1e3 * median:.3g} ms)" for median in medians]


def _ratios(costs: list, plain: list) -> list[str]:
    """Median ratio and its interval, on the clock and of the processor."""
    result = []
    for kind in ("wall", "processor"):
        ratios = sorted(
            getattr(cost, kind) / getattr(base, kind) for cost, base in zip(costs, plain, strict=True)
        )
        low, high = interval(ratios)
        result.append(f"{statistics.median(ratios):.2f} ({low:.2f} to {high:.2f})")
    return result


def _judged(model: str, way: str, costs: dict[str, list]) -> str:
    """The limit of a way's wall time, and whether its median holds it; nothing where there is none."""

    def median(which):
        return statistics.median(
            cost.wall / base.wall for cost, base in zip(costs[which], costs["plain"], strict=True)
        )

    if way in TWICE:
        limit = 1 + 2 * max(0.0, median(TWICE[way]) - 1)
    else:
        limit = next((limit for name, limit in LIMITS.get(way, {}).items() if model.startswith(name)), None)
    if limit is None:
        return ""
    return f"{limit:.2f}, {'met' if median(way) <= limit else 'not met'}"


def interval(values: list[float]) -> tuple[float, float]:
    """Interval of the median of sorted values, from order statistics: at least 90 % where there are 5 or more.

    The k-th smallest and the k-th largest hold the median but for 2 P(fewer than k heads in n tosses).
    """
    n, k = len(values), 1
    while 2 * sum(math.comb(n, heads) for heads in range(k + 1)) / 2**n <= 0.1:
        k += 1
    return values[k - 1], values[-k]


def unequal(cases: dict, models: list[str], repeats: int, seconds: float) -> tuple[tuple, list[tuple]]:
    """Header and rows: perceptrons by the fast path, with groups of equal size and with groups as chance deals them."""
    rows = []
    for name in [model for model in models if model.startswith("mlp")]:
        case, random = cases[name], np.random.default_rng(1)
        torch.manual_seed(0)
        model, equal = case.build(), case.batches(64)
        drawn = [
            (x, y, [str(group) for group in random.integers(case.groups, size=case.batch)]) for x, y, _ in equal
        ]
        runs = {
            "plain": (Plain(model), equal),
            "equal": (Monitor(model, path="fast"), equal),
            "drawn": (Monitor(model, path="fast"), drawn),
        }
        costs: dict[str, list] = {way: [] for way in runs}
        steps = max(4, min(400, round(seconds / runs["plain"][0].epoch(equal, 8).wall))) if seconds else 2
        for repeat in range(repeats + 1):
            for way, (run, batches) in runs.items():
                gc.collect()
                cost = run.epoch(batches, steps)
                if repeat:  # the first is for warming up
                    costs[way].append(cost)
        for run, _ in runs.values():
            run.close()
        rows.append((name, *(_ratios(costs[way], costs["plain"])[0] for way in ("equal", "drawn"))))
    return ("model", "groups of equal size", "each sample's group drawn at random"), rows


def labelings(case: Case, count: int, repeats: int) -> tuple[tuple, list[tuple]]:
    """Header and rows: what a step's labelings cost beside its spectra, on one core."""
    model, batches = case.build(), case.batches()
    random = torch.Generator().manual_seed(0)
    half = torch.rand(count, case.batch, generator=random).argsort(dim=1) < case.batch // 2
    run = Monitor(model, background=False, indices=16)
    spent, epochs = [], []
    for repeat in range(max(repeats, 2)):
        x, y, labels = batches[repeat % len(batches)]
        before = run.monitor.seconds["labelings"]
        with run.monitor.observe(labels, half) as step:
            losses = torch.nn.functional.cross_entropy(run.model(x), y, reduction="none")
            losses.mean().backward()
            step.losses(losses)
        spent.append(run.monitor.seconds["labelings"] - before)
        run.optimizer.step()
        run.optimizer.zero_grad()
        begun = time.perf_counter()
        run.end_epoch()
        epochs.append(time.perf_counter() - begun)
    run.close()
    header = ("labelings", "batch", "seconds a step", "seconds an epoch's end")
    return header, [
        (str(count), str(case.batch), *(f"{statistics.median(part):.3f}" for part in (spent, epochs)))
    ]


def machine() -> str:
    """The processor and the versions, in one line."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    processor = names[0] if names else platform.processor() or platform.machine()
    versions = [f"torch {torch.__version__}", f"NumPy {np.__version__}"]
    for package in ("opacus", "backpack-for-pytorch", "cockpit-for-pytorch"):
        if util.find_spec(package.split("-")[0]):
            versions.append(f"{package} {metadata.version(package)}")
    blas = "with MKL" if torch.backends.mkl.is_available() else "without MKL"
    own = np.show_config(mode="dicts")["Build Dependencies"]["blas"]["name"]
    system = f"{processor}, {os.cpu_count()} cores, Python {platform.python_version()}"
    return f"{system}, {', '.join(versions)}; torch {blas}, NumPy with {own}."


def table(header: tuple, rows: list[tuple]) -> str:
    """A table in Markdown, with its columns aligned."""
    cells = [header, *rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    padded = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in cells]
    lines = ["| " + " | ".join(row) + " |" for row in padded]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def write(readme: Path, parts: dict[str, str]) -> None:
    """Put each table between its two marks.

    Raises
    ------
    InputError
        If a mark is not there; then nothing is written.
    """
    text = readme.read_text(encoding="utf-8")
    for name, part in parts.items():
        pattern = rf"(<!-- table:{name} -->\n).*?(<!-- end:{name} -->)"
        if not re.search(pattern, text, flags=re.DOTALL):
            raise InputError(f"{readme}: wanted the lines <!-- table:{name} --> and <!-- end:{name} -->; add them.")
        text = re.sub(
            pattern, lambda match, part=part: f"{match[1]}{part}\n{match[2]}", text, flags=re.DOTALL
        )
    readme.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
