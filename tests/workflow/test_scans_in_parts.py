"""4-d scans are read in several jobs, and another way of cleaning reads no scan again."""

import re
import shutil

import numpy as np
import pytest
import yaml

from autospec.configuration import complete
from autospec.data import fmri
from autospec.data.dataset import read_dataset
from autospec.data.simulate_fmri import write_cohort
from autospec.tables import read_tsv

CONFIG = {
    "datasets": {
        "rest": {
            "source": "fmri",
            "path": "cohort",
            "parts": 3,
            "groups": {"control": ["control"], "patient": ["schizophrenia"]},
        },
    },
    "comparisons": {"groups": [{"dataset": "rest", "model": "lstm", "task": "autoencoding"}]},
}
DATA = "results/preprocessed/rest/data.parquet"
SCAN = "data/cohort/sub-0003/func/sub-0003_task-rest_desc-preproc_bold.nii.gz"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    write_cohort(folder / "data" / "cohort", 8, 1.0, 1)
    return folder


@pytest.fixture
def run(repository, snakemake, folder):
    def run(*arguments, check=True, **options):
        config = {**CONFIG, "datasets": {"rest": CONFIG["datasets"]["rest"] | options}}
        path = folder / "config.yaml"
        path.write_text(yaml.safe_dump(config))
        return snakemake(repository, folder, DATA, *arguments, "--configfile", path, check=check).stdout

    return run


def test_the_plan_is_complete_before_anything_runs(run, jobs):
    assert jobs(run("-n")) == {"extract": 3, "preprocess": 1}
    planned = jobs(run("-n", ica={"components": 5, "people": 2}))
    assert planned == {"estimate_components": 1, "extract": 3, "preprocess": 1}
    assert "found 'training', but every seed has a split" in run("-n", ica={"people": "training"}, check=False)


@pytest.mark.slow
def test_the_parts_together_give_what_one_job_gives_and_are_kept_when_cleaning_changes(run, jobs, folder):
    run("--cores", "2")
    dataset = read_dataset(folder / DATA)
    expected, _, _ = fmri.read("rest", complete(CONFIG)["datasets"]["rest"], folder / "data" / "cohort")
    np.testing.assert_array_equal(dataset.values, expected.values)
    logs = [path.read_text() for path in (folder / "logs" / "results" / "extract" / "rest").glob("*.log")]
    read = sorted(int(number) for log in logs for number in re.findall(r"(\d) of \d scans read, about 0 s left", log))
    assert read == [2, 3, 3]
    assert jobs(run("-n", high_pass=0.02, windows={"length": 40, "stride": 20})) == {"preprocess": 1}
    assert jobs(run("-n", confound_columns=["csf"])) == {"extract": 3, "preprocess": 1}


@pytest.mark.slow
def test_maps_estimated_on_the_training_people_of_a_fixed_split_come_before_pairs_and_fit_them(
    repository, snakemake, jobs, folder
):
    options = CONFIG["datasets"]["rest"] | {"ica": {"components": 3, "people": "training", "mask": "brain_mask.nii.gz"}}
    config = CONFIG | {"output": "results/fixed", "datasets": {"rest": options}, "training": {"fixed": ["split"]}}
    (folder / "fixed.yaml").write_text(yaml.safe_dump(config))
    made = "results/fixed/preprocessed/rest"
    arguments = (repository, folder, f"{made}/splits.tsv", "--configfile", "fixed.yaml")
    planned = {"estimate_components": 1, "extract": 3, "preprocess": 1, "pair": 1, "split": 1}
    assert jobs(snakemake(*arguments, "-n").stdout) == planned
    snakemake(*arguments, "--cores", "2")
    pairs, splits = read_tsv(folder / made / "pairs.tsv"), read_tsv(folder / made / "splits.tsv")
    trained = pairs.loc[pairs["pair"].isin(splits.loc[splits["part"] == "train", "pair"]), "subject"]
    scans = read_tsv(folder / made / "component_scans.tsv")
    assert set(scans["person"]) == set(trained) and set(splits["seed"]) == {0}
    assert [scan.split("/")[0] for scan in scans["scan"]] == scans["person"].tolist()
    assert read_dataset(folder / made / "data.parquet").values.shape == (8, 120, 3)


@pytest.mark.slow
def test_a_damaged_scan_ends_its_part_in_one_message_and_leaves_nothing_of_it(run, folder):
    shutil.rmtree(folder / "results", ignore_errors=True)
    content = (folder / SCAN).read_bytes()
    (folder / SCAN).write_bytes(content[:-20_000])
    output = run("--cores", "2", "--keep-going", check=False)
    assert output.count("the file is damaged or cut short") == 1 and "Traceback" not in output
    results = folder / "results" / "preprocessed" / "rest"
    assert {path.name for path in (results / "extracted").iterdir()} == {"1-of-3.parquet", "2-of-3.parquet"}
    assert not [path for path in results.iterdir() if path.is_file()]
    (folder / SCAN).write_bytes(content)
