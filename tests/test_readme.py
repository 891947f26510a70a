"""What the pages say: their commands and code are run, their links lead somewhere."""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pyarrow as pa
import pytest

from autospec import grid
from autospec.configuration import read_configuration
from autospec.data.simulate_freesurfer import write_cohort
from autospec.tables import SPECTRA, write_parquet

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    *("README.md", "CONTRIBUTING.md", "config/README.md", "benchmarks/README.md"),
    *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")),
]
#: What fences of commands are called; those of other text are `text`.
SHELL = ("", "sh", "bash", "shell", "console")
#: Commands that are not run here, and why.
ELSEWHERE = {
    "source .venv/bin/activate": "the tests run in that environment",
    "snakemake -n": "tests/workflow/test_dry_runs.py runs it",
    "snakemake -n --configfile config/paper.yaml": "tests/workflow/test_dry_runs.py runs it",
    "snakemake --cores 2 --sdm conda": "needs conda; tests/conda runs it",
    "CONDA_OVERRIDE_CUDA=12.8 snakemake --sdm conda --cores 1 --conda-create-envs-only": "needs conda-forge and CUDA",
    "snakemake --cores 2 --configfile data/shuffled/abide.yaml": (
        "needs what the command above it makes; tests/test_shuffle.py reads such a configuration"
    ),
    "python benchmarks/side_by_side.py results/abide results/abide_shuffled --page docs/abide.md": (
        "needs two finished runs; tests/test_side_by_side.py runs it on small tables"
    ),
    "PYTHONPATH=workflow python -m autospec.estimate --configfile config/mine.yaml --cores 2": (
        "trains; tests/training/test_estimate.py runs it"
    ),
    **dict.fromkeys(
        ("python benchmarks/preprocessing.py", "python benchmarks/preprocessing.py --write"),
        "ten minutes; tests/test_benchmarks.py runs each of its cases on small files",
    ),
}

#: Programs that pages ask to run, and what of their output is looked for.
BENCHMARKS = {
    "benchmarks/monitor.py": r"mlp-table|plain step",
    "benchmarks/calibration.py": r"calibration\.tsv",
    "benchmarks/dry_runs.py": r"\| `config/paper.yaml` \| \d",
    "benchmarks/shuffle.py": r"shuffled/\w+\.yaml",
    "benchmarks/resources.py": r"\| preprocess \| 1 \| 4000 \| \d{3} \|",
}


def read(page):
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(language, page="README.md"):
    """The fenced blocks of a language, in order."""
    fenced = re.findall(r"^```([\w-]*)\n(.*?)^```$", read(page), re.DOTALL | re.MULTILINE)
    return [text for name, text in fenced if name == language]


def commands(page):
    """Every command in a page's fenced shell blocks, without its comment."""
    text = "".join(block for language in SHELL for block in blocks(language, page))
    lines = text.replace("\\\n", " ").splitlines()
    return [" ".join(line.split(" #")[0].split()) for line in lines if line.split("#")[0].strip()]


ALL = dict.fromkeys(command for page in PAGES for command in commands(page))


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    """The configuration in the README, with its data: a simulated cohort under other names of its groups."""
    folder = tmp_path_factory.mktemp("mine")
    write_cohort(folder / "freesurfer", subjects=24, effect=1.0, seed=1)
    people = folder / "freesurfer" / "participants.tsv"
    people.write_text(people.read_text().replace("control", "HC").replace("schizophrenia", "SZ"))
    (text,) = blocks("yaml")
    (folder / "mine.yaml").write_text(text.replace("/data/mine/freesurfer", str(folder / "freesurfer")))
    return folder / "mine.yaml"


def run(*command, **options):
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    process = subprocess.run(command, env=environment, **output, **{"cwd": ROOT} | options)
    assert process.returncode == 0, process.stdout
    return process.stdout


@pytest.mark.parametrize("command", [command for command in ALL if command not in ELSEWHERE])
def test_a_command_in_a_page_does_what_it_says(command, mine, tmp_path, monkeypatch):
    """Snakemake plans, make says what it would do, a program has the options that it is given."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    program, *arguments = shlex.split(command.replace("config/mine.yaml", shlex.quote(str(mine))))
    if program == "snakemake":
        arguments += [] if "-n" in arguments else ["-n"]
        output = run(program, *arguments, "--directory", str(tmp_path))
        assert "This was a dry-run" in output or "Nothing to be done" in output
        assert not (tmp_path / "results").exists()
    elif program == "make":
        assert run(program, "--dry-run", "--always-make", *arguments).strip()
    else:
        assert program == "python" and arguments[0] in BENCHMARKS, (
            f"{command}: say in this file how to run it, or in ELSEWHERE why not"
        )
        text = read(arguments[0])
        assert [option for option in arguments if option.startswith("--") and f'"{option}"' not in text] == []


@pytest.fixture(scope="module")
def paired(mine, snakemake, tmp_path_factory):
    """A folder where people were paired with the configuration in the README."""
    folder = tmp_path_factory.mktemp("paired")
    snakemake(ROOT, folder, "--cores", "1", "--until", "split", "--show-failed-logs", "--configfile", mine)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("command", [c for c in ALL if c.startswith("python benchmarks/") and c not in ELSEWHERE])
def test_a_benchmark_in_a_page_comes_to_its_end_in_a_short_form(command, mine, paired, tmp_path):
    _, program, *options = command.split()
    options = [option for option in options if option != "--write"]  # which would write the page anew
    if program == "benchmarks/monitor.py":
        options += ["--quick"] if {"--models", "--profile"} & set(options) else ["--quick", "--models", "mlp-table"]
    elif program == "benchmarks/calibration.py":
        asked = ["--configfile", mine] if "--configfile" in options else ["--only", "mlp-equal"]
        options = [*asked, "--replicates", "1", "--output", tmp_path / "calibration"]
    elif program == "benchmarks/shuffle.py":
        options = [mine, *options[1:], "--output", tmp_path / "shuffled"]
    elif program == "benchmarks/dry_runs.py":
        options += ["--repeats", "1"]
    printed = run(sys.executable, str(ROOT / program), *map(str, options), cwd=paired)
    assert re.search(BENCHMARKS[program], printed), printed


def test_commands_that_are_run_elsewhere_are_still_in_a_page():
    assert set(ELSEWHERE) <= set(ALL)


@pytest.mark.slow
def test_your_own_data_are_read_and_paired_with_the_configuration_in_the_readme(mine, snakemake, tmp_path):
    target = "results/mine/preprocessed/mine/pairs.tsv"
    snakemake(ROOT, tmp_path, target, "--cores", "1", "--show-failed-logs", "--configfile", mine)
    header, *pairs = (tmp_path / target).read_text().splitlines()
    assert "group" in header.split("\t") and len(pairs) >= 2
    assert {"control", "patient"} <= {cell for row in pairs for cell in row.split("\t")}


def test_the_training_loop_in_the_readme_runs_and_gives_group_spectra():
    matplotlib.use("Agg")
    (program,) = blocks("python")
    names = {}
    exec(compile(program, "README.md", "exec"), names)
    table = names["table"]
    assert set(table["group"]) == {"control", "patient", "all"}
    assert set(table["epoch"]) == {1, 2, 3, 4, 5}
    last = table[(table["layer"] == "2") & (table["quantity"] == "gradient") & (table["epoch"] == 5)]
    assert all(np.isfinite(values).all() and values[0] > 0 for values in last["singular_values"])
    assert not names["model"][0]._forward_hooks


def test_the_code_in_the_page_on_reading_reads_a_runs_spectra(tmp_path, monkeypatch, capsys):
    (program,) = blocks("python", "docs/reading.md")
    rows = [
        {"epoch": epoch, "layer": layer, "depth": 0, "quantity": "gradient", "group": group, "batch": 32.0, "n": 16}
        | {"steps": 4, "singular_values": [10.0 * epoch + place, 1.0], "singular_values_sd": [0.1, 0.1]}
        for epoch in (1, 2)
        for layer in ("encoder.linear1", "encoder.linear2")
        for place, group in enumerate(("control", "patient"))
    ]
    path = tmp_path / re.search(r'"(results/.*?\.parquet)"', program)[1]
    write_parquet(pa.Table.from_pylist(rows, schema=SPECTRA), path)
    monkeypatch.chdir(tmp_path)
    exec(compile(program, "reading.md", "exec"), {})
    assert [line.split() for line in capsys.readouterr().out.splitlines()][-2:] == [
        ["1", "10.0", "11.0"], ["2", "20.0", "21.0"],
    ]  # fmt: skip


def test_every_figure_and_table_has_its_place_in_the_page_on_reading():
    text = read("docs/reading.md")
    kinds = grid.figures(read_configuration(ROOT / "config" / "config.yaml"))
    tables = re.findall(r"_TESTS}/(\w+\.\w+)", read("workflow/rules/statistics.smk"))
    assert len(kinds) > 10 and len(tables) > 5
    assert [kind for kind in kinds if f"`figures/{kind}/`" not in text] == []
    assert [name for name in (*tables, "claims.tsv", "runs.tsv", "report.html") if f"{name}`" not in text] == []


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", read(page)):
        assert (ROOT / page).parent.joinpath(link).exists(), link


def test_every_page_can_be_reached_from_the_readme():
    linked = set(re.findall(r"\]\(([^)#]+\.md)", read("README.md")))
    assert linked >= {page for page in PAGES if page != "README.md"}


def test_every_path_in_the_map_of_the_code_is_there():
    head, monitor = read("CONTRIBUTING.md").split("## The monitor")
    named = set(re.findall(r"`([\w./-]+)`", head))
    assert len(named) > 20
    assert [name for name in named if "/" in name and not (ROOT / name).exists()] == []
    files = re.findall(r"`([\w/]+(?:\.py|/))`", monitor.split("## Working")[0])
    assert len(files) > 10
    folder = ROOT / "workflow" / "autospec" / "spectra"
    assert [name for name in files if not (folder / name).exists() and not (ROOT / name).exists()] == []
    mapped = {name.rstrip("/") for name in named}
    library = {str(path.relative_to(ROOT)) for path in (ROOT / "workflow" / "autospec").glob("[a-z]*")}
    assert library - mapped == {"workflow/autospec/jobs.py", "workflow/autospec/errors.py"}


@pytest.mark.parametrize("page", ["docs/method.md", "docs/reading.md"])
def test_code_that_a_page_names_is_there(page):
    for path in re.findall(r"`((?:workflow|benchmarks|tests|config)/[\w./-]+)`", read(page)):
        assert (ROOT / path).exists(), path


def test_the_picture_of_the_rules_is_what_the_rules_are(repository, snakemake, tmp_path):
    specification = importlib.util.spec_from_file_location("rulegraph", repository / "workflow" / "rulegraph.py")
    rulegraph = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(rulegraph)
    test = repository / "config" / "test.yaml"
    text = snakemake(repository, tmp_path, "--configfile", test, "--rulegraph", "mermaid-js").stdout
    assert blocks("mermaid") == [rulegraph.draw(text) + "\n"], "run `make rulegraph`"
