"""Every rule in its own environment, through Snakemake's way with conda and a stand-in for conda itself.

The environments come from a local channel of the packages in the lock, not from conda-forge. Snakemake lends the
packages beside it to its jobs, so it is started from an environment that holds Snakemake alone.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from environments import environment, make_conda


@pytest.fixture(scope="module")
def conda(tmp_path_factory) -> Path:
    """A folder with the command `conda`, the channel behind it and the launcher's environment."""
    return make_conda(tmp_path_factory.mktemp("conda"))


@pytest.fixture
def launch(conda, tmp_path):
    """Run Snakemake with `--sdm conda` from its own environment: ``launch(repository, *arguments)``."""
    variables = environment(conda) | {"XDG_CACHE_HOME": str(tmp_path / "cache")}

    def run(repository: Path, *arguments: str) -> subprocess.CompletedProcess:
        command = [
            conda / "launcher" / "bin" / "python", "-m", "snakemake", *arguments, "--cores", "2", "--sdm", "conda",
            "--snakefile", repository / "Snakefile", "--directory", tmp_path, "--show-failed-logs",
            "--configfile", repository / "config" / "test.yaml",
        ]  # fmt: skip
        return subprocess.run(
            list(map(str, command)), cwd=tmp_path, env=variables, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    return run


def test_the_launcher_lends_its_jobs_nothing_but_snakemake(conda):
    packages = {path.name for path in conda.glob("launcher/lib/*/site-packages/*")}
    assert "snakemake" in packages
    assert not packages & {"numpy", "pandas", "torch", "pyarrow", "scipy", "sklearn", "matplotlib", "nibabel"}


@pytest.mark.slow
def test_every_rule_runs_in_an_environment_that_holds_what_its_file_lists(repository, launch, tmp_path):
    process = launch(repository)
    assert process.returncode == 0, process.stdout[-6000:]
    assert (tmp_path / "results" / "test" / "report.html").stat().st_size > 100_000
    made = {path.read_text() for path in tmp_path.glob(".snakemake/conda/*.yaml")}
    assert made == {path.read_text() for path in repository.glob("envs/*.yaml")}


def test_a_package_that_an_environment_file_does_not_list_is_missed(repository, launch, tmp_path):
    copy = tmp_path / "repository"
    copy.mkdir()
    shutil.copy2(repository / "Snakefile", copy)
    for folder in ("workflow", "config", "envs"):
        shutil.copytree(repository / folder, copy / folder)
    data = copy / "envs" / "data.yaml"
    lines = data.read_text().splitlines(keepends=True)
    data.write_text("".join(line for line in lines if "pandas" not in line))
    process = launch(copy, "results/test/raw/freesurfer")
    assert process.returncode != 0
    assert "No module named 'pandas'" in process.stdout


@pytest.mark.skipif(shutil.which("conda") is not None, reason="conda is installed here")
def test_without_conda_snakemake_says_so(repository, snakemake, tmp_path):
    config = repository / "config" / "test.yaml"
    process = snakemake(repository, tmp_path, "--sdm", "conda", "--cores", "1", "--configfile", config, check=False)
    assert process.returncode != 0
    assert "Is conda installed and accessible?" in process.stdout


def test_pins_are_made_of_every_environment_but_that_of_training_where_the_machine_decides_about_cuda(
    repository, tmp_path
):
    """The step of the workflow file for public CI, with a command `conda` that only prints."""
    shutil.copytree(repository / "envs", tmp_path / "envs")
    conda = tmp_path / "bin" / "conda"
    conda.parent.mkdir()
    conda.write_text("#!/bin/sh\n[ $1 = list ] && printf '# made\\n@EXPLICIT\\nfile:///a.conda#0\\n' || true\n")
    conda.chmod(0o755)
    workflow = yaml.safe_load((repository / ".github" / "workflows" / "conda.yaml").read_text(encoding="utf-8"))
    (step,) = (step["run"] for step in workflow["jobs"]["conda"]["steps"] if step.get("name") == "Pin files")
    variables = {"PATH": f"{conda.parent}:{os.environ['PATH']}", "RUNNER_TEMP": str(tmp_path)}
    subprocess.run(["bash", "-e", "-c", step], cwd=tmp_path, env=variables, check=True)
    pins = {path.name.split(".")[0]: path.read_text() for path in tmp_path.glob("envs/*.linux-64.pin.txt")}
    assert set(pins) == {path.stem for path in tmp_path.glob("envs/*.yaml")} - {"training"}
    assert set(pins.values()) == {"@EXPLICIT\nfile:///a.conda#0\n"}
