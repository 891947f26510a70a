"""A FreeSurfer SUBJECTS_DIR."""

import shutil

import numpy as np
import pandas as pd
import pytest
from stats_files import by_pandas, edit, write_parcellation

from autospec.data.dataset import feature_table, read_dataset, write_dataset
from autospec.data.freesurfer import read
from autospec.data.pairing import pair_people
from autospec.data.quality import clean_features, flag_people, robust_z
from autospec.data.simulate_freesurfer import write_cohort
from autospec.data.splits import split_pairs
from autospec.errors import InputError
from autospec.training.prepare import prepare

OPTIONS = {
    "source": "freesurfer",
    "participants": {"subject": "participant_id", "group": "diagnosis"},
    "groups": {"control": ["control"], "patient": ["schizophrenia"]},
}


@pytest.fixture(scope="session")
def bert(shared_data):
    return shared_data / "fs_raw_stats" / "subjects" / "bert"


@pytest.fixture(scope="session")
def simulated_cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort") / "raw"
    write_cohort(folder, subjects=8, effect=1.0, seed=3)
    return folder


@pytest.fixture
def cohort(simulated_cohort, tmp_path):
    return shutil.copytree(simulated_cohort, tmp_path / "cohort")


def test_a_cohort_becomes_a_data_set_with_head_size(cohort):
    dataset, quality, dropped = read("name", OPTIONS, cohort)
    table = pd.read_csv(cohort / "participants.tsv", sep="\t")
    assert dataset.people["subject"].tolist() == table["participant_id"].tolist()
    assert dataset.values.shape == (8, 39 + 2 * 34 * 2) and dataset.values.dtype == np.float32
    assert dataset.groups == ("control", "patient")
    assert dataset.simulated and "Simulated" in dataset.description
    row = dataset.people["subject"].tolist().index("sub-0005")
    aseg = by_pandas(cohort / "sub-0005" / "stats" / "aseg.stats")
    column = dataset.features.index("Right-Amygdala")
    assert dataset.values[row, column] == np.float32(aseg.at["Right-Amygdala", "Volume_mm3"])
    assert dropped["kind"].tolist() == ["feature"] * 6
    assert "5th-Ventricle" in dropped["label"].tolist()
    assert dataset.people["head_size"].between(1e6, 2e6).all()
    assert quality["subject"].tolist() == dataset.people["subject"].tolist()
    assert not {"surface_holes", "freesurfer_version"} & set(quality)


def test_a_real_subject_is_not_called_simulated(bert, tmp_path):
    for label, scale in (("a", 1.0), ("b", 1.1), ("c", 0.9)):
        shutil.copytree(bert, tmp_path / label)
        file = tmp_path / label / "stats" / "aseg.stats"
        file.chmod(0o644)
        edit(file, "4308.9", f"{4308.9 * scale:.1f}")
    (tmp_path / "participants.tsv").write_text("participant_id\tdiagnosis\na\tcontrol\nb\tcontrol\nc\tschizophrenia\n")
    dataset, quality, dropped = read("name", OPTIONS, tmp_path)
    assert not dataset.simulated
    assert dataset.features == ["Left-Hippocampus"] and len(dropped) == 45 + 136 - 1
    assert quality["surface_holes"].tolist() == [78] * 3
    assert quality["freesurfer_version"].str.startswith("$Id: mri_segstats.c,v 1.121").all()


def test_original_names_are_kept_beside_the_current_ones(cohort, tmp_path):
    for folder in cohort.glob("sub-*"):
        path = folder / "stats" / "aseg.stats"
        path.write_text(path.read_text().replace("-Thalamus", "-Thalamus-Proper"))
    dataset, _, _ = read("name", OPTIONS, cohort)
    assert "Left-Thalamus" in dataset.features
    write_dataset(dataset, tmp_path / "data.parquet")
    table = feature_table(read_dataset(tmp_path / "data.parquet")).set_index("feature")["original"]
    assert table["Left-Thalamus"] == "Left-Thalamus-Proper" and table["Right-Thalamus"] == "Right-Thalamus-Proper"
    others = table.drop(["Left-Thalamus", "Right-Thalamus"])
    assert (others == others.index).all() and len(table) == dataset.values.shape[1]


def test_a_parcellation_is_chosen(cohort):
    expected = {}
    for folder in sorted(cohort.glob("sub-*")):
        for side in ("lh", "rh"):
            path = folder / "stats" / f"{side}.aparc.a2009s.stats"
            expected[folder.name, side] = write_parcellation(
                path, ["G_cuneus", "G_and_S_subcentral"], int(folder.name[-1])
            )
    options = OPTIONS | {"parcellation": "aparc.a2009s", "measures": ["thickness"]}
    dataset, _, _ = read("name", options, cohort)
    names = ("G_cuneus", "G_and_S_subcentral")
    assert dataset.features == [f"{side}_{name}_thickness" for side in ("lh", "rh") for name in names]
    for row, subject in enumerate(dataset.people["subject"]):
        both = np.concatenate([expected[subject, side]["ThickAvg"] for side in ("lh", "rh")])
        np.testing.assert_array_equal(dataset.values[row], both.astype(np.float32))
    assert "aparc.a2009s" in dataset.description


def test_volumes_can_be_divided_by_head_size_person_by_person(cohort):
    options = OPTIONS | {"measures": ["volume", "thickness", "area"]}
    plain, _, _ = read("name", options, cohort)
    divided, _, _ = read("name", options | {"head_size": "proportion"}, cohort)
    assert divided.features == plain.features
    sizes = plain.people["head_size"].to_numpy()
    for index, feature in enumerate(plain.features):
        is_volume = not feature.endswith(("_thickness", "_area"))
        expected = plain.values[:, index] / sizes if is_volume else plain.values[:, index]
        np.testing.assert_allclose(divided.values[:, index], expected, rtol=1e-6)

    # One person's numbers hang on nobody else.
    shutil.rmtree(cohort / "sub-0002")
    fewer, _, _ = read("name", options | {"head_size": "proportion", "missing_subjects": "drop"}, cohort)
    kept = (divided.people["subject"] != "sub-0002").to_numpy()
    np.testing.assert_array_equal(fewer.values, divided.values[kept])


def test_residuals_after_the_head_size_of_the_files_are_fitted_on_training_people(tmp_path):
    write_cohort(tmp_path / "raw", subjects=40, effect=1.0, seed=4)
    dataset, _, _ = read("name", OPTIONS, tmp_path / "raw")
    pairs, _ = pair_people(dataset, exact=["sex"], seed=0)
    split = split_pairs(pairs, dataset.people, [0], 0.25)
    prepared = prepare(dataset, pairs, split, residualise=["head_size"])
    order = pairs.merge(split, on="pair").sort_values("pair", kind="stable")
    position = {subject: row for row, subject in enumerate(dataset.people["subject"])}
    rows = {
        part: [position[subject] for subject in order.loc[order["part"] == part, "subject"]]
        for part in ("train", "test")
    }
    sizes = dataset.people["head_size"].to_numpy() / 1e6
    design = {part: np.stack([np.ones(len(chosen)), sizes[chosen]], axis=1) for part, chosen in rows.items()}
    values = dataset.values.astype(np.float64)
    slopes = np.linalg.lstsq(design["train"], values[rows["train"]], rcond=None)[0]
    left = {part: values[chosen] - design[part] @ slopes for part, chosen in rows.items()}
    for part in ("train", "test"):
        expected = (left[part] - left["train"].mean(axis=0)) / left["train"].std(axis=0)
        np.testing.assert_allclose(prepared.values[part], expected, rtol=1e-3, atol=1e-4)


def test_dividing_by_a_head_size_that_is_not_known_is_refused(cohort):
    for folder in cohort.glob("sub-*"):
        edit(folder / "stats" / "aseg.stats", "TotalIntraCranialVol, eTIV", "Other, Other")
    assert "head_size" not in read("name", OPTIONS, cohort)[0].people
    with pytest.raises(InputError, match=r"needs head sizes, and neither"):
        read("name", OPTIONS | {"head_size": "proportion"}, cohort)
    table = pd.read_csv(cohort / "participants.tsv", sep="\t").assign(icv=1.5e6)
    table.loc[2, "icv"] = np.nan
    table.to_csv(cohort / "participants.tsv", sep="\t", index=False, na_rep="n/a")
    options = OPTIONS | {"head_size": "proportion", "participants": OPTIONS["participants"] | {"head_size": "icv"}}
    with pytest.raises(InputError, match=r"1 people, sub-0003 first, have a head size of nan"):
        read("name", options, cohort)


def set_version(folder, version):
    edit(folder / "stats" / "aseg.stats", "# generating_program", f"# cvs_version {version}\n# generating_program")


def test_versions_of_freesurfer_are_not_mixed_unless_it_is_wanted(cohort):
    for folder in sorted(cohort.glob("sub-*")):
        set_version(folder, "6.0.0" if folder.name in ("sub-0002", "sub-0005") else "7.4.1")
    with pytest.raises(InputError) as error:
        read("name", OPTIONS, cohort)
    for word in ["aseg.stats", "(`6.0.0`, 2 subject(s)) than most (6 by `7.4.1`)", "`mixed_versions: keep`"]:
        assert word in str(error.value)
    dataset, quality, dropped = read("name", OPTIONS | {"mixed_versions": "keep"}, cohort)
    assert quality["freesurfer_version"].value_counts().to_dict() == {"7.4.1": 6, "6.0.0": 2}
    assert "not measured by every version of FreeSurfer" not in set(dropped["reason"])

    # What a whole version does not measure is left out; what one subject lacks is a mistake.
    for subject in ("sub-0002", "sub-0005"):
        edit(cohort / subject / "stats" / "aseg.stats", "Optic-Chiasm", "Left-Something")
    fewer, _, dropped = read("name", OPTIONS | {"mixed_versions": "keep"}, cohort)
    lost = dropped.loc[dropped["reason"] == "not measured by every version of FreeSurfer", "label"]
    assert sorted(lost) == ["Left-Something", "Optic-Chiasm"]
    assert fewer.features == [feature for feature in dataset.features if feature != "Optic-Chiasm"]
    edit(cohort / "sub-0002" / "stats" / "aseg.stats", "Left-Amygdala", "Left-Amigdala")
    with pytest.raises(InputError, match=r"sub-0002/stats/aseg.stats: no value for 'Left-Amygdala'"):
        read("name", OPTIONS | {"mixed_versions": "keep"}, cohort)


def test_sessions_of_one_person_are_known_as_such(cohort):
    table = pd.read_csv(cohort / "participants.tsv", sep="\t")
    for number, subject in enumerate(table["participant_id"]):
        (cohort / subject).rename(cohort / f"sub-{number // 2}_ses-{number % 2}")
        table.loc[number, "participant_id"] = f"sub-{number // 2}_ses-{number % 2}"
    table.to_csv(cohort / "participants.tsv", sep="\t", index=False)
    dataset, _, _ = read("name", OPTIONS, cohort)
    assert dataset.people["person"].tolist() == [f"sub-{number // 2}" for number in range(8)]


@pytest.mark.parametrize("template", ["{person}", "{person}_base"])
@pytest.mark.parametrize("rows", ["persons", "visits"])
def test_of_the_longitudinal_stream_each_visit_is_read_once(cohort, template, rows):
    """What recon-all -base and -long leave in one SUBJECTS_DIR; the last person was seen once, without the stream."""
    table, names = pd.read_csv(cohort / "participants.tsv", sep="\t"), []
    for person in table["participant_id"][:-1]:
        base = template.format(person=person)
        visits = [f"{person}_ses-1", f"{person}_ses-2"]
        for folder in {base, *visits, *(f"{visit}.long.{base}" for visit in visits)} - {person}:
            shutil.copytree(cohort / person, cohort / folder)
        if base != person:
            shutil.rmtree(cohort / person)
        names += [f"{visit}.long.{base}" for visit in visits]
    names.append(table["participant_id"].iloc[-1])
    made_from = {name for long in names[:-1] for name in long.split(".long.")}
    if rows == "visits":
        table = table.loc[[*np.repeat(range(7), 2), 7]].assign(participant_id=[one.split(".long.")[0] for one in names])
        table.to_csv(cohort / "participants.tsv", sep="\t", index=False)
    dataset, quality, dropped = read("name", OPTIONS, cohort)
    assert dataset.people["subject"].tolist() == quality["subject"].tolist() == names
    assert dataset.people["person"].tolist() == [name.split("_")[0] for name in names]
    found = dropped[dropped["kind"] == "subject"]
    assert set(found["label"]) == made_from
    assert set(found["reason"]) == {"base or cross-sectional of the longitudinal stream"}


def test_folders_that_are_not_of_subjects_are_passed_over(cohort):
    shutil.copytree(cohort / "sub-0001", cohort / "fsaverage")
    (cohort / "logs").mkdir()
    assert len(read("name", OPTIONS, cohort)[0].people) == 8


def test_people_without_a_folder_stop_the_run_or_are_dropped(cohort):
    shutil.rmtree(cohort / "sub-0002")
    with pytest.raises(InputError, match=r"1 subject\(s\) of the participants table have no data, and 0"):
        read("name", OPTIONS, cohort)
    dataset, _, dropped = read("name", OPTIONS | {"missing_subjects": "drop"}, cohort)
    assert len(dataset.people) == len(dataset.values) == 7
    assert ["subject", "sub-0002", "no data found"] in dropped.values.tolist()


def test_an_unfinished_subject_is_named(cohort):
    (cohort / "sub-0002" / "stats" / "rh.aparc.stats").unlink()
    with pytest.raises(InputError, match=r"sub-0002.*rh.aparc.stats: no such file"):
        read("name", OPTIONS, cohort)


BROKEN = [
    ("aseg.stats", "Left-Hippocampus ", "", ["line", "found 9 cells, wanted 10"]),
    ("aseg.stats", "# NRows 45", "# NRows 46", ["ends after 45 rows", "46"]),
    ("aseg.stats", "Left-Amygdala", "Left-Hippocampus", ["line", "'Left-Hippocampus' stands twice"]),
    ("aseg.stats", "Volume_mm3", "Volume", ["no column 'Volume_mm3'"]),
    ("aseg.stats", "# ColHeaders", "# Columns", ["before any `# ColHeaders`"]),
    (
        "aseg.stats",
        "eTIV, Estimated Total Intracranial Volume, ",
        "eTIV, Volume, -",
        ["found '-", "EstimatedTotal"],
    ),
    ("aseg.stats", "TotalIntraCranialVol, eTIV", "Other, Other", ["no measure EstimatedTotalIntraCranialVol"]),
    ("aseg.stats", "Left-Amygdala", "Left-Amigdala", ["no value for 'Left-Amygdala'", "7 of 8"]),
    ("lh.aparc.stats", "\ninsula", "\n# insula", ["lh.aparc.stats", "no value for 'lh_insula_volume'"]),
]


@pytest.mark.parametrize(("file", "old", "new", "words"), BROKEN)
def test_a_broken_stats_file_is_refused_with_its_place(cohort, file, old, new, words):
    edit(cohort / "sub-0003" / "stats" / file, old, new)
    with pytest.raises(InputError) as error:
        read("name", OPTIONS, cohort)
    for word in ["sub-0003", *words]:
        assert word in str(error.value)


@pytest.mark.parametrize(("file", "old", "new", "words"), BROKEN)
def test_whose_stats_file_is_broken_is_dropped_with_the_reason_if_asked(cohort, file, old, new, words):
    whole, _, _ = read("name", OPTIONS, cohort)
    edit(cohort / "sub-0003" / "stats" / file, old, new)
    dataset, quality, dropped = read("name", OPTIONS | {"missing_subjects": "drop"}, cohort)
    (reason,) = dropped.loc[dropped["label"] == "sub-0003", "reason"]
    lacks = any(word.startswith(("no value", "no measure")) for word in words)
    assert reason == (f"{file} lacks what others have" if lacks else "a stats file is damaged")
    kept = (whole.people["subject"] != "sub-0003").to_numpy()
    assert dataset.people["subject"].tolist() == quality["subject"].tolist() == whole.people["subject"][kept].tolist()
    assert dataset.people["head_size"].tolist() == whole.people["head_size"][kept].tolist()
    assert dataset.features == whole.features
    np.testing.assert_array_equal(dataset.values, whole.values[kept])


def test_who_lacks_a_stats_file_is_dropped_with_the_reason_if_asked(cohort):
    """As in ABIDE's public bucket, where some folders hold aseg.stats and no cortex."""
    for name in ("lh.aparc.stats", "rh.aparc.stats"):
        (cohort / "sub-0002" / "stats" / name).unlink()
    (cohort / "sub-0005" / "stats" / "rh.aparc.stats").write_bytes(b"")
    (cohort / "sub-0007" / "stats" / "aseg.stats").unlink()
    dataset, _, dropped = read("name", OPTIONS | {"missing_subjects": "drop"}, cohort)
    people = dropped[dropped["kind"] == "subject"].set_index("label")["reason"].to_dict()
    assert people == {
        "sub-0007": "no data found",
        "sub-0002": "no lh.aparc.stats, rh.aparc.stats",
        "sub-0005": "a stats file is damaged",
    }
    assert len(dataset.people) == len(dataset.values) == 5
    # What everybody lacks is a mistake in the configuration.
    with pytest.raises(InputError, match=r"lh.aparc.a2009s.stats: no such file"):
        read("name", OPTIONS | {"missing_subjects": "drop", "parcellation": "aparc.a2009s"}, cohort)


@pytest.mark.parametrize("cell", ["-12.0", "nan", "inf", "1e99", "12,0", "****"])
def test_a_cell_that_is_no_measure_is_refused_with_its_line(cohort, cell):
    path = cohort / "sub-0003" / "stats" / "aseg.stats"
    lines = path.read_text().split("\n")
    number = next(number for number, line in enumerate(lines) if "Left-Putamen" in line)
    words = lines[number].split()
    words[3] = cell
    lines[number] = " ".join(words)
    path.write_text("\n".join(lines))
    with pytest.raises(InputError) as error:
        read("name", OPTIONS, cohort)
    assert f"aseg.stats, line {number + 1}, Left-Putamen, column Volume_mm3: found '{cell}'" in str(error.value)


def test_robust_z_is_that_of_a_hand_computed_column():
    values = np.array([[1.0, 5.0], [2.0, 5.0], [3.0, 5.0], [4.0, 5.0], [100.0, 9.0]])
    expected = np.array([-2, -1, 0, 1, 97]) / 1.4826
    np.testing.assert_allclose(robust_z(values)[:, 0], expected)
    assert (robust_z(values)[:, 1] == 0).all()


def test_unlikely_people_are_flagged_and_constant_features_dropped():
    random = np.random.default_rng(0)
    table = pd.DataFrame(random.normal(100, 5, (40, 10)), columns=[f"f{number}" for number in range(10)])
    table["constant"] = 1.0
    table.iloc[7, :4] = 500.0
    people = pd.DataFrame({"subject": [f"s{number}" for number in range(40)], "head_size": 1.5e6})
    people.loc[3, "head_size"] = 12_000.0

    values, quality, dropped = clean_features(people, table)
    assert len(values) == 40 and "constant" not in values
    assert quality.index[quality["flag"] != ""].tolist() == [3, 7]
    assert quality.loc[7, "outlier_features"] == 4
    assert dropped["label"].tolist() == ["constant"]

    # Among others than themselves: every value of the first is far from what is usual in the second.
    assert (flag_people(table.to_numpy()[:5, :4], None, table.to_numpy()[5:, :4] + 100)["flag"] != "").all()
    with pytest.raises(InputError, match="No feature differs"):
        clean_features(people, table[["constant"]])
