"""Data set + model + monitor -> the tables of a run."""
