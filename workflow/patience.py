"""Keeps Snakemake from looking for work when there is none, and its SLURM executor from forgetting its jobs where SLURM
does not answer, or waiting for ever for a job that SLURM has forgotten."""

import sys
import time
from pathlib import Path

#: What Snakemake writes into the log of a job that ran to its end, and of one that did not.
DONE, FAILED = "steps (100%) done", "Exiting because a job execution failed"


def install() -> None:
    """Keep the scheduler from looking where nothing has changed, and have the SLURM executor ask again."""
    _look_when_a_job_ends()
    _keep_watching()


def _look_when_a_job_ends() -> None:
    """Have the scheduler look through the jobs that wait when one has ended, and not each second.

    9.27 looks each second, once for every job that has ended so far, lest it miss when more may start than its limit
    (`--max-jobs-per-timespan`) had allowed: among some hundred jobs that keeps a core busy. It has to only where the
    limit was reached.
    """
    module = sys.modules.get("snakemake.scheduling.job_scheduler")
    again = module and vars(module.JobScheduler).get("_schedule_reevalutation")
    if not again:
        return

    def look_again(self, delay):
        limiter = self.job_rate_limiter
        # Those that it counted when it last chose jobs; what it says now leaves out what has had its second since.
        if limiter is None or delay != limiter.timespan or len(limiter._jobs) >= limiter.max_jobs:
            again(self, delay)

    module.JobScheduler._schedule_reevalutation = look_again


def _keep_watching() -> None:
    """Make the SLURM executor ask again where it would forget, and look for itself where SLURM has forgotten.

    It asks for the states of its jobs five times in a row. Where nothing answers, because the controller restarts, say,
    version 2.8.0 drops every job that it watched, and Snakemake waits for ever for jobs that have long ended. It waits
    for ever, too, for a job that ended and that SLURM forgot before it was asked: `squeue` knows a job for some minutes
    after its end (MinJobAge), and not every cluster keeps accounts.
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
        lost = await _lost(self, plugin, active)
        for job in active:
            if job.external_jobid in lost:
                _judge(self, job)
            else:
                yield job

    plugin.Executor.check_active_jobs = check_active_jobs


async def _lost(executor, plugin, jobs) -> set[str]:
    """Which of the jobs the controller has not known for as long as Snakemake waits for files (`--latency-wait`)."""
    if not jobs or executor._submitted_job_clusters:  # other clusters' jobs are unknown to this one's controller
        return set()
    known, _ = await plugin.query_job_status(plugin.query_job_status_squeue(executor.run_uuid), executor.logger)
    if known is None:
        return set()
    known = {number.split("_")[0] for number in known}  # the waiting tasks of an array stand in one line
    since = vars(executor).setdefault("_unknown_since", {})
    unknown = {job.external_jobid for job in jobs if job.external_jobid.split("_")[0] not in known}
    for number in since.keys() - unknown:
        del since[number]
    now = time.monotonic()
    patience = executor.workflow.execution_settings.latency_wait
    return {number for number in unknown if now - since.setdefault(number, now) >= patience}


def _judge(executor, job) -> None:
    """Take a job as done or as failed by the log that it left."""
    log = job.aux.get("slurm_logfile")
    try:
        text = Path(log).read_text(encoding="utf-8", errors="replace")
    except (OSError, TypeError):
        text = ""  # none was left
    if DONE in text and FAILED not in text:
        executor.logger.warning(f"SLURM has forgotten job {job.external_jobid}; by its log it is done.")
        executor.report_job_success(job)
    else:
        message = f"SLURM has forgotten job {job.external_jobid}, and its log does not say that it is done."
        executor.report_job_error(job, msg=message, aux_logs=[str(log)])
