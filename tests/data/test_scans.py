"""Damaged headers; repetition times: the header, JSON sidecars by BIDS' inheritance principle, the configuration."""

import json
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from autospec.data.scans import check_4d, load, repetition_time, values
from autospec.errors import InputError

SCAN = "sub-01/func/sub-01_task-rest_space-MNI_desc-preproc_bold.nii.gz"


@pytest.fixture
def root(tmp_path):
    (tmp_path / "sub-01" / "func").mkdir(parents=True)
    save(tmp_path)
    return tmp_path


def save(root, step=0.0, unit="unknown"):
    image = nib.Nifti1Image(np.zeros((2, 2, 2, 3), np.float32), np.eye(4))
    image.header.set_xyzt_units("mm", unit)
    image.header["pixdim"][4] = step
    nib.save(image, root / SCAN)


def sidecar(root, name, content):
    (root / name).write_text(content if isinstance(content, str) else json.dumps(content))


def found(root, option=None):
    return repetition_time(load(root / SCAN), root / SCAN, root, option)


@pytest.mark.parametrize(
    "name",
    [
        "sub-01/func/sub-01_task-rest_space-MNI_desc-preproc_bold.json",
        "sub-01/func/sub-01_task-rest_bold.json",
        "sub-01/sub-01_bold.json",
        "task-rest_bold.json",
        "bold.json",
    ],
)
def test_a_sidecar_holds_for_the_files_below_it_that_have_its_entities(root, name):
    sidecar(root, name, {"RepetitionTime": 0.8})
    assert found(root) == 0.8


def test_the_nearest_sidecar_and_at_one_level_the_most_specific_wins(root):
    sidecar(root, "task-rest_bold.json", {"RepetitionTime": 3.0})
    sidecar(root, "sub-01/func/sub-01_bold.json", {"RepetitionTime": 2.5})
    assert found(root) == 2.5
    sidecar(root, "sub-01/func/sub-01_task-rest_bold.json", {"RepetitionTime": 2.0})
    assert found(root) == 2.0
    sidecar(root, "sub-01/func/sub-01_task-rest_desc-preproc_bold.json", {"TaskName": "rest"})
    assert found(root) == 2.0


@pytest.mark.parametrize(
    "name", ["task-nback_bold.json", "sub-02_task-rest_bold.json", "task-rest_events.json", "x.json"]
)
def test_sidecars_of_other_files_do_not_count(root, name):
    sidecar(root, name, {"RepetitionTime": 3.0})
    with pytest.raises(InputError, match="no usable repetition time in the header .*none in a JSON sidecar. Set"):
        found(root)
    assert found(root, 2.0) == 2.0


@pytest.mark.parametrize("step, unit, seconds", [(2.0, "sec", 2.0), (2000.0, "msec", 2.0), (720000.0, "usec", 0.72)])
def test_the_header_counts_in_its_unit(root, step, unit, seconds):
    save(root, step, unit)
    assert found(root) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "header, inherited, option, said",
    [
        (
            (2.0, "sec"),
            2.5,
            None,
            "contradictory repetition times: 2 s in the header, 2.5 s in task-rest",
        ),
        ((2.0, "sec"), None, 3.0, "2 s in the header, 3 s in `repetition_time`"),
        ((0.0, "unknown"), 2.5, 3.0, "2.5 s in task-rest_bold.json, 3 s in `repetition_time`"),
        ((0.0, "unknown"), "2.5", None, "task-rest_bold.json: RepetitionTime is '2.5', wanted seconds"),
    ],
)
def test_contradictions_are_named(root, header, inherited, option, said):
    save(root, *header)
    if inherited is not None:
        sidecar(root, "task-rest_bold.json", {"RepetitionTime": inherited})
    with pytest.raises(InputError, match=said):
        found(root, option)


def test_rounded_sidecars_do_not_contradict(root):
    save(root, 2.0, "sec")
    sidecar(root, "task-rest_bold.json", {"RepetitionTime": 2.004})
    assert found(root) == 2.004


def test_a_broken_sidecar_is_named(root):
    sidecar(root, "task-rest_bold.json", '{"RepetitionTime": 2')
    with pytest.raises(InputError, match="task-rest_bold.json: not JSON"):
        found(root)


@given(st.lists(st.tuples(st.integers(0, 351), st.integers(0, 255)), min_size=1, max_size=4))
@settings(deadline=None, max_examples=150)
@example([(70, 93)])  # a type of values that there is not
@example([(123, 80)])  # a unit of time that there is not
@example([(47, 255)])  # a negative length
@example([(111, 255)])  # an offset that is no number
def test_a_damaged_header_gives_an_image_or_an_input_error(changes):
    image = nib.Nifti1Image(np.random.default_rng(0).random((3, 3, 3, 5)).astype(np.float32), np.eye(4))
    content = bytearray(image.to_bytes())
    for place, byte in changes:
        content[place] = byte
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "scan.nii")
        path.write_bytes(content)
        try:
            damaged = load(path)
            check_4d(damaged, path, "a scan")
            assert repetition_time(damaged, path, folder, None) > 0
            assert np.isfinite(values(damaged, path)).all()
        except InputError as error:
            assert str(path) in str(error)


def test_an_analyze_image_says_no_repetition_time(tmp_path):
    nib.save(nib.AnalyzeImage(np.zeros((3, 3, 3, 5), np.int16), np.eye(4)), tmp_path / "scan.img")
    image = load(tmp_path / "scan.img")
    with pytest.raises(InputError, match="no usable repetition time in the header"):
        repetition_time(image, tmp_path / "scan.img", tmp_path, None)
    assert repetition_time(image, tmp_path / "scan.img", tmp_path, 2.0) == 2.0
