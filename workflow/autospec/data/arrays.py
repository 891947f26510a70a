"""Arrays of numbers out of .npy, .npz, MATLAB (5 and 7.3), HDF5 and NIfTI files, without unpickling anything.

MATLAB 5 by scipy.io.loadmat, in a process of its own, since scipy trusts a file's type numbers and a damaged one can
end the process that reads it; MATLAB 7.3 is HDF5 with axes in reverse order, structs as groups and cells as
references (MathWorks, "MAT-File Versions"). GIFT (trendscenter/gift, icatb_saveICAData) writes one NIfTI a
session, ``<prefix>_sub001_timecourses_ica_s1_.nii``, time by components, and its back-reconstruction
``<prefix>_ica_br1.mat`` as a struct: `compSet.tc`, whose axes differ between its versions.
"""

import faulthandler
import multiprocessing
import zipfile
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np

from autospec.data.scans import load, values
from autospec.errors import InputError

SUFFIXES = (".npy", ".npz", ".mat", ".h5", ".hdf5", ".nii", ".nii.gz", ".img", ".hdr")


def read_array(path: str | Path, key: str | None = None) -> np.ndarray | list[np.ndarray]:
    """Read one array of numbers.

    Parameters
    ----------
    path : path
    key : str, optional
        Which variable: a name (.npz, .mat), a name and fields (`compSet.tc`), a path (HDF5). Needed where a file
        holds more than one.

    Returns
    -------
    ndarray, or list of ndarray
        Singleton axes are left out. A list for a MATLAB cell, its elements in MATLAB's order.

    Raises
    ------
    InputError
        A file that is missing, damaged, or would need unpickling; a key that is not there; what is no array of
        numbers.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file. Put it there or correct the configuration.")
    name = path.name.lower()
    if name.endswith((".nii", ".nii.gz", ".img", ".hdr")):
        return np.squeeze(values(load(path), path))
    try:
        if name.endswith((".npy", ".npz")):
            return _numpy(path, key)
        if name.endswith(".mat") and not _is_hdf5(path):
            return _matlab5(path, key)
        return _hdf5(path, key, matlab=name.endswith(".mat"))
    except InputError:
        raise
    except Exception as error:  # readers of damaged files raise whatever they stumble on
        text = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: not a readable {path.suffix} file ({text}). Get the file again.") from None


def _numpy(path: Path, key: str | None) -> np.ndarray:
    try:
        content = np.load(path, allow_pickle=False)
    except (zipfile.BadZipFile, EOFError) as error:
        raise InputError(f"{path}: the file is damaged or cut short ({error}). Get it again.") from None
    if isinstance(content, np.ndarray):
        return _numbers(content, path, None)
    with content:
        # Looking at an array of Python objects fails, and only the chosen one is looked at.
        key = _one_of(path, key, content.files)
        return _numbers(content[key], path, key)


def _matlab5(path: Path, key: str | None):
    try:
        # Forked, so that a thousand files cost no thousand imports.
        with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
            content = pool.submit(_loadmat, path).result()
    except BrokenProcessPool:
        raise InputError(f"{path}: not a readable .mat file (scipy breaks off over it). Get the file again.") from None
    first, *fields = (key or "").split(".")
    first = _one_of(path, first or None, content)
    value, place = content[first], first
    for field in fields:
        if value.dtype.names is None or value.size != 1:
            raise InputError(
                f"{path}, {place}: found {_kind(value)}, wanted one struct with the field '{field}'. Correct `key`."
            )
        if field not in value.dtype.names:
            raise InputError(
                f"{path}, {place}: no field '{field}'; it has {', '.join(value.dtype.names)}. Correct `key`."
            )
        value, place = value[field].item(), f"{place}.{field}"
    if hasattr(value, "toarray"):
        value = value.toarray()
    if value.dtype == object:
        return _cell([_numbers(one, path, place) for one in value.ravel(order="F")])
    return _numbers(value, path, place)


def _loadmat(path: Path) -> dict:
    from scipy.io import loadmat

    faulthandler.disable()  # this process may crash, and the one that started it says what happened
    return {name: value for name, value in loadmat(path).items() if not name.startswith("__")}


def _is_hdf5(path: Path) -> bool:
    import h5py

    return h5py.is_hdf5(path)


def _hdf5(path: Path, key: str | None, matlab: bool):
    import h5py

    with h5py.File(path) as file:
        names = [name for name in file if not name.startswith("#")]
        if key is None:
            key = _one_of(path, None, names)
        place = key.replace(".", "/") if matlab and key not in file else key
        if place not in file:
            parent, _, field = place.rpartition("/")
            group = file[parent] if parent in file else file
            known = ", ".join(name for name in group if not name.startswith("#")) if hasattr(group, "keys") else "none"
            raise InputError(f"{path}: nothing under '{key}'; there is {known}. Correct `key`.")
        value = file[place]
        if isinstance(value, h5py.Group):
            raise InputError(
                f"{path}, {key}: found a {'struct' if matlab else 'group'} with {', '.join(value)}, wanted an array. "
                f"Name one of them in `key`, as {key}{'.' if matlab else '/'}{next(iter(value), 'name')}."
            )
        if h5py.check_ref_dtype(value.dtype) is not None:
            parts = [_numbers(file[part][()], path, key) for part in value[()].T.ravel(order="F")]
            return _cell([part.T for part in parts])
        array = _numbers(value[()], path, key)
        return array.T if matlab else array


def _cell(parts: list[np.ndarray]) -> np.ndarray | list[np.ndarray]:
    """A cell that holds one array is that array."""
    return parts[0] if len(parts) == 1 else parts


def _one_of(path: Path, key: str | None, names) -> str:
    names = list(names)
    if key is None and len(names) == 1:
        return names[0]
    if key not in names:
        found = "no `key`" if key is None else f"nothing under '{key}'"
        raise InputError(f"{path}: {found}; the file holds {', '.join(names) or 'nothing'}. Name one in `key`.")
    return key


def _numbers(value: np.ndarray, path: Path, place: str | None) -> np.ndarray:
    value = np.asarray(value)
    where = f"{path}, {place}" if place else str(path)
    if value.dtype.kind not in "iuf":
        raise InputError(f"{where}: found {_kind(value)}, wanted an array of real numbers. Correct `key`.")
    if value.size < 2:
        raise InputError(f"{where}: found {value.size} value(s), wanted an array of numbers. Correct `key`.")
    return np.squeeze(value)


def _kind(value: np.ndarray) -> str:
    if value.dtype.names is not None:
        return f"{value.size} struct(s) with {', '.join(value.dtype.names)}"
    kinds = {"O": "a cell", "U": "text", "S": "text", "c": "complex numbers", "b": "true and false"}
    return kinds.get(value.dtype.kind, f"{value.dtype} values")
