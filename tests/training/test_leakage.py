"""From raw files to what a network is trained on: whatever test subjects' files hold, no training input moves."""

import re
import shutil

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from autospec.data import simulate_fmri, simulate_freesurfer
from autospec.data.pairing import pair_people
from autospec.data.sources import read
from autospec.data.splits import split_pairs
from autospec.training.prepare import prepare

PREPARATIONS = [
    {},
    {"outliers": "drop"},
    {"residualise": ["age", "sex", "head_size"], "outliers": "drop"},
    {"harmonise": "combat", "residualise": ["head_size"]},
]


def from_raw_files(folder, options, **preparation):
    """All that is done before a network sees anything: read, pair, split, prepare."""
    dataset, _, _ = read("cohort", options, folder)
    pairs, _ = pair_people(dataset, ["sex"])
    split = split_pairs(pairs, dataset.people, [0], 0.25)
    return prepare(dataset, pairs, split, **preparation), pairs.merge(split, on="pair"), dataset


def check(folder, options, change, **preparation):
    """Change the files of every test subject, then of one training subject."""
    before, rows, everyone = from_raw_files(folder, options, **preparation)
    tested = rows.loc[rows["part"] == "test", "subject"].tolist()
    for number, subject in enumerate(tested):
        change(folder, subject, number)
    after, again, now = from_raw_files(folder, options, **preparation)
    shared = [now.features.index(name) for name in everyone.features]
    differs = everyone.values != now.values[..., shared]
    changed = everyone.people["subject"][differs.reshape(len(differs), -1).any(axis=1)]
    assert set(changed) == set(tested)
    pd.testing.assert_frame_equal(again, rows)
    assert after.values["train"].shape == before.values["train"].shape
    assert after.values["train"].tobytes() == before.values["train"].tobytes()
    # The check can fail: a training subject's file reaches the others.
    change(folder, rows.loc[rows["part"] == "train", "subject"].iloc[0], 0)
    moved, _, _ = from_raw_files(folder, options, **preparation)
    assert moved.values["train"][2:].tobytes() != before.values["train"][2:].tobytes()
    return before, after, everyone, now


@pytest.mark.parametrize("preparation", PREPARATIONS, ids=str)
def test_stats_files_of_test_subjects_move_no_training_input_by_a_bit(tmp_path, preparation):
    if "harmonise" in preparation:
        pytest.importorskip("combatlearn")
    folder, others = tmp_path / "cohort", tmp_path / "others"
    simulate_freesurfer.write_cohort(folder, 60, 1.0, 3)
    simulate_freesurfer.write_cohort(others, 60, 1.0, 8)

    def change(folder, subject, number):
        """Somebody else's files; what was the same in everyone varies, and every second pair has outliers."""
        shutil.rmtree(folder / subject / "stats")
        shutil.copytree(others / subject / "stats", folder / subject / "stats")
        aseg = folder / subject / "stats" / "aseg.stats"
        text = re.sub(r"(\S+ +\S+ +)(\S+)( +5th-Ventricle)", rf"\g<1>{number + 1}.5\3", aseg.read_text())
        if number // 2 % 2:
            text = re.sub(r"(?m)^( *\d+ +\d+ +\d+ +)(\d+)(\.\d+ +)", r"\g<1>\g<2>00\3", text)
        aseg.write_text(text)

    options = {
        "source": "freesurfer",
        "participants": {"subject": "participant_id", "group": "diagnosis"},
        "groups": {"control": ["control"], "patient": ["schizophrenia"]},
    }
    before, after, everyone, now = check(folder, options, change, **preparation)
    assert "5th-Ventricle" in set(now.features) - set(everyone.features) and "5th-Ventricle" in after.features_left_out
    assert (len(after.pairs_left_out) > len(before.pairs_left_out)) == ("outliers" in preparation)


@pytest.mark.parametrize("preparation", PREPARATIONS[:3], ids=str)
def test_rows_of_test_subjects_in_a_table_move_no_training_input_by_a_bit(tmp_path, preparation):
    random = np.random.default_rng(5)
    table = pd.DataFrame({"participant_id": [f"s{row:02d}" for row in range(60)], "diagnosis": list("ab") * 30})
    table["age"], table["sex"] = random.integers(20, 60, 60), random.choice(list("MF"), 60)
    for name in ("Left-Hippocampus", "Right-Hippocampus", "lh_insula_thickness", "rh_insula_thickness"):
        table[name] = random.uniform(2, 4, 60).round(3)
    table["eTIV"] = random.uniform(1.2e6, 1.7e6, 60).round(1)
    table["lh_cuneus_thickness"] = 2.5
    table.to_csv(tmp_path / "table.csv", index=False)

    def change(folder, subject, number):
        table = pd.read_csv(folder / "table.csv")
        measured = [name for name in table.columns[4:] if name != "eTIV"]
        table.loc[table["participant_id"] == subject, "eTIV"] *= 0.99
        values = np.random.default_rng(100 + number).uniform(2, 4 + 40 * (number // 2 % 2), len(measured)).round(3)
        table.loc[table["participant_id"] == subject, measured] = values
        table.to_csv(folder / "table.csv", index=False)

    options = {
        "source": "freesurfer_tables",
        "tables": ["table.csv"],
        "participants": {"file": "table.csv", "subject": "participant_id", "group": "diagnosis"},
        "groups": {"one": ["a"], "other": ["b"]},
    }
    _, after, everyone, now = check(tmp_path, options, change, **preparation)
    assert after.features_left_out == ["lh_cuneus_thickness"] == sorted(set(now.features) - set(everyone.features))


def test_time_courses_of_test_subjects_move_no_training_input_by_a_bit(tmp_path):
    table = pd.DataFrame({"participant_id": [f"s{row:02d}" for row in range(20)], "diagnosis": list("ab") * 10})
    table["sex"] = "F"
    table.to_csv(tmp_path / "participants.tsv", sep="\t", index=False)

    def walk(seed, volumes=80):
        return np.cumsum(np.random.default_rng(seed).normal(size=(volumes, 5)), axis=0)

    for row, subject in enumerate(table["participant_id"]):
        np.savetxt(tmp_path / f"{subject}.txt", walk(row))

    def change(folder, subject, number):
        """Other numbers, more volumes, and a component of zeros."""
        series = 50 * walk(100 + number, 80 + 5 * number)
        series[:, 2] = 0
        np.savetxt(folder / f"{subject}.txt", series)

    options = {
        "source": "timecourses",
        "files": "{subject}.txt",
        "repetition_time": 2.0,
        "crop": 70,
        "participants": {"subject": "participant_id", "group": "diagnosis"},
        "groups": {"one": ["a"], "other": ["b"]},
    }
    check(tmp_path, options, change)


@pytest.mark.slow
def test_scans_and_confounds_of_test_subjects_move_no_training_input_by_a_bit(tmp_path):
    folder = tmp_path / "cohort"
    simulate_fmri.write_cohort(folder, 12, 1.0, 3)
    maps = nib.load(folder / "component_maps.nii.gz").get_fdata()

    def change(folder, subject, number):
        """Other values without the voxels of one component, other confounds, other volumes to leave out."""
        path = folder / subject / "func" / f"{subject}_task-rest_desc-preproc_bold.nii.gz"
        image = nib.load(path)
        values = image.get_fdata() * (2 + number) + np.random.default_rng(number).normal(0, 20, image.shape)
        values[maps[..., 3] > 0.2] = 0
        nib.save(nib.Nifti1Image(values.astype(np.float32), image.affine, image.header), path)
        path = folder / subject / "func" / f"{subject}_task-rest_desc-confounds_timeseries.tsv"
        table = pd.read_csv(path, sep="\t", na_values="n/a")
        table = table.sample(frac=1, random_state=number).bfill().ffill()
        table["framewise_displacement"] = 0.1
        table.iloc[: 5 + number, table.columns.get_loc("framewise_displacement")] = 3.0
        table.to_csv(path, sep="\t", index=False, na_rep="n/a")

    options = {
        "source": "fmri",
        "participants": {"subject": "participant_id", "group": "diagnosis"},
        "groups": {"control": ["control"], "patient": ["schizophrenia"]},
        "censor": {"displacement": 2.0},
        "crop": 90,
    }
    check(folder, options, change)
