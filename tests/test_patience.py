"""The SLURM executor goes on watching its jobs where SLURM does not answer."""

import asyncio
import contextlib
import types

import pytest
import snakemake_executor_plugin_slurm as plugin

import patience


@pytest.fixture
def watch(monkeypatch):
    """Look once after a job of the executor: ``watch(answer)`` gives those watched on, and those that ended."""
    monkeypatch.setattr(plugin.Executor, "check_active_jobs", plugin.Executor.check_active_jobs)  # put back afterwards
    monkeypatch.setattr(plugin, "get_min_job_age", lambda: 300)
    settings = types.SimpleNamespace(
        init_seconds_before_status_checks=2, status_attempts=5, status_command="squeue", keep_successful_logs=True
    )
    quiet = types.SimpleNamespace(debug=print, info=print, warning=print)

    def look(answer) -> tuple[list[str], list[str]]:
        async def query(command, logger):
            return (None, None) if answer is None else (answer, 0.1)

        monkeypatch.setattr(plugin, "query_job_status", query)
        executor = object.__new__(plugin.Executor)
        executor.workflow = types.SimpleNamespace(executor_settings=settings)
        executor.logger, executor.run_uuid = quiet, "run"
        executor.status_rate_limiter = contextlib.nullcontext()
        executor._status_query_calls = executor._status_query_failures = executor._status_query_total_seconds = 0
        executor._status_query_min_seconds, executor._status_query_max_seconds = None, 0.0
        executor._status_query_cycle_rows, executor._next_seconds_between_status_checks = [], 2
        ended = []
        executor.report_job_success = lambda job: ended.append(job.external_jobid)
        jobs = [types.SimpleNamespace(external_jobid="7", aux={})]

        async def check() -> list[str]:
            return [job.external_jobid async for job in executor.check_active_jobs(jobs)]

        return asyncio.run(check()), ended

    return look


def test_the_executor_alone_forgets_its_jobs(watch):
    assert watch(None) == ([], []), "workflow/patience.py is not needed any more"


@pytest.mark.parametrize(
    ("answer", "watched", "ended"),
    [(None, ["7"], []), ({}, ["7"], []), ({"7": "RUNNING"}, ["7"], []), ({"7": "COMPLETED"}, [], ["7"])],
)
def test_a_job_is_watched_until_slurm_says_that_it_ended(watch, answer, watched, ended):
    patience.install()
    assert watch(answer) == (watched, ended)
