"""Match people of the two groups in pairs."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))
from autospec.jobs import job

with job(snakemake):
    from autospec.data.dataset import read_dataset
    from autospec.data.pairing import pair_people, unpaired_people
    from autospec.tables import write_tsv

    dataset, matching = read_dataset(snakemake.input.data), snakemake.params.matching
    pairs, balance = pair_people(dataset, **matching)
    write_tsv(pairs, snakemake.output.pairs)
    write_tsv(balance, snakemake.output.balance)
    write_tsv(unpaired_people(dataset, pairs, **matching), snakemake.output.unpaired)
