"""The explorer: a page beside the report that draws any group spectrum of the run, with the test at that place."""

import base64
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from autospec.figures.frames import finished, layers_in_order, over_seeds, read_spectra
from autospec.figures.style import ALL, OTHER, REFERENCE
from autospec.report.render import write_page
from autospec.statistics.swaps import why_untested
from autospec.tables import IDENTITY, read_json, read_tsv

QUANTITIES = ("gradient", "activation", "adjoint", "weight", "update")
#: Leading singular values that are kept of each spectrum.
INDICES = 10
#: Characters that the page's data may have. Epochs are thinned out, then indices, until they fit.
LIMIT = 2_900_000
#: Singular values are kept as whole thousandths of their natural logarithm, which is 0.05 % of each.
STEPS = 1000
ZERO, MISSING = -32768, -32767


def write_explorer(
    output: str | Path, template: str | Path, *, records: Iterable[str | Path], groups: Iterable[str | Path]
) -> None:
    """Write the explorer.

    Parameters
    ----------
    output, template : path
        As in `autospec.report.page.write_report`.
    records : iterable of path
        Every `run.json`; `spectra.parquet` lies beside each.
    groups : iterable of path
        `overall.json` of each test of groups, in a folder that names the run; `cells.tsv`, `epochs.tsv` and
        `layers.tsv` lie beside each.
    """
    tests = {Path(path).parent.name: Path(path).parent for path in groups}
    by_name: dict[str, list[Path]] = {}
    for path in map(Path, records):
        by_name.setdefault(path.parent.parent.name, []).append(path)
    # The page opens with the first: a network whose groups were tested, if there is one.
    names = sorted(by_name, key=lambda name: name not in tests)
    runs = [run for name in names if (run := _read(by_name[name], tests.get(name)))]
    write_page(output, template, "explorer.js", title="AutoSpec explorer", data=fitted(runs))


def _read(paths: list[Path], test: Path | None) -> dict | None:
    """One network over its seeds; None where every training diverged."""
    folders, kept = finished(paths)
    if not kept:
        return None
    frame = read_spectra(folders, QUANTITIES, leading=INDICES)
    with np.errstate(divide="ignore"):  # a singular value of 0 has the geometric mean 0
        table = over_seeds(frame, ["depth", "layer", "quantity", "group", "epoch", "index"], log=True)
    tables = {}
    if test:
        tables = {name: read_tsv(test / f"{name}.tsv") for name in ("cells", "epochs", "layers")}
        tables["overall"] = read_json(test / "overall.json")
    about = {field: kept[0][field] for field in (*IDENTITY[:-1], "groups", "simulated")}
    return {"about": about | {"seeds": len(kept)}, "table": table, "test": tables}


def fitted(runs: list[dict], limit: int = LIMIT) -> str:
    """The data as JSON that fits a page: every epoch and `INDICES` indices, or as many as `limit` allows."""
    epochs = max((run["table"]["epoch"].nunique() for run in runs), default=1)
    indices = INDICES
    while True:
        colours = {"reference": REFERENCE, "other": OTHER, "all": ALL}
        kept = {"steps": STEPS, "zero": ZERO, "missing": MISSING, "colours": colours}
        text = json.dumps(
            kept | {"runs": [_packed(run, epochs, indices) for run in runs]}, separators=(",", ":"), ensure_ascii=False
        )
        # A text in the data must not end the element that holds it.
        text = text.replace("<", "\\u003c")
        if len(text) <= limit or indices == 1:
            return text
        if epochs > 2:
            epochs = max(2, int(epochs * 0.9 * limit / len(text)))
        else:
            indices -= 1


def thinned(values: Iterable[int], count: int) -> list[int]:
    """At most `count` of the values, evenly apart, the first and the last among them."""
    values = sorted(values)
    if len(values) <= count:
        return values
    return [values[round(place)] for place in np.linspace(0, len(values) - 1, count)]


def _packed(run: dict, epochs: int, indices: int) -> dict:
    table = run["table"]
    kept = thinned(table["epoch"].unique().tolist(), epochs)
    table = table[table["epoch"].isin(kept) & (table["index"] <= indices)]
    layers = []
    for layer in layers_in_order(table):
        of_layer = table[table["layer"] == layer]
        names = [name for name in QUANTITIES if (of_layer["quantity"] == name).any()]
        groups = run["about"]["groups"]
        spectra = {name: _spectra(of_layer[of_layer["quantity"] == name], groups, kept) for name in names}
        layers.append({"name": layer, "spectra": spectra})
    total = int(run["table"]["epoch"].nunique())
    packed = run["about"] | {"epochs": kept, "epochs_trained": total, "layers": layers}
    return packed | {"test": _test(run["test"], kept, indices) if run["test"] else None}


def _spectra(table: pd.DataFrame, groups: list[str], epochs: list[int]) -> dict:
    """Mean, lowest and highest over the trainings: int16 of (group, epoch, index, 3), in base64."""
    present = [group for group in (*groups, "all") if (table["group"] == group).any()]
    count = int(table["index"].max())
    values = np.full((len(present), len(epochs), count, 3), MISSING, dtype="<i2")
    place = tuple(
        np.array([order.index(value) for value in table[name].tolist()])
        for name, order in (("group", present), ("epoch", epochs), ("index", list(range(1, count + 1))))
    )
    values[place] = coded(table[["mean", "low", "high"]].to_numpy())
    return {"groups": present, "count": count, "data": base64.b64encode(values.tobytes()).decode()}


def coded(values: np.ndarray) -> np.ndarray:
    """Code singular values as whole numbers: `STEPS` times their natural logarithm, `ZERO`, or `MISSING` for NaN."""
    values = np.asarray(values, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = np.clip(np.round(STEPS * np.log(values)), MISSING + 1, 32767)
    return np.where(np.isnan(values), MISSING, np.where(values <= 0, ZERO, np.nan_to_num(steps))).astype("<i2")


def _test(test: dict, epochs: list[int], indices: int) -> dict:
    """What the page says of the test: overall, by layer, by cell, and by cell and epoch."""
    overall = {name: test["overall"][name] for name in ("exact", "labelings", "alpha")}
    spectral = ["spectral_ratio", "gradient_difference"]

    def rows(table: pd.DataFrame, columns: list[str]) -> list[list]:
        table = table[table["statistic"].isin(spectral)]
        if "index" in table:
            table = table[table["index"] <= indices]
        short = table[columns].map(lambda value: float(f"{value:.4g}") if isinstance(value, float) else value)
        return short.astype(object).where(short.notna(), None).values.tolist()

    by_epoch = test["epochs"][test["epochs"]["epoch"].isin(epochs)]
    p = test["overall"]["spectra"]["p"]
    return overall | {
        "p": p,
        "why": why_untested(test["overall"]) if p is None else "",
        "layers": rows(test["layers"], ["statistic", "layer", "p", "q", "strongest_index", "effect"]),
        "cells": rows(test["cells"], ["statistic", "layer", "index", "p", "q", "effect"]),
        "epochs": rows(by_epoch, ["statistic", "layer", "epoch", "index", "p_map"]),
    }
