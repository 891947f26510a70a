"""The table of runs: how each ended, what it cost, and how well it learned."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from autospec.tables import IDENTITY, read_json, read_parquet

METRICS = ("loss", "balanced_accuracy", "auroc", "explained_variance")


def list_runs(records: Iterable[str | Path]) -> pd.DataFrame:
    """List runs, one row each.

    Parameters
    ----------
    records : iterable of path
        The `run.json` of each run; `metrics.parquet` lies beside it.

    Returns
    -------
    DataFrame
        What tells the run from others; `status` (finished or diverged); `learned` (whether it ends better than
        guessing on its training people); `simulated`, `parameters`, `epochs`;
        `features_left_out` and `pairs_left_out`, how many its training people decided to leave out;
        `seconds`, and the shares of them that went to spectra and to labelings; `memory_mb` (the largest
        of the job so far, which trains its seeds one after another), `device`; `chance` (the balanced accuracy
        of guessing); and the metrics of everyone after the last epoch, on training and on test people.
    """
    return pd.DataFrame([_row(Path(path)) for path in records])


def _row(path: Path) -> dict:
    record = read_json(path)
    measured, classify = record["measured"], record["task"] == "classification"
    seconds = measured["wall_seconds"]
    row = {name: record[name] for name in (*IDENTITY, "status", "learned", "simulated", "parameters", "epochs")}
    row |= {f"{kind}_left_out": len(record["left_out"][kind]) for kind in ("features", "pairs")}
    row["seconds"] = seconds
    for part in ("spectra", "labelings"):
        row[f"{part}_share"] = round(measured[f"{part}_seconds"] / seconds, 3) if seconds else None
    row |= {"memory_mb": measured["peak_memory_mb"], "device": record["device"]}
    row["chance"] = 1 / len(record["classes"]) if classify else None
    values = read_parquet(path.with_name("metrics.parquet")).to_pandas()
    last = values[(values["group"] == "all") & (values["epoch"] == values["epoch"].max())]
    found = last.set_index(["part", "metric"])["value"]
    return row | {f"{part}_{metric}": found.get((part, metric)) for part in ("train", "test") for metric in METRICS}
