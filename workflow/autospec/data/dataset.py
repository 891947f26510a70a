"""The one shape that every source is read into, and its file."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from autospec.errors import InputError
from autospec.tables import read_parquet, write_parquet

_METADATA = b"autospec.dataset"
_PARTS = ("name", "shape", "features", "groups", "simulated", "description", "originals")


@dataclasses.dataclass(frozen=True)
class Dataset:
    """People (or images, or series) and what was measured of each.

    Attributes
    ----------
    name : str
    values : ndarray of float32, shape (subjects, features), (subjects, time, components)
        or (subjects, 1, height, width)
    people : DataFrame
        One row a subject, in the order of `values`: `subject` (str, unique), `person` (str, the same in
        all sessions or windows of one human being; the subject where a reader does not say), `group` (one
        of `groups`), `target` (str, what classification predicts) and, where known, `age` (years),
        `sex` (F, M or O), `site`, `head_size` (mm^3), `motion` (mean frame-wise displacement, mm).
    features : list of str
        Names along the last axis.
    groups : (str, str)
        The two groups that are compared: the reference first.
    simulated : bool
        True if no measurement of a person stands behind the values.
    description : str
        One sentence on what this is and where it comes from.
    originals : dict of str to str
        Feature -> its name in the files, where that is another.
    """

    name: str
    values: np.ndarray
    people: pd.DataFrame
    features: list[str]
    groups: tuple[str, str]
    simulated: bool
    description: str
    originals: dict[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if "person" not in self.people:
            people = self.people.copy()
            people.insert(people.columns.get_loc("subject") + 1, "person", people["subject"])
            object.__setattr__(self, "people", people)


def check_dataset(dataset: Dataset, origin: str) -> None:
    """Refuse what no later step could use.

    Raises
    ------
    InputError
        A duplicated subject, a person in both groups, a group with fewer than two people, a value that
        is not finite.
    """
    people = dataset.people
    if len(people) != len(dataset.values):
        raise ValueError(f"{len(people)} people but {len(dataset.values)} rows of values")
    repeated = people.loc[people["subject"].duplicated(), "subject"]
    if len(repeated):
        raise InputError(
            f"{origin}: subject {repeated.iloc[0]} stands {int((people['subject'] == repeated.iloc[0]).sum())} times; "
            "each subject may stand once. Remove the repeated rows."
        )
    groups_of = people.groupby("person", sort=False)["group"].nunique()
    if (groups_of > 1).any():
        raise InputError(
            f"{origin}: person {groups_of.index[groups_of > 1][0]} has sessions in both groups; a person may be in "
            f"one ({int((groups_of > 1).sum())} people are in both). Correct the participants table."
        )
    for group in dataset.groups:
        count = people.loc[people["group"] == group, "person"].nunique()
        if count < 2:
            raise InputError(
                f"{origin}: group '{group}' has {count} subject(s); at least 2 are needed. "
                "Check the values given under `groups` in the configuration."
            )
    bad = ~np.isfinite(dataset.values.reshape(len(people), -1))
    if bad.any():
        row, column = np.argwhere(bad)[0]
        feature = dataset.features[column % len(dataset.features)]
        raise InputError(
            f"{origin}: subject {people['subject'].iloc[row]}, feature '{feature}': found "
            f"{dataset.values.reshape(len(people), -1)[row, column]}, wanted a finite number "
            f"({int(bad.any(axis=1).sum())} subject(s) have such values). Correct the cell or drop the subject."
        )


def write_dataset(dataset: Dataset, path: str | Path) -> None:
    """Write one Parquet: the columns of `people`, then one column a feature for tables,
    or one list column `values` (row-major, its shape in the metadata) for arrays."""
    columns = {name: pa.array(dataset.people[name], from_pandas=True) for name in dataset.people}
    values = np.ascontiguousarray(dataset.values, dtype=np.float32)
    if values.ndim == 2:
        columns |= {name: pa.array(values[:, index]) for index, name in enumerate(dataset.features)}
    else:
        flat = pa.array(values.reshape(-1))
        size = int(np.prod(values.shape[1:]))
        offsets = pa.array(np.arange(len(values) + 1) * size, pa.int32())
        columns["values"] = pa.ListArray.from_arrays(offsets, flat).cast(pa.list_(pa.field("element", pa.float32())))
    metadata = {
        "name": dataset.name,
        "shape": list(values.shape[1:]),
        "features": dataset.features,
        "groups": list(dataset.groups),
        "simulated": dataset.simulated,
        "description": dataset.description,
        "originals": dataset.originals,
    }
    table = pa.table(columns).replace_schema_metadata({_METADATA: json.dumps(metadata).encode()})
    write_parquet(table, path)


def read_dataset(path: str | Path) -> Dataset:
    """Read what `write_dataset` wrote.

    Raises
    ------
    InputError
        If the file is not a data set of this program, or was written by a version that kept less.
    """
    table = read_parquet(path)
    if _METADATA not in (table.schema.metadata or {}):
        raise InputError(f"{path}: not a data set written by AutoSpec. Run the preprocessing again.")
    metadata = json.loads(table.schema.metadata[_METADATA])
    missing = [part for part in _PARTS if part not in metadata]
    if missing:
        raise InputError(
            f"{path}: found a data set without {', '.join(missing)}, as an earlier version of AutoSpec wrote it. "
            "Delete the file and run again; the preprocessing makes it anew."
        )
    features, shape = metadata["features"], tuple(metadata["shape"])
    if len(shape) == 1:
        values = np.stack([table[name].to_numpy() for name in features], axis=1)
        people = table.drop_columns(features)
    else:
        values = table["values"].combine_chunks().flatten().to_numpy().reshape(-1, *shape)
        people = table.drop_columns(["values"])
    return Dataset(
        name=metadata["name"],
        values=values.astype(np.float32, copy=False),
        people=people.replace_schema_metadata().to_pandas(),
        features=features,
        groups=tuple(metadata["groups"]),
        simulated=metadata["simulated"],
        description=metadata["description"],
        originals=metadata["originals"],
    )


def feature_table(dataset: Dataset) -> pd.DataFrame:
    """One row a feature: `feature`, and `original`, the name in the files."""
    originals = [dataset.originals.get(feature, feature) for feature in dataset.features]
    return pd.DataFrame({"feature": dataset.features, "original": originals})
