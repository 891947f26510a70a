"""A real cluster of one node, and Snakemake on it as docs/cluster.md says."""

import os
import shutil
import signal
import subprocess
import sys
import time
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


@pytest.fixture(autouse=True)
def clear(cluster, submit):
    """Leave nothing at work for the next test, where one has failed."""
    yield
    submit.stop()
    cluster.clear()


class Submit:
    """Starts Snakemake with the profile: ``submit(folder, *arguments)`` gives the process, which logs in the folder."""

    def __init__(self, repository: Path, cache: Path):
        self.repository = repository
        self.cache = {"XDG_CACHE_HOME": str(cache)}
        self.started = []

    def __call__(self, folder: Path, *arguments: str, python=sys.executable, variables=os.environ) -> subprocess.Popen:
        command = [
            python, "-m", "snakemake", *arguments, "--profile", "slurm", "--directory", folder,
            "--configfile", "config/test.yaml", *OFTEN,
        ]  # fmt: skip
        (folder / "output.txt").touch()  # now, also where it is there already
        with open(folder / "output.txt", "a", encoding="utf-8") as output:
            process = subprocess.Popen(
                list(map(str, command)), cwd=self.repository, env=variables | self.cache,
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # heard where the tests ignore it
            )  # fmt: skip
        self.started.append(process)
        return process

    @staticmethod
    def finish(process: subprocess.Popen, folder: Path, seconds: float = 240) -> None:
        """Wait for a process that says something every few minutes, and check that it ended well."""
        output = folder / "output.txt"
        while (code := process.poll()) is None:
            if time.time() - output.stat().st_mtime > seconds:
                code = f"none; silent for {seconds} s"
                break
            time.sleep(0.5)
        assert code == 0, f"exit code {code}\n" + output.read_text(encoding="utf-8")[-6000:]

    def stop(self) -> None:
        """Kill what is still at work."""
        for process in self.started:
            process.kill()
            process.wait()
        self.started.clear()


@pytest.fixture(scope="session")
def submit(cluster, repository, tmp_path_factory):
    submit = Submit(repository, tmp_path_factory.mktemp("cache"))
    yield submit
    submit.stop()


@pytest.fixture(scope="session")
def quiet_run(cluster, submit, tmp_path_factory):
    """A run of the test configuration to its end: its folder, and its jobs while they are remembered."""
    folder = tmp_path_factory.mktemp("cluster") / "Zoë's results"
    folder.mkdir()
    gpu = ("--set-resources", "train:gpu=1", "train:slurm_partition=gpu")
    submit.finish(submit(folder, *gpu), folder, 600)
    return folder, cluster.jobs(folder)


@pytest.fixture(scope="session")
def quiet(quiet_run) -> Path:
    """A folder, its path with a space and a letter outside ASCII, where the test configuration ran to its end."""
    return quiet_run[0]


@pytest.fixture(scope="session")
def quiet_jobs(quiet_run) -> list:
    """The jobs of that run."""
    return quiet_run[1]
