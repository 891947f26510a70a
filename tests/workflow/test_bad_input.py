"""Bad input, as a person meets it: through Snakemake, one data set a mistake, all in one run."""

import os
import shutil

import numpy as np
import pytest
import yaml

from autospec.data.simulate_freesurfer import write_cohort

STATS = "sub-0002/stats/lh.aparc.stats"


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def row_of(folder, subject):
    lines = (folder / "participants.tsv").read_text().splitlines(keepends=True)
    return next(line for line in lines if line.startswith(subject))


def repeat_a_subject(folder):
    edit(folder / "participants.tsv", row_of(folder, "sub-0002"), 2 * row_of(folder, "sub-0002"))


def cut_a_file_short(folder):
    text = (folder / STATS).read_text()
    (folder / STATS).write_text(text[: len(text) * 2 // 3])


def take_a_folder_away(folder):
    shutil.rmtree(folder / "sub-0002")


def take_a_row_away(folder):
    edit(folder / "participants.tsv", row_of(folder, "sub-0002"), "")


def leave_one_patient(folder):
    lines = (folder / "participants.tsv").read_text().splitlines(keepends=True)
    patients = [line for line in lines if "schizophrenia" in line]
    text = "".join(line.replace("schizophrenia", "other") if line in patients[1:] else line for line in lines)
    (folder / "participants.tsv").write_text(text)


def misspell_a_group(folder):
    edit(folder / "participants.tsv", "schizophrenia", "schizofrenia")


def forget_a_group(folder):
    row = row_of(folder, "sub-0002")
    edit(folder / "participants.tsv", row, row.replace("schizophrenia", "n/a").replace("control", "n/a"))


def put_commas_for_points(folder):
    row = row_of(folder, "sub-0002")
    edit(folder / "participants.tsv", row, row.replace(".", ","))


def mix_versions(folder):
    for number in range(1, 9):
        path = folder / f"sub-000{number}" / "stats" / "aseg.stats"
        edit(path, "# generating_program", f"# cvs_version {'6.0.0' if number == 2 else '7.4.1'}\n# generating_program")


def take_a_file_away(folder):
    (folder / STATS).unlink()


def write_a_nan(folder):
    line = next(line for line in (folder / STATS).read_text().splitlines() if line.startswith("insula"))
    cells = line.split()
    edit(folder / STATS, line, line.replace(cells[3], "NaN"))


#: Mistake -> (what is done to a cohort, what the message says).
MISTAKES = {
    "none": (lambda folder: None, None),
    "repeated": (repeat_a_subject, "subject sub-0002 stands twice"),
    "short": (cut_a_file_short, "short/sub-0002/stats/lh.aparc.stats, line"),
    "no_folder": (take_a_folder_away, "1 subject(s) of the participants table have no data"),
    "no_row": (take_a_row_away, "1 have data but no row in the table"),
    "one_patient": (leave_one_patient, "group 'patient' has 1 subject(s); at least 2 are needed"),
    "misspelt": (misspell_a_group, "column 'diagnosis': found 'schizofrenia' (1 row(s)), which belongs to no group"),
    "no_group": (forget_a_group, "participants.tsv, line 3: no group in column 'diagnosis'"),
    "comma": (put_commas_for_points, "It has a decimal comma: write "),
    "versions": (mix_versions, "another version of FreeSurfer (`6.0.0`, 1 subject(s)) than most (7 by `7.4.1`)"),
    "no_file": (take_a_file_away, "lh.aparc.stats: no such file"),
    "nan": (write_a_nan, "insula, column GrayVol: found 'NaN'"),
    "lengths": (None, "time courses differ in length: subject sub-0003 has 70 volumes"),
}
GROUPS = {"control": ["control"], "patient": ["schizophrenia"]}


def write_time_courses(folder):
    folder.mkdir()
    subjects = [f"sub-{number:04d}" for number in range(1, 5)]
    diagnoses = 2 * ["control", "schizophrenia"]
    rows = [f"{subject}\t{diagnosis}" for subject, diagnosis in zip(subjects, diagnoses, strict=True)]
    (folder / "participants.tsv").write_text("\n".join(["participant_id\tdiagnosis", *rows]))
    for number, subject in enumerate(subjects):
        values = np.random.default_rng(number).normal(size=(70 if number == 2 else 80, 3))
        np.savetxt(folder / f"{subject}.txt", values)


@pytest.fixture(scope="module")
def run(repository, snakemake, tmp_path_factory):
    """Read every data set, whatever happens to the others: the folder, the configuration, the process."""
    folder = tmp_path_factory.mktemp("bad")
    write_cohort(folder / "data" / "none", subjects=8, effect=1.0, seed=1)
    datasets = {}
    for name, (spoil, _) in MISTAKES.items():
        path = folder / "data" / name
        datasets[name] = {"source": "freesurfer", "path": name, "groups": GROUPS}
        if name == "one_patient":
            datasets[name]["other_groups"] = "drop"
        if name == "none":
            datasets[name]["matching"] = {"callipers": {"age": 0.5}}
        if name == "lengths":
            write_time_courses(path)
            datasets[name] |= {"source": "timecourses", "files": "{subject}.txt", "repetition_time": 2.0}
        elif name != "none":
            shutil.copytree(folder / "data" / "none", path)
            spoil(path)
    comparisons = [{"dataset": name, "model": "mlp", "task": "autoencoding"} for name in MISTAKES]
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump({"datasets": datasets, "comparisons": {"groups": comparisons}}, sort_keys=False))
    targets = [f"results/preprocessed/{name}/data.parquet" for name in MISTAKES]
    process = snakemake(
        repository, folder, *targets, "--cores", "2", "--keep-going", "--configfile", config, check=False
    )
    return folder, config, process


@pytest.mark.parametrize("mistake", [name for name, (_, message) in MISTAKES.items() if message])
def test_a_mistake_in_the_data_ends_its_rule_in_one_message_and_leaves_nothing(run, mistake):
    folder, _, process = run
    assert process.returncode != 0
    log = (folder / "logs" / "results" / "preprocess" / f"{mistake}.log").read_text()
    assert log.count("Error:") == 1
    assert log.count(MISTAKES[mistake][1]) == 1
    assert "Traceback" not in log
    assert process.stdout.count(MISTAKES[mistake][1]) == 1
    assert not list((folder / "results").rglob(f"preprocessed/{mistake}/*"))


def test_the_others_are_read_and_nobody_is_named_beside_the_messages(run):
    folder, _, process = run
    read = {path.name for path in (folder / "results" / "preprocessed" / "none").iterdir()}
    assert read == {"data.parquet", "features.tsv", "qc.tsv", "dropped.tsv"}
    assert "Traceback" not in process.stdout
    lines = [line for line in process.stdout.splitlines() if "sub-" in line and "Error:" not in line]
    assert not lines


def test_changed_files_are_noticed_and_changed_matching_reads_nothing_again(repository, snakemake, jobs, run):
    folder, path, _ = run
    target = "results/preprocessed/none/data.parquet"

    def planned():
        return jobs(snakemake(repository, folder, target, "-n", "--configfile", path).stdout)

    config = yaml.safe_load(path.read_text())
    config["datasets"]["none"] |= {"where": "elsewhere", "matching": {"callipers": {"age": 0.2}}}
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    assert planned() == {}
    stats = folder / "data" / "none" / STATS
    os.utime(stats, (1, 1))
    assert planned() == {"preprocess": 1}
