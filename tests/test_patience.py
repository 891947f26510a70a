"""The SLURM executor goes on watching its jobs where SLURM does not answer, and not where SLURM has forgotten them."""

import asyncio
import contextlib
import types

import pytest
import snakemake_executor_plugin_slurm as plugin
from snakemake.scheduling.job_scheduler import JobRateLimiter, JobScheduler
from snakemake.settings.types import MaxJobsPerTimespan

import patience

PATIENCE = 60


@pytest.fixture(autouse=True)
def put_back(monkeypatch):
    """What is replaced is put back after each test."""
    monkeypatch.setattr(plugin.Executor, "check_active_jobs", plugin.Executor.check_active_jobs)
    monkeypatch.setattr(JobScheduler, "_schedule_reevalutation", JobScheduler._schedule_reevalutation)


@pytest.fixture
def watch(monkeypatch, tmp_path):
    """Look after a job every half minute: ``watch(*answers)`` gives what is watched on, and how the others ended.

    The executor's one job has the number ``job``; ``log`` is the text that it left.
    """
    monkeypatch.setattr(plugin, "get_min_job_age", lambda: 300)
    monkeypatch.setattr(plugin, "is_query_tool_available", lambda tool: True)
    settings = types.SimpleNamespace(init_seconds_before_status_checks=2, status_attempts=5, keep_successful_logs=True)
    quiet = types.SimpleNamespace(debug=print, info=print, warning=print)

    def look(*answers, job="7", log=None, command="squeue") -> tuple[list[str], dict[str, str]]:
        settings.status_command = command
        executor = object.__new__(plugin.Executor)
        executor.workflow = types.SimpleNamespace(
            executor_settings=settings, execution_settings=types.SimpleNamespace(latency_wait=PATIENCE)
        )
        executor.logger, executor.run_uuid = quiet, "run"
        executor.status_rate_limiter = contextlib.nullcontext()
        executor._submitted_job_clusters = set()
        executor._status_query_calls = executor._status_query_failures = executor._status_query_total_seconds = 0
        executor._status_query_min_seconds, executor._status_query_max_seconds = None, 0.0
        executor._status_query_cycle_rows, executor._next_seconds_between_status_checks = [], 2
        ended = {}
        executor.report_job_success = lambda job: ended.update({job.external_jobid: "done"})
        executor.report_job_error = lambda job, **message: ended.update({job.external_jobid: "failed"})
        file = tmp_path / "job.log"
        if log is not None:
            file.write_text(log, encoding="utf-8")
        jobs = [types.SimpleNamespace(external_jobid=job, aux={"slurm_logfile": file})]
        for number, answer in enumerate(answers):

            async def query(command, logger, answer=answer):
                return (None, None) if answer is None or command.startswith("sacct") else (answer, 0.1)

            monkeypatch.setattr(plugin, "query_job_status", query)
            monkeypatch.setattr(patience.time, "monotonic", lambda number=number: 30.0 * number)

            async def check(jobs=jobs) -> list:
                return [job async for job in executor.check_active_jobs(jobs)]

            jobs = asyncio.run(check())
        return [job.external_jobid for job in jobs], ended

    return look


def test_the_executor_alone_forgets_its_jobs(watch):
    assert watch(None) == ([], {}), "workflow/patience.py is not needed any more"


def test_the_executor_alone_waits_for_ever_for_a_job_that_slurm_has_forgotten(watch):
    assert watch(*[{}] * 9) == (["7"], {}), "workflow/patience.py is not needed any more"


@pytest.mark.parametrize(
    ("answer", "watched", "ended"),
    [(None, ["7"], {}), ({}, ["7"], {}), ({"7": "RUNNING"}, ["7"], {}), ({"7": "COMPLETED"}, [], {"7": "done"})],
)
def test_a_job_is_watched_until_slurm_says_that_it_ended(watch, answer, watched, ended):
    patience.install()
    assert watch(answer) == (watched, ended)


@pytest.mark.parametrize(
    ("log", "how"),
    [
        ("Finished jobid: 0\n1 of 1 steps (100%) done\n", "done"),
        ("1 of 3 steps (33%) done\n", "failed"),
        ("1 of 1 steps (100%) done\nExiting because a job execution failed.\n", "failed"),
        (None, "failed"),
    ],
)
def test_a_job_that_slurm_has_forgotten_ended_as_its_log_says(watch, log, how):
    patience.install()
    assert watch({}, {}, log=log) == (["7"], {})  # half a minute: not yet
    assert watch({}, {}, {}, log=log) == ([], {"7": how})


def test_a_cluster_that_keeps_no_accounts_is_asked_by_squeue_where_sacct_was_wanted(watch):
    patience.install()
    running = {"7": "RUNNING"}
    assert watch(running, running, running, command="sacct") == (["7"], {})
    assert watch(running, {}, {}, {}, command="sacct", log="1 of 1 steps (100%) done\n") == ([], {"7": "done"})


def test_only_minutes_in_a_row_in_which_slurm_answers_count(watch):
    patience.install()
    assert watch({}, {}, {"7": "RUNNING"}, {}, {}) == (["7"], {})
    assert watch(None, None, None, None, {}) == (["7"], {})


def test_the_waiting_tasks_of_an_array_are_known_by_their_one_line(watch):
    patience.install()
    assert watch(*[{"7_[2-10]": "PENDING"}] * 5, job="7_3") == (["7_3"], {})


@pytest.mark.parametrize(
    ("started", "delay", "looks"),
    # Snakemake waits ten seconds for an input that is a queue.
    [(0, 1, 0), (2, 1, 0), (3, 1, 1), (0, 10, 1)],
)
def test_snakemake_looks_again_only_where_its_limit_is_reached(monkeypatch, started, delay, looks):
    looked = []
    monkeypatch.setattr(JobScheduler, "_schedule_reevalutation", lambda self, delay: looked.append(delay))
    patience.install()
    scheduler = object.__new__(JobScheduler)
    scheduler.job_rate_limiter = JobRateLimiter(MaxJobsPerTimespan.parse_choice("3/1s"))
    scheduler.job_rate_limiter.register_jobs(started)
    monkeypatch.setattr("time.time", lambda: 1e12)  # to start them has taken longer than the second of the limit
    scheduler._schedule_reevalutation(delay)
    assert looked == [delay] * looks
