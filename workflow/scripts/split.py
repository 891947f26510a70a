"""Give whole pairs to training or test, for every seed."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))
from autospec.jobs import job

with job(snakemake):
    from autospec.data.dataset import read_dataset
    from autospec.data.splits import check_untested, split_pairs
    from autospec.tables import read_tsv, write_tsv

    pairs = read_tsv(snakemake.input.pairs, dtype={"subject": str})
    people = read_dataset(snakemake.input.data).people
    splits = split_pairs(pairs, people, snakemake.params.seeds, snakemake.params.test_share)
    if snakemake.input.trained:
        check_untested(splits, pairs, people, read_tsv(snakemake.input.trained, dtype={"person": str})["person"])
    write_tsv(splits, snakemake.output.splits)
