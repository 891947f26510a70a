"""Compare the declared pairing with others: what they do to the pairs, and to the tests of the inputs."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))
from autospec.jobs import job

with job(snakemake):
    import pandas as pd

    from autospec.data.dataset import read_dataset
    from autospec.data.other_pairings import describe_pairing, other_matchings
    from autospec.data.pairing import draw_swaps, paired_values
    from autospec.statistics.yardsticks import compare_inputs
    from autospec.tables import read_tsv, write_tsv

    params = snakemake.params
    dataset = read_dataset(snakemake.input.data)
    primary = read_tsv(snakemake.input.pairs, dtype={"subject": str})
    tables = []
    for name, matching in other_matchings(params.matching).items():
        row, pairs = describe_pairing(dataset, matching, primary)
        tests = pd.DataFrame({"name": [""]})
        if pairs is not None:
            swaps = draw_swaps(pairs, params.labelings, params.labelings_seed)
            tests = compare_inputs(*paired_values(dataset, pairs), swaps, params.correction)
        tables.append(tests.rename(columns={"name": "test", "P": "labelings"}).assign(matching=name, **row))
    table = pd.concat(tables, ignore_index=True)
    columns = ["matching", *row, *(name for name in table if name != "matching" and name not in row)]
    write_tsv(table[columns].assign(simulated=dataset.simulated), snakemake.output.pairings)
