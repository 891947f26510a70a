"""config/figures.tsv names a figure for every claim, and the configurations make what their data allow."""

import csv
import itertools
import re

import pytest

from autospec import configuration, grid
from autospec.statistics.claims import CLAIMS, MODELS

#: Sources by the data of the list.
DATA = {
    "MNIST": ("digits", "mnist"),
    "Sinusoid": ("sinusoid",),
    "FreeSurfer": ("freesurfer", "freesurfer_tables"),
    "fMRI": ("fmri", "timecourses", "timecourse_array"),
}


@pytest.fixture(scope="module")
def listed(repository):
    with open(repository / "config" / "figures.tsv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert list(rows[0]) == ["figure", "claim", "data", "models", "quantity", "file"]
    return rows


def made(repository, name):
    """The data sets and the figures of a configuration."""
    config = configuration.read_configuration(repository / "config" / f"{name}.yaml")
    figures = {f"figures/{kind}/{each}" for kind, names in grid.figures(config).items() for each in names}
    return config["datasets"], figures


def models_drawn(row, datasets, figures):
    """The models of a row of the list that have their figure; None where the configuration has no such data."""
    names = [name for name, options in datasets.items() if options["source"] in DATA.get(row["data"], ())]
    if not names and row["data"] != "all":
        return None
    models = MODELS if row["models"] == "all" else row["models"].split()
    return {
        model
        for model, name in itertools.product(models, names or [""])
        if row["file"].format(dataset=name, model=model, activation=grid.ACTIVATIONS[model]) in figures
    }


def test_every_claim_and_every_comparison_has_a_figure_in_the_list(listed):
    assert {claim for row in listed for claim in row["claim"].split()} == set(CLAIMS)
    for claim, data in itertools.product(("C1", "C2", "C3"), DATA):
        assert [row for row in listed if claim in row["claim"] and row["data"] == data], (claim, data)
    for data in ("FreeSurfer", "fMRI"):
        assert [row for row in listed if "C4" in row["claim"] and row["data"] == data]
    assert len({row["figure"] for row in listed}) == len(listed)


def test_every_kind_of_figure_is_in_the_list(repository, listed):
    _, figures = made(repository, "paper")
    kinds = {path.split("/")[1] for path in figures}
    assert len(kinds) == 14 and {row["file"].split("/")[1] for row in listed} == kinds


def test_a_row_asks_no_model_for_data_that_it_cannot_take(listed):
    # Images to MLP and CNN, volumes to the MLP, series to all, activations not to the LSTM.
    allowed = {"MNIST": {"mlp", "cnn"}, "FreeSurfer": {"mlp"}, "Sinusoid": {"mlp", "rnn", "lstm", "bert"},
               "fMRI": {"cnn", "rnn", "lstm", "bert"}}  # fmt: skip
    for row in listed:
        if row["data"] != "all":
            assert set(row["models"].split()) == allowed[row["data"]] - ({"lstm"} if row["claim"] == "C2" else set())


@pytest.mark.parametrize("name", ["config", "abide", "paper"])
def test_configurations_make_each_figure_that_their_data_allow(repository, listed, name):
    datasets, figures = made(repository, name)
    drawn = {row["figure"]: models_drawn(row, datasets, figures) for row in listed}
    assert [figure for figure, models in drawn.items() if models is not None and not models] == []
    # Every model is in the comparisons of tasks, of shapes and (but the LSTM, which has one) of activations.
    for kind, wanted in (("tasks", set(MODELS)), ("shapes", set(MODELS)), ("activations", set(MODELS) - {"lstm"})):
        found = {re.search("model-([a-z]+)", path)[1] for path in figures if path.startswith(f"figures/{kind}/")}
        assert found == wanted, kind


def test_the_papers_configuration_makes_all_of_the_list(repository, listed):
    datasets, figures = made(repository, "paper")
    for row in listed:
        assert models_drawn(row, datasets, figures) == set(MODELS if row["models"] == "all" else row["models"].split())
