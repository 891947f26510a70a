"""What a configuration asks for: its runs, its comparisons and their figures, and the names of these."""

from pathlib import Path

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
#: Sources whose features are regions or components of a brain.
BRAINS = ("freesurfer", "freesurfer_tables", "fmri", "timecourses", "timecourse_array")
#: The options of the tests that decide what is recorded while a network trains; the others never retrain.
RECORDED = ("labelings", "labelings_seed", "labelings_every", "indices")


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
    brains = [entry for entry in asked["groups"] if config["datasets"][entry["dataset"]]["source"] in BRAINS]
    beside = side_by_side(config)
    drawn = list(dict.fromkeys([*groups, *(run_name(run) for chosen in beside.values() for run in chosen)]))
    return {
        "quality": [f"data-{name}" for name in dict.fromkeys(run["dataset"] for run in runs(config))],
        **{kind: groups for kind in ("groups", "effects", "epochs", "trajectories")},
        "brain": list(dict.fromkeys(run_name(run_of(entry)) for entry in brains)),
        **{kind: [comparison_name(kind, comparison) for comparison in asked[kind]] for kind in CONDITIONS},
        "across": [kind for kind in CONDITIONS if asked[kind]],
        "models": list(beside),
        "cost": ["models"],
        **{kind: drawn for kind in ("spectra", "learning")},
    }


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


def run_name(run: dict) -> str:
    """A run's name, made of what tells it from others (without what a comparison varies, the comparison's)."""
    short = {"dataset": "data"}
    return "_".join(f"{short.get(field, field)}-{value}" for field, value in run.items())


def comparison_name(kind: str, comparison: dict) -> str:
    """The name of a comparison of conditions: that of its runs without what it varies."""
    varied, levels = CONDITIONS[kind]
    run = run_of({**comparison, varied: levels[0]})
    return run_name({field: value for field, value in run.items() if field != varied})


def logs_folder(output: str) -> str:
    """Where logs lie: by output folder, so that configurations keep theirs apart, and always under `logs`."""
    return str(Path("logs", *(part for part in Path(output).parts if part not in (Path(output).anchor, ".."))))
