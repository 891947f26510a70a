"""FreeSurfer's stats files, as recon-all leaves them in a subject's folder; versions 5.1 to 8.

The layout is that of the programs mri_segstats and mris_anatomical_stats (page MorphometryStats of FreeSurfer's
wiki; Fischl 2012, doi:10.1016/j.neuroimage.2012.01.021).
"""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

from autospec.data.freesurfer_names import HEAD_SIZE, LARGEST, SURFACE_HOLES, current_name
from autospec.data.text_table import decimal_comma, read_text
from autospec.errors import InputError

#: Option `measures` -> column of aparc.stats. A feature's name ends like the option, as in aparcstats2table.
COLUMNS = {"volume": "GrayVol", "thickness": "ThickAvg", "area": "SurfArea"}
#: Measures of a whole hemisphere, in the header of aparc.stats -> ending of the feature's name.
HEMISPHERE = {"MeanThickness": "thickness", "WhiteSurfArea": "area"}
#: Option `parcellation` -> the file's name behind the hemisphere; the second one is FreeSurfer 5.3's.
PARCELLATIONS = {
    "aparc": ("aparc",),
    "aparc.a2009s": ("aparc.a2009s",),
    "aparc.DKTatlas": ("aparc.DKTatlas", "aparc.DKTatlas40"),
}
#: In the header of every stats file that the simulator writes.
SIMULATED_MARK = "# SIMULATED"

AGAIN = "Copy the file again, or run recon-all again for this subject."


@dataclasses.dataclass(frozen=True)
class Stats:
    """One stats file: header measures by name, and the table under the header.

    Attributes
    ----------
    measures : dict of str to (str, str)
        Current name of every ``# Measure`` line -> its value and unit, as text.
    columns : list of str
        Of the ``# ColHeaders`` line.
    rows : list of (int, list of str)
        Line number and cells.
    version : str
        The program's own, e.g. ``7.1.1``; up to FreeSurfer 6 the revision of its source. Empty if not told.
    simulated : bool
    """

    measures: dict[str, tuple[str, str]]
    columns: list[str]
    rows: list[tuple[int, list[str]]]
    version: str
    simulated: bool


@dataclasses.dataclass(frozen=True)
class Subject:
    """What the stats files of one person say.

    Attributes
    ----------
    features : dict of str to float
        By current name: `Left-Hippocampus` (mm^3), `lh_fusiform_thickness` (mm), `lh_fusiform_volume` (mm^3),
        `lh_fusiform_area` (mm^2), `CortexVol` (mm^3).
    originals : dict of str to str
        Current name -> the file's, where it is another.
    head_size : float
        Estimated total intracranial volume, mm^3; NaN if the header has none.
    surface_holes : float
        NaN if the header has none, as up to FreeSurfer 5.
    version : str
        See `Stats`.
    simulated : bool
    """

    features: dict[str, float]
    originals: dict[str, str]
    head_size: float
    surface_holes: float
    version: str
    simulated: bool


def read_stats(path: str | Path) -> Stats:
    """Read a stats file of mri_segstats or mris_anatomical_stats.

    Raises
    ------
    InputError
        No ``# ColHeaders`` line, a row with too few or too many cells, fewer rows than ``# NRows`` says.
    """
    measures, columns, rows, announced, version, simulated = {}, [], [], None, "", False
    for number, line in enumerate(read_text(path, "a FreeSurfer stats file").split("\n"), start=1):
        words = line.split()
        if not words:
            continue
        if line.startswith("#"):
            simulated |= line.startswith(SIMULATED_MARK)
            match words[1:2]:
                case ["Measure"]:
                    # name, short name, description, value, unit; some versions forget the second comma.
                    fields = [field.strip() for field in line.split("Measure", 1)[1].split(",")]
                    name = (fields[1] if len(fields) > 3 else fields[0]).split(" ")[0]
                    measures[current_name(name)] = (fields[-2], fields[-1]) if len(fields) > 2 else ("", "")
                case ["NRows"]:
                    announced = words[2] if len(words) > 2 else ""
                case ["ColHeaders"]:
                    if rows:
                        raise InputError(f"{path}, line {number}: `# ColHeaders` below rows. {AGAIN}")
                    columns = words[2:]
                case ["cvs_version"]:
                    version = " ".join(words[2:])
        elif len(words) != len(columns):
            wanted = f"wanted {len(columns)} as in its `# ColHeaders` line" if columns else "before any `# ColHeaders`"
            raise InputError(f"{path}, line {number}: found {len(words)} cells, {wanted}. {AGAIN}")
        else:
            rows.append((number, words))
    if not rows:
        raise InputError(f"{path}: found no rows below the header. {AGAIN}")
    if announced is not None and announced != str(len(rows)):
        raise InputError(
            f"{path}, line {rows[-1][0]}: ends after {len(rows)} rows, but its `# NRows` line says {announced}. {AGAIN}"
        )
    return Stats(measures, columns, rows, version, simulated)


def stats_column(stats: Stats, column: str, path: str | Path) -> dict[str, float]:
    """One column of a stats file by structure, under the file's own names.

    Raises
    ------
    InputError
        The column is not there; a cell is not a finite number or is negative; a structure stands twice.
    """
    for name in ("StructName", column):
        if name not in stats.columns:
            raise InputError(
                f"{path}: no column '{name}'; the columns are {', '.join(stats.columns)}. Is it the right file?"
            )
    structure, position = stats.columns.index("StructName"), stats.columns.index(column)
    values = {}
    for number, cells in stats.rows:
        name = cells[structure]
        if name in values:
            raise InputError(f"{path}, line {number}: structure '{name}' stands twice. {AGAIN}")
        values[name] = _measured(cells[position], f"{path}, line {number}, {name}, column {column}")
    return values


def header_measure(stats: Stats, name: str, path: str | Path) -> float:
    """One measure of the header by its current name; NaN if the header has none.

    Raises
    ------
    InputError
        It is not a finite number or is negative.
    """
    if name not in stats.measures:
        return math.nan
    return _measured(stats.measures[name][0], f"{path}, measure {name}")


def stats_files(folder: str | Path, parcellation: str) -> list[Path]:
    """The files that `read_subject` reads, there or not: aseg.stats, and the cortex of the left and right side."""
    stats = Path(folder) / "stats"
    files = [stats / "aseg.stats"]
    for side in ("lh", "rh"):
        spellings = [stats / f"{side}.{name}.stats" for name in PARCELLATIONS[parcellation]]
        files.append(next((file for file in spellings if file.exists()), spellings[0]))
    return files


def read_subject(folder: str | Path, measures: Sequence[str], parcellation: str = "aparc") -> Subject:
    """Read one subject's folder.

    Parameters
    ----------
    folder : path
        With `stats/` in it.
    measures : sequence of str
        `volume` (subcortical too), `thickness`, `area`, and `global`, the measures of whole tissues and
        hemispheres that stand in the headers.
    parcellation : str
        A key of `PARCELLATIONS`.

    Raises
    ------
    InputError
        A file that is missing or malformed, a measure that stands under its old and its new name.
    """
    path, *sides = stats_files(folder, parcellation)
    aseg = read_stats(path)
    found = _Features()
    if "volume" in measures:
        found.add(stats_column(aseg, "Volume_mm3", path), path)
    if "global" in measures:
        names = [name for name, (_, unit) in aseg.measures.items() if unit == "mm^3" and name != HEAD_SIZE]
        found.add({name: header_measure(aseg, name, path) for name in names}, path)
    sizes = [header_measure(aseg, name, path) for name in (HEAD_SIZE, SURFACE_HOLES)]
    for side, path in zip(("lh", "rh"), sides, strict=True):
        cortex = read_stats(path)
        for measure in measures:
            if measure in COLUMNS:
                column = stats_column(cortex, COLUMNS[measure], path)
                found.add({f"{side}_{region}_{measure}": value for region, value in column.items()}, path)
        if "global" in measures:
            names = {name: f"{side}_{name}_{ending}" for name, ending in HEMISPHERE.items() if name in cortex.measures}
            found.add({feature: header_measure(cortex, name, path) for name, feature in names.items()}, path)
    return Subject(found.values, found.originals, sizes[0], sizes[1], aseg.version, aseg.simulated)


class _Features:
    """Measures as they are found, under current names."""

    def __init__(self):
        self.values, self.originals = {}, {}

    def add(self, measures: dict[str, float], path: Path) -> None:
        for name, value in measures.items():
            current = current_name(name)
            if current in self.values:
                raise InputError(f"{path}: '{current}' stands twice, under its old and its new name. {AGAIN}")
            self.values[current] = value
            if current != name:
                self.originals[current] = name


def _measured(cell: str, place: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not 0 <= value <= LARGEST:
        raise InputError(
            f"{place}: found '{cell}', wanted a number from 0 to {LARGEST:g}.{decimal_comma(cell)} {AGAIN}"
        )
    return value
