"""Draw the groups' spectra of one run by epoch and index, and where they differ."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))
from autospec.jobs import job

with job(snakemake):
    from autospec.figures.epochs import draw_epochs
    from autospec.figures.style import save

    figure, table = draw_epochs(snakemake.input.records, snakemake.input.epochs, snakemake.input.overall)
    save(figure, table, Path(snakemake.output.pdf).with_suffix(""))
