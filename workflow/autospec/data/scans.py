"""Opening 4-d scans: their values, grids and repetition times."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np

from autospec.errors import InputError

_SAME_TIME = 0.005  # seconds; sidecars round the repetition time
_LONGEST = 100.0  # seconds; nobody waits longer between two volumes
_SECONDS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6}


def load(path: str | Path) -> nib.Nifti1Image:
    """Open an image: header only.

    Raises
    ------
    InputError
        A missing file, or one that is no NIfTI image.
    """
    try:
        return nib.load(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file. Put it there or correct the configuration.") from None
    except Exception as error:  # of a damaged header nibabel raises whatever it stumbles on
        raise InputError(f"{path}: not a readable NIfTI image ({error}). Get the file again.") from None


def check_4d(image: nib.Nifti1Image, path: str | Path, wanted: str) -> None:
    """Refuse what is not 4-d with two volumes or more; `wanted` is what the file should be, for the message."""
    if len(image.shape) != 4 or image.shape[3] < 2:
        raise InputError(f"{path}: found an image of shape {image.shape}, wanted {wanted}. Give the 4-d file.")


def values(image: nib.Nifti1Image, path: str | Path) -> np.ndarray:
    """Read an image's values as float32.

    Raises
    ------
    InputError
        A file that is cut short.
    """
    try:
        return image.get_fdata(dtype=np.float32, caching="unchanged")
    except MemoryError:
        raise
    except Exception:  # as in `load`
        raise InputError(f"{path}: the file is damaged or cut short. Get it again.") from None


def zero_outside(voxels: np.ndarray, path: str | Path, support: np.ndarray | None = None) -> np.ndarray:
    """Put 0 where a voxel is NaN in every volume: outside the mask or the field of view.

    SPM writes images so (its manual, "Implicit mask"), and nilearn's maskers read them so (`ensure_finite`). A voxel
    that is NaN in some volumes is damaged, and so is one that is infinite.

    Parameters
    ----------
    voxels : ndarray of float32, shape (..., volumes)
    path : path
        Their file, for messages.
    support : ndarray of bool, shape (x, y, z), optional
        Where `voxels`, of shape (voxels, volumes), come from; by default they are a whole image.

    Returns
    -------
    ndarray of float32, of the same shape
        `voxels` itself if nothing is to be replaced.

    Raises
    ------
    InputError
        A value that is no finite number, in a voxel that has some.
    """
    bad = ~np.isfinite(voxels)
    if not bad.any():
        return voxels
    outside = np.isnan(voxels).all(axis=-1)
    bad[outside] = False
    if bad.any():
        *voxel, volume = np.argwhere(bad)[0].tolist()
        found = voxels[(*voxel, volume)]
        if support is not None:
            voxel = np.argwhere(support)[voxel[0]].tolist()
        raise InputError(
            f"{path}: volume {volume + 1}, voxel {tuple(voxel)}: found {found}, wanted a finite number, or NaN in "
            f"every volume for a voxel outside the brain ({int(bad.sum())} such values). Get the file again."
        )
    return np.where(outside[..., None], np.float32(0), voxels)


def same_grid(one: nib.Nifti1Image, other: nib.Nifti1Image) -> bool:
    """Tell whether two images have the same voxels in the same places."""
    return one.shape[:3] == other.shape[:3] and np.allclose(one.affine, other.affine, atol=1e-3)


def grid(image: nib.Nifti1Image) -> str:
    """Describe an image's grid: shape, voxel sizes and origin."""
    sizes = " x ".join(f"{size:g}" for size in nib.affines.voxel_sizes(image.affine).round(3))
    origin = tuple(float(place) for place in image.affine[:3, 3].round(1))
    return f"{tuple(map(int, image.shape[:3]))}, voxels of {sizes} mm, origin {origin}"


def stem(path: str | Path) -> str:
    """The name of an image without .nii or .nii.gz."""
    return Path(path).name.removesuffix(".gz").removesuffix(".nii")


def repetition_time(image: nib.Nifti1Image, path: Path, root: str | Path, option: float | None) -> float:
    """Give the one repetition time that header, sidecars and configuration agree on.

    Parameters
    ----------
    image : Nifti1Image
    path : path
        Its file, inside `root`.
    root : path
        The data set's folder, up to which sidecars are looked for.
    option : float or None
        The configuration's `repetition_time`.

    Returns
    -------
    float
        Seconds.

    Raises
    ------
    InputError
        If they differ, or if none of them states it.
    """
    stated = {}
    try:
        unit = image.header.get_xyzt_units()[1]
    except (AttributeError, KeyError):  # the Analyze format has none, and a damaged header none that there is
        unit = "unknown"
    step = float(image.header.get_zooms()[3])
    if unit in _SECONDS and 0 < step * _SECONDS[unit] < _LONGEST:
        # Without a unit, or with an absurd value, the number is a writer's default or in another unit.
        stated["the header"] = step * _SECONDS[unit]
    for sidecar, seconds in _from_sidecars(path, Path(root)):
        stated[str(sidecar.relative_to(root))] = seconds
    if option is not None:
        stated["`repetition_time`"] = float(option)
    if not stated:
        raise InputError(
            f"{path}: no usable repetition time in the header (time step {step:g}, unit {unit}), and none in a "
            "JSON sidecar. Set `repetition_time` (seconds)."
        )
    if max(stated.values()) - min(stated.values()) > _SAME_TIME:
        found = ", ".join(f"{seconds:g} s in {place}" for place, seconds in stated.items())
        raise InputError(f"{path}: contradictory repetition times: {found}. Correct the wrong one.")
    return list(stated.values())[-1]


def same_time(one: float, other: float) -> bool:
    """Tell whether two repetition times (seconds) are the same to the rounding of sidecars."""
    return abs(one - other) <= _SAME_TIME


def _from_sidecars(path: Path, root: Path) -> list[tuple[Path, float]]:
    """The repetition time of the JSON sidecar that holds for a scan, if any states it.

    BIDS' inheritance principle (BIDS specification 1.9, common principles): a sidecar holds for every file at
    its level or below that has its suffix and all its entities; one that is nearer wins.
    """
    own = _parts(stem(path))
    for folder in (folder for folder in path.parents if folder == root or root in folder.parents):
        fitting = []
        for sidecar in folder.glob("*.json"):
            entities, suffix = _parts(sidecar.stem)
            if suffix == own[1] and entities <= own[0]:
                fitting.append((len(entities), sidecar))
        for _, sidecar in sorted(fitting, reverse=True):
            try:
                record = json.loads(sidecar.read_text(encoding="utf-8"))
            except ValueError as error:
                raise InputError(f"{sidecar}: not JSON ({error}). Correct the file.") from None
            seconds = record.get("RepetitionTime") if isinstance(record, dict) else None
            if seconds is not None:
                if not isinstance(seconds, int | float):
                    raise InputError(f"{sidecar}: RepetitionTime is {seconds!r}, wanted seconds. Correct the file.")
                return [(sidecar, float(seconds))]
    return []


def _parts(name: str) -> tuple[frozenset[str], str]:
    """The entities and the suffix of a BIDS name: sub-01_task-rest_bold -> {sub-01, task-rest}, bold."""
    *entities, suffix = name.split("_")
    return frozenset(entities), suffix
