"""Take the time courses of one part of the people from their scans."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))
from autospec.jobs import job

with job(snakemake):
    from autospec.data.extracted import write_extracted
    from autospec.data.extraction import extract_part

    extracted = extract_part(
        snakemake.params.options,
        snakemake.input.get("raw") or snakemake.params.path,
        int(snakemake.wildcards.part) - 1,
        int(snakemake.wildcards.parts),
        snakemake.input.get("maps") or None,
    )
    write_extracted(extracted, snakemake.output.part)
