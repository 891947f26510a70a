"""Draw chosen singular values and summaries of one run over training."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))
from autospec.jobs import job

with job(snakemake):
    from autospec.figures.style import save
    from autospec.figures.trajectories import draw_trajectories

    save(*draw_trajectories(snakemake.input.records), Path(snakemake.output.pdf).with_suffix(""))
