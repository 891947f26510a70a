"""Running Snakemake as a person does."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml


@pytest.fixture
def configured(tmp_path):
    """Write a configuration, given as a dict, and give its path."""

    def write(config: dict) -> Path:
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(config, sort_keys=False))
        return path

    return write


@pytest.fixture(scope="session")
def copied(repository, tmp_path_factory) -> Path:
    """A copy of the repository that a test may edit: what git knows, and what it would know."""
    target = tmp_path_factory.mktemp("copy") / "repository"
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True).stdout.splitlines()
    for name in names:
        if (repository / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(repository / name, target / name)
    return target


@pytest.fixture(scope="session")
def jobs():
    """How many jobs of each rule a (dry) run announced, from its output."""

    def count(output: str) -> dict[str, int]:
        table = re.search(r"^job +count\n-+ +-+\n(.*?)\n\n", output, re.MULTILINE | re.DOTALL)
        counts = (line.rsplit(maxsplit=1) for line in table[1].splitlines()) if table else ()
        return {rule.strip(): int(number) for rule, number in counts if rule.strip() not in ("total", "all")}

    return count
