import dataclasses

import numpy as np
import pytest
from simulated import GROUPS, simulated_dataset, simulated_pairs, simulated_splits
from sklearn.preprocessing import StandardScaler

from autospec.errors import InputError
from autospec.training.prepare import prepare


@pytest.fixture
def made():
    return simulated_dataset(), simulated_pairs(), simulated_splits([0])


def test_scaling_is_fitted_on_training_people_alone(made):
    dataset, pairs, split = made
    prepared = prepare(dataset, pairs, split)
    trained = split.loc[split["part"] == "train", "pair"].to_numpy()
    rows = np.sort(np.concatenate([2 * trained, 2 * trained + 1]))
    expected = StandardScaler().fit_transform(dataset.values[rows].astype(float))
    np.testing.assert_allclose(prepared.values["train"], expected, atol=1e-6)


def test_no_training_input_moves_when_every_test_person_changes(made):
    dataset, pairs, split = made
    tested = split.loc[split["part"] == "test", "pair"].to_numpy()
    rows = np.concatenate([2 * tested, 2 * tested + 1])
    values = dataset.values.copy()
    values[rows] = values[rows] * 100 + 7
    changed = prepare(dataclasses.replace(dataset, values=values), pairs, split)
    before = prepare(dataset, pairs, split)
    assert np.array_equal(changed.values["train"], before.values["train"])
    assert not np.array_equal(changed.values["test"], before.values["test"])


def test_no_training_input_moves_when_groups_are_swapped_within_pairs(made):
    dataset, pairs, split = made
    people = dataset.people.copy()
    swapped = {pair for pair in range(0, 16, 3)}
    people["group"] = [
        GROUPS[(i + (i // 2 in swapped)) % 2] for i in range(len(people))
    ]
    frame = pairs.assign(group=people["group"].to_numpy())
    other = prepare(dataclasses.replace(dataset, people=people), frame, split)
    before = prepare(dataset, pairs, split)
    assert np.array_equal(other.values["train"], before.values["train"])
    assert not np.array_equal(other.is_other["train"], before.is_other["train"])


def test_the_two_people_of_a_pair_keep_the_order_of_the_table_of_pairs(made):
    dataset, pairs, split = made
    turned = pairs.iloc[np.arange(len(pairs)) ^ 1]
    before, after = prepare(dataset, pairs, split), prepare(dataset, turned, split)
    assert np.array_equal(after.values["train"][::2], before.values["train"][1::2])


def test_rows_two_i_and_two_i_plus_one_are_a_pair(made):
    dataset, pairs, split = made
    prepared = prepare(dataset, pairs, split)
    for part in ("train", "test"):
        assert (prepared.is_other[part][::2] != prepared.is_other[part][1::2]).all()
    assert len(prepared.pairs) == len(prepared.values["train"]) // 2


def test_a_target_that_is_the_same_within_every_pair_does_not_use_the_labels(made):
    dataset, pairs, split = made
    assert prepare(dataset, pairs, split).labels_used
    people = dataset.people.assign(target=[f"class {i // 2 % 3}" for i in range(len(dataset.people))])
    assert not prepare(dataclasses.replace(dataset, people=people), pairs, split).labels_used


def rows_of(split, part):
    pairs = split.loc[split["part"] == part, "pair"].to_numpy()
    return np.sort(np.concatenate([2 * pairs, 2 * pairs + 1]))


def test_features_that_are_the_same_in_all_training_people_are_left_out_and_named(made):
    dataset, pairs, split = made
    whole = prepare(dataset, pairs, split)
    values = dataset.values.copy()
    values[rows_of(split, "train"), 3] = 2.5
    prepared = prepare(dataclasses.replace(dataset, values=values), pairs, split)
    assert prepared.features_left_out == ["f3"] and whole.features_left_out == []
    for part in ("train", "test"):
        np.testing.assert_array_equal(prepared.values[part], np.delete(whole.values[part], 3, axis=1))
    with pytest.raises(InputError, match="data set 'made': no feature varies"):
        prepare(dataclasses.replace(dataset, values=np.ones_like(values)), pairs, split)


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_component_that_a_training_person_lacks_is_left_out(part):
    dataset, pairs, split = simulated_dataset((12, 5)), simulated_pairs(), simulated_splits([0])
    dataset.values[rows_of(split, part)[1], :, 2] = 0
    prepared = prepare(dataset, pairs, split)
    assert prepared.features_left_out == (["f2"] if part == "train" else [])
    assert prepared.values["train"].shape == (24, 12, 4 if part == "train" else 5)


def test_pairs_with_an_outlier_among_the_training_people_are_left_out_only_if_asked(made):
    dataset, pairs, split = made
    head_size = np.full(32, 1.5e6)
    tested, trained = rows_of(split, "test"), rows_of(split, "train")
    head_size[trained[0]] = 10_000
    values = dataset.values.copy()
    values[trained[5]] += 1000
    values[tested[2]] += 1000
    changed = dataclasses.replace(dataset, values=values, people=dataset.people.assign(head_size=head_size))
    kept, dropped = prepare(changed, pairs, split), prepare(changed, pairs, split, outliers="drop")
    out = sorted({rows[place] // 2 for rows, place in ((trained, 0), (trained, 5), (tested, 2))})
    assert (kept.pairs_left_out, dropped.pairs_left_out) == ([], out) and len(out) == 3
    out = {trained[0] // 2, trained[5] // 2}
    assert dropped.pairs.tolist() == [pair for pair in kept.pairs if pair not in out]
    rows = [row for row in trained if row // 2 not in out]
    np.testing.assert_allclose(
        dropped.values["train"], StandardScaler().fit_transform(values[rows].astype(float)), atol=1e-6
    )
    assert len(dropped.values["test"]) == len(tested) - 2
    values[tested] += 1000
    with pytest.raises(InputError, match=r"0 pair\(s\) in the test part are without an outlier"):
        prepare(dataclasses.replace(changed, values=values), pairs, split, outliers="drop")
