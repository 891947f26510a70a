"""One whole run on tiny data, and what makes which part of it run again."""

import itertools
import json
import os
import re

import chromium
import pandas as pd
import pytest
import yaml

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(copied, snakemake, tmp_path_factory):
    """A folder in which the test configuration ran, from a copy of the repository that may be edited."""
    folder = tmp_path_factory.mktemp("run")
    configuration = copied / "config" / "test.yaml"
    snakemake(copied, folder, "--cores", "2", "--show-failed-logs", "--configfile", configuration)
    return folder


@pytest.fixture
def planned(copied, snakemake, jobs, finished):
    """Which rules would run now, and how often; `changes` go over the test configuration."""

    def plan(**changes) -> dict[str, int]:
        config = yaml.safe_load((copied / "config" / "test.yaml").read_text())
        for section, options in changes.items():
            config[section] = {**config.get(section, {}), **options} if isinstance(options, dict) else options
        path = finished / "config.yaml"
        path.write_text(yaml.safe_dump(config, sort_keys=False))
        return jobs(snakemake(copied, finished, "-n", "--configfile", path).stdout)

    return plan


@pytest.fixture
def edited(copied):
    """Append a comment to files of the copy; they are put back afterwards."""
    originals = {}

    def edit(name: str) -> None:
        path = copied / "workflow" / "autospec" / name
        originals[path] = (path.read_bytes(), path.stat())
        path.write_bytes(originals[path][0] + b"\n# edited\n")

    yield edit
    for path, (content, stat) in originals.items():
        path.write_bytes(content)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_everything_asked_for_is_made(finished):
    results = finished / "results" / "test"
    runs = sorted(path.name for path in (results / "runs").iterdir())
    assert len(runs) == 6
    for run in runs:
        for seed in (0, 1):
            folder = results / "runs" / run / f"seed-{seed}"
            names = {path.name for path in folder.iterdir()}
            tables = {f"{name}.parquet" for name in ("spectra", "labelings", "directions", "metrics")}
            assert names == tables | {"run.json"}
            record = json.loads((folder / "run.json").read_text())
            assert record["seed"] == seed and record["status"] == "finished"
    # Of the three activations one stands for the run; group runs have five figures more.
    base = [run for run in runs if not re.search("data-digits.*activation-(sigmoid|tanh)", run)]
    groups = [run for run in base if "digits" not in run]
    figures = {
        "quality": ["data-digits", "data-fmri", "data-freesurfer"],
        "spectra": base,
        "learning": base,
        **{kind: groups for kind in ("groups", "effects", "epochs", "trajectories", "brain")},
        "tasks": ["data-digits_model-mlp_activation-relu_shape-base"],
        "activations": ["data-digits_model-mlp_task-autoencoding_shape-base"],
        "across": ["tasks", "activations"],
        "models": ["autoencoding", "classification"],
        "cost": ["models"],
    }
    for kind, names in figures.items():
        assert {path.stem for path in (results / "figures" / kind).glob("*.svg")} == set(names)
        for name, suffix in itertools.product(names, ("pdf", "svg", "png", "tsv")):
            assert (results / "figures" / kind / f"{name}.{suffix}").stat().st_size > 0
    listed = (results / "runs.tsv").read_text().splitlines()
    assert len(listed) == 1 + 2 * len(runs) and all("\tfinished\t" in line for line in listed[1:])
    assert "claim" in (results / "statistics" / "claims.tsv").read_text()
    for page in ("report.html", "explorer.html"):
        assert "<html" in (results / page).read_text(encoding="utf-8")


def test_no_subject_stands_in_the_report_or_a_figure(finished):
    results = finished / "results" / "test"
    subjects = set()
    for path in (*results.glob("raw/*/participants.tsv"), *results.glob("preprocessed/*/qc.tsv")):
        subjects |= {row.split("\t")[0] for row in path.read_text().splitlines()[1:]}
    # 80 digits; the two simulated cohorts, of 40 and 24 people, share their labels.
    assert len(subjects) == 80 + 40
    shown = [path for path in (results / "figures").rglob("*") if path.suffix in (".svg", ".tsv")]
    assert len(shown) == 2 * (3 + 2 * 4 + 5 * 2 + 1 + 1 + 2 + 2 + 1)
    for path in (results / "report.html", results / "explorer.html", *shown):
        text = path.read_text(encoding="utf-8")
        assert not [subject for subject in subjects if subject in text], path


def test_snakemakes_own_report_holds_every_figure_with_its_caption_and_its_place(copied, snakemake, finished):
    configuration = copied / "config" / "test.yaml"
    snakemake(copied, finished, "--configfile", configuration, "--report", "own.html")
    text = (finished / "own.html").read_text(encoding="utf-8")
    figures = [path for path in (finished / "results" / "test" / "figures").rglob("*.svg")]
    captions = copied / "workflow" / "report"
    for path in figures:
        assert f'"results/test/figures/{path.parent.name}/{path.name}": {{"name": "{path.name}"' in text
        kind = "conditions" if path.parent.name in ("tasks", "activations", "shapes") else path.parent.name
        start = " ".join((captions / f"{kind}.rst").read_text(encoding="utf-8").split())[:40]
        assert f'"caption": "<p>{start}' in text, path
    for category in ("Where groups differ", "Spectra over training", "People and data", "Every network"):
        assert f'"{category}": {{' in text
    assert '"labels": {"run": "data-fmri_model-lstm_task-autoencoding_activation-tanh_shape-base"}' in text


def test_every_job_leaves_a_log_and_a_benchmark(finished):
    for rule in ("simulate_freesurfer", "preprocess", "pair", "split", "train", "test_groups", "claims", "report"):
        folder = finished / "logs" / "results" / "test" / rule
        assert list(folder.glob("*.log")) and list(folder.glob("*.benchmark.tsv")), rule


def test_every_job_keeps_within_what_its_rule_asks_of_a_cluster(copied, snakemake, finished):
    configuration = copied / "config" / "test.yaml"
    plan = snakemake(copied, finished, "-n", "--forceall", "--configfile", configuration).stdout
    asked = re.findall(r"^    benchmark: (.+)\n(?:    .+\n)*?    resources: (.+)$", plan, re.MULTILINE)
    assert len(asked) == len(list((finished / "logs").rglob("*.benchmark.tsv"))) > 10
    for path, resources in asked:
        megabytes, minutes = (re.search(rf"\b{name}=(\d+)", resources)[1] for name in ("mem_mb", "runtime"))
        took = pd.read_csv(finished / path, sep="\t").iloc[0]
        assert took["max_rss"] + 400 < int(megabytes), path  # Snakemake itself takes some 300 MB beside each job
        assert took["s"] < 60 * int(minutes), path
        assert took["cpu_time"] < 1.2 * took["s"] + 1, path  # every rule asks for one thread


def test_every_training_records_a_peak_of_memory_below_two_gigabytes(finished):
    runs = pd.read_csv(finished / "results" / "test" / "runs.tsv", sep="\t")
    assert len(runs) == 12
    # Python with torch takes some 200 MB before anything is trained, so less was not measured.
    assert runs["memory_mb"].between(150, 2000, inclusive="neither").all()


def test_a_second_run_does_nothing(copied, snakemake, finished):
    configuration = copied / "config" / "test.yaml"
    process = snakemake(copied, finished, "--cores", "1", "--configfile", configuration)
    assert "Nothing to be done" in process.stdout


def test_touching_a_library_file_without_changing_it_reruns_nothing(copied, planned):
    os.utime(copied / "workflow" / "autospec" / "tables.py")
    assert planned() == {}


def test_editing_a_figure_redraws_it_and_nothing_else(edited, planned):
    edited("figures/learning.py")
    assert set(planned()) == {"figure_learning", "report"}


def test_editing_the_spectra_retrains_and_does_not_preprocess(edited, planned):
    edited("spectra/decompose.py")
    rules = planned()
    assert rules["train"] == 6
    assert {"test_groups", "compare_conditions", "claims", "report"} <= set(rules)
    assert not {"simulate_freesurfer", "simulate_fmri", "preprocess", "pair", "split"} & set(rules)


def test_editing_a_test_retrains_nothing(edited, planned):
    edited("statistics/swaps.py")
    rules = planned()
    assert {"test_groups", "claims"} <= set(rules)
    assert not {"train", "preprocess", "compare_conditions"} & set(rules)


def test_editing_a_reader_reads_its_source_alone_again(edited, planned):
    edited("data/freesurfer.py")
    assert planned()["preprocess"] == 1


def test_editing_how_errors_are_told_reruns_nothing(edited, planned):
    edited("errors.py")
    edited("jobs.py")
    assert planned() == {}


def test_another_level_of_significance_retrains_nothing(planned):
    rules = planned(statistics={"alpha": 0.01})
    assert rules["test_groups"] == 2
    assert "train" not in rules


def test_another_option_of_one_model_retrains_that_model_alone(planned):
    rules = planned(models={"lstm": {"hidden": 8, "layers": 1, "learning_rate": 0.01, "batch": 16}})
    assert rules["train"] == 1


def test_an_added_seed_trains_itself_alone(copied, snakemake, jobs, finished):
    results = finished / "results" / "test" / "runs"
    before = {path: json.loads(path.read_text()) for path in results.glob("*/seed-0/run.json")}
    config = yaml.safe_load((copied / "config" / "test.yaml").read_text()) | {"seeds": 3}
    path = finished / "three.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    target = f"results/test/runs/{next(iter(before)).parents[1].name}/seed-2/run.json"
    snakemake(copied, finished, target, "--cores", "1", "--show-failed-logs", "--configfile", path)
    assert json.loads((finished / target).read_text())["seed"] == 2
    kept = next(iter(before))
    assert json.loads(kept.read_text())["measured"] == before[kept]["measured"]


@pytest.mark.skipif(not chromium.find(), reason="no Chromium: `make test-browser` installs it, as root on Debian")
def test_the_pages_of_a_run_open_with_every_figure_and_without_a_complaint(finished):
    results = finished / "results" / "test"
    with chromium.browser() as page:
        page.open(results / "report.html")
        widths = page.run("[...document.querySelectorAll('.gallery img')].map((image) => image.naturalWidth)")
        assert len(widths) == len(list((results / "figures").rglob("*.svg"))) and min(widths) > 100
        assert page.console == []
        page.open(results / "explorer.html", width=360, height=700)
        assert page.console == [] and page.run("document.documentElement.scrollWidth") == 360
