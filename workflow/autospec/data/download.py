"""Files of open data sets: fetched with progress, resumed where a transfer broke off, and verified.

Where a publisher gives a checksum it is verified; where none is given, the first download records the
SHA-256 of what came, in `checksums.tsv` beside the data, and later ones verify that.
"""

import concurrent.futures
import dataclasses
import hashlib
import logging
import sys
import time
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from autospec.data.transfer import discard, fetch, finish
from autospec.errors import InputError
from autospec.tables import atomic_path, read_tsv, write_tsv

RECORD = "checksums.tsv"
_COLUMNS = ["file", "bytes", "sha256", "url"]

_AT_ONCE = 8
_CHUNK = 1 << 20
_SECONDS_BETWEEN_LINES = 5.0


@dataclasses.dataclass(frozen=True)
class RemoteFile:
    """A file that a publisher offers.

    Attributes
    ----------
    name : str
        Where it goes, relative to the data set's folder.
    url : str
    size : int or None
        In bytes, where the publisher says it.
    md5, sha256 : str or None
        As the publisher gives them.
    members : tuple of (str, str)
        For a zip archive: what is taken out of it, and the name that it gets.
    """

    name: str
    url: str
    size: int | None = None
    md5: str | None = None
    sha256: str | None = None
    members: tuple[tuple[str, str], ...] = ()


def download(files: Sequence[RemoteFile], folder: str | Path, title: str) -> pd.DataFrame:
    """Bring files into a folder: those that are there are verified, the others fetched, and then verified.

    Parameters
    ----------
    files : sequence of RemoteFile
    folder : path
        Made if it is not there. A file cut short stays as ``.<name>.part`` and is gone on with next time.
    title : str
        What is fetched, for messages and progress.

    Returns
    -------
    DataFrame
        One row a file: `file`, `bytes`, `sha256`, `url`.

    Raises
    ------
    InputError
        No network, a file that is gone, a wrong checksum, a broken archive. What was fetched before stays.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        if Path(file.name).is_absolute() or ".." in Path(file.name).parts:
            raise InputError(f"{title}: {file.url}: found the name '{file.name}', wanted one inside {folder}.")
    known = _recorded(folder)
    progress = _Progress(title, files)
    rows: dict[str, tuple] = {}
    pool = concurrent.futures.ThreadPoolExecutor(_AT_ONCE)
    waiting: set[concurrent.futures.Future] = set()
    try:
        waiting.update(pool.submit(_bring, file, folder, known.get(file.name), progress) for file in files)
        while waiting:
            done, waiting = concurrent.futures.wait(waiting, _SECONDS_BETWEEN_LINES, concurrent.futures.FIRST_COMPLETED)
            rows.update(_brought(done))
            if failed := [task for task in done if task.exception()]:
                raise failed[0].exception()
            if progress.due():
                progress.tell()
                _write_record(folder, rows)
    finally:
        pool.shutdown(cancel_futures=True)
        rows.update(_brought(waiting))  # what was on its way when another file failed
        _write_record(folder, rows)
    progress.tell()
    table = pd.DataFrame([rows[file.name] for file in files], columns=_COLUMNS)
    for file in files:
        if file.members:
            _unpack(file, folder)
    return table


def _brought(tasks: Iterable[concurrent.futures.Future]) -> dict[str, tuple]:
    """The rows of those files that came."""
    ended = [task for task in tasks if task.done() and not task.cancelled()]
    return {task.result()[0]: task.result() for task in ended if task.exception() is None}


def _bring(file: RemoteFile, folder: Path, recorded: str | None, progress: "_Progress") -> tuple:
    """One file's row; fetched where it is not there or not what it should be."""
    path = folder / file.name
    if path.is_file():
        digests = _digests(path)
        if _wrong(file, recorded, path, digests) is None:
            progress.add(path.stat().st_size, done=True, fetched=False)
            return file.name, path.stat().st_size, digests["sha256"], file.url
        logging.warning("%s: %s is not what it was; fetched again", progress.title, path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    resumed = part.exists()
    verified = bool(file.md5 or file.sha256 or recorded)
    fetch(file.url, part, file.size, verified, progress.title, progress.add)
    digests = _digests(part)
    if resumed and _wrong(file, recorded, part, digests):
        # The beginning may be of another version, or damaged.
        discard(part)
        fetch(file.url, part, file.size, verified, progress.title, progress.add)
        digests = _digests(part)
    if wrong := _wrong(file, recorded, part, digests):
        discard(part)
        accept = "" if file.md5 or file.sha256 else f" To accept that, delete its line in {folder / RECORD}."
        raise InputError(
            f"{progress.title}: {file.url}: {wrong}. What came was deleted. Try again later; if it comes again, the "
            f"publisher has changed the file.{accept}"
        )
    finish(part, path)
    progress.add(0, done=True)
    return file.name, path.stat().st_size, digests["sha256"], file.url


def _wrong(file: RemoteFile, recorded: str | None, path: Path, digests: dict[str, str]) -> str | None:
    """What is wrong with a file, None if nothing is."""
    size = path.stat().st_size
    if file.size is not None and size != file.size:
        return f"found {size} bytes, wanted {file.size}"
    for kind, wanted in (("md5", file.md5), ("sha256", file.sha256)):
        if wanted and digests[kind] != wanted:
            return f"found {kind} {digests[kind]}, wanted {wanted}"
    if recorded and not (file.md5 or file.sha256) and digests["sha256"] != recorded:
        return f"found sha256 {digests['sha256']}, wanted {recorded} as at the first download"
    return None


def _digests(path: Path) -> dict[str, str]:
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            md5.update(chunk)
            sha256.update(chunk)
    return {"md5": md5.hexdigest(), "sha256": sha256.hexdigest()}


def _recorded(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file as an earlier download recorded it."""
    path = folder / RECORD
    if not path.exists():
        return {}
    table = read_tsv(path, dtype=str)
    if list(table) != _COLUMNS:
        found, wanted = ", ".join(table), ", ".join(_COLUMNS)
        raise InputError(f"{path}: found the columns {found}, wanted {wanted}. Delete the file.")
    return dict(zip(table["file"], table["sha256"], strict=True))


def _write_record(folder: Path, rows: dict[str, tuple]) -> None:
    """Add to the record what is new; a file that keeps failing keeps its line."""
    path = folder / RECORD
    old = read_tsv(path, dtype=str) if path.exists() else pd.DataFrame(columns=_COLUMNS)
    new = pd.DataFrame(list(rows.values()), columns=_COLUMNS)
    table = pd.concat([old[~old["file"].isin(new["file"])], new]).sort_values("file")
    write_tsv(table, path)


def _unpack(file: RemoteFile, folder: Path) -> None:
    try:
        with zipfile.ZipFile(folder / file.name) as archive:
            for member, name in file.members:
                with atomic_path(folder / name) as temporary:
                    temporary.write_bytes(archive.read(member))
    except (zipfile.BadZipFile, KeyError) as error:
        members = ", ".join(member for member, _ in file.members)
        raise InputError(
            f"{folder / file.name}: {error}, wanted a zip archive that holds {members}. The publisher has changed it, "
            "or it is damaged: delete it and run again."
        ) from None


class _Progress:
    """Counts what arrives, and tells it on the terminal and in the log."""

    def __init__(self, title: str, files: Sequence[RemoteFile]):
        self.title = title
        self.files, self.done, self.bytes, self.fetched = len(files), 0, 0, 0
        sizes = [file.size for file in files]
        self.total = None if None in sizes else sum(sizes)
        self.begun = self.told = time.monotonic()

    def add(self, count: int, done: bool = False, fetched: bool = True) -> None:
        # Several threads add; a lost count would only blur a line of progress.
        self.bytes += count
        self.fetched += count if fetched else 0
        self.done += done

    def due(self) -> bool:
        return time.monotonic() - self.told > _SECONDS_BETWEEN_LINES

    def tell(self) -> None:
        self.told = time.monotonic()
        speed = self.fetched / max(self.told - self.begun, 1e-3)
        line = f"{self.title}: {self.done} of {self.files} files, {self.bytes / 1e6:.1f} MB"
        if self.total:
            line += f" of {self.total / 1e6:.1f} MB"
        line += f", {speed / 1e6:.1f} MB/s"
        if self.total and speed and self.total > self.bytes:
            line += f", {(self.total - self.bytes) / speed:.0f} s left"
        logging.info(line)
        print(line, file=sys.stderr, flush=True)
