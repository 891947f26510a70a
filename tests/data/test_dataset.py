import dataclasses
import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from simulated import simulated_dataset

from autospec.data.dataset import check_dataset, read_dataset, write_dataset
from autospec.errors import InputError


def test_every_subject_is_a_person_where_the_reader_does_not_say():
    dataset = simulated_dataset(people=6)
    assert dataset.people["person"].tolist() == dataset.people["subject"].tolist()


@pytest.mark.parametrize("shape", [(4,), (5, 3)])
def test_people_and_values_come_back_from_the_file(tmp_path, shape):
    dataset = simulated_dataset(shape, people=6)
    people = dataset.people.assign(person=["a", "b", "a", "b", "c", "d"], age=[20.5, 30, np.nan, 41, 50, 60])
    dataset = dataclasses.replace(dataset, people=people)
    write_dataset(dataset, tmp_path / "data.parquet")
    back = read_dataset(tmp_path / "data.parquet")
    np.testing.assert_array_equal(back.values, dataset.values)
    pd.testing.assert_frame_equal(back.people, people, check_dtype=False)
    assert (back.features, back.groups) == (dataset.features, dataset.groups)


def test_a_file_of_an_earlier_version_is_refused_by_name_with_what_it_lacks(tmp_path):
    path = tmp_path / "data.parquet"
    write_dataset(simulated_dataset((4,)), path)
    table = pq.read_table(path)
    ((key, text),) = table.schema.metadata.items()
    kept = {part: value for part, value in json.loads(text).items() if part not in ("originals", "description")}
    pq.write_table(table.replace_schema_metadata({key: json.dumps(kept).encode()}), path)
    with pytest.raises(InputError, match=r"data.parquet: found a data set without description, originals.*run again"):
        read_dataset(path)


def test_a_person_with_sessions_in_both_groups_is_refused():
    dataset = simulated_dataset(people=6)
    mixed = dataclasses.replace(dataset, people=dataset.people.assign(person=["a", "a", "b", "c", "d", "e"]))
    with pytest.raises(InputError, match="the scans: person a has sessions in both groups"):
        check_dataset(mixed, "the scans")


def test_two_sessions_of_one_person_are_not_two_people():
    dataset = simulated_dataset(people=4)
    alone = dataclasses.replace(dataset, people=dataset.people.assign(person=["a", "b", "a", "c"]))
    with pytest.raises(InputError, match=r"group 'control' has 1 subject\(s\)"):
        check_dataset(alone, "the scans")
