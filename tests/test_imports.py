import ast
import re
from pathlib import Path

import pytest

from autospec.data import sources
from autospec.imports import imported, library_files


def names(files, folder):
    return {str(Path(file).relative_to(folder)) for file in files}


def test_imports_are_followed_through_other_files(tmp_path):
    package = tmp_path / "autospec"
    (package / "part").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "part" / "__init__.py").touch()
    (package / "part" / "deep.py").write_text("import numpy\nfrom autospec.tables import read\n")
    (package / "part" / "other.py").touch()
    (package / "tables.py").write_text("def read():\n    from autospec.late import x\n")
    (package / "late.py").touch()
    (package / "jobs.py").touch()
    (tmp_path / "script.py").write_text(
        "from autospec.jobs import job\nwith job():\n    from autospec.part import deep\n"
    )
    assert names(library_files(tmp_path, "script.py"), package) == {
        "part/__init__.py", "part/deep.py", "tables.py", "late.py",
    }  # fmt: skip


def test_imports_are_found_as_pythons_own_parser_finds_them(repository):
    folder = repository / "workflow"
    for path in [*folder.rglob("*.py"), *(repository / "benchmarks").glob("*.py")]:
        named = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                named |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                named |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        # The first level alone: what the file itself names, and the packages on the way.
        parts = [name.split(".") for name in named if name.startswith("autospec.")]
        files = {folder.joinpath(*part[:depth]) for part in parts for depth in range(2, len(part) + 1)}
        files = {file for part in files for file in (part / "__init__.py", part.with_suffix(".py")) if file.is_file()}
        assert imported(folder, path) == files, path


def test_relative_imports_are_refused(tmp_path):
    (tmp_path / "script.py").write_text("import os\nfrom .part import deep\n")
    with pytest.raises(ValueError, match="script.py, line 2: a relative import"):
        library_files(tmp_path, "script.py")


def test_imports_over_several_lines_with_comments_and_other_names_are_followed(tmp_path):
    for name in ("a", "b", "c", "d"):
        (tmp_path / "autospec").mkdir(exist_ok=True)
        (tmp_path / "autospec" / f"{name}.py").touch()
    text = "import autospec.a as x, numpy  # one\nfrom autospec import (  # two\n    b,  # three\n    c as y,\n)\n"
    (tmp_path / "script.py").write_text(text + "#from autospec import d\n")
    assert names(library_files(tmp_path, "script.py"), tmp_path / "autospec") == {"a.py", "b.py", "c.py"}


@pytest.mark.parametrize(
    ("script", "stands_on", "stands_not_on"),
    [
        ("train", ["spectra", "models", "training", "data/dataset.py", "tables.py"], ["statistics", "figures"]),
        ("test_groups", ["statistics", "tables.py"], ["spectra", "models", "figures", "training"]),
        ("figure_groups", ["figures", "tables.py"], ["spectra", "models", "training"]),
        ("split", ["data/splits.py"], ["spectra", "models", "figures", "training", "statistics"]),
    ],
)
def test_scripts_stand_on_the_parts_that_the_design_allows(repository, script, stands_on, stands_not_on):
    folder = repository / "workflow"
    files = names(library_files(folder, f"scripts/{script}.py"), folder / "autospec")
    for part in stands_on:
        assert any(file.startswith(part) for file in files), part
    for part in stands_not_on:
        assert not any(file.startswith(part) for file in files), part


def test_no_import_is_hidden_from_the_rules(repository):
    """Only the choice of a reader imports by name; the rule of preprocessing names that reader itself."""
    hidden = [
        str(path.relative_to(repository))
        for path in (repository / "workflow" / "autospec").rglob("*.py")
        if re.search(r"import_module|__import__", path.read_text(encoding="utf-8"))
    ]
    assert hidden == ["workflow/autospec/data/sources.py"]
    rules = (repository / "workflow" / "rules" / "common.smk").read_text(encoding="utf-8")
    readers = ast.literal_eval(re.search(r"READERS = ({.*?})", rules, re.DOTALL)[1])
    assert {source: readers.get(source, source) for source in sources.MODULES} == sources.MODULES


ALLOWED = {
    "spectra": {"spectra", "tables"},
    "models": {"models"},
    "data": {"data", "tables"},
    "training": {"training", "data", "models", "spectra", "tables", "imports"},
    "statistics": {"statistics", "tables"},
    "figures": {"figures", "statistics", "tables"},
    "report": {"report", "figures", "statistics", "tables"},
}


@pytest.mark.parametrize("part", ALLOWED)
def test_arrows_between_parts_go_one_way(repository, part):
    shared = {"errors", "jobs", "summaries", "text"}
    for path in (repository / "workflow" / "autospec" / part).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("autospec."):
                target = node.module.split(".")[1]
                assert target in ALLOWED[part] | shared, f"{path}: {node.module}"


@pytest.mark.parametrize("part", ["data", "statistics", "figures"])
def test_parts_that_need_no_torch_do_not_import_it(repository, part):
    for path in (repository / "workflow" / "autospec" / part).rglob("*.py"):
        assert not re.search(r"^\s*(import|from) torch\b", path.read_text(encoding="utf-8"), re.MULTILINE), path
