"""Judge the paper's claims on this data."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))
from autospec.jobs import job

with job(snakemake):
    from autospec.statistics.claims import judge_claims
    from autospec.tables import read_json, read_tsv, write_tsv

    # The layers of a run lie beside its overall.json.
    layers = {Path(path).parent: read_tsv(path) for path in snakemake.input.layers}
    groups = [(read_json(path), layers[Path(path).parent]) for path in snakemake.input.overall]
    tasks = [read_tsv(path) for path in snakemake.input.tasks]
    write_tsv(judge_claims(groups, tasks, snakemake.params.alpha), snakemake.output.claims)
