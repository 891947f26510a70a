"""Draw how two or three conditions differ in the shape of their spectra."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))
from autospec.jobs import job

with job(snakemake):
    from autospec.figures.conditions import draw_conditions
    from autospec.figures.style import save

    params = snakemake.params
    paths = list(snakemake.input.records)
    records = {level: paths[place * params.seeds :][: params.seeds] for place, level in enumerate(params.levels)}
    figure, table = draw_conditions(records, snakemake.input.cells, snakemake.input.overall)
    save(figure, table, Path(snakemake.output.pdf).with_suffix(""))
