"""List every run: how it ended, what it cost, how well it learned."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))
from autospec.jobs import job

with job(snakemake):
    from autospec.tables import write_tsv
    from autospec.training.listing import list_runs

    write_tsv(list_runs(snakemake.input.records), snakemake.output.runs)
