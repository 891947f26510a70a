"""How well every network learns with its default options, and how many parameters each shape has.

    snakemake --cores 2 --configfile benchmarks/learning.yaml --until split
    python benchmarks/learning.py

The first command prepares the data, the second trains each network once a seed, with its spectra and without
labelings, and writes the tables of docs/models.md anew.
"""

import argparse
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow"))
from autospec.jobs import limit_threads

limit_threads(1)

import pandas as pd
from monitor import write

from autospec import configuration, grid
from autospec.data.dataset import read_dataset
from autospec.models import build_model
from autospec.training.listing import list_runs
from autospec.training.runs import train_seeds

PAGE = ROOT / "docs" / "models.md"
SHAPES = ("base", "wide", "deep")


def train(config: dict, run: dict, seeds: list[int]) -> pd.DataFrame:
    """Train one network, once a seed: the rows of the table of runs."""
    prepared = Path(config["output"], "preprocessed", run["dataset"])
    files = {name: str(prepared / f"{name}.{kind}") for name, kind in
             (("data", "parquet"), ("pairs", "tsv"), ("splits", "tsv"))}  # fmt: skip
    settings = {
        "model_options": config["models"][run["model"]],
        "training": config["training"],
        "statistics": grid.recorded(config, run),
        "preparation": {},
    }
    with tempfile.TemporaryDirectory() as folder:
        folders = [f"{folder}/{seed}" for seed in seeds]
        train_seeds(files, run, seeds, settings, folders, f"{folder}/checkpoints", 1)
        return list_runs(f"{path}/run.json" for path in folders)


def learned(config: dict) -> str:
    """The table of what was learned: a row a network, scores of people seen and unseen."""
    lines = [
        "| data | model | task | shape | score | chance | training | test | test by seed | seconds | MB |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for run in grid.runs(config):
        table = train(config, run, list(range(config["seeds"])))
        classify = run["task"] == "classification"
        score = "balanced_accuracy" if classify else "explained_variance"
        chance = table["chance"].iloc[0] if classify else 0.0
        bad = int((table["status"] != "finished").sum())
        lines.append(
            f"| {run['dataset']} | {run['model']} | {run['task']} | {run['shape']} | {score.replace('_', ' ')} | "
            f"{chance:.2f} | {table[f'train_{score}'].mean():.2f} | {table[f'test_{score}'].mean():.2f} | "
            + ", ".join(f"{value:.2f}" for value in table[f"test_{score}"])
            + (f"; {bad} diverged" if bad else "")
            + f" | {table['seconds'].mean():.1f} | {table['memory_mb'].max()} |"
        )
        print(lines[-1], flush=True)
    return "\n".join(lines)


def sizes(config: dict) -> str:
    """The table of parameters, a row a network and task, a column a shape; and how far wide is from deep at most."""
    apart = []
    lines = [f"| data | model | task | {' | '.join(SHAPES)} |", "|---|---|---|---|---|---|"]
    for run in grid.runs(config):
        if run["shape"] != "base" or run["task"] == "masked":
            continue
        dataset = read_dataset(Path(config["output"], "preprocessed", run["dataset"], "data.parquet"))
        classes = dataset.people["target"].nunique() if run["task"] == "classification" else None
        counts = []
        for shape in SHAPES:
            options, sample = config["models"][run["model"]], dataset.values.shape[1:]
            model = build_model(run["model"], options, sample, classes, run["activation"], shape)
            counts.append(sum(weight.numel() for weight in model.parameters()))
        apart.append(abs(counts[1] / counts[2] - 1))
        cells = " | ".join(f"{count:,}" for count in counts)
        lines.append(f"| {run['dataset']} | {run['model']} | {run['task']} | {cells} |")
    return "\n".join([*lines, "", f"Wide has as many parameters as deep to within {max(apart):.1%} in each row."])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--configfile", default=str(ROOT / "benchmarks" / "learning.yaml"))
    parser.add_argument("--page", type=Path, default=PAGE)
    given = parser.parse_args()
    config = configuration.read_configuration(given.configfile)
    write(given.page, {"sizes": sizes(config), "learned": learned(config)})


if __name__ == "__main__":
    main()
