"""Tell which inputs the first layer's gradients of one run point to."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))
from autospec.jobs import job

with job(snakemake):
    from autospec.statistics.directions import leading_inputs
    from autospec.tables import read_json, read_tsv, write_tsv

    records = {Path(path).parent: read_json(path) for path in snakemake.input.records}
    features = read_tsv(snakemake.input.features, dtype=str)["feature"]
    simulated = next(iter(records.values()))["simulated"]
    write_tsv(leading_inputs(records, features).assign(simulated=simulated), snakemake.output.directions)
