"""What a run made, so that two runs can be compared byte by byte."""

import json
from pathlib import Path

#: What tells how long a run took and how much memory, and so differs from one run to the next. Of these files ...
TIMED = ("runs.tsv", "report.html", "figures/cost/models.")
#: ... nothing is compared; of a run's record all but this part; of the claims all but the one about cost.
PART, CLAIM = "measured", "C7\t"


def contents(folder: Path, *parts: str) -> dict[str, bytes]:
    """The files below parts of a folder, by their path in it, without the times and memory that were measured."""
    files = {}
    for part in parts:
        for path in sorted((folder / part).rglob("*")):
            name = str(path.relative_to(folder))
            if path.is_file() and not any(timed in name for timed in TIMED):
                files[name] = _unmeasured(path)
    return files


def _unmeasured(path: Path) -> bytes:
    content = path.read_bytes()
    if path.name == "run.json":
        record = json.loads(content)
        del record[PART]
        return json.dumps(record).encode()
    if path.name == "claims.tsv":
        return b"".join(line for line in content.splitlines(True) if not line.startswith(CLAIM.encode()))
    return content
