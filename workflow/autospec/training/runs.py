"""All seeds of one configuration, one after another in one process."""

import hashlib
import logging
import os
import platform
import resource
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from autospec import __version__
from autospec.data.dataset import Dataset, read_dataset
from autospec.data.pairing import draw_swaps
from autospec.errors import InputError
from autospec.tables import read_tsv, write_json, write_parquet
from autospec.training.checkpoints import copy_result, load_state, locked_folder, remove_partial, run_key, save_state
from autospec.training.loop import Run, seed_of
from autospec.training.prepare import prepare

logger = logging.getLogger(__name__)

_SECONDS_BETWEEN_CHECKPOINTS = 10.0
_MOST_FOR_LABELINGS = 0.5
_FILES = ("spectra.parquet", "labelings.parquet", "directions.parquet", "metrics.parquet", "run.json")


def train_seeds(
    files: dict[str, str],
    identity: dict[str, str],
    seeds: list[int],
    settings: dict,
    folders: list[str],
    checkpoints: str,
    threads: int,
) -> None:
    """Train every seed that is not trained yet, and put each one's tables in its folder.

    Parameters
    ----------
    files : dict
        Paths of `data`, `pairs` and `splits`.
    identity : dict
        dataset, model, task, activation, shape.
    seeds : list of int
    settings : dict
        model_options, training, statistics, preparation.
    folders : list of str
        Where each seed's spectra.parquet, labelings.parquet, directions.parquet, metrics.parquet and run.json go.
    checkpoints : str
        Folder of the states and results of unfinished jobs.
    threads : int
        Threads that torch may use.

    Raises
    ------
    InputError
        If an input cannot be read, or a seed has no split.
    """
    # What cuBLAS needs to give the same bytes twice; read when a GPU is first used.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    torch.use_deterministic_algorithms(True)
    device = choose_device(settings["training"]["device"])
    dataset = read_dataset(files["data"])
    pairs, splits = read_tsv(files["pairs"], dtype={"subject": str}), read_tsv(files["splits"])
    checksums = {name: _sha256(path) for name, path in files.items() if name != "splits"}
    statistics = settings["statistics"]
    swaps = None
    if statistics["labelings"]:
        swaps = draw_swaps(pairs, statistics["labelings"], statistics["labelings_seed"])
    for seed, folder in zip(seeds, folders, strict=True):
        drawn = seed_of(settings | {"seed": seed}, "split")
        split = splits[splits["seed"] == drawn]
        if split.empty:
            raise InputError(f"{files['splits']}: no split for seed {drawn}. Run the rule that makes it again.")
        inputs = checksums | {"split": hashlib.sha256(split.to_csv(index=False).encode()).hexdigest()}
        key = run_key(identity | settings | {"seed": seed, "device": device.type}, inputs)
        with locked_folder(checkpoints, key) as store:
            for place in (store, Path(folder)):
                remove_partial(place)
            if all((store / name).exists() for name in _FILES):
                logger.info("seed %d: already trained", seed)
            else:
                run_settings = identity | settings | {"seed": seed}
                record = {"inputs": inputs, "threads": threads}
                _train_one(dataset, pairs, split, swaps, run_settings, record, device, store)
            for name in _FILES:
                copy_result(store / name, Path(folder) / name)


def choose_device(wanted: str) -> torch.device:
    """The device named in the configuration; `auto` is a GPU where there is one.

    Raises
    ------
    InputError
        If a GPU is asked for and there is none.
    """
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if wanted == "cuda" and not torch.cuda.is_available():
        raise InputError("configuration, training.device: found 'cuda', but torch sees no GPU here. Use 'auto'.")
    return torch.device(wanted)


def _train_one(
    dataset: Dataset, pairs: pd.DataFrame, split: pd.DataFrame, swaps: np.ndarray | None,
    settings, record, device, store,
) -> None:
    prepared = prepare(dataset, pairs, split, **settings["preparation"])
    run = Run(prepared, dataset.groups, swaps, settings, device)
    state = load_state(store)
    if state is not None:
        run.load_state_dict(state)
        logger.info("seed %d: going on after epoch %d", settings["seed"], run.epoch)
    begun, done, saved = time.perf_counter(), run.epoch, time.perf_counter()
    epochs = settings["training"]["epochs"]
    while not run.finished:
        run.train_epoch()
        each = (time.perf_counter() - begun) / (run.epoch - done)
        logger.info(
            "seed %d, epoch %d of %d: training loss %.4g, test loss %.4g, %.0f s left for this seed",
            settings["seed"],
            run.epoch,
            epochs,
            run.last("loss", "train"),
            run.last("loss"),
            each * (epochs - run.epoch),
        )
        if time.perf_counter() - saved > _SECONDS_BETWEEN_CHECKPOINTS:
            save_state(run.state_dict(), store)
            saved = time.perf_counter()
    if run.diverged:
        logger.warning("seed %d diverged in epoch %d", settings["seed"], run.epoch)
    elif not run.learned:
        logger.warning(
            "seed %d learned nothing: on its own training people it ends no better than guessing. More `epochs`, "
            "another `learning_rate` or a smaller `batch` may help",
            settings["seed"],
        )
    labelings = run.monitor.seconds["labelings"]
    if labelings > _MOST_FOR_LABELINGS * run.seconds:
        logger.warning(
            "seed %d: labelings took %.0f %% of the time; a larger `labelings_every` (now %d) or fewer `labelings` "
            "(now %d) take less",
            *(settings["seed"], 100 * labelings / run.seconds, settings["statistics"]["labelings_every"]),
            settings["statistics"]["labelings"],
        )
    write_parquet(run.monitor.table(), store / "spectra.parquet")
    write_parquet(run.monitor.labeling_table(), store / "labelings.parquet")
    write_parquet(run.monitor.direction_table(), store / "directions.parquet")
    write_parquet(run.metrics_table(), store / "metrics.parquet")
    # Written last: a folder with its record is a finished run.
    write_json(_record(run, dataset, prepared, settings, device) | record, store / "run.json")
    (store / "state.pt").unlink(missing_ok=True)
    run.monitor.close()


def _record(run: Run, dataset: Dataset, prepared, settings, device) -> dict:
    identity = {name: settings[name] for name in ("dataset", "model", "task", "activation", "shape", "seed")}
    counts = {
        part: {group: int((mask == position).sum()) for position, group in enumerate(dataset.groups)}
        for part, mask in prepared.is_other.items()
    }
    return identity | {
        "status": "diverged" if run.diverged else "finished",
        "learned": run.learned,
        "groups": list(dataset.groups),
        "labels_used": run.task == "classification" and prepared.labels_used,
        "simulated": dataset.simulated,
        "description": dataset.description,
        "n": counts,
        "epochs": run.epoch,
        "parameters": sum(weight.numel() for weight in run.model.parameters()),
        "classes": prepared.classes,
        "left_out": {"features": prepared.features_left_out, "pairs": prepared.pairs_left_out},
        "versions": _versions(),
        "device": torch.cuda.get_device_name() if device.type == "cuda" else platform.machine(),
        "options": {name: settings[name] for name in ("model_options", "training", "statistics", "preparation")},
        "measured": {
            "wall_seconds": round(run.seconds, 3),
            "spectra_seconds": round(run.monitor.seconds["spectra"], 3),
            # Directions are recorded where labelings are; neither is what the spectra themselves cost.
            "labelings_seconds": round(run.monitor.seconds["labelings"] + run.monitor.seconds["directions"], 3),
            "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            "cores": os.cpu_count(),
        },
    }


def _versions() -> dict[str, str]:
    packages = ("torch", "numpy", "pandas", "pyarrow", "scikit-learn")
    return {"autospec": __version__, "python": platform.python_version()} | {name: version(name) for name in packages}


def _sha256(path: str | Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
