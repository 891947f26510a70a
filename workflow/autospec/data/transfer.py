"""One file over the network: gone on with where a transfer broke off, asked for again when the server is busy.

An institution's own mirror, or a test, may stand in for the publishers: with AUTOSPEC_MIRROR set, a file of a
publisher's host is asked for as ``$AUTOSPEC_MIRROR/<host>/<path>``.
"""

import http.client
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path

from autospec.errors import InputError

_TIMEOUT = 60.0  # seconds without a byte
_WAITS = (1.0, 2.0, 4.0)  # seconds before each further attempt
_CHUNK = 1 << 20
#: Answers after which asking again may help.
_PASSING = (408, 425, 429, 500, 502, 503, 504)


def read_text(url: str, title: str) -> str:
    """Fetch a listing (UTF-8 text), with further attempts as for a file.

    Raises
    ------
    InputError
        As for `fetch`.
    """
    for wait in (*_WAITS, None):
        try:
            with _open(url) as answer:
                return answer.read().decode("utf-8")
        except (OSError, http.client.HTTPException) as error:
            _give_up_or_wait(error, url, title, wait)
    raise AssertionError


def fetch(url: str, part: Path, size: int | None, verified: bool, title: str, arrived: Callable[[int], None]) -> None:
    """Bring `part` to its whole length, going on where it ends.

    What is there is gone on with if the file is still the one that it began (RFC 9110, If-Range: its ETag, or the
    time of its last change, stands in a note beside `part`). Without such a note it is gone on with only if a
    checksum will tell whether beginning and end belong together.

    Parameters
    ----------
    url : str
    part : path
    size : int or None
        In bytes, where the publisher says it.
    verified : bool
        Whether the file has a checksum.
    title : str
        What is fetched, for messages.
    arrived : callable
        Told how many bytes came.

    Raises
    ------
    InputError
        No network, a file that is gone, or one longer than listed.
    """
    for wait in (*_WAITS, None):
        try:
            start = part.stat().st_size if part.exists() else 0
            if start and start == size:
                return
            version = _note(part).read_text(encoding="utf-8") if start and _note(part).exists() else None
            if version is None and not verified:
                start = 0
            with _open(url, start, version) as answer:
                if start and answer.status != 206:  # another version, or a server without ranges: it begins anew
                    start = 0
                if start and version and _version(answer) != version:
                    discard(part)
                    raise http.client.HTTPException("the file changed there while it was fetched")
                wanted = size if size is not None else _length(answer, start)
                if not start:
                    _write_note(part, _version(answer))
                with open(part, "ab" if start else "wb") as out:
                    while chunk := answer.read(_CHUNK):
                        out.write(chunk)
                        arrived(len(chunk))
            found = part.stat().st_size
            if wanted is None or found == wanted:
                return
            if found > wanted:
                discard(part)
                raise InputError(
                    f"{title}: {url}: found more than the {wanted} bytes that the publisher lists. The "
                    "file has changed there; a later version of this program may know it."
                )
            raise http.client.IncompleteRead(b"", wanted - found)
        except urllib.error.HTTPError as error:
            if error.code == 416:  # nothing follows what is there: it is longer than the file
                discard(part)
            _give_up_or_wait(error, url, title, wait)
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, OSError) and error.filename:  # the disk's fault and not the network's
                raise
            _give_up_or_wait(error, url, title, wait)


def discard(part: Path) -> None:
    """Delete what came of a file, and the note beside it."""
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)


def finish(part: Path, path: Path) -> None:
    """Put a whole file in its place."""
    os.replace(part, path)
    _note(part).unlink(missing_ok=True)


def _note(part: Path) -> Path:
    return part.with_name(f"{part.name}.version")


def _write_note(part: Path, version: str | None) -> None:
    # The old beginning goes first: killed in between, it must not be taken for one of this version.
    discard(part)
    if version:
        _note(part).write_text(version, encoding="utf-8")


def _version(answer) -> str | None:
    """What tells one version of a file from another, as If-Range takes it."""
    tag = answer.headers.get("ETag")
    return tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified")


def _open(url: str, start: int = 0, version: str | None = None):
    if mirror := os.environ.get("AUTOSPEC_MIRROR"):
        url = mirror.rstrip("/") + "/" + url.split("://", 1)[1]
    headers = {"User-Agent": "autospec"}
    if start:
        headers["Range"] = f"bytes={start}-"
        headers |= {"If-Range": version} if version else {}
    return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT)


def _length(answer, start: int) -> int | None:
    length = answer.headers.get("Content-Length")
    return None if length is None else start + int(length)


def _give_up_or_wait(error: Exception, url: str, title: str, wait: float | None) -> None:
    if isinstance(error, urllib.error.HTTPError):
        error.close()
        if error.code not in (*_PASSING, 416):
            raise InputError(
                f"{title}: {url}: the server answers {error.code} ({error.reason}), wanted the file. It has been moved "
                "or taken away; what was fetched stays, and the next run goes on from there."
            ) from None
    if wait is None:
        host = urllib.parse.urlsplit(url).netloc
        reason = getattr(error, "reason", None) or error
        raise InputError(
            f"{title}: cannot get {url} from {host} ({reason}). Is there a network here? Run it again where there is "
            "one (what was fetched stays), or put the files in place by hand."
        ) from None
    time.sleep(wait)
