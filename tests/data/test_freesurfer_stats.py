"""FreeSurfer's stats files, against an independent reading of a real subject."""

import math
import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stats_files import by_pandas, edit, write_parcellation

from autospec.data.freesurfer_stats import read_stats, read_subject
from autospec.data.simulate_freesurfer import write_cohort
from autospec.errors import InputError

DESTRIEUX = ["G_and_S_frontomargin", "G_Ins_lg_and_S_cent_ins", "S_intrapariet_and_P_trans", "Lat_Fis-ant-Horizont"]
COLUMNS = {"volume": "GrayVol", "thickness": "ThickAvg", "area": "SurfArea"}


@pytest.fixture(scope="session")
def bert(shared_data):
    return shared_data / "fs_raw_stats" / "subjects" / "bert"


@pytest.fixture(scope="session")
def simulated(tmp_path_factory):
    """One simulated subject."""
    folder = tmp_path_factory.mktemp("cohort") / "raw"
    write_cohort(folder, subjects=4, effect=1.0, seed=3)
    return folder / "sub-0001"


def copy(folder, target):
    shutil.copytree(folder, target, dirs_exist_ok=True)
    for file in (target / "stats").iterdir():
        file.chmod(0o644)
    return target


def test_a_real_subject_reads_as_by_pandas(bert):
    subject = read_subject(bert, ["volume", "thickness", "area"])
    expected = by_pandas(bert / "stats" / "aseg.stats")["Volume_mm3"].to_dict()
    for side in ("Left", "Right"):
        expected[f"{side}-Thalamus"] = expected.pop(f"{side}-Thalamus-Proper")
    for side in ("lh", "rh"):
        table = by_pandas(bert / "stats" / f"{side}.aparc.stats")
        for ending, column in COLUMNS.items():
            expected |= {f"{side}_{region}_{ending}": value for region, value in table[column].items()}
    assert subject.features == expected
    assert len(subject.features) == 45 + 2 * 34 * 3
    # Numbers that stand in the files.
    assert subject.features["Left-Hippocampus"] == 4308.9
    assert subject.features["Left-Thalamus"] == 8097.4
    assert subject.features["lh_fusiform_thickness"] == 2.717
    assert subject.features["lh_insula_volume"] == 7669
    assert subject.head_size == 1602572.131295
    assert subject.surface_holes == 78
    assert subject.version == "$Id: mri_segstats.c,v 1.121 2016/05/31 17:27:11 greve Exp $"
    assert subject.originals == {f"{side}-Thalamus": f"{side}-Thalamus-Proper" for side in ("Left", "Right")}
    assert not subject.simulated


def test_measures_choose_the_features(bert):
    features = read_subject(bert, ["thickness"]).features
    assert len(features) == 68 and all(name.endswith("_thickness") for name in features)


def test_global_measures_are_those_of_the_headers(bert):
    features = read_subject(bert, ["global"]).features
    assert features["BrainSegVol"] == 1219140.0
    assert features["CerebralWhiteMatterVol"] == 489313.710572
    assert features["MaskVol"] == 1801725.0
    assert features["lh_MeanThickness_thickness"] == 2.65421
    assert features["lh_WhiteSurfArea_area"] == 83454.8
    assert len(features) == 16 + 4
    assert not [name for name in features if "IntraCranial" in name or "Holes" in name or "eTIV" in name]


@pytest.mark.parametrize(
    ("parcellation", "file", "regions"),
    [
        ("aparc.a2009s", "aparc.a2009s", DESTRIEUX),
        ("aparc.a2009s", "aparc.a2009s", [name.replace("_and_", "&") for name in DESTRIEUX]),  # FreeSurfer 6
        ("aparc.DKTatlas", "aparc.DKTatlas", ["cuneus", "insula"]),
        ("aparc.DKTatlas", "aparc.DKTatlas40", ["cuneus", "insula"]),  # FreeSurfer 5
    ],
)
def test_other_parcellations_are_read_under_current_names(simulated, tmp_path, parcellation, file, regions):
    folder = copy(simulated, tmp_path / "subject")
    expected = {}
    for seed, side in enumerate(("lh", "rh")):
        table = write_parcellation(folder / "stats" / f"{side}.{file}.stats", regions, seed)
        for ending, column in COLUMNS.items():
            for region, value in table[column].items():
                expected[f"{side}_{region.replace('&', '_and_')}_{ending}"] = value
    subject = read_subject(folder, ["thickness", "area"], parcellation)
    assert subject.features == {name: value for name, value in expected.items() if not name.endswith("_volume")}
    renamed = "lh_G&S_frontomargin_thickness" if "G&S_frontomargin" in regions else None
    assert subject.originals.get("lh_G_and_S_frontomargin_thickness") == renamed
    with pytest.raises(InputError, match=r"lh.aparc.a2009s.stats: no such file|lh.aparc.DKTatlas.stats: no such file"):
        read_subject(simulated, ["thickness"], parcellation)


def test_names_of_old_and_new_versions_give_the_same_features(simulated, tmp_path):
    folder = copy(simulated, tmp_path / "old")
    aseg = folder / "stats" / "aseg.stats"
    text = aseg.read_text()
    new = read_subject(folder, ["volume", "global"])
    for old_name, new_name in (
        ("Thalamus-Proper", "Thalamus"),
        ("IntraCranialVol, ICV, Intracranial", "EstimatedTotalIntraCranialVol, eTIV, Estimated Total Intracranial"),
    ):
        assert new_name in text
        text = text.replace(new_name, old_name)
    aseg.write_text(text)
    old = read_subject(folder, ["volume", "global"])
    assert old.features == new.features and old.head_size == new.head_size > 0
    assert new.originals == {} and old.originals["Left-Thalamus"] == "Left-Thalamus-Proper"


def test_versions_and_surface_holes_that_the_files_do_not_tell_are_unknown(simulated, tmp_path):
    subject = read_subject(simulated, ["volume"])
    assert subject.version == "" and math.isnan(subject.surface_holes) and subject.simulated
    folder = copy(simulated, tmp_path / "subject")
    holes = "# cvs_version 7.4.1\n# Measure SurfaceHoles, SurfaceHoles, Total number of defect holes, 12, unitless\n"
    edit(folder / "stats" / "aseg.stats", "# ColHeaders", holes + "# ColHeaders")
    subject = read_subject(folder, ["volume"])
    assert subject.version == "7.4.1" and subject.surface_holes == 12


def test_byte_order_mark_and_windows_line_ends_do_not_matter(simulated, tmp_path):
    folder = copy(simulated, tmp_path / "subject")
    for file in (folder / "stats").iterdir():
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    assert read_subject(folder, ["volume", "area"]).features == read_subject(simulated, ["volume", "area"]).features


def test_a_structure_under_its_old_and_its_new_name_is_refused(simulated, tmp_path):
    folder = copy(simulated, tmp_path / "subject")
    path = folder / "stats" / "aseg.stats"
    edit(path, "Right-Thalamus", "Left-Thalamus-Proper")
    with pytest.raises(InputError, match=r"aseg.stats.*'Left-Thalamus' stands twice"):
        read_subject(folder, ["volume"])


def test_a_file_cut_anywhere_after_the_header_is_refused(simulated, tmp_path):
    text = (simulated / "stats" / "aseg.stats").read_text()
    begin = text.index("# ColHeaders") + len("# ColHeaders")
    for end in range(begin, len(text) - 40, 97):
        (tmp_path / "aseg.stats").write_text(text[:end])
        with pytest.raises(InputError, match=r"aseg.stats"):
            read_stats(tmp_path / "aseg.stats")


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_bytes_give_a_subject_or_an_input_error(simulated, tmp_path, data):
    copy(simulated, tmp_path)
    name = data.draw(st.sampled_from(["aseg.stats", "lh.aparc.stats"]))
    content = bytearray((simulated / "stats" / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(content) - 1))
        kind = data.draw(st.sampled_from(["replace", "cut", "insert"]))
        if kind == "replace":
            content[position] = data.draw(st.integers(0, 255))
        elif kind == "cut":
            del content[position : position + data.draw(st.integers(1, 400))]
        else:
            marks = st.sampled_from([b"# Measure ", b",", b"\n#"])
            content[position:position] = data.draw(st.binary(max_size=12) | marks)
    (tmp_path / "stats" / name).write_bytes(content)
    try:
        subject = read_subject(tmp_path, ["volume", "thickness", "global"])
    except InputError as error:
        assert name in str(error)
    else:
        values = np.array(list(subject.features.values()))
        assert np.isfinite(values).all() and (values >= 0).all()


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(st.sampled_from(["# ColHeaders", "# NRows", "# Measure", "# cvs_version", "", " 1", "a"]).flatmap(
    lambda word: st.text("StructName, Volume_mm3\t1.", max_size=40).map(lambda rest: f"{word} {rest}")
), max_size=8))  # fmt: skip
def test_any_lines_give_stats_or_an_input_error(tmp_path, lines):
    (tmp_path / "aseg.stats").write_text("\n".join(lines))
    try:
        stats = read_stats(tmp_path / "aseg.stats")
    except InputError as error:
        assert "aseg.stats" in str(error)
    else:
        assert all(len(cells) == len(stats.columns) for _, cells in stats.rows)
