"""The library's calls, attributes and returns agree with its annotations."""

import subprocess
import sys


def test_the_library_passes_its_type_check(repository, tmp_path):
    command = [sys.executable, "-m", "mypy", "--cache-dir", tmp_path / "cache"]
    process = subprocess.run(command, cwd=repository, capture_output=True, text=True)
    assert process.returncode == 0, process.stdout
