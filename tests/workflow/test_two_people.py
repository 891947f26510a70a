"""Two people at work at once, and folders with names as people give them."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml
from made import contents

from autospec.data.simulate_freesurfer import write_cohort

pytestmark = pytest.mark.slow

RUN = "data-mine_model-mlp_task-autoencoding_activation-relu_shape-base"


def state(folder):
    """Every path below a folder, with when and as what it was last written."""
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in [folder, *folder.rglob("*")]}


def test_two_folders_share_data_that_nobody_may_write_and_make_the_same_bytes(
    repository, snakemake, tmp_path, other_disk
):
    data = tmp_path / "Zoë's data"
    write_cohort(data, subjects=24, effect=1.0, seed=1)
    for path in [data, *data.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = state(data)
    mine = {
        "source": "freesurfer",
        "path": str(data),
        "participants": {"subject": "participant_id", "group": "diagnosis"},
        "groups": {"control": ["control"], "patient": ["schizophrenia"]},
        "matching": {"exact": ["sex"], "callipers": {"age": 0.5}},
    }
    config = {
        "output": "results/mine",
        "seeds": 2,
        "datasets": {"mine": mine},
        "comparisons": {"groups": [{"dataset": "mine", "model": "mlp", "task": "autoencoding"}]},
        "models": {"mlp": {"widths": [16, 8], "batch": 16}},
        "training": {"epochs": 2},
        "statistics": {"labelings": 20, "indices": 4},
    }
    folders = [tmp_path / "Ada's results", other_disk / "Ergebnisse für Jürgen"]
    for folder in folders:
        folder.mkdir()
        (folder / "mine.yaml").write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), encoding="utf-8")

    def run(folder):
        made = [f"figures/{kind}/{RUN}.svg" for kind in ("groups", "spectra")]
        targets = [f"results/mine/{name}" for name in ("statistics/claims.tsv", *made)]
        snakemake(repository, folder, *targets, "--cores", "1", "--show-failed-logs", "--configfile", "mine.yaml")

    with ThreadPoolExecutor() as pool:
        list(pool.map(run, folders))
    assert state(data) == before
    one, other = (contents(folder, "results") for folder in folders)
    assert one.keys() == other.keys() and {name.split("/")[2] for name in one} == {
        "preprocessed", "runs", "statistics", "figures",
    }  # fmt: skip
    assert [name for name in one if one[name] != other[name]] == []
    for path in [data, *data.rglob("*")]:
        path.chmod(0o755)  # so that it can be taken away


def test_a_second_run_in_the_same_folder_is_refused_and_disturbs_nothing(repository, tmp_path):
    wait = "import os, time\nwhile not os.path.exists('go'):\n    time.sleep(0.1)\nopen(snakemake.output[0], 'w')\n"
    (tmp_path / "slow.py").write_text(wait)
    (tmp_path / "Snakefile").write_text("rule all:\n    output: 'done'\n    script: 'slow.py'\n")
    command = [sys.executable, "-m", "snakemake", "--cores", "1"]
    first = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not list((tmp_path / ".snakemake" / "locks").glob("*")):
        assert first.poll() is None
        time.sleep(0.1)
    second = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert second.returncode != 0
    assert "Directory cannot be locked" in second.stderr + second.stdout
    unlock = [sys.executable, repository / "workflow" / "unlock.py"]  # as make does before each run
    refused = subprocess.run(unlock, cwd=tmp_path, capture_output=True, text=True)
    assert refused.returncode != 0 and f"process {first.pid}" in refused.stderr
    (tmp_path / "go").touch()
    assert first.wait(timeout=300) == 0 and os.path.exists(tmp_path / "done")


def test_the_lock_of_another_user_is_left_alone(tmp_path, repository):
    lock = tmp_path / ".snakemake" / "locks" / "0.output.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    program = f"import os, runpy; os.getuid = lambda: {os.getuid() + 1}; runpy.run_path({str(repository)!r} + "
    program += "'/workflow/unlock.py', run_name='__main__')"
    refused = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert refused.returncode != 0 and f"is of user {os.getuid()}" in refused.stderr and lock.exists()
    subprocess.run([sys.executable, repository / "workflow" / "unlock.py"], cwd=tmp_path, check=True)
    assert not lock.exists()
