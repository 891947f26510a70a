"""Where data lie, which of their files count, and which options decide what is read."""

import os

import pytest
import yaml

from autospec import configuration, inputs, schema
from autospec.errors import InputError

BRAINS = {
    "source": "freesurfer",
    "simulate": {"subjects": 40},
    "groups": {"control": ["control"], "patient": ["schizophrenia"]},
}
SCANS = {"source": "fmri", "path": "here", "groups": {"control": ["a"], "patient": ["b"]}}


def filled(dataset):
    """A data set with every default in place."""
    comparison = {"dataset": "brains", "model": "mlp", "task": "autoencoding"}
    config = {"datasets": {"brains": dataset}, "comparisons": {"groups": [comparison]}}
    return configuration.complete(config)["datasets"]["brains"]


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
    files_in(tmp_path, "participants.tsv", "sub-1/stats/aseg.stats", "sub-1/stats/lh.aparc.stats", "sub-1/mri/T1.mgz")
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


def test_what_is_read_does_not_hang_on_how_pairs_are_matched_or_data_are_got():
    dataset = filled(BRAINS) | {"matching": {"exact": ["sex"], "callipers": {"age": 0.2}}}
    read = inputs.what_is_read(dataset)
    assert read["matching"] == {"exact": ["age", "sex"]}
    other = {"matching": {"exact": ["sex"], "callipers": {"age": 0.5}}, "where": "x", "path": "y"}
    assert inputs.what_is_read(dataset | other) == read
    assert inputs.what_is_read(dataset | {"outliers": "drop"}) == read
    assert inputs.what_is_read(dataset | {"head_size": "proportion"}) != read


def test_what_is_taken_out_of_the_features_must_be_known_of_everyone_and_is_no_matter_of_reading():
    dataset = filled(BRAINS) | {"matching": {"exact": ["sex"], "callipers": {}}}
    with_covariates = inputs.what_is_read(dataset | {"residualise": ["age", "motion"]})
    assert with_covariates["matching"] == {"exact": ["age", "motion", "sex"]}
    assert "residualise" not in with_covariates
    harmonised = inputs.what_is_read(dataset | {"harmonise": "combat"})
    assert harmonised["matching"] == {"exact": ["age", "sex", "site"]}
    assert inputs.what_is_read(dataset | {"harmonise": None}) == inputs.what_is_read(dataset)


def test_cleaning_is_no_part_of_what_is_taken_from_scans():
    dataset = filled(SCANS | {"windows": {"length": 20, "stride": 10}})
    taken, read = inputs.what_is_extracted(dataset), inputs.what_is_read(dataset)
    assert set(read) - set(taken) == {"high_pass", "low_pass", "detrend", "standardise", "crop", "windows"} | {
        "constant_components"
    }
    assert "parts" not in read and "bold" in taken


def test_a_change_of_maps_sidecars_or_scans_anywhere_is_noticed(tmp_path):
    folder, dataset = tmp_path / "here", filled(SCANS | {"maps": "../maps/m.nii.gz"})
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
