# The configuration, and where everything lies.

import gc
import re
import sys

from snakemake import __version__ as SNAKEMAKE
from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

# Where this copy of the workflow lies, also where another workflow takes it in as a module.
ROOT = Path(workflow.current_basedir.get_path_or_uri(secret_free=False)).parents[1]
sys.path.insert(0, str(ROOT / "workflow"))

# What is planned lives on to the end: looking through it for waste again and again takes a tenth of a dry run.
gc.set_threshold(50_000, 20, 100)

import patience
from autospec import configuration, grid, inputs
from autospec.errors import InputError
from autospec.imports import library_files

# A configuration given on the command line replaces the default one; it does not extend it.
if not workflow.overwrite_configfiles:

    configfile: str(ROOT / "config" / "config.yaml")


try:
    config = configuration.complete(config)
    RUNS = grid.runs(config)
    PATHS = {
        name: inputs.find_data(name, config["datasets"][name], config["data_folders"])
        for name in dict.fromkeys(run["dataset"] for run in RUNS)
    }
except InputError as error:
    raise WorkflowError(str(error))

#: Data sets that are, or were, downloaded, and what each consists of.
DOWNLOADS = {
    name: config["datasets"][name]["download"]
    for name, path in PATHS.items()
    if inputs.downloads(config["datasets"][name], path)
}

if workflow.is_main_process:
    patience.install()
    logger.info(
        f"{len(RUNS)} networks from {config['seeds']} seeds each: {len(RUNS) * config['seeds']} trainings."
    )

OUT = config["output"]
LOGS = grid.logs_folder(OUT)
SEEDS = list(range(config["seeds"]))
CAPTIONS = [path.stem for path in sorted((ROOT / "workflow" / "report").glob("*.rst"))]
FORMATS = {"pdf": "pdf", "svg": "svg", "png": "png", "table": "tsv"}

#: The library file that reads a source, where it is not named like the source.
READERS = {"digits": "images", "mnist": "images"}

RUN = grid.run_name({field: f"{{{field}}}" for field in grid.IDENTITY})
PREPARED = f"{OUT}/preprocessed/{{dataset}}"
GROUP_TESTS = f"{OUT}/statistics/groups/{{run}}"
CONDITION_TESTS = f"{OUT}/statistics/{{kind}}/{{comparison}}"
RUNS_TABLE = f"{OUT}/runs.tsv"
CLAIMS = f"{OUT}/statistics/claims.tsv"
REPORT = f"{OUT}/report.html"
EXPLORER = f"{OUT}/explorer.html"

ALL_RUNS = [RUN.format(**run) for run in RUNS]
GROUP_RUNS = list(
    dict.fromkeys(RUN.format(**grid.run_of(entry)) for entry in config["comparisons"]["groups"])
)
#: Kind of comparison -> comparison -> condition -> run.
CONDITIONS = {
    kind: {
        grid.comparison_name(kind, entry): {
            level: RUN.format(**run) for level, run in grid.conditions(kind, entry).items()
        }
        for entry in config["comparisons"][kind]
    }
    for kind in grid.CONDITIONS
}
#: Task -> runs of every data set and model that are drawn beside one another.
MODELS = {task: [RUN.format(**run) for run in runs] for task, runs in grid.side_by_side(config).items()}
COMPARISONS = [(kind, name) for kind, names in CONDITIONS.items() for name in names]


wildcard_constraints:
    dataset=r"[A-Za-z0-9_]+",
    model=r"[a-z]+",
    task=r"[a-z]+",
    activation=r"[a-z]+",
    shape=r"[a-z]+",
    kind="|".join(grid.CONDITIONS),
    comparison=r"data-[A-Za-z0-9_]+_model-[a-z]+(_[a-z]+-[a-z]+)+",
    run=r"data-[A-Za-z0-9_]+_model-[a-z]+_task-[a-z]+_activation-[a-z]+_shape-[a-z]+",
    seed=r"\d+",
    part=r"\d+",
    parts=r"\d+",


def library(*files):
    """The library files that scripts (or library files) import, so that editing one reruns the rule."""
    return library_files(ROOT / "workflow", *files)


def templates(*names):
    """Files that a page is made from, so that editing one makes it anew."""
    return [str(ROOT / "workflow" / "report" / name) for name in names]


def growing(amount):
    """What a job asks of a cluster: `amount`, and as much again each time that it is sent once more."""
    return lambda wildcards, attempt: amount * attempt


def simulated(source):
    """A pattern of the names of the data sets that are simulated in the form of a source."""
    names = [
        name
        for name, options in config["datasets"].items()
        if options["source"] == source and "simulate" in options
    ]
    return "|".join(names) or "(?!)"  # the latter matches nothing


def reader(wildcards):
    """The library file that reads a data set."""
    source = config["datasets"][wildcards.dataset]["source"]
    return f"autospec/data/{READERS.get(source, source)}.py"


def downloaded(wildcards):
    """The list of what was downloaded for a data set, where the program downloads it."""
    if wildcards.dataset in DOWNLOADS:
        return f"{PATHS[wildcards.dataset]}/{inputs.DOWNLOADED}"
    return []


def by_hand(dataset):
    """The folder of a data set whose files a person put there, which are watched one by one."""
    return None if dataset in DOWNLOADS else PATHS[dataset]


def preparation(wildcards):
    """What is taken out of a data set's features, once training people are known."""
    dataset = config["datasets"][wildcards.dataset]
    return {name: dataset[name] for name in inputs.PREPARATION if name in dataset}


def raw(wildcards):
    """The simulated files of a data set; nothing for files that were there before."""
    return f"{OUT}/raw/{wildcards.dataset}" if "simulate" in config["datasets"][wildcards.dataset] else []


def participants(wildcards):
    """The participants table of a data set, where there is one already."""
    return inputs.participants_file(config["datasets"][wildcards.dataset], by_hand(wildcards.dataset))


def fingerprint(wildcards):
    """What changes when a file of a data set does."""
    return inputs.fingerprint(config["datasets"][wildcards.dataset], by_hand(wildcards.dataset))


def extracted(wildcards):
    """The parts in which a data set's scans are read; none for other sources."""
    parts = config["datasets"][wildcards.dataset].get("parts", 0)
    return [f"{PREPARED}/extracted/{part}-of-{parts}.parquet" for part in range(1, parts + 1)]


def estimated_maps(wildcards):
    """The component maps that are estimated on a data set's own scans, where that is asked for."""
    return f"{PREPARED}/component_maps.nii.gz" if "ica" in config["datasets"][wildcards.dataset] else []


def trained_scans(wildcards):
    """Whose scans the component maps are estimated on, where these are people whom networks are trained on."""
    training = inputs.what_decides_training(config, wildcards.dataset)
    return [] if training is None else f"{PREPARED}/component_scans.tsv"


def component_image(wildcards):
    """The component maps or the atlas of a run's data set; None where it names none.

    Nothing has to wait for it, for the table of features is made after it was read.
    """
    name = dataset_of(wildcards.run)
    dataset = config["datasets"][name]
    if dataset["source"] != "fmri":
        return None
    if "ica" in dataset:
        return f"{OUT}/preprocessed/{name}/component_maps.nii.gz"
    folder = f"{OUT}/raw/{name}" if "simulate" in dataset else PATHS[name]
    return f"{folder}/{dataset.get('atlas') or dataset['maps']}"


def recorded(wildcards):
    """What a run records."""
    return grid.recorded(config, {field: wildcards[field] for field in grid.IDENTITY})


def run_files(name):
    """One file of every seed of the run in the wildcards."""
    return expand(f"{OUT}/runs/{{run}}/seed-{{seed}}/{name}", seed=SEEDS, allow_missing=True)


def figure_files(kind, name, category, caption=None):
    """The outputs of a figure: three formats, and the table behind it; the SVG goes to Snakemake's report."""
    files = {key: f"{OUT}/figures/{kind}/{name}.{suffix}" for key, suffix in FORMATS.items()}
    labels = {field: f"{{{field}}}" for field in re.findall(r"{(\w+)}", name)}
    files["svg"] = report(
        files["svg"], caption=f"../report/{caption or kind}.rst", category=category, labels=labels
    )
    return files


FIGURES = [
    f"{OUT}/figures/{kind}/{name}.{suffix}"
    for kind, names in grid.figures(config).items()
    for name in names
    for suffix in FORMATS.values()
]


def dataset_of(run):
    """The data set that a run's name begins with."""
    return run.removeprefix("data-").split("_model-")[0]


def condition_records(wildcards, name="run.json"):
    """One file of every seed of each of a comparison's runs, condition by condition."""
    runs = CONDITIONS[wildcards.kind][wildcards.comparison].values()
    return expand(f"{OUT}/runs/{{run}}/seed-{{seed}}/{name}", run=list(runs), seed=SEEDS)


def levels(wildcards):
    """The conditions that a comparison puts side by side."""
    return list(CONDITIONS[wildcards.kind][wildcards.comparison])
