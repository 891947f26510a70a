"""Take away what a killed Snakemake left in the working directory: its jobs, and its lock.

Snakemake's own lock file outlives it and stops every later run. A run that is alive is left alone;
jobs that outlived a killed run are waited for, lock or none, since they may still write.
"""

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
        if "--mode subprocess" in line or "/.snakemake/scripts/" in line:
            jobs.append(process.pid)
        elif any(Path(argument).name == "snakemake" for argument in arguments[:3]):
            runs.append(process.pid)
    return runs, jobs


def main() -> None:
    folder = Path.cwd()
    runs, jobs = snakemakes(folder)
    if runs:
        sys.exit(f"Snakemake is at work in this folder already (process {runs[0]}). Wait for it, or stop it.")
    if jobs:
        print(f"Waiting for {len(jobs)} job(s) of an interrupted run to end.", flush=True)
    while snakemakes(folder)[1]:
        time.sleep(1)
    if any(Path(".snakemake/locks").glob("*")):
        subprocess.run([Path(sys.executable).with_name("snakemake"), "--unlock", "--quiet", "all"], check=True)


if __name__ == "__main__":
    main()
