import numpy as np
import pytest

from autospec.data import sinusoid
from autospec.errors import InputError

GROUPS = {"slow": ["slow-early", "slow-late"], "fast": ["fast-early", "fast-late"]}


def read(**options):
    return sinusoid.read("waves", {"source": "sinusoid", "groups": GROUPS} | options, None)


def test_series_say_that_they_are_synthetic_and_fill_the_four_classes_evenly():
    dataset, qc, dropped = read(series=240, length=60)
    assert dataset.simulated
    assert dataset.values.shape == (240, 60, 1)
    assert dataset.values.dtype == np.float32
    assert dataset.people["target"].value_counts().tolist() == [60] * 4
    assert dataset.people["subject"].is_unique
    assert dropped.empty
    assert list(qc["subject"]) == list(dataset.people["subject"])


def test_frequency_and_phase_of_each_class_stand_in_its_fourier_transform():
    dataset, _, _ = read(series=8000, length=64, noise=0.0)
    spectrum = np.fft.rfft(dataset.values[..., 0], axis=1)
    classes = [("slow-early", 2, 0), ("slow-late", 2, 0.5), ("fast-early", 4, 0), ("fast-late", 4, 0.5)]
    for name, cycles, lag in classes:
        rows = spectrum[dataset.people["target"] == name]
        assert np.abs(rows).mean(axis=0).argmax() == cycles
        # A sine's coefficient lies at -i; one that lags by half pi lies at -1.
        direction = np.angle((rows[:, cycles] / np.abs(rows[:, cycles])).mean())
        assert np.exp(1j * direction) == pytest.approx(np.exp(-1j * np.pi * (0.5 + lag)), abs=0.1)


def test_noise_has_the_standard_deviation_asked_for():
    quiet, _, _ = read(noise=0.0)
    loud, _, _ = read(noise=0.3)
    assert (loud.values - quiet.values).std() == pytest.approx(0.3, rel=0.03)


def test_one_seed_gives_one_set_of_series():
    np.testing.assert_array_equal(read(seed=3)[0].values, read(seed=3)[0].values)
    assert not np.array_equal(read(seed=3)[0].values, read(seed=4)[0].values)


def test_classes_in_no_group_are_left_out_and_counted():
    dataset, qc, dropped = read(series=40, groups={"a": ["slow-early"], "b": ["fast-late"]})
    assert set(dataset.people["target"]) == {"slow-early", "fast-late"}
    assert len(dataset.values) == len(qc) == len(dropped) == 20
    assert dataset.groups == ("a", "b")


@pytest.mark.parametrize(
    "groups, said",
    [
        ({"a": ["slow"], "b": ["fast-late"]}, "found class 'slow'"),
        ({"a": ["slow-late"], "b": ["slow-late"]}, "stands in a and in b"),
    ],
)
def test_groups_of_wrong_classes_are_refused(groups, said):
    with pytest.raises(InputError, match=said):
        read(groups=groups)
