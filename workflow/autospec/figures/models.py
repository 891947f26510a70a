"""All networks side by side: the shape of their gradient spectra, and what observing them costs."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from autospec.figures import style
from autospec.figures.conditions import BOUNDS, SUMMARIES, read_depths
from autospec.figures.frames import bands_in_words, diverged_words, over_seeds
from autospec.statistics.claims import MODELS, share_of_spectra
from autospec.tables import read_json

_IDENTITY = ["dataset", "model", "task", "activation", "shape", "seed", "status", "simulated"]


def draw_models(records: Iterable[str | Path]) -> tuple[Figure, pd.DataFrame]:
    """Draw scale-free summaries of the gradient spectra over the relative depth: a column a model, a line a data set.

    Parameters
    ----------
    records : iterable of path
        The `run.json` of each training, all of one task; `spectra.parquet` lies beside each.

    Returns
    -------
    figure : Figure
    table : DataFrame
        Columns dataset, model, layer, depth, relative_depth, name (summary), mean, low, high, band (what they
        are: the 95 % interval of the mean or, of few seeds, their range), seeds, diverged, simulated.
    """
    records = {Path(path).parent: read_json(path) for path in records}
    runs: dict[tuple, list] = {}
    for folder, record in records.items():
        runs.setdefault((record["dataset"], record["model"]), []).append((folder, record))
    frames = []
    for (dataset, model), trainings in runs.items():
        done = [folder for folder, record in trainings if record["status"] == "finished"]
        if done:
            depths = read_depths(done)
            about = {"diverged": len(trainings) - len(done), "simulated": trainings[0][1]["simulated"]}
            for name, part in depths.groupby("name"):
                by = ["depth", "layer", "relative_depth", "name"]
                frame = over_seeds(part, by, interval=True, bounds=BOUNDS[name])
                frames.append(frame.assign(dataset=dataset, model=model, **about))
    columns = ["dataset", "model", "layer", "depth", "relative_depth", "name", "mean", "low", "high", "band",
               "seeds", "diverged", "simulated"]  # fmt: skip
    task = next(iter(records.values()))["task"]
    title = f"The same summaries in every network: {task}"
    simulated = all(record["simulated"] for record in records.values())
    if not frames:
        return style.empty_figure(title, _note(runs, ""), simulated, columns[:-1])
    table = pd.concat(frames, ignore_index=True)[columns]
    models = [model for model in MODELS if model in {model for _, model in runs}]
    looks = _looks(records.values())
    keys = _keys(looks, records.values())
    note = _note(runs, bands_in_words(table))
    figure = style.new_figure(style.TWO_COLUMNS, 8 + 33 * len(SUMMARIES), title, note, keys)
    if simulated:
        style.mark_simulated(figure)
    axes = figure.subplots(len(SUMMARIES), len(models), sharex=True, sharey="row", squeeze=False)
    for row, name in zip(axes, SUMMARIES.values(), strict=True):
        for axis, model in zip(row, models, strict=True):
            panel = table[(table["name"] == name) & (table["model"] == model)]
            for dataset, (colour, dashes, marker) in looks.items():
                line = panel[panel["dataset"] == dataset].sort_values("relative_depth")
                axis.plot(
                    line["relative_depth"], line["mean"], color=colour, linestyle=dashes, marker=marker,
                    markersize=2.5, label=dataset,
                )  # fmt: skip
                axis.fill_between(
                    line["relative_depth"], line["low"], line["high"], color=colour, alpha=0.2, linewidth=0
                )
        row[0].set_ylabel(name)
        if name == "stable rank":
            style.plain_log_ticks(row[0])
    for axis, model in zip(axes[0], models, strict=True):
        axis.set_title(model.upper())
    for axis in axes[-1]:
        axis.set_xlabel("relative depth")
        axis.set_xlim(0, 1)
        axis.set_xticks([0, 0.5, 1], ["0", "1/2", "1"])
    return figure, table


def draw_cost(records: Iterable[str | Path]) -> tuple[Figure, pd.DataFrame]:
    """Draw which share of each training's time its spectra took, labelings left out of both.

    Parameters
    ----------
    records : iterable of path
        The `run.json` of every training.

    Returns
    -------
    figure : Figure
    table : DataFrame
        One row a training: identity, `share` and `wall_seconds`.
    """
    rows, records = [], list(records)
    for record in map(read_json, records):
        share = share_of_spectra(record["measured"])
        if share is not None and record["status"] == "finished":
            identity = {name: record[name] for name in _IDENTITY}
            rows.append(identity | {"share": share, "wall_seconds": record["measured"]["wall_seconds"]})
    table = pd.DataFrame(rows, columns=[*_IDENTITY, "share", "wall_seconds"]).drop(columns="status")
    models = [model for model in MODELS if model in set(table["model"])]
    looks = _looks(rows)
    note = (
        f"A dot is one of {len(table)} trainings on the machine that ran them; the bar is the median. Beyond the "
        "dashed line spectra took more than half of the time. Labelings, which serve the test of groups alone, are "
        f"left out of both.{diverged_words(records)}"
    )
    figure = style.new_figure(
        style.ONE_COLUMN, 14 + 7 * max(1, len(models)), "Time that spectra took", note, _keys(looks, rows), wrap=2
    )
    axis = figure.subplots()
    axis.axvline(0.5, color=style.ALL, linewidth=0.6, linestyle=(0, (3, 2)))
    for place, model in enumerate(models):
        part = table[table["model"] == model]
        for number, (dataset, (colour, _, marker)) in enumerate(looks.items()):
            shares = part.loc[part["dataset"] == dataset, "share"]
            y = place + (number - (len(looks) - 1) / 2) * 0.6 / len(looks)
            axis.scatter(shares, np.full(len(shares), y), s=7, color=colour, marker=marker, linewidths=0, gid=model)
        axis.plot([part["share"].median()] * 2, [place - 0.38, place + 0.38], color="black", linewidth=1.2)
    axis.set_yticks(range(len(models)), [model.upper() for model in models])
    axis.set_ylim(max(1, len(models)) - 0.5, -0.5)
    axis.set_xlim(0, 1)
    axis.set_xlabel("share of the training time")
    return figure, table


def _looks(records: Iterable[dict]) -> dict[str, tuple]:
    datasets = dict.fromkeys(record["dataset"] for record in records)
    dashes = [style.DASHES[place % len(style.DASHES)] for place in range(len(style.SERIES))]
    markers = ("o", "s", "D", "^", "v", "P")
    return dict(zip(datasets, zip(style.SERIES, dashes, markers, strict=True), strict=False))


def _keys(looks: dict[str, tuple], records: Iterable[dict]) -> list[Line2D]:
    simulated = {record["dataset"] for record in records if record["simulated"]}
    return [
        Line2D([], [], color=colour, linestyle=dashes, marker=marker, markersize=2.5,
               label=f"{dataset} (simulated)" if dataset in simulated else dataset)
        for dataset, (colour, dashes, marker) in looks.items()
    ]  # fmt: skip


def _note(runs: dict[tuple, list], bands: str) -> str:
    counts = sorted({len(trainings) for trainings in runs.values()})
    lines = [
        f"Gradient spectra of everyone, in the base shape with the model's own activation: means over epochs and "
        f"{' to '.join(map(str, dict.fromkeys((counts[0], counts[-1]))))} trainings"
        f"{'; bands: ' + bands if bands else ''}. Of L layers, layer i lies at (i − 1/2) / L."
    ]
    for (dataset, model), trainings in runs.items():
        diverged = sum(record["status"] != "finished" for _, record in trainings)
        if diverged:
            lines.append(f"{dataset}, {model.upper()}: {diverged} of {len(trainings)} trainings diverged, left out.")
    return "\n".join(lines)
