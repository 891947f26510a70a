"""Open data, from a server on this machine to the table of a data set."""

import gzip
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from publisher import Publisher

from autospec.data import download_sources as sources
from autospec.tables import read_tsv

SUBJECTS = [f"NYU_{50950 + number:07d}" for number in range(12)]


@pytest.fixture
def publisher(monkeypatch):
    server = Publisher()
    monkeypatch.setenv("AUTOSPEC_MIRROR", server.url)
    rows = [f"{s},NYU,{1 + i % 2},{20 + i % 3},{1 + i // 6},0.1" for i, s in enumerate(SUBJECTS)]
    table = "\n".join(["FILE_ID,SITE_ID,DX_GROUP,AGE_AT_SCAN,SEX,func_mean_fd", *rows, "no_filename,NYU,1,30,1,"])
    server.bucket(f"{sources.ABIDE}/{sources.PHENOTYPES}", table.encode())
    for number, subject in enumerate(SUBJECTS):
        values = np.random.default_rng(number).normal(size=(80, 3))
        text = "#1\t#2\t#3\n" + "\n".join("\t".join(f"{value:.6f}" for value in row) for row in values)
        server.bucket(f"{sources.CC200}/{subject}_rois_cc200.1D", text.encode())
    yield server
    server.close()


@pytest.fixture
def config(configured):
    return configured(
        {
            "datasets": {
                "abide_nyu": {
                    "source": "timecourses",
                    "path": "nyu",
                    "download": ["abide_nyu_timecourses"],
                    "files": "raw/{subject}_rois_cc200.1D",
                    "repetition_time": 2.0,
                    "participants": {
                        "file": sources.PHENOTYPES, "subject": "FILE_ID", "group": "DX_GROUP",
                        "age": "AGE_AT_SCAN", "sex": "SEX", "site": "SITE_ID", "motion": "func_mean_fd",
                    },
                    "missing_subjects": "drop",
                    "groups": {"control": ["2"], "autism": ["1"]},
                }
            },
            "comparisons": {"groups": [{"dataset": "abide_nyu", "model": "mlp", "task": "autoencoding"}]},
        }
    )  # fmt: skip


TABLE = "results/preprocessed/abide_nyu/data.parquet"


def test_what_is_missing_is_downloaded_once_and_then_read(repository, snakemake, jobs, tmp_path, publisher, config):
    arguments = (repository, tmp_path, TABLE, "--cores", "1", "--configfile", config)
    process = snakemake(*arguments)
    assert "abide_nyu_timecourses: 13 of 13 files" in process.stdout
    assert (tmp_path / TABLE).exists()
    files = read_tsv(tmp_path / "data" / "nyu" / "downloaded.tsv").set_index("file")
    assert len(files) == 13
    for name, row in files.iterrows():
        assert hashlib.sha256((tmp_path / "data" / "nyu" / name).read_bytes()).hexdigest() == row["sha256"]
    lines = [line for line in process.stdout.splitlines() if "NYU_00" in line]
    assert not lines  # nobody is named on the terminal
    # Neither another run nor another output folder asks the publisher again.
    publisher.requests.clear()
    assert jobs(snakemake(*arguments, "-n").stdout) == {}
    other = tmp_path / "other.yaml"
    other.write_text("output: results/other\n" + config.read_text())
    planned = jobs(snakemake(repository, tmp_path, "-n", "--configfile", other).stdout)
    assert "download" not in planned and planned["preprocess"] == 1
    assert not publisher.requests


def test_a_download_that_broke_off_is_gone_on_with_and_files_put_there_by_hand_are_left_alone(
    repository, snakemake, jobs, tmp_path, publisher, config
):
    gone = f"/s3.amazonaws.com/fcp-indi/{sources.CC200}/{SUBJECTS[3]}_rois_cc200.1D"
    content = publisher.files[gone]
    publisher.answers[gone] = [404]
    arguments = (repository, tmp_path, "downloads", "--cores", "1", "--configfile", config)
    process = snakemake(*arguments, check=False)
    assert process.returncode != 0
    assert process.stdout.count("the server answers 404") == 1
    assert "Traceback" not in process.stdout
    folder = tmp_path / "data" / "nyu"
    assert not (folder / "downloaded.tsv").exists()
    assert len(read_tsv(folder / "checksums.tsv")) > 0
    assert jobs(snakemake(*arguments, "-n").stdout) == {"download": 1, "downloads": 1}
    publisher.files[gone] = content
    publisher.requests.clear()
    snakemake(*arguments)
    fetched = [path for path, _ in publisher.requests if path.endswith(".1D")]
    assert gone in fetched and len(fetched) < len(SUBJECTS)
    # The same files without a trace of our download are someone's own.
    own = tmp_path / "own" / "data" / "nyu"
    (own / "raw").mkdir(parents=True)
    os.link(folder / sources.PHENOTYPES, own / sources.PHENOTYPES)
    for path in (folder / "raw").glob("*.1D"):
        (own / "raw" / path.name).write_bytes(path.read_bytes())
    planned = jobs(snakemake(repository, own.parents[1], TABLE, "-n", "--configfile", config).stdout)
    assert planned == {"preprocess": 1}


def test_without_a_network_the_run_ends_in_one_message(repository, snakemake, tmp_path, config, monkeypatch):
    monkeypatch.setenv("AUTOSPEC_MIRROR", "http://127.0.0.1:9")
    process = snakemake(repository, tmp_path, TABLE, "--cores", "1", "--configfile", config, check=False)
    assert process.returncode != 0
    assert process.stdout.count("Is there a network here?") == 1
    assert "Traceback" not in process.stdout
    assert not (tmp_path / "results" / "preprocessed").exists()


def publish_cobre(publisher):
    """Two people's files and the component maps; gives COBRE's files."""
    files = {"phenotypic_data.tsv.gz": gzip.compress(b"ID\tSubject Type\n40000\tPatient\n")}
    for subject in ("0040000", "0040001"):
        files |= {f"fmri_{subject}.nii.gz": b"scan" + subject.encode(), f"fmri_{subject}.tsv.gz": b"fd"}
    publisher.article(4197885, files)
    for name in ("PNAS_Smith09_rsn10.nii.gz", "rsn20.nii.gz", "rsn70.nii.gz"):
        publisher.files[f"/www.fmrib.ox.ac.uk/datasets/brainmap+rsns/{name}"] = name.encode()
    return files


def test_cobre_is_downloaded_into_its_folder_with_component_maps(
    repository, snakemake, tmp_path, publisher, configured
):
    files = publish_cobre(publisher)
    config = configured(
        {
            "data_folders": ["far/away", "data"],
            "datasets": {
                "cobre": {
                    "source": "fmri", "path": "cobre", "download": ["cobre", "smith_maps"],
                    "groups": {"control": ["Control"], "patient": ["Patient"]},
                }
            },
            "comparisons": {"groups": [{"dataset": "cobre", "model": "lstm", "task": "autoencoding"}]},
        }
    )  # fmt: skip
    snakemake(repository, tmp_path, "downloads", "--cores", "1", "--configfile", config)
    folder = tmp_path / "far" / "away" / "cobre"
    assert {name: (folder / name).read_bytes() for name in files} == files
    assert (folder / "rsn20.nii.gz").read_bytes() == b"rsn20.nii.gz"


@pytest.fixture
def checkout(repository, tmp_path, monkeypatch):
    """A copy of what `make` needs, beside no data; of a run, Snakemake comes as far as the downloads."""
    folder = tmp_path / "checkout"
    for name in ("Makefile", "Snakefile", "requirements.lock"):
        folder.mkdir(exist_ok=True)
        shutil.copy(repository / name, folder)
    for name in ("workflow", "config", "envs"):
        shutil.copytree(repository / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("python", "snakemake"):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec "{Path(sys.executable).with_name(name)}" "$@"\n')
        program.chmod(0o755)
    (folder / ".venv" / "ready").touch()
    profile = tmp_path / "profile"
    profile.mkdir()
    (profile / "config.yaml").write_text("until: download\n")
    monkeypatch.setenv("SNAKEMAKE_PROFILE", str(profile))
    return folder


def by_hand(folder):
    """Files that somebody put there: what they hold is looked at when they are read."""
    folder.mkdir(parents=True)
    (folder / "file").touch()


@pytest.mark.slow
def test_make_abide_downloads_what_is_not_there(checkout, publisher):
    data = checkout / "data" / "abide"
    for name in ("mnist", "abide_freesurfer"):  # whose published checksums no made file has
        by_hand(data / name)
    subprocess.run(["make", "abide", "CORES=1"], cwd=checkout, check=True)
    files = read_tsv(data / "abide_cc200_nyu" / "downloaded.tsv")["file"]
    assert sorted(files) == sorted([sources.PHENOTYPES, *(f"raw/{name}_rois_cc200.1D" for name in SUBJECTS)])
    assert not (data / "mnist" / "downloaded.tsv").exists() and not (checkout / "results").exists()


@pytest.mark.slow
def test_make_cobre_downloads_what_is_not_there(checkout, publisher):
    publish_cobre(publisher)
    for name in ("aseg.stats", "lh.aparc.stats"):
        publisher.bucket(f"{sources.ABIDE}/Outputs/freesurfer/5.1/{SUBJECTS[0]}/stats/{name}", b"# Measure\n")
    data = checkout / "data" / "paper"
    by_hand(data / "mnist")
    subprocess.run(["make", "cobre", "CORES=1"], cwd=checkout, check=True)
    assert {"phenotypic_data.tsv.gz", "rsn70.nii.gz"} < set(read_tsv(data / "cobre" / "downloaded.tsv")["file"])
    assert f"{SUBJECTS[0]}/stats/aseg.stats" in set(read_tsv(data / "abide_fs51" / "downloaded.tsv")["file"])
