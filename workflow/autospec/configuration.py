"""The configuration: filled and checked from its schema, and what follows from it.

Needs jsonschema and pyyaml alone, so that a mistake is told before anything else is imported.
"""

import copy
import difflib
import glob
import hashlib
import math
import os
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from autospec.errors import InputError

SCHEMA_FILE = Path(__file__).parents[1] / "schemas" / "config.schema.yaml"

#: The activation of a model where a comparison names none.
ACTIVATIONS = {"mlp": "relu", "cnn": "relu", "rnn": "tanh", "lstm": "tanh", "bert": "relu"}
#: What tells a run from others, seeds apart.
IDENTITY = ("dataset", "model", "task", "activation", "shape")
#: What a comparison of conditions varies, and through which conditions.
CONDITIONS = {
    "tasks": ("task", ("autoencoding", "classification")),
    "activations": ("activation", ("relu", "sigmoid", "tanh")),
    "shapes": ("shape", ("base", "wide", "deep")),
}
#: Sources whose samples have a time axis, which recurrent models and the bert need.
SEQUENCES = ("sinusoid", "fmri", "timecourses", "timecourse_array")
#: Sources whose samples are images, which the cnn takes besides time courses.
IMAGES = ("digits", "mnist")
#: Sources that a simulator can make.
SIMULATED = ("freesurfer", "fmri")
#: What is done to time courses after they are taken from scans.
CLEANING = (
    *("high_pass", "low_pass", "detrend", "standardise", "crop"),
    *("least_volumes", "constant_components", "windows"),
)
#: The options of the tests that decide what is recorded while a network trains; the others never retrain.
RECORDED = ("labelings", "labelings_seed", "labelings_every", "indices")
#: Patterns of the schema, in words.
PATTERNS = {
    "^[A-Za-z0-9_]+$": "wanted letters, digits and underscores alone",
    "\\{subject\\}": "wanted {subject} in it",
}
#: What the tables of a run hold beside the two groups, under the same column.
NOT_GROUPS = ("all", "difference")


def read_schema(path: str | Path = SCHEMA_FILE) -> dict:
    """Read the schema of the configuration."""
    return yaml.safe_load(Path(path).read_text(encoding="utf-8"))


def read_configuration(path: str | Path) -> dict:
    """Read a YAML configuration, filled and checked.

    Raises
    ------
    InputError
        If the file is missing, is not YAML or has a mistake in it.
    """
    try:
        config = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such configuration file.") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not YAML ({error}). Correct it and run again.") from None
    return complete(config)


def complete(config: dict, schema: dict | None = None) -> dict:
    """Fill the defaults of a configuration and check it.

    Parameters
    ----------
    config : dict
        As read from YAML; left as it is.
    schema : dict, optional
        The schema; by default the one beside this library.

    Returns
    -------
    dict
        A copy with every default in place.

    Raises
    ------
    InputError
        For the first mistake: where it stands, what was found and what was wanted.
    """
    schema = schema or read_schema()
    config = _fill(copy.deepcopy(config), schema, schema, "configuration")
    _check_datasets(config["datasets"])
    _check_comparisons(config)
    return config


def resolve(part: dict, schema: dict) -> dict:
    """Follow a `$ref`; keys beside it (a default, say) win over what it points to."""
    if "$ref" not in part:
        return part
    target = schema
    for key in part["$ref"].removeprefix("#/").split("/"):
        target = target[key]
    return {**resolve(target, schema), **{key: value for key, value in part.items() if key != "$ref"}}


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
    names = dataset.get("participants", {}).get("file")
    paths = [] if folder is None or names is None else [Path(folder) / name for name in _list(names)]
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


#: What a download leaves in the folder beside the data: its log from the beginning, the list of files at the end.
DOWNLOAD_LOG, DOWNLOADED = "download.log", "downloaded.tsv"
#: Options of a data set that are applied to each split, on its training people.
PREPARATION = ("residualise", "harmonise")
#: What harmonising needs to know of everyone.
HARMONISED_BY = ("site", "age", "sex")


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


def what_is_extracted(dataset: dict) -> dict:
    """The options that decide what is taken from 4-d scans: another way of cleaning takes nothing again."""
    return {name: value for name, value in what_is_read(dataset).items() if name not in CLEANING}


def logs_folder(output: str) -> str:
    """Where logs lie: by output folder, so that configurations keep theirs apart, and always under `logs`."""
    return str(Path("logs", *(part for part in Path(output).parts if part not in (Path(output).anchor, ".."))))


def runs(config: dict) -> list[dict]:
    """Every network that the comparisons need, each once, in the order in which they are asked for.

    Returns
    -------
    list of dict
        With keys dataset, model, task, activation and shape.
    """
    needed = [run_of(comparison) for comparison in config["comparisons"]["groups"]]
    for kind in CONDITIONS:
        for comparison in config["comparisons"][kind]:
            needed += conditions(kind, comparison).values()
    return [run for index, run in enumerate(needed) if run not in needed[:index]]


def conditions(kind: str, comparison: dict) -> dict[str, dict]:
    """The run of each condition that a comparison puts side by side.

    Parameters
    ----------
    kind : str
        A name of ``CONDITIONS``.
    comparison : dict
        An entry of that list in the configuration.
    """
    varied, levels = CONDITIONS[kind]
    if kind == "tasks" and comparison["model"] == "bert":
        levels = (*levels, "masked")
    return {level: run_of({**comparison, varied: level}) for level in levels}


def side_by_side(config: dict) -> dict[str, list[dict]]:
    """For each task one run of every data set and model, in its base shape, with its own activation if there is one."""
    chosen: dict[str, dict] = {}
    for run in runs(config):
        if run["shape"] == "base":
            known = chosen.setdefault(run["task"], {})
            own = run["activation"] == ACTIVATIONS[run["model"]]
            if own or (run["dataset"], run["model"]) not in known:
                known[run["dataset"], run["model"]] = run
    return {task: list(known.values()) for task, known in chosen.items()}


def figures(config: dict) -> dict[str, list[str]]:
    """Every figure that a configuration asks for.

    Spectra and learning are drawn run by run where groups are tested, and for one run of every data set, model
    and task; the spectra of other variants are drawn where they are compared, and the table of runs and the report
    say how well each learned.

    Returns
    -------
    dict of str to list of str
        By kind, which is a folder's name, the figures' names.
    """
    asked = config["comparisons"]
    groups = list(dict.fromkeys(run_name(run_of(comparison)) for comparison in asked["groups"]))
    beside = side_by_side(config)
    drawn = list(dict.fromkeys([*groups, *(run_name(run) for chosen in beside.values() for run in chosen)]))
    return {
        "quality": [f"data-{name}" for name in dict.fromkeys(run["dataset"] for run in runs(config))],
        **{kind: groups for kind in ("groups", "effects", "epochs", "trajectories")},
        **{kind: [comparison_name(kind, comparison) for comparison in asked[kind]] for kind in CONDITIONS},
        "across": [kind for kind in CONDITIONS if asked[kind]],
        "models": list(beside),
        "cost": ["models"],
        **{kind: drawn for kind in ("spectra", "learning")},
    }


def run_name(run: dict) -> str:
    """A run's name, made of what tells it from others (without what a comparison varies, the comparison's)."""
    short = {"dataset": "data"}
    return "_".join(f"{short.get(field, field)}-{value}" for field, value in run.items())


def comparison_name(kind: str, comparison: dict) -> str:
    """The name of a comparison of conditions: that of its runs without what it varies."""
    varied, levels = CONDITIONS[kind]
    run = run_of({**comparison, varied: levels[0]})
    return run_name({field: value for field, value in run.items() if field != varied})


def run_of(comparison: dict) -> dict:
    """The identity, but for the seed, of the run that a comparison names."""
    return {
        "dataset": comparison["dataset"],
        "model": comparison["model"],
        "task": comparison["task"],
        "activation": comparison.get("activation", ACTIVATIONS[comparison["model"]]),
        "shape": comparison.get("shape", "base"),
    }


def recorded(config: dict, run: dict) -> dict:
    """What a run records while it trains: labelings only where a test of groups will read them."""
    if run in (run_of(comparison) for comparison in config["comparisons"]["groups"]):
        return {name: config["statistics"][name] for name in RECORDED}
    return {"labelings": 0, "labelings_seed": 0, "labelings_every": 1, "indices": 1}


def _fill(value, part: dict, schema: dict, place: str):
    """Check `value` against one part of the schema and return it with its defaults filled."""
    part = resolve(part, schema)
    if "oneOf" in part:
        part = _source(value, part["oneOf"], schema, place)
    if part.get("type") == "object" and isinstance(value, dict):
        value = _fill_object(value, part, schema, place)
    elif isinstance(value, list) and "items" in part:
        value = [_fill(item, part["items"], schema, f"{place}[{index}]") for index, item in enumerate(value)]
    elif isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{place}: found {value}, wanted a finite number. {part.get('description', '')}".strip())
    elif part.get("type") == "integer" and isinstance(value, float) and value.is_integer():
        value = int(value)
    error = best_match(Draft202012Validator(_shallow(part)).iter_errors(value))
    if error is not None:
        raise InputError(f"{place}: {_readable(error, part)}")
    return value


def _fill_object(value: dict, part: dict, schema: dict, place: str) -> dict:
    known = part.get("properties", {})
    others = part.get("additionalProperties", {})
    prefix = "" if place == "configuration" else f"{place}."
    for key in value:
        if not isinstance(key, str):
            raise InputError(f"{prefix}{key}: found the name {key!r}, wanted text. Put quotes around it.")
        if key not in known and others is False:
            raise InputError(f"{prefix}{key}: unknown option.{nearest(key, known)}")
    for key in part.get("required", []):
        if key not in value:
            raise InputError(f"{place}: the option '{key}' is missing. {resolve(known[key], schema)['description']}")
    filled = {}
    for key, option in known.items():
        if key in value:
            filled[key] = _fill(value[key], option, schema, f"{prefix}{key}")
        elif "default" in (option := resolve(option, schema)):
            filled[key] = _fill(copy.deepcopy(option["default"]), option, schema, f"{prefix}{key}")
    for key in value:
        if key not in known:
            filled[key] = _fill(value[key], others, schema, f"{prefix}{key}")
    return filled


def _source(value, branches: list[dict], schema: dict, place: str) -> dict:
    """The branch of a data set's schema that its `source` chooses."""
    sources = {}
    for branch in branches:
        branch = resolve(branch, schema)
        sources[branch["properties"]["source"]["const"]] = branch
    if not isinstance(value, dict) or "source" not in value:
        raise InputError(f"{place}: the option 'source' is missing; it is one of {', '.join(sources)}.")
    if value["source"] not in sources:
        raise InputError(f"{place}.source: found '{value['source']}'.{nearest(value['source'], sources)}")
    return sources[value["source"]]


def _shallow(part: dict) -> dict:
    """The part's own rules, without those of what it holds (these are checked one by one)."""
    inner = ("properties", "additionalProperties", "items", "required", "$ref")
    return {key: rule for key, rule in part.items() if key not in inner}


def _readable(error, part: dict) -> str:
    if error.validator == "type":
        advice = _as_number(error.instance) if {"number", "integer"} & set(_list(error.validator_value)) else ""
        text = f"found {error.instance!r}, wanted {_any(error.validator_value)}.{advice} {part.get('description', '')}"
        return text.strip()
    wanted = {
        "enum": f"wanted one of {', '.join(map(str, part.get('enum', [])))}",
        "minimum": f"wanted {error.validator_value} or more",
        "maximum": f"wanted {error.validator_value} or less",
        "exclusiveMinimum": f"wanted more than {error.validator_value}",
        "exclusiveMaximum": f"wanted less than {error.validator_value}",
        "multipleOf": f"wanted a multiple of {error.validator_value}",
        "minItems": f"wanted {error.validator_value} or more entries",
        "minProperties": f"wanted {error.validator_value} or more entries",
        "maxProperties": f"wanted {error.validator_value} entries at most",
        "pattern": PATTERNS.get(str(error.validator_value), error.message),
    }.get(error.validator, error.message)
    return f"found {error.instance!r}, {wanted}. {part.get('description', '')}".strip()


def _list(value) -> list:
    return value if isinstance(value, list) else [value]


def _any(types) -> str:
    names = {"object": "options with names", "array": "a list", "integer": "a whole number", "string": "text"}
    return " or ".join(names.get(kind, f"a {kind}") for kind in _list(types))


def _as_number(value) -> str:
    """What to write for a number that YAML takes for text: 1e-3, or one in quotes."""
    try:
        number = Decimal(value)
    except (InvalidOperation, TypeError):
        return ""
    return f" YAML reads this as text: write {number:f}, without quotes." if number.is_finite() else ""


def nearest(word, known: Iterable[str]) -> str:
    """A sentence that names the nearest known word, and all of them where none is near."""
    known = list(known)
    match = difflib.get_close_matches(str(word), known, n=1, cutoff=0.6)
    return f" Did you mean '{match[0]}'?" if match else f" Known here: {', '.join(known)}."


def _check_datasets(datasets: dict) -> None:
    for name, dataset in datasets.items():
        place = f"datasets.{name}"
        if "download" in dataset and "path" not in dataset:
            raise InputError(f"{place}: found 'download' and no 'path', wanted the folder that the data go to.")
        if dataset["source"] in SIMULATED and ("path" in dataset) == ("simulate" in dataset):
            found = "both" if "path" in dataset else "neither"
            raise InputError(
                f"{place}: found {found} of 'path' and 'simulate', wanted one: `path` for files that you have, "
                "`simulate` for a simulated cohort."
            )
        if dataset["source"] == "fmri":
            _check_scans(place, dataset)
        for group in dataset["groups"]:
            if group in NOT_GROUPS:
                raise InputError(
                    f"{place}.groups: found the name '{group}', wanted another: the tables keep "
                    f"{' and '.join(NOT_GROUPS)} for themselves. Rename the group."
                )
        (first, first_values), (second, second_values) = dataset["groups"].items()
        shared = {str(value) for value in first_values} & {str(value) for value in second_values}
        if shared:
            raise InputError(
                f"{place}.groups: '{min(shared)}' stands in both '{first}' and '{second}'; give it to one of them."
            )


def _check_scans(place: str, dataset: dict) -> None:
    if "atlas" in dataset and "ica" in dataset:
        raise InputError(f"{place}: found both 'atlas' and 'ica', wanted one of them. Remove the other.")
    strategy = dataset.get("load_confounds", {}).get("strategy", ["high_pass"])
    if "load_confounds" in dataset and dataset["confounds"] is None:
        raise InputError(f"{place}.load_confounds: there are no confounds to load: `confounds` is null.")
    if "load_confounds" in dataset and "high_pass" in strategy and dataset["high_pass"] is not None:
        raise InputError(
            f"{place}: slow drifts are removed twice, by `high_pass` {dataset['high_pass']} Hz and by 'high_pass' in "
            "`load_confounds.strategy` (also in its default). Set `high_pass: null`, or name a strategy "
            "without it."
        )


def _check_comparisons(config: dict) -> None:
    if not any(config["comparisons"].values()):
        kinds = ", ".join(f"`{kind}`" for kind in config["comparisons"])
        raise InputError(f"comparisons: nothing is asked. Give at least one entry under one of {kinds}.")
    for kind, comparisons in config["comparisons"].items():
        for index, comparison in enumerate(comparisons):
            place = f"comparisons.{kind}[{index}]"
            name, model = comparison["dataset"], comparison["model"]
            if name not in config["datasets"]:
                raise InputError(f"{place}.dataset: no data set '{name}'.{nearest(name, config['datasets'])}")
            source = config["datasets"][name]["source"]
            _check_model(place, model, name, source)
            if model == "lstm" and kind == "activations":
                raise InputError(
                    f"{place}: the model 'lstm' has one activation, 'tanh', so there is none to compare. "
                    "Take the entry out, or use another model."
                )
            if model == "lstm" and comparison.get("activation", "tanh") != "tanh":
                raise InputError(
                    f"{place}.activation: found '{comparison['activation']}'; the lstm has its own, 'tanh'. "
                    "Leave the option out."
                )
            if comparison.get("task") == "masked" and model != "bert":
                raise InputError(
                    f"{place}.task: found 'masked' with the model '{model}'; only the bert reconstructs what is "
                    "masked. Use the model 'bert', or the task 'autoencoding'."
                )


def _check_model(place: str, model: str, dataset: str, source: str) -> None:
    """Refuse a model for data that it cannot take."""
    if model == "mlp" or source in SEQUENCES or (model == "cnn" and source in IMAGES):
        return
    wanted = "images or time courses" if model == "cnn" else "time courses"
    others = "'mlp' or 'cnn'" if source in IMAGES else "'mlp'"
    raise InputError(
        f"{place}: the model '{model}' needs {wanted}, and the data set '{dataset}' (source {source}) has none. "
        f"Use the model {others}."
    )
