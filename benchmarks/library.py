"""Imported before all else: one thread for the model, and the library of this checkout."""

import os
import sys
from pathlib import Path

# torch reads it when it is imported.
os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))
