"""Which library files a script stands on, read from the import statements."""

import functools
import re
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
        for path in imported(folder, waiting.pop()):
            if path not in found:
                found.add(path)
                waiting.append(path)
    return sorted(str(path) for path in found if path.name not in WITHOUT_EFFECT)


#: `from x import y` and `import x`, also over several lines in parentheses. Parsing the library instead takes half a
#: second before every command.
_IMPORTS = re.compile(
    r"^[ \t]*(?:from[ \t]+(?P<module>[\w.]+)[ \t]+import[ \t]*(?P<names>\([^)]*\)|.*)|import[ \t]+(?P<modules>.*))$",
    re.MULTILINE,
)


@functools.cache
def imported(folder: Path, path: Path) -> frozenset[Path]:
    """The library files that one file imports; none where there is no such file."""
    if not path.is_file():
        return frozenset()
    text = path.read_text(encoding="utf-8")
    names = set()
    for match in _IMPORTS.finditer(text):
        module = match["module"]
        if module is None:
            names.update(_names(match["modules"]))
        elif module.startswith("."):
            line = text.count("\n", 0, match.start()) + 1
            raise ValueError(f"{path}, line {line}: a relative import; write it from '{PACKAGE}' on")
        else:
            names.update((module, *(f"{module}.{name}" for name in _names(match["names"]))))
    files = set()
    for name in names:
        parts = name.split(".")
        if parts[0] != PACKAGE:
            continue
        for depth in range(2, len(parts) + 1):
            part = folder.joinpath(*parts[:depth])
            files.update(file for file in (part / "__init__.py", part.with_suffix(".py")) if file.is_file())
    return frozenset(files)


def _names(text: str) -> list[str]:
    """What a list of imported names names, without `as`, parentheses and comments."""
    listed = re.sub(r"#.*", "", text).strip("() \t\n")
    return [name.split()[0] for name in listed.split(",") if name.strip()]
