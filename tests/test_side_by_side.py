"""Two runs' tests of groups and claims stand side by side in a page."""

import sys

import pandas as pd
import pytest

from autospec.tables import write_json, write_tsv

OVERALL = {
    "dataset": "people", "model": "mlp", "exact": True, "seeds": 3, "pairs": 20, "alpha": 0.05,
    "statistics": {name: {"p": 0.25} for name in ("spectral_ratio", "gradient_difference", "group_loss")},
    "inputs": dict.fromkeys(("largest_t", "largest_log_variance_ratio", "covariance_distance"), 0.5),
}  # fmt: skip


@pytest.fixture
def runs(repository, monkeypatch, tmp_path):
    """Results with the true labels, p = 0.01, and with shuffled ones, p = 0.6."""
    monkeypatch.syspath_prepend(repository / "benchmarks")
    for labels, p in (("true", 0.01), ("shuffled", 0.6)):
        test = tmp_path / labels / "statistics" / "groups" / "run"
        test.mkdir(parents=True)
        write_json(OVERALL | {"spectra": {"p": p, "p_low": p / 2, "p_high": 1.5 * p}}, test / "overall.json")
        statistics = ["spectral_ratio", "gradient_difference", "group_loss"]
        write_tsv(pd.DataFrame({"statistic": statistics, "q": [p, 0.9, 0.001]}), test / "cells.tsv")
        write_tsv(pd.DataFrame({"q": [0.01, 0.9], "q_corrected": [0.6, 0.9]}), test / "stability.tsv")
        claim = {
            "claim": "C4", "dataset": "people", "model": "mlp", "task": "autoencoding", "statistic": "min-p",
            "status": "held" if p < 0.05 else "not held", "value": p, "p": p, "p_low": p / 2, "p_high": 1.5 * p, "q": p,
            "effect": 1.2, "effect_low": 1.1, "effect_high": 1.3, "n": 20, "n_of": "pairs", "where": "a, b, c, d",
        }  # fmt: skip
        labels_seen = test.with_name("classification")
        labels_seen.mkdir()
        write_json(OVERALL | {"exact": False}, labels_seen / "overall.json")
        other = claim | {"claim": "C1", "status": "not testable here"}
        write_tsv(pd.DataFrame([claim, other]), tmp_path / labels / "statistics" / "claims.tsv")
    return tmp_path


def test_true_and_shuffled_labels_stand_side_by_side(runs, monkeypatch):
    page = runs / "page.md"
    marks = [f"<!-- table:{name} -->\nold\n<!-- end:{name} -->" for name in ("groups", "claims")]
    page.write_text("Before\n" + "\n".join(marks) + "\nAfter\n")
    folders = [str(runs / labels) for labels in ("true", "shuffled")]
    monkeypatch.setattr(sys, "argv", ["side_by_side.py", *folders, "--page", str(page)])
    from side_by_side import main

    main()
    text = page.read_text()
    assert text.startswith("Before") and text.endswith("After\n") and "old" not in text
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if "people" in line]
    assert [row[1] for row in rows] == ["true", "shuffled", "people, mlp", "people, mlp"]
    assert rows[0][2:6] == ["3", "20", "0.010 (0.005 to 0.015)", "0.250"]
    # The group loss is no cell of the spectra.
    assert [row[-2:] for row in rows[:2]] == [["1 of 2", "50%; 0%"], ["0 of 2", "50%; 0%"]]
    assert [row[2:5] for row in rows[2:]] == [
        ["true", "held", "0.010 (0.005 to 0.015)"],
        ["shuffled", "not held", "0.600 (0.300 to 0.900)"],
    ]
    assert rows[2][-1] == "4 layers"


def test_a_folder_without_results_ends_with_one_message(runs, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["side_by_side.py", str(runs / "true"), str(runs / "none")])
    from side_by_side import main

    with pytest.raises(SystemExit, match="none/statistics/claims.tsv: not found, wanted the results"):
        main()


def test_a_page_without_a_mark_stays_as_it_is(runs, monkeypatch):
    page = runs / "page.md"
    page.write_text("<!-- table:groups -->\n<!-- end:groups -->\n")
    folders = [str(runs / labels) for labels in ("true", "shuffled")]
    monkeypatch.setattr(sys, "argv", ["side_by_side.py", *folders, "--page", str(page)])
    from side_by_side import main

    with pytest.raises(SystemExit, match="page.md: wanted the lines <!-- table:claims -->"):
        main()
    assert page.read_text() == "<!-- table:groups -->\n<!-- end:groups -->\n"
