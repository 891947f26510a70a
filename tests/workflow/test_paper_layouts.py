"""The data sets of config/paper.yaml as they stand there: fetched from a server on this machine, read and paired."""

import gzip
import io

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nilearn.maskers import NiftiMapsMasker
from publisher import Publisher
from stats_files import by_pandas, write_parcellation

from autospec.configuration import read_configuration
from autospec.data import download_sources
from autospec.data.pairing import pair_people
from autospec.data.sources import read
from autospec.inputs import what_is_read

pytestmark = pytest.mark.slow

PAIRS = 12
VOLUMES = 150


@pytest.fixture(scope="module")
def entries(repository):
    return read_configuration(repository / "config" / "paper.yaml")["datasets"]


@pytest.fixture
def publisher(monkeypatch):
    server = Publisher()
    monkeypatch.setenv("AUTOSPEC_MIRROR", server.url)
    yield server
    server.close()


def image_bytes(values, size):
    image = nib.Nifti1Image(values, np.diag([size, size, size, 1.0]))
    image.header.set_xyzt_units("mm", "unknown")
    return gzip.compress(image.to_bytes(), 1)


def table_bytes(table):
    return gzip.compress(table.to_csv(sep="\t", index=False).encode())


def cobre_release(rng, label):
    """Files as nilearn 0.8 describes them (datasets/description/cobre.rst), small; `label` spells an ID."""
    files, rows = {}, []
    for number in range(2 * PAIRS):
        scan = (900 + np.cumsum(rng.standard_normal((6, 7, 6, VOLUMES)), axis=3)).astype(np.int16)
        names = [f"motion_{axis}" for axis in ("tx", "ty", "tz", "rx", "ry", "rz")] + ["wm_avg", "vent_avg"]
        names += [f"slow_drift_{drift}" for drift in range(1, 5)] + ["compcor_1", "glob_avg"]
        confounds = pd.DataFrame(rng.standard_normal((VOLUMES, len(names))), columns=names)
        confounds["FD"] = rng.uniform(0.1, 0.5, VOLUMES)
        censored = {0: VOLUMES, 1: 91, 2: 80}.get(number, number)
        confounds["scrub"] = rng.permutation(np.arange(VOLUMES) < censored).astype(int)
        files[f"fmri_00{40000 + number}.nii.gz"] = image_bytes(scan, 6.0)
        files[f"fmri_00{40000 + number}.tsv.gz"] = table_bytes(confounds)
        pair = number // 2
        rows.append(
            {
                "ID": label.format(40000 + number), "Current Age": 20 + 3 * pair,
                "Gender": ("Male", "Female")[pair % 2], "Handedness": "Right",
                "Subject Type": ("Patient", "Control")[number % 2], "Diagnosis": ("295.3", "None")[number % 2],
                "Frames OK": VOLUMES - censored, "FD": 0.2 + 0.03 * pair, "FD Scrubbed": 0.15,
            }
        )  # fmt: skip
    return files | {"phenotypic_data.tsv.gz": table_bytes(pd.DataFrame(rows)), "keys_confounds.json": b"{}"}


@pytest.mark.parametrize("label", ["{}", "00{}"])
def test_cobres_release_goes_through_the_papers_entry(entries, publisher, tmp_path, label):
    entry, rng = entries["cobre"], np.random.default_rng(5)
    publisher.article(4197885, cobre_release(rng, label))
    for name in ("PNAS_Smith09_rsn10.nii.gz", "rsn20.nii.gz", "rsn70.nii.gz"):
        maps = rng.random((12, 14, 12, 70)).astype(np.float32)
        publisher.files[f"/www.fmrib.ox.ac.uk/datasets/brainmap+rsns/{name}"] = image_bytes(maps, 3.0)
    download_sources.get(entry["download"], tmp_path)

    dataset, qc, dropped = read("cobre", what_is_read(entry), tmp_path)
    assert dataset.groups == ("control", "patient")
    assert dataset.values.shape == (2 * PAIRS - 2, 60, 70)  # the first 60 volumes; 70 components
    assert dropped["reason"].tolist() == ["fewer than 60 usable volumes"] * 2
    assert sorted(label[-5:] for label in dropped["label"]) == ["40000", "40001"]
    assert qc["usable_volumes"].tolist() == [0, 59, 70, *range(147, 126, -1)]
    pairs, _ = pair_people(dataset, **entry["matching"])
    assert sorted(pairs["pair"].value_counts()) == [2] * (PAIRS - 1)
    by_pair = pairs.merge(dataset.people[["subject", "age"]], on="subject", suffixes=("", "_")).groupby("match")
    assert (by_pair["age"].nunique() == 1).all() and (by_pair["group"].nunique() == 2).all()

    # One person by nilearn alone: the first 60 volumes that are not censored.
    confounds = pd.read_csv(tmp_path / "fmri_0040007.tsv.gz", sep="\t")
    kept = np.flatnonzero(confounds["scrub"] == 0)[:60]
    end = kept[-1] + 1
    chosen = confounds.filter(regex="^(motion_|wm_avg|vent_avg|slow_drift)").to_numpy()[:end]
    masker = NiftiMapsMasker(
        tmp_path / "rsn70.nii.gz", allow_overlap=True, standardize="zscore_sample", detrend=True, t_r=2.0,
        resampling_target="data",
    ).fit()  # fmt: skip
    scan = nib.load(tmp_path / "fmri_0040007.nii.gz").slicer[..., :end]
    wanted = masker.transform(scan, confounds=chosen, sample_mask=kept)
    row = dataset.people["subject"].str.endswith("40007").to_numpy()
    np.testing.assert_allclose(dataset.values[row][0], wanted, atol=5e-3)


STRUCTURES = ["Left-Lateral-Ventricle", "Left-Thalamus-Proper", "Left-Hippocampus", "Brain-Stem", "Right-Hippocampus"]


def aseg_51(rng):
    """The layout of FreeSurfer 5.1's mri_segstats: ICV under its old name, no surface holes."""
    rows = [
        f"{number:3d} {number + 3:3d}  {volume:8.0f} {volume:9.1f}  {name:<30} 60.1  9.2  20.0  99.0  79.0"
        for number, (name, volume) in enumerate(zip(STRUCTURES, rng.uniform(2e3, 9e3, 5), strict=True), start=1)
    ]
    header = [
        "# Title Segmentation Statistics ",
        "# ",
        "# generating_program mri_segstats",
        "# cvs_version $Id: mri_segstats.c,v 1.75.2.2 2011/04/27 22:18:58 nicks Exp $",
        "# anatomy_type volume",
        "# Measure BrainMask, BrainMaskNVox, Number of Brain Mask Voxels, 1605439, unitless",
        "# Measure BrainSeg, BrainSegVol, Brain Segmentation Volume, 1172934.000000, mm^3",
        f"# Measure IntraCranialVol, ICV, Intracranial Volume, {rng.uniform(1.2e6, 1.8e6):.6f}, mm^3",
        f"# NRows {len(rows)} ",
        "# NTableCols 10 ",
        "# ColHeaders  Index SegId NVoxels Volume_mm3 StructName normMean normStdDev normMin normMax normRange  ",
    ]
    return "\n".join([*header, *rows, ""]).encode()


def test_abides_public_freesurfer_folders_go_through_the_papers_entry(entries, publisher, tmp_path):
    entry, rng = entries["freesurfer"], np.random.default_rng(6)
    columns = ["Unnamed: 0", "SUB_ID", "SITE_ID", "FILE_ID", "DX_GROUP", "AGE_AT_SCAN", "SEX", "func_mean_fd"]
    rows, folder = [], f"{download_sources.ABIDE}/Outputs/freesurfer/5.1"
    for number in range(2 * PAIRS):
        pair, site = number // 2, ("PITT", "NYU")[number // PAIRS]
        subject = f"{site.title() if site == 'PITT' else site}_{50003 + number:07d}"
        fd = "" if number == 5 else f"{0.05 + 0.01 * pair}"
        rows.append((number, 50003 + number, site, subject, 1 + number % 2, 10.5 + pair, 1 + pair % 2, fd))
        files = {"aseg.stats": aseg_51(rng)}
        for side in ("lh", "rh"):
            path = tmp_path / f"{side}.aparc.stats"
            write_parcellation(path, ["bankssts", "fusiform", "insula"], 2 * number + (side == "lh"), "$Id: 1.72.2.1")
            files[path.name] = path.read_bytes()
            path.unlink()
        if number == 0:
            del files["lh.aparc.stats"]
        if number == 3:
            files["rh.aparc.stats"] = files["rh.aparc.stats"][:-20]
        for name, content in files.items() if number != 8 else ():
            publisher.bucket(f"{folder}/{subject}/stats/{name}", content)
    rows.append((99, 50999, "NYU", "no_filename", 1, 30.0, 1, ""))
    table = io.StringIO()
    pd.DataFrame(rows, columns=columns).to_csv(table)  # with a corner cell that is empty, as the publisher's
    publisher.bucket(f"{download_sources.ABIDE}/{download_sources.PHENOTYPES}", table.getvalue().encode())
    download_sources.get(entry["download"], tmp_path)

    dataset, quality, dropped = read("freesurfer", what_is_read(entry), tmp_path)
    people = dropped[dropped["kind"] == "subject"].set_index("label")["reason"].to_dict()
    assert people == {
        "no_filename (line 26)": "the table says that there are no data",
        "Pitt_0050008": "motion is not known",
        "Pitt_0050011": "no data found",
        "Pitt_0050003": "no lh.aparc.stats",
        "Pitt_0050006": "a stats file is damaged",
    }
    assert dataset.values.shape == (2 * PAIRS - 4, len(STRUCTURES) + 12)
    assert dataset.groups == ("control", "autism")
    last = f"NYU_{50002 + 2 * PAIRS:07d}"
    assert dataset.people["subject"].iloc[-1] == last and dataset.people["head_size"].between(1.2e6, 1.8e6).all()
    measured = by_pandas(tmp_path / last / "stats" / "aseg.stats")["Volume_mm3"]
    column = dataset.features.index("Left-Thalamus")
    assert dataset.values[-1, column] == np.float32(measured["Left-Thalamus-Proper"])
    pairs, _ = pair_people(dataset, **entry["matching"])
    assert pairs["pair"].nunique() == PAIRS - 4
    assert (pairs.groupby("match")[["site", "sex"]].nunique() == 1).all(axis=None)
