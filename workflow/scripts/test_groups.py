"""Test one run's groups: swaps within pairs, stability over trainings, yardsticks on the inputs."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))
from autospec.jobs import job

with job(snakemake):
    import numpy as np

    from autospec.data.dataset import read_dataset
    from autospec.data.pairing import draw_swaps, paired_values
    from autospec.data.splits import pairs_somewhere_kept
    from autospec.statistics.epochs import compare_epochs
    from autospec.statistics.stability import stability_over_trainings
    from autospec.statistics.swaps import compare_groups
    from autospec.statistics.whole_spectra import compare_summaries
    from autospec.statistics.yardsticks import compare_inputs
    from autospec.tables import read_json, read_tsv, write_json, write_tsv

    options = snakemake.params.statistics
    level = {name: options[name] for name in ("alpha", "correction")}
    records = {Path(path).parent: read_json(path) for path in snakemake.input.records}
    pairs = read_tsv(snakemake.input.pairs, dtype={"subject": str})

    cells, layers, overall = compare_groups(records, **level)
    stability = stability_over_trainings(records, options["indices"], **level)
    swaps = draw_swaps(pairs, options["labelings"], options["labelings_seed"])
    kept = pairs_somewhere_kept(pairs, [record["left_out"]["pairs"] for record in records.values()])
    reference, other = paired_values(read_dataset(snakemake.input.data), kept)
    yardsticks = compare_inputs(reference, other, swaps[:, np.unique(kept["pair"])], options["correction"])
    matches = kept["match"].nunique()
    tables = {
        "cells": cells,
        "epochs": compare_epochs(records, options["alpha"]),
        "layers": layers,
        "summaries": compare_summaries(records, **level),
        "stability": stability,
        "yardsticks": yardsticks,
    }
    for name, table in tables.items():
        told = {"n_pairs": matches, "exact": overall["exact"], "simulated": overall["simulated"]}
        write_tsv(table.assign(**told), getattr(snakemake.output, name))
    inputs = dict(zip(yardsticks["name"], yardsticks["p"].tolist(), strict=True))
    write_json(overall | {"pairs": matches, "inputs": inputs}, snakemake.output.overall)
