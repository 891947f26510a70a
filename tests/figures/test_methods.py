"""The methods text says what the configuration and the records say."""

import re

import pytest

from autospec.report.methods import methods
from autospec.report.references import REFERENCES

TRAINING = {
    "epochs": 7, "optimiser": "adam", "schedule": "constant", "weight_decay": 0.0, "balanced": True, "test_share": 0.25,
}  # fmt: skip


def training(
    model="mlp", task="autoencoding", seeds=5, diverged=0, shape="base", activation="relu", parameters=1234, **changes
):
    options = {
        "model_options": {"widths": [48, 24], "learning_rate": 0.004, "batch": 16},
        "training": TRAINING | changes,
    }
    name = {"name": f"{model}-{task}", "model": model, "task": task, "shape": shape}
    name |= {"dataset": "mine", "activation": activation, "parameters": parameters}
    options["statistics"] = {"indices": 6, "labelings_every": 3, "labelings_seed": 77}
    return name | {"seeds": seeds, "diverged": diverged, "options": options}


def data(simulated=False, **options):
    return {
        "description": "Volumes of 90 people.", "simulated": simulated, "groups": ["control", "patient"], "pairs": 31,
        "people": [{"stage": "before", "n_reference": 40, "n_other": 50}, {"stage": "after", "n_reference": 31}],
        "dropped": [{"kind": "subject", "reason": "no scan", "count": 4},
                    {"kind": "feature", "reason": "flat", "count": 1}],
        "options": options,
    }  # fmt: skip


def test_of_groups(exact=True, correction="bh"):
    return {"name": "mlp-autoencoding", "labelings": 640, "exact": exact, "correction": correction, "alpha": 0.01}


test_of_groups.__test__ = False


def written(**changes):
    given = {
        "trainings": [training()],
        "datasets": {"mine": data(source="freesurfer", matching={"exact": ["site"], "callipers": {"age": 0.3}})},
        "groups": [test_of_groups()],
        "claims": [],
        "conditions": [],
        "versions": {"autospec": "9.8.7", "snakemake": "4.5.6", "torch": "1.2.3"},
    } | changes
    made = methods(**given)
    return " ".join(f"{heading}. {text}" for heading, text in made["paragraphs"]), made["references"]


def test_numbers_are_those_of_the_configuration_and_the_records():
    text, _ = written()
    for words in (
        "Volumes of 90 people.", "The group control had 40 members, the group patient 50.", "the same site, age within",
        "which gave 31 pairs", "4 people (no scan) and 1 feature (flat)",
        "(batch 16; learning rate 0.004; widths 48, 24; f: ReLU).", "MLP: fully connected layers with f after each",
        "Parameters: mine, MLP, autoencoding 1,234.", "640 labelings (drawn from seed 77)",
        "and, for the p of layers, over its layers and the two statistics",
        "7 epochs of Adam", "In each of 5 seeds", "(75% and 25%)", "5 trainings were made.", "640 labelings",
        "at every 3rd step", "were tested over the 6 leading singular values:", "controlled at 0.01", "AutoSpec 9.8.7",
        "workflow of Snakemake 4.5.6 (Mölder et al. 2021), with torch 1.2.3",
    ):  # fmt: skip
        assert words in text, words


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"trainings": [training(optimiser="sgd")]}, "stochastic gradient descent with a momentum of 0.9"),
        ({"trainings": [training(weight_decay=0.1)]}, "a weight decay of 0.1, decoupled (Loshchilov and Hutter 2019)"),
        ({"trainings": [training(diverged=2)]}, "of which 2 diverged and are left out"),
        ({"datasets": {"made": data(simulated=True)}}, "These data are simulated"),
        ({"datasets": {"images": data()}}, "one to one, at random"),
        ({"datasets": {"d": data(harmonise="combat")}}, "ComBat (Johnson et al. 2007)"),
        ({"datasets": {"d": data(residualise=["age", "head_size"])}}, "Linear effects of age and head size"),
        ({"datasets": {"d": data(high_pass=0.01, low_pass=0.1)}}, "frequencies above 0.01 Hz and below 0.1 Hz"),
        ({"datasets": {"d": data(high_pass=None, standardise=True)}}, "Time courses were standardised in each person."),
        ({"groups": [test_of_groups(correction="holm")]}, "family-wise error rate (Holm 1979)"),
        ({"groups": [test_of_groups(exact=False)]}, "their ranks are descriptive"),
        ({"claims": [{"claim": "C2", "rows": [{"dataset": "mine"}]}]}, "Activation functions were compared"),
        ({"claims": [{"claim": "C2", "rows": [{"dataset": "mine"}]}],
          "conditions": [{"correction": "by", "alpha": 0.02}]},
         "(Benjamini and Yekutieli 2001) was controlled at 0.02 over all pairs of conditions in the cells"),
        ({"trainings": [training(), training(activation="tanh")]}, "f: ReLU and tanh"),
        ({"trainings": [training("cnn")]}, "CNN: convolutions with f after each"),
        ({"trainings": [training(), training(shape="deep", parameters=5678)]},
         "Parameters: mine, MLP, autoencoding 1,234 (base) and 5,678 (deep)."),
        ({"trainings": [training(), training(shape="deep")]}, "every layer of its encoder twice"),
    ],
)  # fmt: skip
def test_what_was_chosen_is_said_and_what_was_not_is_not(changes, words):
    assert words in written(**changes)[0]
    assert words not in written()[0]


def test_all_works_that_are_cited_are_listed_and_no_others():
    for changes in (
        {},
        {"groups": []},
        {"trainings": [training(optimiser="sgd")]},
        {"datasets": {"d": data(source="mnist")}},
    ):
        text, references = written(**changes)
        names = set(re.findall(r"((?:[A-Z][\wö]+)(?: and [A-Z]\w+| et al\.)? (?:19|20)\d\d)", text))
        assert {REFERENCES[name] for name in names} == set(references) and len(references) > 3
        assert references == sorted(references)
