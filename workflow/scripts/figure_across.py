"""Draw the effects of one kind of comparison in every network."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))
from autospec.jobs import job

with job(snakemake):
    from autospec.figures.across import draw_across
    from autospec.figures.style import save

    save(*draw_across(snakemake.input.overall), Path(snakemake.output.pdf).with_suffix(""))
