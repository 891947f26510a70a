"""Draw which share of the training time spectra took."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))
from autospec.jobs import job

with job(snakemake):
    from autospec.figures.models import draw_cost
    from autospec.figures.style import save

    save(*draw_cost(snakemake.input.records), Path(snakemake.output.pdf).with_suffix(""))
