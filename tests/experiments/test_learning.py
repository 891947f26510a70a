"""A first experiment: with its default options every network learns the sinusoids, in both tasks."""

import re

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, r2_score

from autospec.configuration import complete
from autospec.data import sinusoid
from autospec.grid import ACTIVATIONS
from autospec.models import build_model
from autospec.training.tasks import draw_mask, sample_losses

OPTIONS = {"source": "sinusoid", "groups": {"slow": ["slow-early", "slow-late"], "fast": ["fast-early", "fast-late"]}}
QUESTION = [{"dataset": "waves", "model": "mlp", "task": "autoencoding"}]
CONFIG = complete({"datasets": {"waves": OPTIONS}, "comparisons": {"groups": QUESTION}})
MASKS = torch.Generator().manual_seed(0)
#: What is hidden of the series that were not learned from.
HIDDEN = draw_mask(48, CONFIG["datasets"]["waves"]["length"], 0.15, torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def waves():
    """Series (n, t, 1) and their classes; the first 192 to learn from."""
    dataset = sinusoid.read("waves", CONFIG["datasets"]["waves"], None)[0]
    _, classes = np.unique(dataset.people["target"], return_inverse=True)
    order = np.random.default_rng(0).permutation(len(classes))
    return torch.from_numpy(dataset.values.astype(np.float32))[order], torch.from_numpy(classes)[order]


def learned(waves, name, task, **changed):
    """Output of a network for the others, after the default number of epochs on the first 192."""
    x, target = waves
    torch.manual_seed(0)
    options = CONFIG["models"][name] | changed
    model = build_model(name, options, x.shape[1:], 4 if task == "classification" else None, ACTIVATIONS[name])
    optimizer = torch.optim.AdamW(model.parameters(), lr=options["learning_rate"], weight_decay=0.0)
    for _ in range(CONFIG["training"]["epochs"]):
        for rows in torch.randperm(192).split(options["batch"]):
            hidden = (draw_mask(len(rows), x.shape[1], options["masked"], MASKS),) if task == "masked" else ()
            sample_losses(model(x[rows], *hidden), x[rows], target[rows], task, *hidden).mean().backward()
            optimizer.step()
            optimizer.zero_grad()
    with torch.no_grad():
        return model(x[192:], HIDDEN) if task == "masked" else model(x[192:])


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_auto_encoder_does_far_better_than_the_mean_on_series_that_it_never_saw(waves, name):
    x = waves[0][192:]
    assert r2_score(x.flatten(), learned(waves, name, "autoencoding").flatten()) > 0.5


def test_the_bert_finds_what_is_masked_once_it_takes_enough_steps(waves):
    output = learned(waves, "bert", "masked", batch=8, learning_rate=0.005)
    assert r2_score(waves[0][192:][HIDDEN].flatten(), output[HIDDEN].flatten()) > 0.4


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_classifier_does_far_better_than_chance_on_series_that_it_never_saw(waves, name):
    guess = learned(waves, name, "classification").argmax(dim=1)
    # One in four by chance; who tells slow from fast alone is right in half.
    assert balanced_accuracy_score(waves[1][192:], guess) > 0.4


def test_the_page_says_how_far_wide_is_from_deep_in_its_own_table(repository):
    page = (repository / "docs" / "models.md").read_text(encoding="utf-8")
    table = page.split("<!-- table:sizes -->")[1].split("<!-- end:sizes -->")[0]
    rows = [[cell.strip().replace(",", "") for cell in line.split("|")[1:-1]] for line in table.splitlines()]
    counts = [(int(row[4]), int(row[5])) for row in rows if len(row) == 6 and row[4].isdigit()]
    assert len(counts) >= 20
    said = float(re.search(r"to within ([\d.]+)% in each row", table)[1])
    assert said == pytest.approx(100 * max(abs(wide / deep - 1) for wide, deep in counts), abs=0.05)
