"""A configuration is tried with simulated cohorts: nothing but these and the number of seeds is another."""

import sys

import pytest
import yaml

from autospec.configuration import read_configuration


@pytest.fixture
def trial(repository, monkeypatch, tmp_path):
    """Run the program on config/paper.yaml: cohorts -> the path that it printed."""
    monkeypatch.syspath_prepend(repository / "benchmarks")
    from trial import main

    def run(*cohorts, configfile=repository / "config" / "paper.yaml"):
        arguments = ["trial.py", str(configfile), *cohorts, "--output", str(tmp_path)]
        monkeypatch.setattr(sys, "argv", arguments)
        main()
        return tmp_path / "paper.yaml"

    return run


def test_all_but_the_cohorts_and_the_seeds_is_as_it_was(trial, repository):
    before = read_configuration(repository / "config" / "paper.yaml")
    path = trial("cobre=146", "freesurfer=300")
    after = read_configuration(path)
    assert (after["seeds"], before["seeds"]) == (2, 20)
    for part in ("comparisons", "models", "training", "statistics"):
        assert after[part] == before[part]
    assert after["datasets"]["mnist"] == before["datasets"]["mnist"]
    given = yaml.safe_load(path.read_text())["datasets"]
    for name, people in (("cobre", 146), ("freesurfer", 300)):
        assert given[name]["simulate"]["subjects"] == people
        assert not {"path", "download"} & given[name].keys()
    assert given["cobre"]["crop"] == before["datasets"]["cobre"]["crop"] == 60
    # Of people's motion the simulated FreeSurfer tables say nothing.
    assert given["cobre"]["matching"] == before["datasets"]["cobre"]["matching"]
    assert given["freesurfer"]["matching"] == {"exact": ["site", "sex"], "callipers": {"age": 0.2}}


def test_a_configuration_is_not_written_over(trial, tmp_path):
    path = trial("cobre=146")
    before = path.read_text()
    with pytest.raises(SystemExit, match="is the configuration itself"):
        trial("cobre=100", configfile=path)
    assert path.read_text() == before


@pytest.mark.parametrize(
    ("cohort", "message"),
    [
        ("mnist=100", "mnist=100: wanted a data set of fmri or freesurfer: cobre, freesurfer"),
        ("cobre", "cobre: wanted NAME=PEOPLE"),
        ("cobre=3", "datasets.cobre.simulate.subjects: found 3, wanted 8 or more"),
    ],
)
def test_what_cannot_be_simulated_ends_with_one_message(trial, tmp_path, cohort, message):
    with pytest.raises(SystemExit, match=message):
        trial(cohort)
    assert not list(tmp_path.iterdir())
