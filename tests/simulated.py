"""A small simulated data set for tests of training: random numbers, measured of no one."""

import numpy as np
import pandas as pd

from autospec.data.dataset import Dataset

GROUPS = ("control", "patient")
SETTINGS = {
    "model_options": {
        "widths": [12, 6],
        "channels": [4, 3],
        "kernel": 3,
        "hidden": 5,
        "width": 8,
        "heads": 2,
        "layers": 1,
        "bidirectional": False,
        "masked": 0.3,
        "learning_rate": 0.01,
        "batch": 8,
    },
    "training": {
        "epochs": 4,
        "test_share": 0.25,
        "optimiser": "adam",
        "schedule": "constant",
        "weight_decay": 0.0,
        "balanced": True,
        "fixed": [],
        "precision": "float32",
        "device": "auto",
    },
    "statistics": {"labelings": 9, "labelings_seed": 3, "labelings_every": 1, "indices": 4},
    "preparation": {},
}


def simulated_dataset(shape=(10,), people=32, seed=0):
    """Random numbers in two groups; nothing is measured of anyone."""
    generator = np.random.default_rng(seed)
    group = np.array(GROUPS)[np.arange(people) % 2]
    frame = pd.DataFrame({"subject": [f"s{i:02d}" for i in range(people)], "group": group, "target": group})
    values = generator.normal(size=(people, *shape)).astype(np.float32)
    return Dataset("made", values, frame, [f"f{i}" for i in range(shape[-1])], GROUPS, True, "Simulated numbers.")


def simulated_pairs(people=32):
    """Pairs of neighbours: (0, 1), (2, 3), ..."""
    return pd.DataFrame(
        {
            "pair": np.arange(people) // 2,
            "match": np.arange(people) // 2,
            "group": np.array(GROUPS)[np.arange(people) % 2],
            "subject": [f"s{i:02d}" for i in range(people)],
        }
    )


def simulated_splits(seeds, pairs=16, test=4):
    frames = []
    for seed in seeds:
        tested = np.random.default_rng(seed).permutation(pairs)[:test]
        part = np.where(np.isin(np.arange(pairs), tested), "test", "train")
        frames.append(pd.DataFrame({"seed": seed, "pair": np.arange(pairs), "part": part}))
    return pd.concat(frames, ignore_index=True)
