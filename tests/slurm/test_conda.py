"""A rule's environment on a node of the cluster: `--sdm conda` with the profile, and a stand-in for conda itself."""

from environments import environment, make_conda


def test_a_job_on_a_node_runs_in_the_environment_of_its_rule(cluster, repository, submit, tmp_path, tmp_path_factory):
    conda = make_conda(tmp_path_factory.mktemp("conda"), "snakemake-executor-plugin-slurm")
    run = submit(
        tmp_path, "results/test/raw/fmri", "--sdm", "conda",
        python=conda / "launcher" / "bin" / "python", variables=environment(conda),
    )  # fmt: skip
    submit.finish(run, tmp_path)
    assert [(job.name, job.state) for job in cluster.jobs(tmp_path)] == [("simulate_fmri", "COMPLETED")]
    (made,) = tmp_path.glob(".snakemake/conda/*.yaml")
    assert made.read_text() == (repository / "envs" / "data.yaml").read_text()
    assert not list(conda.glob("launcher/lib/*/site-packages/nibabel"))  # so the job had it from there
