"""The batches of an epoch."""

import numpy as np


def epoch_batches(pairs: int, batch: int, generator: np.random.Generator, balanced: bool = True) -> list[np.ndarray]:
    """Rows of each batch of one epoch, in random order, in batches of nearly equal size.

    Parameters
    ----------
    pairs : int
        Number of training pairs; rows 2 i and 2 i + 1 are pair i.
    batch : int
        People a batch, at most; at least one pair is taken.
    balanced : bool
        Batches hold whole pairs, so that the groups are equally many in each; otherwise people at random.
    """
    count = -(-pairs // max(1, batch // 2))
    if not balanced:
        return np.array_split(generator.permutation(2 * pairs), count)
    order = generator.permutation(pairs)
    return [np.stack([2 * part, 2 * part + 1], axis=1).reshape(-1) for part in np.array_split(order, count)]
