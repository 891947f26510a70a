"""Running means of spectra over the observed steps of an epoch (Welford's method)."""

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
        """Take one step's spectrum, (r,)."""
        if len(values) > len(self.mean):
            missing = len(values) - len(self.mean)
            # r zeros in each of the earlier steps leave both moments at zero.
            self.mean, self.squares = np.pad(self.mean, (0, missing)), np.pad(self.squares, (0, missing))
        elif len(values) < len(self.mean):
            values = np.pad(values, (0, len(self.mean) - len(values)))
        self.steps += 1
        difference = values - self.mean
        self.mean = self.mean + difference / self.steps
        self.squares = self.squares + difference * (values - self.mean)

    def deviation(self) -> np.ndarray:
        """Standard deviation over the steps (n in the denominator), (r,)."""
        return np.sqrt(self.squares / max(self.steps, 1))
