"""Snakemake, its jobs, or both, killed at random moments: the run that is begun again ends with the same bytes."""

import contextlib
import os
import shutil
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

CONFIG = {
    "output": "results",
    "seeds": 2,
    "datasets": {"digits": {
        "source": "digits", "groups": {"even": [0, 2, 4, 6, 8], "odd": [1, 3, 5, 7, 9]}, "limit": 200,
    }},
    "comparisons": {"groups": [{"dataset": "digits", "model": "mlp", "task": "autoencoding"}]},
    "models": {"mlp": {"widths": [16, 8]}},
    "training": {"epochs": 40},
    "statistics": {"labelings": 20},
}  # fmt: skip
RUN = "results/runs/data-digits_model-mlp_task-autoencoding_activation-relu_shape-base"
TABLES = ("spectra.parquet", "labelings.parquet", "directions.parquet", "metrics.parquet")


def contents(folder):
    return [(folder / RUN / f"seed-{seed}" / name).read_bytes() for seed in (0, 1) for name in TABLES]


@pytest.mark.slow
def test_a_workflow_killed_at_random_moments_ends_with_the_same_bytes(repository, configured, tmp_path):
    snakemake = [
        sys.executable, "-m", "snakemake", "--snakefile", str(repository / "Snakefile"), "--cores", "1",
        "--configfile", str(configured(CONFIG)),
    ]  # fmt: skip
    command = [*snakemake, "--rerun-incomplete", "--", f"{RUN}/seed-0/run.json"]
    quiet, killed = tmp_path / "quiet", tmp_path / "killed"
    quiet.mkdir()
    killed.mkdir()
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}

    def tidy():
        """Wait for jobs that outlived their Snakemake, then take its lock away."""
        subprocess.run([sys.executable, repository / "workflow" / "unlock.py"], cwd=killed, **silent)
        subprocess.run([*snakemake, "--unlock"], cwd=killed, check=True, **silent)

    begun = time.perf_counter()
    subprocess.run(command, cwd=quiet, check=True, **silent)
    whole = time.perf_counter() - begun
    generator = np.random.default_rng(0)
    deaths = []
    for victim in ("run", "job", "both"):
        tidy()
        run = psutil.Popen(command, cwd=killed, **silent)
        time.sleep(generator.uniform(0.3, 0.9) * whole)
        try:
            jobs = [child for child in run.children(recursive=True) if "/.snakemake/scripts/" in str(child.cmdline())]
        except psutil.Error:
            jobs = []
        for process in (*([] if victim == "job" else [run]), *([] if victim == "run" else jobs)):
            if process.is_running():
                process.kill()
                deaths.append(victim)
        run.wait()
    assert len(deaths) >= 2
    tidy()
    subprocess.run(command, cwd=killed, check=True, **silent)
    assert contents(killed) == contents(quiet)


@pytest.mark.slow
def test_statistics_and_figures_killed_at_random_moments_end_with_the_same_bytes_on_more_cores(
    repository, configured, tmp_path
):
    small = CONFIG | {"training": {"epochs": 2}, "models": {"mlp": {"widths": [8, 4]}}}
    name = RUN.removeprefix("results/runs/")
    targets = [f"results/statistics/groups/{name}/cells.tsv", f"results/figures/groups/{name}.pdf"]
    snakemake = [
        sys.executable, "-m", "snakemake", "--snakefile", str(repository / "Snakefile"),
        "--configfile", str(configured(small)), "--rerun-incomplete",
    ]  # fmt: skip
    quiet, killed = tmp_path / "quiet", tmp_path / "killed"
    quiet.mkdir()
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    one = [*snakemake, "--cores", "1", "--"]
    subprocess.run([*one, f"{RUN}/seed-0/run.json"], cwd=quiet, check=True, **silent)
    shutil.copytree(quiet, killed)
    subprocess.run([*one, *targets], cwd=quiet, check=True, **silent)
    command = [*snakemake, "--cores", "2", "--", *targets]
    more = silent | {"cwd": killed, "env": os.environ | {"OMP_NUM_THREADS": "2"}}

    def tidy():
        subprocess.run([sys.executable, repository / "workflow" / "unlock.py"], cwd=killed, **silent)
        subprocess.run([*snakemake, "--unlock"], cwd=killed, check=True, **silent)

    def jobs_of(run, script):
        """The processes of a job with this script, as long as the run lives."""
        found = []
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in run.children(recursive=True):
                # One that has just ended has no command line.
                with contextlib.suppress(psutil.Error):
                    found += [child] * any(script in word for word in child.cmdline())
        return found

    generator = np.random.default_rng(1)
    deaths = []
    for victim, script in (("job", ".test_groups.py"), ("both", ".figure_groups.py")):
        run = psutil.Popen(command, **more)
        while not jobs_of(run, script) and run.poll() is None:
            time.sleep(0.02)
        # A job's libraries take longer than this.
        time.sleep(generator.uniform(0, 0.3))
        jobs = jobs_of(run, script)
        for process in (*([] if victim == "job" else [run]), *([] if victim == "run" else jobs)):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
                deaths.append((victim, script))
        run.wait()
        if victim == "both":
            tidy()
    assert len(set(deaths)) == 2
    subprocess.run(command, check=True, **more)

    def tables(folder):
        found = [*(folder / "results" / "statistics").rglob("*.tsv"), *(folder / "results" / "figures").rglob("*.*")]
        return {str(path.relative_to(folder)): path.read_bytes() for path in found}

    assert contents(killed) == contents(quiet)
    assert len(tables(quiet)) >= 7 and tables(killed) == tables(quiet)
