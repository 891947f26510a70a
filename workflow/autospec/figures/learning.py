"""Learning curves: what was learned, by whom, on people seen and unseen."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from autospec.figures import style
from autospec.figures.frames import diverged_words, finished, over_seeds
from autospec.tables import read_json, read_runs

PARTS = ("train", "test")


def read_metrics(folders: Iterable[Path]) -> pd.DataFrame:
    """Read metrics of runs as a frame with columns seed, epoch, part, group, metric, value."""
    frame = (
        read_runs(folders, "metrics")
        .select(["seed", "epoch", "part", "group", "metric", "value"])
        .to_pandas()
    )
    return frame.astype({"part": str, "group": str, "metric": str})


def draw_learning(records: Iterable[str | Path]) -> tuple[Figure, pd.DataFrame]:
    """Draw loss and the task's score by epoch, for training and test people, by group.

    Parameters
    ----------
    records : iterable of path
        The `run.json` of each seed of one run; `metrics.parquet` lies beside each.

    Returns
    -------
    figure : Figure
    table : DataFrame
        Columns metric, part, group, epoch, mean, low, high, seeds, simulated.
    """
    records = list(records)
    folders, kept = finished(records)
    if not kept:
        columns = ["metric", "part", "group", "epoch", "mean", "low", "high", "seeds"]
        return style.nothing_finished("Learning", read_json(records[0]), columns)
    record = kept[0]
    table = over_seeds(read_metrics(folders), ["metric", "part", "group", "epoch"])
    # The area under the ROC curve stands in the table of runs: beside the balanced accuracy it crowds the figure.
    table = table[table["metric"] != "auroc"]
    metrics = ["loss", *sorted(set(table["metric"]) - {"loss"})]
    note = f"Lines: mean of {len(kept)} trainings; bands: their range.{diverged_words(records)}"
    colours = {"all": style.ALL, record["groups"][0]: style.REFERENCE, record["groups"][1]: style.OTHER}
    dashes = {"all": "-", record["groups"][0]: "-", record["groups"][1]: (0, (3, 1.2))}
    keys = [Line2D([], [], color=colours[name], linestyle=dashes[name], label=name) for name in colours]
    keys[0].set_label("everyone")
    # Guessing among K classes finds 1 / K of each; the mean of the training people explains nothing.
    nothing = {"explained_variance": 0.0}
    if record.get("classes"):
        nothing["balanced_accuracy"] = 1 / len(record["classes"])
    if set(metrics) & set(nothing):
        keys.append(Line2D([], [], color="black", linewidth=0.6, linestyle=":", label="nothing learned"))
    if "balanced_accuracy" in metrics:
        note += " Balanced accuracy: the mean share found of the classes that a group has; dotted: by guessing."
    figure = style.new_figure(style.TWO_COLUMNS, 40, f"Learning: {style.run_title(record)}", note, keys)
    if record["simulated"]:
        style.mark_simulated(figure)
    axes = figure.subplots(1, len(metrics) * len(PARTS), squeeze=False)[0]
    for position, metric in enumerate(metrics):
        pair = axes[len(PARTS) * position : len(PARTS) * (position + 1)]
        pair[1].sharey(pair[0])
        for axis, part in zip(pair, PARTS, strict=True):
            panel = table[(table["metric"] == metric) & (table["part"] == part)]
            for group, colour in colours.items():
                line = panel[panel["group"] == group]
                axis.plot(line["epoch"], line["mean"], color=colour, linestyle=dashes[group], label=group)
                axis.fill_between(
                    line["epoch"], line["low"], line["high"], color=colour, alpha=0.15, linewidth=0
                )
            if metric in nothing:
                axis.axhline(nothing[metric], color="black", linewidth=0.6, linestyle=":", gid="nothing learned")
            axis.set_title(f"{metric.replace('_', ' ')}, {part}")
            axis.set_xlabel("epoch")
            style.epoch_ticks(axis)
    return figure, table.assign(simulated=record["simulated"])
