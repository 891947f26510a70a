"""Draw where and when the two groups of one run differ."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))
from autospec.jobs import job

with job(snakemake):
    from autospec.figures.groups import draw_groups
    from autospec.figures.style import save

    names = ("records", "cells", "layers", "stability", "overall")
    figure, table = draw_groups(**{name: snakemake.input[name] for name in names})
    save(figure, table, Path(snakemake.output.pdf).with_suffix(""))
