"""Match people of the two groups in pairs."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))
from autospec.jobs import job

with job(snakemake):
    from autospec.data.dataset import read_dataset
    from autospec.data.pairing import pair_people
    from autospec.tables import write_tsv

    pairs, balance = pair_people(read_dataset(snakemake.input.data), **snakemake.params.matching)
    write_tsv(pairs, snakemake.output.pairs)
    write_tsv(balance, snakemake.output.balance)
