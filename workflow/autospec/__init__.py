"""AutoSpec: where, and when, a network learns differently from two groups of people.

``SpectralMonitor`` is imported on first use, so that the parts which need no torch
(statistics, figures) run in environments that do not hold it.
"""

__all__ = ["SpectralMonitor", "__version__"]
__version__ = "0.1.0"


def __getattr__(name: str):
    if name == "SpectralMonitor":
        from autospec.spectra.monitor import SpectralMonitor

        return SpectralMonitor
    raise AttributeError(f"module 'autospec' has no attribute {name!r}")
