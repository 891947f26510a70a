import copy

import pytest
from configured import SMALL

from autospec import configuration, grid
from autospec.errors import InputError


def changed(place, value):
    config = copy.deepcopy(SMALL)
    *parents, last = place
    part = config
    for key in parents:
        part = part.setdefault(key, {}) if isinstance(part, dict) else part[key]
    part[last] = value
    return config


MISTAKES = {
    "an unknown option names the nearest": (
        (("datasets", "digits", "limitt"), 10),
        ["datasets.digits.limitt", "'limit'"],
    ),
    "an unknown section names the nearest": ((("trainin",), {}), ["trainin", "'training'"]),
    "an unknown nested option names its place": (
        (("statistics",), {"labeling": 30}),
        ["statistics.labeling", "'labelings'"],
    ),
    "an option of another source": (
        (("datasets", "digits", "series"), 10),
        ["datasets.digits.series", "an option of sinusoid, not of digits"],
    ),
    "covariates taken out of time courses": (
        (("datasets", "brains"), {"source": "fmri", "path": "x", "groups": {}, "residualise": ["age"]}),
        ["datasets.brains.residualise", "freesurfer, freesurfer_tables, not of fmri", "match people on covariates"],
    ),
    "sites of time courses brought together": (
        (("datasets", "brains"), {"source": "fmri", "path": "x", "groups": {}, "harmonise": "combat"}),
        ["datasets.brains.harmonise", "freesurfer, freesurfer_tables, not of fmri", "match people on site"],
    ),
    "a kernel that has no middle": (
        (("models", "cnn"), {"kernel": 4}),
        ["models.cnn.kernel", "found 4, wanted an odd number"],
    ),
    "an unknown source names the nearest": ((("datasets", "digits", "source"), "digit"), ["source", "'digits'"]),
    "an unknown data set in a comparison": (
        (("comparisons", "tasks", 0, "dataset"), "brain"),
        ["comparisons.tasks[0].dataset", "'brains'"],
    ),
    "an unknown model": ((("comparisons", "tasks", 0, "model"), "gru"), ["comparisons.tasks[0].model", "mlp, cnn"]),
    "a recurrent model on a table": (
        (("comparisons", "groups", 0, "model"), "lstm"),
        ["comparisons.groups[0]", "time courses", "mlp"],
    ),
    "a convolutional model on a table": (
        (("comparisons", "groups", 0, "model"), "cnn"),
        ["comparisons.groups[0]", "images or time courses", "'mlp'"],
    ),
    "a recurrent model on images": (
        (("comparisons", "tasks", 0), {"dataset": "digits", "model": "bert"}),
        ["comparisons.tasks[0]", "needs time courses", "'mlp' or 'cnn'"],
    ),
    "a task that a model has not": (
        (("comparisons", "groups"), [{"dataset": "waves", "model": "lstm", "task": "masked"}]),
        ["comparisons.groups[0].task", "'masked'", "'bert'"],
    ),
    "an activation that a model has not": (
        (("comparisons", "groups"), [
            {"dataset": "waves", "model": "lstm", "task": "autoencoding", "activation": "relu"}
        ]),
        ["activation", "tanh"],
    ),
    "activations of the lstm": (
        (("comparisons", "activations"), [{"dataset": "waves", "model": "lstm", "task": "autoencoding"}]),
        ["comparisons.activations[0]", "one activation", "none to compare"],
    ),
    "neither path nor simulate": ((("datasets", "brains"), {
        "source": "freesurfer", "groups": {"a": ["a"], "b": ["b"]}
    }), ["datasets.brains", "neither", "simulate"]),
    "both path and simulate": ((("datasets", "brains", "path"), "somewhere"), ["datasets.brains", "both"]),
    "one group only": ((("datasets", "digits", "groups"), {"even": ["0"]}), ["datasets.digits.groups"]),
    "a class in both groups": (
        (("datasets", "digits", "groups"), {"even": ["0"], "odd": [0, "1"]}),
        ["datasets.digits.groups", "'0'"],
    ),
    "a wrong type": ((("seeds",), "four"), ["seeds", "'four'", "whole number"]),
    "a number out of bounds": ((("statistics",), {"labelings": 5}), ["statistics.labelings", "20 or more"]),
    "an odd batch": ((("models",), {"mlp": {"batch": 33}}), ["models.mlp.batch", "33", "multiple of 2"]),
    "a number that YAML reads as text": (
        (("models",), {"mlp": {"learning_rate": "1e-3"}}),
        ["models.mlp.learning_rate", "'1e-3'", "write 0.001"],
    ),
    "a number in quotes": ((("seeds",), "4"), ["seeds", "'4'", "write 4, without quotes"]),
    "a number that is none": (
        (("models",), {"mlp": {"learning_rate": float("nan")}}),
        ["models.mlp.learning_rate", "nan", "finite number"],
    ),
    "a number without end": (
        (("datasets", "brains", "matching"), {"callipers": {"age": float("inf")}}),
        ["datasets.brains.matching.callipers.age", "inf", "finite number"],
    ),
    "groups named by numbers": (
        (("datasets", "digits", "groups"), {0: ["0"], 1: ["1"]}),
        ["datasets.digits.groups.0", "found the name 0, wanted text", "quotes"],
    ),
    "a group that YAML reads as no": (
        (("datasets", "digits", "groups"), {False: ["0"], "yes": ["1"]}),
        ["datasets.digits.groups.False", "wanted text", "quotes"],
    ),
    "a data set named by a number": (
        (("datasets", 7), {"source": "digits", "groups": {"even": ["0"], "odd": ["1"]}}),
        ["datasets.7", "found the name 7, wanted text"],
    ),
    "a group named all": (
        (("datasets", "digits", "groups"), {"all": ["0"], "odd": ["1"]}),
        ["datasets.digits.groups", "'all'", "Rename the group"],
    ),
    "a group named difference": (
        (("datasets", "digits", "groups"), {"even": ["0"], "difference": ["1"]}),
        ["datasets.digits.groups", "'difference'", "Rename the group"],
    ),
    "a group with a blank in its name": (
        (("datasets", "digits", "groups"), {"even ones": ["0"], "odd": ["1"]}),
        ["datasets.digits.groups", "'even ones'", "letters, digits and underscores"],
    ),
    "a file pattern without a subject": (
        (("datasets", "waves"), {
            "source": "fmri", "simulate": {}, "bold": "scan.nii.gz", "groups": {"a": ["a"], "b": ["b"]}
        }),
        ["datasets.waves.bold", "'scan.nii.gz'", "wanted {subject} in it"],
    ),
    "nothing asked": ((("comparisons",), {}), ["comparisons", "nothing"]),
    "a missing option": ((("datasets", "digits"), {"source": "digits"}), ["datasets.digits", "'groups'"]),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_in_one_line_that_names_its_place(mistake):
    change, wanted = MISTAKES[mistake]
    with pytest.raises(InputError) as caught:
        configuration.complete(changed(*change))
    message = str(caught.value)
    assert "\n" not in message
    for text in wanted:
        assert text in message


def test_defaults_are_filled_and_the_given_configuration_is_left_as_it_is():
    before = copy.deepcopy(SMALL)
    config = configuration.complete(SMALL)
    assert before == SMALL
    assert config["seeds"] == 4
    assert config["models"]["lstm"]["batch"] == 32
    assert config["datasets"]["brains"]["simulate"] == {"subjects": 40, "effect": 1.0, "seed": 0}
    assert "matching" not in config["datasets"]["digits"]
    assert configuration.complete(config) == config


@pytest.mark.parametrize("name", ["config", "abide", "paper", "mnist", "test"])
def test_shipped_configurations_are_right(repository, name):
    config = configuration.read_configuration(repository / "config" / f"{name}.yaml")
    assert grid.runs(config)


def test_a_file_that_is_no_yaml_is_told(tmp_path):
    (tmp_path / "broken.yaml").write_text("seeds: [1\noutput: x")
    with pytest.raises(InputError, match="broken.yaml: not YAML"):
        configuration.read_configuration(tmp_path / "broken.yaml")
    with pytest.raises(InputError, match="none.yaml: no such"):
        configuration.read_configuration(tmp_path / "none.yaml")


SCANS = {"source": "fmri", "path": "here", "groups": {"control": ["a"], "patient": ["b"]}}


@pytest.mark.parametrize(
    "options, said",
    [
        ({"atlas": "a.nii", "ica": {}}, "datasets.brains: found both 'atlas' and 'ica'"),
        ({"ica": {"people": "training"}}, "datasets.brains.ica.people: found 'training', but every seed has a split"),
        ({"ica": {"people": "training", "scans": "*.nii"}}, "datasets.brains.ica: found both `people: training` and"),
        ({"ica": {"people": "all"}}, "datasets.brains.ica.people: found 'all', wanted a number of people or 'traini"),
        ({"ica": {"people": 1}}, "datasets.brains.ica.people: found 1, wanted 2 or more"),
        ({"load_confounds": {}}, "datasets.brains: slow drifts are removed twice"),
        ({"load_confounds": {"strategy": ["motion", "high_pass"]}}, "slow drifts are removed twice"),
        ({"load_confounds": {"strategy": ["motion"]}, "confounds": None}, "there are no confounds to load"),
        ({"load_confounds": {"strategy": ["motions"]}}, r"load_confounds.strategy\[0\]: found 'motions'"),
        ({"windows": {"length": 20}}, "datasets.brains.windows: the option 'stride' is missing"),
        ({"parts": 0}, "datasets.brains.parts: found 0, wanted 1 or more"),
    ],
)
def test_options_of_scans_that_contradict_one_another_are_refused(options, said):
    with pytest.raises(InputError, match=said):
        configuration.complete(changed(("datasets", "brains"), SCANS | options))


def test_a_strategy_without_a_filter_of_its_own_goes_with_a_band():
    options = {"load_confounds": {"strategy": ["motion", "scrub"]}}
    config = configuration.complete(changed(("datasets", "brains"), SCANS | options))
    assert config["datasets"]["brains"]["high_pass"] == 0.01
    options = {"load_confounds": {}, "high_pass": None}
    configuration.complete(changed(("datasets", "brains"), SCANS | options))
