"""The configuration: read, filled from its schema, and checked for what the schema cannot say.

Needs jsonschema and pyyaml alone, so that a mistake is told before anything else is imported.
"""

import copy
from pathlib import Path

import yaml

from autospec.errors import InputError
from autospec.schema import fill, nearest, read_schema

#: Sources whose samples have a time axis, which recurrent models and the bert need.
SEQUENCES = ("sinusoid", "fmri", "timecourses", "timecourse_array")
#: Sources whose samples are images, which the cnn takes besides time courses.
IMAGES = ("digits", "mnist")
#: Sources that a simulator can make.
SIMULATED = ("freesurfer", "fmri")
#: What the tables of a run hold beside the two groups, under the same column.
NOT_GROUPS = ("all", "difference")


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
    config = fill(copy.deepcopy(config), schema, schema, "configuration")
    _check_datasets(config["datasets"], config["training"]["fixed"])
    _check_comparisons(config)
    return config


def _check_datasets(datasets: dict, fixed: list[str]) -> None:
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
            _check_scans(place, dataset, fixed)
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


def _check_scans(place: str, dataset: dict, fixed: list[str]) -> None:
    if "atlas" in dataset and "ica" in dataset:
        raise InputError(f"{place}: found both 'atlas' and 'ica', wanted one of them. Remove the other.")
    if dataset.get("ica", {}).get("people") == "training":
        if "scans" in dataset["ica"]:
            raise InputError(f"{place}.ica: found both `people: training` and 'scans', wanted one. Remove the other.")
        if "split" not in fixed:
            raise InputError(
                f"{place}.ica.people: found 'training', but every seed has a split of its own, so that the training "
                "people of one are test people of another. Add `training: {fixed: [split]}`, or give a number of "
                "people, who are then left out."
            )
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
