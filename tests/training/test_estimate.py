import os
import re
import subprocess
import sys

import nibabel as nib
import numpy as np
import pyarrow.parquet as pq
import pytest

from autospec import configuration, estimate, grid

CONFIG = {
    "seeds": 3,
    "datasets": {
        "waves": {"source": "sinusoid", "groups": {"slow": ["slow-early"], "fast": ["fast-early"]}, "length": 12},
        "brains": {
            "source": "freesurfer", "path": "nowhere", "groups": {"control": ["control"], "patient": ["patient"]},
        },
    },
    "comparisons": {
        "groups": [{"dataset": "waves", "model": "rnn", "task": "autoencoding"}],
        "tasks": [{"dataset": "brains", "model": "mlp"}],
    },
    "models": {"rnn": {"hidden": 3, "batch": 8}, "mlp": {"widths": [4, 2]}},
    "training": {"epochs": 10},
    "statistics": {"labelings": 20},
}  # fmt: skip


SCANS = {"source": "fmri", "path": "nowhere", "groups": {"control": ["control"], "patient": ["patient"]}}


@pytest.mark.parametrize(
    ("options", "people", "sample"),
    [
        ({}, 150, (150, 53)),
        ({"crop": 60, "maps": "maps/rsn70.nii.gz"}, 150, (60, 70)),
        # Windows of 140 volumes begin at 0, 10, .. 120: thirteen a person.
        ({"crop": 140, "windows": {"length": 20, "stride": 10}}, 150 * 13, (20, 53)),
        ({"windows": {"length": 70, "stride": 30}, "ica": {"components": 9}}, 150 * 3, (70, 9)),
        ({"atlas": "regions.nii.gz"}, 150, (150, 53)),
        ({"simulate": {"subjects": 40}, "windows": {"length": 50, "stride": 70}}, 40 * 2, (50, 20)),
        ({"source": "timecourse_array", "array": "a.npy", "repetition_time": 2.0, "volumes": 140}, 150, (140, 100)),
    ],
)
def test_crop_windows_and_components_that_are_configured_are_what_is_estimated(options, people, sample):
    datasets = {"brains": SCANS | options}
    if "simulate" in options:
        del datasets["brains"]["path"]
    asked = {"groups": [{"dataset": "brains", "model": "rnn", "task": "autoencoding"}]}
    config = configuration.complete({"datasets": datasets, "comparisons": asked})
    known = "configured" if "simulate" in options else "assumed"
    assert estimate.form(config, "brains") == (people, sample, known)


def test_components_are_counted_in_the_files_that_are_there(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    nib.save(nib.Nifti1Image(np.zeros((2, 2, 2, 11), dtype=np.float32), np.eye(4)), folder / "own.nii.gz")
    (folder / "kept.txt").write_text("1\n5\n9\n")
    asked = {"groups": [{"dataset": "brains", "model": "rnn", "task": "autoencoding"}]}
    courses = {"source": "timecourses", "files": "{subject}.txt", "repetition_time": 2.0, "component_list": "kept.txt"}
    for options, count in ((SCANS | {"maps": "own.nii.gz"}, 11), (SCANS | courses, 3)):
        config = {"datasets": {"brains": options | {"path": str(folder)}}, "comparisons": asked}
        assert estimate.form(configuration.complete(config), "brains")[1][1] == count


@pytest.fixture
def config(tmp_path):
    return configuration.complete(CONFIG | {"output": str(tmp_path / "results")})


def test_every_network_is_listed_and_the_total_is_their_sum(config, capsys):
    estimate._report(config, 2)
    *rows, last = capsys.readouterr().out.splitlines()[1:]
    assert [row.split()[0].split("_task-")[0] for row in rows] == [
        "data-waves_model-rnn", "data-brains_model-mlp", "data-brains_model-mlp"
    ]  # fmt: skip
    assert [row.split()[1] for row in rows] == ["configured", "assumed", "assumed"]
    seconds = sum(3 * float(row.split()[3]) + estimate._SECONDS_A_JOB for row in rows)
    assert last.startswith("3 networks, 3 seeds, 10 epochs")
    assert float(re.search(r"([\d.]+) hours of", last)[1]) == pytest.approx(seconds / 3600, abs=0.006)


@pytest.mark.parametrize(("every", "labeled"), [(1, 10 * 0.1 + 230 * 0.05), (48, 5 * 0.1)])
def test_a_real_run_is_on_the_line_through_the_two_epochs_that_were_timed(config, monkeypatch, every, labeled):
    """240 series, 192 of them in training, are 24 batches of 8, 240 in ten epochs.

    Every step labeled: ten epochs with one, at 0.1 s, and 230 steps more at 0.05 s. Every 48th: five of them.
    """
    config["statistics"]["labelings_every"] = every

    def epoch(settings, people, sample, classes, device):
        batches = people // 8
        assert sample == (12, 1) and settings["statistics"]["labelings"] == 20
        part = {"spectra": 0.2 * batches, "labelings": {1: 0.1, 4: 0.15}[batches], "rest": 0.7 + 0.2 * batches}
        return part | {"bytes": 1000.0, "labeling_bytes": 100.0, "parameters": 7}

    monkeypatch.setattr(estimate, "_epoch", epoch)
    run = grid.runs(config)[0]
    people, sample, _ = estimate.form(config, "waves")
    cost = estimate.measure(config, run, people, sample)
    assert cost["spectra"] == pytest.approx(10 * 24 * 0.2)
    assert cost["labelings"] == pytest.approx(labeled)
    assert cost["seconds"] == pytest.approx(10 * (0.7 + 24 * 0.4) + labeled)
    assert cost["bytes"] == 10_000 + 100 * (10 if every == 1 else 5)
    assert cost["parameters"] == 7


def test_prepared_data_have_their_true_form(config, prepared_files, tmp_path):
    files = prepared_files((9, 5))
    folder = tmp_path / "results" / "preprocessed" / "brains"
    folder.mkdir(parents=True)
    for name, path in (("data.parquet", files["data"]), ("pairs.tsv", files["pairs"])):
        (folder / name).write_bytes(open(path, "rb").read())
    assert estimate.form(config, "brains") == (32, (9, 5), "prepared")


def test_data_that_an_earlier_version_prepared_are_assumed(config, prepared_files, tmp_path):
    files = prepared_files((9, 5))
    folder = tmp_path / "results" / "preprocessed" / "brains"
    folder.mkdir(parents=True)
    pq.write_table(pq.read_table(files["data"]).replace_schema_metadata({}), folder / "data.parquet")
    (folder / "pairs.tsv").write_bytes(open(files["pairs"], "rb").read())
    assert estimate.form(config, "brains") == (1000, (200,), "assumed")


def test_what_is_not_observed_is_left_to_the_trainings_logs(tmp_path, repository):
    """In a process of its own: here pytest takes the log, and so nothing would be printed anyway."""
    path = tmp_path / "config.yaml"
    path.write_text(
        "datasets: {waves: {source: sinusoid, groups: {slow: [slow-early], fast: [fast-early]}, length: 8}}\n"
        "comparisons: {tasks: [{dataset: waves, model: bert}]}\n"
        "models: {bert: {width: 4, heads: 1, layers: 1, batch: 8}}\n"
    )
    command = [sys.executable, "-m", "autospec.estimate", "--configfile", str(path)]
    paths = os.environ | {"PYTHONPATH": str(repository / "workflow")}
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path, env=paths)
    assert "3 networks" in done.stdout and done.stderr == ""


def test_a_configuration_that_is_not_there_is_told_in_one_line(tmp_path):
    with pytest.raises(SystemExit, match="none.yaml: no such configuration file"):
        estimate.main(["--configfile", str(tmp_path / "none.yaml")])


def test_the_simulated_forms_are_those_that_the_simulators_write():
    from autospec.data.simulate_fmri import COMPONENTS, VOLUMES

    assert estimate.SIMULATED["fmri"] == (VOLUMES, len(COMPONENTS))
    # 39 subcortical volumes; volume and thickness of 34 regions on each side.
    assert estimate.SIMULATED["freesurfer"] == (39 + 2 * 34 * 2,)


def test_a_shipped_configuration_can_be_estimated_without_its_data(repository):
    config = configuration.read_configuration(repository / "config" / "abide.yaml")
    for name in config["datasets"]:
        people, sample, known = estimate.form(config | {"output": "nowhere"}, name)
        # MNIST's size is known without its files.
        assert known == ("configured" if config["datasets"][name]["source"] == "mnist" else "assumed")
        assert people > 0 and len(sample) in (1, 2, 3)


def test_scans_that_are_nowhere_yet_have_the_length_and_the_components_that_the_configuration_says(repository):
    config = configuration.read_configuration(repository / "config" / "paper.yaml")
    cobre = config["datasets"]["cobre"]
    assert (cobre["crop"], cobre["maps"]) == (60, "rsn70.nii.gz")
    assert estimate.form(config | {"output": "nowhere"}, "cobre") == (150, (60, 70), "assumed")
