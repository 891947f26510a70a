"""What every test may ask for."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]

# Tests run beside one another, so each takes one thread.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")


def pytest_collection_modifyitems(items):
    """Begin with whole runs, the longest, so that the others fill the time beside them."""
    items.sort(key=lambda item: item.path.name != "test_whole_run.py")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the repository."""
    return REPOSITORY


@pytest.fixture(scope="session")
def snakemake(tmp_path_factory):
    """Run Snakemake: ``snakemake(repository, folder, *arguments)`` gives the finished process."""
    cache = tmp_path_factory.mktemp("cache")

    def run(repository: Path, folder: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "snakemake", "--snakefile", repository / "Snakefile", "--directory", folder]
        environment = os.environ | {"XDG_CACHE_HOME": str(cache), "PYTHONDONTWRITEBYTECODE": "1"}
        process = subprocess.run(
            [*map(str, command), *map(str, arguments)],
            cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        if check:
            assert process.returncode == 0, process.stdout
        return process

    return run


@pytest.fixture
def other_disk(tmp_path):
    """A folder on another disk than the repository and the data, where there is one that is known: memory, on Linux."""
    memory = Path("/dev/shm")
    there = memory.is_dir() and os.access(memory, os.W_OK) and memory.stat().st_dev != tmp_path.stat().st_dev
    with tempfile.TemporaryDirectory(dir=memory if there else tmp_path) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data: AUTOSPEC_DATA, or shared/data beside the repository.

    Where it is absent tests are skipped; in continuous integration that is a failure.
    """
    folder = Path(os.environ.get("AUTOSPEC_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        reason = f"no real data at {folder}; name their folder by AUTOSPEC_DATA"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder
