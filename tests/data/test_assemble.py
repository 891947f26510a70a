"""From time courses of different people to one array: cleaning, censoring, lengths, windows."""

import nilearn.signal
import numpy as np
import pandas as pd
import pytest

from autospec.data.assemble import assemble
from autospec.data.recording import Recording
from autospec.errors import InputError

NAMES = ["a", "b", "c"]


def series(seed, volumes=80):
    return 50 + np.cumsum(np.random.default_rng(seed).standard_normal((volumes, 3)), axis=0)


def people(count=4):
    return pd.DataFrame({"subject": [f"s{row}" for row in range(count)], "group": ["x", "y"] * (count // 2)})


def put_together(recordings=None, **options):
    recordings = recordings or [Recording(f"s{row}", series(row)) for row in range(4)]
    return assemble(recordings, people(len(recordings)), NAMES, options, 2.0, "here")


def censored(seed, bad, volumes=80):
    rng = np.random.default_rng(100 + seed)
    kept = np.ones(volumes, bool)
    kept[bad] = False
    return Recording(f"s{seed}", series(seed, volumes), rng.standard_normal((volumes, 2)), kept)


def by_nilearn(one, end):
    return nilearn.signal.clean(
        one.series[:end],
        confounds=one.confounds[:end],
        sample_mask=np.flatnonzero(one.kept[:end]),
        t_r=2.0,
        high_pass=0.01,
        low_pass=0.1,
        standardize="zscore_sample",
    )


def test_censored_volumes_are_taken_out_as_nilearns_sample_mask_does():
    recordings = [
        censored(0, [10, 11, 40]),
        censored(1, [0, 1, 30]),
        censored(2, [5, 50, 79]),
        censored(3, [20, 21, 22]),
    ]
    values, _, _, _ = put_together(recordings)
    assert values.shape == (4, 77, 3)
    for row, one in enumerate(recordings):
        np.testing.assert_allclose(values[row], by_nilearn(one, 80), atol=1e-4)


def test_what_stands_in_a_censored_volume_does_not_matter():
    bad = [10, 11, 40]
    before = put_together([censored(row, bad) for row in range(4)])[0]
    recordings = [censored(row, bad) for row in range(4)]
    for one in recordings:
        one.series[bad] = 1e6
        one.confounds[bad] = -1e6
    np.testing.assert_array_equal(put_together(recordings)[0], before)


def test_people_with_different_numbers_of_censored_volumes_are_cut_to_one_number():
    recordings = [censored(0, [10]), censored(1, []), censored(2, [3, 4, 5, 6]), censored(3, [79])]
    with pytest.raises(InputError, match="differ in length: subject s1 has 80 volumes.*the shortest has 76"):
        put_together(recordings)
    values, _, _, _ = put_together(recordings, crop=76)
    assert values.shape == (4, 76, 3)
    np.testing.assert_allclose(values[0], by_nilearn(recordings[0], 77), atol=1e-4)
    np.testing.assert_allclose(values[1], by_nilearn(recordings[1], 76), atol=1e-4)


def test_people_with_too_few_volumes_are_left_out_and_counted():
    recordings = [censored(0, []), censored(1, range(30)), censored(2, []), censored(3, [])]
    values, kept, _, dropped = put_together(recordings, crop=60)
    assert kept["subject"].tolist() == ["s0", "s2", "s3"] and values.shape == (3, 60, 3)
    assert dropped.values.tolist() == [["subject", "s1", "fewer than 60 usable volumes"]]
    with pytest.raises(InputError, match=r"nobody has 90 volumes or more \(the most is 80\)"):
        put_together(recordings, crop=90)


@pytest.mark.parametrize("detrend", [True, False])
@pytest.mark.parametrize("standardise", [True, False])
def test_detrending_and_standardising_can_be_left_out(detrend, standardise):
    values, _, _, _ = put_together(detrend=detrend, standardise=standardise, high_pass=None, low_pass=None)
    wanted = nilearn.signal.clean(
        series(2), detrend=detrend, standardize="zscore_sample" if standardise else None, t_r=2.0
    )
    np.testing.assert_allclose(values[2], wanted, rtol=1e-5, atol=1e-4)


def test_a_component_that_is_constant_in_somebody_is_zero_there_and_named_or_an_error_as_configured():
    recordings = [Recording(f"s{row}", series(row)) for row in range(4)]
    recordings[2].series[:, 1] = 7
    values, _, features, dropped = put_together(recordings)
    reason = "constant in 1 of 4 people, left out where one of them is trained on"
    assert features == ["a", "b", "c"] and dropped.values.tolist() == [["feature", "b", reason]]
    assert not values[2, :, 1].any() and values[[0, 1, 3]].any(axis=1).all() and values[2, :, [0, 2]].any(axis=1).all()
    np.testing.assert_array_equal(values[[0, 1, 3]], put_together()[0][[0, 1, 3]])
    with pytest.raises(InputError, match="here: subject s2: component b is constant .*1 people lack 1 components"):
        put_together(recordings, constant_components="error")


def test_a_component_that_is_constant_in_everybody_is_left_out():
    recordings = [Recording(f"s{row}", series(row)) for row in range(4)]
    for one in recordings:
        one.series[:, 1] = 7
    values, _, features, dropped = put_together(recordings)
    assert features == ["a", "c"] and values.shape == (4, 80, 2)
    assert dropped.values.tolist() == [["feature", "b", "constant in everybody"]]


def test_windows_are_cut_after_cleaning_and_keep_who_they_are_of():
    whole, _, _, _ = put_together()
    values, rows, _, _ = put_together(windows={"length": 20, "stride": 25})
    assert values.shape == (4 * 3, 20, 3)
    assert rows["person"].tolist() == [name for name in ("s0", "s1", "s2", "s3") for _ in range(3)]
    assert rows["subject"].tolist()[:4] == ["s0_window-001", "s0_window-002", "s0_window-003", "s1_window-001"]
    assert rows["group"].tolist() == [group for group in "xyxy" for _ in range(3)]
    for row in range(4):
        for number, begin in enumerate((0, 25, 50)):
            np.testing.assert_array_equal(values[3 * row + number], whole[row, begin : begin + 20])


def test_windows_of_sessions_belong_to_the_person_of_the_sessions():
    table = people().assign(person=["p", "q", "p", "q"])
    recordings = [Recording(f"s{row}", series(row)) for row in range(4)]
    _, rows, _, _ = assemble(recordings, table, NAMES, {"windows": {"length": 40, "stride": 40}}, 2.0, "here")
    assert rows["person"].tolist() == ["p", "p", "q", "q", "p", "p", "q", "q"]
    assert rows["subject"].is_unique


def test_the_table_of_people_is_left_as_it_was():
    table = people()
    assemble([Recording(f"s{row}", series(row)) for row in range(4)], table, NAMES, {}, 2.0, "here")
    pd.testing.assert_frame_equal(table, people())
