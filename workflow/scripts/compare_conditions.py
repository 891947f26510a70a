"""Compare tasks, activations or shapes across seeds."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))
from autospec.jobs import job

with job(snakemake):
    from autospec.statistics.conditions import compare_conditions
    from autospec.tables import read_json, write_json, write_tsv

    params = snakemake.params
    # The records of each condition, one after another, as many as there are seeds.
    folders = [Path(path).parent for path in snakemake.input.records]
    levels = {
        level: {folder: read_json(folder / "run.json") for folder in folders[place * params.seeds :][: params.seeds]}
        for place, level in enumerate(params.levels)
    }
    cells, overall = compare_conditions(params.compared, levels, params.indices, params.alpha, params.correction)
    write_tsv(cells, snakemake.output.cells)
    write_json(overall, snakemake.output.overall)
