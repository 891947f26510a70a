"""On a GPU a training comes to what it comes to on the CPU; skipped where there is none."""

from pathlib import Path

import numpy as np
import pytest
import torch
from simulated import SETTINGS

from autospec.tables import read_json, read_parquet
from autospec.training.runs import train_seeds

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU here")

#: Of the largest value of a spectrum, or of a metric: convolutions round to 10 bits there (TF32), four epochs long.
TOLERANCE = 5e-3


@pytest.mark.parametrize(
    ("model", "shape"),
    [("mlp", (10,)), ("cnn", (7, 6)), ("cnn", (1, 4, 5)), ("rnn", (7, 6)), ("lstm", (7, 6)), ("bert", (7, 6))],
)
def test_each_network_comes_to_the_same_on_a_gpu(prepared_files, tmp_path, model, shape):
    files, found = prepared_files(shape), {}
    activation = "tanh" if model in ("rnn", "lstm") else "relu"
    identity = {"dataset": "made", "model": model, "task": "autoencoding", "activation": activation, "shape": "base"}
    for device in ("cpu", "cuda"):
        settings = SETTINGS | {"training": SETTINGS["training"] | {"device": device}}
        folder = tmp_path / device
        train_seeds(files, identity, [0], settings, [str(folder)], str(tmp_path / f"{device} checkpoints"), 1)
        assert read_json(Path(folder, "run.json"))["status"] == "finished"
        found[device] = folder
    for name in ("spectra.parquet", "labelings.parquet"):
        tables = [read_parquet(found[device] / name).to_pandas() for device in ("cpu", "cuda")]
        spectra = [table.pop("singular_values") for table in tables]
        named = [table.select_dtypes(exclude="floating") for table in tables]
        assert named[0].equals(named[1])
        for expected, got in zip(*spectra, strict=True):
            assert np.allclose(got, expected, rtol=0, atol=TOLERANCE * max(expected.max(initial=0), 1e-3))
    losses = [read_parquet(found[device] / "metrics.parquet").to_pandas() for device in ("cpu", "cuda")]
    losses = [table[table["metric"] == "loss"]["value"].to_numpy() for table in losses]
    assert np.allclose(losses[1], losses[0], rtol=TOLERANCE)
