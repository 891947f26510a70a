"""Draw the group effects of one run layer by layer."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))
from autospec.jobs import job

with job(snakemake):
    from autospec.figures.effects import draw_effects
    from autospec.figures.style import save

    save(*draw_effects(snakemake.input.cells, snakemake.input.overall), Path(snakemake.output.pdf).with_suffix(""))
