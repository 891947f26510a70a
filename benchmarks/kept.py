"""What a long run has measured so far, in a file, so that a run that was stopped goes on where it was."""

import json
from pathlib import Path


class Kept:
    """Rows of tables by model, written as they are added.

    Parameters
    ----------
    path : str or None
        A file, read if it is there; None keeps nothing beyond this run.
    settings : dict
        How it is measured, and on what: what was measured otherwise is measured again.

    Attributes
    ----------
    models : dict of str to dict
        By model, its rows in each table and the seconds that measuring took.
    """

    def __init__(self, path: str | None, settings: dict):
        self.path, self.settings = Path(path) if path else None, settings
        self.models: dict[str, dict] = {}
        if self.path and self.path.exists():
            found = json.loads(self.path.read_text(encoding="utf-8"))
            if found["settings"] == settings:
                self.models = found["models"]

    def add(self, model: str, measured: dict) -> None:
        """Keep what was measured of a model."""
        self.models[model] = measured
        if self.path:
            beside = self.path.with_name(f"{self.path.name}.new")
            beside.write_text(json.dumps({"settings": self.settings, "models": self.models}), encoding="utf-8")
            beside.replace(self.path)
