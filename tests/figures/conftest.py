"""Tables in every schema that figures and the report read: made up, and saying so."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from autospec.tables import LABELINGS, METRICS, SPECTRA, write_json, write_parquet, write_tsv

GROUPS = ["control", "patient"]
MLP = {
    "autoencoding": {"encoder.0": (64, 84), "encoder.2": (32, 64), "encoder.4": (16, 32), "decoder.0": (32, 16),
                     "decoder.2": (64, 32), "decoder.4": (84, 64)},
    "classification": {"encoder.0": (64, 84), "encoder.2": (32, 64), "encoder.4": (16, 32), "head": (2, 16)},
}  # fmt: skip
LAYERS = {task: {f"{name}.weight": shape for name, shape in layers.items()} for task, layers in MLP.items()}
EPOCHS = 12
PEOPLE = 128


def run_name(dataset="freesurfer", model="mlp", task="autoencoding", activation="relu", shape="default"):
    return f"data-{dataset}_model-{model}_task-{task}_activation-{activation}_shape-{shape}"


def _curve(rank, scale, epoch, shift, noise):
    """A spectrum that decays with the index and rises, then falls, over epochs."""
    decay = np.exp(-np.arange(rank) / (2 + rank / 5))
    growth = 0.4 + (epoch / 3) * np.exp(1 - epoch / 3)
    values = scale * decay * growth * np.exp(shift + 0.05 * noise.standard_normal(rank))
    return np.sort(values)[::-1].astype(np.float32)


def make_run(root, dataset="freesurfer", task="autoencoding", seed=0, status="finished", simulated=True):
    """One seed of a run: spectra, labelings (empty), metrics and its record. Returns run.json."""
    folder = root / "runs" / run_name(dataset=dataset, task=task) / f"seed-{seed}"
    noise = np.random.default_rng([seed, len(task)])
    rows = []
    for epoch in range(1, EPOCHS + 1):
        for depth, (layer, (rows_out, columns)) in enumerate(LAYERS[task].items()):
            for quantity, scale in {"activation": 20, "adjoint": 0.02, "gradient": 0.3, "weight": 2}.items():
                rank = {"activation": columns, "adjoint": rows_out}.get(quantity, min(rows_out, columns))
                for group in ("all",) if quantity == "weight" else (*GROUPS, "all"):
                    shift = 0.3 * (group == "patient") * (depth in (1, 4)) * (quantity != "activation")
                    flat = 0.5 if task == "autoencoding" else 1.0
                    values = _curve(rank, scale, epoch, shift, noise) ** flat
                    rows.append((epoch, layer, depth, quantity, group, 32.0, 16, 4, values, values * 0.1))
    spectra = pa.Table.from_pandas(
        pd.DataFrame(rows, columns=SPECTRA.names), schema=SPECTRA, preserve_index=False
    )
    write_parquet(spectra, folder / "spectra.parquet")
    write_parquet(LABELINGS.empty_table(), folder / "labelings.parquet")
    score = "explained_variance" if task == "autoencoding" else "balanced_accuracy"
    metrics = [
        (epoch, part, group, metric, value + 0.01 * noise.standard_normal())
        for epoch in range(1, EPOCHS + 1)
        for part, gap in (("train", 0.0), ("test", 0.12))
        for group, shift in (("all", 0.0), ("control", -0.05), ("patient", 0.05))
        for metric, value in (
            ("loss", 0.3 + np.exp(-epoch / 3) + gap + shift),
            (score, 0.8 - 0.5 * np.exp(-epoch / 3) - gap - shift),
        )
    ]
    table = pa.Table.from_pandas(pd.DataFrame(metrics, columns=METRICS.names), schema=METRICS, preserve_index=False)
    write_parquet(table, folder / "metrics.parquet")
    record = {
        "dataset": dataset, "model": "mlp", "task": task, "activation": "relu", "shape": "default", "seed": seed,
        "status": status, "groups": GROUPS, "labels_used": task == "classification", "simulated": simulated,
        "description": "Simulated FreeSurfer tables of 160 people." if simulated else "Made for a test.",
        "n": {"train": {"control": 52, "patient": 52}, "test": {"control": 12, "patient": 12}},
        "parameters": 12345, "versions": {"python": "3.11", "torch": "2.13.0", "numpy": "2.3.0"},
        "device": "cpu", "threads": 1, "inputs": {"data.parquet": "ab" * 32, "pairs.tsv": "cd" * 32},
        "options": {"epochs": EPOCHS}, "measured": {"wall_seconds": 7.5, "peak_memory_mb": 350.0},
    }  # fmt: skip
    write_json(record, folder / "run.json")
    return folder / "run.json"


@pytest.fixture(scope="session")
def records(tmp_path_factory):
    """The records of three seeds of each task, simulated."""
    root = tmp_path_factory.mktemp("results")
    return {task: [make_run(root, task=task, seed=seed) for seed in range(3)] for task in LAYERS}
