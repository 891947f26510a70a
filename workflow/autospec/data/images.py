"""Handwritten digits as two groups from two sets of classes: scikit-learn's, or MNIST's original files."""

import gzip
import hashlib
import math
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from autospec.data.dataset import Dataset
from autospec.data.participants_cells import as_text, dropped_table
from autospec.errors import InputError

#: MNIST file -> (md5 of the .gz as published, md5 of what it holds).
MNIST = {
    "train-images-idx3-ubyte": ("f68b3c2dcbeaaa9fbdd348bbdeb94873", "6bbc9ace898e44ae57da46a324031adb"),
    "train-labels-idx1-ubyte": ("d53e105ee54ea40749a09fcbcd1e9432", "a25bea736e30d166cdddb491f175f624"),
    "t10k-images-idx3-ubyte": ("9fb629c4189551a2d022fa330f9573f3", "2646ac647ad5339dbf082846283269ea"),
    "t10k-labels-idx1-ubyte": ("ec29112dd5afa0611ce80d1b7f02629c", "27ae3e4e09519cfbb04c329615203637"),
}
_DRAW_SEED = 0
_UNSIGNED_BYTE = 0x08  # IDX's code for the type of its values
_MOST_DIMENSIONS = 8


def read(name: str, options: Mapping, path: str | Path | None) -> tuple[Dataset, pd.DataFrame, pd.DataFrame]:
    """Read images of digits, scaled to 0..1.

    Parameters
    ----------
    name : str
        The data set's name.
    options : mapping
        `source` (digits or mnist), `groups` (name -> classes; classes in no group are left out),
        `limit` (at most so many images, drawn with a fixed seed, spread evenly over the
        classes).
    path : path or None
        MNIST's folder; unused for digits.

    Returns
    -------
    dataset : Dataset
        Values of shape (images, 1, height, width); 8 x 8 for digits, 28 x 28 for MNIST. An image's
        `subject` is its place in the whole collection, its `target` the digit as text.
    qc : DataFrame
        `subject`, `mean_intensity`, `ink` (share of pixels above one half).
    dropped : DataFrame
        `kind`, `label`, `reason` for images of classes in no group.

    Raises
    ------
    InputError
        MNIST files that are missing or not the published ones, a class that no image has, a class
        in both groups, a limit below the number of classes.
    """
    if options["source"] == "mnist":
        images, digits = _read_mnist(path)
        prefix, digits_in_name, white = "mnist", 5, 255
        origin = "MNIST (LeCun, Cortes and Burges), training and test files"
    else:
        from sklearn.datasets import load_digits

        images, digits = load_digits().images, load_digits().target
        prefix, digits_in_name, white = "digit", 4, 16
        origin = "scikit-learn (UCI optical recognition of handwritten digits)"
    targets = pd.Series(digits).astype(str)
    subjects = pd.Series([f"{prefix}-{place:0{digits_in_name}d}" for place in range(1, len(images) + 1)])
    groups = groups_of_classes(targets, options["groups"], f"datasets.{name}")
    outside = groups.isna()
    chosen = _draw(np.flatnonzero(~outside), targets, options.get("limit"), name)
    values = (images[chosen] / white).astype(np.float32)[:, None]
    people = pd.DataFrame({"subject": subjects[chosen], "group": groups[chosen], "target": targets[chosen]})
    people = people.reset_index(drop=True)
    height, width = values.shape[2:]
    dataset = Dataset(
        name=name,
        values=values,
        people=people,
        features=[f"column-{number + 1}" for number in range(width)],
        groups=tuple(options["groups"]),
        simulated=False,
        description=f"{len(values)} images of {height} x {width} pixels from {origin}.",
    )
    qc = pd.DataFrame(
        {
            "subject": people["subject"],
            "mean_intensity": values.mean(axis=(1, 2, 3), dtype=np.float64),
            "ink": (values > 0.5).mean(axis=(1, 2, 3)),
        }
    )
    return dataset, qc, dropped_table("subject", subjects[outside], "the class belongs to no group")


def groups_of_classes(targets: pd.Series, groups: Mapping, origin: str) -> pd.Series:
    """Give each item the group that its class belongs to, or None.

    Raises
    ------
    InputError
        A class that does not exist, or that stands in both groups.
    """
    classes = sorted(targets.unique())
    of = {}
    for group, members in groups.items():
        for member in map(as_text, members):
            if member not in classes:
                raise InputError(
                    f"{origin}.groups.{group}: found class '{member}', wanted some of {', '.join(classes)}. Correct it."
                )
            if member in of:
                raise InputError(
                    f"{origin}.groups: class '{member}' stands in {of[member]} and in {group}; a class may "
                    "stand in one."
                )
            of[member] = group
    return targets.map(of.get).astype(object)


def read_idx(path: str | Path) -> np.ndarray:
    """Read an IDX file of unsigned bytes (gzip if its name ends with .gz).

    Parameters
    ----------
    path : path

    Returns
    -------
    ndarray of uint8
        In the shape that the header states.

    Raises
    ------
    InputError
        Not IDX, another type of values, or another size than the header states.
    """
    return _parse_idx(_unpacked(Path(path), Path(path).read_bytes()), path)


def _unpacked(path: Path, content: bytes) -> bytes:
    if path.suffix != ".gz":
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise InputError(f"{path}: the gzip file is damaged or cut short. Get it again.") from None


def _parse_idx(content: bytes, path: str | Path) -> np.ndarray:
    # Two zero bytes, the type, the number of dimensions, then each dimension as a big-endian 32-bit integer.
    start = 4 + 4 * content[3] if len(content) > 4 else 0
    known = content[:2] == b"\0\0" and content[2:3] == bytes([_UNSIGNED_BYTE])
    if len(content) < max(start, 5) or not known or content[3] > _MOST_DIMENSIONS:
        raise InputError(f"{path}: found a header {content[:4].hex(' ')}, wanted an IDX file of bytes. Get it again.")
    shape = struct.unpack(f">{content[3]}I", content[4:start])
    if 0 in shape or len(content) - start != math.prod(shape):
        raise InputError(
            f"{path}: the header states {' x '.join(map(str, shape))} values, found {len(content) - start}. "
            "Get it again."
        )
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)


def _read_mnist(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    train, train_labels, test, test_labels = (_read_published(Path(path), file) for file in MNIST)
    return np.concatenate([train, test]), np.concatenate([train_labels, test_labels])


def _read_published(folder: Path, name: str) -> np.ndarray:
    """Read one of MNIST's files after its checksum has been verified."""
    packed, plain = folder / f"{name}.gz", folder / name
    path = packed if packed.exists() else plain
    if not path.exists():
        raise InputError(f"{packed}: no such file (nor without .gz). Put MNIST's original file there.")
    content = path.read_bytes()
    wanted = MNIST[name][0 if path == packed else 1]
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != wanted:
        raise InputError(f"{path}: found md5 {found}, wanted {wanted}: not MNIST's original file. Get it again.")
    return _parse_idx(_unpacked(path, content), path)


def _draw(candidates: np.ndarray, targets: pd.Series, limit: int | None, name: str) -> np.ndarray:
    """Draw `limit` of the candidates, spread evenly over the classes; in their own order."""
    if limit is None or limit >= len(candidates):
        return candidates
    shuffled = np.random.default_rng(_DRAW_SEED).permutation(candidates)
    drawn_classes = targets[shuffled]
    if limit < drawn_classes.nunique():
        raise InputError(
            f"datasets.{name}.limit: found {limit}, wanted {drawn_classes.nunique()} or more (one a class)."
        )
    # One of each class, then a second of each, and so on.
    turn = drawn_classes.groupby(drawn_classes).cumcount().to_numpy()
    return np.sort(shuffled[np.argsort(turn, kind="stable")[:limit]])
