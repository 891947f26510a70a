"""How figures are written, whatever they show."""

import os
import subprocess
import sys
from xml.etree import ElementTree

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from autospec.figures import style


def small_figure(simulated=True):
    figure = style.new_figure(style.ONE_COLUMN, 40, "A title", "A note")
    axis = figure.subplots()
    axis.plot([1, 2, 3], [1.0, 10.0, 100.0], label="line")
    axis.fill_between([1, 2, 3], [1.0, 5.0, 50.0], [2.0, 20.0, 200.0], alpha=0.2)
    if simulated:
        style.mark_simulated(figure)
    return figure, pd.DataFrame({"x": [1, 2], "y": [0.5, None]})


def test_a_figure_is_saved_in_three_formats_with_its_table(tmp_path):
    paths = style.save(*small_figure(), tmp_path / "new" / "lr-0.5_a")
    assert [path.name for path in paths] == ["lr-0.5_a.pdf", "lr-0.5_a.svg", "lr-0.5_a.png", "lr-0.5_a.tsv"]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(path.name for path in paths)
    assert paths[3].read_text() == "x\ty\n1\t0.5\n2\tn/a\n"


def test_png_has_300_dots_per_inch_at_the_width_of_a_column(tmp_path):
    png = style.save(*small_figure(), tmp_path / "a")[2]
    assert matplotlib.image.imread(png).shape[1] == pytest.approx(89 / 25.4 * 300, abs=1)


def test_pdf_embeds_truetype_fonts(tmp_path):
    pdf = style.save(*small_figure(), tmp_path / "a")[0].read_bytes()
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf


def test_svg_is_xml_that_needs_no_font(tmp_path):
    svg = style.save(*small_figure(), tmp_path / "a")[1]
    tags = {element.tag.rpartition("}")[2] for element in ElementTree.parse(svg).iter()}
    assert "path" in tags
    assert "text" not in tags


def test_the_same_figure_gives_the_same_bytes(tmp_path):
    first = [path.read_bytes() for path in style.save(*small_figure(), tmp_path / "a")]
    second = [path.read_bytes() for path in style.save(*small_figure(), tmp_path / "b")]
    assert first == second
    assert not any(b"CreationDate" in content or b"<dc:date>" in content for content in first)


def test_long_names_of_layers_are_not_cut_off(tmp_path):
    figure, table = small_figure()
    axis = figure.axes[0]
    axis.set_yticks([1, 50], ["encoder.lstm.weight_hh_l0", "decoder.lstm.weight_hh_l1_reverse"])
    style.save(figure, table, tmp_path / "a")
    figure.set_dpi(300)
    renderer = FigureCanvasAgg(figure).get_renderer()
    assert min(label.get_window_extent(renderer).x0 for label in axis.get_yticklabels()) >= 0


def test_the_last_digits_of_the_layout_do_not_reach_the_files(tmp_path):
    def save(name, noise):
        figure, table = small_figure()
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        for axis in figure.axes:
            axis.set_position([number * (1 + noise) for number in axis.get_position(original=True).bounds])
        return [path.read_bytes() for path in style.save(figure, table, tmp_path / name)]

    assert save("a", 0) == save("b", 1e-14)


def test_a_failed_save_leaves_the_old_file_alone(tmp_path, monkeypatch):
    figure, table = small_figure()
    paths = style.save(figure, table, tmp_path / "a")
    before = paths[0].read_bytes()

    def cut_short(path, **_):
        path.write_bytes(before[:10])
        raise OSError("no space left on device")

    monkeypatch.setattr(figure, "savefig", cut_short)
    with pytest.raises(OSError):
        style.save(figure, table, tmp_path / "a")
    assert paths[0].read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 4


def test_simulated_data_is_named_inside_the_picture(tmp_path):
    figure, table = small_figure()
    style.save(figure, table, tmp_path / "a")
    mark = next(text for text in figure.texts if text.get_gid() == "simulated")
    assert mark.get_text() == "Simulated data"
    box, page = mark.get_window_extent(), figure.bbox
    assert page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1
    plain = small_figure(simulated=False)[0]
    assert not any("imulated" in text.get_text() for text in plain.texts)


@pytest.mark.parametrize("limits", [(0.9, 1.1), (0.3, 2.0), (0.2, 20), (1e-6, 3.0), (1e-12, 1e5)])
def test_logarithmic_ticks_are_a_few_whatever_the_range(limits):
    figure = style.new_figure(style.ONE_COLUMN, 26, "")
    axis = figure.subplots()
    axis.plot([1, 2], limits)
    style.plain_log_ticks(axis)
    figure.canvas.draw()
    low, high = axis.get_ylim()
    shown = [tick for tick in axis.get_yticks() if low <= tick <= high]
    assert 2 <= len(shown) <= 7


@pytest.mark.parametrize(("p", "text"), [(1.0, "1.000"), (0.005, "0.005"), (0.00012, "1.2e-04"), (0.0, "0")])
def test_p_values_are_written_short(p, text):
    assert style.format_p(p) == text


def test_figures_need_neither_torch_nor_nilearn():
    imports = "from autospec.figures import style, frames, spectra, groups, conditions, learning"
    code = f"import sys, autospec.report.page; {imports}; print({{'torch', 'nilearn'}} & set(sys.modules))"
    paths = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=paths)
    assert run.stdout.strip() == "set()"


def test_neighbouring_ticks_are_never_written_alike():
    figure = style.new_figure(style.ONE_COLUMN, 26, "")
    axis = figure.subplots()
    axis.plot([1, 2], [1.4e-4, 3.2e-4])
    style.plain_log_ticks(axis)
    figure.canvas.draw()
    labels = [label.get_text() for label in axis.get_yticklabels()]
    assert len(labels) == len(set(labels))


@pytest.mark.parametrize("reach", [0.4, 3.9, 4.1, 30.0, 4000.0])
def test_an_axis_of_effects_is_linear_or_says_that_it_is_not(reach):
    figure = style.new_figure(style.ONE_COLUMN, 26, "")
    axis = figure.subplots()
    style.effect_axis(axis, [-reach, np.nan], [0.1, np.nan], "g_z")
    low, high = axis.get_xlim()
    assert low < -reach and high > reach
    linear = axis.get_xscale() == "linear"
    assert linear == (reach < 4)
    assert linear != ("linear from −1 to 1, logarithmic beyond" in axis.get_xlabel())
    assert axis.get_xlabel().startswith("g_z")


def test_an_interval_that_goes_on_beyond_the_axis_has_an_arrow_and_no_other_has():
    figure = style.new_figure(style.ONE_COLUMN, 26, "")
    axis = figure.subplots()
    axis.set_xlim(-1, 1)
    style.mark_beyond(axis, [-2.0, -0.5, -1.5, np.nan], [0.5, 0.9, 1.5, np.nan], [0, 1, 2, 3])
    arrows = {tuple(place) for marks in axis.collections for place in marks.get_offsets().tolist()}
    assert arrows == {(-1.0, 0.0), (-1.0, 2.0), (1.0, 2.0)}
    assert axis.get_xlim() == (-1, 1)
