"""Draw the spectra of one run over training."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))
from autospec.jobs import job

with job(snakemake):
    from autospec.figures.spectra import draw_spectra
    from autospec.figures.style import save

    save(*draw_spectra(snakemake.input.records), Path(snakemake.output.pdf).with_suffix(""))
