"""A FreeSurfer SUBJECTS_DIR: the stats files of many people."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from autospec.data.dataset import Dataset
from autospec.data.freesurfer_cohort import assemble
from autospec.data.freesurfer_names import HEAD_SIZE
from autospec.data.freesurfer_stats import Subject, read_subject, stats_files
from autospec.data.participants import labels_in_question, match_people, read_participants
from autospec.data.participants_cells import dropped_table, only_longitudinal
from autospec.errors import InputError

DEFAULT_MEASURES = ("volume", "thickness")


def read(name: str, options: Mapping, path: str | Path) -> tuple[Dataset, pd.DataFrame, pd.DataFrame]:
    """Read a SUBJECTS_DIR with its participants table.

    Parameters
    ----------
    name : str
        The data set's name.
    options : mapping
        Its configuration: what `read_participants` takes, `measures` (volume, thickness, area, global),
        `parcellation` (aparc, aparc.a2009s, aparc.DKTatlas), `missing_subjects` (under drop whoever lacks
        a stats file or has a damaged one is left out too), `mixed_versions` (error or keep) and `head_size`
        (none or proportion).
    path : path
        The folder.

    Returns
    -------
    dataset : Dataset
    quality : DataFrame
        One row a subject, see `quality.clean_features`; also `surface_holes` and `freesurfer_version`
        where the files tell them.
    dropped : DataFrame
        `kind`, `label`, `reason`.

    Raises
    ------
    InputError
        Whatever is missing or malformed, named by file and line.
    """
    path = Path(path)
    measures = options.get("measures", DEFAULT_MEASURES)
    parcellation = options.get("parcellation", "aparc")
    people, outside = read_participants(path, options)
    folders = {
        file.parent.parent.name
        for file in path.glob("*/stats/aseg.stats")
        if not file.parts[-3].startswith("fsaverage")
    }
    folders, made_from = only_longitudinal(folders)
    folders = labels_in_question(folders, outside["label"])
    missing = options.get("missing_subjects", "error")
    people, unmatched = match_people(people, folders, missing, path)
    read_people, reasons = _read_all([path / subject for subject in people["subject"]], measures, parcellation, missing)
    versions = [subject.version for subject in read_people.values()]
    mixed = _mixed(versions, list(read_people))
    if mixed and options.get("mixed_versions", "error") == "error":
        raise InputError(mixed)
    table, not_everywhere, incomplete = _one_table(
        read_people, parcellation, missing, with_head_size="head_size" not in people
    )
    reasons |= incomplete
    places = [folder for folder in read_people if folder not in reasons]
    subjects = [read_people[folder] for folder in places]
    people = people[people["subject"].isin([folder.name for folder in places])].reset_index(drop=True)
    measured = {
        "head_size": np.array([subject.head_size for subject in subjects]),
        "surface_holes": np.array([subject.surface_holes for subject in subjects]),
        "freesurfer_version": np.array([subject.version or None for subject in subjects], dtype=object),
    }
    dataset, quality, cleaned = assemble(
        name, options, path, people, table, measured, _originals(subjects),
        f"aseg and {parcellation} ({', '.join(measures)})", any(subject.simulated for subject in subjects),
    )  # fmt: skip
    lost = dropped_table("feature", not_everywhere, "not measured by every version of FreeSurfer")
    unread = [dropped_table("subject", [folder.name], reason) for folder, reason in reasons.items()]
    return dataset, quality, pd.concat([outside, made_from, unmatched, *unread, lost, cleaned], ignore_index=True)


def _read_all(
    folders: Sequence[Path], measures: Sequence[str], parcellation: str, missing: str
) -> tuple[dict[Path, Subject], dict[Path, str]]:
    """Read everybody; under "drop" also tell who cannot be read, and why in words that name nobody."""
    subjects, reasons, first = {}, {}, None
    for folder in folders:
        try:
            subjects[folder] = read_subject(folder, measures, parcellation)
        except InputError as error:
            if missing == "error":
                raise
            logging.info("left out: %s", error)
            first = first or error
            absent = [file.name for file in stats_files(folder, parcellation) if not file.exists()]
            reasons[folder] = f"no {', '.join(absent)}" if absent else "a stats file is damaged"
    if first and not subjects:
        raise first  # what all have in common is not the people's fault
    logging.info("read the stats files of %d people; those of %d cannot be read", len(subjects), len(reasons))
    return subjects, reasons


def _mixed(versions: Sequence[str], folders: Sequence[Path]) -> str:
    """A message that tells the versions, if there are several; files that tell none are passed over."""
    counts = Counter(version for version in versions if version).most_common()
    if len(counts) < 2:
        return ""
    (usual, many), (other, few) = counts[0], counts[-1]
    return (
        f"{folders[versions.index(other)]}/stats/aseg.stats: made by another version of FreeSurfer (`{other}`, "
        f"{few} subject(s)) than most ({many} by `{usual}`); {len(counts)} versions in all. Process everyone alike, or "
        "set `mixed_versions: keep`."
    )


def _one_table(
    subjects: Mapping[Path, Subject], parcellation: str, missing: str, with_head_size: bool
) -> tuple[pd.DataFrame, list[str], dict[Path, str]]:
    """Stack subjects; who lacks what others of the same version have is refused or, under "drop", left out.

    Returns the table, the features that a whole version lacks, and who was left out and why.
    """
    folders = list(subjects)
    table = pd.DataFrame([subject.features for subject in subjects.values()])
    sizes = np.array([subject.head_size for subject in subjects.values()])
    lacking = table.isna()
    by_version = lacking.groupby(np.array([subject.version for subject in subjects.values()]))
    every, some = by_version.all(), by_version.any()
    whole = [feature for feature in table if some[feature].any() and (every[feature] == some[feature]).all()]
    table = table.drop(columns=whole).copy()  # one block, where pandas had one for each feature
    if with_head_size and not np.isnan(sizes).all():
        table[HEAD_SIZE] = sizes
    reasons = {}
    while (lacking := table.isna()).to_numpy().any():
        # Of a name that one subject misspells, the others are not to blame.
        column = lacking.sum().where(lambda count: count > 0).idxmin()
        rows = table.index[lacking[column]]
        aseg, left, right = stats_files(folders[rows[0]], parcellation)
        file = {"lh_": left, "rh_": right}.get(column[:3], aseg)
        if missing == "error":
            what = f"measure {column}" if column == HEAD_SIZE else f"value for '{column}'"
            raise InputError(
                f"{file}: no {what}, which {int((~lacking[column]).sum())} of {len(table)} subjects have. "
                "Is the file cut short, or from another version of FreeSurfer? Process all alike."
            )
        logging.info("left out: %d people without '%s'; first: %s", len(rows), column, file)
        reasons |= {folders[row]: f"{file.name} lacks what others have" for row in rows}
        table = table.drop(index=rows).dropna(axis="columns", how="all")
    return table.drop(columns=HEAD_SIZE, errors="ignore").reset_index(drop=True), whole, reasons


def _originals(subjects: Sequence[Subject]) -> dict[str, str]:
    """Current name -> the names in the files, where any is another."""
    names = {}
    for subject in subjects:
        for current in subject.features:
            names.setdefault(current, {})[subject.originals.get(current, current)] = None
    return {current: ", ".join(found) for current, found in names.items() if list(found) != [current]}
