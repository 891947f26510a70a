import numpy as np

from autospec.training.batches import epoch_batches


def test_batches_hold_whole_pairs_and_every_pair_once():
    batches = epoch_batches(13, 8, np.random.default_rng(0))
    assert [len(batch) for batch in batches] == [8, 6, 6, 6]
    for batch in batches:
        assert (batch[::2] + 1 == batch[1::2]).all()
    assert sorted(np.concatenate(batches)) == list(range(26))


def test_batches_that_are_not_balanced_hold_everyone_once_and_split_pairs():
    batches = epoch_batches(13, 8, np.random.default_rng(0), balanced=False)
    assert [len(batch) for batch in batches] == [7, 7, 6, 6]
    assert sorted(np.concatenate(batches)) == list(range(26))
    assert any(set(batch ^ 1) != set(batch) for batch in batches)
