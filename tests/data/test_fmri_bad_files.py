"""Files of 4-d scans that are missing, damaged or contradict one another: each named in one message."""

import gzip

import numpy as np
import pandas as pd
import pytest
from scan_files import CONFOUNDS, SCAN, read, save, scan

from autospec.data import simulate_fmri
from autospec.errors import InputError


def edit_confounds(change):
    def edited(folder):
        table = pd.read_csv(folder / CONFOUNDS, sep="\t", dtype=str, keep_default_na=False)
        change(table).to_csv(folder / CONFOUNDS, sep="\t", index=False)

    return edited


def set_cell(table):
    table.loc[5, "csf"] = "n/a"
    return table


def shifted(folder):
    affine = simulate_fmri.AFFINE.copy()
    affine[0, 3] += 6
    save(folder, scan(folder), affine)


def with_nan(folder):
    data = scan(folder)
    data[6, 8, 6, 3] = np.nan
    save(folder, data)


def with_infinity(folder):
    data = scan(folder)
    data[6, 8, 6] = np.inf
    save(folder, data)


def cut_short(folder):
    (folder / SCAN).write_bytes((folder / SCAN).read_bytes()[:-20_000])


def cut_short_unpacked(folder):
    plain = folder / SCAN.removesuffix(".gz")
    plain.write_bytes(gzip.decompress((folder / SCAN).read_bytes())[:-1000])
    (folder / SCAN).unlink()
    for path in folder.glob("sub-*/func/*.nii.gz"):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))


def empty_map(folder):
    maps = scan(folder, "component_maps.nii.gz")
    maps[..., 7] = 0
    save(folder, maps, name="component_maps.nii.gz")


def other_step(folder):
    (folder / SCAN.replace(".nii.gz", ".json")).unlink()
    save(folder, scan(folder), step=2.5)


BOLD = "sub-0002_task-rest_desc-preproc_bold.nii.gz"


@pytest.mark.parametrize(
    "damage, said",
    [
        (lambda folder: save(folder, scan(folder)[..., 0]), BOLD + r": found an image of shape \(13, 16, 12\)"),
        (cut_short, BOLD + ": the file is damaged or cut short"),
        (lambda folder: (folder / SCAN).write_bytes(b"no image"), BOLD + ": not a readable NIfTI"),
        (lambda folder: (folder / SCAN).write_bytes(b""), BOLD + ": not a readable NIfTI"),
        (shifted, BOLD + r": grid .*origin \(-66.0, -108.0, -54.0\).*\(-72.0"),
        (lambda folder: save(folder, scan(folder)[:-1]), BOLD + r": grid \(12, 16, 12\)"),
        (with_infinity, BOLD + r": volume 1, voxel \(6, 8, 6\): found inf, wanted a finite number.*120 such values"),
        (with_nan, BOLD + r": volume 4, voxel \(6, 8, 6\): found nan"),
        (lambda folder: save(folder, np.full((13, 16, 12, 120), 7.0, np.float32)), BOLD + ": no voxel under"),
        (lambda folder: (folder / SCAN).unlink(), "1 subject.s. of the participants table have no data"),
        (lambda folder: (folder / CONFOUNDS).unlink(), "sub-0002.*tsv: no confounds for subject sub-0002"),
        (edit_confounds(lambda table: table.iloc[:-3]), "timeseries.tsv: found 117 rows, wanted 120"),
        (edit_confounds(lambda table: table.drop(columns="rot_x")), "timeseries.tsv: no column 'rot_x'"),
        (edit_confounds(set_cell), "timeseries.tsv, line 7, column 'csf': found"),
        (lambda folder: (folder / CONFOUNDS).write_bytes(b""), "timeseries.tsv: found 0 row"),
        (lambda folder: (folder / CONFOUNDS).write_bytes(b"\xff\xfe\x00"), "timeseries.tsv: byte 0 is not UTF-8"),
        (lambda folder: (folder / "component_maps.nii.gz").unlink(), "component_maps.nii.gz: no such file"),
        (empty_map, "component_maps.nii.gz: component map 8 is zero everywhere"),
        (
            lambda folder: save(folder, scan(folder, "brain_mask.nii.gz"), name="component_maps.nii.gz"),
            r"component_maps.nii.gz: found an image of shape \(13, 16, 12\), wanted component maps",
        ),
        (lambda folder: (folder / "component_maps.tsv").write_text("name\none\n"), "maps.tsv: wanted a column 'name'"),
        (lambda folder: save(folder, scan(folder), step=2.5), BOLD + ": contradictory repetition times: 2.5 s in the"),
        (other_step, BOLD + ": repetition time 2.5 s of subject sub-0002, but 2 s of sub-0001"),
        (
            lambda folder: (folder / SCAN.replace(".nii.gz", ".json")).write_text("{"),
            "bold.json: not JSON",
        ),
    ],
)
def test_bad_files_are_named_in_one_message(copy, damage, said):
    damage(copy)
    with pytest.raises(InputError, match=said) as caught:
        read(copy)
    assert "\n" not in str(caught.value)


def test_an_unpacked_scan_that_is_cut_short_is_refused(copy):
    cut_short_unpacked(copy)
    with pytest.raises(InputError, match="bold.nii: the file is damaged or cut short"):
        read(copy, bold="{subject}/func/{subject}_task-rest_desc-preproc_bold.nii")


def test_a_configured_repetition_time_that_contradicts_the_files_is_refused(cohort):
    with pytest.raises(InputError, match="2 s in the header.*3 s in `repetition_time`"):
        read(cohort, repetition_time=3.0)


def test_people_without_a_scan_can_be_left_out(copy):
    (copy / SCAN).unlink()
    dataset, qc, dropped = read(copy, missing_subjects="drop")
    assert dataset.people["subject"].tolist() == ["sub-0001", "sub-0003", "sub-0004"]
    assert len(qc) == len(dataset.values) == 3
    assert dropped["label"].tolist() == ["sub-0002"]
