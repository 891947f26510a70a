"""Another workflow takes this one in as a module, from a local copy."""

import pytest
import yaml

pytestmark = pytest.mark.slow

STUDY = """
configfile: "study.yaml"


module autospec:
    snakefile:
        {snakefile!r}
    config:
        config["spectra"]


use rule * from autospec as autospec_*


rule count:
    input:
        rules.autospec_simulate_freesurfer.output.folder.replace("{{dataset}}", "freesurfer"),
        "results/test/preprocessed/freesurfer/pairs.tsv",
    output:
        "count.txt",
    default_target: True
    shell:
        "ls {{input[0]}} | wc -l > {{output}}"
"""


@pytest.fixture
def study(repository, tmp_path):
    """A folder with a workflow of its own that uses ours."""
    (tmp_path / "Snakefile").write_text(STUDY.format(snakefile=str(repository / "Snakefile")))
    spectra = yaml.safe_load((repository / "config" / "test.yaml").read_text())
    (tmp_path / "study.yaml").write_text(yaml.safe_dump({"spectra": spectra}, sort_keys=False))
    return tmp_path


def test_rules_of_the_module_run_in_another_workflow(snakemake, study):
    snakemake(study, study, "--cores", "1", "--show-failed-logs")
    assert int((study / "count.txt").read_text()) > 40
    assert (study / "results" / "test" / "preprocessed" / "freesurfer" / "balance.tsv").exists()


def test_the_whole_module_can_be_asked_for(snakemake, jobs, study):
    planned = jobs(snakemake(study, study, "-n", "autospec_all").stdout)
    assert planned["autospec_report"] == 1 and planned["autospec_train"] > 1
