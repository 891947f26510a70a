"""What the tests say when there is nothing to find: labels shuffled among people, everything done anew.

    python benchmarks/shuffled.py --configfile config/abide.yaml --shuffles 10

For each group comparison of the configuration that auto-encodes: the group labels are shuffled
among people of one site (before pairing), people are paired, split, trained on and tested again,
by the swap test and by the test across seeds. Shuffle 0 is the truth. Drawing labelings of one
trained run and calling one of them the truth would prove nothing: their ranks are uniform by
construction. Needs the preprocessed data of the configuration (run the workflow first).
"""

import argparse
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow"))
from autospec.jobs import limit_threads

limit_threads(1)

import dataclasses

import numpy as np
import pandas as pd
import yaml

from autospec import configuration, grid, inputs
from autospec.data.dataset import read_dataset, write_dataset
from autospec.data.pairing import pair_people
from autospec.data.splits import split_pairs
from autospec.statistics.stability import stability_over_trainings
from autospec.statistics.swaps import compare_groups
from autospec.tables import read_json, write_tsv
from autospec.training.runs import train_seeds


def shuffle_labels(people: pd.DataFrame, shuffle: int) -> pd.DataFrame:
    """People with the group (and a target that is the group) permuted within each site; 0 is the truth."""
    if shuffle == 0:
        return people
    generator = np.random.default_rng(shuffle)
    site = people["site"] if "site" in people else pd.Series("", index=people.index)
    order = np.arange(len(people))
    for rows in site.groupby(site).indices.values():
        order[rows] = generator.permutation(rows)
    return people.assign(group=people["group"].to_numpy()[order], target=people["target"].to_numpy()[order])


def analyse(config: dict, comparison: dict, shuffle: int) -> dict:
    """Pair, split, train and test one shuffle; one row of the table."""
    begun = time.perf_counter()
    name, model = comparison["dataset"], comparison["model"]
    options, seeds = config["datasets"][name], list(range(config["seeds"]))
    dataset = read_dataset(Path(config["output"]) / "preprocessed" / name / "data.parquet")
    dataset = dataclasses.replace(dataset, people=shuffle_labels(dataset.people, shuffle))
    matching = options.get("matching", {})
    pairs, _ = pair_people(dataset, matching.get("exact", []), matching.get("callipers", {}))
    splits = split_pairs(pairs, dataset.people, seeds, config["training"]["test_share"])
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        write_dataset(dataset, folder / "data.parquet")
        write_tsv(pairs, folder / "pairs.tsv")
        write_tsv(splits, folder / "splits.tsv")
        files = {part: str(next(folder.glob(f"{part}.*"))) for part in ("data", "pairs", "splits")}
        identity = {field: comparison[field] for field in ("dataset", "model", "task", "activation", "shape")}
        settings = {
            "model_options": config["models"][model],
            "training": config["training"],
            "statistics": {
                key: config["statistics"][key] for key in ("labelings", "labelings_seed", "labelings_every", "indices")
            },
            "preparation": {name: options[name] for name in inputs.PREPARATION if name in options},
        }
        folders = [str(folder / f"seed-{seed}") for seed in seeds]
        train_seeds(files, identity, seeds, settings, folders, str(folder / "checkpoints"), 1)
        records = {Path(path): read_json(Path(path) / "run.json") for path in folders}
        level = {key: config["statistics"][key] for key in ("alpha", "correction")}
        cells, _, overall = compare_groups(records, **level)
        stability = stability_over_trainings(records, config["statistics"]["indices"], **level)
    alpha = config["statistics"]["alpha"]
    return {
        "dataset": name,
        "model": model,
        "labels": "true" if shuffle == 0 else f"shuffled {shuffle}",
        "pairs": int(pairs["pair"].nunique()),
        "labelings": overall["labelings"],
        "p_spectra": overall["spectra"]["p"],
        **{f"p_{key}": value["p"] for key, value in overall["statistics"].items()},
        "cells_significant": float(cells["significant"].mean()),
        "across_seeds_significant": float((stability["q"] <= alpha).mean()),
        "across_seeds_corrected_significant": float((stability["q_corrected"] <= alpha).mean()),
        "seconds": round(time.perf_counter() - begun, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--configfile", default="config/config.yaml")
    parser.add_argument("--shuffles", type=int, default=10)
    parser.add_argument("--labelings", type=int, default=200, help="labelings of each test (default 200)")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--output", help="TSV to write; by default `<output>/shuffled.tsv`")
    arguments = parser.parse_args()
    config = configuration.complete(yaml.safe_load(Path(arguments.configfile).read_text(encoding="utf-8")))
    config["statistics"]["labelings"] = arguments.labelings
    comparisons = [grid.run_of(entry) for entry in config["comparisons"]["groups"]]
    jobs = [
        (config, comparison, shuffle)
        for comparison in comparisons
        if comparison["task"] == "autoencoding"
        for shuffle in range(arguments.shuffles + 1)
    ]
    rows, begun = [], time.perf_counter()
    with ProcessPoolExecutor(arguments.processes) as pool:
        for row in pool.map(analyse, *zip(*jobs, strict=True)):
            rows.append(row)
            left = (time.perf_counter() - begun) / len(rows) * (len(jobs) - len(rows))
            print(f"{row['dataset']}, {row['labels']}: p = {row['p_spectra']:.3f} ({left:.0f} s left)", flush=True)
    table = pd.DataFrame(rows)
    write_tsv(table, arguments.output or Path(config["output"]) / "shuffled.tsv")
    print(table.to_string(index=False, float_format=lambda value: f"{value:.3f}"))


if __name__ == "__main__":
    main()
