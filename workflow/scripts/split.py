"""Give whole pairs to training or test, for every seed."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))
from autospec.jobs import job

with job(snakemake):
    from autospec.data.dataset import read_dataset
    from autospec.data.splits import split_pairs
    from autospec.tables import read_tsv, write_tsv

    splits = split_pairs(
        read_tsv(snakemake.input.pairs, dtype={"subject": str}),
        read_dataset(snakemake.input.data).people,
        snakemake.params.seeds,
        snakemake.params.test_share,
    )
    write_tsv(splits, snakemake.output.splits)
