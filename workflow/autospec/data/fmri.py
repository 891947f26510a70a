"""Preprocessed 4-d fMRI to component time courses: the first stage of dual regression, then cleaning.

Every volume is regressed on the component maps (nilearn's NiftiMapsMasker; Filippini et al. 2009,
PNAS 106, 7209-7214), which gives one time course a component; the second stage, back to maps of
each person, is not needed here.
"""

import json
import logging
import time
import zlib
from collections.abc import Mapping
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from autospec.data.dataset import Dataset
from autospec.data.participants import match_people, read_participants
from autospec.data.signal import assemble, constant, find_files
from autospec.errors import InputError

MAPS = "component_maps.nii.gz"
BOLD = "{subject}/func/{subject}_task-rest_desc-preproc_bold.nii.gz"
CONFOUNDS = "{subject}/func/{subject}_task-rest_desc-confounds_timeseries.tsv"
CONFOUND_COLUMNS = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z", "csf", "white_matter")
#: Frame-wise displacement as fMRIPrep and as NIAK name it.
DISPLACEMENT = ("framewise_displacement", "FD")

_SAME_TIME = 0.005  # seconds; sidecars round the repetition time
_LONGEST = 100.0  # seconds; nobody waits longer between two volumes
_COVERED = 0.5  # of a map's sum of squares must lie in voxels that the scan fills
_SECONDS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6}
_LOG_EVERY = 15.0  # seconds


def read(name: str, options: Mapping, path: str | Path) -> tuple[Dataset, pd.DataFrame, pd.DataFrame]:
    """Read every person's scan, one at a time, into cleaned component time courses.

    Parameters
    ----------
    name : str
        The data set's name.
    options : mapping
        `maps` (4-d NIfTI of component maps), `resample_maps` (true: bring the maps to the scans'
        grid; otherwise another grid is an error), `bold` and `confounds` (file patterns with
        ``{subject}``; `confounds` null for none), `confound_columns`, `high_pass`, `low_pass` (Hz),
        `repetition_time` (seconds; must agree with header and JSON sidecar where they state one),
        `crop`, and what `autospec.data.participants` reads.
    path : path
        The folder.

    Returns
    -------
    dataset : Dataset
        Values of shape (subjects, time, components). `people` has `motion`, the mean frame-wise
        displacement (mm), also where the participants table has none.
    qc : DataFrame
        `subject`, `volumes`, `repetition_time` (s), `mean_fd` (mm), `tsnr` (median over voxels of
        mean / standard deviation over time), `coverage` (least share of a map's sum of squares that
        lies in the scan), `constant_components`.
    dropped : DataFrame
        `kind`, `label`, `reason`.

    Raises
    ------
    InputError
        Files that are missing, damaged, not 4-d, on another grid, of another length or repetition
        time than they should be, or without any signal.
    """
    folder = Path(path)
    people, outside = read_participants(folder, options)
    maps_path = folder / options.get("maps", MAPS)
    scans = find_files(folder, options.get("bold", BOLD), "bold")
    labels = {subject for subject, scan in scans.items() if scan != maps_path} - set(outside["label"])
    people, unmatched = match_people(people, labels, options.get("missing_subjects", "error"), folder)
    tables = _confound_files(folder, options, people["subject"])

    first = _load(scans[people["subject"].iloc[0]])
    maps, features = _read_maps(maps_path, first, options.get("resample_maps", False))
    extract = _extractor(maps)
    series, confounds, absent, rows = [], [], [], []
    begin = logged = time.monotonic()
    for number, subject in enumerate(people["subject"], start=1):
        row = {"subject": subject}
        image = _load(scans[subject])
        row["repetition_time"] = _repetition_time(image, scans[subject], options.get("repetition_time"))
        if rows and abs(row["repetition_time"] - rows[0]["repetition_time"]) > _SAME_TIME:
            raise InputError(
                f"{scans[subject]}: repetition time {row['repetition_time']:g} s, but "
                f"{rows[0]['repetition_time']:g} s in {scans[rows[0]['subject']].name}; all scans must share one. "
                "Take the other people out."
            )
        one, measures, lacking = extract(image, scans[subject])
        row |= measures
        if tables is not None:
            table, row["mean_fd"] = read_confounds(
                tables[subject], options.get("confound_columns", CONFOUND_COLUMNS), len(one)
            )
            confounds.append(table)
        series.append(one.astype(np.float32))
        absent.append(lacking)
        rows.append(row)
        now = time.monotonic()
        if now - logged > _LOG_EVERY or number == len(people):
            left = (now - begin) / number * (len(people) - number)
            logging.info("%s: %d of %d scans read, about %d s left", folder, number, len(people), round(left))
            logged = now

    values, kept, constants = assemble(
        series,
        people["subject"].tolist(),
        features,
        options,
        rows[0]["repetition_time"],
        folder,
        confounds if tables is not None else None,
        np.stack(absent),
    )
    columns = ["subject", "volumes", "repetition_time", "mean_fd", "tsnr", "coverage", "constant_components"]
    qc = pd.DataFrame(rows).reindex(columns=columns)
    if "motion" not in people and qc["mean_fd"].notna().all():
        people = people.assign(motion=qc["mean_fd"].to_numpy())
    simulated = "SIMULATED" in str(first.header.get("descrip", ""))
    dataset = Dataset(
        name=name,
        values=values,
        people=people,
        features=kept,
        groups=tuple(options["groups"]),
        simulated=simulated,
        description=f"{'Simulated fMRI' if simulated else 'fMRI'} of {len(people)} people: time courses of "
        f"{len(kept)} components over {values.shape[1]} volumes.",
    )
    return dataset, qc, pd.concat([outside, unmatched, constants], ignore_index=True)


def read_confounds(path: str | Path, columns: list[str], volumes: int) -> tuple[np.ndarray, float]:
    """Read the confounds of one scan.

    A first value that is missing (differences have none) is replaced by the second, as
    `nilearn.interfaces.fmriprep.load_confounds` does.

    Parameters
    ----------
    path : path
        Tab-separated, gzip or not, one row a volume.
    columns : list of str
    volumes : int
        Length of the scan.

    Returns
    -------
    confounds : ndarray of float64, shape (volumes, len(columns))
    mean_fd : float
        Mean frame-wise displacement, mm; NaN if the table has none.

    Raises
    ------
    InputError
        A missing file or column, another number of rows than the scan has volumes, a cell that is
        no number (the first row may be n/a).
    """
    try:
        table = pd.read_csv(path, sep="\t", na_values=["n/a"])
    except FileNotFoundError:
        raise InputError(f"{path}: no such file. Put it there, or correct `confounds`.") from None
    except (ValueError, EOFError, OSError, zlib.error) as error:
        raise InputError(f"{path}: not a tab-separated table ({error}). Replace the file.") from None
    missing = [column for column in columns if column not in table]
    if missing:
        raise InputError(
            f"{path}: no column '{missing[0]}'. The columns are {', '.join(table.columns)}. Correct `confound_columns`."
        )
    if len(table) != volumes:
        raise InputError(
            f"{path}: found {len(table)} rows, wanted {volumes}, one for each volume of the scan. "
            "Check that both files are of the same run."
        )
    displacement = next((column for column in DISPLACEMENT if column in table), None)
    numbers = table.apply(pd.to_numeric, errors="coerce")
    confounds = numbers[list(columns)].to_numpy(dtype=np.float64, copy=True)
    leading = np.isnan(confounds[0])
    confounds[0, leading] = confounds[1, leading]
    if not np.isfinite(confounds).all():
        row, column = np.argwhere(~np.isfinite(confounds))[0]
        raise InputError(
            f"{path}, line {row + 2}, column '{columns[column]}': found "
            f"'{table[columns[column]].iloc[row]}', wanted a number (only the first row may be n/a). "
            "Correct the cell."
        )
    return confounds, float(numbers[displacement].mean()) if displacement else float("nan")


def _confound_files(folder: Path, options: Mapping, subjects: pd.Series) -> dict[str, Path] | None:
    pattern = options.get("confounds", CONFOUNDS)
    if pattern is None:
        return None
    tables = find_files(folder, pattern, "confounds")
    for subject in subjects:
        if subject not in tables:
            raise InputError(
                f"{folder / pattern.replace('{subject}', subject)}: no confounds for subject {subject}, "
                "who has a scan. Put the file there or take the subject out of the participants table."
            )
    return tables


def _load(path: Path) -> nib.Nifti1Image:
    """Open an image: header only."""
    try:
        return nib.load(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file. Put it there or correct the configuration.") from None
    except (nib.filebasedimages.ImageFileError, EOFError, OSError, zlib.error) as error:
        raise InputError(f"{path}: not a readable NIfTI image ({error}). Get the file again.") from None


def _values(image: nib.Nifti1Image, path: Path, wanted: str) -> np.ndarray:
    """Read an image's values, 4-d and finite, as float32."""
    if len(image.shape) != 4 or image.shape[3] < 2:
        raise InputError(f"{path}: found an image of shape {image.shape}, wanted {wanted}. Give the 4-d file.")
    try:
        values = image.get_fdata(dtype=np.float32, caching="unchanged")
    except (EOFError, OSError, ValueError, zlib.error):
        raise InputError(f"{path}: the file is damaged or cut short. Get it again.") from None
    if not np.isfinite(values).all():
        raise InputError(
            f"{path}: {int((~np.isfinite(values)).sum())} values are not finite numbers. Replace them by 0 "
            "outside the brain, or get the file again."
        )
    return values


def _read_maps(path: Path, scan: nib.Nifti1Image, resample: bool) -> tuple[nib.Nifti1Image, list[str]]:
    """Read the component maps and their names (from a `name` column in a TSV of the same stem)."""
    image = _load(path)
    values = _values(image, path, "component maps, one a volume")
    if resample and not _same_grid(image, scan):
        from nilearn.image import resample_img

        image = resample_img(
            nib.Nifti1Image(values, image.affine),
            scan.affine,
            scan.shape[:3],
            interpolation="continuous",
        )
        values = image.get_fdata(dtype=np.float32)
    empty = np.flatnonzero(~values.any(axis=(0, 1, 2)))
    if len(empty):
        raise InputError(f"{path}: component map {empty[0] + 1} is zero everywhere. Remove it from the file.")
    labels = path.with_name(path.name.removesuffix(".gz").removesuffix(".nii") + ".tsv")
    names = [f"component-{number + 1:02d}" for number in range(values.shape[3])]
    if labels.exists():
        table = pd.read_csv(labels, sep="\t", dtype=str)
        if "name" not in table or len(table) != len(names) or table["name"].duplicated().any():
            raise InputError(
                f"{labels}: wanted a column 'name' with {len(names)} different names, one for each map of "
                f"{path.name}, found {len(table)} rows and columns {', '.join(table.columns)}. Correct or remove it."
            )
        names = table["name"].tolist()
    return nib.Nifti1Image(values, image.affine), names


def _same_grid(one: nib.Nifti1Image, other: nib.Nifti1Image) -> bool:
    return one.shape[:3] == other.shape[:3] and np.allclose(one.affine, other.affine, atol=1e-3)


def _extractor(maps: nib.Nifti1Image):
    """Fit nilearn's masker to the maps once; give the function that takes a scan apart."""
    from nilearn.maskers import NiftiMapsMasker

    # Cleaning comes later, on one common length, so the masker is asked for the plain regression.
    masker = NiftiMapsMasker(maps, allow_overlap=True, standardize=None, resampling_target=None).fit()
    weights = maps.get_fdata(dtype=np.float32) ** 2
    support = weights.any(axis=3)
    weights = weights[support] / weights[support].sum(axis=0, dtype=np.float64)

    def extract(image: nib.Nifti1Image, path: Path) -> tuple[np.ndarray, dict, np.ndarray]:
        if not _same_grid(image, maps):
            raise InputError(
                f"{path}: grid {image.shape[:3]}, voxels of {_voxels(image)} mm, origin {_origin(image)}; "
                f"the component maps have {maps.shape[:3]}, {_voxels(maps)} mm, {_origin(maps)}. Bring both to one "
                "space and grid, or, if both are in the same space, set `resample_maps: true`."
            )
        values = _values(image, path, "a scan with time as the fourth axis")
        inside = values[support]
        mean, spread = inside.mean(axis=1, dtype=np.float64), inside.std(axis=1, dtype=np.float64)
        moving = spread > 1e-7 * np.abs(mean)
        if not moving.any():
            raise InputError(f"{path}: no voxel under the component maps changes over time. Get the scan again.")
        series = masker.transform(nib.Nifti1Image(values, image.affine))
        coverage = weights[moving].sum(axis=0)
        lacking = (coverage < _COVERED) | constant(series)
        measures = {
            "volumes": len(series),
            "tsnr": float(np.median(np.abs(mean[moving]) / spread[moving])),
            "coverage": float(coverage.min()),
            "constant_components": int(lacking.sum()),
        }
        return series, measures, lacking

    return extract


def _voxels(image) -> str:
    return " x ".join(f"{size:g}" for size in nib.affines.voxel_sizes(image.affine).round(3))


def _origin(image) -> tuple:
    return tuple(float(place) for place in image.affine[:3, 3].round(1))


def _repetition_time(image: nib.Nifti1Image, path: Path, option: float | None) -> float:
    """Give the one repetition time that header, sidecar and configuration agree on, in seconds."""
    if len(image.shape) != 4:
        _values(image, path, "a scan with time as the fourth axis")
    stated = {}
    unit = image.header.get_xyzt_units()[1]
    step = float(image.header.get_zooms()[3])
    if unit in _SECONDS and 0 < step * _SECONDS[unit] < _LONGEST:
        # Without a unit, or with an absurd value, the number is a writer's default or in another unit.
        stated["the header"] = step * _SECONDS[unit]
    sidecar = path.with_name(path.name.removesuffix(".gz").removesuffix(".nii") + ".json")
    if sidecar.exists():
        try:
            record = json.loads(sidecar.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(f"{sidecar}: not JSON ({error}). Correct the file.") from None
        if "RepetitionTime" in record:
            stated[sidecar.name] = float(record["RepetitionTime"])
    if option is not None:
        stated["`repetition_time`"] = float(option)
    if not stated:
        raise InputError(
            f"{path}: no usable repetition time in the header (time step {step:g}, unit {unit}), and none in a "
            "JSON beside it. Set `repetition_time` (seconds)."
        )
    if max(stated.values()) - min(stated.values()) > _SAME_TIME:
        found = ", ".join(f"{value:g} s in {place}" for place, value in stated.items())
        raise InputError(f"{path}: contradictory repetition times: {found}. Correct the wrong one.")
    return list(stated.values())[-1]
