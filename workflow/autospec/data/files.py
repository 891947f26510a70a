"""Which file belongs to which subject."""

import re
from pathlib import Path

from autospec.errors import InputError


def find_files(folder: str | Path, pattern: str, option: str) -> dict[str, Path]:
    """Find every subject's file.

    Parameters
    ----------
    folder : path
    pattern : str
        Path inside `folder`, with ``{subject}`` once or more, and ``*`` for what does not matter.
    option : str
        The configuration key that holds the pattern, for messages.

    Returns
    -------
    dict
        Subject -> path, sorted by subject.

    Raises
    ------
    InputError
        A pattern without ``{subject}``, no file at all, two files for one subject.
    """
    if "{subject}" not in pattern:
        raise InputError(f"{option}: found '{pattern}', wanted a file pattern with {{subject}} in it.")
    expression = re.escape(pattern).replace(r"\*", "[^/]*").replace(r"\?", "[^/]")
    expression = expression.replace(r"\{subject\}", "(?P<subject>[^/]+?)", 1)
    expression = expression.replace(r"\{subject\}", "(?P=subject)")
    files: dict[str, Path] = {}
    for path in sorted(Path(folder).glob(pattern.replace("{subject}", "*"))):
        match = re.fullmatch(expression, path.relative_to(folder).as_posix())
        if match is None or path.is_dir():
            continue
        subject = match["subject"]
        if subject in files:
            raise InputError(
                f"{path}: a second file for subject {subject}, beside {files[subject].name}; one is wanted. "
                f"Remove one, or make `{option}` ('{pattern}') narrower."
            )
        files[subject] = path
    if not files:
        raise InputError(f"{folder}: no file matches '{pattern}'. Correct `{option}` or the folder's contents.")
    return dict(sorted(files.items()))
