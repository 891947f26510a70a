"""The files around the program agree with one another and with the house."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

STAGES = ("data", "preprocessing", "training", "statistics", "figures")
#: A package's name on conda-forge where it differs.
CONDA = {"torch": "pytorch"}
#: Import names where they differ from the package's name.
IMPORTS = {"scikit-learn": "sklearn", "pyyaml": "yaml"}
HOSTS = {
    "arxiv.org", "doi.org", "dx.doi.org", "github.com", "json-schema.org", "opensource.org", "peps.python.org",
    "www.w3.org",
    # This machine, and publishers of open data.
    "127.0.0.1",
    "api.figshare.com", "ndownloader.figshare.com", "osf.io", "ossci-datasets.s3.amazonaws.com",
    "raw.githubusercontent.com", "s3.amazonaws.com", "team.inria.fr", "www.fmrib.ox.ac.uk",
}  # fmt: skip


@pytest.fixture(scope="module")
def project(repository) -> dict:
    return tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def lock(repository) -> dict[str, str]:
    """Versions for the oldest Python, which stand first."""
    versions = {}
    for line in (repository / "requirements.lock").read_text(encoding="utf-8").splitlines():
        if match := re.match(r"([a-z0-9._-]+)==(\S+)", line):
            versions.setdefault(match[1], match[2])
    return versions


@pytest.fixture(scope="module")
def tracked(repository) -> list[Path]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True).stdout.splitlines()
    return [repository / name for name in names if (repository / name).is_file()]


@pytest.fixture(scope="module")
def rules(repository) -> dict[str, str]:
    """The text of every rule by its name."""
    files = (repository / "workflow" / "rules").glob("*.smk")
    parts = [re.split(r"^rule (\w+):\n", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:] for path in files]
    return {name: text for part in parts for name, text in zip(part[::2], part[1::2], strict=True)}


def name_of(requirement: str) -> str:
    return re.match(r"[A-Za-z0-9_-]+", requirement)[0]


def imported_by(files) -> set[str]:
    imported = set()
    for file in files:
        for node in ast.walk(ast.parse(Path(file).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module.split(".")[0])
    return imported


def environment(repository, stage) -> dict:
    return yaml.safe_load((repository / "envs" / f"{stage}.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("stage", STAGES)
def test_conda_environments_are_in_step_with_the_lock_and_the_extras(repository, project, lock, stage):
    env = environment(repository, stage)
    assert env["channels"] == ["conda-forge", "nodefaults"]
    wanted = ["python=3.11"]
    for requirement in project["optional-dependencies"][stage]:
        package = name_of(requirement)
        wanted.append(f"{CONDA.get(package, package)}={'.'.join(lock[package].split('.')[:2])}")
    assert env["dependencies"] == wanted


@pytest.mark.parametrize("stage", STAGES)
def test_conda_environments_hold_what_the_scripts_of_their_rules_import(repository, project, stage):
    from autospec.imports import library_files

    scripts = set()
    for rules in (repository / "workflow" / "rules").glob("*.smk"):
        for rule in re.split(r"^rule ", rules.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
            if f"envs/{stage}.yaml" in rule:
                scripts.add(re.search(r"scripts/(\w+\.py)", rule.split("script:")[-1])[1])
    assert scripts
    files = [repository / "workflow" / "scripts" / script for script in scripts]
    files += library_files(repository / "workflow", *(f"scripts/{script}" for script in scripts))
    if "preprocess.py" in scripts:
        files += (repository / "workflow" / "autospec" / "data").glob("*.py")
    foreign = imported_by(files) - set(sys.stdlib_module_names) - {"autospec", "snakemake"}
    extras = [*project["optional-dependencies"][stage], *project["optional-dependencies"]["harmonisation"]]
    listed = {IMPORTS.get(name_of(line), name_of(line)) for line in extras}
    assert foreign <= listed, f"not in envs/{stage}.yaml: {foreign - listed}"


def test_the_extra_of_the_workflow_holds_what_is_imported_before_any_rule_runs(repository, project):
    folder = repository / "workflow"
    modules = ("configuration", "schema", "grid", "inputs", "imports", "errors")
    files = ["unlock.py", *(f"autospec/{name}.py" for name in modules)]
    foreign = imported_by(folder / file for file in files) - set(sys.stdlib_module_names) - {"autospec"}
    listed = {IMPORTS.get(name_of(line), name_of(line)) for line in project["optional-dependencies"]["workflow"]}
    assert foreign and foreign <= listed, foreign - listed


def test_every_extra_is_locked_and_no_accelerator_package_is(project, lock):
    for requirements in [project["dependencies"], *project["optional-dependencies"].values()]:
        for requirement in requirements:
            assert name_of(requirement) in lock
    assert not [name for name in lock if name.startswith(("nvidia", "cuda", "triton"))]


def test_the_lock_stands_for_what_is_installed(lock):
    from importlib.metadata import version

    for package in ("numpy", "pandas", "pyarrow", "snakemake", "scipy"):
        assert version(package) == lock[package], f"{package}: run the tests in the environment of the lock"


def test_commands_in_the_readme_are_in_the_makefile(repository):
    targets = set(re.findall(r"^([\w.-]+):", (repository / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    blocks = re.findall(r"```.*?```", (repository / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    commands = re.findall(r"^\s*make ([\w-]+)", "\n".join(blocks), re.MULTILINE)
    assert {"figures", "test"} <= set(commands) <= targets
    assert "make figures" in blocks[0] and "make test" in blocks[0]


def test_make_clean_removes_what_was_made_and_never_data(repository, tmp_path):
    made = (".venv/ready", ".snakemake/log", "logs/a.log", "checkpoints/a.lock", "results/test/report.html")
    kept = ("data/a.tsv", "results/.gitkeep", "config/mine.yaml", "Makefile")
    for name in made + kept:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((repository / "Makefile").read_bytes())
    subprocess.run(["make", "clean"], cwd=tmp_path, check=True)
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()} == set(kept)


def test_continuous_integration_runs_the_tests(repository):
    script = repository / ".ci" / "run"
    assert os.access(script, os.X_OK)
    text = script.read_text(encoding="utf-8")
    assert "set -euo pipefail" in text and "make test test-browser test-slurm" in text
    assert "export CI=true" in text  # absent shared data are a failure there


def test_no_file_names_a_machine(tracked):
    folder = re.compile(r"(?<![\w.~*}>-])/(?:home|root|work|opt|mnt|Users|srv)/\w")
    for path in tracked:
        if path.suffix in {".png", ".gz", ".parquet"}:
            continue
        text = path.read_text(encoding="utf-8")
        assert not folder.search(text), f"{path}: {folder.search(text)[0]}"
        hosts = {host.lower() for host in re.findall(r"https?://([\w.-]+)", text)}
        assert hosts <= HOSTS, f"{path}: {hosts - HOSTS}"


def test_python_is_clean(repository):
    subprocess.run([sys.executable, "-m", "ruff", "check", "--no-cache", "."], cwd=repository, check=True)


def test_every_rule_has_a_log_a_benchmark_an_environment_and_resources_that_grow_with_retries(rules):
    assert len(rules) > 10
    for name, text in rules.items():
        for part in ("log:", "benchmark:", "threads:", "input:", "output:", "script:"):
            assert f"    {part}" in text, f"{name} has no {part}"
        assert re.search(r"conda:\n +\"../../envs/\w+\.yaml\"", text), f"{name} has no environment"
        for resource in ("mem_mb", "runtime"):
            assert re.search(rf"{resource}=growing\(\d+\),", text), f"{name}: write {resource}=growing(number)"


def test_the_profile_for_clusters_sends_figures_and_data_in_groups(repository, rules):
    profile = yaml.safe_load((repository / "slurm" / "config.yaml").read_text(encoding="utf-8"))
    groups = dict(entry.split("=") for entry in profile["groups"])
    assert {name for name, group in groups.items() if group == "draw"} == {n for n in rules if n.startswith("figure_")}
    assert {name for name, group in groups.items() if group == "prepare"} == {"preprocess", "pair", "split"}
    assert set(groups) <= set(rules)


def test_the_catalog_of_workflows_finds_what_it_looks_for(repository):
    entry = yaml.safe_load((repository / ".snakemake-workflow-catalog.yml").read_text(encoding="utf-8"))["usage"]
    assert entry["mandatory-flags"]["flags"] == "--sdm conda" and entry["software-stack-deployment"]["conda"] is True
    assert entry["report"] is True
    rules = (repository / "workflow" / "rules" / "common.smk").read_text(encoding="utf-8")
    assert "report(" in rules and (repository / "config" / "README.md").is_file()
    assert (repository / "Snakefile").is_file() and (repository / "LICENSE").is_file()


def test_make_shows_the_log_of_a_job_that_fails(repository):
    text = (repository / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    assert "--show-failed-logs" in re.search(r"^SNAKEMAKE = (.*)$", text, re.MULTILINE)[1]


def test_rules_are_formatted(repository):
    rules = ["Snakefile", *map(str, (repository / "workflow" / "rules").glob("*.smk"))]
    subprocess.run([Path(sys.executable).with_name("snakefmt"), "--check", *rules], cwd=repository, check=True)


def test_the_library_can_be_built_without_the_workflow(project):
    assert [name_of(requirement) for requirement in project["dependencies"]] == ["numpy", "pyarrow", "torch"]


def test_measured_times_and_memory_are_read_by_what_tells_of_cost_and_by_nothing_else(repository):
    """The tables of runs and claims, the cost figure and the report; all else is the same in every run."""
    library = repository / "workflow" / "autospec"
    names = (path for path in library.rglob("*.py") if '"measured"' in path.read_text(encoding="utf-8"))
    assert {str(path.relative_to(library)) for path in names} == {
        "training/runs.py", "training/listing.py", "statistics/claims.py", "figures/models.py", "report/trainings.py",
    }  # fmt: skip
