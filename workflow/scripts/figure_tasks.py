"""Draw how two tasks differ in the shape of their spectra."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))
from autospec.jobs import job

with job(snakemake):
    from autospec.figures.style import save
    from autospec.figures.tasks import draw_tasks

    names = ("autoencoding", "classification", "cells")
    figure, table = draw_tasks(**{name: snakemake.input[name] for name in names})
    save(figure, table, Path(snakemake.output.pdf).with_suffix(""))
