"""Running means of spectra over the observed steps of an epoch (Welford's method, by blocks of steps)."""

import numpy as np


class RunningSpectrum:
    """Mean and standard deviation of one spectrum over steps, in float64.

    Steps may give spectra of different lengths (a last, smaller batch has fewer rows): the
    missing values are zero singular values.
    """

    def __init__(self):
        self.steps = 0
        self.mean = np.zeros(0)
        self.squares = np.zeros(0)

    def add(self, values: np.ndarray) -> None:
        """Take the spectra of k steps, (k, r)."""
        count, length = values.shape
        if length > len(self.mean):
            self.mean, self.squares = _lengthened(self.mean, length), _lengthened(self.squares, length)
        elif length < len(self.mean):
            values = _lengthened(values, len(self.mean))
        mean = values.mean(axis=0)
        difference, total = mean - self.mean, self.steps + count
        self.squares = self.squares + ((values - mean) ** 2).sum(axis=0) + difference**2 * (self.steps * count / total)
        self.mean = self.mean + difference * (count / total)
        self.steps = total

    def deviation(self) -> np.ndarray:
        """Standard deviation over the steps (n in the denominator), (r,)."""
        return np.sqrt(self.squares / max(self.steps, 1))


def _lengthened(spectra: np.ndarray, length: int) -> np.ndarray:
    """Spectra (..., r) with zeros behind; one that is not finite is so throughout."""
    missing = length - spectra.shape[-1]
    behind = np.where(np.isnan(spectra).any(axis=-1, keepdims=True), np.nan, 0.0)
    return np.concatenate([spectra, np.repeat(behind, missing, axis=-1)], axis=-1)
