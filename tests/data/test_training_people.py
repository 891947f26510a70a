"""A group ICA on the training people: who they are is known before there are maps, and nobody else touches the maps."""

import shutil

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from scan_files import save, scan

from autospec.data import fmri
from autospec.data.extracted import write_extracted
from autospec.data.extraction import extract_part, find_cohort
from autospec.data.group_ica import estimate, write_maps
from autospec.data.pairing import pair_people
from autospec.data.splits import check_untested, split_pairs
from autospec.data.training_people import training_people
from autospec.errors import InputError

AFFINE = np.diag([6.0, 6.0, 6.0, 1.0])
PEOPLE, SESSIONS = 16, 2
ICA = {"components": 3, "people": "training", "seed": 0, "mask": "mask.nii"}
OPTIONS = {
    "source": "fmri",
    "bold": "{subject}_bold.nii",
    "confounds": "{subject}_confounds.tsv",
    "confound_columns": ["csf"],
    "censor": {"displacement": 0.5},
    "groups": {"control": ["a"], "patient": ["b"]},
    "ica": ICA,
    "high_pass": None,
    "low_pass": None,
}
DECIDED = {"matching": {"exact": ["sex"], "callipers": {"age": 0.6, "motion": 1.5}}, "crop": 50, "test_share": 0.3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Random numbers: 16 people with two sessions each, one of which is censored to fewer volumes than are wanted."""
    folder, rng = tmp_path_factory.mktemp("cohort"), np.random.default_rng(0)
    rows = []
    for number in range(PEOPLE):
        rows.append((f"sub-{number:02d}", "ab"[number % 2], 20 + number // 2, "MF"[number // 2 % 2]))
        for session in range(SESSIONS):
            stem = f"sub-{number:02d}_ses-{session}"
            save(folder, volumes(rng), AFFINE, f"{stem}_bold.nii")
            moved = np.abs(rng.normal(0.1 + 0.01 * (number // 2), 0.02, 60))
            moved[: 20 if (number, session) == (3, 1) else number] = 0.6
            table = pd.DataFrame({"csf": rng.standard_normal(60), "framewise_displacement": moved})
            table.to_csv(folder / f"{stem}_confounds.tsv", sep="\t", index=False)
    table = pd.DataFrame(rows, columns=["participant_id", "diagnosis", "age", "sex"])
    table.to_csv(folder / "participants.tsv", sep="\t", index=False)
    nib.save(nib.Nifti1Image(np.ones((5, 6, 5), np.uint8), AFFINE), folder / "mask.nii")
    return folder


def volumes(rng):
    return (100 + np.cumsum(rng.standard_normal((5, 6, 5, 60)), axis=3)).astype(np.float32)


def maps_of(folder, path):
    """The steps of the rule that estimates maps; gives whom they were estimated on."""
    cohort = find_cohort(OPTIONS, folder)
    people = training_people(OPTIONS, cohort, **DECIDED)
    maps, _ = estimate(ICA, folder, [cohort.scans[subject] for subject in people["subject"]])
    write_maps(maps, path)
    return people


@pytest.fixture(scope="module")
def whole(folder, tmp_path_factory):
    """The data set, its pairs and its split, made of these maps as the rules make them; and who was trained on."""
    made = tmp_path_factory.mktemp("made")
    people = maps_of(folder, made / "maps.nii.gz")
    write_extracted(extract_part(OPTIONS, folder, maps=made / "maps.nii.gz"), made / "part.parquet")
    cut = OPTIONS | {"crop": DECIDED["crop"], "windows": {"length": 20, "stride": 15}}
    dataset, _, dropped = fmri.read("rest", cut, folder, [made / "part.parquet"])
    assert dropped["label"].tolist() == ["sub-03_ses-1", *(f"sub-{n}_ses-{s}" for n in range(11, 16) for s in (0, 1))]
    pairs, _ = pair_people(dataset, **DECIDED["matching"])
    return people, dataset, pairs, split_pairs(pairs, dataset.people, [0], DECIDED["test_share"]), made


def part(pairs, split, name):
    return pairs.loc[pairs["pair"].isin(split.loc[split["part"] == name, "pair"]), "subject"]


def test_who_is_trained_on_is_told_before_there_are_maps(whole):
    people, dataset, pairs, split, _ = whole
    trained = part(pairs, split, "train").str.removesuffix("_window-001")
    trained = trained[~trained.str.contains("window")]
    assert set(people["subject"]) == set(trained)
    tested = dataset.people.loc[dataset.people["subject"].isin(part(pairs, split, "test")), "person"]
    assert len(set(tested)) == 4 and not set(tested) & set(people["person"])
    assert len(set(people["person"])) == 6 and set(people["person"]) < set(dataset.people["person"])


def test_scans_of_people_who_are_not_trained_on_move_no_map_by_a_bit(folder, whole, tmp_path):
    people, *_, made = whole
    copy, rng = shutil.copytree(folder, tmp_path / "copy"), np.random.default_rng(1)
    paths = sorted(copy.glob("*_bold.nii"))
    others = [path.name for path in paths if path.name.removesuffix("_bold.nii") not in set(people["subject"])]
    assert 0 < len(others) < len(paths)
    for name in others:
        save(copy, volumes(rng), AFFINE, name)
    again = maps_of(copy, tmp_path / "maps.nii.gz")
    pd.testing.assert_frame_equal(again, people)
    assert (tmp_path / "maps.nii.gz").read_bytes() == (made / "maps.nii.gz").read_bytes()
    name = f"{people['subject'][0]}_bold.nii"
    save(copy, 2 * scan(copy, name) - scan(copy, others[0]), AFFINE, name)
    maps_of(copy, tmp_path / "maps.nii.gz")
    assert (tmp_path / "maps.nii.gz").read_bytes() != (made / "maps.nii.gz").read_bytes()


def test_a_split_that_tests_somebody_the_maps_were_estimated_on_is_refused(whole):
    people, dataset, pairs, split, _ = whole
    check_untested(split, pairs, dataset.people, people["person"])
    other = split_pairs(pairs, dataset.people, [1], 0.3)
    with pytest.raises(InputError, match="people whom the component maps were estimated on are in the test part"):
        check_untested(other, pairs, dataset.people, people["person"])
