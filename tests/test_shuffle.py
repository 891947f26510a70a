"""Labels of real data are shuffled within sites, and a run of them asks what the true one asks."""

import sys

import numpy as np
import pandas as pd
import pytest
import yaml

from autospec.configuration import read_configuration


@pytest.fixture
def made(repository, monkeypatch, tmp_path):
    """A data set with a configuration, shuffled with seed 3: the folder of it all, and the true table."""
    monkeypatch.syspath_prepend(repository / "benchmarks")
    folder = tmp_path / "own" / "people"
    (folder / "stats").mkdir(parents=True)
    (folder / "stats" / "volumes.tsv").write_text("Measure:volume\tA\tB\n")
    random = np.random.default_rng(0)
    table = pd.DataFrame({"ID": [f"s{number:03d}" for number in range(60)], "age": random.integers(18, 60, 60)})
    table["dx"] = np.array(["1", "2", "9"])[random.choice(3, 60, p=[0.4, 0.5, 0.1])]
    table["place"] = np.repeat(["a", "b", "c"], 20)
    table.to_csv(folder / "people.csv", index=False)
    config = {
        "output": "results/own", "seeds": 2, "data_folders": [str(tmp_path / "own")],
        "datasets": {
            "people": {
                "source": "freesurfer_tables", "path": "people", "tables": ["stats/volumes.tsv"],
                "participants": {"file": "people.csv", "subject": "id", "group": "dx", "site": "place"},
                "groups": {"control": ["2"], "patient": ["1"]}, "matching": {"exact": ["site"]},
            }
        },
        "comparisons": {
            "groups": [
                {"dataset": "people", "model": "mlp", "task": task} for task in ("autoencoding", "classification")
            ],
            "tasks": [{"dataset": "people", "model": "mlp"}],
        },
        "models": {"mlp": {"widths": [4]}},
    }  # fmt: skip
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(config))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["shuffle.py", "own.yaml", "--seed", "3"])
    from shuffle import main

    main()
    return tmp_path, table


def test_labels_are_permuted_within_sites_and_nothing_else_changes(made):
    folder, before = made
    after = pd.read_csv(folder / "data" / "shuffled" / "people" / "people.csv", dtype={"dx": str})
    pd.testing.assert_frame_equal(after.drop(columns="dx"), before.drop(columns="dx"))
    pd.testing.assert_frame_equal(*(pd.crosstab(each["place"], each["dx"]) for each in (before, after)))
    outside = before["dx"] == "9"
    assert (after["dx"][outside] == "9").all()
    # Six in ten or so of those that could change did.
    assert 0.3 < (after["dx"] != before["dx"])[~outside].mean() < 0.7
    link = folder / "data" / "shuffled" / "people" / "stats"
    assert link.is_symlink() and link.resolve() == folder / "own" / "people" / "stats"


def test_the_shuffled_configuration_asks_of_the_groups_alone_what_the_true_one_asks(made):
    folder, _ = made
    config = read_configuration(folder / "data" / "shuffled" / "own.yaml")
    true = read_configuration(folder / "own.yaml")
    asked = config["comparisons"]
    assert asked["groups"] == true["comparisons"]["groups"][:1] and not asked["tasks"]
    assert (config["output"], config["data_folders"]) == ("results/own_shuffled", ["data/shuffled"])
    assert config["datasets"] == true["datasets"]
    assert all(config[part] == true[part] for part in ("seeds", "models", "training", "statistics"))


def test_persons_of_several_rows_keep_one_label(made):
    from shuffle import shuffle_labels

    once = pd.DataFrame({"row": list("abcdefgh"), "who": list("aabbccdd"), "diagnosis": list("11112222")})
    columns = {"subject": "row", "person": "who", "group": "diagnosis"}
    seen = [shuffle_labels(once, columns, {"x": ["1"], "y": ["2"]}, seed) for seed in range(20)]
    assert all((each.groupby("who")["diagnosis"].nunique() == 1).all() for each in seen)
    assert all(each["diagnosis"].value_counts().to_dict() == {"1": 4, "2": 4} for each in seen)
    assert len({tuple(each["diagnosis"]) for each in seen}) > 2


def test_a_shuffle_never_writes_over_another(made):
    from shuffle import main

    with pytest.raises(SystemExit, match="data/shuffled/people: is there already"):
        main()
