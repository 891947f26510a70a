"""The explorer in a browser: what it draws is what the Parquet holds."""

import math

import numpy as np
import pyarrow.parquet as pq
import pytest

from autospec.report.explorer import write_explorer
from autospec.tables import read_json, read_tsv

FIELDS = ("dataset", "model", "task", "activation", "shape", "layer", "quantity", "epoch")


def choose(page, **values):
    """Choose by hand, as far as the page is concerned."""
    for name, value in values.items():
        page.run(f"""(() => {{
            const select = document.getElementById("{name}");
            select.value = "{value}";
            select.dispatchEvent(new Event("change"));
        }})()""")
        assert page.run(f"document.getElementById('{name}').value") == str(value)


def options(page, name):
    return page.run(f"[...document.getElementById('{name}').options].map((option) => option.value)")


def drawn(page):
    """The singular values by group and index, read off the drawing with the ticks that stand on its axis."""
    ticks = page.run("""[...document.querySelectorAll("#drawing .tick")].map((tick) =>
        [Number(tick.textContent), Number(tick.getAttribute("y"))])""")
    (low, bottom), (high, top) = ticks[0], ticks[-1]
    assert high > low and bottom > top
    dots = page.run("""[...document.querySelectorAll("#drawing circle")].map((dot) =>
        [dot.dataset.group, Number(dot.dataset.index), Number(dot.getAttribute("cy"))])""")
    # The baseline of a tick's label lies 4 below its line.
    share = {(group, index): (bottom - 4 - y) / (bottom - top) for group, index, y in dots}
    return {place: low * (high / low) ** part for place, part in share.items()}


def stored(records, layer, quantity, epoch):
    """Geometric means over the trainings, straight from the Parquet."""
    logs = {}
    for path in records:
        for row in pq.read_table(path.parent / "spectra.parquet").to_pylist():
            if (row["layer"], row["quantity"], row["epoch"]) == (layer, quantity, epoch):
                for index, value in enumerate(row["singular_values"][:10], start=1):
                    logs.setdefault((row["group"], index), []).append(math.log(value))
    return {place: math.exp(np.mean(values)) for place, values in logs.items()}


@pytest.mark.parametrize(
    ("task", "layer", "quantity", "epoch"),
    [
        ("autoencoding", "encoder.2.weight", "gradient", 6),
        ("autoencoding", "decoder.4.weight", "activation", 1),
        ("classification", "head.weight", "adjoint", 3),
        ("classification", "encoder.0.weight", "weight", 4),
    ],
)
def test_what_is_drawn_is_what_the_parquet_holds(explorer, records, task, layer, quantity, epoch):  # noqa: F811
    choose(explorer, task=task, layer=layer, quantity=quantity, epoch=epoch)
    found, wanted = drawn(explorer), stored(records[task], layer, quantity, epoch)
    assert set(found) == set(wanted) and len(found) >= 2
    for place in wanted:
        assert found[place] == pytest.approx(wanted[place], rel=2e-3), place
    # The table says the same in words.
    cells = explorer.run("[...document.getElementById('numbers').rows].map((row) => row.cells[1].firstChild.data)")
    first = next(iter(wanted))[0] if quantity == "weight" else "control"
    assert [float(text) for text in cells] == [
        pytest.approx(wanted[first, index + 1], rel=6e-3) for index in range(len(cells))
    ]


def test_the_choices_have_names_and_change_with_the_keyboard(explorer):
    for name in FIELDS:
        assert explorer.run(f"document.getElementById('{name}').labels[0].textContent").strip()
    assert options(explorer, "task") == ["autoencoding", "classification"]
    assert options(explorer, "quantity") == ["gradient", "activation", "adjoint", "weight"]
    before = explorer.run("document.getElementById('drawing').innerHTML")
    assert explorer.run("document.getElementById('layer').value") == "encoder.0.weight"
    explorer.run("document.getElementById('layer').focus()")
    explorer.press("ArrowDown", 40)
    explorer.wait("document.getElementById('layer').value === 'encoder.2.weight'")
    assert "gradient of encoder.2.weight, epoch 6" in explorer.run("document.getElementById('title').textContent")
    assert explorer.run("document.getElementById('drawing').innerHTML") != before
    assert explorer.run("document.getElementById('shown').ariaLive") == "polite"


def test_the_test_at_that_place_is_that_of_the_tables(explorer, group_tables):  # noqa: F811
    choose(explorer, task="autoencoding", layer="encoder.2.weight", quantity="gradient", epoch=2)
    tables = group_tables["autoencoding"]
    text = explorer.run("document.getElementById('test').textContent")
    assert f"p = {read_json(tables / 'overall.json')['spectra']['p']:.3f} over all layers" in text
    layers = read_tsv(tables / "layers.tsv").query("layer == 'encoder.2.weight'")
    for row in layers.to_dict("records"):
        assert f"{row['statistic'].replace('_', ' ')} p = {row['p']:.3f}, q = {row['q']:.3f}" in text
    epochs = read_tsv(tables / "epochs.tsv").query(
        "layer == 'encoder.2.weight' and epoch == 2 and statistic == 'spectral_ratio'"
    )
    shown = explorer.run("[...document.getElementById('numbers').rows].map((row) => [...row.cells].at(-1).textContent)")
    wanted = [f"{p:.3f}" for p in epochs.sort_values("index")["p_map"]]
    assert shown[: len(wanted)] == wanted and len(wanted) == 10


def test_the_gradient_difference_has_its_own_numbers_at_every_index_and_the_frobenius_norm(explorer, group_tables):  # noqa: F811
    choose(explorer, task="autoencoding", layer="decoder.2.weight", quantity="gradient", epoch=5)
    here = "layer == 'decoder.2.weight' and statistic == 'gradient_difference'"
    cells = read_tsv(group_tables["autoencoding"] / "cells.tsv").query(here).sort_values("index")
    epochs = read_tsv(group_tables["autoencoding"] / "epochs.tsv").query(f"{here} and epoch == 5").set_index("index")
    shown = explorer.run(
        "[...document.getElementById('difference-numbers').rows].map((row) => [...row.cells].map((c) => c.textContent))"
    )
    assert [row[0] for row in shown] == ["F", *map(str, range(1, 11))]
    for row, cell in zip(shown, cells.to_dict("records"), strict=True):
        assert float(row[1]) == pytest.approx(cell["effect"], rel=6e-3)
        assert [float(text) for text in row[2:4]] == pytest.approx([cell["p"], cell["q"]], abs=6e-4)
        if cell["index"] in epochs.index:
            assert float(row[4]) == pytest.approx(epochs.loc[cell["index"], "p_map"], abs=6e-4)
    choose(explorer, quantity="activation")
    assert explorer.run("document.getElementById('difference').hidden")


def test_every_column_is_seen_on_a_desktop_and_both_groups_on_a_phone(page, pages):
    page.open(pages / "explorer.html", width=1280)
    assert page.run("[...document.querySelectorAll('.scroll')].every((one) => one.scrollWidth <= one.clientWidth)")
    page.open(pages / "explorer.html", width=390, height=800)
    names = page.run("[...document.getElementById('columns').cells].map((one) => one.textContent)")
    assert names[1:3] == ["control", "patient"]
    assert page.run("document.getElementById('columns').cells[2].getBoundingClientRect().right") <= 390


def test_what_is_no_test_is_not_called_one(explorer):
    choose(explorer, task="classification")
    assert explorer.run("document.getElementById('test').textContent").startswith("Descriptive only")
    assert "p =" not in explorer.run("document.getElementById('test').textContent")
    for columns in ("columns", "difference-columns"):
        names = explorer.run(f"[...document.getElementById('{columns}').cells].map((one) => one.textContent)")
        assert names[-3:] == ["rank, no p, over epochs", "the same, corrected", "rank, no p, at this epoch"]
    choose(explorer, quantity="activation")
    assert "tested on the gradient alone" in explorer.run("document.getElementById('test').textContent")


def test_simulated_data_are_called_so(explorer):
    assert not explorer.run("document.getElementById('simulated').hidden")
    assert "Simulated data" in explorer.run("document.getElementById('simulated').textContent")


def test_where_every_training_diverged_the_page_says_so(page, diverged, repository, tmp_path):  # noqa: F811
    template = repository / "workflow" / "report" / "explorer.html.j2"
    write_explorer(tmp_path / "explorer.html", template, records=diverged[0], groups=[diverged[1] / "overall.json"])
    page.open(tmp_path / "explorer.html")
    assert page.console == []
    assert page.run("document.getElementById('title').textContent").startswith("Every training diverged")
    assert page.run("document.getElementById('choices').hidden")
