"""The trainings: one entry a configuration, its seeds together."""

from collections.abc import Iterable
from pathlib import Path

from autospec.figures.frames import over_seeds
from autospec.figures.learning import read_metrics
from autospec.figures.style import run_title
from autospec.tables import IDENTITY, read_json


def read_trainings(records: Iterable[str | Path]) -> list[dict]:
    """Read every `run.json` with its metrics, one entry a configuration.

    Parameters
    ----------
    records : iterable of path
        Every `run.json`; `metrics.parquet` lies beside each.

    Returns
    -------
    list of dict
        What the page shows of each: its identity, seeds, how many diverged, how many others learned nothing
        (`unlearned`), `learned` (metrics of the last epoch over the seeds), options, inputs' checksums, versions,
        time and memory.
    """
    by_name: dict[str, list[Path]] = {}
    for path in map(Path, records):
        by_name.setdefault(path.parent.parent.name, []).append(path)
    return [_entry(name, paths) for name, paths in by_name.items()]


def _entry(name: str, paths: list[Path]) -> dict:
    pairs = sorted(((read_json(path), path.parent) for path in paths), key=lambda pair: pair[0]["seed"])
    kept = [(record, folder) for record, folder in pairs if record["status"] == "finished"]
    first = (kept or pairs)[0][0]
    measured = [record["measured"] for record, _ in pairs]
    shown = (*IDENTITY[:-1], "groups", "simulated", "description", "n", "parameters", "labels_used", "options")
    return {field: first[field] for field in shown} | {
        "name": name,
        "title": run_title(first),
        "seed_list": ", ".join(str(record["seed"]) for record, _ in pairs),
        "seeds": len(pairs),
        "diverged": len(pairs) - len(kept),
        "unlearned": sum(not record["learned"] for record, _ in kept),
        "learned": _learned([folder for _, folder in kept]),
        "devices": ", ".join(sorted({str(record["device"]) for record, _ in pairs})),
        "threads": ", ".join(sorted({str(record["threads"]) for record, _ in pairs})),
        "seconds": sum(m["wall_seconds"] for m in measured if m.get("wall_seconds")),
        "memory": max((m["peak_memory_mb"] for m in measured if m.get("peak_memory_mb")), default=None),
        "inputs": {Path(name).name: digest for name, digest in first["inputs"].items()},
        "versions": first["versions"],
    }


def _learned(folders: list[Path]) -> list[dict]:
    """Metrics of the last epoch: the loss first, test people before training people."""
    if not folders:
        return []
    metrics = read_metrics(folders)
    final = over_seeds(metrics[metrics["epoch"] == metrics["epoch"].max()], ["metric", "part", "group"])
    return final.sort_values(["metric", "part"], ascending=[True, False], kind="stable").to_dict("records")


def software(trainings: list[dict]) -> dict[str, str]:
    """Versions by package, in alphabetical order; several where trainings ran under several."""
    found: dict[str, set[str]] = {}
    for training in trainings:
        for package, version in training["versions"].items():
            found.setdefault(package, set()).add(str(version))
    return {package: ", ".join(sorted(versions)) for package, versions in sorted(found.items())}
