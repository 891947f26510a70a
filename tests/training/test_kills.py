"""A run that is killed, or whose disk is full, goes on where it was and ends with the same bytes.

Children are forked, so that a death costs no import of torch.
"""

import contextlib
import errno
import multiprocessing
import os
import resource
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from simulated import SETTINGS

from autospec import tables
from autospec.training import runs

TABLES = ("spectra.parquet", "labelings.parquet", "directions.parquet", "metrics.parquet")
LONG = SETTINGS | {"training": SETTINGS["training"] | {"epochs": 8}}


@pytest.fixture
def job(prepared_files, monkeypatch):
    """Train two seeds of a model with a checkpoint after every epoch: ``job(folder)``."""
    monkeypatch.setattr(runs, "_SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    files = prepared_files((7, 6))
    # A thread pool that was at work would not survive a fork.
    torch.set_num_threads(1)

    def train(folder):
        identity = {"dataset": "made", "model": "bert", "task": "masked", "activation": "relu", "shape": "base"}
        folders = [str(folder / f"seed-{seed}") for seed in (0, 1)]
        runs.train_seeds(files, identity, [0, 1], LONG, folders, str(folder / "checkpoints"), 1)
        return [{name: Path(path, name).read_bytes() for name in TABLES} for path in folders]

    return train


def in_child(work) -> multiprocessing.Process:
    def quietly():
        with contextlib.redirect_stderr(open(os.devnull, "w")):
            work()

    process = multiprocessing.get_context("fork").Process(target=quietly)
    process.start()
    return process


def left_over(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.name.endswith(".part")]


@pytest.mark.parametrize("moment", ["before", "half way through", "after"])
def test_a_run_that_is_killed_at_each_of_its_writes_ends_with_the_same_bytes(job, tmp_path, monkeypatch, moment):
    quiet = job(tmp_path / "quiet")
    replace = os.replace

    def killing(source, target):
        if moment == "half way through":
            with open(source, "r+b") as file:
                file.truncate(os.path.getsize(source) // 2)
        if moment == "after":
            replace(source, target)
        os.kill(os.getpid(), signal.SIGKILL)

    def dies_at(write):
        count = iter(range(10_000))
        monkeypatch.setattr(tables.os, "replace", lambda *a: (killing if next(count) == write else replace)(*a))
        process = in_child(lambda: job(tmp_path / "killed"))
        process.join()
        return process.exitcode == -signal.SIGKILL

    # Each life does one write more than the last one did of its own: some die early, some late.
    deaths = 0
    for write in (0, 1, 2, 3, 5, 4, 0, 2, 1, 0, 3, 0, 1, 0, 0):
        deaths += dies_at(write)
    monkeypatch.setattr(tables.os, "replace", replace)
    assert deaths >= 10
    assert job(tmp_path / "killed") == quiet
    assert not left_over(tmp_path / "killed")


def test_a_run_that_is_killed_at_many_random_moments_ends_with_the_same_bytes(job, tmp_path):
    begun = time.perf_counter()
    quiet = job(tmp_path / "quiet")
    whole = time.perf_counter() - begun
    generator = np.random.default_rng(0)
    deaths = 0
    for _ in range(30):
        process = in_child(lambda: job(tmp_path / "killed"))
        process.join(generator.uniform(0, 0.4) * whole)
        process.kill()
        process.join()
        deaths += process.exitcode != 0
    assert deaths >= 4
    assert job(tmp_path / "killed") == quiet


DAMAGES = {
    "cut": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "with a bit flipped": lambda content: content[:2000] + bytes([content[2000] ^ 4]) + content[2001:],
    "with a bit of its checksum flipped": lambda content: bytes([content[0] ^ 1]) + content[1:],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_discarded_with_a_word_and_the_seed_trained_anew(
    job, tmp_path, monkeypatch, caplog, damage
):
    quiet = job(tmp_path / "quiet")
    save, saved = runs.save_state, []

    def saves_thrice(state, folder):
        save(state, folder)
        saved.append(state["epoch"])
        if len(saved) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(runs, "save_state", saves_thrice)
    with pytest.raises(KeyboardInterrupt):
        job(tmp_path / "stopped")
    monkeypatch.setattr(runs, "save_state", save)
    (path,) = (tmp_path / "stopped").rglob("state.pt")
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    caplog.set_level("INFO")
    assert job(tmp_path / "stopped") == quiet
    assert f"{path}: found other bytes than were written" in caplog.text
    assert "going on after epoch" not in caplog.text


@pytest.mark.parametrize("limit", [500, 3000, 8000, 15000, 30000])
def test_a_write_that_the_system_refuses_leaves_no_half_file_and_the_run_goes_on_later(job, tmp_path, limit):
    quiet = job(tmp_path / "quiet")
    told = tmp_path / "told"

    def work():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        try:
            job(tmp_path / "full")
        except OSError as error:
            told.write_text(f"{error.errno} {error.filename}")

    in_child(work).join()
    largest = max(len(content) for seed in quiet for content in seed.values())
    if told.exists():
        number, name = told.read_text().split(" ", 1)
        assert int(number) == errno.EFBIG and str(tmp_path / "full") in name
    else:
        assert limit > largest
    assert not left_over(tmp_path / "full")
    for path in (tmp_path / "full").rglob("*.parquet"):
        tables.read_parquet(path)
    assert job(tmp_path / "full") == quiet


def test_a_full_disk_is_told_by_name_and_leaves_no_half_file(job, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("a small disk can be mounted by root alone")
    try:
        with pytest.raises(OSError) as caught:
            job(disk)
        assert caught.value.errno == errno.ENOSPC
        assert str(disk) in str(caught.value.filename)
        assert not left_over(disk)
        for path in disk.rglob("*.parquet"):
            tables.read_parquet(path)
    finally:
        subprocess.run(["umount", disk], check=True)
