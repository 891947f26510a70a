"""Preprocessed 4-d fMRI as a data set: the time courses that jobs took from scans, joined, cleaned and checked."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from autospec.data.assemble import assemble
from autospec.data.dataset import Dataset
from autospec.data.extracted import Extracted, read_extracted
from autospec.data.extraction import extract_part, find_cohort, refuse_times, with_motion
from autospec.data.participants import dropped_table
from autospec.data.scans import same_time
from autospec.errors import InputError


def read(
    name: str, options: Mapping, path: str | Path, parts: Iterable[str | Path] = ()
) -> tuple[Dataset, pd.DataFrame, pd.DataFrame]:
    """Read every person's scan, one at a time, into cleaned component time courses.

    Parameters
    ----------
    name : str
        The data set's name.
    options : mapping
        What `extract_part` reads, and of `assemble` the cleaning and windows.
    path : path
        The folder.
    parts : iterable of path
        Files of `extract_part` that together hold everybody; by default the scans are read here.

    Returns
    -------
    dataset : Dataset
        Values of shape (subjects, time, components). `people` has `motion`, the mean frame-wise
        displacement (mm), also where the participants table has none.
    qc : DataFrame
        `subject`, `volumes`, `usable_volumes` (not censored), `repetition_time` (s), `mean_fd` (mm), `tsnr` (median
        over voxels of mean / standard deviation over time), `coverage` (least share of a map's sum of squares,
        or of a region, that lies in the scan), `constant_components`.
    dropped : DataFrame
        `kind`, `label`, `reason`.

    Raises
    ------
    InputError
        Files that are missing, damaged, not 4-d, on another grid, of another length or repetition
        time than they should be, or without any signal.
    """
    folder = Path(path)
    cohort = find_cohort(options, folder)
    pieces = [read_extracted(part) for part in parts] or [extract_part(options, folder)]
    extracted = _joined(pieces, cohort.people["subject"], folder)
    qc = pd.DataFrame(extracted.measures)
    people = with_motion(cohort.people, qc["mean_fd"].to_numpy())
    lost = dropped_table("feature", extracted.lost, "the region has no voxel on the scans' grid")
    values, people, features, left_out = assemble(
        extracted.recordings, people, extracted.features, options, qc["repetition_time"].iloc[0], folder
    )
    kind = "Simulated fMRI" if extracted.simulated else "fMRI"
    dataset = Dataset(
        name=name,
        values=values,
        people=people,
        features=features,
        groups=tuple(options["groups"]),
        simulated=extracted.simulated,
        description=f"{kind} of {people.get('person', people['subject']).nunique()} people: time courses of "
        f"{len(features)} components over {values.shape[1]} volumes.",
    )
    return dataset, qc, pd.concat([cohort.dropped, lost, left_out], ignore_index=True)


def _joined(pieces: list[Extracted], subjects: pd.Series, folder: Path) -> Extracted:
    """The parts as one, in the order of the participants table."""
    first = next(piece for piece in pieces if piece.recordings)
    places = {row["subject"]: (piece, index) for piece in pieces for index, row in enumerate(piece.measures)}
    if set(places) != set(subjects) or any(piece.features != first.features for piece in pieces):
        raise InputError(f"{folder}: the parts hold other people or components than the folder now. Run it again.")
    chosen = [places[subject] for subject in subjects]
    measures = [piece.measures[index] for piece, index in chosen]
    for row in measures:
        if not same_time(row["repetition_time"], measures[0]["repetition_time"]):
            refuse_times(folder, row, measures[0])
    recordings = [piece.recordings[index] for piece, index in chosen]
    return Extracted(recordings, measures, first.features, first.lost, first.simulated)
