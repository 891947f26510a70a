import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from simulated import SETTINGS
from sklearn.metrics import balanced_accuracy_score, r2_score, roc_auc_score

from autospec.data.dataset import read_dataset, write_dataset
from autospec.data.pairing import draw_swaps
from autospec.errors import InputError
from autospec.tables import LABELINGS, METRICS, SPECTRA, read_parquet, read_runs, read_tsv, write_tsv
from autospec.training import runs
from autospec.training.loop import Run, rate_factor
from autospec.training.metrics import evaluate
from autospec.training.runs import train_seeds

TABLES = ("spectra.parquet", "labelings.parquet", "directions.parquet", "metrics.parquet")
#: Every model with the kinds of data that it takes.
KINDS = [
    *(("mlp", shape) for shape in ((10,), (7, 6), (1, 4, 5))),
    *(("cnn", shape) for shape in ((7, 6), (1, 4, 5))),
    *((model, (7, 6)) for model in ("rnn", "lstm", "bert")),
]


def identity(model="mlp", task="autoencoding"):
    activation = "tanh" if model == "lstm" else "relu"
    return {"dataset": "made", "model": model, "task": task, "activation": activation, "shape": "base"}


def train(files, folder, seeds=(0, 1), settings=SETTINGS, **options):
    folders = [str(folder / f"seed-{seed}") for seed in seeds]
    train_seeds(files, identity(**options), list(seeds), settings, folders, str(folder / "checkpoints"), 1)
    return [Path(path) for path in folders]


def contents(folder):
    return {name: (folder / name).read_bytes() for name in TABLES}


@pytest.mark.parametrize(("model", "shape"), KINDS)
@pytest.mark.parametrize("task", ["autoencoding", "classification"])
def test_a_run_gives_its_tables_and_record(prepared_files, tmp_path, model, shape, task):
    folders = train(prepared_files(shape), tmp_path / "out", model=model, task=task)
    for seed, folder in enumerate(folders):
        assert read_parquet(folder / "spectra.parquet").schema.equals(SPECTRA)
        assert read_parquet(folder / "labelings.parquet").schema.equals(LABELINGS)
        assert read_parquet(folder / "metrics.parquet").schema.equals(METRICS)
        record = json.loads((folder / "run.json").read_text())
        assert (record["status"], record["seed"], record["simulated"]) == ("finished", seed, True)
        assert record["labels_used"] == (task == "classification")
        assert record["n"] == {"train": {"control": 12, "patient": 12}, "test": {"control": 4, "patient": 4}}
    together = read_runs(folders, "spectra").to_pandas()
    assert set(together["epoch"]) == {1, 2, 3, 4}
    assert set(together["group"]) == {"control", "patient", "all"}
    assert set(together["quantity"]) == {"activation", "adjoint", "gradient", "weight"}


def test_both_tasks_share_the_names_of_the_encoders_layers(prepared_files, tmp_path):
    counts = {"mlp": 2, "cnn": 2, "rnn": 2, "lstm": 2, "bert": 7}
    for model, shape in KINDS:
        files = prepared_files(shape)
        layers = []
        for task in ("autoencoding", "classification", *(["masked"] if model == "bert" else [])):
            folder = tmp_path / f"{model}-{len(shape)}" / task
            (folder,) = train(files, folder, seeds=(0,), model=model, task=task)
            names = set(read_parquet(folder / "spectra.parquet")["layer"].to_pylist())
            layers.append({name for name in names if name.startswith("encoder")})
        assert all(names == layers[0] for names in layers) and len(layers[0]) == counts[model]


def test_metrics_are_those_of_scikit_learn(prepared_files, tmp_path, monkeypatch):
    kept = {}
    original = runs.Run

    class Kept(original):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            kept[self.task] = self

    monkeypatch.setattr(runs, "Run", Kept)
    files = prepared_files()
    for task in ("autoencoding", "classification"):
        train(files, tmp_path / task, seeds=(0,), task=task)
    for task, run in kept.items():
        x, target = run.x["test"], run.target["test"].numpy()
        output = run.model(x).detach().numpy()
        if task == "classification":
            expected = balanced_accuracy_score(target, output.argmax(axis=1))
            assert run.last("balanced_accuracy") == pytest.approx(expected)
            assert run.last("auroc") == pytest.approx(roc_auc_score(target, output[:, 1] - output[:, 0]))
        else:
            # About the mean of the training people, and not about the test people's own mean.
            mean = run.x["train"].numpy().mean(axis=0)
            truth, guess = (x.numpy() - mean).reshape(-1, 1), (output - mean).reshape(-1, 1)
            together = r2_score(np.vstack([truth, -truth]), np.vstack([guess, -guess]))
            assert run.last("explained_variance") == pytest.approx(together, abs=1e-5)


@pytest.mark.parametrize(
    ("task", "shape"),
    [("autoencoding", (10,)), ("autoencoding", (7, 6)), ("autoencoding", (1, 4, 5)), ("masked", (7, 6))],
)
def test_explained_variance_is_over_the_mean_of_the_training_people_at_each_pixel_and_time_point(task, shape):
    generator = torch.Generator().manual_seed(len(shape))
    place = 3 * torch.randn(shape, generator=generator)
    x, seen = (torch.randn(n, *shape, generator=generator) + place for n in (30, 50))
    mean, everyone = seen.mean(dim=0), {"all": np.ones(30, dtype=bool)}
    mask = None
    if task == "masked":
        mask = torch.rand(30, shape[0], generator=generator) < 0.4
        mask[:, 0] = True

    class Fixed(torch.nn.Module):
        def __init__(self, output):
            super().__init__()
            self.output = output

        def forward(self, x, hidden=None):
            return self.output

    def score(output, x=x, mean=mean):
        found = evaluate(Fixed(output), x, torch.zeros(len(x)), everyone, task, mean, mask)
        return {metric: value for _, metric, value in found}["explained_variance"]

    assert score(mean.expand(x.shape)) == 0
    assert score(x) == 1
    output = x + 0.5 * torch.randn(x.shape, generator=generator)
    if mask is None:
        # About the people's own mean this is scikit-learn's, each pixel weighted by its variance.
        own = r2_score(x.flatten(1).numpy(), output.flatten(1).numpy(), multioutput="variance_weighted")
        assert score(output, mean=x.mean(dim=0)) == pytest.approx(own, abs=1e-6)
        errors, about = ((x - other).double().square().sum() for other in (output, mean))
    else:
        # Each person's mean over their own hidden time points, people equally.
        errors, about = (
            sum((x - other)[i][mask[i]].double().square().mean() for i in range(30))
            for other in (output, mean.expand(x.shape))
        )
    assert score(output) == pytest.approx(float(1 - errors / about), abs=1e-6)


def test_the_same_seed_gives_the_same_bytes_whatever_the_other_seeds(prepared_files, tmp_path):
    files = prepared_files()
    alone = train(files, tmp_path / "a", seeds=(1,))
    among = train(files, tmp_path / "b", seeds=(0, 1, 2))
    assert contents(alone[0]) == contents(among[1])
    assert contents(among[0]) != contents(among[1])


def test_a_seed_that_is_added_is_the_only_one_trained(prepared_files, tmp_path, monkeypatch):
    files = prepared_files()
    train(files, tmp_path / "out", seeds=(0, 1))
    trained = []
    original = runs._train_one
    monkeypatch.setattr(runs, "_train_one", lambda *a: (trained.append(a[4]["seed"]), original(*a)))
    train(files, tmp_path / "out", seeds=(0, 1, 2))
    assert trained == [2]


def test_changed_settings_are_another_run(prepared_files, tmp_path):
    files = prepared_files()
    first = contents(train(files, tmp_path / "out", seeds=(0,))[0])
    settings = SETTINGS | {"training": SETTINGS["training"] | {"weight_decay": 0.1}}
    assert contents(train(files, tmp_path / "out", seeds=(0,), settings=settings)[0]) != first


@pytest.mark.parametrize(("model", "shape"), KINDS)
def test_a_labeling_is_what_the_truth_would_be_if_its_pairs_were_swapped(prepared_files, tmp_path, model, shape):
    """Swap the labels of some pairs in the data and train anew: its truth is the first run's labeling."""
    files = prepared_files(shape)
    settings = SETTINGS | {"statistics": SETTINGS["statistics"] | {"labelings": 3}}
    first = train(files, tmp_path / "first", settings=settings, model=model)
    swaps = draw_swaps(read_tsv(files["pairs"]), 3, SETTINGS["statistics"]["labelings_seed"])
    assert swaps[2].any()
    pairs, dataset = read_tsv(files["pairs"]), read_dataset(files["data"])
    other = {"control": "patient", "patient": "control"}
    swapped = [other[g] if swaps[2][pair] else g for g, pair in zip(pairs["group"], pairs["pair"], strict=True)]
    group = dataset.people["subject"].map(dict(zip(pairs["subject"], swapped, strict=True)))
    write_dataset(dataclasses.replace(dataset, people=dataset.people.assign(group=group)), files["data"])
    write_tsv(pairs.assign(group=swapped), files["pairs"])
    second = train(files, tmp_path / "second", settings=settings, model=model)
    for before, after in zip(first, second, strict=True):
        expected, found = (read_parquet(folder / "labelings.parquet").to_pandas() for folder in (before, after))
        expected = expected[expected["labeling"] == 2].reset_index(drop=True)
        found = found[found["labeling"] == 0].reset_index(drop=True)
        assert len(found) == len(expected) > 0
        for a, b in zip(found["singular_values"], expected["singular_values"], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
        # Nothing of the training itself has moved by a bit.
        weights = [
            frame[frame["quantity"] == "weight"]["singular_values"].tolist()
            for frame in (read_parquet(folder / "spectra.parquet").to_pandas() for folder in (before, after))
        ]
        assert all(np.array_equal(a, b) for a, b in zip(*weights, strict=True))


def test_weight_decay_is_decoupled_from_the_gradient(prepared_files, tmp_path, monkeypatch):
    kept = []
    original = runs.Run
    monkeypatch.setattr(runs, "Run", lambda *a: kept.append(original(*a)) or kept[-1])
    settings = SETTINGS | {"training": SETTINGS["training"] | {"epochs": 0, "weight_decay": 0.5}}
    train(prepared_files(), tmp_path / "out", seeds=(0,), settings=settings)
    run = kept[0]
    before = [weight.detach().clone() for weight in run.model.parameters()]
    for weight in run.model.parameters():
        weight.grad = torch.zeros_like(weight)
    run.optimizer.step()
    for weight, old in zip(run.model.parameters(), before, strict=True):
        torch.testing.assert_close(weight.detach(), old * (1 - 0.01 * 0.5))


PROGRAM = """
import json, sys
from autospec.training import runs
runs._SECONDS_BETWEEN_CHECKPOINTS = 0.0
arguments = json.loads(sys.argv[1])
print("started", flush=True)
runs.train_seeds(**arguments)
"""


@pytest.mark.slow
def test_a_second_job_waits_for_the_first_and_finds_its_work_done(prepared_files, tmp_path):
    files = prepared_files()
    arguments = {
        "files": files,
        "identity": identity(),
        "seeds": [0],
        "settings": SETTINGS,
        "checkpoints": str(tmp_path / "checkpoints"),
        "threads": 1,
    }
    environment = os.environ | {"PYTHONPATH": str(Path(runs.__file__).parents[2])}
    program = PROGRAM.replace("print(", "import logging; logging.basicConfig(level=logging.INFO)\nprint(")
    jobs = [
        subprocess.Popen(
            [sys.executable, "-c", program, json.dumps(arguments | {"folders": [str(tmp_path / str(i))]})],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env=environment,
            text=True,
        )
        for i in range(2)
    ]
    logs = [job.communicate()[1] for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0]
    assert sum("already trained" in log for log in logs) == 1
    assert contents(tmp_path / "0") == contents(tmp_path / "1")


@pytest.mark.slow
def test_the_cores_of_the_machine_change_no_byte(prepared_files, tmp_path):
    options = SETTINGS["model_options"] | {"widths": [256, 128], "batch": 24}
    arguments = {
        "files": prepared_files((1500,)), "identity": identity(), "seeds": [0], "threads": 1,
        "settings": SETTINGS | {"model_options": options},
    }  # fmt: skip
    program = "from autospec.jobs import limit_threads\nlimit_threads(1)\n" + PROGRAM
    for cores in ("1", "2"):
        threads = {name: cores for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
        environment = os.environ | {"PYTHONPATH": str(Path(runs.__file__).parents[2])} | threads
        places = {"folders": [str(tmp_path / cores)], "checkpoints": str(tmp_path / f"checkpoints {cores}")}
        command = [sys.executable, "-c", program, json.dumps(arguments | places)]
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    assert contents(tmp_path / "1") == contents(tmp_path / "2")


def test_a_run_that_diverges_says_so_and_stops(prepared_files, tmp_path):
    options = SETTINGS["model_options"] | {"learning_rate": 1e20}
    (folder,) = train(prepared_files(), tmp_path / "out", seeds=(0,), settings=SETTINGS | {"model_options": options})
    record = json.loads((folder / "run.json").read_text())
    assert record["status"] == "diverged" and not record["learned"]
    assert record["epochs"] < SETTINGS["training"]["epochs"]


@pytest.mark.parametrize("task", ["autoencoding", "classification"])
def test_a_run_says_whether_it_learned_by_its_training_people_alone(prepared_files, tmp_path, caplog, task):
    found = {}
    for rate in (0.02, 1e-9):
        settings = SETTINGS | {
            "model_options": SETTINGS["model_options"] | {"learning_rate": rate},
            "training": SETTINGS["training"] | {"epochs": 30},
        }
        caplog.clear()
        (folder,) = train(prepared_files(), tmp_path / str(rate), seeds=(0,), settings=settings, task=task)
        found[rate] = json.loads((folder / "run.json").read_text())["learned"]
        assert ("seed 0 learned nothing" in caplog.text) == (not found[rate])
    # The numbers are random: what is learned of the trained says nothing of the tested.
    assert found == {0.02: True, 1e-9: False}


def test_a_seed_without_a_split_is_an_error(prepared_files, tmp_path):
    with pytest.raises(InputError, match="no split for seed 7"):
        train(prepared_files(), tmp_path / "out", seeds=(7,))


def test_a_gpu_that_is_not_there_is_an_error(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert runs.choose_device("auto").type == "cpu"
    with pytest.raises(InputError, match="torch sees no GPU"):
        runs.choose_device("cuda")


@pytest.fixture
def untrained(prepared_files, tmp_path, monkeypatch):
    """The runs of seeds 0 and 1 as they begin, under some training options."""

    def make(**training):
        kept = []
        monkeypatch.setattr(runs, "Run", lambda *a: kept.append(Run(*a)) or kept[-1])
        settings = SETTINGS | {"training": SETTINGS["training"] | {"epochs": 0} | training}
        train(prepared_files(), tmp_path / str(training), settings=settings)
        return kept

    return make


@pytest.mark.parametrize("fixed", ["initialisation", "split", "order"])
def test_what_is_held_fixed_is_the_same_in_every_seed_and_nothing_else_is(untrained, fixed):
    first, second = untrained(fixed=[fixed])
    same = {
        "initialisation": torch.equal(next(first.model.parameters()), next(second.model.parameters())),
        "split": np.array_equal(first.prepared.pairs, second.prepared.pairs),
        "order": np.array_equal(first.order.permutation(99), second.order.permutation(99)),
    }
    assert same == {name: name == fixed for name in same}


def test_the_optimiser_is_the_one_that_is_asked_for(untrained):
    assert isinstance(untrained(optimiser="adam")[0].optimizer, torch.optim.AdamW)
    optimizer = untrained(optimiser="sgd")[0].optimizer
    assert isinstance(optimizer, torch.optim.SGD) and optimizer.defaults["momentum"] == 0.9


def test_the_learning_rate_falls_along_half_a_cosine_or_stays():
    assert [rate_factor("constant", epoch, 4) for epoch in range(4)] == [1.0] * 4
    half = 0.5**0.5
    expected = [1.0, (1 + half) / 2, 0.5, (1 - half) / 2]
    assert [rate_factor("cosine", epoch, 4) for epoch in range(4)] == pytest.approx(expected)


def test_a_loss_that_grows_tenfold_is_divergence_though_it_is_finite(prepared_files, tmp_path):
    options = SETTINGS["model_options"] | {"learning_rate": 10.0}
    (folder,) = train(prepared_files(), tmp_path / "out", seeds=(0,), settings=SETTINGS | {"model_options": options})
    record = json.loads((folder / "run.json").read_text())
    losses = read_parquet(folder / "metrics.parquet").to_pandas().query("metric == 'loss' and part == 'train'")
    losses = losses[losses["group"] == "all"]["value"].to_numpy()
    assert np.isfinite(losses).all() and losses[-1] > 10 * losses[0]
    assert record["status"] == "diverged" and record["epochs"] < SETTINGS["training"]["epochs"]


@pytest.mark.parametrize(("model", "shape"), [("mlp", (10,)), ("bert", (7, 6))])
def test_mixed_precision_learns_what_full_precision_does_within_its_rounding(prepared_files, tmp_path, model, shape):
    files, losses = prepared_files(shape), []
    for precision in ("float32", "bfloat16"):
        settings = SETTINGS | {"training": SETTINGS["training"] | {"precision": precision}}
        (folder,) = train(files, tmp_path / precision, seeds=(0,), settings=settings, model=model)
        frame = read_parquet(folder / "metrics.parquet").to_pandas().query("metric == 'loss'")
        losses.append(frame["value"].to_numpy())
        assert read_parquet(folder / "spectra.parquet").schema.equals(SPECTRA)
    assert not np.array_equal(*losses)
    np.testing.assert_allclose(losses[1], losses[0], rtol=0.03)


@pytest.mark.parametrize("most", [0.0, 1.0])
def test_a_run_says_in_its_log_when_labelings_took_more_than_their_share(
    prepared_files, tmp_path, monkeypatch, caplog, most
):
    monkeypatch.setattr(runs, "_MOST_FOR_LABELINGS", most)
    train(prepared_files((10,)), tmp_path / "out", seeds=(0,))
    said = [record.getMessage() for record in caplog.records if "labelings took" in record.getMessage()]
    assert len(said) == (most == 0) and all("`labelings_every` (now 1)" in text for text in said)
