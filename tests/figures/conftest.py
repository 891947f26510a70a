"""Tables in every schema that figures and the report read: made up, and saying so."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from autospec.data.balance import balance_table
from autospec.data.quality_tables import group_table
from autospec.statistics.claims import judge_claims
from autospec.statistics.conditions import compare_conditions
from autospec.statistics.epochs import compare_epochs
from autospec.statistics.stability import stability_over_trainings
from autospec.statistics.swaps import compare_groups
from autospec.statistics.whole_spectra import compare_summaries
from autospec.tables import (
    LABELINGS,
    METRICS,
    SPECTRA,
    read_json,
    read_tsv,
    write_json,
    write_parquet,
    write_tsv,
)

GROUPS = ["control", "patient"]
MLP = {
    "autoencoding": {"encoder.0": (64, 84), "encoder.2": (32, 64), "encoder.4": (16, 32),
                     "decoder.0": (32, 16), "decoder.2": (64, 32), "decoder.4": (84, 64)},
    "classification": {"encoder.0": (64, 84), "encoder.2": (32, 64), "encoder.4": (16, 32), "head": (2, 16)},
}  # fmt: skip
LAYERS = {task: {f"{name}.weight": shape for name, shape in layers.items()} for task, layers in MLP.items()}
EPOCHS = 6
LABELINGS_DRAWN = 100
#: Nobody; labels that no page and no figure may show.
SUBJECTS = ["sub-SECRET0042", *(f"sub-{number:04d}" for number in range(1, 20))]


def run_name(dataset="freesurfer", model="mlp", task="autoencoding", activation="relu", shape="base"):
    return f"data-{dataset}_model-{model}_task-{task}_activation-{activation}_shape-{shape}"


def _curve(rank, scale, epoch, shift, noise):
    """A spectrum that decays with the index and rises, then falls, over epochs."""
    decay = np.exp(-np.arange(rank) / (2 + rank / 5))
    growth = 0.4 + (epoch / 3) * np.exp(1 - epoch / 3)
    values = scale * decay * growth * np.exp(shift + 0.05 * noise.standard_normal(rank))
    return np.sort(values)[::-1].astype(np.float32)


def _labelings(task, noise):
    """Gradients under every labeling; the truth (labeling 0) differs in layers of depth 1 and 4."""
    rows = []
    for epoch in range(1, EPOCHS + 1):
        for depth, (layer, shape) in enumerate(LAYERS[task].items()):
            rank = min(10, *shape)
            decay = 0.3 * np.exp(-np.arange(rank) / 4)
            for labeling in range(LABELINGS_DRAWN):
                shift = 0.5 * (labeling == 0 and depth in (1, 4))
                for group, effect in ((GROUPS[0], 0.0), (GROUPS[1], shift), ("difference", 2 * shift)):
                    values = decay * np.exp(effect + 0.1 * noise.standard_normal(rank))
                    norm = float(np.sqrt((values**2).sum()))
                    rows.append(
                        (
                            epoch,
                            labeling,
                            layer,
                            depth,
                            "gradient",
                            group,
                            4,
                            norm,
                            np.sort(values)[::-1],
                            values.sum(),
                            values.max() / values.sum(),
                            3.0 + effect,
                            (norm / values.max()) ** 2,
                        )
                    )
        for labeling in range(LABELINGS_DRAWN):
            for group in GROUPS:
                loss = [0.5 + 0.1 * (labeling == 0 and group == GROUPS[1]) + 0.02 * noise.standard_normal()]
                rows.append((epoch, labeling, "", -1, "loss", group, 4, None, loss, *[None] * 4))
    frame = pd.DataFrame(rows, columns=LABELINGS.names)
    return pa.Table.from_pandas(frame, schema=LABELINGS, preserve_index=False)


def layers_of(task, shape):
    """Layers by name; the wide network has twice the width inside, the deep one each layer of the encoder twice."""
    if shape == "base":
        return LAYERS[task]
    if shape == "wide":
        return {name: (2 * rows, 2 * columns) for name, (rows, columns) in LAYERS[task].items()}
    return {f"{name}{copy}": size for name, size in LAYERS[task].items() for copy in "ab"}


def make_run(
    root, dataset="freesurfer", task="autoencoding", seed=0, status="finished", simulated=True,
    model="mlp", activation="relu", shape="base",
):  # fmt: skip
    """One seed of a run: spectra, labelings, metrics and its record. Returns run.json."""
    name = run_name(dataset, model, task, activation, shape)
    folder = root / "runs" / name / f"seed-{seed}"
    noise = np.random.default_rng([seed, *name.encode()])
    rows = []
    for epoch in range(1, EPOCHS + 1):
        for depth, (layer, (rows_out, columns)) in enumerate(layers_of(task, shape).items()):
            for quantity, scale in {"activation": 20, "adjoint": 0.02, "gradient": 0.3, "weight": 2}.items():
                rank = {"activation": columns, "adjoint": rows_out}.get(quantity, min(rows_out, columns))
                for group in ("all",) if quantity == "weight" else (*GROUPS, "all"):
                    shift = 0.3 * (group == "patient") * (depth in (1, 4)) * (quantity != "activation")
                    flat = {"sigmoid": 0.8, "tanh": 0.52}.get(activation, 0.5 if task == "autoencoding" else 1.0)
                    values = _curve(rank, scale, epoch, shift, noise) ** flat
                    rows.append((epoch, layer, depth, quantity, group, 32.0, 16, 4, values, values * 0.1))
    spectra = pa.Table.from_pandas(pd.DataFrame(rows, columns=SPECTRA.names), schema=SPECTRA, preserve_index=False)
    write_parquet(spectra, folder / "spectra.parquet")
    write_parquet(_labelings(task, noise), folder / "labelings.parquet")
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
        "dataset": dataset, "model": model, "task": task, "activation": activation, "shape": shape,
        "seed": seed, "status": status, "learned": status == "finished", "groups": GROUPS,
        "labels_used": task == "classification", "simulated": simulated,
        "description": "Simulated FreeSurfer tables of 160 people." if simulated else "Made for a test.",
        "n": {"train": {"control": 52, "patient": 52}, "test": {"control": 12, "patient": 12}},
        "parameters": sum(map(np.prod, layers_of(task, shape).values())).item(),
        "versions": {"python": "3.11", "torch": "2.13.0", "numpy": "2.3.0"},
        "device": "cpu", "threads": 1, "inputs": {"data.parquet": "ab" * 32, "pairs.tsv": "cd" * 32},
        "options": {"epochs": EPOCHS}, "measured": {
            "wall_seconds": 7.5 + seed, "spectra_seconds": 2.0, "labelings_seconds": 1.5, "peak_memory_mb": 350.0,
        },
    }  # fmt: skip
    write_json(record, folder / "run.json")
    return folder / "run.json"


@pytest.fixture(scope="session")
def subjects():
    """Labels of the made-up participants."""
    return SUBJECTS


@pytest.fixture(scope="session")
def records(tmp_path_factory):
    """The records of three seeds of each task, simulated."""
    root = tmp_path_factory.mktemp("results")
    return {task: [make_run(root, task=task, seed=seed) for seed in range(3)] for task in LAYERS}


def _by_folder(paths):
    return {path.parent: read_json(path) for path in paths}


def make_group_tables(root, paths, yardsticks=True):
    """Run the group tests over the seeds of one run. Returns the tables' folder."""
    folder = root / "statistics" / "groups" / paths[0].parent.parent.name
    cells, layers, overall = compare_groups(_by_folder(paths))
    rows = [("largest_t", 4.2, 0.005, 0.0, 0.02, 0.01, 200), ("covariance_distance", 3.0, 0.03, 0.01, 0.06, 0.03, 200)]
    yardsticks = pd.DataFrame(rows, columns=["name", "value", "p", "p_low", "p_high", "q", "P"])
    stability = stability_over_trainings(_by_folder(paths))
    epochs = compare_epochs(_by_folder(paths))
    tables = {"cells": cells, "epochs": epochs, "layers": layers, "stability": stability, "yardsticks": yardsticks}
    tables["summaries"] = compare_summaries(_by_folder(paths))
    for name, table in tables.items():
        write_tsv(table.assign(n_pairs=64, simulated=overall["simulated"]), folder / f"{name}.tsv")
    inputs = {"largest_t": 0.005, "covariance_distance": 0.03}
    write_json(overall | {"pairs": 64, "inputs": inputs}, folder / "overall.json")
    return folder


def make_comparison(root, compared, records):
    """Run a comparison of conditions. Returns the folder of its tables."""
    folder = root / "statistics" / f"{compared}s" / "made"
    levels = {level: _by_folder(paths) for level, paths in records.items()}
    cells, overall = compare_conditions(compared, levels)
    write_tsv(cells, folder / "cells.tsv")
    write_json(overall, folder / "overall.json")
    return folder


@pytest.fixture(scope="session")
def group_tables(records):
    """Folders of the group tests, by task."""
    root = records["autoencoding"][0].parents[3]
    return {task: make_group_tables(root, paths) for task, paths in records.items()}


@pytest.fixture(scope="session")
def levels(records):
    """Records of every condition of a comparison of tasks, of activations and of shapes."""
    root = records["autoencoding"][0].parents[3]
    base = records["autoencoding"]
    made = {"task": records, "activation": {"relu": base}, "shape": {"base": base}}
    for compared, names in {"activation": ("sigmoid", "tanh"), "shape": ("wide", "deep")}.items():
        for name in names:
            made[compared][name] = [make_run(root, seed=seed, **{compared: name}) for seed in range(3)]
    return made


@pytest.fixture(scope="session")
def comparisons(levels):
    """Folders of the comparisons of conditions, by what is compared."""
    root = levels["task"]["autoencoding"][0].parents[3]
    return {compared: make_comparison(root, compared, records) for compared, records in levels.items()}


#: Data set, model, and whether it is simulated.
NETWORKS = (("digits", "mlp", False), ("fmri", "lstm", True))


@pytest.fixture(scope="session")
def networks(tmp_path_factory):
    """Records of two networks with two activations each; one training diverged."""
    root = tmp_path_factory.mktemp("networks")
    made = {}
    for dataset, model, simulated in NETWORKS:
        for activation in ("relu", "sigmoid"):
            made[dataset, model, activation] = [
                make_run(
                    root, dataset, seed=seed, simulated=simulated, model=model, activation=activation,
                    status="diverged" if (model, activation, seed) == ("lstm", "sigmoid", 3) else "finished",
                )
                for seed in range(4)
            ]  # fmt: skip
    return made


@pytest.fixture(scope="session")
def compared(networks, tmp_path_factory):
    """Folders of the comparison of activations in each of the two networks."""
    folders = []
    for dataset, model, _ in NETWORKS:
        levels = {activation: networks[dataset, model, activation] for activation in ("relu", "sigmoid")}
        folders.append(make_comparison(tmp_path_factory.mktemp(model), "activation", levels))
    return folders


def make_report_inputs(root, paths, tables, comparisons):
    """Claims, balance and dropped rows as the report reads them. Returns its keyword arguments."""
    prepared = root / "preprocessed" / "freesurfer"
    judged = [(read_json(folder / "overall.json"), read_tsv(folder / "layers.tsv")) for folder in tables]
    compared = [(read_json(folder / "overall.json"), read_tsv(folder / "cells.tsv")) for folder in comparisons]
    claims = judge_claims(judged, compared, [read_json(path) for path in paths])
    write_tsv(claims, root / "statistics" / "claims.tsv")
    people = pd.DataFrame({
        "subject": SUBJECTS, "group": GROUPS * 10,
        "age": np.linspace(20, 60, 20), "sex": ["F", "F", "M", "M"] * 5, "site": ["<b>A&B</b>"] * 20,
    })  # fmt: skip
    pairs = people.iloc[2:].reset_index(drop=True)
    write_tsv(balance_table(people, pairs, tuple(GROUPS), ["site", "sex"], ["age"]), prepared / "balance.tsv")
    described = group_table(people.assign(person=SUBJECTS), pairs["subject"], tuple(GROUPS), ["age"])
    write_tsv(described.assign(simulated=True), prepared / "quality" / "groups.tsv")
    rows = [("subject", SUBJECTS[0], f"subject {SUBJECTS[0]} has no MRI"),
            ("subject", SUBJECTS[1], "motion above 0.5 mm"),
            ("feature", "Left-Vessel", "constant in all people")]  # fmt: skip
    write_tsv(pd.DataFrame(rows, columns=["kind", "label", "reason"]), prepared / "dropped.tsv")
    rows = [("person", f"{SUBJECTS[0]}_1", SUBJECTS[0], GROUPS[0], "nobody is alike"),
            ("person", f"{SUBJECTS[0]}_2", SUBJECTS[0], GROUPS[0], "nobody is alike"),
            ("person", SUBJECTS[1], SUBJECTS[1], GROUPS[1], "nobody is alike"),
            ("session", f"{SUBJECTS[2]}_2", SUBJECTS[2], GROUPS[0], "no further session"),
            ("session", f"{SUBJECTS[2]}_3", SUBJECTS[2], GROUPS[0], "no further session"),
            ("session", f"{SUBJECTS[3]}_2", SUBJECTS[3], GROUPS[1], "no further session")]  # fmt: skip
    columns = ["kind", "subject", "person", "group", "reason"]
    write_tsv(pd.DataFrame(rows, columns=columns), prepared / "unpaired.tsv")
    tests = {"test": ["largest_t", "covariance_distance"], "p": [0.02, 0.5]}
    named = {"primary": 9, "callipers halved": 4}
    others = [
        pd.DataFrame(tests | {"matching": name, "n_pairs": pairs, "left_out": 20 - 2 * pairs, "kept": pairs / 9,
                              "largest_smd": 0.1, "largest_smd_of": "age"})
        for name, pairs in named.items()
    ]  # fmt: skip
    write_tsv(pd.concat(others), root / "statistics" / "pairings" / "freesurfer.tsv")
    return {
        "pairings": [root / "statistics" / "pairings" / "freesurfer.tsv"],
        "claims": root / "statistics" / "claims.tsv",
        "overall": [folder / "overall.json" for folder in tables],
        "layers": [folder / "layers.tsv" for folder in tables],
        "summaries": [folder / "summaries.tsv" for folder in tables],
        "yardsticks": [folder / "yardsticks.tsv" for folder in tables],
        "conditions": [folder / "overall.json" for folder in comparisons],
        "cells": [folder / "cells.tsv" for folder in comparisons],
        "balance": [prepared / "balance.tsv"],
        "quality": [prepared / "quality" / "groups.tsv"],
        "dropped": [prepared / "dropped.tsv"],
        "unpaired": [prepared / "unpaired.tsv"],
        "snakemake": "9.99",
        "options": {
            "freesurfer": {
                "source": "freesurfer",
                "matching": {"exact": ["site", "sex"], "callipers": {"age": 0.2, "head_size": 0.25}},
            }
        },
        "records": paths,
    }


@pytest.fixture(scope="session")
def report_inputs(records, group_tables, comparisons):
    """Everything that the report reads but the figures."""
    paths = [path for seeds in records.values() for path in seeds]
    return make_report_inputs(paths[0].parents[3], paths, list(group_tables.values()), list(comparisons.values()))


@pytest.fixture(scope="session")
def diverged(tmp_path_factory):
    """The records of a run of which every seed diverged, and the folder of the tests of its groups."""
    root = tmp_path_factory.mktemp("diverged")
    paths = [make_run(root, model="rnn", seed=seed, status="diverged") for seed in range(2)]
    return paths, make_group_tables(root, paths)


@pytest.fixture(scope="session")
def inputs_with_diverged(diverged, records, group_tables):
    """What the report reads of that run beside another one."""
    paths = [*diverged[0], *records["autoencoding"]]
    tables = [diverged[1], group_tables["autoencoding"]]
    return make_report_inputs(diverged[0][0].parents[3], paths, tables, [])
