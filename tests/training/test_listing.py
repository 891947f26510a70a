import json

import pytest

from autospec.tables import METRICS, write_json, write_parquet
from autospec.training.listing import list_runs

RECORD = {
    "dataset": "made", "model": "mlp", "task": "classification", "activation": "relu", "shape": "wide", "seed": 3,
    "status": "finished", "learned": True, "simulated": True, "parameters": 123, "epochs": 2,
    "classes": ["a", "b", "c"], "device": "cpu", "left_out": {"features": ["f1", "f2"], "pairs": [0, 2, 3, 7, 9]},
    "measured": {"wall_seconds": 8.0, "spectra_seconds": 2.0, "labelings_seconds": 3.0, "peak_memory_mb": 456},
}  # fmt: skip


def write_run(folder, record, rows):
    import pyarrow as pa

    names = ("epoch", "part", "group", "metric", "value")
    rows = [dict(zip(names, row, strict=True)) for row in rows]
    write_parquet(pa.Table.from_pylist(rows, schema=METRICS), folder / "metrics.parquet")
    write_json(record, folder / "run.json")
    return folder / "run.json"


def test_a_run_is_listed_with_its_cost_and_its_last_metrics(tmp_path):
    rows = [
        (0, "test", "all", "loss", 9.0),
        (2, "train", "all", "loss", 0.5),
        (2, "test", "all", "loss", 0.7),
        (2, "test", "a group", "loss", 5.0),
        (2, "test", "all", "auroc", 0.9),
    ]
    bad = list_runs([write_run(tmp_path, RECORD | {"learned": False}, rows)]).iloc[0]
    assert bad["learned"] == False  # noqa: E712
    row = list_runs([write_run(tmp_path, RECORD, rows)]).iloc[0]
    assert (row["seed"], row["shape"], row["status"], row["parameters"]) == (3, "wide", "finished", 123)
    assert (row["seconds"], row["spectra_share"], row["labelings_share"]) == (8.0, 0.25, 0.375)
    assert (row["train_loss"], row["test_loss"], row["test_auroc"]) == (0.5, 0.7, 0.9)
    assert (row["features_left_out"], row["pairs_left_out"]) == (2, 5)
    assert row["learned"] == True  # noqa: E712
    assert row["chance"] == pytest.approx(1 / 3)
    assert row["test_explained_variance"] is None


def test_a_run_that_diverged_says_so_and_has_the_metrics_that_it_reached(tmp_path):
    record = json.loads(json.dumps(RECORD)) | {"status": "diverged", "epochs": 1, "task": "autoencoding"}
    rows = [(0, "train", "all", "loss", 1.0), (1, "train", "all", "loss", float("nan"))]
    row = list_runs([write_run(tmp_path, record, rows)]).iloc[0]
    assert row["status"] == "diverged" and row["train_loss"] != row["train_loss"]
    assert row["chance"] is None
