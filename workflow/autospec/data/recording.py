"""One person's time courses as read, before anything is done to them."""

import dataclasses

import numpy as np


@dataclasses.dataclass
class Recording:
    """One person's time courses as read.

    Attributes
    ----------
    subject : str
    series : ndarray, shape (time, components)
    confounds : ndarray or None, shape (time, confounds)
    kept : ndarray of bool or None, shape (time,)
        False for censored volumes.
    lacking : ndarray of bool or None, shape (components,)
        Components to count as constant besides those that are.
    """

    subject: str
    series: np.ndarray
    confounds: np.ndarray | None = None
    kept: np.ndarray | None = None
    lacking: np.ndarray | None = None

    def volumes(self) -> int:
        """How many volumes are left when the censored ones are not counted."""
        return len(self.series) if self.kept is None else int(self.kept.sum())

    def crop(self, volumes: int) -> "Recording":
        """The beginning that holds so many volumes, the censored ones not counted."""
        end = volumes if self.kept is None else int(np.flatnonzero(self.kept)[volumes - 1]) + 1
        parts = {name: getattr(self, name) for name in ("series", "confounds", "kept")}
        return dataclasses.replace(self, **{name: part if part is None else part[:end] for name, part in parts.items()})
