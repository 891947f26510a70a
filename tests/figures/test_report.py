"""The report opens from disk, says what was found, and names nobody."""

import base64
import gzip
import hashlib
import json
import re
import runpy
import shutil
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pytest

from autospec.figures.style import format_p
from autospec.report import page as page_module
from autospec.report.page import write_report
from autospec.report.words import number
from autospec.tables import read_tsv

WORKFLOW = Path(page_module.__file__).parents[2]
TEMPLATE = WORKFLOW / "report" / "report.html.j2"
VOID = {"meta", "img", "br", "link", "input", "hr"}
DRAWING = b'<svg height="100pt" viewBox="0 0 200 100" width="200.4pt" xmlns="http://www.w3.org/2000/svg"/>'


class Page(HTMLParser):
    """Elements, text, and whether every element is closed in order."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.words, self.open = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    def find(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    root = tmp_path_factory.mktemp("figures")
    run = "data-freesurfer_model-mlp_task-autoencoding_activation-relu_shape-base"
    paths = [root / "spectra" / f"{run}.svg", root / "groups" / f"{run}.svg"]
    paths.append(root / "tasks" / "data-freesurfer_model-mlp_activation-relu_shape-base.svg")
    for path in paths:
        path.parent.mkdir()
        path.write_bytes(DRAWING)
    return paths


@pytest.fixture(scope="module")
def html(report_inputs, figures, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(path, TEMPLATE, figures=figures, **report_inputs)
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def test_every_element_is_closed_and_every_link_leads_somewhere(page):
    assert page.open == []
    names = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    assert {attributes["href"] for attributes in page.find("a")} <= {f"#{name}" for name in names} | {"explorer.html"}


def test_nothing_is_fetched(page, html):
    assert not page.find("link") and not page.find("iframe")
    assert not any("src" in attributes and attributes["src"] != "data:," for _, attributes in page.elements)
    assert "http://" not in html and "https://" not in html and "url(" not in html


def test_the_page_forbids_itself_the_network_and_every_script_but_its_own(page, html):
    (policy,) = [one["content"] for one in page.find("meta") if one.get("http-equiv") == "Content-Security-Policy"]
    (script,) = re.findall("<script>(.*?)</script>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.split("; ") == [
        "default-src 'none'", "img-src data: blob:", "style-src 'unsafe-inline'", f"script-src 'sha256-{digest}'",
    ]  # fmt: skip
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]


def test_every_figure_is_inside_with_words_for_who_cannot_see_it(page, figures):
    images = [image for image in page.find("img") if image["alt"]]
    assert len(images) == len(figures)
    assert all("simulated data" in image["alt"] and "freesurfer" in image["alt"] for image in images)
    assert images[0]["alt"].startswith("Where and when groups differ")
    assert all(gzip.decompress(base64.b64decode(image["data-svg"])) == DRAWING for image in images)
    assert all((image["width"], image["height"]) == ("200", "100") for image in images)


def test_every_figure_has_its_caption(page):
    for kind in ("spectra", "groups", "conditions"):
        caption = " ".join((WORKFLOW / "report" / f"{kind}.rst").read_text().split())
        assert caption in page.text


def test_people_and_features_left_out_are_counted_by_reason(page):
    assert "people subject … has no MRI 1" in page.text
    assert "people motion above 0.5 mm 1" in page.text
    assert "features constant in all people 1" in page.text
    assert "people not paired: nobody is alike 2 sessions not paired: no further session 3" in page.text
    assert "Before pairing: 10 control, 10 patient." in page.text
    assert "After pairing: 9 control, 9 patient." in page.text


@pytest.mark.parametrize(
    ("matching", "words"),
    [
        (None, "the same site, the same sex, age within 0.2 standard deviations, head size within 0.25 standard"),
        ({"exact": ["sex"], "callipers": {}}, "the same sex; 9 pairs."),
        ({}, "none, people are paired at random; 9 pairs."),
    ],
)
def test_the_primary_matching_is_declared_and_others_stand_beside_it(report_inputs, figures, tmp_path, matching, words):
    options = {"freesurfer": {"source": "freesurfer", "matching": matching}}
    inputs = report_inputs if matching is None else report_inputs | {"options": options}
    write_report(tmp_path / "report.html", TEMPLATE, figures=figures, **inputs)
    text = Page((tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert f"Primary matching: {words}" in text
    assert text.count("how the networks' results depend on them is not known without training again") == 1
    assert "callipers halved" in text


def test_text_from_tables_is_escaped(html):
    assert "<b>A&B</b>" not in html
    assert "&lt;b&gt;A&amp;B&lt;/b&gt;" in html


def test_every_simulated_data_set_is_called_simulated(page):
    assert "on 1 data set: freesurfer simulated" in page.text
    assert "Simulated data. freesurfer is simulated: results on it check the program and say nothing" in page.text
    assert "freesurfer is simulated. Its results check the program and say nothing about people." in page.text
    assert "These data are simulated: results on them check the program" in page.text  # in the methods


def test_runs_that_used_the_labels_are_descriptive_only(page):
    assert "Descriptive only, since training used the labels." in page.text
    assert page.text.count("classification: descriptive simulated") == 1


def changed_overall(report_inputs, tmp_path, **changes):
    """The first test of groups alone, with other results."""
    folder = tmp_path / Path(report_inputs["overall"][0]).parent.name
    folder.mkdir()
    summary = json.loads(Path(report_inputs["overall"][0]).read_text()) | changes
    (folder / "overall.json").write_text(json.dumps(summary))
    return report_inputs | {"overall": [folder / "overall.json"]}


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({"p": 0.005}, "Yes, for these people and this pairing: the network learns differently"),
        ({"p": 0.4}, "No evidence, for these people and this pairing, that the network learns differently"),
        ({"p": 0.005, "exact": False}, "Descriptive only"),
        ({"p": None}, "Nothing could be tested"),
    ],
)
def test_the_summary_answers_the_question_in_words(report_inputs, figures, tmp_path, changes, answer):
    # The p of everything, the loss among it, is small in all of them: it answers nothing.
    of_spectra = {"p": changes["p"], "p_low": 0.0021, "p_high": 0.031}
    spectra = {"spectra": of_spectra, "exact": changes.get("exact", True), "p": 0.005}
    inputs = changed_overall(report_inputs, tmp_path, **spectra)
    write_report(tmp_path / "report.html", TEMPLATE, figures=figures, **inputs)
    text = Page((tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert answer in text
    interval = "100 labelings leave it between 0.002 and 0.031 and cannot give less than 0.010"
    assert (interval in text) == (changes["p"] is not None)
    assert ("Seen, after correction, at:" in text) == (changes == {"p": 0.005})
    assert "As a yardstick, the groups' mean loss under the same swaps: p = 0.010." in text
    inputs = "all pairs, not residualised or harmonised): covariance distance p = 0.03, largest t p = 0.005."
    assert f"The inputs without a network ({inputs}" in text


@pytest.mark.parametrize(
    ("low", "p", "high", "doubtful"),
    [(0.002, 0.01, 0.031, False), (0.031, 0.042, 0.055, True), (0.05, 0.06, 0.07, True), (0.051, 0.06, 0.07, False)],
)
def test_the_summary_says_where_other_labelings_might_decide_otherwise(
    report_inputs, figures, tmp_path, low, p, high, doubtful
):
    inputs = changed_overall(report_inputs, tmp_path, spectra={"p": p, "p_low": low, "p_high": high})
    write_report(tmp_path / "report.html", TEMPLATE, figures=figures, **inputs)
    text = Page((tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert ("Other labelings might decide otherwise: that interval holds 0.05." in text) == doubtful


def test_data_of_people_are_not_called_simulated(report_inputs, figures, tmp_path):
    inputs = dict(report_inputs)
    root = tmp_path / "runs"
    paths = []
    for path in map(Path, inputs["records"]):
        folder = root / path.parent.parent.name / path.parent.name
        shutil.copytree(path.parent, folder)
        record = json.loads(path.read_text()) | {"simulated": False, "description": "Measured."}
        (folder / "run.json").write_text(json.dumps(record))
        paths.append(folder / "run.json")
    inputs = changed_overall(report_inputs, tmp_path, simulated=False) | {"records": paths}
    write_report(tmp_path / "report.html", TEMPLATE, figures=figures, **inputs)
    text = Page((tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert "freesurfer simulated" not in text
    assert "is simulated" not in text and "Simulated data" not in text and "are simulated" not in text


def test_the_same_tables_give_the_same_page(report_inputs, figures, html, tmp_path):
    write_report(tmp_path / "report.html", TEMPLATE, figures=figures, **report_inputs)
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == html


def test_the_plain_shape_of_a_network_is_not_named(page):
    # The files' names hold it; what a person reads does not.
    assert "freesurfer, MLP, autoencoding, relu" in page.text
    assert ", base" not in page.text
    assert not any("base" in image["alt"] for image in page.find("img"))


def test_another_shape_is_named(report_inputs, figures, tmp_path):
    folder = tmp_path / "data-freesurfer_model-mlp_task-autoencoding_activation-relu_shape-wide" / "seed-0"
    shutil.copytree(Path(report_inputs["records"][0]).parent, folder)
    record = json.loads((folder / "run.json").read_text()) | {"shape": "wide"}
    (folder / "run.json").write_text(json.dumps(record))
    drawn = tmp_path / "spectra" / f"{folder.parent.name}.svg"
    drawn.parent.mkdir()
    drawn.write_bytes(figures[2].read_bytes())
    inputs = report_inputs | {"records": [*report_inputs["records"], folder / "run.json"]}
    write_report(tmp_path / "report.html", TEMPLATE, figures=[drawn], **inputs)
    text = Page((tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert text.count("freesurfer, MLP, autoencoding, relu, wide") == 3


def test_versions_checksums_and_seeds_are_listed(page):
    assert "torch 2.13.0" in page.text and "snakemake 9.99" in page.text
    assert "data.parquet " + "ab" * 32 in page.text
    assert "Seeds: 0, 1, 2" in page.text
    assert "Device: cpu" in page.text


def test_claims_are_counted_by_place_and_lead_to_their_figure(page, figures, report_inputs):
    table = read_tsv(report_inputs["claims"])
    assert "Do auto-encoding and classification give different gradient spectra?" in page.text
    tested = table[(table["claim"] == "C4") & (table["dataset"] != "all")]
    held = int((tested["status"] == "held").sum())
    assert held == 1 and f"Held in {held} of {len(tested)}: freesurfer (simulated), MLP, autoencoding." in page.text
    # What held in one network alone is open over all, and no contradiction.
    (over_all,) = table[(table["claim"] == "C1") & (table["dataset"] == "all")].to_dict("records")
    assert over_all["status"] == "not testable here"
    assert (
        "Do auto-encoding and classification give different gradient spectra? open over all Held in 1 of 1: freesurfer "
        f"(simulated), MLP. Over all: {over_all['note'].rstrip('.')}." in page.text
    )
    run = "data-freesurfer_model-mlp_task-autoencoding_activation-relu_shape-base"
    assert [one for one in page.find("a") if one["href"] == f"#figure-groups-{run}"]
    # Rows whose figure is not on the page have no link.
    on_page = {f"figures/{path.parent.name}/{path.stem}.pdf" for path in figures}
    links = [one for one in page.find("a") if one["href"].startswith("#figure-")]
    assert len(links) == table["figure"].isin(on_page).sum() < table["figure"].notna().sum()


def test_each_comparison_of_conditions_shows_its_cells_with_effect_interval_and_seeds(page, report_inputs):
    for path in report_inputs["cells"]:
        table = read_tsv(path)
        tested = table[(table["quantity"] == "gradient") & (table["scale"] == "free") & table["p"].notna()]
        row = tested.sort_values("p", kind="stable").iloc[0]
        place = f"{row['layer']} {row['measure'].replace('_', ' ')}" + (f" {row['index']}" if row["index"] else "")
        numbers = [number(float(row[name])) for name in ("effect", "effect_low", "effect_high")]
        shown = "{} {} to {} ".format(*numbers) + str(row["n_seeds"])
        assert f"{row['pair']} {place} {row['test']}" in page.text and shown in page.text
        assert row["family"] in page.text


def test_each_test_of_groups_shows_the_summaries_of_whole_spectra(page, report_inputs):
    for path in report_inputs["summaries"]:
        row = read_tsv(path).iloc[0]
        numbers = [number(float(row[name])) for name in ("effect", "effect_low", "effect_high")]
        tests = " ".join(format_p(row[name]) for name in ("p", "q", "p_layer"))
        words = f"{row['layer']} {row['summary'].replace('_', ' ')} {tests} {numbers[0]} {numbers[1]} to {numbers[2]}"
        assert words in page.text


def test_a_long_table_is_cut_and_the_file_with_all_of_it_is_named(report_inputs, figures, tmp_path, monkeypatch):
    monkeypatch.setattr(page_module, "LONGEST", 3)
    write_report(tmp_path / "report.html", TEMPLATE, figures=figures, **report_inputs)
    text = Page((tmp_path / "report.html").read_text(encoding="utf-8")).text
    run = "data-freesurfer_model-mlp_task-autoencoding_activation-relu_shape-base"
    rows = len(read_tsv(report_inputs["layers"][0]))
    assert f"The first 3 of {rows} rows; all of them are in statistics/groups/{run}/layers.tsv" in text


class Named(dict):
    """Files by name, as Snakemake gives them: by attribute and by key."""

    __getattr__ = dict.__getitem__


def run_script(name, inputs, outputs, folder, **params):
    outputs = {name: str(path) for name, path in outputs.items()}
    snakemake = SimpleNamespace(
        scriptdir=str(WORKFLOW / "scripts"),
        log=[str(folder / f"{name}.log")],
        threads=1,
        input=Named(inputs),
        output=Named(outputs),
        params=Named(params),
    )
    runpy.run_path(str(WORKFLOW / "scripts" / f"{name}.py"), init_globals={"snakemake": snakemake})


@pytest.fixture(scope="module")
def made(records, group_tables, comparisons, report_inputs, tmp_path_factory):
    """Every figure and the report, made by their scripts. Returns the files by script and name."""
    folder = tmp_path_factory.mktemp("made")
    tables = group_tables["classification"]
    groups = {name: tables / f"{name}.tsv" for name in ("cells", "layers", "stability")}
    inputs = {
        "figure_spectra": {"records": records["classification"][:1]},
        "figure_learning": {"records": records["classification"]},
        "figure_groups": {"records": records["classification"], "overall": tables / "overall.json"} | groups,
        "figure_conditions": {
            "records": [path for paths in records.values() for path in paths],
            "cells": comparisons["task"] / "cells.tsv",
            "overall": comparisons["task"] / "overall.json",
        },
    }
    params = {"figure_conditions": {"levels": list(records), "seeds": 3}}
    outputs = {}
    for script, files in inputs.items():
        stem = folder / script.removeprefix("figure_") / "data-freesurfer_model-mlp"
        endings = {"pdf": "pdf", "svg": "svg", "png": "png", "table": "tsv"}
        outputs[script] = {name: Path(f"{stem}.{ending}") for name, ending in endings.items()}
        run_script(script, files, outputs[script], folder, **params.get(script, {}))
    files = dict(report_inputs)
    files["figures"] = [paths["svg"] for paths in outputs.values()]
    outputs["report"] = {"report": folder / "report.html"}
    params = {name: files.pop(name) for name in ("options", "snakemake")}
    run_script("report", files, outputs["report"], folder, **params)
    return outputs


def test_scripts_make_every_file_that_their_rules_name(made):
    assert all(path.stat().st_size > 0 for paths in made.values() for path in paths.values())
    images = Page(made["report"]["report"].read_text(encoding="utf-8")).find("img")
    assert len([image for image in images if "data-svg" in image]) == 4


def test_no_label_of_any_subject_stands_in_the_report_or_a_figure(made, subjects):
    texts = [path for paths in made.values() for path in paths.values() if path.suffix in (".html", ".svg", ".tsv")]
    assert len(texts) == 9 and len(subjects) == 20
    # The SVG holds every drawn text once more as a comment.
    assert "Simulated data" in made["figure_groups"]["svg"].read_text(encoding="utf-8")
    for path in texts:
        text = path.read_text(encoding="utf-8")
        for packed in re.findall('data-svg="(.*?)"', text):
            text += gzip.decompress(base64.b64decode(packed)).decode()
        assert not [label for label in subjects if label in text], path
