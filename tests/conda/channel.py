"""Make a local conda channel of the packages that pip installed here from the lock: each one holds links to them.

Usage: channel.py FOLDER
"""

import asyncio
import importlib.metadata as metadata
import io
import json
import os
import platform
import re
import sys
import tarfile
from pathlib import Path

from packaging.requirements import Requirement
from rattler.index import index_fs

#: A package's name on conda-forge where it differs.
NAMES = {"torch": "pytorch"}


def write_packages(folder: Path) -> None:
    """Write one archive a package, Python among them, below `folder`/noarch."""
    (folder / "noarch").mkdir(parents=True)
    executable = Path(sys.executable).resolve()
    links = {f"bin/{name}": executable for name in ("python", "python3", executable.name)}
    # With this file beside bin/, the interpreter takes its packages from there and nowhere else.
    texts = {"pyvenv.cfg": f"home = {executable.parent}\ninclude-system-site-packages = false\n"}
    _write(folder, "python", platform.python_version(), [], links, texts)
    installed = {_conda_name(package.metadata["Name"]): package for package in metadata.distributions()}
    site = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    for name, package in installed.items():
        tops = {path.parts[0] for path in package.files or ()} - {"..", "__pycache__"}
        links = {f"{site}/{top}": package.locate_file(top) for top in tops if not top.endswith(".pth")}
        requirements = map(Requirement, package.requires or ())
        wanted = {_conda_name(r.name) for r in requirements if r.marker is None or r.marker.evaluate({"extra": ""})}
        _write(folder, name, package.version.split("+")[0], ["python", *sorted(wanted & set(installed))], links, {})


def _conda_name(name: str) -> str:
    name = re.sub(r"[-_.]+", "-", name).lower()
    return NAMES.get(name, name)


def _write(folder: Path, name: str, version: str, depends: list[str], links: dict, texts: dict[str, str]) -> None:
    index = {
        "name": name, "version": version, "build": "0", "build_number": 0, "depends": depends,
        "subdir": "noarch", "noarch": "generic",
    }  # fmt: skip
    kinds = {path: "softlink" for path in links} | {path: "hardlink" for path in texts}
    paths = {"paths_version": 1, "paths": [{"_path": path, "path_type": kind} for path, kind in kinds.items()]}
    texts = texts | {"info/index.json": json.dumps(index), "info/paths.json": json.dumps(paths)}
    with tarfile.open(folder / "noarch" / f"{name}-{version}-0.tar.bz2", "w:bz2") as archive:
        for path, target in links.items():
            member = tarfile.TarInfo(path)
            member.type, member.linkname = tarfile.SYMTYPE, str(target)
            archive.addfile(member)
        for path, text in texts.items():
            member = tarfile.TarInfo(path)
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))


if __name__ == "__main__":
    write_packages(Path(sys.argv[1]))
    asyncio.run(index_fs(Path(sys.argv[1])))
    os._exit(0)  # rattler's threads can crash an interpreter that ends in the usual way
