"""Atlases and maps on small scans, against nilearn called directly."""

import gc
import weakref

import nibabel as nib
import numpy as np
import pytest
from nilearn.image import resample_to_img
from nilearn.maskers import NiftiLabelsMasker, NiftiMapsMasker

from autospec.data import extraction
from autospec.data.components import extract, numbers_of, read_atlas, read_maps
from autospec.data.scans import load
from autospec.errors import InputError

SHAPE, VOLUMES = (6, 7, 5), 20
AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])


def save(path, array, affine=AFFINE):
    nib.save(nib.Nifti1Image(array, affine), path)
    return path


@pytest.fixture
def scan(tmp_path):
    rng = np.random.default_rng(0)
    return save(tmp_path / "bold.nii.gz", (100 + rng.standard_normal((*SHAPE, VOLUMES))).astype(np.float32))


def labels(seed=1, regions=6):
    """Region 4 is absent, as numbers are in real atlases."""
    array = np.random.default_rng(seed).integers(0, regions + 1, SHAPE).astype(np.int16)
    array[array == 4] = 0
    return array


def test_an_atlas_gives_nilearns_region_means(tmp_path, scan):
    atlas = save(tmp_path / "atlas.nii.gz", labels())
    components = read_atlas(atlas, load(scan), resample=False)
    series, lacking, measures = extract(components, load(scan), scan)
    wanted = NiftiLabelsMasker(atlas, standardize=None).fit().transform(scan)
    np.testing.assert_allclose(series, wanted, rtol=1e-6)
    array = load(scan).get_fdata()
    by_hand = np.stack([array[labels() == region].mean(axis=0) for region in (1, 2, 3, 5, 6)], axis=1)
    np.testing.assert_allclose(series, by_hand, rtol=1e-5)
    assert components.names == [f"region-{region}" for region in (1, 2, 3, 5, 6)]
    assert not lacking.any() and measures["coverage"] == 1 and not components.lost


def test_an_atlas_on_another_grid_is_resampled_when_asked_for_and_lost_regions_are_named(tmp_path, scan):
    fine = np.repeat(np.repeat(np.repeat(labels(), 2, 0), 2, 1), 2, 2)
    fine[0, 0, 0] = 7  # one small voxel
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = -1.0
    atlas = save(tmp_path / "atlas.nii.gz", fine, affine)
    with pytest.raises(InputError, match="bold.nii.gz: grid .*voxels of 4 x 4 x 4 mm.*2 x 2 x 2 mm.*resample_maps"):
        extract(read_atlas(atlas, load(scan), resample=False), load(scan), scan)
    components = read_atlas(atlas, load(scan), resample=True)
    series, _, _ = extract(components, load(scan), scan)
    resampled = resample_to_img(atlas, scan, interpolation="nearest")
    kept = [name for name in np.unique(resampled.get_fdata()) if name]
    wanted = NiftiLabelsMasker(resampled, standardize=None).fit().transform(scan)
    np.testing.assert_allclose(series, wanted, rtol=1e-6)
    assert components.names == [f"region-{int(number)}" for number in kept]
    assert set(components.names) | set(components.lost) == {f"region-{n}" for n in (1, 2, 3, 5, 6, 7)}


def test_regions_are_named_by_the_table_beside_the_atlas(tmp_path, scan):
    atlas = save(tmp_path / "atlas.nii.gz", labels())
    table = tmp_path / "atlas.tsv"
    table.write_text("index\tname\n" + "".join(f"{n}\tarea {n}\n" for n in range(7)))
    assert read_atlas(atlas, load(scan), False).names == [f"area {n}" for n in (1, 2, 3, 5, 6)]
    table.write_text("index\tname\n1\ta\n2\tb\n3\tc\n5\td\n")
    with pytest.raises(InputError, match="atlas.tsv: no name for region 6"):
        read_atlas(atlas, load(scan), False)
    table.write_text("index\tname\n1\ta\n2\tb\n3\tc\n5\td\n6\ta\n")
    with pytest.raises(InputError, match="atlas.tsv: a name that stands twice"):
        read_atlas(atlas, load(scan), False)


@pytest.mark.parametrize(
    "content, said",
    [
        (b"", "not a tab-separated table"),
        (b"\xff\xfe\n", "not a tab-separated table"),
        (b"name\tx\na\t1\nb\t1\t2\nc\n", "not a tab-separated table"),
        (b"name\tx\na\t1\n\t1\nc\t1\n", "wanted a column 'name' with 3 different names"),
        (b"index,name\n1,a\n2,b\n3,c\n", "wanted a column 'name' with 3 different names"),
    ],
)
def test_a_broken_table_of_names_beside_the_maps_is_refused(tmp_path, scan, content, said):
    maps = save(tmp_path / "maps.nii.gz", np.random.default_rng(0).random((*SHAPE, 3)).astype(np.float32))
    (tmp_path / "maps.tsv").write_bytes(content)
    with pytest.raises(InputError, match=f"maps.tsv: {said}"):
        read_maps(maps, load(scan), False)


def test_a_component_may_be_called_na(tmp_path, scan):
    maps = save(tmp_path / "maps.nii.gz", np.random.default_rng(0).random((*SHAPE, 3)).astype(np.float32))
    (tmp_path / "maps.tsv").write_text("name\nNA\nGP\nnull\n")
    assert read_maps(maps, load(scan), False).names == ["NA", "GP", "null"]


def test_a_region_that_lies_outside_the_scan_is_lacking(tmp_path):
    rng = np.random.default_rng(0)
    array = (100 + rng.standard_normal((*SHAPE, VOLUMES))).astype(np.float32)
    array[labels() == 5] = 0
    scan = save(tmp_path / "bold.nii.gz", array)
    atlas = save(tmp_path / "atlas.nii.gz", labels())
    _, lacking, measures = extract(read_atlas(atlas, load(scan), False), load(scan), scan)
    assert lacking.tolist() == [False, False, False, True, False]
    assert measures["coverage"] == 0 and measures["constant_components"] == 1


def test_maps_give_nilearns_regression(tmp_path, scan):
    maps = save(tmp_path / "maps.nii.gz", np.random.default_rng(2).random((*SHAPE, 4)).astype(np.float32))
    series, _, _ = extract(read_maps(maps, load(scan), False), load(scan), scan)
    in_float64 = [nib.Nifti1Image(load(path).get_fdata(), AFFINE, dtype=np.float64) for path in (maps, scan)]
    wanted = NiftiMapsMasker(in_float64[0], standardize=None).fit().transform(in_float64[1])
    assert wanted.dtype == np.float64
    np.testing.assert_allclose(series, wanted, rtol=1e-6)


def test_maps_that_overlap_or_say_the_same_give_nilearns_regression(tmp_path, scan):
    array = np.random.default_rng(2).normal(size=(*SHAPE, 4))
    array[:3, ..., 2] = 0
    array[..., 3] = array[..., 0] + array[..., 1]
    maps = save(tmp_path / "maps.nii.gz", array)
    series, _, _ = extract(read_maps(maps, load(scan), False), load(scan), scan)
    float32 = (load(path).get_fdata(dtype=np.float32) for path in (maps, scan))
    in_float64 = [nib.Nifti1Image(one.astype(float), AFFINE) for one in float32]
    wanted = NiftiMapsMasker(in_float64[0], standardize=None).fit().transform(in_float64[1])
    np.testing.assert_allclose(series, wanted, rtol=1e-6, atol=1e-6 * np.abs(wanted).max())


def test_a_volume_of_zeros_and_maps_that_are_multiples_are_warned_of(tmp_path, scan, caplog):
    maps = np.random.default_rng(3).normal(size=(*SHAPE, 4)).astype(np.float32)
    extract(read_maps(save(tmp_path / "maps.nii.gz", maps), load(scan), False), load(scan), scan)
    assert not caplog.records
    maps[..., 3] = -0.3 * maps[..., 1]
    array = load(scan).get_fdata()
    array[..., 7] = 0
    blank = save(tmp_path / "blank.nii.gz", array.astype(np.float32))
    extract(read_maps(save(tmp_path / "maps.nii.gz", maps), load(scan), False), load(blank), blank)
    assert "maps component-02 and component-04 are multiples of one another (1 such pair(s))" in caplog.text
    assert "blank.nii.gz: volume 8 is zero everywhere under the components (1 such volume(s))" in caplog.text


def two_grids(folder):
    """Scans of four people, the last two on a coarser grid, and each one's path by subject."""
    rng = np.random.default_rng(5)
    for number, (shape, size) in enumerate([(SHAPE, 4.0)] * 2 + [((4, 5, 4), 6.0)] * 2):
        image = nib.Nifti1Image((100 + rng.standard_normal((*shape, VOLUMES))).astype(np.float32), grid_of(size))
        image.header.set_xyzt_units("mm", "sec")
        image.header["pixdim"][4] = 2.0
        nib.save(image, folder / f"sub-{number}_bold.nii.gz")
    rows = "".join(f"sub-{number}\t{'ab'[number % 2]}\n" for number in range(4))
    (folder / "participants.tsv").write_text("participant_id\tdiagnosis\n" + rows)
    return [folder / f"sub-{number}_bold.nii.gz" for number in range(4)]


def grid_of(size):
    return np.diag([size, size, size, 1.0])


GRIDS = {"bold": "{subject}_bold.nii.gz", "confounds": None, "groups": {"a": ["a"], "b": ["b"]}, "resample_maps": True}


def test_maps_are_brought_to_each_of_two_grids_once(tmp_path, monkeypatch, caplog):
    scans = two_grids(tmp_path)
    smooth = np.cumsum(np.random.default_rng(2).normal(size=(*SHAPE, 4)), axis=0)
    maps = save(tmp_path / "maps.nii.gz", smooth.astype(np.float32))
    made, read_maps = [], extraction.read_maps
    monkeypatch.setattr(extraction, "read_maps", lambda *given: made.append(given) or read_maps(*given))
    extracted = extraction.extract_part(GRIDS | {"maps": maps.name}, tmp_path)
    assert len(made) == 2
    assert "2 of 4 scans lie on another grid than the first person's, such as sub-2, sub-3" in caplog.text
    for recording, scan in zip(extracted.recordings, scans, strict=True):
        there = resample_to_img(maps, scan, interpolation="continuous")
        in_float64 = [nib.Nifti1Image(one.get_fdata(), one.affine, dtype=np.float64) for one in (there, load(scan))]
        wanted = NiftiMapsMasker(in_float64[0], standardize=None).fit().transform(in_float64[1])
        np.testing.assert_allclose(recording.series, wanted, rtol=1e-5, atol=1e-5 * np.abs(wanted).max())
    with pytest.raises(InputError, match="sub-2_bold.nii.gz: grid .*set `resample_maps: true`"):
        extraction.extract_part(GRIDS | {"maps": maps.name, "resample_maps": False}, tmp_path)


def test_components_are_kept_on_the_latest_grids_alone(tmp_path, monkeypatch):
    maps = save(tmp_path / "maps.nii.gz", np.random.default_rng(2).random((*SHAPE, 4)).astype(np.float32))
    scans = [nib.Nifti1Image(np.ones((*SHAPE, 2), np.float32), grid_of(size)) for size in (4.0, 4.5, 5.0)]
    monkeypatch.setattr(extraction, "_GRIDS_KEPT", 2)
    made, read_maps = [], extraction.read_maps
    monkeypatch.setattr(extraction, "read_maps", lambda *given: made.append(read_maps(*given)) or made[-1])
    components_on = extraction._components(GRIDS | {"maps": maps.name}, tmp_path, None, None)
    for place, calls in ((0, 1), (1, 2), (0, 2), (2, 3), (0, 3), (1, 4)):  # the second grid was used least lately
        components = components_on(scans[place])
        assert len(made) == calls and np.allclose(components.image.affine, scans[place].affine)
    alive = [weakref.ref(one) for one in made]
    made.clear()
    gc.collect()
    assert sum(one() is not None for one in alive) == 2


def test_regions_keep_their_places_on_two_grids_and_one_that_a_grid_loses_is_lacking_there(tmp_path):
    scans = two_grids(tmp_path)
    array = labels()
    array[1, 1, 1] = 9  # one small voxel, between those of the coarser grid
    atlas = save(tmp_path / "atlas.nii.gz", array)
    extracted = extraction.extract_part(GRIDS | {"atlas": atlas.name}, tmp_path)
    numbers = [1, 2, 3, 5, 6, 9]
    assert extracted.features == [f"region-{number}" for number in numbers] and not extracted.lost
    for recording, scan in zip(extracted.recordings, scans, strict=True):
        there = resample_to_img(atlas, scan, interpolation="nearest").get_fdata()
        bold = load(scan).get_fdata()
        for column, number in enumerate(numbers):
            if (there == number).any():
                np.testing.assert_allclose(recording.series[:, column], bold[there == number].mean(axis=0), rtol=1e-5)
            else:
                assert number == 9 and bold.shape[0] == 4
        assert recording.lacking.tolist() == [not (there == number).any() for number in numbers]
    assert [recording.lacking[5] for recording in extracted.recordings] == [False, False, True, True]


def test_an_atlas_may_be_nan_outside_its_regions(tmp_path, scan):
    atlas = save(tmp_path / "atlas.nii.gz", np.where(labels() == 0, np.nan, labels()))
    plain = save(tmp_path / "plain.nii.gz", labels())
    series = [extract(read_atlas(path, load(scan), False), load(scan), scan)[0] for path in (atlas, plain)]
    np.testing.assert_array_equal(*series)
    assert numbers_of(atlas) == numbers_of(plain)


def flip(affine):
    return affine @ np.diag([-1.0, 1.0, 1.0, 1.0])


@pytest.mark.parametrize(
    "array, said",
    [
        (labels() + 0.4, "found a value that is no whole number"),
        (np.zeros(SHAPE, np.int16), "the atlas has no region"),
        (np.where(labels() == 5, np.inf, labels()), r"volume 1, voxel .*: found inf"),
        (np.ones((*SHAPE, 3), np.int16), r"found an image of shape \(6, 7, 5, 3\), wanted an atlas"),
    ],
)
def test_what_is_no_atlas_is_refused(tmp_path, scan, array, said):
    atlas = save(tmp_path / "atlas.nii.gz", array)
    with pytest.raises(InputError, match=f"atlas.nii.gz: {said}"):
        read_atlas(atlas, load(scan), False)


def test_an_atlas_in_another_place_has_no_region_on_the_scans_grid(tmp_path, scan):
    far = AFFINE.copy()
    far[:3, 3] = 1000.0
    atlas = save(tmp_path / "atlas.nii.gz", labels(), far)
    with pytest.raises(InputError, match="atlas.nii.gz: none of 5 regions has a voxel on the scans' grid"):
        read_atlas(atlas, load(scan), True)


def test_a_flipped_affine_is_another_space(tmp_path, scan):
    atlas = save(tmp_path / "atlas.nii.gz", labels(), flip(AFFINE))
    with pytest.raises(InputError, match="Bring both to one space and grid"):
        extract(read_atlas(atlas, load(scan), False), load(scan), scan)


def test_real_scans_through_a_real_atlas_are_nilearns(shared_data, tmp_path):
    """CC200 in MNI space on a scan in native space: the numbers are checked, the anatomy means nothing."""
    scan = shared_data / "fmri_4d" / "pymvpa_haxby" / "haxby2001_sub001" / "task001_run001" / "bold_25mm.nii.gz"
    atlas = shared_data / "atlases_mni3mm" / "CC200.nii.gz"
    components = read_atlas(atlas, load(scan), True)
    series, _, _ = extract(components, load(scan), scan)
    resampled = resample_to_img(atlas, scan, interpolation="nearest")
    wanted = NiftiLabelsMasker(resampled, standardize=None).fit().transform(scan)
    np.testing.assert_allclose(series, wanted, rtol=1e-5, atol=1e-4)
    assert len(components.names) + len(components.lost) == 200
    assert series.shape == (121, len(components.names)) and len(components.names) > 50
