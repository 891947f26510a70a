"""Keeps Snakemake's SLURM executor from forgetting its jobs while SLURM does not answer."""

import sys


def install() -> None:
    """Make the executor ask again where it would forget.

    It asks for the states of its jobs five times in a row. Where nothing answers, because the controller restarts, say,
    version 2.8.0 drops every job that it watched, and Snakemake waits for ever for jobs that have long ended.
    """
    plugin = sys.modules.get("snakemake_executor_plugin_slurm")
    if plugin is None:
        return
    check = plugin.Executor.check_active_jobs

    async def check_active_jobs(self, active_jobs):
        answered = getattr(self, "_status_query_calls", 0)  # the first call comes before the executor is complete
        active = [job async for job in check(self, active_jobs)]
        if active_jobs and self._status_query_calls == answered:
            self.logger.warning("SLURM does not answer; it is asked again later.")
            active = active_jobs
        for job in active:
            yield job

    plugin.Executor.check_active_jobs = check_active_jobs
