"""Take away what a killed Snakemake left in the working directory: its jobs, and its lock.

Snakemake's own lock file outlives it and stops every later run. A run that is alive is left alone;
jobs that outlived a killed run, here or on a cluster, are waited for, lock or none, since they may still write.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil


def snakemakes(folder: Path) -> tuple[list[int], list[int]]:
    """Process ids of the Snakemakes that work in `folder`: whole runs, and single jobs of runs."""
    runs, jobs = [], []
    for process in psutil.process_iter():
        try:
            arguments = process.cmdline()
            if Path(process.cwd()) != folder:
                continue
        except psutil.Error:
            continue  # it has ended, or belongs to someone else
        line = " ".join(arguments)
        if re.search(r"--mode (subprocess|remote)\b|/\.snakemake/scripts/", line):
            jobs.append(process.pid)
        elif any(Path(argument).name == "snakemake" for argument in arguments[:3]):
            runs.append(process.pid)
    return runs, jobs


def cluster_jobs(folder: Path) -> list[str]:
    """Numbers of the SLURM jobs, waiting or at work, that a Snakemake in `folder` submitted."""
    if not (folder / ".snakemake" / "slurm_logs").is_dir():
        return []
    command = ["squeue", "--me", "--noheader", "--Format=JobID:|,STDOUT:"]
    process = subprocess.run(command, capture_output=True, text=True)
    if process.returncode:
        sys.exit(f"SLURM does not answer, so jobs of an interrupted run cannot be seen: {process.stderr.strip()}")
    lines = (line.strip().split("|", 1) for line in process.stdout.splitlines())
    return [number for number, log in lines if log.startswith(f"{folder}/.snakemake/")]


def main() -> None:
    folder = Path.cwd()
    runs, jobs = snakemakes(folder)
    if runs:
        sys.exit(f"Snakemake is at work in this folder already (process {runs[0]}). Wait for it, or stop it.")
    if sent := cluster_jobs(folder):
        print(f"Waiting for SLURM jobs of an interrupted run; `scancel {' '.join(sent)}` ends them.", flush=True)
    elif jobs:
        print(f"Waiting for {len(jobs)} job(s) of an interrupted run to end.", flush=True)
    while cluster_jobs(folder) or snakemakes(folder)[1]:
        time.sleep(1)
    locks = folder / ".snakemake" / "locks"
    others = {path.stat().st_uid for path in locks.glob("*")} - {os.getuid()}
    if others:
        sys.exit(
            f"{locks} is of user {min(others)}, whose Snakemake may be at work and cannot be seen from here. Ask them; "
            "when it has ended, remove that folder."
        )
    # What `snakemake --unlock` does, which needs a Snakefile here.
    shutil.rmtree(locks, ignore_errors=True)


if __name__ == "__main__":
    main()
