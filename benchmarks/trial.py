"""Try a configuration before its data are there: simulated cohorts in place of real ones, and few seeds.

    python benchmarks/trial.py config/paper.yaml cobre=146 freesurfer=1034 --seeds 2
    snakemake --cores 2 --configfile results/trial/paper.yaml

The first line writes the configuration that the second runs, with networks, epochs, comparisons and labelings as they
were. Of a cohort's options those stay that simulated people can have; how its files are read goes. What comes out says
that it is simulated.
"""

import argparse
import copy
import sys
from pathlib import Path

import library  # noqa: F401
import yaml
from derived import write_configuration

from autospec import configuration
from autospec.errors import InputError

#: A cohort's options that stay.
KEPT = ("source", "parts", "crop", "measures", "parcellation", "head_size", "outliers")
#: What is known of simulated people, besides their group; the rest of `matching` is left out.
KNOWN = {"fmri": {"age", "sex", "site", "motion"}, "freesurfer": {"age", "sex", "site", "head_size"}}


def trial(config: dict, people: dict[str, int], seeds: int, output: Path) -> dict:
    """The configuration with simulated cohorts of so many people, and so many seeds."""
    config = copy.deepcopy(config)
    for name, count in people.items():
        dataset = config["datasets"].get(name, {})
        if dataset.get("source") not in KNOWN:
            wanted = [each for each, entry in config["datasets"].items() if entry["source"] in KNOWN]
            raise InputError(f"{name}={count}: wanted a data set of {' or '.join(KNOWN)}: {', '.join(wanted)}.")
        known, matching = KNOWN[dataset["source"]], dataset.get("matching", {})
        callipers = {key: width for key, width in matching.get("callipers", {}).items() if key in known}
        exact = [key for key in matching.get("exact", []) if key in known]
        config["datasets"][name] = {key: dataset[key] for key in KEPT if key in dataset} | {
            "simulate": {"subjects": count, "seed": 1},
            "participants": {"subject": "participant_id", "group": "diagnosis"},
            "groups": {"control": ["control"], "patient": ["schizophrenia"]},
            "matching": {"exact": exact, "callipers": callipers},
        }
    return config | {"seeds": seeds, "output": str(output / "results")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("configfile")
    parser.add_argument("cohorts", nargs="+", metavar="NAME=PEOPLE", help="data sets to simulate")
    parser.add_argument("--seeds", type=int, default=2, help="trainings of each network (default 2)")
    parser.add_argument("--output", default="results/trial", help="folder (default results/trial)")
    arguments = parser.parse_args()
    try:
        wrong = [given for given in arguments.cohorts if not given.partition("=")[2].isdecimal()]
        if wrong:
            raise InputError(f"{wrong[0]}: wanted NAME=PEOPLE, a data set and how many people, like cobre=146.")
        people = {name: int(count) for name, _, count in (given.partition("=") for given in arguments.cohorts)}
        configuration.read_configuration(arguments.configfile)
        config = yaml.safe_load(Path(arguments.configfile).read_text(encoding="utf-8"))
        made = trial(config, people, arguments.seeds, Path(arguments.output))
        configuration.complete(copy.deepcopy(made))
        path = Path(arguments.output) / Path(arguments.configfile).name
        if path.resolve() == Path(arguments.configfile).resolve():
            raise InputError(f"--output {arguments.output}: {path} is the configuration itself. Choose another folder.")
        write_configuration(made, path)
    except InputError as error:
        sys.exit(f"Error: {error}")
    print(path)


if __name__ == "__main__":
    main()
