"""Time courses as taken from scans, before cleaning: the file between the jobs that read scans and the one
that joins them."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pyarrow as pa

from autospec.data.recording import Recording
from autospec.tables import read_parquet, write_parquet

_METADATA = b"autospec.extracted"
_ARRAYS = {"series": np.float32, "confounds": np.float64, "kept": np.int32, "lacking": np.int32}


@dataclasses.dataclass(frozen=True)
class Extracted:
    """The time courses of some people.

    Attributes
    ----------
    recordings : list of Recording
    measures : list of dict
        Quality measures, a row a recording.
    features : list of str
        Names of the components.
    lost : list of str
        Names of the regions that have no voxel on the scans' grid.
    simulated : bool
    """

    recordings: list[Recording]
    measures: list[dict]
    features: list[str]
    lost: list[str]
    simulated: bool


def write_extracted(extracted: Extracted, path: str | Path) -> None:
    """Write one Parquet: a row a person, arrays as lists (row-major; the volumes are in `volumes`)."""
    columns = {name: [row[name] for row in extracted.measures] for name in (extracted.measures or [{}])[0]}
    for name, kind in _ARRAYS.items():
        arrays = [getattr(one, name) for one in extracted.recordings]
        lists = [None if array is None else np.ravel(array).astype(kind) for array in arrays]
        columns[name] = pa.array(lists, pa.list_(pa.field("element", pa.from_numpy_dtype(kind))))
    metadata = {"features": extracted.features, "lost": extracted.lost, "simulated": extracted.simulated}
    write_parquet(pa.table(columns).replace_schema_metadata({_METADATA: json.dumps(metadata).encode()}), path)


def read_extracted(path: str | Path) -> Extracted:
    """Read what `write_extracted` wrote."""
    table = read_parquet(path)
    metadata = json.loads(table.schema.metadata[_METADATA])
    measures = table.drop_columns(list(_ARRAYS)).to_pylist()
    recordings = []
    for index, row in enumerate(measures):
        arrays = {name: _array(table[name][index], row["volumes"]) for name in _ARRAYS}
        recordings.append(Recording(row["subject"], **arrays))
    return Extracted(recordings, measures, metadata["features"], metadata["lost"], metadata["simulated"])


def _array(cell: pa.ListScalar, volumes: int) -> np.ndarray | None:
    if not cell.is_valid:
        return None
    flat = cell.values.to_numpy()
    return flat.astype(bool) if flat.dtype == np.int32 else flat.reshape(volumes, -1)
