"""What a configuration will cost, measured on this machine: ``python -m autospec.estimate --configfile FILE``.

Each network is trained for two short epochs of random numbers in the form of its data, one of a single batch and
one of four; a line through the two gives the cost of a real epoch. What the labelings take is measured apart. Data
that are prepared or described by the configuration have their true form; of others what it leaves open (people; time
points and components, where no crop, windows or maps tell them) is assumed, and so the table says. Preprocessing,
statistics and figures are not counted; they take minutes.
"""

import argparse
import contextlib
import logging
import sys
import tempfile
import time
from pathlib import Path

from autospec import configuration, grid, inputs
from autospec.errors import InputError
from autospec.jobs import limit_threads
from autospec.text import counted

#: What is assumed of data that are nowhere yet: people, and the form of one (features, or time and components).
ASSUMED = {
    "freesurfer": (1000, (200,)),
    "freesurfer_tables": (1000, (200,)),
    "fmri": (150, (150, 53)),
    "timecourses": (150, (150, 100)),
}
#: The form of one simulated person: 68 subcortical volumes and regions times two measures; 120 volumes.
SIMULATED = {"freesurfer": (175,), "fmri": (120, 20)}
#: How many components public maps have, by the name of the file; others are counted where the file is there.
MAPS = {
    "PNAS_Smith09_rsn10.nii.gz": 10, "rsn20.nii.gz": 20, "rsn70.nii.gz": 70, "msdl_rois.nii": 39, "difumo64.nii.gz": 64,
}  # fmt: skip
_CLASSES = {"digits": 10, "mnist": 10, "sinusoid": 4}
_IMAGES = {"digits": (1797, (1, 8, 8)), "mnist": (70000, (1, 28, 28))}
# Importing torch, reading the data and copying the results, once a job.
_SECONDS_A_JOB = 6.0
_BATCHES = (1, 4)


def form(config: dict, name: str) -> tuple[int, tuple[int, ...], str]:
    """People, the form of one, and where that is known from: `prepared`, `configured` or `assumed`."""
    dataset = config["datasets"][name]
    source = dataset["source"]
    folder = Path(config["output"], "preprocessed", name)
    if (folder / "data.parquet").exists() and (folder / "pairs.tsv").exists():
        from autospec.data.dataset import read_dataset
        from autospec.tables import read_tsv

        # What an earlier version prepared is prepared again before anything is trained.
        with contextlib.suppress(InputError):
            shape = read_dataset(folder / "data.parquet").values.shape[1:]
            return len(read_tsv(folder / "pairs.tsv")), shape, "prepared"
    if source == "sinusoid":
        return dataset["series"], (dataset["length"], 1), "configured"
    if source in _IMAGES:
        people, sample = _IMAGES[source]
        return min(dataset.get("limit", people), people), sample, "configured"
    if "simulate" in dataset:
        people, sample, known_from = dataset["simulate"]["subjects"], SIMULATED[source], "configured"
    else:
        people, sample = ASSUMED.get(source, ASSUMED["timecourses"])
        known_from = "assumed"
    if len(sample) == 1:
        return people, sample, known_from
    time, components = sample
    time = dataset.get("crop") or dataset.get("volumes") or time
    if windows := dataset.get("windows"):
        people *= max(1, 1 + (time - windows["length"]) // windows["stride"])
        time = windows["length"]
    return people, (time, _components(config, name) or components), known_from


def _components(config: dict, name: str) -> int | None:
    """How many components the configuration, or the file that it names, says there are; None if neither does."""
    dataset = config["datasets"][name]
    if "ica" in dataset:
        return dataset["ica"]["components"]
    of_maps = "maps" in dataset and "atlas" not in dataset and "simulate" not in dataset
    if of_maps and Path(dataset["maps"]).name in MAPS:
        return MAPS[Path(dataset["maps"]).name]
    with contextlib.suppress(InputError, OSError):
        folder = Path(inputs.find_data(name, dataset, config["data_folders"]) or "")
        if "component_list" in dataset:
            return len((folder / dataset["component_list"]).read_text().split())
        if of_maps:
            import nibabel as nib

            return nib.load(folder / dataset["maps"]).shape[3]
    return None


def measure(config: dict, run: dict, people: int, sample: tuple[int, ...]) -> dict:
    """The cost of one seed of a run.

    Returns
    -------
    dict
        `parameters`; `seconds`, and those of them for `spectra` and `labelings`; `bytes` of its tables.
    """
    import torch

    from autospec.training.runs import choose_device

    torch.set_num_threads(1)
    statistics = grid.recorded(config, run)
    settings = run | {
        "seed": 0,
        "model_options": config["models"][run["model"]],
        "training": config["training"] | {"epochs": 2},
        "statistics": statistics,
    }
    batch, training = settings["model_options"]["batch"], config["training"]
    classes = _CLASSES.get(config["datasets"][run["dataset"]]["source"], 2)
    device = choose_device(training["device"])
    short, long = (_epoch(settings, count * batch, sample, classes, device) for count in _BATCHES)
    train = max(batch, round(people * (1 - training["test_share"])))
    steps, epochs = -(-train // batch), training["epochs"]
    labeled = -(-steps * epochs // statistics["labelings_every"])

    def at(part: str) -> float:
        each = max(0.0, long[part] - short[part]) / (_BATCHES[1] - 1)
        return epochs * (short[part] + each * (steps - 1))

    # One labeled step in each epoch that has any, then the further ones; the short epoch had one, the long one two.
    once = min(epochs, labeled)
    labelings = once * short["labelings"] + (labeled - once) * max(0.0, long["labelings"] - short["labelings"])
    spectra = at("spectra")
    return {
        "parameters": long["parameters"],
        "seconds": labelings + spectra + at("rest"),
        "spectra": spectra,
        "labelings": labelings,
        "bytes": epochs * long["bytes"] + once * long["labeling_bytes"],
    }


def _epoch(settings: dict, people: int, sample: tuple[int, ...], classes: int, device) -> dict:
    """The second epoch of a run on `people` simulated people, and a quarter as many to test on."""
    import numpy as np

    from autospec.tables import write_parquet
    from autospec.training.loop import Run
    from autospec.training.prepare import Prepared

    generator = np.random.default_rng(0)
    numbers = {"train": people, "test": 2 * max(1, people // 8)}
    prepared = Prepared(
        values={part: generator.normal(size=(n, *sample)).astype(np.float32) for part, n in numbers.items()},
        targets={part: np.arange(n) % classes for part, n in numbers.items()},
        is_other={part: np.arange(n) % 2 == 1 for part, n in numbers.items()},
        pairs=np.arange(people // 2),
        classes=[str(number) for number in range(classes)],
        labels_used=False,
    )
    labelings = settings["statistics"]["labelings"]
    swaps = generator.random((labelings, people // 2)) < 0.5 if labelings else None
    # One step with labelings in a single batch, two in four.
    every = max(1, people // settings["model_options"]["batch"] // 2)
    settings = settings | {"statistics": settings["statistics"] | {"labelings_every": every}}
    run = Run(prepared, ("reference", "other"), swaps, settings, device)
    run.train_epoch()
    before, begun = dict(run.monitor.seconds), time.perf_counter()
    run.train_epoch()
    seconds = time.perf_counter() - begun
    spent = {part: run.monitor.seconds[part] - before[part] for part in ("spectra", "labelings")}
    size = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, table in (("bytes", run.monitor.table()), ("labeling_bytes", run.monitor.labeling_table())):
            write_parquet(table, Path(folder, name))
            size[name] = Path(folder, name).stat().st_size / run.epoch
    run.monitor.close()
    parameters = sum(weight.numel() for weight in run.model.parameters())
    return spent | size | {"rest": seconds - sum(spent.values()), "parameters": parameters}


def main(arguments: list[str] | None = None) -> None:
    """Print what each run and all of them together will take."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--configfile", default="config/config.yaml")
    parser.add_argument("--cores", type=int, default=1, help="jobs at a time")
    given = parser.parse_args(arguments)
    # A training's log says what of its network is not observed; here every line would come twice a network.
    logging.getLogger("autospec").addHandler(logging.NullHandler())
    try:
        config = configuration.read_configuration(given.configfile)
        _report(config, given.cores)
    except InputError as error:
        sys.exit(f"Error: {error}")


def _report(config: dict, cores: int) -> None:
    # The activation does not change the cost.
    known: dict[tuple, dict] = {}
    seconds, size, seeds = 0.0, 0.0, config["seeds"]
    print(f"{'run':78} {'data':>10} {'parameters':>10} {'s a seed':>9} {'spectra':>8} {'labelings':>9} {'MB':>7}")
    runs = grid.runs(config)
    for run in runs:
        people, sample, known_from = form(config, run["dataset"])
        recorded = grid.recorded(config, run)["labelings"]
        key = (*(run[part] for part in ("dataset", "model", "task", "shape")), recorded)
        if key not in known:
            known[key] = measure(config, run, people, sample)
        cost = known[key]
        share = {part: cost[part] / cost["seconds"] for part in ("spectra", "labelings")}
        print(
            f"{grid.run_name(run):78} {known_from:>10} {cost['parameters']:10,} {cost['seconds']:9.1f} "
            f"{share['spectra']:8.0%} {share['labelings']:9.0%} {cost['bytes'] / 1e6:7.2f}",
            flush=True,
        )
        seconds += seeds * cost["seconds"] + _SECONDS_A_JOB
        size += seeds * cost["bytes"]
    print(
        f"{len(runs)} networks, {seeds} seeds, {config['training']['epochs']} epochs: {seconds / 3600:.2f} hours of "
        f"training on one core, {seconds / 3600 / cores:.2f} on {counted(cores, 'job')} at a time; "
        f"{2 * size / 1e9:.2f} GB of tables, with the copies that the checkpoints keep."
    )


if __name__ == "__main__":
    limit_threads(1)
    main()
