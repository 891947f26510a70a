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
from autospec.data.freesurfer_stats import AGAIN, PARCELLATIONS, Subject, read_subject
from autospec.data.participants import labels_in_question, match_people, read_participants
from autospec.data.participants_cells import dropped_table
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
        `parcellation` (aparc, aparc.a2009s, aparc.DKTatlas), `mixed_versions` (error or keep), `outliers`
        (keep or drop) and `head_size` (none or proportion).
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
    folders = labels_in_question(folders, outside["label"])
    people, unmatched = match_people(people, folders, options.get("missing_subjects", "error"), path)
    places = [path / subject for subject in people["subject"]]
    subjects = [read_subject(folder, measures, parcellation) for folder in places]
    logging.info("%s: read the stats files of %d people", path, len(subjects))
    versions = [subject.version for subject in subjects]
    mixed = _mixed(versions, places)
    if mixed and options.get("mixed_versions", "error") == "error":
        raise InputError(mixed)
    table, not_everywhere = _one_table(subjects, places, versions, parcellation)
    sizes = np.array([subject.head_size for subject in subjects])
    if "head_size" not in people and np.isnan(sizes).any() and not np.isnan(sizes).all():
        raise InputError(
            f"{places[int(np.isnan(sizes).argmax())]}/stats/aseg.stats: no measure {HEAD_SIZE}, which other subjects "
            f"have. {AGAIN}"
        )
    measured = {
        "head_size": sizes,
        "surface_holes": np.array([subject.surface_holes for subject in subjects]),
        "freesurfer_version": np.array([version or None for version in versions], dtype=object),
    }
    dataset, quality, cleaned = assemble(
        name, options, path, people, table, measured, _originals(subjects),
        f"aseg and {parcellation} ({', '.join(measures)})", any(subject.simulated for subject in subjects),
    )  # fmt: skip
    lost = dropped_table("feature", not_everywhere, "not measured by every version of FreeSurfer")
    return dataset, quality, pd.concat([outside, unmatched, lost, cleaned], ignore_index=True)


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
    subjects: Sequence[Subject], folders: Sequence[Path], versions: Sequence[str], parcellation: str
) -> tuple[pd.DataFrame, list[str]]:
    """Stack subjects, refusing one who lacks what others of the same version have.

    Returns the table, and the features that a whole version lacks.
    """
    table = pd.DataFrame([subject.features for subject in subjects])
    lacking = table.isna()
    by_version = lacking.groupby(np.array(versions))
    every, some = by_version.all(), by_version.any()
    whole = [feature for feature in table if some[feature].any() and (every[feature] == some[feature]).all()]
    table, lacking = table.drop(columns=whole), lacking.drop(columns=whole)
    if lacking.to_numpy().any():
        # Of a name that one subject misspells, the others are not to blame.
        column = lacking.sum().where(lambda count: count > 0).idxmin()
        subject = int(lacking[column].to_numpy().argmax())
        cortex = f"{column[:2]}.{PARCELLATIONS[parcellation][0]}.stats"
        place = cortex if column[:3] in ("lh_", "rh_") else "aseg.stats"
        raise InputError(
            f"{folders[subject]}/stats/{place}: no value for '{column}', which {int((~lacking[column]).sum())} of "
            f"{len(table)} subjects have. Is the file cut short, or from another version of FreeSurfer? Process all "
            "alike."
        )
    return table, whole


def _originals(subjects: Sequence[Subject]) -> dict[str, str]:
    """Current name -> the names in the files, where any is another."""
    names = {}
    for subject in subjects:
        for current in subject.features:
            names.setdefault(current, {})[subject.originals.get(current, current)] = None
    return {current: ", ".join(found) for current, found in names.items() if list(found) != [current]}
