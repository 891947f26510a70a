"""Run tables as long pandas frames, the shape that drawing wants."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from scipy import stats

from autospec.tables import read_json, read_runs


def finished(records: Iterable[str | Path]) -> tuple[list[Path], list[dict]]:
    """Keep the runs that did not diverge.

    Parameters
    ----------
    records : iterable of path
        The `run.json` of each seed.

    Returns
    -------
    folders : list of Path
        Run folders in order of seed.
    records : list of dict
        Their records.

    """
    paths = [Path(path) for path in records]
    kept = [(path.parent, record) for path in paths if (record := read_json(path))["status"] == "finished"]
    kept.sort(key=lambda pair: pair[1]["seed"])
    return [folder for folder, _ in kept], [record for _, record in kept]


def diverged_words(records: Iterable[str | Path]) -> str:
    """Say how many trainings diverged and are not drawn; nothing where none did.

    Parameters
    ----------
    records : iterable of path
        The `run.json` of each seed.
    """
    status = [read_json(path)["status"] for path in records]
    count = len(status) - status.count("finished")
    return f" {count} of {len(status)} trainings diverged and are left out." if count else ""


def read_spectra(
    folders: Iterable[Path], quantities: tuple[str, ...], leading: int | None = None
) -> pd.DataFrame:
    """Read spectra with one row a singular value.

    Parameters
    ----------
    folders : iterable of Path
    quantities : tuple of str
    leading : int, optional
        Keep only this many of the largest.

    Returns
    -------
    DataFrame
        Columns task, seed, epoch, layer, depth, quantity, group, index (from 1), value.
    """
    table = read_runs(folders, "spectra")
    table = table.filter(pc.is_in(table["quantity"].cast("string"), pa.array(quantities)))
    keys = ["task", "seed", "epoch", "layer", "depth", "quantity", "group"]
    frame = table.select([*keys, "singular_values"]).to_pandas()
    for name in ("task", "layer", "quantity", "group"):
        frame[name] = frame[name].astype(str)
    spectra = [values[:leading] for values in frame.pop("singular_values")]
    lengths = [len(values) for values in spectra]
    frame = frame.loc[frame.index.repeat(lengths)].reset_index(drop=True)
    frame["index"] = np.concatenate([np.arange(1, length + 1) for length in lengths]) if lengths else []
    frame["value"] = np.concatenate(spectra).astype(float) if lengths else []
    return frame


def over_seeds(
    frame: pd.DataFrame, by: list[str], value: str = "value", log: bool = False, interval: bool = False
) -> pd.DataFrame:
    """Summarise the trainings: their mean, and the lowest and the highest or an interval of the mean.

    The range says how far trainings of the same network on the same people scatter. The interval is
    Student's, over trainings; it says nothing about other people.

    Parameters
    ----------
    frame : DataFrame
        One row a seed for each combination of `by`.
    by : list of str
    value : str
    log : bool
        Take the geometric mean, which is the middle on a logarithmic axis (0 if any value is 0).
    interval : bool
        Make low and high the limits of the mean's 95 % interval (on the log scale if `log`) instead of the
        range; not a number where there is one training, or a value of 0 on a logarithmic scale.

    Returns
    -------
    DataFrame
        Columns of `by`, mean, low, high, seeds; in the order of `by`.
    """
    grouped = frame.assign(_mean=np.log(np.maximum(frame[value], 0)) if log else frame[value]).groupby(
        by, sort=True
    )
    summary = grouped.agg(
        mean=("_mean", "mean"), low=(value, "min"), high=(value, "max"), seeds=(value, "size")
    )
    if interval:
        with np.errstate(invalid="ignore"):
            half = grouped["_mean"].std() / np.sqrt(summary["seeds"]) * stats.t.ppf(0.975, summary["seeds"] - 1)
        summary["low"], summary["high"] = summary["mean"] - half, summary["mean"] + half
    if log:
        names = ["mean", "low", "high"] if interval else ["mean"]
        summary[names] = np.exp(summary[names])
    return summary.reset_index()


def layers_in_order(frame: pd.DataFrame) -> list[str]:
    """Names of layers in the order of the forward pass."""
    return list(frame[["depth", "layer"]].drop_duplicates().sort_values(["depth", "layer"])["layer"])
