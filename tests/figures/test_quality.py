import dataclasses

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text
from PIL import Image
from simulated import GROUPS, simulated_dataset

from autospec.data import quality_tables as tables
from autospec.figures.quality import draw_quality
from autospec.figures.style import save
from autospec.tables import write_tsv


def write_tables(folder, shape, simulated=True, measures=True):
    dataset = simulated_dataset(shape, people=40)
    columns = {"age": np.random.default_rng(0).normal(40, 10, 40), "site": "A"} if measures else {}
    dataset = dataclasses.replace(dataset, people=dataset.people.assign(**columns), simulated=simulated)
    quality = pd.DataFrame({"subject": dataset.people["subject"]})
    if measures:
        quality["tsnr"] = np.random.default_rng(1).gamma(20, 3, 40)
    people, names = tables.people_with_measures(dataset, quality)
    paired = dataset.people["subject"][:30]
    frames = {
        "measures": tables.measure_table(people, paired, GROUPS, names),
        "features": tables.feature_table(dataset, len(shape) == 2),
        "connectivity": tables.connectivity_table(dataset, paired)
        if len(shape) == 2
        else pd.DataFrame(columns=["first", "second", "reference", "other", "difference"]),
    }
    for name, frame in frames.items():
        write_tsv(frame.assign(simulated=simulated), folder / f"{name}.tsv")
    return dataset, {name: folder / f"{name}.tsv" for name in frames}


@pytest.mark.parametrize(("shape", "measures"), [((12,), True), ((30, 6), True), ((12,), False)])
def test_the_figure_and_its_table_hold_what_the_tables_say_and_name_nobody(tmp_path, shape, measures):
    dataset, paths = write_tables(tmp_path, shape, measures=measures)
    figure, table = draw_quality("made", **paths)
    files = save(figure, table, tmp_path / "quality")
    assert [path.suffix for path in files] == [".pdf", ".svg", ".png", ".tsv"]
    assert Image.open(files[2]).size[0] > 2000
    texts = " ".join(text.get_text() for text in figure.findobj(match=lambda artist: hasattr(artist, "get_text")))
    written = files[3].read_text()
    for subject in dataset.people["subject"]:
        assert subject not in texts and subject not in written
    assert "Simulated data" in texts
    assert set(table["panel"]) == {"features"} | ({"measures"} if measures else set()) | (
        {"connectivity"} if len(shape) == 2 else set()
    )
    features = pd.read_csv(paths["features"], sep="\t").set_index("feature")
    drawn = table[(table["panel"] == "features") & (table["quantity"] == "maximum")].set_index("item")["value"]
    pd.testing.assert_series_equal(drawn, features["maximum"].loc[drawn.index], check_names=False)


def test_measured_data_are_not_called_simulated(tmp_path):
    _, paths = write_tables(tmp_path, (12,), simulated=False)
    figure, table = draw_quality("made", **paths)
    assert "Simulated data" not in [text.get_text() for text in figure.texts]
    assert not table["simulated"].any()


def test_features_without_a_spread_are_marked_and_images_are_not_called_people(tmp_path):
    _, paths = write_tables(tmp_path, (12,), simulated=False)
    features = pd.read_csv(paths["features"], sep="\t")
    features.loc[[2, 7], ["minimum", "q05", "q25", "median", "q75", "q95", "maximum"]] = 0.0
    write_tsv(features, paths["features"])
    for source, who in (("digits", "images"), ("freesurfer", "people")):
        figure, _ = draw_quality("made", **paths, source=source)
        axis = next(axis for axis in figure.axes if axis.get_title().startswith("Features"))
        marks = next(part for part in axis.collections if part.get_gid() == "no spread")
        # By their range they come first.
        assert marks.get_offsets().tolist() == [[1.0, 0.0], [2.0, 0.0]]
        texts = " ".join(text.get_text() for text in figure.findobj(Text)).replace("\n", " ")
        assert "2 without a spread" in texts and f"all {who}" in texts and f"the middle half of the {who}" in texts
        assert ("people" in texts) == (who == "people") and ("12 columns of pixels" in texts) == (who == "images")
        assert "axis linear to 5, logarithmic beyond" in axis.get_title()
