"""Everybody's time courses in one array."""

import h5py
import numpy as np
import pandas as pd
import pytest
from scipy.io import savemat

from autospec.data import timecourse_array
from autospec.data.signal import clean
from autospec.errors import InputError

PEOPLE, COMPONENTS, VOLUMES = 8, 10, 60
OPTIONS = {
    "source": "timecourse_array",
    "array": "COBRE_AllData.h5",
    "key": "COBRE_dataset",
    "order": "components_first",
    "volumes": VOLUMES,
    "component_list": "correct_indices_GSP.csv",
    "labels": "labels_COBRE.csv",
    "repetition_time": 2.0,
    "groups": {"control": [2], "patient": ["1"]},
}


def values():
    return np.random.default_rng(0).standard_normal((PEOPLE, COMPONENTS, VOLUMES)).astype(np.float32)


@pytest.fixture
def folder(tmp_path):
    """As the neighbours' code reads it: (people, components * time), components counted from 1, labels 1 and 2."""
    with h5py.File(tmp_path / "COBRE_AllData.h5", "w") as file:
        file["COBRE_dataset"] = values().reshape(PEOPLE, -1)
    (tmp_path / "correct_indices_GSP.csv").write_text("3\n9\n2\n")
    (tmp_path / "labels_COBRE.csv").write_text("1\n1\n2\n2\n1\n2\n2\n1\n")
    return tmp_path


def read(folder, **options):
    options = OPTIONS | options
    return timecourse_array.read("cobre", {name: value for name, value in options.items() if value is not None}, folder)


def test_a_flat_array_is_reshaped_and_its_components_chosen_in_the_order_of_the_list(folder):
    dataset, qc, dropped = read(folder)
    assert dataset.values.shape == (PEOPLE, VOLUMES, 3)
    assert dataset.features == ["component-3", "component-9", "component-2"]
    for row in range(PEOPLE):
        wanted = clean(values()[row, [2, 8, 1]].T, 2.0)
        np.testing.assert_allclose(dataset.values[row], wanted, atol=1e-5)
    assert dataset.people["group"].tolist() == [{"1": "patient", "2": "control"}[label] for label in "11221221"]
    assert dataset.people["subject"].iloc[0] == "row-001"
    assert qc["subject"].tolist() == dataset.people["subject"].tolist() and dropped.empty


def test_windows_of_a_person_are_rows_that_share_the_person(folder):
    whole = read(folder)[0].values
    dataset, _, _ = read(folder, windows={"length": 20, "stride": 10})
    assert dataset.values.shape == (PEOPLE * 5, 20, 3)
    assert dataset.people["subject"].is_unique
    assert dataset.people["person"].tolist() == [f"row-{row:03d}" for row in range(1, 9) for _ in range(5)]
    assert (dataset.people.groupby("person")["group"].nunique() == 1).all()
    np.testing.assert_array_equal(dataset.values[5 + 3], whole[1, 30:50])


def test_three_axes_and_cells_are_read_alike_and_time_may_come_first(folder):
    expected = read(folder)[0].values
    np.savez(folder / "a.npz", values=values())
    np.testing.assert_array_equal(read(folder, array="a.npz", key=None, volumes=None)[0].values, expected)
    np.save(folder / "b.npy", values().swapaxes(1, 2))
    found = read(folder, array="b.npy", key=None, volumes=None, order="time_first")[0].values
    np.testing.assert_array_equal(found, expected)
    cells = np.empty((1, PEOPLE), dtype=object)
    cells[0, :] = list(values())
    savemat(folder / "c.mat", {"tc": cells})
    np.testing.assert_array_equal(read(folder, array="c.mat", key="tc")[0].values, expected)


def test_rows_with_subjects_are_looked_up_in_the_participants_table(folder):
    subjects = [f"s{row}" for row in range(PEOPLE)]
    (folder / "subjects.txt").write_text("\n".join(subjects))
    table = pd.DataFrame({"participant_id": subjects[::-1], "diagnosis": ["2", "1"] * 4, "age": range(20, 28)})
    table.to_csv(folder / "participants.tsv", sep="\t", index=False)
    dataset, _, _ = read(folder, labels=None, subjects="subjects.txt")
    assert dataset.people["subject"].tolist() == subjects[::-1]
    assert dataset.people["age"].tolist() == list(range(20, 28))
    np.testing.assert_array_equal(dataset.values, read(folder)[0].values[::-1])


def test_sessions_of_people_of_no_group_are_left_out_without_an_error(folder):
    persons = [f"sub-{row // 2}" for row in range(PEOPLE)]
    (folder / "subjects.txt").write_text("\n".join(f"{name}_ses-{row % 2}" for row, name in enumerate(persons)))
    table = pd.DataFrame({"participant_id": persons[::2], "diagnosis": ["1", "2", "3", "1"]})
    table.to_csv(folder / "participants.tsv", sep="\t", index=False)
    dataset, _, dropped = read(folder, labels=None, subjects="subjects.txt", other_groups="drop")
    assert dataset.people["person"].tolist() == ["sub-0", "sub-0", "sub-1", "sub-1", "sub-3", "sub-3"]
    assert dropped["label"].tolist() == ["sub-2"]


def test_people_of_no_group_are_left_out_and_counted(folder):
    (folder / "labels_COBRE.csv").write_text("1\n1\n2\n2\n1\n2\n2\n3\n")
    with pytest.raises(InputError, match="labels_COBRE.csv, line 8, column 'labels': found '3'"):
        read(folder)
    dataset, _, dropped = read(folder, other_groups="drop")
    assert len(dataset.values) == 7
    assert dropped.to_dict("records") == [
        {"kind": "subject", "label": "row-008", "reason": "the group value belongs to no group"}
    ]


def test_the_real_list_and_labels_of_cobre_fit_the_array_they_were_made_for(shared_data, tmp_path):
    meta = shared_data / "cobre_meta"
    rng = np.random.default_rng(0)
    with h5py.File(tmp_path / "COBRE_AllData.h5", "w") as file:
        file["COBRE_dataset"] = rng.standard_normal((157, 14000)).astype(np.float32)
    for name in ("correct_indices_GSP.csv", "labels_COBRE.csv"):
        (tmp_path / name).write_text((meta / name).read_text())
    dataset, _, _ = read(tmp_path, volumes=140)
    assert dataset.values.shape == (157, 140, 53)
    assert dataset.people["group"].value_counts().to_dict() == {"control": 89, "patient": 68}
    chosen = [int(line) for line in (meta / "correct_indices_GSP.csv").read_text().split()]
    assert dataset.features == [f"component-{number}" for number in chosen]


def rewrite(name, text):
    return lambda folder: (folder / name).write_text(text)


@pytest.mark.parametrize(
    "damage, options, said",
    [
        (rewrite("labels_COBRE.csv", "1\n2\n"), {}, "labels_COBRE.csv: found 2 lines, wanted 8, one for each person"),
        (rewrite("labels_COBRE.csv", "1\n1\n2\nn/a\n1\n2\n2\n1\n"), {}, "labels_COBRE.csv, line 4: no group"),
        (rewrite("labels_COBRE.csv", "1\n" * 8), {}, "nobody belongs to group 'control'"),
        (rewrite("correct_indices_GSP.csv", "3\n11\n"), {}, "line 2: found '11', wanted .* from 1 to 10"),
        (rewrite("correct_indices_GSP.csv", "3\n0\n"), {}, "line 2: found '0'"),
        (rewrite("correct_indices_GSP.csv", "3\n3\n"), {}, "line 2: found '3', wanted .* each once"),
        (rewrite("correct_indices_GSP.csv", "a\n"), {}, "line 1: found 'a'"),
        (rewrite("correct_indices_GSP.csv", "\n"), {}, "the list is empty"),
        (lambda folder: None, {"volumes": None}, r"found an array of shape \(8, 600\).*wanted `volumes`"),
        (lambda folder: None, {"volumes": 61}, "a divisor of 600 .found 61."),
        (lambda folder: None, {"labels": None}, "does not say whose its rows are"),
        (lambda folder: None, {"subjects": "s.txt"}, "does not say whose its rows are"),
        (lambda folder: None, {"labels": "no.csv"}, "no.csv: no such file"),
        (lambda folder: None, {"windows": {"length": 61, "stride": 1}}, "`windows` asks for 61 volumes.* have 60"),
        (lambda folder: np.save(folder / "a.npy", values()[0, 0]), {"array": "a.npy"}, r"shape \(60,\)"),
    ],
)
def test_mistakes_are_named_in_one_message(folder, damage, options, said):
    damage(folder)
    with pytest.raises(InputError, match=said) as caught:
        read(folder, **options)
    assert "\n" not in str(caught.value)


def test_a_value_that_is_not_finite_is_named_by_row_volume_and_component(folder):
    array = values()
    array[2, 4, 5] = np.nan
    np.save(folder / "a.npy", array)
    with pytest.raises(InputError, match="a.npy, row 3: volume 6, component 5: found nan"):
        read(folder, array="a.npy", key=None)
