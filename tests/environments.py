"""A stand-in for conda, and an environment that holds Snakemake alone, for the tests."""

import os
import subprocess
import sys
from pathlib import Path

import yaml

CONDA = Path(__file__).parent / "conda"
ACTIVATE = 'export CONDA_PREFIX="$1" PATH="$1/bin:$PATH"\n'


def make_conda(folder: Path, *packages: str) -> Path:
    """Make the command `conda`, the channel behind it, and an environment to start Snakemake from.

    Snakemake lends the packages beside it to its jobs, so it is started from an environment that lacks theirs.

    Parameters
    ----------
    folder : Path
        An empty folder: ``bin/conda`` and ``launcher/bin/python`` will lie in it.
    *packages : str
        What the launcher holds beside Snakemake and what the workflow's own rules need.
    """
    subprocess.run([sys.executable, CONDA / "channel.py", folder / "channel"], check=True)
    (folder / "bin").mkdir()
    (folder / "bin" / "activate").write_text(ACTIVATE)
    command = folder / "bin" / "conda"
    parts = " ".join(f"'{part}'" for part in (sys.executable, CONDA / "conda.py", folder / "channel", folder))
    command.write_text(f'#!/bin/sh\nexec {parts} "$@"\n')
    command.chmod(0o755)
    wanted = folder / "launcher.yaml"
    wanted.write_text(yaml.safe_dump({"dependencies": ["python", "snakemake", "jsonschema", "pyyaml", *packages]}))
    subprocess.run([command, "env", "create", "--file", wanted, "--prefix", folder / "launcher"], check=True)
    return folder


def environment(conda: Path) -> dict[str, str]:
    """The variables with which Snakemake finds that `conda`, and nothing of the environment of the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "CONDA"))}
    return kept | {"PATH": f"{conda / 'bin'}:{os.environ['PATH']}"}
