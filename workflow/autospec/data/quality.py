"""Quality control of a feature table that never looks at the group."""

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


def robust_z(values: np.ndarray) -> np.ndarray:
    """Distance from the column's median in robust standard deviations (1.4826 times the median
    absolute deviation); 0 in columns of which more than half the values are equal.

    Parameters
    ----------
    values : ndarray, shape (subjects, features)

    Returns
    -------
    ndarray, shape (subjects, features)
    """
    distance = values - np.median(values, axis=0)
    scale = MAD_SCALE * np.median(np.abs(distance), axis=0)
    return np.divide(distance, scale, out=np.zeros_like(distance), where=scale > 0)


def clean_features(
    people: pd.DataFrame, table: pd.DataFrame, outliers: str = "keep"
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Flag unlikely people, drop them if asked, then drop features that do not vary.

    Parameters
    ----------
    people : DataFrame
        `subject` and, where known, `head_size`.
    table : DataFrame, shape (subjects, features)
        In the order of `people`.
    outliers : {"keep", "drop"}
        What to do with flagged people.

    Returns
    -------
    people, table : DataFrame
    quality : DataFrame
        One row for each person given, dropped or not: `subject`, `head_size`, `outlier_features`
        (how many are further than 5 robust standard deviations from the median),
        `largest_robust_z`, `flag` (why the person looks unlikely; empty if not).
    dropped : DataFrame
        `kind`, `label`, `reason`.

    Raises
    ------
    InputError
        No feature differs between people.
    """
    distance = np.abs(robust_z(table.to_numpy(float)))
    count = (distance > OUTLIER).sum(axis=1)
    many = count > OUTLIER_SHARE * table.shape[1]
    flags = np.where(many, f"more than {OUTLIER_SHARE:.0%} of the features are outliers", "").astype(object)
    quality = pd.DataFrame({"subject": people["subject"].to_numpy()})
    if "head_size" in people:
        quality["head_size"] = people["head_size"].to_numpy()
        implausible = ~people["head_size"].between(*HEAD_SIZE_RANGE).to_numpy()
        text = "head size outside {:.0f} to {:.0f} mm^3".format(*HEAD_SIZE_RANGE)
        flags = np.where(implausible, np.where(many, text + "; " + flags, text), flags)
    quality["outlier_features"] = count
    quality["largest_robust_z"] = distance.max(axis=1)
    quality["flag"] = flags

    dropped = []
    if outliers == "drop":
        flagged = quality[quality["flag"] != ""]
        dropped += [dropped_table("subject", [row.subject], row.flag) for row in flagged.itertuples()]
        kept = (quality["flag"] == "").to_numpy()
        people, table = people[kept].reset_index(drop=True), table[kept]
    constant = [column for column in table if table[column].nunique() < 2]
    if len(constant) == table.shape[1]:
        raise InputError(
            f"No feature differs between the {len(people)} people. Is one subject's data copied to all?"
        )
    dropped.append(dropped_table("feature", constant, "the same value for everyone"))
    return people, table.drop(columns=constant), quality, pd.concat(dropped, ignore_index=True)
