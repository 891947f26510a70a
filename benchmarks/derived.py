"""Configurations that programs here make of others."""

from pathlib import Path

import yaml

from autospec.tables import atomic_path


def write_configuration(config: dict, path: Path) -> None:
    """Write a configuration whole or not at all, in a folder that is made where it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), encoding="utf-8")
