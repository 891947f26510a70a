"""Compare auto-encoding with classification across seeds."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))
from autospec.jobs import job

with job(snakemake):
    from autospec.statistics.tasks import compare_tasks
    from autospec.tables import read_json, write_tsv

    autoencoding, classification = (
        {Path(path).parent: read_json(path) for path in paths}
        for paths in (snakemake.input.autoencoding, snakemake.input.classification)
    )
    params = snakemake.params
    cells = compare_tasks(autoencoding, classification, params.indices, params.alpha, params.correction)
    write_tsv(cells, snakemake.output.cells)
