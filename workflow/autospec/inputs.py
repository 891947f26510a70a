"""The data that a configuration names: where they lie, which files count, and which options decide what is read."""

import glob
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from autospec.errors import InputError
from autospec.schema import read_schema

#: What a download leaves in the folder beside the data: its log from the beginning, the list of files at the end.
DOWNLOAD_LOG, DOWNLOADED = "download.log", "downloaded.tsv"
#: What is done to time courses after they are taken from scans.
CLEANING = ("high_pass", "low_pass", "detrend", "standardise", "crop", "constant_components", "windows")
#: Options of a data set that are applied to each split, on its training people.
PREPARATION = ("residualise", "harmonise", "outliers")
#: What harmonising needs to know of everyone.
HARMONISED_BY = ("site", "age", "sex")


def find_data(name: str, dataset: dict, folders: Iterable[str]) -> str | None:
    """Find the folder of a data set: in one of `folders`, in their order, or at `path` as given.

    Returns
    -------
    str or None
        The folder; for a data set that is nowhere but can be downloaded, the one where it will be; None for
        a data set that has no `path`.

    Raises
    ------
    InputError
        If it is nowhere, saying what to get, from where, and where to put it.
    """
    if "path" not in dataset:
        return None
    path = Path(dataset["path"])
    places = [path] if path.is_absolute() else [*(Path(folder) / path for folder in folders), path]
    for place in places:
        if place.is_dir() and not ("download" in dataset and _to_download(place)):
            return str(place)
    if "download" in dataset:
        return str(places[0])
    tried = ", ".join(str(place) for place in places)
    where = dataset.get("where") or read_schema()["$defs"][dataset["source"]]["description"]
    raise InputError(
        f"datasets.{name}.path: found no folder '{dataset['path']}' (looked for {tried}). What to get: {where.strip()} "
        f"Put it in {places[0]}, or name the folder that holds it under `data_folders`."
    )


def downloads(dataset: dict, folder: str | None) -> bool:
    """Whether the data of a data set are, or will be, in its folder by a download of ours."""
    if "download" not in dataset:
        return False
    return _to_download(Path(folder)) or Path(folder, DOWNLOADED).exists()


def _to_download(folder: Path) -> bool:
    """Whether a folder holds nothing, or a download that has not come to its end."""
    if not folder.is_dir() or not any(folder.iterdir()):
        return True
    return (folder / DOWNLOAD_LOG).exists() and not (folder / DOWNLOADED).exists()


def data_files(dataset: dict, folder: str | None) -> list[str]:
    """List the files of a data set that are there.

    What is missing is told by the reader, which knows what each file is for.
    """
    if folder is None:
        return []
    parcellation = dataset.get("parcellation", "aparc")
    patterns = {
        "mnist": ["*-ubyte*"],
        "freesurfer": [f"*/stats/{name}.stats" for name in ("aseg", f"?h.{parcellation}", f"?h.{parcellation}40")],
        "freesurfer_tables": dataset.get("tables", []),
        "fmri": [
            *(dataset.get(name) for name in ("maps", "atlas", "bold", "confounds")),
            *(_beside(dataset.get(name), ".tsv") for name in ("maps", "atlas")),
            *_sidecars(dataset.get("bold")),
            *(dataset.get("ica", {}).get(name) for name in ("scans", "mask")),
        ],
        "timecourses": [dataset.get(name) for name in ("files", "component_list")],
        "timecourse_array": [dataset.get(name) for name in ("array", "component_list", "labels", "subjects")],
    }[dataset["source"]]
    paths = [
        path
        for pattern in patterns
        if pattern
        for path in glob.glob(os.path.join(glob.escape(folder), pattern.replace("{subject}", "*")))
        if os.path.isfile(path)
    ]
    return sorted({*paths, *participants_file(dataset, folder)})


def _beside(image: str | None, suffix: str) -> str:
    """The name of an image's companion, the names of its maps."""
    return image.removesuffix(".gz").removesuffix(".nii") + suffix if image else ""


def _sidecars(scans: str | None) -> list[str]:
    """Where the JSON sidecars of scans may lie: in every folder from the data set's down to the scans'."""
    return [str(folder / "*.json") for folder in Path(scans).parents] if scans else []


def participants_file(dataset: dict, folder: str | None) -> list[str]:
    """The participants table of a data set, the first that is there of those named; none if none is."""
    names = dataset.get("participants", {}).get("file", [])
    names = [names] if isinstance(names, str) else names
    paths = [] if folder is None else [Path(folder) / name for name in names]
    return [str(path) for path in paths if path.is_file()][:1]


def fingerprint(dataset: dict, folder: str | None) -> str:
    """A text that changes when a file of the data set comes, goes or changes: from names, sizes and times.

    The files themselves would do the same as inputs of a rule, but Snakemake names every input in each message,
    and the paths name people.
    """
    digest = hashlib.sha256()
    for path in data_files(dataset, folder):
        status = os.stat(path)
        digest.update(f"{os.path.relpath(path, folder)}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def what_is_read(dataset: dict) -> dict:
    """The options that decide what is read of a data set: another calliper, or another text, reads nothing again."""
    others = ("path", "where", "download", "simulate", "matching", "parts", *PREPARATION)
    options = {name: value for name, value in dataset.items() if name not in others}
    matching = dataset.get("matching", {})
    needed = {*matching.get("exact", ()), *matching.get("callipers", ()), *dataset.get("residualise", ())}
    if dataset.get("harmonise"):
        needed |= set(HARMONISED_BY)
    if needed:
        options["matching"] = {"exact": sorted(needed)}
    return options


def what_decides_training(config: dict, name: str) -> dict | None:
    """What decides who is trained on, where component maps are estimated on these people; elsewhere None."""
    dataset = config["datasets"][name]
    if dataset.get("ica", {}).get("people") != "training":
        return None
    share = config["training"]["test_share"]
    return {"matching": dataset["matching"], "crop": dataset["crop"], "test_share": share}


def what_is_extracted(dataset: dict) -> dict:
    """The options that decide what is taken from 4-d scans: another way of cleaning takes nothing again."""
    return {name: value for name, value in what_is_read(dataset).items() if name not in CLEANING}
