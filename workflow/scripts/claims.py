"""Judge the paper's claims on this data."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))
from autospec.jobs import job

with job(snakemake):
    from autospec.statistics.claims import judge_claims
    from autospec.tables import read_json, read_tsv, write_tsv

    # What belongs to a result lies beside its overall.json.
    groups = [(read_json(path), read_tsv(Path(path).with_name("layers.tsv"))) for path in snakemake.input.groups]
    conditions = [(read_json(path), read_tsv(Path(path).with_name("cells.tsv"))) for path in snakemake.input.conditions]
    records = [read_json(path) for path in snakemake.input.records]
    write_tsv(judge_claims(groups, conditions, records, snakemake.params.alpha), snakemake.output.claims)
