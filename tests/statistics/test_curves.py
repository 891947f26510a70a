import numpy as np
import pytest

from autospec.errors import InputError
from autospec.statistics.curves import read_curves


def test_curves_come_in_order_of_depth_and_epoch(make_run):
    values = np.arange(12.0)[::-1].reshape(3, 4)
    curves = {("b", 1, "gradient", "all"): values, ("a", 0, "gradient", "all"): values[:, :2]}
    folder, _ = make_run("run", spectra={"curves": curves, "epochs": (1, 2, 3)})
    found = read_curves(folder / "spectra.parquet", ["gradient"], ["all"])
    assert list(found) == [("gradient", "a", "all"), ("gradient", "b", "all")]
    np.testing.assert_array_equal(found["gradient", "b", "all"].singular_values, values)
    assert found["gradient", "b", "all"].epochs.tolist() == [1, 2, 3]


def test_an_absent_quantity_is_named(make_run):
    curves = {("a", 0, "gradient", "all"): np.ones((1, 2))}
    folder, _ = make_run("run", spectra={"curves": curves, "epochs": (1,)})
    with pytest.raises(InputError, match="found no adjoint of control or patient"):
        read_curves(folder / "spectra.parquet", ["adjoint"], ["control", "patient"])
