"""Which library files a script stands on, read from the import statements."""

import ast
import functools
from pathlib import Path

PACKAGE = "autospec"
#: These decide how a failure is told and not what is computed; editing them makes nothing stale.
WITHOUT_EFFECT = ("errors.py", "jobs.py")


def library_files(folder: str | Path, *files: str) -> list[str]:
    """List the library files that scripts or library files import, directly or through others.

    Imports inside functions count. The package's own `__init__.py`, which offers its names without
    importing them, does not.

    Parameters
    ----------
    folder : path
        Where the package lies.
    *files : str
        Where to begin, relative to `folder`.

    Returns
    -------
    list of str
        Paths in alphabetical order, with those of `files` that lie in the package.
    """
    folder = Path(folder)
    waiting = [folder / file for file in files]
    found = {path for path in waiting if path.is_relative_to(folder / PACKAGE)}
    while waiting:
        for path in _imported(folder, waiting.pop()):
            if path not in found:
                found.add(path)
                waiting.append(path)
    return sorted(str(path) for path in found if path.name not in WITHOUT_EFFECT)


@functools.cache
def _imported(folder: Path, path: Path) -> frozenset[Path]:
    if not path.is_file():
        return frozenset()
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), filename=str(path))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise ValueError(f"{path}, line {node.lineno}: a relative import; write it from '{PACKAGE}' on")
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    files = set()
    for name in names:
        parts = name.split(".")
        if parts[0] != PACKAGE:
            continue
        for depth in range(2, len(parts) + 1):
            part = folder.joinpath(*parts[:depth])
            files.update(file for file in (part / "__init__.py", part.with_suffix(".py")) if file.is_file())
    return frozenset(files)
