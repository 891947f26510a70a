"""Draw the same summaries in every network."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))
from autospec.jobs import job

with job(snakemake):
    from autospec.figures.models import draw_models
    from autospec.figures.style import save

    save(*draw_models(snakemake.input.records), Path(snakemake.output.pdf).with_suffix(""))
