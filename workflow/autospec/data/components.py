"""What a scan's time courses are taken of: component maps, or the regions of an atlas.

Maps: every volume is regressed on all maps at once, the first stage of dual regression (Filippini et al. 2009, PNAS
106, 7209-7214); the second stage, back to maps of each person, is not needed here. Regions: the mean over each
region's voxels. Both are one product of a matrix, (components, voxels), with the scan's voxels, made once for each
grid: nilearn's NiftiMapsMasker and NiftiLabelsMasker, which the tests compare with, solve or label each scan anew.
"""

import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import scipy.sparse

from autospec.data.scans import check_4d, grid, load, same_grid, stem, values, zero_outside
from autospec.data.signal import constant
from autospec.errors import InputError

_MULTIPLE = 1e-6  # from 1 or -1, the cosine between two maps that are multiples, to the rounding of a file (ours)
_COVERED = 0.5  # of a map's sum of squares, or a region's voxels, must lie in voxels that the scan fills


@dataclasses.dataclass(frozen=True)
class Components:
    """Component maps or regions on one grid.

    Attributes
    ----------
    names : list of str
    lost : list of str
        Regions that have no voxel on the scans' grid.
    image : Nifti1Image
        What has the grid that scans must have.
    support : ndarray of bool, shape (x, y, z)
        Voxels of any component.
    coverage : callable
        Which voxels of the support change, ndarray of bool -> share of each component that lies in them.
    weights : ndarray or sparse array of float64, shape (components, voxels of the support)
        What a volume is multiplied by.
    """

    names: list[str]
    lost: list[str]
    image: nib.Nifti1Image
    support: np.ndarray
    coverage: Callable[[np.ndarray], np.ndarray]
    weights: np.ndarray | scipy.sparse.sparray


def read_maps(path: Path, scan: nib.Nifti1Image, resample: bool) -> Components:
    """Read component maps, a 4-d image with one map a volume.

    Parameters
    ----------
    path : path
        Their names stand in the column `name` of a TSV of the same stem, if there is one.
    scan : Nifti1Image
        A scan, for its grid.
    resample : bool
        Whether to bring the maps to the scan's grid.

    Raises
    ------
    InputError
        A file that is no 4-d image, a map that is zero everywhere, names that do not fit.
    """
    image = load(path)
    check_4d(image, path, "component maps, one a volume")
    return of_maps(image, _map_names(path, image.shape[3]), scan, resample, path)


def of_maps(
    image: nib.Nifti1Image, names: list[str], scan: nib.Nifti1Image, resample: bool, origin: str | Path
) -> Components:
    """Make components of maps that are in memory; `origin` is where they come from, for messages."""
    array = zero_outside(values(image, origin), origin)
    if resample and not same_grid(image, scan):
        image = _resampled(nib.Nifti1Image(array, image.affine), scan, "continuous")
        array = image.get_fdata(dtype=np.float32)
    empty = np.flatnonzero(~array.any(axis=(0, 1, 2)))
    if len(empty):
        raise InputError(
            f"{origin}: component map {empty[0] + 1} is zero everywhere on the grid {grid(image)}. "
            "Remove it from the file, or the scans that do not cover it."
        )
    image = nib.Nifti1Image(array, image.affine)
    support = array.any(axis=3)
    inside = array[support].astype(np.float64)
    shares = inside**2 / (inside**2).sum(axis=0)
    _warn_of_multiples(inside, names, origin)
    return Components(
        names=names,
        lost=[],
        image=image,
        support=support,
        coverage=lambda moving: moving @ shares,
        weights=np.linalg.pinv(inside),
    )


def _warn_of_multiples(inside: np.ndarray, names: list[str], origin: str | Path) -> None:
    """Warn of maps, shape (voxels, components), that are multiples: the pseudo-inverse halves what they explain."""
    scaled = inside / np.linalg.norm(inside, axis=0)
    pairs = np.argwhere(np.triu(np.abs(scaled.T @ scaled) > 1 - _MULTIPLE, 1))
    if len(pairs):
        first, second = pairs[0]
        logging.warning(
            "%s: maps %s and %s are multiples of one another (%d such pair(s)), so their time courses are the same. "
            "Remove one.", origin, names[first], names[second], len(pairs),
        )  # fmt: skip


def numbered(count: int) -> list[str]:
    """Names for components that have none."""
    return [f"component-{number + 1:02d}" for number in range(count)]


def read_atlas(path: Path, scan: nib.Nifti1Image, resample: bool, regions: list[str] | None = None) -> Components:
    """Read an atlas, a 3-d image of whole numbers, 0 outside the regions.

    Parameters
    ----------
    path : path
        The regions' names stand in the columns `index` and `name` of a TSV of the same stem, if there is one
        (as BIDS 1.9 has it for discrete segmentations); otherwise a region is named by its number.
    scan, resample
        As in `read_maps`; labels are resampled to the nearest.
    regions : list of str, optional
        Which regions to give, those without a voxel on the scan's grid too, which the scan then lacks; by default
        those that have one.

    Raises
    ------
    InputError
        A file that is no 3-d image of whole numbers, or none of whose regions has a voxel, or names that do not fit.
    """
    image = load(path)
    if len(image.shape) == 4 and image.shape[3] == 1:
        image = image.slicer[..., 0]
    if len(image.shape) != 3:
        raise InputError(
            f"{path}: found an image of shape {image.shape}, wanted an atlas, 3-d with one number a region. "
            "Give maps, one a volume, under `maps`."
        )
    array = _labels(image, path)
    labels = np.rint(array).astype(np.int32)
    if np.abs(array - labels).max() > 1e-3:
        raise InputError(f"{path}: found a value that is no whole number, wanted one number a region. Give an atlas.")
    every = np.unique(labels[labels != 0])
    if not len(every):
        raise InputError(f"{path}: the atlas has no region: every voxel is 0. Get the file again.")
    image = nib.Nifti1Image(labels, image.affine)
    if resample and not same_grid(image, scan):
        image = _resampled(image, scan, "nearest")
        labels = np.asarray(image.dataobj).astype(np.int32)
        image = nib.Nifti1Image(labels, image.affine)
    names = _region_names(path, every)
    here = np.unique(labels[labels != 0])
    if not len(here):
        raise InputError(f"{path}: none of {len(every)} regions has a voxel on the scans' grid ({grid(scan)}).")
    if regions is not None:
        here = np.array([label for label in every if names[label] in regions])
    support = np.isin(labels, here)
    region = np.searchsorted(here, labels[support])
    sizes = np.bincount(region, minlength=len(here))
    return Components(
        names=[names[label] for label in here],
        lost=[names[label] for label in every if label not in here],
        image=image,
        support=support,
        coverage=lambda moving: np.bincount(region[moving], minlength=len(here)) / np.maximum(sizes, 1),
        weights=scipy.sparse.csr_array((1 / sizes[region], (region, np.arange(len(region)))), (len(here), len(region))),
    )


def numbers_of(path: Path) -> dict[str, int]:
    """Where each component is: by name, its volume (from 0) in component maps, its number in an atlas.

    Raises
    ------
    InputError
        As `read_maps` and `read_atlas` raise for files and names.
    """
    image = load(path)
    if len(image.shape) == 4 and image.shape[3] > 1:
        return {name: volume for volume, name in enumerate(_map_names(path, image.shape[3]))}
    labels = np.unique(np.rint(_labels(image, path)).astype(np.int32))
    return {name: number for number, name in _region_names(path, labels[labels != 0]).items()}


def extract(components: Components, image: nib.Nifti1Image, path: Path) -> tuple[np.ndarray, np.ndarray, dict]:
    """Take one scan's time courses.

    Parameters
    ----------
    components : Components
    image : Nifti1Image
        4-d.
    path : path
        Its file, for messages.

    Returns
    -------
    series : ndarray, shape (time, components)
    lacking : ndarray of bool, shape (components,)
        Components that less than half lie in voxels that change, or that are constant.
    measures : dict
        `volumes`, `tsnr` (median over voxels of mean / standard deviation over time), `coverage` (least share of
        a component that lies in the scan), `constant_components`.

    Raises
    ------
    InputError
        A scan on another grid than the components, cut short, without signal, or with a value under the components
        that is no number.
    """
    if not same_grid(image, components.image):
        raise InputError(
            f"{path}: grid {grid(image)}; the components have {grid(components.image)}. Bring both to one "
            "space and grid, or, if both are in the same space, set `resample_maps: true`."
        )
    inside = zero_outside(values(image, path)[components.support], path, components.support)
    blank = np.flatnonzero(~inside.any(axis=0))
    if len(blank):
        logging.warning(
            "%s: volume %d is zero everywhere under the components (%d such volume(s)). Is it damaged? Get the scan "
            "again, or censor the volume.", path, blank[0] + 1, len(blank),
        )  # fmt: skip
    mean, spread = inside.mean(axis=1, dtype=np.float64), inside.std(axis=1, dtype=np.float64)
    moving = spread > 1e-7 * np.abs(mean)
    if not moving.any():
        raise InputError(f"{path}: no voxel under the components changes over time. Get the scan again.")
    series = (components.weights @ inside.astype(np.float64)).T
    coverage = components.coverage(moving)
    lacking = (coverage < _COVERED) | constant(series)
    measures = {
        "volumes": len(series),
        "tsnr": float(np.median(np.abs(mean[moving]) / spread[moving])),
        "coverage": float(coverage.min()),
        "constant_components": int(lacking.sum()),
    }
    return series, lacking, measures


def _labels(image: nib.Nifti1Image, path: Path) -> np.ndarray:
    """An atlas as written, 0 where it is NaN, shape (x, y, z)."""
    return zero_outside(values(image, path)[..., None], path)[..., 0]


def _resampled(image: nib.Nifti1Image, scan: nib.Nifti1Image, interpolation: str) -> nib.Nifti1Image:
    from nilearn.image import resample_img

    return resample_img(image, scan.affine, scan.shape[:3], interpolation=interpolation)


def _map_names(path: Path, count: int) -> list[str]:
    table = _names_table(path)
    if table is None:
        return numbered(count)
    if "name" not in table or len(table) != count or table["name"].duplicated().any() or "" in set(table["name"]):
        raise InputError(
            f"{path.with_name(stem(path) + '.tsv')}: wanted a column 'name' with {count} different names, one for "
            f"each map of {path.name}, found {len(table)} rows and columns {', '.join(table.columns)}. "
            "Correct or remove it."
        )
    return table["name"].tolist()


def _region_names(path: Path, labels: np.ndarray) -> dict[int, str]:
    table = _names_table(path)
    if table is None:
        return {label: f"region-{label}" for label in labels.tolist()}
    names = {}
    if {"index", "name"} <= set(table):
        numbers = pd.to_numeric(table["index"], errors="coerce")
        named = zip(numbers, table["name"], strict=True)
        names = {int(number): name for number, name in named if np.isfinite(number) and name}
    missing = [label for label in labels.tolist() if label not in names]
    if missing or len({names[label] for label in labels.tolist()}) != len(labels):
        what = f"no name for region {missing[0]}" if missing else "a name that stands twice"
        raise InputError(
            f"{path.with_name(stem(path) + '.tsv')}: {what}; wanted columns 'index' and 'name', a row for each region "
            f"of {path.name}. Correct or remove it."
        )
    return names


def _names_table(path: Path) -> pd.DataFrame | None:
    labels = path.with_name(stem(path) + ".tsv")
    if not labels.exists():
        return None
    try:
        return pd.read_csv(labels, sep="\t", dtype=str, keep_default_na=False)  # a region may be called NA
    except ValueError as error:
        raise InputError(f"{labels}: not a tab-separated table ({error}). Correct or remove it.") from None
