"""A real cluster of one node, and Snakemake on it as docs/cluster.md says."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cluster import ETC, Cluster

TOOLS = ("slurmctld", "slurmd", "sbatch", "munged", "runuser")
#: The tests look at the cluster more often than a person would.
OFTEN = ("--slurm-init-seconds-before-status-checks", "2")


def _refuse(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """The cluster, idle; stopped and taken away afterwards."""
    if os.getuid() != 0:
        _refuse("a cluster is started as root: `make test-slurm`")
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        _refuse(f"no {', '.join(missing)} here; `make test-slurm` installs them on Debian")
    found = ETC / "slurm.conf"
    if found.exists() and not found.read_text(encoding="utf-8").startswith("# A SLURM of one node for the tests"):
        _refuse(f"{found} belongs to another cluster, which is left alone")
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    cluster.start()
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def submit(cluster, repository, tmp_path_factory):
    """Start Snakemake with the profile: ``submit(folder, *arguments)`` gives the process, which logs in the folder."""
    cache = tmp_path_factory.mktemp("cache")
    started = []

    def start(folder: Path, *arguments: str) -> subprocess.Popen:
        command = [
            Path(sys.executable).with_name("snakemake"), *arguments, "--profile", "slurm", "--directory", folder,
            "--configfile", "config/test.yaml", *OFTEN,
        ]  # fmt: skip
        with open(folder / "output.txt", "a", encoding="utf-8") as output:
            process = subprocess.Popen(
                list(map(str, command)), cwd=repository, env=os.environ | {"XDG_CACHE_HOME": str(cache)},
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()  # where a test has failed


@pytest.fixture(scope="session")
def finish():
    """Wait for a Snakemake of `submit` and check that it ended well."""

    def wait(process: subprocess.Popen, folder: Path) -> None:
        assert process.wait(timeout=1800) == 0, (folder / "output.txt").read_text(encoding="utf-8")[-6000:]

    return wait


@pytest.fixture(scope="session")
def quiet(submit, finish, tmp_path_factory) -> Path:
    """A folder, its path with a space and a letter outside ASCII, where the test configuration ran to its end."""
    folder = tmp_path_factory.mktemp("cluster") / "Zoë's results"
    folder.mkdir()
    gpu = ("--set-resources", "train:gpu=1", "train:slurm_partition=gpu")
    finish(submit(folder, *gpu), folder)
    return folder
