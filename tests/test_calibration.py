"""The calibration draws what it says, measures with the pipeline's own functions, and counts rightly."""

import dataclasses
import json
import logging
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from autospec.errors import InputError
from autospec.tables import read_tsv, write_json

TINY = {"training": {"epochs": 2}, "statistics": {"labelings_every": 1}}


@pytest.fixture
def benchmarks(repository, monkeypatch):
    """The program's own modules, which stand beside it; warnings, which it silences, are heard again afterwards."""
    monkeypatch.syspath_prepend(repository / "benchmarks")
    yield
    logging.disable(logging.NOTSET)


def test_rates_and_intervals_are_those_of_the_exact_binomial_test(benchmarks):
    from rates import rejections

    generator = np.random.default_rng(0)
    for count in (1, 7, 60, 200):
        p = generator.integers(1, 101, size=count) / 100
        found = rejections(p, alpha=0.1)
        wanted = stats.binomtest(int(np.sum(p <= 0.1)), count).proportion_ci(method="exact")
        np.testing.assert_allclose([found["low"], found["high"]], wanted, atol=1e-12)
        assert found["rate"] == np.mean(p <= 0.1)


def test_a_p_at_the_level_rejects_and_one_that_could_not_be_had_does_not(benchmarks):
    from rates import rejections

    found = rejections([0.05, 0.06, np.nan, 0.01])
    assert (found["rejected"], found["replicates"]) == (2, 4)
    assert rejections([1.0] * 20)["high"] == pytest.approx(1 - 0.025 ** (1 / 20))


def test_labels_are_drawn_before_pairing_and_do_not_change_what_is_measured(benchmarks):
    from cohorts import draw

    for measured in ("table", "series"):
        cohort = {"measured": measured, "people": 60}
        first = draw(cohort, 1)
        for other in ({"share": 0.25}, {"confounded": "age"}, {"confounded": "site"}):
            np.testing.assert_array_equal(first.values, draw(cohort | other, 1).values)
            assert (first.people["group"] != draw(cohort | other, 1).people["group"]).any()
        assert not np.array_equal(first.values, draw(cohort, 2).values)
        assert first.simulated


def test_confounded_labels_go_with_age_or_site_and_others_do_not(benchmarks):
    from cohorts import draw

    gaps = {}
    for confounded in (None, "age", "site"):
        frames = [draw({"measured": "table", "people": 200, "confounded": confounded}, n).people for n in range(1, 6)]
        people = pd.concat(frames)
        patient = people["group"] == "patient"
        assert patient.mean() == 0.5
        north = people["site"] == "north"
        gaps[confounded] = (
            (people["age"][patient].mean() - people["age"][~patient].mean()) / people["age"].std(),
            north[patient].mean() - north[~patient].mean(),
        )
    # 5 x 100 people a group: a standard error of 0.06 for both.
    assert gaps["age"][0] > 0.5 and abs(gaps["age"][1]) < 0.2
    assert gaps["site"][1] > 0.2 and abs(gaps["site"][0]) < 0.2
    assert abs(gaps[None][0]) < 0.2 and abs(gaps[None][1]) < 0.2


def test_a_quarter_of_the_people_are_patients_where_groups_are_unequal(benchmarks):
    from cohorts import draw

    people = draw({"measured": "table", "people": 80, "share": 0.25}, 3).people
    assert (people["group"] == "patient").sum() == 20


def test_shuffled_labels_keep_persons_whole_and_every_sites_counts(benchmarks):
    from cohorts import draw, shuffle_labels

    made = draw({"measured": "table", "people": 60}, 1)
    twice = pd.concat([made.people.assign(person=made.people["subject"])] * 2, ignore_index=True)
    twice["subject"] = [f"{person}-{row}" for row, person in enumerate(twice["person"])]
    dataset = dataclasses.replace(made, values=np.concatenate([made.values] * 2), people=twice)
    assert shuffle_labels(dataset, 0) is dataset
    shuffled = [shuffle_labels(dataset, number).people for number in (1, 2)]
    for people in shuffled:
        assert (people.groupby("person")["group"].nunique() == 1).all()
        assert (people["target"] == people["group"]).all()
        before, after = (pd.crosstab(each["site"], each["group"]) for each in (twice, people))
        pd.testing.assert_frame_equal(before, after)
        assert (people["group"] != twice["group"]).any()
    assert (shuffled[0]["group"] != shuffled[1]["group"]).any()


@pytest.mark.parametrize("plant", [{"spread": 1.5}, {"shift": 1.0}])
def test_a_planted_difference_is_in_one_part_of_the_patients_features_alone(benchmarks, plant):
    from cohorts import PARTS, PLANTED, WIDTH, draw

    cohort = {"measured": "parts", "people": 400}
    without, planted = (draw(cohort | {"plant": each}, 1) for each in ({}, plant))
    part = np.arange(PARTS * WIDTH) // WIDTH == PLANTED
    patient = (planted.people["group"] == "patient").to_numpy()
    changed = without.values != planted.values
    assert changed[np.ix_(patient, part)].all()
    assert not changed[~patient].any() and not changed[:, ~part].any()
    before, after = (each.values[np.ix_(patient, part)] for each in (without, planted))
    np.testing.assert_allclose(after.std(axis=0), plant.get("spread", 1.0) * before.std(axis=0), rtol=1e-4)
    shift = plant.get("shift", 0.0) * without.values[:, part].std(axis=0)
    if shift.any():
        np.testing.assert_allclose(after.mean(axis=0) - before.mean(axis=0), shift, rtol=1e-3)


def test_branches_are_one_linear_layer_with_a_block_for_each_part(benchmarks):
    from cohorts import Branches

    torch.manual_seed(0)
    model = Branches((12,), None, "none", 3)
    whole = torch.block_diag(*(layer.weight for layer in model.part))
    bias = torch.cat([layer.bias for layer in model.part])
    x = torch.randn(5, 12)
    torch.testing.assert_close(model(x), x @ whole.mT + bias)


def test_a_planted_difference_leaves_every_other_layers_test_as_it_was(benchmarks):
    from calibration import measure
    from cohorts import PLANTED, Setting

    options = TINY | {"model": {"parts": 4, "learning_rate": 0.003, "batch": 16}}
    layers = []
    for spread in (1.0, 4.0):
        cohort = {"measured": "parts", "people": 80, "plant": {"spread": spread}}
        setting = Setting("one", "place", "", cohort, model="branches", labelings=40, seeds=1, options=options)
        rows = pd.DataFrame(measure(setting, 1)["layers"])
        layers.append(rows[rows["layer"] != ""].set_index(["statistic", "layer"])[["p", "effect"]])
    planted = layers[0].index.get_level_values("layer") == f"part.{PLANTED}"
    pd.testing.assert_frame_equal(layers[0][~planted], layers[1][~planted], check_exact=True)
    found = layers[1].loc[("spectral_ratio", f"part.{PLANTED}")]
    # The layer's gradient is about (W - 1) times the covariance of its part, which is planted 16 times as large.
    assert found["p"] == 1 / 40 and 4 < found["effect"] < 40


def test_the_program_goes_on_where_it_was_and_refuses_what_other_settings_made(benchmarks, tmp_path):
    from calibration import run, waiting
    from cohorts import SETTINGS, Setting

    cohort = {"measured": "table", "people": 60}
    options = TINY | {"model": {"widths": [4], "batch": 16}}
    setting = Setting("tiny", "null", "", cohort, replicates=2, labelings=20, seeds=2, options=options)
    jobs = waiting([setting], tmp_path)
    assert [job[1] for job in jobs] == [1, 2]
    run(*jobs[0])
    assert [job[1] for job in waiting([setting], tmp_path)] == [2]
    found = json.loads((tmp_path / "tiny" / "0001.json").read_text())
    assert all(0 < value <= 1 for value in found["values"].values())
    assert found["pairs"] >= 2 and {row["layer"] for row in found["layers"]} > {"encoder.linear1"}
    (tmp_path / "tiny" / "0001.json").unlink()
    run(*jobs[0])
    again = json.loads((tmp_path / "tiny" / "0001.json").read_text())
    assert again | {"seconds": 0} == found | {"seconds": 0}
    with pytest.raises(InputError, match="other settings"):
        waiting([dataclasses.replace(setting, labelings=40)], tmp_path)
    assert waiting([dataclasses.replace(setting, replicates=3)], tmp_path)[0][1] == 2
    assert len({setting.name for setting in SETTINGS}) == len(SETTINGS)
    # A p of 0.05 can be had to the letter.
    assert all(setting.labelings % 20 == 0 for setting in SETTINGS)


def test_an_unknown_setting_is_refused_in_one_message(benchmarks, monkeypatch, tmp_path):
    from calibration import main

    monkeypatch.setattr(sys, "argv", ["calibration.py", "--only", "nothing", "--output", str(tmp_path)])
    with pytest.raises(SystemExit, match="Error: --only: found nothing, wanted some of mlp-equal, "):
        main()
    assert not list(tmp_path.iterdir())


@pytest.fixture
def measured(benchmarks, tmp_path):
    """Made-up replicates: of the null one in four rejects, of the planted layer all."""
    from calibration import made_by
    from cohorts import SETTINGS
    from rates import TESTS

    settings = {setting.name: setting for setting in SETTINGS}
    for name in ("mlp-equal", "mlp-age-open", "mlp-effect1-80", "place-spread"):
        write_json(made_by(settings[name]), tmp_path / name / "setting.json")
        for number in (1, 2, 3, 4):
            layers = [
                {"statistic": "spectral_ratio", "layer": f"part.{part}", "p": 0.01 if part == 2 else 0.5, "q": 0.5}
                | {"effect": 2.0 ** (number - 2.5)}
                for part in range(4)
            ]
            values = dict.fromkeys(TESTS, 0.04 if number == 1 else 0.9) | {"across_seeds": 0.001, "all": None}
            record = {"values": values, "layers": layers, "pairs": 30 + number, "age_gap": 0.1, "seconds": 1.0}
            write_json(record | {"stable": 0.5, "stable_corrected": 0.0}, tmp_path / name / f"{number:04d}.json")
    return tmp_path


def test_replicates_are_counted_for_each_test_and_layer(measured):
    from rates import summarise

    table = summarise(measured).set_index(["setting", "test", "layer"])
    assert list(table.index.unique("setting"))[0] == "mlp-equal"
    assert table.loc[("mlp-equal", "spectra", ""), "rate"] == 0.25
    assert table.loc[("mlp-equal", "across_seeds", ""), ["rate", "cells"]].tolist() == [1.0, 0.5]
    assert table.loc[("mlp-equal", "all", ""), "rejected"] == 0
    assert table.loc[("mlp-equal", "spectra", ""), "pairs"] == 32.5
    planted = table.loc[("place-spread", "spectral_ratio", "part.2")]
    assert planted["rejected"] == 4 and planted["effect"] == pytest.approx(1.0)
    assert table.loc[("place-spread", "spectral_ratio", "part.1"), "rejected"] == 0


def test_a_setting_that_stands_on_more_cohorts_is_kept_as_it_is(measured):
    from rates import joined, summarise

    new = summarise(measured)
    counts = {"mlp-equal": 5, "mlp-age-open": 4, "mlp-effect1-80": 3, "lstm-equal": 1}
    old = pd.concat(
        [new[new["setting"] == "mlp-equal"].assign(setting=name, replicates=n) for name, n in counts.items()]
    )
    table = joined(new, old.assign(code="old"))
    code = {name: set(part["code"]) == {"old"} for name, part in table.groupby("setting", sort=False)}
    assert list(code) == ["mlp-equal", "lstm-equal", "mlp-age-open", "mlp-effect1-80", "place-spread"]
    assert list(code.values()) == [True, True, False, False, False]
    assert len(table) == len(new) + (old["setting"] == "lstm-equal").sum()


def test_amplitude_of_time_courses_differs_between_sites(benchmarks):
    from cohorts import AMPLITUDE_SITE, draw

    made = draw({"measured": "series", "people": 600}, 1)
    age = made.people["age"].to_numpy()
    size = np.log(made.values.std(axis=(1, 2)))
    fitted = size - np.polyval(np.polyfit(age, size, 1), age)
    means = pd.Series(fitted).groupby(made.people["site"].to_numpy()).mean()
    # Standard errors of 0.02, since people differ by 0.2.
    assert means["north"] - means["south"] == pytest.approx(AMPLITUDE_SITE["north"] - AMPLITUDE_SITE["south"], abs=0.08)


def test_the_perceptrons_cohorts_without_a_difference_are_counted_together_too(measured, benchmarks):
    from rates import page_tables, summarise

    table = summarise(measured)
    half = table[table["setting"] == "mlp-equal"].assign(setting="mlp-site", rejected=0, replicates=6)
    line = page_tables(pd.concat([table, half]))["null"].splitlines()[-1]
    low, high = stats.binomtest(1, 10).proportion_ci(method="exact")
    assert line.startswith("| mlp: the four of 4 seeds together |  |  | 10 | 100 | 4 | ")
    assert f"| 10 ({100 * low:.0f} to {100 * high:.0f}) |" in line

    others = [half.assign(setting=f"{model}-equal", model=model) for model in ("cnn", "rnn")]
    line = page_tables(pd.concat([table, *others]))["null"].splitlines()[-1]
    high = stats.binomtest(0, 12).proportion_ci(method="exact").high
    assert line.startswith("| cnn, rnn together: equal groups |  |  | 12 | 100 | 4 | ")
    assert f"| 0 (0 to {100 * high:.0f}) |" in line


def test_the_figure_draws_the_tables_rates_and_says_that_they_are_simulated(measured):
    from calibration_figure import draw
    from rates import summarise

    table = summarise(measured)
    figure = draw(table)
    assert [text.get_text() for text in figure.texts if text.get_gid() == "simulated"] == ["Simulated data"]
    nulls, power, places = figure.axes
    drawn = [container.lines[0].get_xdata()[0] for container in nulls.containers]
    assert drawn == [0.25, 1.0, 0.25] * 2
    assert [container.lines[0].get_ydata().tolist() for container in power.containers] == [[0.25], [0.25]]
    (container,) = places.containers
    np.testing.assert_array_equal(container.lines[0].get_ydata(), [0, 0, 1, 0])


def test_the_pages_tables_are_those_of_its_table_of_rates(benchmarks, repository):
    from rates import in_short, page_tables

    rates = read_tsv(repository / "docs" / "calibration.tsv")
    page = (repository / "docs" / "calibration.md").read_text(encoding="utf-8")
    for name, text in page_tables(rates).items():
        assert f"<!-- table:{name} -->\n{text}\n<!-- end:{name} -->" in page
    page = (repository / "docs" / "method.md").read_text(encoding="utf-8")
    assert f"<!-- table:measured -->\n{in_short(rates)}\n<!-- end:measured -->" in page
