"""Snakemake, its jobs, or both, killed at random moments: the run that is begun again ends with the same bytes."""

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
