import copy
import os

import pytest
import yaml

from autospec import configuration, grid, inputs, schema
from autospec.errors import InputError

SMALL = {
    "datasets": {
        "digits": {"source": "digits", "groups": {"even": ["0"], "odd": ["1"]}},
        "waves": {"source": "sinusoid", "groups": {"slow": ["slow-early"], "fast": ["fast-early"]}},
        "brains": {
            "source": "freesurfer",
            "simulate": {"subjects": 40},
            "groups": {"control": ["control"], "patient": ["schizophrenia"]},
        },
    },
    "comparisons": {
        "groups": [{"dataset": "brains", "model": "mlp", "task": "autoencoding"}],
        "tasks": [{"dataset": "brains", "model": "mlp"}],
    },
}


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


def test_every_network_is_trained_once():
    runs = grid.runs(configuration.complete(SMALL))
    assert [(run["model"], run["task"], run["activation"]) for run in runs] == [
        ("mlp", "autoencoding", "relu"),
        ("mlp", "classification", "relu"),
    ]


def test_comparisons_of_conditions_share_the_runs_that_they_have_in_common():
    both = {"dataset": "brains", "model": "mlp", "task": "autoencoding"}
    config = changed(("comparisons", "activations"), [both])
    config["comparisons"]["shapes"] = [both]
    runs = [grid.run_name(run) for run in grid.runs(configuration.complete(config))]
    assert runs == [
        "data-brains_model-mlp_task-autoencoding_activation-relu_shape-base",
        "data-brains_model-mlp_task-classification_activation-relu_shape-base",
        "data-brains_model-mlp_task-autoencoding_activation-sigmoid_shape-base",
        "data-brains_model-mlp_task-autoencoding_activation-tanh_shape-base",
        "data-brains_model-mlp_task-autoencoding_activation-relu_shape-wide",
        "data-brains_model-mlp_task-autoencoding_activation-relu_shape-deep",
    ]


def test_a_comparison_is_named_like_its_runs_without_what_it_varies():
    entry = {"dataset": "brains", "model": "mlp", "task": "classification", "activation": "tanh"}
    assert grid.comparison_name("shapes", entry) == "data-brains_model-mlp_task-classification_activation-tanh"
    assert grid.comparison_name("tasks", {"dataset": "a", "model": "mlp"}) == (
        "data-a_model-mlp_activation-relu_shape-base"
    )


def test_masked_reconstruction_is_a_third_task_of_the_bert():
    assert list(grid.conditions("tasks", {"dataset": "a", "model": "bert"})) == [
        "autoencoding", "classification", "masked",
    ]  # fmt: skip
    assert len(grid.conditions("tasks", {"dataset": "a", "model": "mlp"})) == 2


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


def test_data_are_looked_for_in_the_folders_in_their_order(tmp_path):
    (tmp_path / "second" / "study").mkdir(parents=True)
    folders = [str(tmp_path / "first"), str(tmp_path / "second")]
    assert inputs.find_data("x", {"path": "study"}, folders) == str(tmp_path / "second" / "study")
    (tmp_path / "first" / "study").mkdir(parents=True)
    assert inputs.find_data("x", {"path": "study"}, folders) == str(tmp_path / "first" / "study")
    assert inputs.find_data("x", {"path": str(tmp_path / "second")}, folders) == str(tmp_path / "second")
    assert inputs.find_data("x", {"simulate": {}}, folders) is None


def test_missing_data_are_told_with_what_to_get_and_where_to_put_it():
    dataset = {"path": "study", "where": "the tables of the study, from its site."}
    with pytest.raises(InputError) as caught:
        inputs.find_data("x", dataset, ["data/a", "data/b"])
    message = str(caught.value)
    for text in ("datasets.x.path", "'study'", "data/a/study", "data/b/study", "the tables of the study", "Put"):
        assert text in message


@pytest.mark.parametrize("name", ["abide", "mnist"])
def test_every_data_set_to_be_got_says_from_where(repository, name):
    for dataset in yaml.safe_load((repository / "config" / f"{name}.yaml").read_text())["datasets"].values():
        assert len(dataset["where"]) > 100


@pytest.mark.parametrize("source", ["freesurfer", "freesurfer_tables", "fmri"])
def test_missing_data_are_described_where_the_configuration_does_not(source):
    description = schema.read_schema()["$defs"][source]["description"]
    with pytest.raises(InputError) as caught:
        inputs.find_data("x", {"source": source, "path": "study"}, ["data"])
    assert description in str(caught.value)


def files_in(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def listed(dataset, folder):
    return [file.removeprefix(f"{folder}/") for file in inputs.data_files(dataset, str(folder))]


def test_only_files_that_a_reader_reads_are_listed(tmp_path):
    files_in(
        tmp_path, "participants.tsv", "sub-1/stats/aseg.stats", "sub-1/stats/lh.aparc.stats", "sub-1/mri/T1.mgz"
    )
    dataset = {"source": "freesurfer", "participants": {"file": "participants.tsv"}}
    assert listed(dataset, tmp_path) == ["participants.tsv", "sub-1/stats/aseg.stats", "sub-1/stats/lh.aparc.stats"]


def test_what_lies_beside_scans_and_maps_is_listed(tmp_path):
    names = ["a/bold.json", "a/bold.nii.gz", "a/fd.tsv", "maps.nii.gz", "maps.tsv", "participants.tsv"]
    files_in(tmp_path, *names, "a/mask.nii.gz")
    files = {"maps": "maps.nii.gz", "bold": "{subject}/bold.nii.gz", "confounds": "{subject}/fd.tsv"}
    dataset = {"source": "fmri", "participants": {"file": "participants.tsv"}} | files
    assert listed(dataset, tmp_path) == names


def test_of_several_participants_tables_the_first_that_is_there_counts(tmp_path):
    dataset = {"source": "mnist", "participants": {"file": ["published.csv", "cut.csv"]}}
    assert inputs.participants_file(dataset, str(tmp_path)) == []
    files_in(tmp_path, "cut.csv")
    assert inputs.participants_file(dataset, str(tmp_path)) == [str(tmp_path / "cut.csv")]
    files_in(tmp_path, "published.csv")
    assert inputs.participants_file(dataset, str(tmp_path)) == [str(tmp_path / "published.csv")]


def test_the_fingerprint_of_a_data_set_changes_with_its_files_and_with_nothing_else(tmp_path):
    dataset = {"source": "freesurfer_tables", "tables": ["a.tsv"], "participants": {"file": "p.tsv"}}
    files_in(tmp_path, "a.tsv", "p.tsv")

    def fingerprint():
        return inputs.fingerprint(dataset, str(tmp_path))

    first = fingerprint()
    files_in(tmp_path, "b.tsv")
    assert fingerprint() == first
    os.utime(tmp_path / "a.tsv", (1, 1))
    later = fingerprint()
    assert later != first
    (tmp_path / "a.tsv").write_text("x")
    os.utime(tmp_path / "a.tsv", (1, 1))
    assert fingerprint() not in (first, later)
    (tmp_path / "p.tsv").unlink()
    assert len({first, later, fingerprint()}) == 3


@pytest.mark.parametrize(
    ("output", "logs"),
    [
        ("results", "logs/results"),
        ("results/abide/", "logs/results/abide"),
        ("../mine", "logs/mine"),
        ("/scratch/mine", "logs/scratch/mine"),
        (".", "logs"),
    ],
)
def test_logs_lie_by_output_folder_and_always_under_logs(output, logs):
    assert grid.logs_folder(output) == logs


def test_what_is_read_does_not_hang_on_how_pairs_are_matched_or_data_are_got():
    dataset = configuration.complete(SMALL)["datasets"]["brains"] | {
        "matching": {"exact": ["sex"], "callipers": {"age": 0.2}}
    }
    read = inputs.what_is_read(dataset)
    assert read["matching"] == {"exact": ["age", "sex"]}
    other = {"matching": {"exact": ["sex"], "callipers": {"age": 0.5}}, "where": "x", "path": "y"}
    assert inputs.what_is_read(dataset | other) == read
    assert inputs.what_is_read(dataset | {"outliers": "drop"}) == read
    assert inputs.what_is_read(dataset | {"head_size": "proportion"}) != read


def test_what_is_taken_out_of_the_features_must_be_known_of_everyone_and_is_no_matter_of_reading():
    dataset = configuration.complete(SMALL)["datasets"]["brains"] | {"matching": {"exact": ["sex"], "callipers": {}}}
    with_covariates = inputs.what_is_read(dataset | {"residualise": ["age", "motion"]})
    assert with_covariates["matching"] == {"exact": ["age", "motion", "sex"]}
    assert "residualise" not in with_covariates
    harmonised = inputs.what_is_read(dataset | {"harmonise": "combat"})
    assert harmonised["matching"] == {"exact": ["age", "sex", "site"]}
    assert inputs.what_is_read(dataset | {"harmonise": None}) == inputs.what_is_read(dataset)


SCANS = {"source": "fmri", "path": "here", "groups": {"control": ["a"], "patient": ["b"]}}


@pytest.mark.parametrize(
    "options, said",
    [
        ({"atlas": "a.nii", "ica": {}}, "datasets.brains: found both 'atlas' and 'ica'"),
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


def test_cleaning_is_no_part_of_what_is_taken_from_scans():
    config = configuration.complete(changed(("datasets", "brains"), SCANS | {"windows": {"length": 20, "stride": 10}}))
    dataset = config["datasets"]["brains"]
    taken, read = inputs.what_is_extracted(dataset), inputs.what_is_read(dataset)
    assert set(read) - set(taken) == {"high_pass", "low_pass", "detrend", "standardise", "crop", "windows"} | {
        "constant_components"
    }
    assert "parts" not in read and "bold" in taken


def test_a_change_of_maps_sidecars_or_scans_anywhere_is_noticed(tmp_path):
    config = configuration.complete(changed(("datasets", "brains"), SCANS | {"maps": "../maps/m.nii.gz"}))
    folder, dataset = tmp_path / "here", config["datasets"]["brains"]
    names = ["participants.tsv", "../maps/m.nii.gz", "../maps/m.tsv", "task-rest_bold.json", "sub-1/sub-1_bold.json"]
    names += ["sub-1/func/sub-1_task-rest_desc-preproc_bold.nii.gz", "sub-1/func/x_bold.json"]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    found = {os.path.relpath(path, folder) for path in inputs.data_files(dataset, str(folder))}
    assert found == set(names)
    before = inputs.fingerprint(dataset, str(folder))
    os.utime(tmp_path / "maps" / "m.nii.gz", (1, 1))
    assert inputs.fingerprint(dataset, str(folder)) != before
