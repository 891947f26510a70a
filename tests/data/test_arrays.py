"""Arrays out of the files that GIFT, MATLAB, NumPy and HDF5 users have, each written here by its own library."""

import h5py
import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from autospec.data.arrays import read_array
from autospec.errors import InputError

SERIES = np.random.default_rng(0).standard_normal((50, 4))


def write_matlab73(path, **variables):
    """As MATLAB 7.3 writes: axes in reverse, structs as groups, cells as references into #refs#."""
    with h5py.File(path, "w", userblock_size=512) as file:
        references = file.create_group("#refs#")
        for name, value in variables.items():
            if isinstance(value, dict):
                for field, array in value.items():
                    file.create_dataset(f"{name}/{field}", data=array.T).attrs["MATLAB_class"] = np.bytes_("double")
                file[name].attrs["MATLAB_class"] = np.bytes_("struct")
            elif isinstance(value, list):
                cells = np.empty((len(value), 1), dtype=h5py.ref_dtype)
                for index, array in enumerate(value):
                    cells[index, 0] = references.create_dataset(f"{name}{index}", data=array.T).ref
                file.create_dataset(name, data=cells).attrs["MATLAB_class"] = np.bytes_("cell")
            else:
                file.create_dataset(name, data=value.T).attrs["MATLAB_class"] = np.bytes_("double")
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")


def cell(*arrays):
    content = np.empty((1, len(arrays)), dtype=object)
    content[0, :] = arrays
    return content


def writers(folder):
    """The same series in every format, with the key that finds it."""
    np.save(folder / "a.npy", SERIES)
    yield "a.npy", None
    np.savez(folder / "b.npz", tc=SERIES, other=np.arange(3))
    yield "b.npz", "tc"
    np.savez(folder / "c.npz", SERIES)
    yield "c.npz", None
    savemat(folder / "study_ica_c1-1.mat", {"tc": SERIES, "ic": SERIES.T})
    yield "study_ica_c1-1.mat", "tc"
    savemat(folder / "study_ica_br1.mat", {"compSet": {"ic": np.ones((4, 9)), "tc": SERIES}})
    yield "study_ica_br1.mat", "compSet.tc"
    savemat(folder / "cell.mat", {"courses": cell(SERIES)})
    yield "cell.mat", "courses"
    write_matlab73(folder / "v73_ica_br1.mat", compSet={"ic": np.ones((4, 9)), "tc": SERIES})
    yield "v73_ica_br1.mat", "compSet.tc"
    write_matlab73(folder / "v73.mat", tc=SERIES)
    yield "v73.mat", None
    with h5py.File(folder / "d.h5", "w") as file:
        file["deep/data"] = SERIES
        file["text"] = "words"
    yield "d.h5", "deep/data"
    image = nib.Nifti1Image(SERIES[:, :, None], np.eye(4))
    nib.save(image, folder / "study_sub001_timecourses_ica_s1_.nii")
    yield "study_sub001_timecourses_ica_s1_.nii", None


def test_every_format_gives_the_same_array(tmp_path):
    for name, key in writers(tmp_path):
        np.testing.assert_allclose(read_array(tmp_path / name, key), SERIES, rtol=1e-6, err_msg=name)


@pytest.mark.parametrize("write", [savemat, lambda path, content: write_matlab73(path, **content)])
def test_a_cell_gives_its_arrays_in_matlabs_order(tmp_path, write):
    arrays = [SERIES, SERIES[:30] + 1, SERIES[:40] + 2]
    content = {"tc": cell(*arrays) if write is savemat else arrays}
    write(tmp_path / "cell.mat", content)
    found = read_array(tmp_path / "cell.mat", "tc")
    assert [part.shape for part in found] == [(50, 4), (30, 4), (40, 4)]
    for one, other in zip(found, arrays, strict=True):
        np.testing.assert_array_equal(one, other)


def test_nothing_is_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return print, ("unpickled",)

    np.save(tmp_path / "a.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "b.npz", tc=SERIES, trap=np.array([Trap()], dtype=object))
    with pytest.raises(InputError, match="a.npy: not a readable .npy file .*allow_pickle=False"):
        read_array(tmp_path / "a.npy")
    np.testing.assert_array_equal(read_array(tmp_path / "b.npz", "tc"), SERIES)
    with pytest.raises(InputError, match="allow_pickle=False"):
        read_array(tmp_path / "b.npz", "trap")


def damaged(name, make, keep=0.5):
    def write(folder):
        make(folder / name)
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: int(len(content) * keep)])
        return name

    return write


def made(name, make):
    def write(folder):
        make(folder / name)
        return name

    return write


def write_h5(path, **content):
    with h5py.File(path, "w") as file:
        for key, value in content.items():
            file[key] = value


@pytest.mark.parametrize(
    "write, key, said",
    [
        (lambda folder: "no.mat", None, "no.mat: no such file"),
        (damaged("a.npy", lambda path: np.save(path, SERIES)), None, "a.npy: not a readable .npy file"),
        (damaged("a.npz", lambda path: np.savez(path, SERIES)), None, "a.npz: .*damaged|a.npz: not a readable"),
        (damaged("a.mat", lambda path: savemat(path, {"tc": SERIES})), "tc", "a.mat: not a readable .mat file"),
        (damaged("b.mat", lambda path: write_matlab73(path, tc=SERIES), 0.6), "tc", "b.mat: not a readable .mat file"),
        (damaged("a.h5", lambda path: write_h5(path, tc=SERIES)), "tc", "a.h5: not a readable .h5 file"),
        (made("c.mat", lambda path: path.write_bytes(b"")), None, "c.mat: not a readable .mat file"),
        (damaged("a.nii.gz", lambda path: nib.save(nib.Nifti1Image(SERIES, np.eye(4)), path)), None, "a.nii.gz: "),
        (made("a.npz", lambda path: np.savez(path, a=SERIES, b=SERIES)), None, "no `key`; the file holds a, b"),
        (made("a.npz", lambda path: np.savez(path, a=SERIES)), "tc", "nothing under 'tc'; the file holds a"),
        (
            made("a.mat", lambda path: savemat(path, {"a": SERIES, "b": 1})),
            "tc",
            "the file holds a, b",
        ),
        (
            made("a.mat", lambda path: savemat(path, {"s": {"tc": SERIES}})),
            "s",
            "found 1 struct.s. with tc",
        ),
        (
            made("a.mat", lambda path: savemat(path, {"s": {"tc": SERIES}})),
            "s.ts",
            "s: no field 'ts'; it has tc",
        ),
        (made("a.mat", lambda path: savemat(path, {"s": SERIES})), "s.tc", "wanted one struct with the field 'tc'"),
        (made("a.mat", lambda path: savemat(path, {"s": "words"})), "s", "a.mat, s: found text, wanted an array"),
        (made("a.mat", lambda path: savemat(path, {"s": SERIES * 1j})), "s", "found complex numbers, wanted"),
        (made("a.mat", lambda path: savemat(path, {"s": cell("a", "b")})), "s", "a.mat, s: found text"),
        (made("a.mat", lambda path: write_matlab73(path, s={"tc": SERIES})), "s", "found a struct with tc.*as s.tc"),
        (
            made("a.mat", lambda path: write_matlab73(path, s={"tc": SERIES})),
            "s.ts",
            "under 's.ts'; there is tc",
        ),
        (made("a.h5", lambda path: write_h5(path, **{"g/tc": SERIES})), "g", "found a group with tc.*as g/tc"),
        (made("a.h5", lambda path: write_h5(path, a=SERIES)), "COBRE", "nothing under 'COBRE'; there is a"),
        (made("a.h5", lambda path: write_h5(path, a="words")), "a", "a.h5, a: found"),
        (made("a.npz", lambda path: np.savez(path, a=np.array(["x", "y"]))), "a", "a.npz, a: found text"),
        (made("a.npy", lambda path: np.save(path, np.float64(3))), None, r"a.npy: found 1 value\(s\)"),
    ],
)
def test_bad_files_are_named_in_one_message(tmp_path, write, key, said):
    name = write(tmp_path)
    with pytest.raises(InputError, match=said) as caught:
        read_array(tmp_path / name, key)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("place, value", [(176, 20), (176, 255), (177, 16)])
def test_a_matlab_file_over_which_scipy_crashes_is_refused(tmp_path, place, value):
    path = tmp_path / "a.mat"
    savemat(path, {"tc": SERIES})
    content = bytearray(path.read_bytes())
    content[place] = value  # the type of the numbers
    path.write_bytes(content)
    with pytest.raises(InputError, match="a.mat: not a readable .mat file .*Get the file again"):
        read_array(path, "tc")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.integers(0, 1700), st.integers(0, 255)), max_size=4), cut=st.integers(0, 1700))
def test_any_damage_to_a_matlab_file_gives_an_array_or_an_input_error(tmp_path, changes, cut):
    path = tmp_path / "a.mat"
    savemat(path, {"tc": SERIES})
    content = bytearray(path.read_bytes())
    for place, value in changes:
        content[place] = value
    path.write_bytes(content[: cut or None])
    try:
        found = read_array(path, "tc")
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert isinstance(found, list) or found.dtype.kind in "iuf"
