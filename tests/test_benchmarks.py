"""The benchmark runs, and what it compares with is right."""

import subprocess
import sys

import numpy as np
import pytest
import torch

KINDS = ["mlp-table", "mlp-mnist-10", "lstm-64", "rnn-64", "bert-128", "cnn-1d", "cnn-2d", "cnn-3d"]


@pytest.fixture
def benchmarks(repository, monkeypatch):
    """The benchmark's own modules, which stand beside its program."""
    monkeypatch.syspath_prepend(repository / "benchmarks")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def run(repository, *arguments) -> str:
    command = [sys.executable, str(repository / "benchmarks" / "monitor.py"), "--quick", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout


@pytest.mark.slow
def test_every_way_runs_on_every_kind_of_model_and_its_spectra_agree_with_float64_lapack(repository):
    lines = [line.split("|")[1:-1] for line in run(repository, "--models", *KINDS).splitlines() if "|" in line]
    rows = [[cell.strip() for cell in line] for line in lines if len(line) == 7 and line[0].strip() in KINDS]
    errors = {(row[0], row[1]): float(row[6]) for row in rows if row[6] not in ("", "no spectra")}
    ways = ("monitor", "monitor, no second thread", "monitor, activations and adjoints too")
    ways += ("naive: svdvals of each group's gradient", "store everything, decompose later: afterwards")
    for model in KINDS:
        for way in ways:
            assert errors[model, way] < 1e-6, (model, way)


@pytest.mark.slow
def test_the_profile_names_parts_of_the_library(repository):
    report = run(repository, "--profile", "mlp-table")
    assert "cores.py" in report and "floor" in report


@pytest.mark.parametrize("kind", KINDS)
def test_the_reference_agrees_with_the_gradient_of_each_groups_loss_in_a_float64_model(benchmarks, kind):
    from models import QUICK
    from oracle import reference

    torch.manual_seed(0)
    model, batch = QUICK[kind].build(), QUICK[kind].batches(1)[0]
    found = reference(model, torch.nn.CrossEntropyLoss(), batch)
    x, y, labels = batch
    double = model.double()
    if hasattr(double, "positions"):
        double.positions = double.positions.double()
    losses = torch.nn.functional.cross_entropy(double(x.double()), y, reduction="none") / len(y)
    weights = {name: weight for name, weight in double.named_parameters() if weight.dim() > 1}
    groups = {label: torch.tensor([other == label for other in labels]) for label in set(labels)}
    groups["all"] = torch.ones(len(labels), dtype=torch.bool)
    assert set(found) == {(name.removesuffix(".weight"), group) for name in weights for group in groups}
    for group, chosen in groups.items():
        gradients = torch.autograd.grad(losses[chosen].sum(), list(weights.values()), retain_graph=True)
        for name, gradient in zip(weights, gradients, strict=True):
            wanted = np.linalg.svd(gradient.flatten(1).numpy(), compute_uv=False)
            np.testing.assert_allclose(found[name.removesuffix(".weight"), group], wanted, atol=1e-5 * wanted[0])


def test_intervals_of_the_median_are_those_of_order_statistics(benchmarks):
    from monitor import interval

    assert interval([1.0, 2.0, 3.0]) == (1.0, 3.0)
    assert interval([1.0, 2.0, 3.0, 4.0, 5.0]) == (1.0, 5.0)  # 1 - 2 / 32 = 94 %
    assert interval([float(n) for n in range(10)]) == (
        1.0,
        8.0,
    )  # 1 - 2 * 11 / 1024 = 98 %; one further in, 89 %


def test_the_tables_are_written_between_their_marks(benchmarks, tmp_path):
    from monitor import write

    page = tmp_path / "README.md"
    page.write_text("before\n<!-- table:a -->\nold\n<!-- end:a -->\nafter\n", encoding="utf-8")
    write(page, {"a": r"new \1"})
    assert page.read_text(encoding="utf-8") == "before\n<!-- table:a -->\nnew \\1\n<!-- end:a -->\nafter\n"


def test_the_page_has_a_place_for_every_table(repository):
    text = (repository / "benchmarks" / "README.md").read_text(encoding="utf-8")
    for name in ("monitor", "labelings", "shares", "floors", "preprocessing"):
        assert f"<!-- table:{name} -->\n" in text and f"<!-- end:{name} -->" in text


def test_every_reader_reads_what_is_written_for_it(benchmarks, monkeypatch, tmp_path):
    import preprocessing

    monkeypatch.setattr(preprocessing, "SHAPE", (6, 7, 6))
    for name, case in preprocessing.CASES.items():
        folder = tmp_path / name
        folder.mkdir()
        case.write(folder, 12)
        found = [preprocessing.measure(case, folder, people) for people in (4, 12)]
        assert all(one["seconds"] > 0 and one["megabytes"] > 50 for one in found)
