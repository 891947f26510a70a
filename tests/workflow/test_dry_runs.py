"""What is told before anything runs."""

import re
import shutil
import subprocess
import sys
import time

import pytest
import yaml


def config_of(repository, name):
    return yaml.safe_load((repository / "config" / f"{name}.yaml").read_text(encoding="utf-8"))


def test_the_default_configuration_is_planned(repository, snakemake, jobs, tmp_path):
    process = snakemake(repository, tmp_path, "-n")
    planned = jobs(process.stdout)
    assert "32 networks from 4 seeds each: 128 trainings." in process.stdout
    assert planned["train"] == 32
    assert planned["figure_learning"] == planned["figure_spectra"] == 14
    assert planned["simulate_freesurfer"] == planned["simulate_fmri"] == planned["report"] == planned["explorer"] == 1
    assert planned["preprocess"] == planned["pair"] == planned["split"] == 4
    for rule in ("test_groups", "figure_groups", "figure_epochs", "figure_effects", "figure_trajectories"):
        assert planned[rule] == 6
    assert planned["compare_conditions"] == planned["figure_conditions"] == 14


def test_the_papers_configuration_is_planned_without_data(repository, snakemake, jobs, tmp_path):
    process = snakemake(repository, tmp_path, "-n", "--configfile", repository / "config" / "paper.yaml")
    assert "72 networks from 20 seeds each: 1440 trainings." in process.stdout
    planned = jobs(process.stdout)
    assert (planned["train"], planned["download"], planned["compare_conditions"]) == (72, 3, 35)


def test_what_the_profile_for_clusters_offers_as_comments_is_understood(repository, snakemake, tmp_path):
    title, *lines = (repository / "slurm" / "config.yaml").read_text(encoding="utf-8").splitlines()
    lines = [re.sub(r"^( *)# ", r"\1", line) for line in lines]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.yaml").write_text("\n".join([title, *lines]) + "\n", encoding="utf-8")
    test = repository / "config" / "test.yaml"
    plan = snakemake(repository, tmp_path, "-n", "--profile", tmp_path / "mine", "--configfile", test).stdout
    asked = dict(re.findall(r"^rule (\w+):\n(?:    .+\n)*?    resources: (.+)$", plan, re.MULTILINE))
    chosen = "slurm_partition=name, slurm_account=name, slurm_extra=--exclude=name"
    assert chosen in asked["report"] and "gpu=" not in asked["report"]
    assert chosen in asked["train"] and "gpu=1" in asked["train"]


def test_a_configuration_on_the_command_line_replaces_the_default(repository, snakemake, jobs, tmp_path):
    process = snakemake(repository, tmp_path, "-n", "--configfile", repository / "config" / "test.yaml")
    assert "results/test/report.html" in process.stdout
    assert jobs(process.stdout)["test_groups"] == 2


def test_mistakes_in_the_configuration_end_the_run_in_one_message(repository, snakemake, configured, tmp_path):
    config = config_of(repository, "test")
    config["datasets"]["digits"]["limitt"] = config["datasets"]["digits"].pop("limit")
    process = snakemake(repository, tmp_path, "--cores", "1", "--configfile", configured(config), check=False)
    assert process.returncode != 0
    assert "datasets.digits.limitt: unknown option. Did you mean 'limit'?" in process.stdout
    assert "Traceback" not in process.stdout
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("name", ["abide", "mnist"])
def test_missing_data_end_the_run_before_it_begins(repository, snakemake, configured, tmp_path, name):
    config = config_of(repository, name)
    config["data_folders"] = ["data/here"]
    for dataset in config["datasets"].values():
        dataset.pop("download")
    process = snakemake(repository, tmp_path, "--cores", "1", "--configfile", configured(config), check=False)
    assert process.returncode != 0
    dataset = next(iter(config["datasets"].values()))
    where = " ".join(dataset["where"].split())
    assert f"What to get: {where}" in process.stdout
    assert f"Put it in data/here/{dataset['path']}" in process.stdout
    assert "Traceback" not in process.stdout
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("name", ["abide", "mnist"])
def test_open_data_that_are_nowhere_are_planned_to_be_downloaded(
    repository, snakemake, jobs, configured, tmp_path, name
):
    config = config_of(repository, name)
    config["data_folders"] = ["data/here"]
    (tmp_path / "data" / "here" / next(iter(config["datasets"].values()))["path"]).mkdir(parents=True)
    planned = jobs(snakemake(repository, tmp_path, "-n", "--configfile", configured(config)).stdout)
    assert planned["download"] == planned["preprocess"] == len(config["datasets"])


@pytest.mark.parametrize("name", ["abide", "mnist"])
def test_real_data_are_found_where_the_configuration_says(
    repository, snakemake, jobs, configured, tmp_path, shared_data, name
):
    config = config_of(repository, name)
    config["data_folders"] = ["nowhere", str(shared_data)]
    process = snakemake(repository, tmp_path, "-n", "--configfile", configured(config))
    planned = jobs(process.stdout)
    assert planned["preprocess"] == len(config["datasets"])
    assert "download" not in planned


@pytest.mark.parametrize("name", ["config", "test"])
def test_the_workflow_has_no_lint(repository, snakemake, tmp_path, name):
    process = snakemake(repository, tmp_path, "--lint", "--configfile", repository / "config" / f"{name}.yaml")
    assert "Congratulations" in process.stdout


@pytest.mark.slow
@pytest.mark.parametrize("lock", ["left", "taken away"])
def test_a_killed_run_leaves_neither_a_lock_nor_a_job_behind(repository, tmp_path, lock):
    (tmp_path / "slow.py").write_text("import time; time.sleep(6); open(snakemake.output[0], 'w')")
    (tmp_path / "Snakefile").write_text("rule all:\n    output: 'done'\n    script: 'slow.py'\n")
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--rerun-incomplete"]
    unlock = [sys.executable, repository / "workflow" / "unlock.py"]
    quiet = {"cwd": tmp_path, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(unlock, cwd=tmp_path, check=True)
    run = subprocess.Popen(command, **quiet)
    while not list((tmp_path / ".snakemake" / "scripts").glob("*")):
        assert run.poll() is None
        time.sleep(0.1)
    alive = subprocess.run(unlock, cwd=tmp_path, capture_output=True, text=True)
    assert alive.returncode != 0 and f"process {run.pid}" in alive.stderr
    run.kill()
    run.wait()
    if lock == "taken away":
        shutil.rmtree(tmp_path / ".snakemake" / "locks")
    waited = subprocess.run(unlock, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "Waiting for" in waited.stdout
    assert (tmp_path / "done").exists()  # the job that outlived the run has come to its end
    subprocess.run(command, check=True, **quiet)
