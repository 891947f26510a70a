"""Run tables as long pandas frames, the shape that drawing wants."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from scipy import stats

from autospec.tables import read_json, read_runs

#: With fewer trainings an interval of the mean is many times as wide as all that was seen, and the range is shown.
FEWEST = 4
INTERVAL, RANGE = "95 % interval", "range"


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
    frame: pd.DataFrame,
    by: list[str],
    value: str = "value",
    log: bool = False,
    interval: bool = False,
    bounds: tuple[float, float] = (-np.inf, np.inf),
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
        Take the geometric mean, which is the middle on a logarithmic axis (0 if any value is 0), and its interval.
    interval : bool
        Where there are ``FEWEST`` trainings or more, make low and high the limits of the mean's 95 % interval; not
        a number where a value is 0 and `log`. With fewer trainings they stay the range.
    bounds : tuple of float
        Between what the quantity lies: (0, 1) or (b, inf). The interval of the mean is then taken on the scale of
        log((m - 0) / (1 - m)) or log(m - b), by the delta method, and stays within.

    Returns
    -------
    DataFrame
        Columns of `by`, mean, low, high, seeds and, if `interval`, band (what low and high are); in the order of `by`.
    """
    grouped = frame.assign(_mean=np.log(np.maximum(frame[value], 0)) if log else frame[value]).groupby(
        by, sort=True
    )
    summary = grouped.agg(
        mean=("_mean", "mean"), low=(value, "min"), high=(value, "max"), seeds=(value, "size")
    )
    enough = interval & (summary["seeds"] >= FEWEST)
    if enough.any():
        part = summary[enough]
        with np.errstate(invalid="ignore"):
            half = grouped["_mean"].std()[enough] / np.sqrt(part["seeds"]) * stats.t.ppf(0.975, part["seeds"] - 1)
        low, high = _within(part["mean"], half, bounds)
        summary.loc[enough, "low"], summary.loc[enough, "high"] = (np.exp(low), np.exp(high)) if log else (low, high)
    if log:
        summary["mean"] = np.exp(summary["mean"])
    if interval:
        summary["band"] = np.where(enough, INTERVAL, RANGE)
    return summary.reset_index()


def _within(mean, half, bounds):
    """The limits of a mean's interval of half a width, on the scale that keeps them within bounds."""
    bottom, top = bounds
    if np.isneginf(bottom):
        return mean - half, mean + half
    below, above = mean - bottom, top - mean
    # d/dm of log(m - b) is 1 / (m - b), of log(m / (1 - m)) it is 1 / m + 1 / (1 - m). At a bound nothing varies.
    inside = (below > 0) & (above > 0)
    slope = 1 / below.where(inside) + (1 / above.where(inside) if np.isfinite(top) else 0.0)
    factor = np.exp((half * slope).clip(upper=700.0))
    if np.isposinf(top):
        low, high = bottom + below / factor, bottom + below * factor
    else:
        low, high = (bottom + (top - bottom) / (1 + above / below.where(inside) * f) for f in (factor, 1 / factor))
    return low.where(inside, mean), high.where(inside, mean)


def bands_in_words(table: pd.DataFrame) -> str:
    """Say what the bands of a table of `over_seeds` are: the range of few trainings, the interval of more."""
    kinds = set(table["band"])
    if kinds == {RANGE}:
        return f"the range over trainings (an interval of the mean wants {FEWEST})"
    if kinds == {INTERVAL}:
        return "the 95 % interval of the mean over trainings"
    return f"the 95 % interval of the mean over trainings, of fewer than {FEWEST} their range"


def layers_in_order(frame: pd.DataFrame) -> list[str]:
    """Names of layers in the order of the forward pass."""
    return list(frame[["depth", "layer"]].drop_duplicates().sort_values(["depth", "layer"])["layer"])
