"""A server on this machine that serves what publishers of open data serve, with their faults."""

import hashlib
import http.server
import json
import re
import threading
import urllib.parse
from xml.sax.saxutils import escape

S3 = "/s3.amazonaws.com/fcp-indi"
FIGSHARE = "/api.figshare.com/v2/articles"
NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


class Publisher:
    """Files by path (``/host/...``) over HTTP, with ranges; a mirror that AUTOSPEC_MIRROR can name.

    Attributes
    ----------
    files : dict of str to bytes
    cuts : dict of str to list of int
        How many bytes of a path each of the next answers sends before the connection breaks.
    answers : dict of str to list of int
        Status codes that the next requests of a path get instead.
    ranges : bool
        Whether ranges are honoured.
    versions : str
        "followed": ETags are sent and If-Range is obeyed; "ignored": If-Range is not; "unknown": no ETags are sent.
    requests : list of (str, str or None)
        Path, with its query, and Range header of every request.
    page : int
        Keys on a page of a bucket's listing; the most files on a page of an article's.
    articles : dict of int to list of dict
        Entries of the files of each article of figshare.
    etags : dict of str to str
        ETags of keys that are not the MD5.
    """

    def __init__(self):
        self.files, self.cuts, self.answers, self.etags, self.articles = {}, {}, {}, {}, {}
        self.ranges, self.page, self.versions, self.requests = True, 1000, "followed", []
        publisher = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                publisher.answer(self)

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def bucket(self, key: str, content: bytes):
        """Put an object into the bucket."""
        self.files[f"{S3}/{key}"] = content

    def article(self, number: int, files: dict[str, bytes]):
        """Put an article of figshare in place."""
        self.articles[number] = []
        for place, (name, content) in enumerate(files.items()):
            path = f"/ndownloader.figshare.com/files/{7600000 + place}"
            self.files[path] = content
            md5 = hashlib.md5(content).hexdigest()
            self.articles[number].append(
                {"id": 7600000 + place, "name": name, "size": len(content), "is_link_only": False,
                 "download_url": f"https:/{path}", "supplied_md5": "", "computed_md5": md5}
            )  # fmt: skip

    def answer(self, request):
        address = urllib.parse.urlsplit(request.path)
        path = urllib.parse.unquote(address.path)
        span = request.headers.get("Range")
        self.requests.append((request.path, span))
        if self.answers.get(path):
            return self._send(request, self.answers[path].pop(0), b"")
        query = urllib.parse.parse_qs(address.query)
        if path == S3 and query.get("list-type") == ["2"]:
            return self._send(request, 200, self._listing(query))
        if described := re.fullmatch(rf"{FIGSHARE}/(\d+)(/files)?", path):
            return self._send(request, 200, self._article(int(described[1]), bool(described[2]), query))
        if path not in self.files:
            return self._send(request, 404, b"")
        content, status, headers = self.files[path], 200, {}
        tag = f'"{hashlib.md5(content).hexdigest()}"'
        if self.versions != "unknown":
            headers["ETag"] = tag
        same = self.versions == "ignored" or request.headers.get("If-Range", tag) == tag
        if span and self.ranges and same:
            start = int(span.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                return self._send(request, 416, b"")
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            content, status = content[start:], 206
        self._send(request, status, content, headers, self.cuts[path].pop(0) if self.cuts.get(path) else None)

    @staticmethod
    def _send(request, status, content, headers=(), cut=None):
        request.send_response(status)
        for name, value in dict(headers).items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content if cut is None else content[:cut])
        request.close_connection = cut is not None

    def _article(self, number: int, listed: bool, query) -> bytes:
        """An article of figshare, with ten of its files at most; or a page of all of them."""
        entries = self.articles[number]
        if not listed:
            title = "COBRE preprocessed with NIAK 0.17 - lightweight release"
            return json.dumps({"id": number, "title": title, "files": entries[:10]}).encode()
        size = min(int(query.get("page_size", ["10"])[0]), self.page)
        start = size * (int(query.get("page", ["1"])[0]) - 1)
        return json.dumps(entries[start : start + size]).encode()

    def _listing(self, query) -> bytes:
        """A page of ListObjectsV2."""
        prefix = query["prefix"][0]
        keys = sorted(path.removeprefix(f"{S3}/") for path in self.files if path.startswith(f"{S3}/{prefix}"))
        start = int(query.get("continuation-token", ["0"])[0])
        shown = keys[start : start + self.page]
        more = start + self.page < len(keys)
        entries = ""
        for key in shown:
            content = self.files[f"{S3}/{key}"]
            etag = self.etags.get(key, hashlib.md5(content).hexdigest())
            entries += (
                f"<Contents><Key>{escape(key)}</Key><LastModified>2015-10-15T18:17:14.000Z</LastModified>"
                f"<ETag>&quot;{etag}&quot;</ETag><Size>{len(content)}</Size><StorageClass>STANDARD</StorageClass>"
                "</Contents>"
            )
        token = f"<NextContinuationToken>{start + self.page}</NextContinuationToken>" if more else ""
        return (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="{NAMESPACE}"><Name>fcp-indi</Name>'
            f"<Prefix>{escape(prefix)}</Prefix>{token}<KeyCount>{len(shown)}</KeyCount>"
            f"<MaxKeys>1000</MaxKeys><IsTruncated>{str(more).lower()}</IsTruncated>{entries}</ListBucketResult>"
        ).encode()
