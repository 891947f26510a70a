"""What a run made, so that two runs can be compared byte by byte."""

import json
from pathlib import Path


def contents(folder: Path, *parts: str) -> dict[str, bytes]:
    """The files below parts of a folder, by their path in it, without the times and memory that were measured."""
    files = {}
    for part in parts:
        for path in sorted((folder / part).rglob("*")):
            if path.is_file():
                content = path.read_bytes()
                if path.suffix == ".json":
                    content = json.dumps(_unmeasured(json.loads(content)), sort_keys=True).encode()
                files[str(path.relative_to(folder))] = content
    return files


def _unmeasured(value):
    if isinstance(value, dict):
        return {name: _unmeasured(part) for name, part in value.items() if name != "measured"}
    return value
