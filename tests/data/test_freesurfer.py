"""FreeSurfer's stats files, against an independent reading of a real subject."""

import shutil

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autospec.data.freesurfer import read, read_stats, read_subject
from autospec.data.quality import clean_features, robust_z
from autospec.data.simulate_freesurfer import write_cohort
from autospec.errors import InputError

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


def by_pandas(path):
    """The table of a stats file, read without our code."""
    (header,) = [line for line in path.read_text().splitlines() if line.startswith("# ColHeaders")]
    return pd.read_csv(path, sep=r"\s+", comment="#", names=header.split()[2:]).set_index("StructName")


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_a_real_subject_reads_as_by_pandas(bert):
    features, head_size, simulated = read_subject(bert, ["volume", "thickness", "area"])
    expected = by_pandas(bert / "stats" / "aseg.stats")["Volume_mm3"].to_dict()
    for side in ("Left", "Right"):
        expected[f"{side}-Thalamus"] = expected.pop(f"{side}-Thalamus-Proper")
    for side in ("lh", "rh"):
        table = by_pandas(bert / "stats" / f"{side}.aparc.stats")
        for column, ending in [("GrayVol", "volume"), ("ThickAvg", "thickness"), ("SurfArea", "area")]:
            expected |= {f"{side}_{region}_{ending}": value for region, value in table[column].items()}
    assert features == expected
    assert len(features) == 45 + 2 * 34 * 3
    # Numbers that stand in the files.
    assert features["Left-Hippocampus"] == 4308.9
    assert features["Left-Thalamus"] == 8097.4
    assert features["lh_fusiform_thickness"] == 2.717
    assert features["lh_insula_volume"] == 7669
    assert head_size == 1602572.131295
    assert not simulated


def test_measures_choose_the_features(bert):
    features, *_ = read_subject(bert, ["thickness"])
    assert len(features) == 68 and all(name.endswith("_thickness") for name in features)


def test_names_of_old_and_new_versions_give_the_same_features(bert, tmp_path):
    shutil.copytree(bert, tmp_path / "new")
    for file in (tmp_path / "new" / "stats").iterdir():
        file.chmod(0o644)
    aseg = tmp_path / "new" / "stats" / "aseg.stats"
    aseg.write_text(aseg.read_text().replace("Thalamus-Proper", "Thalamus"))
    edit(aseg, "# Measure EstimatedTotalIntraCranialVol, eTIV", "# Measure IntraCranialVol, ICV")
    assert read_subject(tmp_path / "new", ["volume"]) == read_subject(bert, ["volume"])


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


def test_a_real_subject_is_not_called_simulated(bert, tmp_path):
    for label, scale in (("a", 1.0), ("b", 1.1), ("c", 0.9)):
        shutil.copytree(bert, tmp_path / label)
        file = tmp_path / label / "stats" / "aseg.stats"
        file.chmod(0o644)
        edit(file, "4308.9", f"{4308.9 * scale:.1f}")
    (tmp_path / "participants.tsv").write_text(
        "participant_id\tdiagnosis\na\tcontrol\nb\tcontrol\nc\tschizophrenia\n"
    )
    dataset, _, dropped = read("name", OPTIONS, tmp_path)
    assert not dataset.simulated
    assert dataset.features == ["Left-Hippocampus"] and len(dropped) == 45 + 136 - 1


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


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
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
        ("aseg.stats", "# Measure EstimatedTotalIntraCranialVol", "# Measure Other", ["no measure"]),
        ("aseg.stats", "Left-Amygdala", "Left-Amigdala", ["no row for 'Left-Amygdala'", "7 of 8"]),
        ("lh.aparc.stats", "\ninsula", "\n# insula", ["lh.aparc.stats", "no row for 'lh_insula_volume'"]),
    ],
)
def test_a_broken_stats_file_is_refused_with_its_place(cohort, file, old, new, words):
    edit(cohort / "sub-0003" / "stats" / file, old, new)
    with pytest.raises(InputError) as error:
        read("name", OPTIONS, cohort)
    for word in ["sub-0003", *words]:
        assert word in str(error.value)


@pytest.mark.parametrize("cell", ["-12.0", "nan", "inf", "12,0", "****"])
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
    assert f"aseg.stats, line {number + 1}, Left-Putamen, column Volume_mm3: found '{cell}'" in str(
        error.value
    )


def test_a_file_cut_anywhere_after_the_header_is_refused(bert, tmp_path):
    text = (bert / "stats" / "aseg.stats").read_text()
    begin = text.index("# ColHeaders") + len("# ColHeaders")
    for end in range(begin, len(text) - 40, 97):
        (tmp_path / "aseg.stats").write_text(text[:end])
        with pytest.raises(InputError, match=r"aseg.stats"):
            read_stats(tmp_path / "aseg.stats")


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_bytes_give_a_table_or_an_input_error(bert, tmp_path, data):
    folder = tmp_path / "stats"
    shutil.copytree(bert / "stats", folder, dirs_exist_ok=True)
    name = data.draw(st.sampled_from(["aseg.stats", "lh.aparc.stats"]))
    content = bytearray((bert / "stats" / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(content) - 1))
        kind = data.draw(st.sampled_from(["replace", "cut", "insert"]))
        if kind == "replace":
            content[position] = data.draw(st.integers(0, 255))
        elif kind == "cut":
            del content[position : position + data.draw(st.integers(1, 400))]
        else:
            content[position:position] = data.draw(st.binary(max_size=12))
    (folder / name).unlink()
    (folder / name).write_bytes(content)
    try:
        features, _, _ = read_subject(tmp_path, ["volume", "thickness"])
    except InputError as error:
        assert name in str(error)
    else:
        values = np.array(list(features.values()))
        assert np.isfinite(values).all() and (values >= 0).all()


def test_robust_z_is_that_of_a_hand_computed_column():
    values = np.array([[1.0, 5.0], [2.0, 5.0], [3.0, 5.0], [4.0, 5.0], [100.0, 9.0]])
    expected = np.array([-2, -1, 0, 1, 97]) / 1.4826
    np.testing.assert_allclose(robust_z(values)[:, 0], expected)
    assert (robust_z(values)[:, 1] == 0).all()


def test_unlikely_people_are_flagged_and_dropped_only_if_asked():
    random = np.random.default_rng(0)
    table = pd.DataFrame(random.normal(100, 5, (40, 10)), columns=[f"f{number}" for number in range(10)])
    table["constant"] = 1.0
    table.iloc[7, :4] = 500.0
    people = pd.DataFrame({"subject": [f"s{number}" for number in range(40)], "head_size": 1.5e6})
    people.loc[3, "head_size"] = 12_000.0

    kept, values, quality, dropped = clean_features(people, table)
    assert len(kept) == len(values) == 40 and "constant" not in values
    assert quality.index[quality["flag"] != ""].tolist() == [3, 7]
    assert quality.loc[7, "outlier_features"] == 4
    assert dropped["label"].tolist() == ["constant"]

    kept, values, quality, dropped = clean_features(people, table, "drop")
    assert len(kept) == len(values) == 38 and len(quality) == 40
    assert dropped["label"].tolist() == ["s3", "s7", "constant"]
    with pytest.raises(InputError, match="No feature differs"):
        clean_features(people, table[["constant"]])
