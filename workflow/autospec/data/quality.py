"""Quality control of a feature table that never looks at the group."""

import hashlib
import logging
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from autospec.data.participants_cells import dropped_table
from autospec.errors import InputError

#: A value further from the median than this many robust standard deviations is an outlier (ours).
OUTLIER = 5.0
#: A person with more than this share of outlying features is flagged (ours).
OUTLIER_SHARE = 0.05
#: Intracranial volumes of living people beyond infancy lie well inside, in mm^3 (ours).
HEAD_SIZE_RANGE = (800_000.0, 2_400_000.0)
#: Median absolute deviation -> standard deviation of a normal distribution.
MAD_SCALE = 1.4826
_SHOWN_IN_LOG = 5


def warn_of_copies(subjects: Iterable[str], arrays: Iterable[np.ndarray], origin: str | Path = "The data") -> None:
    """Warn of subjects whose data are the same to the last bit: apart in a split, they are trained and tested on.

    Parameters
    ----------
    subjects : iterable of str
    arrays : iterable of ndarray
        One a subject, in the same order.
    origin : path
        For the message.
    """
    alike: dict[tuple, list[str]] = {}
    for subject, array in zip(subjects, arrays, strict=True):
        content = hashlib.sha256(np.ascontiguousarray(array)).digest()
        alike.setdefault((array.shape, content), []).append(subject)
    copies = [names for names in alike.values() if len(names) > 1]
    if copies:
        shown = "; ".join(" = ".join(names[:_SHOWN_IN_LOG]) for names in copies[:_SHOWN_IN_LOG])
        logging.warning(
            "%s: %d subjects have data that another has too, to the last bit: %s. Is a file copied? In training and "
            "test people of one split they make results too good: take all but one out.",
            origin, sum(map(len, copies)), shown,
        )  # fmt: skip


def robust_z(values: np.ndarray, reference: np.ndarray | None = None) -> np.ndarray:
    """Distance from the column's median in robust standard deviations (1.4826 times the median
    absolute deviation); 0 in columns of which more than half the values are equal.

    Parameters
    ----------
    values : ndarray, shape (subjects, features)
    reference : ndarray, shape (others, features), optional
        Whose median and deviations they are; by default those of `values`.

    Returns
    -------
    ndarray, shape (subjects, features)
    """
    reference = values if reference is None else reference
    median = np.median(reference, axis=0)
    distance = values - median
    scale = MAD_SCALE * np.median(np.abs(reference - median), axis=0)
    return np.divide(distance, scale, out=np.zeros_like(distance), where=scale > 0)


def flag_people(
    values: np.ndarray, head_size: np.ndarray | None = None, reference: np.ndarray | None = None
) -> pd.DataFrame:
    """Say who looks unlikely among others.

    Parameters
    ----------
    values : ndarray of float64, shape (subjects, features)
    head_size : ndarray, shape (subjects,), optional
        mm^3.
    reference : ndarray, shape (others, features), optional
        Who tells what is usual; by default everyone in `values`.

    Returns
    -------
    DataFrame
        One row a person: `outlier_features` (how many are further than 5 robust standard deviations from the
        median), `largest_robust_z`, `flag` (why the person looks unlikely; empty if not).
    """
    distance = np.abs(robust_z(values, reference))
    count = (distance > OUTLIER).sum(axis=1)
    many = count > OUTLIER_SHARE * values.shape[1]
    flags = np.where(many, f"more than {OUTLIER_SHARE:.0%} of the features are outliers", "").astype(object)
    if head_size is not None:
        implausible = ~pd.Series(head_size).between(*HEAD_SIZE_RANGE).to_numpy()
        text = "head size outside {:.0f} to {:.0f} mm^3".format(*HEAD_SIZE_RANGE)
        flags = np.where(implausible, np.where(many, text + "; " + flags, text), flags)
    return pd.DataFrame({"outlier_features": count, "largest_robust_z": distance.max(axis=1), "flag": flags})


def clean_features(people: pd.DataFrame, table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Flag unlikely people, and drop features that are the same in everyone.

    Nobody is dropped here, and no feature that varies at all: what is unusual, and what varies too little to be
    trained on, is decided by training people (`autospec.training.prepare`).

    Parameters
    ----------
    people : DataFrame
        `subject` and, where known, `head_size`.
    table : DataFrame, shape (subjects, features)
        In the order of `people`.

    Returns
    -------
    table : DataFrame
    quality : DataFrame
        One row a person: `subject`, `head_size`, and the columns of `flag_people`.
    dropped : DataFrame
        `kind`, `label`, `reason`.

    Raises
    ------
    InputError
        No feature differs between people.
    """
    known = people[["subject", *(["head_size"] if "head_size" in people else [])]].reset_index(drop=True)
    warn_of_copies(known["subject"], table.to_numpy(float))
    quality = known.join(flag_people(table.to_numpy(float), known.get("head_size")))
    constant = [column for column in table if table[column].nunique() < 2]
    if len(constant) == table.shape[1]:
        raise InputError(
            f"No feature differs between the {len(people)} people. Is one subject's data copied to all?"
        )
    return table.drop(columns=constant), quality, dropped_table("feature", constant, "the same value for everyone")
