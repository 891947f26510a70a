"""The statistics' scripts from files to files, without Snakemake."""

import logging
import os
import runpy
import types
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from autospec.data.dataset import Dataset, write_dataset
from autospec.data.pairing import draw_swaps
from autospec.tables import read_json, read_tsv

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"
STATISTICS = {"labelings": 40, "labelings_seed": 3, "indices": 3, "alpha": 0.05, "correction": "bh"}


@pytest.fixture
def run_script(tmp_path):
    """Run a script as Snakemake does; the logging that it sets up is taken down again."""
    handlers, environment = logging.getLogger().handlers[:], dict(os.environ)

    def run(name, params, output, **files):
        paths = {key: str(tmp_path / path) for key, path in output.items()}
        snakemake = types.SimpleNamespace(
            input=types.SimpleNamespace(**files),
            output=types.SimpleNamespace(**paths),
            params=types.SimpleNamespace(**params),
            log=[str(tmp_path / f"{name}.log")],
            threads=1,
            scriptdir=str(SCRIPTS),
        )
        runpy.run_path(str(SCRIPTS / f"{name}.py"), {"snakemake": snakemake})
        return paths

    yield run
    for handler in logging.getLogger().handlers:
        if handler not in handlers:
            handler.close()
    logging.getLogger().handlers[:] = handlers
    logging.captureWarnings(False)
    os.environ.clear()
    os.environ.update(environment)


@pytest.mark.parametrize("simulated", [True, False])
def test_from_a_data_set_to_the_table_of_claims(run_script, make_run, tmp_path, simulated):
    generator = np.random.default_rng(0)
    people = pd.DataFrame(
        {
            "subject": [f"{number:03d}" for number in range(50)],
            "group": generator.choice(["control", "patient"], 50),
            "age": generator.normal(30, 5, 50),
            "site": generator.choice(["A", "B"], 50),
        }
    )
    values = generator.normal(size=(50, 4)).astype(np.float32)
    data = str(tmp_path / "data.parquet")
    write_dataset(Dataset("made", values, people, list("abcd"), ("control", "patient"), simulated, "Made."), data)

    matching = {"exact": ["site"], "callipers": {"age": 0.5}}
    made = {name: f"{name}.tsv" for name in ("pairs", "balance", "unpaired")}
    paired = run_script("pair", {"matching": matching}, made, data=data)
    split = run_script(
        "split",
        {"seeds": [0, 1, 2], "test_share": 0.2},
        {"splits": "splits.tsv"},
        data=data,
        pairs=paired["pairs"],
        trained=[],
    )
    pairs = read_tsv(paired["pairs"], dtype={"subject": str})
    count = pairs["pair"].nunique()
    unpaired = read_tsv(paired["unpaired"], dtype={"subject": str})
    assert sorted([*pairs["subject"], *unpaired["subject"]]) == people["subject"].tolist()
    assert len(read_tsv(split["splits"])) == 3 * count

    asked = {"matching": matching, "labelings": 40, "labelings_seed": 3, "correction": "bh"}
    compared = run_script("pairings", asked, {"pairings": "pairings.tsv"}, data=data, pairs=paired["pairs"])
    others = read_tsv(compared["pairings"])
    names = ["primary", "callipers halved", "callipers doubled", "without site", "without age"]
    assert others["matching"].unique().tolist() == names and (others["simulated"] == simulated).all()
    assert (others.loc[others["matching"] == "primary", "n_pairs"] == pairs["match"].nunique()).all()
    assert others["p"].between(1 / 40, 1).all() and len(others) == 3 * len(names)

    swaps = draw_swaps(pairs, STATISTICS["labelings"], STATISTICS["labelings_seed"])
    records = {}
    for task in ("autoencoding", "classification"):
        for seed in range(3):
            curves = {
                ("encoder.0", 0, "gradient", group): np.sort(generator.gamma(2.0, size=(2, 4)))[:, ::-1]
                for group in ("control", "patient", "all")
            }
            labelings = {
                "gradients": {"encoder.0": generator.normal(size=(2, 2, count, 3, 4))},
                "losses": generator.gamma(2.0, size=(2, 2, count)),
                "swaps": swaps,
            }
            spectra = {"curves": curves, "epochs": (1, 2)}
            # Every training left the first pair out, and one other each.
            changes = {"task": task, "seed": seed, "simulated": simulated}
            changes["left_out"] = {"features": [], "pairs": [0, 1 + seed]}
            folder, _ = make_run(f"{task}/seed-{seed}", labelings, spectra, **changes)
            records.setdefault(task, []).append(str(folder / "run.json"))
    names = {name: f"{name}.tsv" for name in ("cells", "epochs", "layers", "summaries", "stability", "yardsticks")}
    tested = run_script(
        "test_groups",
        {"statistics": STATISTICS},
        names | {"overall": "overall.json"},
        records=records["autoencoding"],
        data=data,
        pairs=paired["pairs"],
    )
    overall = read_json(tested["overall"])
    assert (overall["pairs"], overall["seeds"], overall["labelings"]) == (count - 1, 3, 40)
    assert len(read_tsv(tested["cells"])) == 3 + 4 + 1
    assert len(read_tsv(tested["yardsticks"])) == 3 and len(read_tsv(tested["summaries"])) == 5
    assert all((read_tsv(tested[name])["n_pairs"] == count - 1).all() for name in names)
    sides = [pairs[(pairs["group"] == group) & (pairs["pair"] > 0)]["subject"] for group in ("control", "patient")]
    t = scipy.stats.ttest_rel(*(values[[people["subject"].tolist().index(one) for one in side]] for side in sides))
    of_inputs = read_tsv(tested["yardsticks"]).set_index("name")
    assert overall["inputs"] == of_inputs["p"].to_dict() and len(overall["inputs"]) == 3
    largest = of_inputs.at["largest_t", "value"]
    assert largest == pytest.approx(np.abs(t.statistic).max(), rel=1e-5)
    assert all((read_tsv(tested[name])["simulated"] == simulated).all() for name in names)
    assert all((read_tsv(tested[name])["exact"] == overall["exact"]).all() for name in names)
    options = {name: STATISTICS[name] for name in ("indices", "alpha", "correction")}
    both = [*records["autoencoding"], *records["classification"]]
    compared = run_script(
        "compare_conditions",
        options | {"compared": "task", "levels": list(records), "seeds": 3},
        {"cells": "compared/cells.tsv", "overall": "compared/overall.json"},
        records=both,
    )
    assert read_json(compared["overall"])["task"] == "autoencoding classification"
    judged = run_script(
        "claims",
        {"alpha": 0.05},
        {"claims": "claims.tsv"},
        groups=[tested["overall"]],
        conditions=[compared["overall"]],
        records=both,
    )
    claims = read_tsv(judged["claims"])
    assert set(claims["claim"]) == {f"C{number}" for number in range(1, 8)}
    said = "held on simulated data only" if simulated else "held"
    assert set(claims["status"]) <= {"held", said, "not held", "not testable here", "descriptive"}
    assert claims[(claims["claim"] == "C6") & (claims["model"] == "mlp")]["status"].tolist() == [said]
