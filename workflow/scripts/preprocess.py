"""Read one data set, check it, and write it with its quality table and what was left out."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))

from autospec.jobs import job

with job(snakemake):
    from autospec.data.dataset import feature_table, write_dataset
    from autospec.data.sources import read
    from autospec.tables import write_tsv

    path = snakemake.input.get("raw") or snakemake.params.path
    parts = snakemake.input.get("parts", ())
    dataset, quality, dropped = read(snakemake.params.name, snakemake.params.options, path, parts)
    write_dataset(dataset, snakemake.output.data)
    write_tsv(feature_table(dataset), snakemake.output.features)
    write_tsv(quality, snakemake.output.qc)
    write_tsv(dropped, snakemake.output.dropped)
