"""Confounds in the layouts of fMRIPrep and of NIAK (the public COBRE release)."""

import gzip
import json
import shutil

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nilearn.interfaces.fmriprep import load_confounds

from autospec.data.confounds import read_confounds
from autospec.errors import InputError

VOLUMES = 60
MOTION = [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]
STEM = "sub-01_task-rest_space-MNI152NLin2009cAsym"


def fmriprep(folder, seed=0, spikes=(20, 21)):
    """A table as "Outputs of fMRIPrep, Confounds" describes it: gaps in front, an outlier column each spike."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({name: rng.standard_normal(VOLUMES).cumsum() for name in [*MOTION, "csf", "white_matter"]})
    for name in list(table):
        table[f"{name}_derivative1"] = table[name].diff()
        table[f"{name}_power2"] = table[name] ** 2
        table[f"{name}_derivative1_power2"] = table[name].diff() ** 2
    table["framewise_displacement"] = np.abs(rng.normal(0.1, 0.02, VOLUMES))
    table["std_dvars"] = np.abs(rng.normal(1.0, 0.05, VOLUMES))
    for number, spike in enumerate(spikes):
        table.loc[spike, "framewise_displacement"] = 2.0
        table[f"motion_outlier{number:02d}"] = (np.arange(VOLUMES) == spike).astype(float)
    table.loc[0, ["framewise_displacement", "std_dvars"]] = np.nan
    for number in range(2):
        table[f"cosine{number:02d}"] = np.cos(np.pi * (number + 1) * (np.arange(VOLUMES) + 0.5) / VOLUMES)
    path = folder / f"{STEM.split('_space')[0]}_desc-confounds_timeseries.tsv"
    table.to_csv(path, sep="\t", index=False, na_rep="n/a")
    scan = folder / f"{STEM}_desc-preproc_bold.nii.gz"
    scan.touch()
    return path, scan, table


def niak(folder):
    """The columns of the COBRE release (keys_confounds.json): `scrub` is 1 where a frame was censored."""
    rng = np.random.default_rng(1)
    names = [f"motion_{axis}" for axis in ("tx", "ty", "tz", "rx", "ry", "rz")] + ["wm_avg", "vent_avg"]
    table = pd.DataFrame({name: rng.standard_normal(VOLUMES) for name in [*names, "slow_drift_1", "slow_drift_2"]})
    table["FD"] = np.abs(rng.normal(0.1, 0.02, VOLUMES))
    table["scrub"] = 0
    table.loc[[0, 30, 31, 32], "scrub"] = 1
    path = folder / "fmri_0040000.tsv.gz"
    table.to_csv(path, sep="\t", index=False)
    return path, table


@pytest.mark.parametrize(
    "options",
    [
        {"strategy": ["motion", "wm_csf"], "motion": "basic"},
        {"strategy": ["motion", "high_pass", "wm_csf"], "motion": "full", "wm_csf": "full"},
        {"strategy": ["motion", "scrub"], "fd_threshold": 0.5, "scrub": 5},
        {"strategy": ["motion", "scrub"], "fd_threshold": 0.13, "scrub": 0, "std_dvars_threshold": 1.1},
    ],
)
def test_strategies_are_those_of_nilearn(tmp_path, options):
    path, scan, table = fmriprep(tmp_path)
    found = read_confounds(path, {"load_confounds": options}, VOLUMES, scan)
    wanted, mask = load_confounds(str(scan), demean=False, **options)
    np.testing.assert_array_equal(found.values, wanted.to_numpy())
    kept = np.arange(VOLUMES) if mask is None else mask
    np.testing.assert_array_equal(np.flatnonzero(found.kept), kept)
    assert ("scrub" in options["strategy"]) == (not found.kept.all())
    assert found.mean_fd == pytest.approx(table["framewise_displacement"].mean())


def test_a_strategy_that_the_table_cannot_serve_is_refused_in_one_message(tmp_path):
    path, scan, _ = fmriprep(tmp_path)
    with pytest.raises(InputError, match="nilearn's load_confounds refuses it: .*global_signal") as caught:
        read_confounds(path, {"load_confounds": {"strategy": ["global_signal"]}}, VOLUMES, scan)
    assert "\n" not in str(caught.value)


def test_a_scan_that_is_not_named_as_fmriprep_names_it_is_refused(tmp_path):
    path, _, _ = fmriprep(tmp_path)
    with pytest.raises(InputError, match="load_confounds refuses it"):
        read_confounds(path, {"load_confounds": {"strategy": ["motion"]}}, VOLUMES, tmp_path / "fmri_1.nii.gz")


def test_a_leading_gap_is_filled_by_the_second_value_as_nilearn_does(tmp_path):
    path, scan, table = fmriprep(tmp_path)
    columns = [f"{name}_derivative1" for name in MOTION]
    found = read_confounds(path, {"confound_columns": [*MOTION, *columns]}, VOLUMES)
    options = {"strategy": ["motion"], "motion": "derivatives"}
    wanted, _ = load_confounds(str(scan), demean=False, **options)
    np.testing.assert_array_equal(found.values, wanted[[*MOTION, *columns]].to_numpy())
    assert np.isnan(table[columns].iloc[0]).all()


def test_the_cobre_release_names_its_censored_frames_in_a_column(tmp_path):
    path, table = niak(tmp_path)
    options = {"confound_columns": ["motion_*", "wm_avg", "vent_avg", "slow_drift*"], "censor": {"columns": ["scrub"]}}
    found = read_confounds(path, options, VOLUMES)
    np.testing.assert_allclose(found.values, table.iloc[:, :10].to_numpy())
    np.testing.assert_array_equal(found.kept, table["scrub"] == 0)
    assert found.mean_fd == pytest.approx(table["FD"].mean())


def test_outlier_columns_and_displacement_censor_and_a_scan_without_outliers_keeps_all(tmp_path):
    path, _, table = fmriprep(tmp_path)
    base = {"confound_columns": ["csf"]}
    by_columns = read_confounds(path, base | {"censor": {"columns": ["motion_outlier*"]}}, VOLUMES)
    assert np.flatnonzero(~by_columns.kept).tolist() == [20, 21]
    by_displacement = read_confounds(path, base | {"censor": {"displacement": 0.12}}, VOLUMES)
    wanted = table["framewise_displacement"].fillna(0) > 0.12
    np.testing.assert_array_equal(~by_displacement.kept, wanted)
    assert 2 < wanted.sum() < VOLUMES
    (tmp_path / "still").mkdir()
    path, _, _ = fmriprep(tmp_path / "still", spikes=())
    assert read_confounds(path, base | {"censor": {"columns": ["motion_outlier*"]}}, VOLUMES).kept.all()


def cell(row, column, value):
    def change(path):
        table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
        table.loc[row, column] = value
        table.to_csv(path, sep="\t", index=False)

    return change


def rows(change, header=str):
    def apply(path):
        first, *rest = path.read_text().splitlines()
        path.write_text("\n".join([header(first), *map(change, rest)]) + "\n")

    return apply


def compress_and_cut(path):
    path.write_bytes(gzip.compress(path.read_bytes())[:-100])
    path.rename(path.with_name(path.name + ".gz"))


@pytest.mark.parametrize(
    "damage, options, said",
    [
        (cell(0, "csf", "n/a"), {}, None),
        (cell(1, "csf", "n/a"), {}, "timeseries.tsv, line 3, column 'csf': found 'n/a'"),
        (cell(7, "csf", "1,5"), {}, "timeseries.tsv, line 9, column 'csf': found '1,5', wanted a number"),
        (lambda path: None, {"confound_columns": ["cfs"]}, "no column 'cfs'. .*Correct `confound_columns`"),
        (lambda path: None, {"censor": {"columns": ["scrub"]}}, "no column 'scrub'. .*Correct `censor.columns`"),
        (lambda path: path.write_text("\n".join(path.read_text().splitlines()[:-3])), {}, "found 57 rows, wanted 60"),
        (lambda path: path.unlink(), {}, "timeseries.tsv: no such file"),
        (rows("{}\t".format), {}, "line 2: found 39 cells, wanted 38 .* delimiter at the end of the row"),
        (rows("{}\t".format, "{}\t".format), {}, "column 39 has no name"),
        (rows("{}\t1".format, "{}\tcsf".format), {}, "line 2: column 'csf' stands twice and holds '.*' and '1'"),
        (cell(0, "csf", "abc"), {}, "line 2, column 'csf': found 'abc', wanted a number"),
        (cell(0, "csf", "0,5"), {}, "line 2, column 'csf': found '0,5', wanted a number .*write 0.5"),
        (cell(0, "csf", "inf"), {}, "line 2, column 'csf': found 'inf'"),
        (cell(9, "framewise_displacement", "still"), {}, "line 11, column 'framewise_displacement': found 'still'"),
        (cell(4, "framewise_displacement", "-0.7"), {}, "line 6, .*_displacement': found '-0.7', .* not negative"),
        (cell(1, "framewise_displacement", "n/a"), {}, "line 3, column 'framewise_displacement': found 'n/a'"),
    ],
)
def test_bad_confounds_are_named_in_one_message(tmp_path, damage, options, said):
    path, scan, _ = fmriprep(tmp_path)
    damage(path)
    options = {"confound_columns": ["csf"]} | options
    if said is None:
        assert np.isfinite(read_confounds(path, options, VOLUMES).values).all()
        return
    with pytest.raises(InputError, match=said) as caught:
        read_confounds(path, options, VOLUMES)
    assert "\n" not in str(caught.value)


def test_a_compressed_table_that_is_cut_short_is_refused(tmp_path):
    path, _, _ = fmriprep(tmp_path)
    compress_and_cut(path)
    with pytest.raises(InputError, match="timeseries.tsv.gz: the gzip file is damaged or cut short"):
        read_confounds(path.with_name(path.name + ".gz"), {"confound_columns": ["csf"]}, VOLUMES)


COMPCOR = {"strategy": ["motion", "high_pass", "compcor"], "motion": "basic", "compcor": "anat_combined"}


def with_compcor(folder):
    path, scan, table = fmriprep(folder)
    names = ["a_comp_cor_00", "a_comp_cor_01"]
    for name in names:
        table[name] = np.random.default_rng(len(name)).standard_normal(VOLUMES)
    table.to_csv(path, sep="\t", index=False, na_rep="n/a")
    entry = {"Mask": "combined", "Retained": True, "Method": "aCompCor"}
    path.with_suffix(".json").write_text(json.dumps(dict.fromkeys(names, entry)))
    return path, scan


def test_components_are_chosen_by_the_sidecar_as_nilearn_does(tmp_path):
    path, scan = with_compcor(tmp_path)
    wanted, _ = load_confounds(str(scan), demean=False, **COMPCOR)
    np.testing.assert_array_equal(read_confounds(path, {"load_confounds": COMPCOR}, VOLUMES, scan).values, wanted)
    assert "a_comp_cor_01" in wanted


@pytest.mark.parametrize(
    "text, said",
    [
        ("null", "found null for the whole file, wanted an object for each column"),
        ("[]", r"found \[\] for the whole file"),
        ('{"a_comp_cor_00": 1}', "found 1 for a_comp_cor_00"),
        ('{"a_comp', "not JSON"),
        (None, "no such file, wanted the description of the confounds"),
    ],
)
def test_a_sidecar_that_describes_no_columns_is_refused(tmp_path, text, said):
    path, scan = with_compcor(tmp_path)
    sidecar = path.with_suffix(".json")
    sidecar.unlink() if text is None else sidecar.write_text(text)
    with pytest.raises(InputError, match=f"timeseries.json: {said}"):
        read_confounds(path, {"load_confounds": COMPCOR}, VOLUMES, scan)


def test_an_entry_of_the_sidecar_that_nilearn_cannot_use_is_refused(tmp_path):
    path, scan = with_compcor(tmp_path)
    path.with_suffix(".json").write_text('{"a_comp_cor_00": {}}')
    with pytest.raises(InputError, match="load_confounds refuses it"):
        read_confounds(path, {"load_confounds": COMPCOR}, VOLUMES, scan)


@pytest.mark.parametrize("row", [0, 5])
@pytest.mark.parametrize("found", ["bad", "0,5"])
def test_text_among_the_columns_of_a_strategy_is_named(tmp_path, row, found):
    path, scan, _ = fmriprep(tmp_path)
    cell(row, "trans_x", found)(path)
    with pytest.raises(InputError, match=f"line {row + 2}, column 'trans_x': found '{found}', wanted a number"):
        read_confounds(path, {"load_confounds": {"strategy": ["motion"]}}, VOLUMES, scan)


def test_a_strategy_is_not_served_by_shifted_columns(tmp_path):
    path, scan, _ = fmriprep(tmp_path)
    rows("{}\t".format)(path)
    with pytest.raises(InputError, match="line 2: found 39 cells, wanted 38"):
        read_confounds(path, {"load_confounds": {"strategy": ["motion"]}}, VOLUMES, scan)


def test_a_table_beside_the_scan_of_another_length_is_refused(tmp_path):
    path, scan, _ = fmriprep(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    other = shutil.copy(path, tmp_path / "elsewhere")
    path.write_text("\n".join(path.read_text().splitlines()[:-3]) + "\n")
    with pytest.raises(InputError, match="load_confounds refuses it"):
        read_confounds(other, {"load_confounds": {"strategy": ["motion"]}}, VOLUMES, scan)


def test_a_table_of_one_column_will_do(tmp_path):
    path = tmp_path / "one.tsv"
    path.write_text("csf\n1\n2\n")
    np.testing.assert_array_equal(read_confounds(path, {"confound_columns": ["csf"]}, 2).values, [[1.0], [2.0]])


NUMBERS = st.sampled_from(["0.5", "-1e3", " 2 ", "0", "1"])
CELLS = NUMBERS | st.sampled_from(["n/a", "", "nan", "0,5", "abc", "inf", "1_0", "0x1", "\u0663"])
GOOD_ROWS, ANY_ROWS = st.lists(NUMBERS, min_size=3, max_size=3), st.lists(CELLS, min_size=2, max_size=4)
TABLES = st.lists((GOOD_ROWS | ANY_ROWS).map("\t".join), min_size=1, max_size=3).map(
    lambda rows: "\n".join(["csf\tframewise_displacement\tscrub", *rows])
)


@settings(max_examples=100, deadline=None)
@given(text=TABLES | st.text('cs f\t\n\r,;01.-en/a"\0é', max_size=60) | st.text(max_size=60))
def test_whatever_stands_in_a_table_it_is_numbers_or_our_error(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "fuzz.tsv"
    path.write_text(text, encoding="utf-8", newline="")
    options = {"confound_columns": ["c*"], "censor": {"columns": ["scrub*"], "displacement": 0.4}}
    rows = [row.split("\t") for row in text.split("\n")[1:] if row.strip()]
    try:
        found = read_confounds(path, options, len(rows))
    except InputError:
        return
    np.testing.assert_allclose(found.values[1:, 0], [float(row[0]) for row in rows[1:]], rtol=1e-12)
    assert np.isfinite(found.values).all() and np.isfinite(found.mean_fd) and found.kept.shape == (len(rows),)
