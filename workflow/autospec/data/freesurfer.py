"""FreeSurfer's stats files, as recon-all leaves them in a SUBJECTS_DIR.

Volumes of `aseg.stats` and regional measures of `lh.aparc.stats` and `rh.aparc.stats`
(Desikan-Killiany), FreeSurfer 5.1 to 8.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from autospec.data.dataset import Dataset
from autospec.data.participants import match_people, read_participants
from autospec.data.quality import clean_features
from autospec.data.text_table import read_text
from autospec.errors import InputError

#: Option `measures` -> (column of aparc.stats, ending of the feature's name in aparcstats2table's tables).
MEASURES = {
    "volume": ("GrayVol", "volume"),
    "thickness": ("ThickAvg", "thickness"),
    "area": ("SurfArea", "area"),
}
DEFAULT_MEASURES = ("volume", "thickness")
#: Intracranial volume: its name since FreeSurfer 5.2, before, and its short forms in tables.
HEAD_SIZE = ("EstimatedTotalIntraCranialVol", "IntraCranialVol", "eTIV", "ICV")
#: In the header of every stats file that the simulator writes.
SIMULATED_MARK = "# SIMULATED"

_RENAMED = {
    "Left-Thalamus-Proper": "Left-Thalamus",
    "Right-Thalamus-Proper": "Right-Thalamus",
    "lhCorticalWhiteMatterVol": "lhCerebralWhiteMatterVol",
    "rhCorticalWhiteMatterVol": "rhCerebralWhiteMatterVol",
    "CorticalWhiteMatterVol": "CerebralWhiteMatterVol",
}


@dataclasses.dataclass(frozen=True)
class Stats:
    """One stats file: header measures by name, and the table under the header.

    Attributes
    ----------
    measures : dict of str to str
        First field of every ``# Measure`` line -> its value, as text.
    columns : list of str
        Of the ``# ColHeaders`` line.
    rows : list of (int, list of str)
        Line number and cells.
    simulated : bool
    """

    measures: dict[str, str]
    columns: list[str]
    rows: list[tuple[int, list[str]]]
    simulated: bool


def current_name(name: str) -> str:
    """The name that FreeSurfer 7 and 8 give to a structure or measure of any version."""
    return _RENAMED.get(name, name)


def read_stats(path: str | Path) -> Stats:
    """Read a stats file of mri_segstats or mris_anatomical_stats.

    Raises
    ------
    InputError
        No ``# ColHeaders`` line, a row with too few or too many cells, fewer rows than ``# NRows`` says.
    """
    measures, columns, rows, announced, simulated = {}, [], [], None, False
    for number, line in enumerate(read_text(path, "a FreeSurfer stats file").split("\n"), start=1):
        words = line.split()
        if not words:
            continue
        if line.startswith("#"):
            simulated |= line.startswith(SIMULATED_MARK)
            match words[1:2]:
                case ["Measure"]:
                    # Some versions forget a comma, so the value is counted from the end.
                    fields = [field.strip() for field in line.split("Measure", 1)[1].split(",")]
                    measures[fields[0]] = fields[-2] if len(fields) > 2 else ""
                case ["NRows"]:
                    announced = words[2] if len(words) > 2 else ""
                case ["ColHeaders"]:
                    columns = words[2:]
        elif len(words) != len(columns):
            wanted = (
                f"wanted {len(columns)} as in its `# ColHeaders` line"
                if columns
                else "before any `# ColHeaders`"
            )
            raise InputError(f"{path}, line {number}: found {len(words)} cells, {wanted}. {_AGAIN}")
        else:
            rows.append((number, words))
    if not rows:
        raise InputError(f"{path}: found no rows below the header. {_AGAIN}")
    if announced is not None and announced != str(len(rows)):
        raise InputError(
            f"{path}, line {rows[-1][0]}: ends after {len(rows)} rows, but its `# NRows` line says "
            f"{announced}. {_AGAIN}"
        )
    return Stats(measures, columns, rows, simulated)


def stats_column(stats: Stats, column: str, path: str | Path) -> dict[str, float]:
    """One column of a stats file by structure, under current names.

    Raises
    ------
    InputError
        The column is not there; a cell is not a finite number or is negative; a structure stands twice.
    """
    for name in ("StructName", column):
        if name not in stats.columns:
            raise InputError(
                f"{path}: no column '{name}'; the columns are {', '.join(stats.columns)}. "
                "Is it the right file?"
            )
    structure, position = stats.columns.index("StructName"), stats.columns.index(column)
    values = {}
    for number, cells in stats.rows:
        name = current_name(cells[structure])
        if name in values:
            raise InputError(f"{path}, line {number}: structure '{name}' stands twice. {_AGAIN}")
        values[name] = _measured(cells[position], f"{path}, line {number}, {name}, column {column}")
    return values


def head_size(stats: Stats, path: str | Path) -> float:
    """Estimated total intracranial volume from the header in mm^3; NaN if the header has none."""
    for name in HEAD_SIZE[:2]:
        if name in stats.measures:
            return _measured(stats.measures[name], f"{path}, measure {name}")
    return math.nan


def read_subject(folder: str | Path, measures: Sequence[str]) -> tuple[dict[str, float], float, bool]:
    """Read one subject's folder.

    Parameters
    ----------
    folder : path
        With `stats/` in it.
    measures : sequence of str
        Keys of `MEASURES`.

    Returns
    -------
    features : dict
        E.g. `Left-Hippocampus` (mm^3), `lh_fusiform_thickness` (mm), `lh_fusiform_volume` (mm^3),
        `lh_fusiform_area` (mm^2). Subcortical volumes are there if `measures` holds volume.
    head_size : float
        mm^3.
    simulated : bool
    """
    path = Path(folder) / "stats" / "aseg.stats"
    aseg = read_stats(path)
    features = stats_column(aseg, "Volume_mm3", path) if "volume" in measures else {}
    size, simulated = head_size(aseg, path), aseg.simulated
    for hemisphere in ("lh", "rh"):
        path = Path(folder) / "stats" / f"{hemisphere}.aparc.stats"
        aparc = read_stats(path)
        for measure in measures:
            column, ending = MEASURES[measure]
            values = stats_column(aparc, column, path)
            features |= {f"{hemisphere}_{region}_{ending}": value for region, value in values.items()}
    return features, size, simulated


def read(name: str, options: Mapping, path: str | Path) -> tuple[Dataset, pd.DataFrame, pd.DataFrame]:
    """Read a SUBJECTS_DIR with its participants table.

    Parameters
    ----------
    name : str
        The data set's name.
    options : mapping
        Its configuration: what `read_participants` takes, `measures` (volume, thickness, area) and
        `outliers` (keep or drop).
    path : path
        The folder.

    Returns
    -------
    dataset : Dataset
    quality : DataFrame
        One row a subject, see `quality.clean_features`.
    dropped : DataFrame
        `kind`, `label`, `reason`.

    Raises
    ------
    InputError
        Whatever is missing or malformed, named by file and line.
    """
    path = Path(path)
    measures = options.get("measures", DEFAULT_MEASURES)
    people, outside = read_participants(path, options)
    folders = {
        file.parent.parent.name
        for file in path.glob("*/stats/aseg.stats")
        if not file.parts[-3].startswith("fsaverage")
    }
    # People of no group are known, so their folders are no surprise.
    people, unmatched = match_people(
        people, folders - set(outside["label"]), options.get("missing_subjects", "error"), path
    )
    subjects = [read_subject(path / subject, measures) for subject in people["subject"]]
    table = _one_table(
        [features for features, _, _ in subjects], [path / subject for subject in people["subject"]]
    )
    sizes = np.array([size for _, size, _ in subjects])
    if "head_size" not in people and np.isfinite(sizes).any():
        if np.isnan(sizes).any():
            subject = people["subject"].iloc[int(np.isnan(sizes).argmax())]
            raise InputError(
                f"{path / subject}/stats/aseg.stats: no measure {HEAD_SIZE[0]}, which other subjects have. "
                f"{_AGAIN}"
            )
        people["head_size"] = sizes
    people, table, quality, cleaned = clean_features(people, table, options.get("outliers", "keep"))
    simulated = any(mark for _, _, mark in subjects)
    dataset = Dataset(
        name=name,
        values=table.to_numpy(np.float32),
        people=people,
        features=list(table.columns),
        groups=tuple(options["groups"]),
        simulated=simulated,
        description=(
            f"{'Simulated' if simulated else 'Measured'} FreeSurfer {' and '.join(measures)} of aseg and "
            f"aparc (Desikan-Killiany), {len(table.columns)} features of {len(people)} people."
        ),
    )
    return dataset, quality, pd.concat([outside, unmatched, cleaned], ignore_index=True)


_AGAIN = "Copy the file again, or run recon-all again for this subject."


def _measured(cell: str, place: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0:
        raise InputError(f"{place}: found '{cell}', wanted a number that is not negative. {_AGAIN}")
    return value


def _one_table(rows: Sequence[Mapping[str, float]], folders: Sequence[Path]) -> pd.DataFrame:
    """Stack subjects, refusing one who lacks a structure that another has."""
    table = pd.DataFrame(rows)
    lacking = table.isna()
    if lacking.to_numpy().any():
        # Of a name that one subject misspells, the others are not to blame.
        column = lacking.sum().where(lambda count: count > 0).idxmin()
        subject = int(lacking[column].to_numpy().argmax())
        place = f"stats/{column[:2]}.aparc.stats" if column[:3] in ("lh_", "rh_") else "stats/aseg.stats"
        raise InputError(
            f"{folders[subject] / place}: no row for '{column}', which "
            f"{int((~lacking[column]).sum())} of {len(table)} subjects have. Is the file cut short, or from "
            "another version of FreeSurfer? Process all alike."
        )
    return table
