"""The library installed by itself, as `pip install .` does, in an environment that has not the workflow."""

import re
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_library_is_installed_by_pip_and_runs_the_readmes_training_loop(copied, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "fresh"], check=True)
    python = tmp_path / "fresh" / "bin" / "python"
    (site,) = (tmp_path / "fresh").glob("lib/*/site-packages")
    # What the library needs comes from beside these tests and from no index.
    (site / "beside.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", "."], cwd=copied, check=True)
    library = copied / "workflow" / "autospec"
    made = {path.relative_to(library) for path in library.rglob("*.py")}
    assert {path.relative_to(site / "autospec") for path in (site / "autospec").rglob("*.py")} == made
    program = re.search(r"^```python\n(.*?)^```$", (copied / "README.md").read_text(), re.DOTALL | re.MULTILINE)[1]
    program = f"import matplotlib; matplotlib.use('Agg')\n{program}\nimport autospec; print(autospec.__file__)"
    ran = subprocess.run([python, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert Path(ran.stdout.strip()) == site / "autospec" / "__init__.py"
    project = tomllib.loads((copied / "pyproject.toml").read_text())["project"]
    (metadata,) = site.glob("autospec-*.dist-info/METADATA")
    assert [name for name in project["dependencies"] if f"Requires-Dist: {name}" not in metadata.read_text()] == []
