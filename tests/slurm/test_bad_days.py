"""What goes wrong on clusters: each bad day ends with the bytes of a quiet run, and no job runs more than it must."""

import shutil
import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from cluster import wait_for
from made import contents

RUN = "data-freesurfer_model-mlp_task-autoencoding_activation-relu_shape-base"
TARGET = f"results/test/statistics/groups/{RUN}/overall.json"
MADE = (f"results/test/runs/{RUN}", f"results/test/statistics/groups/{RUN}")
#: The quiet run has this there too, from a rule that these do not run.
DIRECTIONS = f"results/test/statistics/groups/{RUN}/directions.tsv"


def training(folder: Path) -> psutil.Process:
    """The process that trains in `folder`, as soon as there is one."""

    def find():
        for process in psutil.process_iter():
            try:
                line = " ".join(process.cmdline())
                if "train.py" in line and "/.snakemake/scripts/" in line and Path(process.cwd()) == folder:
                    if process.name().startswith("python"):
                        return process
            except psutil.Error:
                continue

    return wait_for(find, f"a training in {folder}")


@pytest.fixture
def prepared(quiet, tmp_path):
    """Make a folder where the data are ready and nothing is trained: ``prepared(name)``, or with `where`."""

    def copy(name: str, where: Path = tmp_path) -> Path:
        folder = where / name
        shutil.copytree(quiet, folder, ignore=shutil.ignore_patterns("runs", "statistics", "figures", "checkpoints"))
        return folder

    return copy


@pytest.fixture
def check(cluster, quiet, submit):
    """Wait for the end, compare with the quiet run, and give the states of the jobs by their rule, in order."""

    def done(process, folder):
        submit.finish(process, folder)
        made, wanted = contents(folder, *MADE), contents(quiet, *MADE)
        del wanted[DIRECTIONS]
        assert sorted(made) == sorted(wanted) and TARGET in made
        assert [name for name in made if made[name] != wanted[name]] == []
        states = {}
        for job in cluster.jobs(folder):
            states.setdefault(job.name, []).append(job.state)
        return states

    return done


def scancel(cluster, folder):
    training(folder)
    (job,) = cluster.jobs(folder, "train")
    cluster.ask("scancel", job.number)


def kill_the_process(cluster, folder):
    training(folder).kill()


def run_out_of_time(cluster, folder):
    training(folder).suspend()
    (job,) = cluster.jobs(folder, "train")
    cluster.ask("scontrol", "update", f"jobid={job.number}", "timelimit=1")


def run_out_of_memory(cluster, folder):
    pass  # what it asked for, below, does it


#: Bad day -> (what is done, what it leaves of the job, further arguments).
DAYS = {
    "cancelled": (scancel, "CANCELLED", ()),
    "killed": (kill_the_process, "FAILED", ()),
    "time": (run_out_of_time, "TIMEOUT", ()),
    "memory": (run_out_of_memory, "FAILED", ("--set-resources", "train:mem_mb=400 * attempt ** 3")),
}


def test_a_job_that_is_lost_is_sent_again_once_with_twice_the_time_and_memory(cluster, submit, check, prepared):
    folders = {day: prepared(day) for day in DAYS}
    runs = {day: submit(folders[day], TARGET, *arguments) for day, (_, _, arguments) in DAYS.items()}
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda day: DAYS[day][0](cluster, folders[day]), DAYS))
    for day, (_, left, _) in DAYS.items():
        assert check(runs[day], folders[day]) == {"train": [left, "COMPLETED"], "test_groups": ["COMPLETED"]}, day
        first, second = cluster.jobs(folders[day], "train")
        assert second.megabytes == (8 if day == "memory" else 2) * first.megabytes
        assert day == "time" or second.minutes == 2 * first.minutes
    assert len({cluster.jobs(folder, "train")[1].minutes for folder in folders.values()}) == 1


def cancel_one(cluster, folder, kind):
    """Cancel the first job of a kind as soon as one is at work, if one is."""
    for job in cluster.jobs(folder):
        if job.kind == kind and job.state == "RUNNING":
            cluster.ask("scancel", job.number)
            return True


def test_a_whole_run_in_which_groups_of_jobs_are_cancelled_ends_with_all_that_a_quiet_run_made(
    cluster, quiet, quiet_jobs, submit, tmp_path
):
    folder = tmp_path / "whole"
    for kept in (".snakemake/metadata", "results/test/raw"):
        shutil.copytree(quiet / kept, folder / kept)
    run = submit(folder)
    cancelled = ("prepare", "train", "draw")
    for kind in cancelled:
        wait_for(lambda kind=kind: cancel_one(cluster, folder, kind) or run.poll() is not None, f"a job to {kind}", 900)
    submit.finish(run, folder, 600)
    made, wanted = contents(folder, "results"), contents(quiet, "results")
    assert sorted(made) == sorted(wanted) and len(made) > 100
    assert [name for name in made if made[name] != wanted[name]] == []
    assert (folder / "results" / "test" / "report.html").stat().st_size > 100_000
    once = Counter((job.kind, job.state) for job in quiet_jobs if not job.kind.startswith("simulate_"))
    again = Counter((kind, "CANCELLED") for kind in cancelled)
    assert Counter((job.kind, job.state) for job in cluster.jobs(folder)) == once + again


def test_a_job_that_slurm_forgets_while_snakemake_sleeps_counts_if_it_is_done_and_else_is_sent_again(
    cluster, submit, check, prepared
):
    folders = {how: prepared(how) for how in ("done", "killed")}
    runs = {how: submit(folder, TARGET, "--latency-wait", "5") for how, folder in folders.items()}
    processes = {how: training(folder) for how, folder in folders.items()}
    for run in runs.values():
        run.send_signal(signal.SIGSTOP)
    processes["killed"].kill()

    def states():
        return [job.state for folder in folders.values() for job in cluster.jobs(folder)]

    wait_for(lambda: states() == ["COMPLETED", "FAILED"], "the end of both jobs")
    cluster.forget()
    for run in runs.values():
        run.send_signal(signal.SIGCONT)
    assert check(runs["done"], folders["done"]) == {"test_groups": ["COMPLETED"]}
    assert check(runs["killed"], folders["killed"]) == {"train": ["COMPLETED"], "test_groups": ["COMPLETED"]}


def test_a_drained_node_holds_what_comes_until_it_is_resumed(cluster, submit, check, prepared, other_disk):
    folder = prepared("drained", other_disk)  # with the results on another disk than the repository
    run = submit(folder, TARGET)
    training(folder)
    cluster.ask("scontrol", "update", "nodename=localhost", "state=drain", "reason=test")
    waiting = wait_for(lambda: cluster.jobs(folder, "test_groups"), "the next job")
    assert [job.state for job in waiting] == ["PENDING"]
    cluster.ask("scontrol", "update", "nodename=localhost", "state=resume")
    assert check(run, folder) == {"train": ["COMPLETED"], "test_groups": ["COMPLETED"]}


def test_jobs_outlive_the_controller(cluster, submit, check, prepared):
    folder = prepared("controller")
    run = submit(folder, TARGET)
    process = training(folder)
    cluster.stop_controller()
    process.wait(timeout=600)  # the job comes to its end with nobody to tell
    output = folder / "output.txt"
    wait_for(lambda: "SLURM does not answer" in output.read_text(encoding="utf-8"), "a question to the controller")
    cluster.start_controller()
    assert check(run, folder) == {"train": ["COMPLETED"], "test_groups": ["COMPLETED"]}


def test_an_interrupted_snakemake_cancels_its_jobs(cluster, submit, check, prepared):
    folder = prepared("interrupted")
    run = submit(folder, TARGET)
    training(folder)
    run.send_signal(signal.SIGINT)  # Ctrl-C
    assert run.wait(timeout=600) != 0
    wait_for(lambda: [job.state for job in cluster.jobs(folder)] == ["CANCELLED"], "the end of the job")
    found = check(submit(folder, TARGET), folder)
    assert found == {"train": ["CANCELLED", "COMPLETED"], "test_groups": ["COMPLETED"]}


def test_a_killed_snakemake_is_started_again_when_its_jobs_have_ended(cluster, repository, submit, check, prepared):
    folder = prepared("snakemake")
    run = submit(folder, TARGET)
    process = training(folder)
    run.kill()
    run.wait()
    process.suspend()
    unlock = subprocess.Popen(
        [sys.executable, repository / "workflow" / "unlock.py"], cwd=folder, stdout=subprocess.PIPE, text=True
    )
    with pytest.raises(subprocess.TimeoutExpired):
        unlock.wait(timeout=5)
    process.resume()
    assert "Waiting for" in unlock.communicate(timeout=600)[0]
    assert unlock.returncode == 0
    # The job that outlived its Snakemake counts, and is not sent again.
    assert check(submit(folder, TARGET), folder) == {"train": ["COMPLETED"], "test_groups": ["COMPLETED"]}
