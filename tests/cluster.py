"""A real SLURM of one node, with GPUs in name only, for the tests; it needs root."""

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

CONFIGURATION = Path(__file__).parent / "slurm" / "slurm.conf"
#: The job step drops SLURM's environment variables, so the configuration must lie here.
ETC = Path("/etc/slurm")
GRES = "NodeName=localhost Name=gpu Type=h200 File=/dev/null\nNodeName=localhost Name=gpu Type=h200 File=/dev/zero\n"
FIELDS = ("JobID", "State", "Comment", "STDOUT", "Partition", "tres-per-job", "TimeLimit", "MinMemory")


@dataclass
class Job:
    """What the controller remembers of a job."""

    number: str
    state: str
    name: str  # of the rule or the group
    log: str  # lies in the folder where Snakemake works
    partition: str
    gpu: bool
    minutes: int
    megabytes: int

    @property
    def kind(self) -> str:
        """The group that the job is of, or else its rule."""
        return self.name.split("_")[0] if self.name.startswith(("prepare", "draw")) else self.name


class Cluster:
    """The daemons, and what tests ask and tell them.

    Parameters
    ----------
    folder : Path
        An empty folder for their state and logs.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def start(self) -> None:
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        ETC.mkdir(exist_ok=True)
        text = CONFIGURATION.read_text(encoding="utf-8").replace("{folder}", str(self.folder))
        (ETC / "slurm.conf").write_text(text, encoding="utf-8")
        (ETC / "gres.conf").write_text(GRES, encoding="utf-8")
        if self.ask("munge", "--no-input", check=False) == "":
            self.ask("install", "-d", "-o", "munge", "-g", "munge", "/run/munge")
            self.ask("runuser", "-u", "munge", "--", "munged")
        self.start_controller()
        self.ask("slurmd", "-N", "localhost")
        wait_for(lambda: self.ask("sinfo", "--noheader", "--format=%T").splitlines()[0] == "idle", "an idle node")

    def stop(self) -> None:
        self.clear()
        for name in ("slurmctld", "slurmd"):
            self._end(name, signal.SIGKILL)
        for name in ("slurm.conf", "gres.conf"):
            (ETC / name).unlink()

    def clear(self) -> None:
        """End what runs and waits, and bring back what a test took away."""
        if not Path(f"/proc/{self._process('slurmctld')}").exists():
            self.start_controller()
        self.ask("scancel", "--user=root")
        self.ask("scontrol", "update", "nodename=localhost", "state=resume", check=False)  # refused where it is up
        wait_for(lambda: not self.ask("squeue", "--noheader"), "the end of the last jobs")

    def start_controller(self) -> None:
        self.ask("slurmctld")

    def stop_controller(self) -> None:
        """Stop it as for a restart: it saves its state, which a killed one does only every few seconds."""
        self._end("slurmctld", signal.SIGTERM)

    def forget(self) -> None:
        """Make the controller forget the jobs that have ended, as each does some minutes after its end."""
        text = (ETC / "slurm.conf").read_text(encoding="utf-8")
        (ETC / "slurm.conf").write_text(text.replace("MinJobAge=3600", "MinJobAge=2"), encoding="utf-8")
        self.ask("scontrol", "reconfigure")
        wait_for(lambda: not self.ask("squeue", "--noheader", "--states=all"), "jobs to be forgotten")
        (ETC / "slurm.conf").write_text(text, encoding="utf-8")
        self.ask("scontrol", "reconfigure")

    def _process(self, name: str) -> int:
        return int((self.folder / f"{name}.pid").read_text())

    def _end(self, name: str, how: signal.Signals) -> None:
        process = self._process(name)
        os.kill(process, how)
        wait_for(lambda: not Path(f"/proc/{process}").exists(), f"the end of {name}")

    def jobs(self, folder: Path, name: str = "") -> list[Job]:
        """Every job that a Snakemake in `folder` submitted, finished ones too, in order; of one rule or of all."""
        wanted = ",".join(f"{field}:|" for field in FIELDS)
        lines = self.ask("squeue", "--states=all", "--noheader", "--sort=i", f"--Format={wanted}").splitlines()
        jobs = []
        for line in lines:
            number, state, comment, log, partition, tres, limit, memory = line.strip().split("|")[: len(FIELDS)]
            rule = comment.removeprefix("rule_").split("_wildcards_")[0]
            jobs.append(
                Job(number, state, rule, log, partition, tres == "gres:gpu:1", _minutes(limit), int(memory.rstrip("M")))
            )
        return [job for job in jobs if job.log.startswith(f"{folder}/") and job.name.startswith(name)]

    @staticmethod
    def ask(*command: str, check: bool = True) -> str:
        """What a command prints."""
        quiet = {"stdout": subprocess.PIPE, "stderr": None if check else subprocess.DEVNULL}
        return subprocess.run(command, check=check, text=True, stdin=subprocess.DEVNULL, **quiet).stdout.strip()


def wait_for(condition, what: str, seconds: float = 600):
    """Wait until `condition()` gives something, and give that."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.1)
    return found


def _minutes(limit: str) -> int:
    """Minutes of SLURM's [days-]hours:minutes:seconds."""
    days, _, rest = limit.rpartition("-")
    parts = [0, 0, *map(int, rest.split(":"))][-3:]
    return int(days or 0) * 1440 + parts[0] * 60 + parts[1]
