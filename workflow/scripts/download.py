"""Download open data into one folder."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))
from autospec.jobs import job

with job(snakemake):
    from autospec.data.download_sources import get
    from autospec.tables import write_tsv

    write_tsv(get(snakemake.params.names, snakemake.wildcards.folder), snakemake.output.files)
