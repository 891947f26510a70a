"""Estimate component maps on people who are left out of the data set."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))
from autospec.jobs import job

with job(snakemake):
    from autospec.data.extraction import find_cohort
    from autospec.data.group_ica import estimate, write_maps
    from autospec.tables import write_tsv

    options = snakemake.params.options
    folder = Path(snakemake.input.get("raw") or snakemake.params.path)
    maps, scans = estimate(options["ica"], folder, find_cohort(options, folder).estimated_on)
    write_maps(maps, snakemake.output.maps)
    write_tsv(scans, snakemake.output.scans)
