"""The picture of the first layer: what is drawn and painted is the table's."""

import nibabel as nib
import numpy as np
import pandas as pd
from matplotlib.collections import LineCollection
from matplotlib.patches import Rectangle

from autospec.data.components import numbers_of
from autospec.figures import paint
from autospec.figures.brain import COLOURS, SHOWN, draw_brain
from autospec.figures.style import save
from autospec.tables import write_tsv

GROUPS = ("control", "patient", "difference")


def made_table(path, features, groups=GROUPS, seed=0):
    """Loadings of every feature with intervals, random."""
    generator = np.random.default_rng(seed)
    rows = []
    for group in groups:
        loading = generator.normal(size=len(features))
        loading /= np.linalg.norm(loading)
        half = generator.uniform(0.01, 0.05, size=len(features))
        rows.append(
            pd.DataFrame({"layer": "encoder.linear1", "group": group, "feature": features, "loading": loading,
                          "low": loading - half, "high": loading + half, "share": 0.4, "n_seeds": 3})
        )  # fmt: skip
    table = pd.concat(rows, ignore_index=True)
    write_tsv(table, path)
    return table


def regions(measure="thickness"):
    return [f"{side}_{region}_{measure}" for side in paint.SIDES for region in paint.DESIKAN]


def bars(figure):
    """Loadings and intervals of each panel of bars, from the top down, and the names at the left."""
    found = []
    for axis in figure.axes:
        widths = [patch.get_width() for patch in axis.patches if isinstance(patch, Rectangle)]
        if widths and axis.get_xlabel() == "loading":
            lines = next(part for part in axis.collections if isinstance(part, LineCollection))
            found.append((widths, [segment[:, 0].tolist() for segment in lines.get_segments()], axis))
    return found


def test_bars_are_the_tables_largest_loadings_of_the_difference(records, tmp_path):
    features = ["Left-Hippocampus", "Right-Hippocampus", *(f"measure-{number}" for number in range(20))]
    table = made_table(tmp_path / "directions.tsv", features)
    figure, behind = draw_brain(records["autoencoding"], tmp_path / "directions.tsv")
    difference = table[table["group"] == "difference"].set_index("feature")["loading"]
    expected = sorted(features, key=lambda name: -abs(difference[name]))[:SHOWN]
    panels = bars(figure)
    assert [label.get_text() for label in panels[0][2].get_yticklabels()] == expected
    for group, (widths, intervals, axis) in zip(GROUPS, panels, strict=True):
        rows = table[table["group"] == group].set_index("feature").loc[expected]
        np.testing.assert_allclose(widths, rows["loading"])
        np.testing.assert_allclose(intervals, rows[["low", "high"]])
        assert axis.get_title().startswith(group)
    pd.testing.assert_frame_equal(behind.drop(columns="simulated"), table)
    said = " ".join(text.get_text() for text in figure.texts)
    assert "Simulated data" in said and "No picture" in said.replace("\n", " ") and "no test of groups" in said
    assert not [image for axis in figure.axes for image in axis.images]


def test_every_vertex_has_its_regions_loading():
    features = regions()
    loadings = dict(zip(features, np.random.default_rng(1).normal(size=len(features)), strict=True))
    del loadings["lh_corpuscallosum_thickness"], loadings["rh_insula_thickness"]
    painted = paint.paint_surface(loadings | {"lh_insula_volume": 9.0}, "thickness")
    labels = np.loadtxt(paint._LABELS, dtype=int).reshape(2, -1)
    for place, (side, values) in enumerate(painted.items()):
        for vertex, label in enumerate(labels[place]):
            name = f"{side}_{paint.DESIKAN[(label - 1) % 35]}_thickness" if label else None
            if name in loadings:
                assert values[vertex] == loadings[name]
            else:
                assert np.isnan(values[vertex])


def test_regions_lie_where_anatomy_has_them():
    """Each region's mean place on nilearn's own mesh, against what any atlas says (mm; x is minus on the left)."""
    from nilearn.datasets import load_fsaverage

    mesh = load_fsaverage("fsaverage5")["pial"]
    places = {}
    for region in paint.DESIKAN:
        for side, hemisphere in paint.SIDES.items():
            painted = paint.paint_surface({f"{side}_{region}_area": 1.0}, "area")[side] == 1
            places[side, region] = mesh.parts[hemisphere].coordinates[painted].mean(axis=0)
    for region in paint.DESIKAN:
        left, right = places["lh", region], places["rh", region]
        assert left[0] < 0 < right[0]
        assert np.abs(left * [-1, 1, 1] - right).max() < 10  # mirror images, but for the brain's own asymmetry
    left = {region: places["lh", region] for region in paint.DESIKAN}
    front_to_back = ("frontalpole", "rostralmiddlefrontal", "caudalmiddlefrontal", "precentral", "postcentral",
                     "supramarginal", "inferiorparietal", "lateraloccipital")  # fmt: skip
    assert sorted(front_to_back, key=lambda name: -left[name][1]) == list(front_to_back)
    bottom_to_top = ("inferiortemporal", "middletemporal", "superiortemporal", "transversetemporal", "supramarginal",
                     "superiorparietal")  # fmt: skip
    assert sorted(bottom_to_top, key=lambda name: left[name][2]) == list(bottom_to_top)
    assert max(abs(left[name][0]) for name in ("precuneus", "cuneus", "paracentral", "isthmuscingulate")) < 15
    assert min(abs(left[name][0]) for name in ("insula", "bankssts", "middletemporal")) > 30


def test_every_voxel_has_its_regions_loading_and_maps_add_up():
    generator = np.random.default_rng(2)
    labels = generator.integers(0, 4, size=(5, 6, 7))
    atlas = nib.Nifti1Image(labels.astype(np.int16), np.diag([3, 3, 3, 1]))
    painted = paint.paint_regions(atlas, {1: 0.5, 3: -2.0}).get_fdata()
    for label, value in {0: 0.0, 1: 0.5, 2: 0.0, 3: -2.0}.items():
        assert (painted[labels == label] == value).all()
    maps = generator.normal(size=(5, 6, 7, 3)).astype(np.float32)
    painted = paint.paint_maps(nib.Nifti1Image(maps, np.eye(4)), {0: 0.5, 2: -1.0}).get_fdata()
    expected = 0.5 * maps[..., 0] / np.abs(maps[..., 0]).max() - maps[..., 2] / np.abs(maps[..., 2]).max()
    np.testing.assert_allclose(painted, expected, rtol=1e-5, atol=1e-7)
    one = np.zeros((5, 6, 7))
    one[1, 2, 3] = -1
    assert paint.peak(nib.Nifti1Image(one, np.diag([3, 3, 3, 1]))) == (3, 6, 9)


def test_cortex_is_drawn_on_the_surface_in_the_tables_colours(records, tmp_path, monkeypatch):
    painted = []

    def seen(values, side, view, limit, colours):
        painted.append((side, view, values, limit))
        return np.zeros((4, 6, 4), np.uint8)

    monkeypatch.setattr(paint, "surface_picture", seen)
    features = [*regions("thickness"), *regions("volume"), "Left-Hippocampus"]
    table = made_table(tmp_path / "directions.tsv", features)
    table.loc[table["feature"].str.endswith("volume"), ["loading", "low", "high"]] *= 3
    write_tsv(table, tmp_path / "directions.tsv")
    figure, _ = draw_brain(records["autoencoding"], tmp_path / "directions.tsv")
    assert len(painted) == 3 * 4 and len([axis for axis in figure.axes if axis.images]) == 12
    rows = table[table["feature"].str.endswith("volume")].set_index(["group", "feature"])["loading"]
    shown = [name for name in regions("volume")]
    for place, (side, _, values, limit) in enumerate(painted):
        own = {rows[GROUPS[place // 4], name] for name in shown if name.startswith(side)}
        assert set(values[~np.isnan(values)]) <= own and len(set(values[~np.isnan(values)])) == 35
        assert limit == rows.abs().max()
    said = " ".join(text.get_text() for text in figure.texts).replace("\n", " ")
    assert "volume carries most of the difference" in said
    titles = [axis.get_title() for axis in figure.axes if axis.images and axis.get_title()]
    assert sorted(titles) == sorted(3 * ["left, lateral", "left, medial", "right, lateral", "right, medial"])
    assert [(side, view) for side, view, *_ in painted[:4]] == [
        ("lh", "lateral"), ("lh", "medial"), ("rh", "lateral"), ("rh", "medial")
    ]  # fmt: skip
    (strip,) = [bar for axis in figure.axes for bar in axis.child_axes]
    assert strip.get_xlim() == (-limit, limit) and strip.get_xlabel() == "loading on the brain"


def test_an_interval_beyond_one_has_an_arrow(records, tmp_path):
    table = made_table(tmp_path / "directions.tsv", ["a", "b", "c"])
    table[["loading", "low", "high"]] /= 2
    table.loc[(table["group"] == "patient") & (table["feature"] == "b"), "high"] = 3.5
    write_tsv(table, tmp_path / "directions.tsv")
    figure, _ = draw_brain(records["autoencoding"], tmp_path / "directions.tsv")
    arrows = {axis.get_title().split(",")[0]: [part for part in axis.collections if part.get_gid() == "beyond"]
              for _, _, axis in bars(figure)}  # fmt: skip
    assert not arrows["control"] and not arrows["difference"]
    names = [label.get_text() for label in bars(figure)[0][2].get_yticklabels()]
    assert arrows["patient"][0].get_offsets().tolist() == [[1.0, names.index("b")]]
    assert "Arrows: they go on" in " ".join(text.get_text() for text in figure.texts).replace("\n", " ")


def test_a_surface_is_painted_in_its_values_colour():
    for value in (1.0, -0.5):
        pixels = paint.surface_picture(np.full(10242, value), "lh", "lateral", 1.0, COLOURS)
        middle = pixels[pixels.shape[0] // 2, pixels.shape[1] // 2, :3]
        np.testing.assert_allclose(middle, np.array(COLOURS((value + 1) / 2)[:3]) * 255, atol=3)


def test_components_are_drawn_through_their_maps(records, tmp_path):
    generator = np.random.default_rng(3)
    image = tmp_path / "maps.nii.gz"
    affine = np.diag([12.0, 12, 12, 1])
    affine[:3, 3] = (-72, -102, -72)
    nib.save(nib.Nifti1Image(generator.gamma(1.0, size=(13, 16, 14, 3)).astype(np.float32), affine), image)
    write_tsv(pd.DataFrame({"name": ["visual", "motor", "default"]}), tmp_path / "maps.tsv")
    assert numbers_of(image) == {"visual": 0, "motor": 1, "default": 2}
    made_table(tmp_path / "directions.tsv", ["visual", "default"])
    figure, table = draw_brain(records["autoencoding"], tmp_path / "directions.tsv", image, numbers_of(image))
    assert len([axis for axis in figure.axes if axis.images]) == 3
    said = " ".join(text.get_text() for text in figure.texts).replace("\n", " ")
    assert "largest value of the difference" in said and "taken to be in that space" in said
    files = save(figure, table, tmp_path / "brain")
    assert all(path.stat().st_size > 0 for path in files)


def test_regions_of_an_atlas_are_numbered_by_the_atlas(tmp_path):
    labels = np.zeros((4, 4, 4), np.int16)
    labels[0, 0, 0], labels[1, 1, 1] = 7, 12
    nib.save(nib.Nifti1Image(labels, np.eye(4)), tmp_path / "atlas.nii.gz")
    assert numbers_of(tmp_path / "atlas.nii.gz") == {"region-7": 7, "region-12": 12}


def test_a_run_without_directions_says_so(records, tmp_path):
    write_tsv(made_table(tmp_path / "x.tsv", ["a"]).iloc[:0], tmp_path / "directions.tsv")
    figure, table = draw_brain(records["autoencoding"], tmp_path / "directions.tsv")
    assert table.empty and "No direction was recorded" in " ".join(text.get_text() for text in figure.texts)
