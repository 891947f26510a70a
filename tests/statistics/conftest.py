"""Runs made of small random matrices, written as training writes them."""

import json

import numpy as np
import pyarrow as pa
import pytest

from autospec.tables import LABELINGS, SPECTRA, write_parquet

GROUPS = ("control", "patient")


def record(**changes):
    """A `run.json`."""
    return {
        "dataset": "made",
        "model": "mlp",
        "task": "autoencoding",
        "activation": "relu",
        "shape": "base",
        "seed": 0,
        "status": "finished",
        "learned": True,
        "groups": list(GROUPS),
        "labels_used": False,
        "simulated": True,
        "n": {"train": {"control": 8, "patient": 8}, "test": {"control": 2, "patient": 2}},
        "left_out": {"features": [], "pairs": []},
        "measured": {"wall_seconds": 4.0, "spectra_seconds": 1.0},
    } | changes


def summaries_of(s):
    """Nuclear norm, top share, effective rank and stable rank, each by its formula."""
    share = s / s.sum() if s.sum() else np.full(len(s), np.nan)
    entropy = -sum(p * np.log(p) for p in share if p > 0)
    return s.sum(), share[0], np.exp(entropy) if s.sum() else 0.0, (s**2).sum() / s[0] ** 2 if s.sum() else 0.0


def write_labelings(path, gradients, swaps, losses, epochs=(1, 2), indices=3, shuffle=None):
    """Write `labelings.parquet` for known per-person gradients.

    gradients : dict of layer to ndarray, shape (epochs, 2, pairs, q, p): each person's gradient
    losses : ndarray, shape (epochs, 2, pairs)
    shuffle : int, optional, to put the rows in random order
    """
    rows = []
    for position, epoch in enumerate(epochs):
        for labeling, swap in enumerate(swaps):
            one, two = (np.where(swap, *pair) for pair in ((1, 0), (0, 1)))
            sides = (one, two)
            pairs = np.arange(len(swap))
            for depth, (layer, each) in enumerate(gradients.items()):
                sums = [each[position, side, pairs].sum(axis=0) for side in sides]
                for name, matrix in zip((*GROUPS, "difference"), (*sums, sums[1] - sums[0]), strict=True):
                    s = np.linalg.svd(matrix, compute_uv=False)
                    rows.append(
                        (
                            epoch,
                            labeling,
                            layer,
                            depth,
                            "gradient",
                            name,
                            1,
                            float(np.sqrt((s**2).sum())),
                            s[:indices],
                            *summaries_of(s),
                        )
                    )
            for name, side in zip(GROUPS, sides, strict=True):
                mean = losses[position, side, pairs].mean()
                rows.append((epoch, labeling, "", -1, "loss", name, 1, None, np.array([mean]), *[None] * 4))
    if shuffle is not None:
        rows = [rows[place] for place in np.random.default_rng(shuffle).permutation(len(rows))]
    write_parquet(_table(rows, LABELINGS), path)


def write_spectra(path, curves, epochs):
    """Write `spectra.parquet`; curves : dict of (layer, depth, quantity, group) to (epochs, r)."""
    rows = [
        (epoch, layer, depth, quantity, group, 8.0, 8, 1, values[position], np.zeros_like(values[position]))
        for (layer, depth, quantity, group), values in curves.items()
        for position, epoch in enumerate(epochs)
    ]
    write_parquet(_table(rows, SPECTRA), path)


def _table(rows, schema):
    columns = zip(*rows, strict=True)
    arrays = []
    for field, column in zip(schema, columns, strict=True):
        plain = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        arrays.append(pa.array(list(column), plain).cast(field.type))
    return pa.Table.from_arrays(arrays, schema=schema)


@pytest.fixture
def make_run(tmp_path):
    """Write run folders: make_run(name, labelings={...}, spectra={...}, **record) -> (folder, record)."""

    def make(name, labelings=None, spectra=None, **changes):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        made = record(**changes)
        (folder / "run.json").write_text(json.dumps(made))
        if labelings is not None:
            write_labelings(folder / "labelings.parquet", **labelings)
        if spectra is not None:
            write_spectra(folder / "spectra.parquet", **spectra)
        return folder, made

    return make
