"""Draw the learning curves of one run."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))
from autospec.jobs import job

with job(snakemake):
    from autospec.figures.learning import draw_learning
    from autospec.figures.style import save

    save(*draw_learning(snakemake.input.records), Path(snakemake.output.pdf).with_suffix(""))
