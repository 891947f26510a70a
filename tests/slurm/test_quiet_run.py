"""The test configuration through the profile, on a real cluster of one node with GPUs in name only."""

from collections import Counter

import pandas as pd


def test_every_step_of_the_run_is_a_job_that_ran_once(quiet, quiet_jobs):
    assert (quiet / "results" / "test" / "report.html").stat().st_size > 100_000
    assert {job.state for job in quiet_jobs} == {"COMPLETED"}
    sent = Counter(job.kind for job in quiet_jobs)
    logs = quiet / "logs" / "results" / "test"
    ran = Counter({folder.name: len(list(folder.rglob("*.log"))) for folder in logs.iterdir()})
    assert sent.pop("prepare") == ran.pop("preprocess") == ran.pop("pair") == ran.pop("split")
    figures = [rule for rule in ran if rule.startswith("figure_")]
    assert sent.pop("draw") < sum(map(ran.pop, figures)) / 2  # four to a job
    assert sent == ran


def test_only_trainings_are_sent_to_the_gpu(quiet_jobs):
    for job in quiet_jobs:
        assert (job.partition, job.gpu) == (("gpu", True) if job.name == "train" else ("cpu", False))


def test_every_job_asks_for_memory_and_time(quiet_jobs):
    for job in quiet_jobs:
        assert job.megabytes >= 1000 and 10 <= job.minutes < 1440


def test_every_job_leaves_its_log_and_its_benchmark(quiet):
    logs = quiet / "logs" / "results" / "test"
    names = {path.relative_to(logs).with_suffix("") for path in logs.rglob("*.log")}
    benchmarks = {path.relative_to(logs) for path in logs.rglob("*.benchmark.tsv")}
    assert names and benchmarks == {name.with_name(f"{name.name}.benchmark.tsv") for name in names}
    assert all(pd.read_csv(logs / path, sep="\t")["s"].iloc[0] > 0 for path in benchmarks)
