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
            missing = length - len(self.mean)
            # r zeros in each of the earlier steps leave both moments at zero.
            self.mean, self.squares = np.pad(self.mean, (0, missing)), np.pad(self.squares, (0, missing))
        elif length < len(self.mean):
            values = np.pad(values, ((0, 0), (0, len(self.mean) - length)))
        mean = values.mean(axis=0)
        difference, total = mean - self.mean, self.steps + count
        self.squares = self.squares + ((values - mean) ** 2).sum(axis=0) + difference**2 * (self.steps * count / total)
        self.mean = self.mean + difference * (count / total)
        self.steps = total

    def deviation(self) -> np.ndarray:
        """Standard deviation over the steps (n in the denominator), (r,)."""
        return np.sqrt(self.squares / max(self.steps, 1))
