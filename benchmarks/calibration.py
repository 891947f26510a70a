"""How often the tests of groups reject where there is nothing to find, and where there is something.

    python benchmarks/calibration.py --cores 2
    python benchmarks/calibration.py --only mlp-equal mlp-age --replicates 20

Each replicate is a cohort of its own: labels are drawn among all people, people are paired, split,
trained on and tested by the pipeline's own functions, with the default configuration but for what a
setting says. (Drawing labelings of one trained run and calling one of them the truth would prove
nothing: their ranks are uniform by construction.) A replicate is written as soon as it is done, so
that a killed run goes on where it was. On real data:

    snakemake --cores 2 --configfile config/abide.yaml --until split
    python benchmarks/calibration.py --configfile config/abide.yaml --replicates 20

For each group comparison of the configuration that auto-encodes: replicate 0 has the true labels, the
others shuffle them among the people of each site. `--write` brings docs/calibration.* up to date with all that
was measured; a setting that stands there on more cohorts stays as it is, beside the code that made it.
"""

import argparse
import dataclasses
import hashlib
import json
import logging
import platform
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow"))
from autospec.jobs import limit_threads

limit_threads(1)

from cohorts import SETTINGS, Setting, draw

from autospec import __version__, configuration, grid, inputs
from autospec.data.dataset import write_dataset
from autospec.data.pairing import draw_swaps, pair_people, paired_values
from autospec.data.splits import split_pairs
from autospec.errors import InputError
from autospec.imports import library_files
from autospec.statistics.stability import stability_over_trainings
from autospec.statistics.swaps import compare_groups
from autospec.statistics.yardsticks import compare_inputs
from autospec.tables import read_json, write_json, write_tsv
from autospec.training.runs import train_seeds

#: What is trained and tested is what these import.
_STAND_ON = (
    *("data/simulate_fmri", "data/simulate_freesurfer", "data/splits", "training/runs"),
    *("statistics/swaps", "statistics/stability", "statistics/yardsticks"),
)


def measure(setting: Setting, replicate: int) -> dict:
    """Draw, pair, split, train and test one cohort.

    Returns
    -------
    dict
        `values`: test -> what is compared with alpha (p; of tests of many cells the smallest q; the keys
        are those of `rates.TESTS`); `layers`: rows of statistic, layer, p, q, effect; `pairs`; `age_gap`, the
        standardised mean difference within pairs, where age is known; `stable`, `stable_corrected`: the shares of
        cells that the tests across seeds call significant; `seconds`.
    """
    begun = time.perf_counter()
    config = configuration.read_configuration(ROOT / "config" / "config.yaml")
    options = {part: config[part] | setting.options.get(part, {}) for part in ("training", "statistics")}
    options["model"] = config["models"].get(setting.model, {}) | setting.options.get("model", {})
    statistics = options["statistics"] | {"labelings": setting.labelings, "labelings_seed": replicate}
    level = {name: statistics[name] for name in ("alpha", "correction")}
    seeds = list(range(setting.seeds))

    dataset = draw(setting.cohort, replicate)
    pairs, balance = pair_people(dataset, **setting.matching)
    splits = split_pairs(pairs, dataset.people, seeds, options["training"]["test_share"])
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        files = {"data": folder / "data.parquet", "pairs": folder / "pairs.tsv", "splits": folder / "splits.tsv"}
        write_dataset(dataset, files["data"])
        write_tsv(pairs, files["pairs"])
        write_tsv(splits, files["splits"])
        activation = grid.ACTIVATIONS.get(setting.model, "none")
        identity = {"dataset": dataset.name, "model": setting.model, "task": "autoencoding"}
        identity |= {"activation": activation, "shape": "base"}
        settings = {
            "model_options": options["model"],
            "training": options["training"],
            "statistics": {name: statistics[name] for name in grid.RECORDED},
            "preparation": setting.options.get("preparation", {}),
        }
        folders = [str(folder / f"seed-{seed}") for seed in seeds]
        train_seeds(
            {name: str(path) for name, path in files.items()}, identity, seeds, settings, folders,
            str(folder / "checkpoints"), 1,
        )  # fmt: skip
        records = {Path(path): read_json(Path(path) / "run.json") for path in folders}
        cells, layers, overall = compare_groups(records, **level)
        stability = stability_over_trainings(records, statistics["indices"], **level)
    swaps = draw_swaps(pairs, setting.labelings, replicate)
    yardsticks = compare_inputs(*paired_values(dataset, pairs), swaps).set_index("name")["p"]
    gaps = balance[balance["stage"] == "after"].set_index("variable")["smd"]
    return {
        "values": {
            "spectra": overall["spectra"]["p"],
            **{name: part["p"] for name, part in overall["statistics"].items()},
            "all": overall["p"],
            "any_cell": cells["q"].min(),
            **yardsticks.to_dict(),
            "across_seeds": stability["q"].min(),
            "across_seeds_corrected": stability["q_corrected"].min(),
        },
        "layers": layers[["statistic", "layer", "p", "q", "effect"]].to_dict("records"),
        "pairs": int(pairs["match"].nunique()),
        "age_gap": float(gaps["age"]) if "age" in gaps else None,
        "stable": float((stability["q"] <= level["alpha"]).mean()),
        "stable_corrected": float((stability["q_corrected"] <= level["alpha"]).mean()),
        "seconds": round(time.perf_counter() - begun, 2),
    }


def real_settings(path: str, replicates: int | None) -> list[Setting]:
    """A setting for each group comparison of a configuration that auto-encodes."""
    config = configuration.read_configuration(path)
    settings = []
    for comparison in map(grid.run_of, config["comparisons"]["groups"]):
        if comparison["task"] != "autoencoding":
            continue
        name, model = comparison["dataset"], comparison["model"]
        entry = config["datasets"][name]
        matching = entry.get("matching", {})
        settings.append(
            Setting(
                f"{name}-{model}",
                "real",
                "labels shuffled within site",
                {"path": str(Path(config["output"]) / "preprocessed" / name / "data.parquet")},
                {key: matching.get(key, default) for key, default in (("exact", []), ("callipers", {}))},
                model,
                20 if replicates is None else replicates,
                seeds=config["seeds"],
                options={
                    "model": config["models"][model],
                    **{part: config[part] for part in ("training", "statistics")},
                    "preparation": {key: entry[key] for key in inputs.PREPARATION if key in entry},
                },
            )
        )
    return settings


def made_by(setting: Setting) -> dict:
    """All that decides a setting's results but the number of replicates; as JSON has it."""
    code = hashlib.sha256()
    here = Path(__file__).with_name("cohorts.py")
    for file in [*library_files(ROOT / "workflow", *(f"autospec/{name}.py" for name in _STAND_ON)), here]:
        code.update(Path(file).read_bytes())
    packages = ("torch", "numpy", "pandas", "scipy", "scikit-learn")
    versions = {"autospec": __version__, "python": platform.python_version(), "machine": platform.machine()}
    versions |= {name: version(name) for name in packages}
    config = configuration.read_configuration(ROOT / "config" / "config.yaml")
    default = {part: config[part] for part in ("training", "statistics", "models")}
    record = dataclasses.asdict(setting) | {"code": code.hexdigest()[:16], "versions": versions, "default": default}
    del record["replicates"]
    return json.loads(json.dumps(record))


def run(setting: Setting, replicate: int, folder: Path) -> None:
    """Measure one replicate and write it."""
    logging.disable(logging.WARNING)
    write_json(measure(setting, replicate), folder / f"{replicate:04d}.json")


def waiting(settings: list[Setting], output: Path) -> list[tuple[Setting, int, Path]]:
    """What is not measured yet: setting, replicate and folder.

    Raises
    ------
    InputError
        A folder holds what other settings or another state of the code have measured.
    """
    left = []
    for setting in settings:
        folder, record = output / setting.name, made_by(setting)
        if (folder / "setting.json").exists() and read_json(folder / "setting.json") != record:
            raise InputError(
                f"{folder}: was measured with other settings, versions or code, and cannot be gone on with. Remove it, "
                "or choose another --output."
            )
        write_json(record, folder / "setting.json")
        first = 0 if setting.question == "real" else 1
        wanted = range(first, setting.replicates + 1)
        left += [(setting, each, folder) for each in wanted if not (folder / f"{each:04d}.json").exists()]
    return left


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--configfile", help="real data: a configuration whose data sets are preprocessed")
    parser.add_argument("--only", nargs="+", help="names of settings")
    parser.add_argument("--replicates", type=int, help="of each setting, in place of its own number")
    parser.add_argument("--cores", type=int, default=1, help="processes (default 1)")
    parser.add_argument("--output", default="results/calibration", help="folder of the results")
    parser.add_argument("--write", action="store_true", help="write docs/calibration.* from all that is measured")
    arguments = parser.parse_args()
    try:
        settings = real_settings(arguments.configfile, arguments.replicates) if arguments.configfile else SETTINGS
        unknown = set(arguments.only or ()) - {setting.name for setting in settings}
        if unknown:
            raise InputError(
                f"--only: found {', '.join(sorted(unknown))}, wanted some of "
                f"{', '.join(setting.name for setting in settings)}."
            )
        settings = [setting for setting in settings if not arguments.only or setting.name in arguments.only]
        if arguments.replicates is not None:
            settings = [dataclasses.replace(setting, replicates=arguments.replicates) for setting in settings]
        # In turn, so that a run that is stopped has measured every setting on as many cohorts.
        jobs = sorted(waiting(settings, Path(arguments.output)), key=lambda job: job[1])
        begun = time.perf_counter()
        with ProcessPoolExecutor(arguments.cores) as pool:
            running = {pool.submit(run, *job): job[0] for job in jobs}
            try:
                for done, future in enumerate(as_completed(running), start=1):
                    future.result()
                    left = (time.perf_counter() - begun) / done * (len(jobs) - done)
                    print(f"{done} of {len(jobs)}: {running[future].name} ({left:.0f} s left)", flush=True)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        import rates

        table = rates.summarise(Path(arguments.output))
        write_tsv(table, Path(arguments.output) / "calibration.tsv")
        print(f"{arguments.output}/calibration.tsv")
        if arguments.write:
            rates.write_page(table, ROOT / "docs")
    except InputError as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()
