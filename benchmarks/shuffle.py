"""Shuffle the labels of real data among the people of each site, for a whole run that has nothing to find.

    python benchmarks/shuffle.py config/abide.yaml --seed 1
    snakemake --cores 2 --configfile data/shuffled/abide.yaml

The first line makes, for every data set whose groups are compared by auto-encoding, a folder under data/shuffled with
links to its files and a participants table of its own; and a configuration that asks those comparisons of it, with
its results in a folder beside those of the true labels. Nothing of the data is copied but that table.
"""

import argparse
import copy
import sys
from pathlib import Path

import library  # noqa: F401
import numpy as np
import pandas as pd
import yaml
from derived import write_configuration

from autospec import configuration, inputs
from autospec.data.participants import DEFAULT_FILE
from autospec.data.text_table import read_text_table
from autospec.errors import InputError
from autospec.tables import atomic_path


def shuffle_labels(table: pd.DataFrame, columns: dict, groups: dict, seed: int) -> pd.DataFrame:
    """Permute the labels among the persons of each site; who is in neither group keeps the label.

    Parameters
    ----------
    table : DataFrame of str
        A row a person, or several where `columns` names their `person`.
    columns : dict
        Of `subject`, `group`, and where there are such `site` and `person`, the table's columns.
    groups : dict
        `groups` of the configuration: each group's values.
    seed : int
    """
    values = [str(value) for each in groups.values() for value in each]
    members = table[table[columns["group"]].isin(values)]
    person = columns.get("person", columns["subject"])
    persons = members.drop_duplicates(person)
    site = persons[columns["site"]] if "site" in columns else pd.Series("", index=persons.index)
    label, random = persons[columns["group"]].to_numpy(copy=True), np.random.default_rng(seed)
    for rows in site.groupby(site).indices.values():
        label[rows] = random.permutation(label[rows])
    drawn = members[person].map(dict(zip(persons[person], label, strict=True)))
    return table.assign(**{columns["group"]: drawn.reindex(table.index).fillna(table[columns["group"]])})


def shuffle_dataset(name: str, dataset: dict, folder: Path, output: Path, seed: int) -> None:
    """Make a folder that is the data set's but for the labels.

    Raises
    ------
    InputError
        If the folder is there already, or the participants table is not.
    """
    if output.exists():
        raise InputError(f"{output}: is there already. Remove it, or choose another --output.")
    columns = {"subject": "participant_id", "group": "diagnosis"} | (dataset.get("participants") or {})
    files = columns.pop("file", DEFAULT_FILE)
    files = [files] if isinstance(files, str) else files
    file = next((file for file in files if (folder / file).exists()), files[0])
    table = read_text_table(folder / file, "a table of participants")
    # As the participants' reader does, without regard to case.
    spelt = {column.lower(): column for column in table}
    wanted = {part: columns[part] for part in ("subject", "group", "site", "person") if part in columns}
    missing = [column for column in wanted.values() if column.lower() not in spelt]
    if missing:
        raise InputError(f"{folder / file}: no column '{missing[0]}', which datasets.{name}.participants names.")
    columns = {part: spelt[column.lower()] for part, column in wanted.items()}
    output.mkdir(parents=True)
    for entry in folder.iterdir():
        if entry.name not in files:
            (output / entry.name).symlink_to(entry.resolve())
    with atomic_path(output / file) as temporary:
        separator = "," if file.endswith(".csv") else "\t"
        shuffle_labels(table, columns, dataset["groups"], seed).to_csv(temporary, sep=separator, index=False)


def shuffled_configuration(config: dict, output: Path) -> dict:
    """The configuration with its comparisons of groups alone, those that auto-encode, on the data under `output`."""
    config = copy.deepcopy(config)
    groups = [
        each for each in config["comparisons"].get("groups", []) if each.get("task", "autoencoding") == "autoencoding"
    ]
    if not groups:
        raise InputError("comparisons.groups: found none that auto-encodes, wanted at least one.")
    used = {each["dataset"] for each in groups}
    config["datasets"] = {name: entry for name, entry in config["datasets"].items() if name in used}
    for name, entry in config["datasets"].items():
        if "path" not in entry:
            raise InputError(f"datasets.{name}: found no `path`, wanted data that are there.")
        entry.pop("download", None)
        entry["path"] = name
    folder = f"{config.get('output', 'results')}_{output.name}"
    return config | {"comparisons": {"groups": groups}, "output": folder, "data_folders": [str(output)]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("configfile", help="a configuration of data that are there")
    parser.add_argument("--seed", type=int, default=1, help="of the shuffle (default 1)")
    parser.add_argument("--output", default="data/shuffled", help="a new folder (default data/shuffled)")
    arguments = parser.parse_args()
    output = Path(arguments.output)
    try:
        complete = configuration.read_configuration(arguments.configfile)
        config = yaml.safe_load(Path(arguments.configfile).read_text(encoding="utf-8"))
        made = shuffled_configuration(config, output)
        configuration.complete(made)
        for name in made["datasets"]:
            dataset = complete["datasets"][name]
            folder = Path(inputs.find_data(name, dataset, complete["data_folders"]))
            shuffle_dataset(name, dataset, folder, output / name, arguments.seed)
        path = output / Path(arguments.configfile).name
        write_configuration(made, path)
    except InputError as error:
        sys.exit(f"Error: {error}")
    print(path)


if __name__ == "__main__":
    main()
