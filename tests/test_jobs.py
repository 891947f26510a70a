"""What a rule's script does around its work: its log, its threads, and how a failure is told."""

import logging
import os
import resource
import subprocess
import sys
import types

import pandas as pd
import pytest

import autospec
from autospec.errors import InputError
from autospec.jobs import THREAD_VARIABLES, job
from autospec.tables import write_tsv


@pytest.fixture
def rule(tmp_path, monkeypatch):
    """What Snakemake gives to a script; logging and threads are put back afterwards."""
    for variable in THREAD_VARIABLES:
        monkeypatch.setenv(variable, "1")
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield types.SimpleNamespace(threads=3, log=[str(tmp_path / "rule.log")])
    logging.captureWarnings(False)
    for handler in set(root.handlers) - set(handlers):
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)


def failed(rule, error, capsys):
    """Fail with `error`; give what the log holds and what was printed."""
    with pytest.raises(SystemExit) as ended, job(rule):
        raise error
    assert ended.value.code == 1
    with open(rule.log[0]) as log:
        return log.read(), capsys.readouterr().err


def test_a_job_that_succeeds_logs_and_holds_libraries_to_its_threads(rule, capsys):
    with job(rule):
        logging.info("half way")
    with open(rule.log[0]) as log:
        assert log.read().endswith(" half way\n")
    assert [os.environ[variable] for variable in THREAD_VARIABLES] == ["3"] * len(THREAD_VARIABLES)
    assert capsys.readouterr().err == ""


def test_libraries_that_a_job_imports_keep_to_its_threads():
    program = """
from autospec.jobs import limit_threads
limit_threads(1)
import torch, numpy, pyarrow, scipy.linalg, sklearn.cluster
from threadpoolctl import threadpool_info
print(torch.get_num_threads(), pyarrow.cpu_count(), *{pool["num_threads"] for pool in threadpool_info()})
"""
    environment = {name: value for name, value in os.environ.items() if name not in THREAD_VARIABLES}
    environment["PYTHONPATH"] = os.path.dirname(os.path.dirname(autospec.__file__))
    process = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert process.stdout.split() == ["1", "1", "1"], process.stderr


def test_a_mistake_of_the_user_ends_in_one_message(rule, capsys):
    log, printed = failed(rule, InputError("people.tsv, line 3: found 'x'."), capsys)
    assert printed == "Error: people.tsv, line 3: found 'x'.\n"
    assert log.count("people.tsv") == 1 and log.endswith(printed) and "Traceback" not in log


def test_details_of_a_mistake_of_ours_stand_in_the_log_alone(rule, capsys):
    log, printed = failed(rule, KeyError("group"), capsys)
    assert printed == f"Error: KeyError: 'group' (details in {rule.log[0]})\n"
    assert "Traceback" in log and "raise error" in log


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device", "out/data.parquet"), "out/data.parquet: No space left on device"),
        (PermissionError(13, "Permission denied", "out"), "out: Permission denied"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (OSError("gone"), "gone"),
    ],
)
def test_what_the_system_refuses_names_the_file(rule, capsys, error, said):
    log, printed = failed(rule, error, capsys)
    assert printed == f"Error: {said}\n"
    assert "Traceback" in log


def test_a_file_that_cannot_be_written_whole_is_named_and_leaves_nothing(rule, capsys, tmp_path):
    path = tmp_path / "table.tsv"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with pytest.raises(SystemExit), job(rule):
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # as a disk that is full
        try:
            write_tsv(pd.DataFrame({"number": range(10_000)}), path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert capsys.readouterr().err == f"Error: {path}: File too large\n"
    assert [file.name for file in tmp_path.iterdir()] == ["rule.log"]
