"""The README's own code, run as written."""

import importlib.util
import re
from pathlib import Path

import matplotlib
import numpy as np

ROOT = Path(__file__).resolve().parents[1]


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)


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


def test_the_readme_names_only_files_that_are_there():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / link).exists(), link


def test_the_picture_of_the_rules_is_what_the_rules_are(repository, snakemake, tmp_path):
    specification = importlib.util.spec_from_file_location("rulegraph", repository / "workflow" / "rulegraph.py")
    rulegraph = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(rulegraph)
    test = repository / "config" / "test.yaml"
    text = snakemake(repository, tmp_path, "--configfile", test, "--rulegraph", "mermaid-js").stdout
    assert blocks("mermaid") == [rulegraph.draw(text) + "\n"], "run `make rulegraph`"
