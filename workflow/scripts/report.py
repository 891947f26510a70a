"""Write the report: one page with every figure inside it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))
from autospec.jobs import job

with job(snakemake):
    from autospec.report.page import write_report

    names = ("claims", "overall", "layers", "summaries", "yardsticks", "conditions", "cells", "balance", "unpaired")
    write_report(
        snakemake.output.report,
        Path(snakemake.scriptdir).parent / "report" / "report.html.j2",
        options=snakemake.params.options,
        snakemake=snakemake.params.snakemake,
        **{name: snakemake.input[name] for name in (*names, "pairings", "quality", "dropped", "records", "figures")},
    )
