"""The Parquet tables of a run: their schemas, atomic writing, reading many runs.

The only place that knows the format. Needs pyarrow and numpy alone.
"""

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from autospec.errors import InputError

_KEY = pa.dictionary(pa.int32(), pa.string())
_VALUES = pa.list_(pa.field("element", pa.float32()))

#: One row per (epoch, layer, quantity, group): mean spectrum over the observed steps.
SPECTRA = pa.schema(
    [
        ("epoch", pa.int32()),
        ("layer", _KEY),
        ("depth", pa.int32()),
        ("quantity", _KEY),
        ("group", _KEY),
        ("batch", pa.float64()),
        ("n", pa.int64()),
        ("steps", pa.int32()),
        ("singular_values", _VALUES),
        ("singular_values_sd", _VALUES),
    ]
)

#: What labelings keep of the whole spectrum, by the names of `autospec.summaries.summarise`.
SUMMARIES = ("nuclear_norm", "top_share", "effective_rank", "stable_rank")

#: One row per (epoch, labeling, layer, group). `labeling` 0 is the truth; `group` is one of the
#: two groups or `difference` (the epoch-summed difference of their gradients). Rows of quantity
#: `loss` have no layer and hold the group's mean loss as their one value. The summaries are of all singular
#: values, of which only the leading ones stand in the row.
LABELINGS = pa.schema(
    [
        ("epoch", pa.int32()),
        ("labeling", pa.int32()),
        ("layer", _KEY),
        ("depth", pa.int32()),
        ("quantity", _KEY),
        ("group", _KEY),
        ("steps", pa.int32()),
        ("frobenius", pa.float64()),
        ("singular_values", _VALUES),
        *((name, pa.float64()) for name in SUMMARIES),
    ]
)

#: One row per (epoch, part, group, metric); `part` is train or test.
METRICS = pa.schema(
    [
        ("epoch", pa.int32()),
        ("part", _KEY),
        ("group", _KEY),
        ("metric", _KEY),
        ("value", pa.float64()),
    ]
)

#: One row per (epoch, layer, side, group, index): a leading direction of the group's gradients, the
#: left side in output space, the right side in input space. `share` is how much of it the epoch's
#: steps have in common, from 0 to 1.
DIRECTIONS = pa.schema(
    [
        ("epoch", pa.int32()),
        ("layer", _KEY),
        ("side", _KEY),
        ("group", _KEY),
        ("index", pa.int32()),
        ("share", pa.float64()),
        ("vector", _VALUES),
    ]
)

#: One row per (epoch, first, second, measure, group): how two layers' matrices lie to one another.
ALIGNMENTS = pa.schema(
    [
        ("epoch", pa.int32()),
        ("first", _KEY),
        ("second", _KEY),
        ("measure", _KEY),
        ("group", _KEY),
        ("value", pa.float64()),
        ("steps", pa.int32()),
    ]
)

#: What tells one run from another, in every row when tables are read together.
IDENTITY = ("dataset", "model", "task", "activation", "shape", "seed")

_ROWS_PER_GROUP = 100_000


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary name beside `path`; rename it to `path` if the body succeeds."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        error.filename = error.filename or str(path)  # a full disk does not say which file it cut short
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_parquet(table: pa.Table, path: str | Path) -> None:
    """Write `table` whole or not at all; list-of-float columns are byte-split, keys dictionary-encoded."""
    lists = {field.name for field in table.schema if pa.types.is_list(field.type)}
    with atomic_path(path) as temporary:
        pq.write_table(
            table,
            temporary,
            compression="zstd",
            compression_level=1,
            row_group_size=_ROWS_PER_GROUP,
            use_dictionary=[field.name for field in table.schema if pa.types.is_dictionary(field.type)],
            column_encoding={f"{name}.list.element": "BYTE_STREAM_SPLIT" for name in lists},
        )


def read_parquet(path: str | Path, columns: list[str] | None = None) -> pa.Table:
    """Read one Parquet file, or say which file cannot be read and why.

    Raises
    ------
    InputError
        If the file is missing, is not Parquet or is cut short.
    """
    try:
        return pq.read_table(path, columns=columns)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file. Run the rule that makes it.") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{path}: not a readable Parquet file ({error}). Delete it and run again.") from None


def write_json(record: Mapping, path: str | Path) -> None:
    """Write `record` as indented JSON with sorted keys, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(record, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def read_json(path: str | Path) -> dict:
    """Read a JSON record, or say which file is broken.

    Raises
    ------
    InputError
        If the file is missing or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file. Run the rule that makes it.") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{path}, line {error.lineno}: not JSON ({error.msg}). Delete it and run again.") from None


def write_tsv(frame, path: str | Path) -> None:
    """Write a pandas DataFrame as TSV (missing values as n/a, the BIDS way), whole or not at all."""
    with atomic_path(path) as temporary:
        frame.to_csv(temporary, sep="\t", index=False, na_rep="n/a", lineterminator="\n")


def read_tsv(path: str | Path, **options):
    """Read a TSV that this program wrote (n/a is missing) as a pandas DataFrame."""
    import pandas as pd

    try:
        return pd.read_csv(path, sep="\t", na_values=["n/a"], keep_default_na=False, **options)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file. Run the rule that makes it.") from None


def read_runs(folders: Iterable[str | Path], name: str) -> pa.Table:
    """Read one table of many runs together, with the identity of its run in every row.

    Parameters
    ----------
    folders : iterable of path
        Run folders, each with `run.json` and the table.
    name : {"spectra", "labelings", "metrics"}
        Which table.

    Returns
    -------
    pyarrow.Table
        The rows of every run, with the columns of ``IDENTITY`` and `status` in front.
    """
    tables = []
    for folder in map(Path, folders):
        record = read_json(folder / "run.json")
        table = read_parquet(folder / f"{name}.parquet")
        for field in ("status", *reversed(IDENTITY)):
            value = record[field]
            if field == "seed":
                column = pa.array([value], pa.int32()).take(pa.array([0] * len(table), pa.int32()))
            else:
                column = pa.DictionaryArray.from_arrays(
                    pa.array([0] * len(table), pa.int32()), pa.array([value])
                )
            table = table.add_column(0, field, column)
        tables.append(table)
    return pa.concat_tables(tables).unify_dictionaries()
