"""Draw the people and the data of one data set."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))
from autospec.jobs import job

with job(snakemake):
    from autospec.figures.quality import draw_quality
    from autospec.figures.style import save

    tables = {name: snakemake.input[name] for name in ("measures", "features", "connectivity")}
    drawn = draw_quality(snakemake.wildcards.dataset, **tables, source=snakemake.params.source)
    save(*drawn, Path(snakemake.output.pdf).with_suffix(""))
