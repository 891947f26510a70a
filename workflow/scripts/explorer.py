"""Write the explorer: one page that draws any group spectrum of the run."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))
from autospec.jobs import job

with job(snakemake):
    from autospec.report.explorer import write_explorer

    write_explorer(
        snakemake.output.explorer,
        Path(snakemake.scriptdir).parent / "report" / "explorer.html.j2",
        records=snakemake.input.records,
        groups=snakemake.input.overall,
    )
