"""Where a run's state and results live until Snakemake takes them: a folder a run, by its key.

Outside Snakemake's outputs, which Snakemake deletes when a job fails.
"""

import contextlib
import fcntl
import hashlib
import io
import json
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import torch

from autospec.imports import library_files
from autospec.tables import atomic_path

logger = logging.getLogger(__name__)

# Bytes of the checksum (SHA-256) that a state begins with.
_DIGEST = 32


def run_key(settings: dict, inputs: dict[str, str]) -> str:
    """Hash of all that decides a run's bytes: its settings, its inputs' checksums, the code that trains it."""
    code = hashlib.sha256()
    for file in library_files(Path(__file__).resolve().parents[2], "autospec/training/runs.py"):
        code.update(Path(file).read_bytes())
    text = json.dumps([settings, inputs, code.hexdigest(), torch.__version__], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@contextlib.contextmanager
def locked_folder(root: str | Path, key: str) -> Iterator[Path]:
    """Hold the folder `root`/`key` for this process alone; wait while another has it."""
    root = Path(root)
    root.mkdir(parents=True, exist_ok=True)
    with open(root / f"{key}.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logger.info("another job is training this run; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        folder = root / key
        folder.mkdir(exist_ok=True)
        yield folder


def save_state(state: dict, folder: Path) -> None:
    """Write a run's state, whole or not at all."""
    # Through memory: on a full disk torch's own writer does not say what went wrong.
    file = io.BytesIO()
    torch.save(state, file)
    content = file.getvalue()
    with atomic_path(folder / "state.pt") as temporary:
        temporary.write_bytes(hashlib.sha256(content).digest() + content)


def load_state(folder: Path) -> dict | None:
    """The state that a killed job left in `folder`, or None; one that is damaged is removed, and the log says so."""
    path = folder / "state.pt"
    if not path.exists():
        return None
    whole = path.read_bytes()
    digest, content = whole[:_DIGEST], whole[_DIGEST:]
    if hashlib.sha256(content).digest() != digest:
        logger.warning("%s: found other bytes than were written, so this seed is trained from its start", path)
        path.unlink()
        return None
    return torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")


def remove_partial(folder: Path) -> None:
    """Remove what a killed job had begun to write in `folder`; for whoever holds the run's lock."""
    for path in folder.glob(".*.part"):
        path.unlink()


def copy_result(source: Path, target: Path) -> None:
    """Copy a finished file to Snakemake's output, whole or not at all."""
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)
