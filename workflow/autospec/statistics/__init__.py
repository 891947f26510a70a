"""From the tables of runs to tests. Needs no torch."""
