"""Preprocessed 4-d fMRI to component time courses, in parts of several people each.

Layouts: any folder in which a pattern with ``{subject}`` finds one scan and one table of confounds a person.
fMRIPrep derivatives are one (documented at its "Outputs of fMRIPrep"; the defaults below are its names in native
space), the public COBRE release another: ``fmri_00{subject}.nii.gz`` and ``fmri_00{subject}.tsv.gz`` beside
phenotypic_data.tsv.gz (described in nilearn up to 0.8, datasets/description/cobre.rst, figshare 4197885).
"""

import dataclasses
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from autospec.data import group_ica
from autospec.data.components import Components, extract, numbered, of_maps, read_atlas, read_maps
from autospec.data.confounds import read_confounds
from autospec.data.extracted import Extracted
from autospec.data.files import find_files
from autospec.data.participants import labels_in_question, match_people, read_participants
from autospec.data.participants_cells import dropped_table
from autospec.data.recording import Recording
from autospec.data.scans import check_4d, load, repetition_time, same_grid, same_time
from autospec.errors import InputError

MAPS = "component_maps.nii.gz"
BOLD = "{subject}/func/{subject}_task-rest_desc-preproc_bold.nii.gz"
CONFOUNDS = "{subject}/func/{subject}_task-rest_desc-confounds_timeseries.tsv"

_LOG_EVERY = 15.0  # seconds
_SHOWN_IN_LOG = 5
_GRIDS_KEPT = 4  # on which the components are held in memory; scans in native space have a grid each


@dataclasses.dataclass(frozen=True)
class Cohort:
    """Who has a scan: `people` in the table's order, who was `dropped`, and each subject's files."""

    people: pd.DataFrame
    dropped: pd.DataFrame
    scans: dict[str, Path]
    tables: dict[str, Path] | None
    estimated_on: list[Path]


def find_cohort(options: Mapping, folder: Path) -> Cohort:
    """Find who has a scan and confounds; whose scans a group ICA is estimated on is left out.

    Raises
    ------
    InputError
        As `participants` and `find_files` raise, and for a person who has a scan and no confounds.
    """
    people, outside = read_participants(folder, options)
    scans = find_files(folder, options.get("bold", BOLD), "bold")
    others = {folder / options.get("maps", MAPS), folder / (options.get("atlas") or MAPS)}
    scans = {subject: scan for subject, scan in scans.items() if scan not in others}
    labels = labels_in_question(scans, outside["label"])
    people, unmatched = match_people(people, labels, options.get("missing_subjects", "error"), folder)
    estimated_on = []
    if options.get("ica") and options["ica"].get("people") != group_ica.TRAINING:
        persons = people.get("person", people["subject"])
        estimated_on = group_ica.choose(options["ica"], folder, people["subject"].map(scans).groupby(persons).agg(list))
        paths = {path.resolve() for path in estimated_on}
        own = people["subject"].map(lambda subject: scans[subject].resolve() in paths)
        own = persons.isin(persons[own])  # with one session go all of the person's
        unmatched = pd.concat(
            [unmatched, dropped_table("subject", people.loc[own, "subject"], "the components were estimated on them")]
        )
        people = people[~own].reset_index(drop=True)
        if people.empty:
            raise InputError(f"{folder}: the components are estimated on everybody. Lower `ica.people`.")
    tables = _confound_files(folder, options, people["subject"])
    return Cohort(people, pd.concat([outside, unmatched], ignore_index=True), scans, tables, estimated_on)


def extract_part(
    options: Mapping, path: str | Path, part: int = 0, parts: int = 1, maps: str | Path | None = None
) -> Extracted:
    """Read the scans of every `parts`-th person, one at a time, beginning with number `part`.

    Parameters
    ----------
    options : mapping
        `atlas` (3-d NIfTI, one number a region), or `maps` (4-d NIfTI of component maps), or `ica` (see
        `group_ica`); `resample_maps` (true: bring them to the scans' grid; otherwise another grid is an error),
        `bold` and `confounds` (file patterns with ``{subject}``; `confounds` null for none), `confound_columns`,
        `load_confounds` and `censor` (see `read_confounds`), `repetition_time` (seconds; must agree with header
        and JSON sidecars where they state one), and what `autospec.data.participants` reads.
    path : path
        The folder.
    part, parts : int
    maps : path, optional
        The estimated components, where `ica` is asked for; by default they are estimated here.

    Raises
    ------
    InputError
        As `read`.
    """
    folder = Path(path)
    cohort = find_cohort(options, folder)
    subjects = cohort.people["subject"].tolist()[part::parts]
    first = load(cohort.scans[cohort.people["subject"].iloc[0]])
    check_4d(first, cohort.scans[cohort.people["subject"].iloc[0]], "a scan with time as the fourth axis")
    components_on = _components(options, folder, cohort, maps)
    if options.get("resample_maps", False):
        _warn_of_grids(first, cohort, subjects, folder)
    components = components_on(first)
    recordings, measures = [], []
    begin = logged = time.monotonic()
    for number, subject in enumerate(subjects, start=1):
        recording, row = _read_scan(subject, cohort, components_on, options, folder)
        if measures and not same_time(row["repetition_time"], measures[0]["repetition_time"]):
            refuse_times(cohort.scans[subject], row, measures[0])
        recordings.append(recording)
        measures.append(row)
        now = time.monotonic()
        if now - logged > _LOG_EVERY or number == len(subjects):
            left = (now - begin) / number * (len(subjects) - number)
            logging.info("%s: %d of %d scans read, about %d s left", folder, number, len(subjects), round(left))
            logged = now
    simulated = "SIMULATED" in str(first.header.get("descrip", ""))
    return Extracted(recordings, measures, components.names, components.lost, simulated)


def _warn_of_grids(first, cohort, subjects, folder) -> None:
    """Warn of scans on another grid than the first's: maps are brought to a grid, never to a person's brain."""
    others = [subject for subject in subjects if not same_grid(load(cohort.scans[subject]), first)]
    if others:
        logging.warning(
            "%s: %d of %d scans lie on another grid than the first person's, such as %s. `resample_maps` brings the "
            "components to each grid but aligns no brain: are all scans in the components' standard space? fMRIPrep's "
            "scans in native space, without `space-` in the name, are not; their time courses would be noise.",
            folder, len(others), len(subjects), ", ".join(others[:_SHOWN_IN_LOG]),
        )  # fmt: skip


def _components(options, folder, cohort, maps) -> Callable[[nib.Nifti1Image], Components]:
    """Give what a scan's time courses are taken of, of the first scan's names; the latest grids are kept."""
    resample, made, names = options.get("resample_maps", False), [], None
    image = None
    if options.get("ica") and not cohort.estimated_on and maps is None:
        raise ValueError("maps that are estimated on training people have to be given: see training_people")
    if options.get("ica") and not options.get("atlas") and maps is None:
        image, _ = group_ica.estimate(options["ica"], folder, cohort.estimated_on)

    def make(scan):
        if options.get("atlas"):
            return read_atlas(folder / options["atlas"], scan, resample, names)
        if image is not None:
            return of_maps(image, numbered(image.shape[3]), scan, resample, folder)
        return read_maps(Path(maps) if options.get("ica") else folder / options.get("maps", MAPS), scan, resample)

    def components_on(scan):
        nonlocal names
        fitting = (place for place, one in enumerate(made) if not resample or same_grid(one.image, scan))
        place = next(fitting, None)
        components = make(scan) if place is None else made.pop(place)
        names = names or components.names
        made.append(components)
        del made[:-_GRIDS_KEPT]
        return components

    return components_on


def _read_scan(subject, cohort, components_on, options, folder) -> tuple[Recording, dict]:
    path = cohort.scans[subject]
    image = load(path)
    check_4d(image, path, "a scan with time as the fourth axis")
    row = {"subject": subject, "repetition_time": repetition_time(image, path, folder, options.get("repetition_time"))}
    series, lacking, measures = extract(components_on(image), image, path)
    row |= measures | {"usable_volumes": len(series), "mean_fd": float("nan")}
    recording = Recording(subject, series.astype(np.float32), lacking=lacking)
    if cohort.tables is not None:
        confounds = read_confounds(cohort.tables[subject], options, len(series), path)
        recording = dataclasses.replace(recording, confounds=confounds.values, kept=confounds.kept)
        row |= {"usable_volumes": recording.volumes(), "mean_fd": confounds.mean_fd}
    columns = ("subject", "volumes", "usable_volumes", "repetition_time", "mean_fd", "tsnr", "coverage")
    return recording, {name: row[name] for name in (*columns, "constant_components")}


def with_motion(people: pd.DataFrame, mean_fd: np.ndarray) -> pd.DataFrame:
    """Give people their mean frame-wise displacement (mm) as `motion`, if they have none and all are known."""
    return people if "motion" in people or np.isnan(mean_fd).any() else people.assign(motion=mean_fd)


def refuse_times(path: str | Path, row: Mapping, first: Mapping) -> None:
    """Refuse a person whose repetition time is not that of the first."""
    raise InputError(
        f"{path}: repetition time {row['repetition_time']:g} s of subject {row['subject']}, but "
        f"{first['repetition_time']:g} s of {first['subject']}; all scans must share one. Take the other people out."
    )


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
