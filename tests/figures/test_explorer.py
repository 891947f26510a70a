"""What the explorer holds: coded closely, thinned out where it would grow too large, and naming nobody."""

import base64
import json
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autospec.figures.frames import read_spectra
from autospec.report import explorer


@given(st.lists(st.floats(1e-13, 1e13), min_size=1, max_size=20))
def test_coded_values_are_within_a_thousandth(values):
    codes = explorer.coded(np.array(values))
    assert codes.dtype == np.int16
    np.testing.assert_allclose(np.exp(codes / explorer.STEPS), values, rtol=1e-3)


def test_zero_and_nothing_have_codes_of_their_own():
    codes = explorer.coded(np.array([0.0, np.nan, 1e-300, 1e300]))
    assert codes.tolist()[:2] == [explorer.ZERO, explorer.MISSING]
    assert codes[2] > explorer.MISSING and codes[3] == 32767


def test_thinned_epochs_keep_the_first_and_the_last():
    assert explorer.thinned([3, 1, 2], 5) == [1, 2, 3]
    assert explorer.thinned(range(1, 51), 8) == [1, 8, 15, 22, 29, 36, 43, 50]


def run(epochs):
    """A network of three layers, ten indices, two groups; the singular value says where it stands."""
    rows = [
        (depth, f"layer{depth}", "gradient", group, epoch, index, epoch + index / 100, 0.5, 60.0, 3)
        for depth in range(3)
        for group in ("control", "patient", "all")
        for epoch in range(1, epochs + 1)
        for index in range(1, 11)
    ]
    columns = ["depth", "layer", "quantity", "group", "epoch", "index", "mean", "low", "high", "seeds"]
    about = {"dataset": "a</script>b", "groups": ["control", "patient"], "simulated": True, "seeds": 3}
    return {"about": about, "table": pd.DataFrame(rows, columns=columns), "test": {}}


@pytest.mark.parametrize("limit", [3_000_000, 30_000, 9_000, 3_500])
def test_the_data_fit_whatever_the_limit_and_stay_where_they_belong(limit):
    text = explorer.fitted([run(60)], limit)
    assert len(text) <= limit and "</script>" not in text
    (held,) = json.loads(text)["runs"]
    assert held["dataset"] == "a</script>b" and held["epochs_trained"] == 60
    assert held["epochs"][0] == 1 and held["epochs"][-1] == 60
    spectrum = held["layers"][1]["spectra"]["gradient"]
    codes = np.frombuffer(base64.b64decode(spectrum["data"]), dtype="<i2")
    codes = codes.reshape(len(spectrum["groups"]), len(held["epochs"]), spectrum["count"], 3)
    values = np.exp(codes / explorer.STEPS)
    wanted = np.array(held["epochs"])[:, None] + np.arange(1, spectrum["count"] + 1) / 100
    for group in range(3):
        np.testing.assert_allclose(values[group, :, :, 0], wanted, rtol=1e-3)
    if limit == 3_000_000:
        assert len(held["epochs"]) == 60 and spectrum["count"] == 10
    else:
        assert len(held["epochs"]) < 60


def test_the_page_holds_every_training_that_finished_and_names_nobody(
    repository, records, group_tables, subjects, tmp_path
):
    paths = [path for seeds in records.values() for path in seeds]
    overall = [folder / "overall.json" for folder in group_tables.values()]
    template = repository / "workflow" / "report" / "explorer.html.j2"
    for name in ("first", "second"):
        explorer.write_explorer(tmp_path / name, template, records=paths, groups=overall)
    text = (tmp_path / "first").read_text(encoding="utf-8")
    assert text == (tmp_path / "second").read_text(encoding="utf-8")
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "") and "https://" not in text
    assert not [subject for subject in subjects if subject in text]
    (data,) = re.findall('<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    runs = json.loads(data)["runs"]
    assert {(one["task"], one["seeds"]) for one in runs} == {("autoencoding", 3), ("classification", 3)}
    stored = read_spectra([paths[0].parent], explorer.QUANTITIES)
    layers = set(stored[stored["task"] == runs[0]["task"]]["layer"])
    assert {layer["name"] for layer in runs[0]["layers"]} == layers
