"""Train all seeds of one configuration, with the spectra of each."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))
from autospec.jobs import job

with job(snakemake):
    from autospec.training.runs import train_seeds

    train_seeds(
        files={name: snakemake.input[name] for name in ("data", "pairs", "splits")},
        identity={name: snakemake.params[name] for name in ("dataset", "model", "task", "activation", "shape")},
        seeds=snakemake.params.seeds,
        settings={name: snakemake.params[name] for name in ("model_options", "training", "statistics", "preparation")},
        folders=[str(Path(record).parent) for record in snakemake.output.records],
        checkpoints=snakemake.params.checkpoints,
        threads=snakemake.threads,
    )
