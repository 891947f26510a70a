"""Describe the people and the data of one data set: groups, measures, features, connectivity."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))
from autospec.jobs import job

with job(snakemake):
    import pandas as pd

    from autospec.data import quality_tables as tables
    from autospec.data.dataset import read_dataset
    from autospec.tables import read_tsv, write_tsv

    dataset = read_dataset(snakemake.input.data)
    people, measures = tables.people_with_measures(dataset, read_tsv(snakemake.input.qc, dtype={"subject": str}))
    subjects = read_tsv(snakemake.input.pairs, dtype={"subject": str})["subject"]
    paired = dataset.people.loc[dataset.people["subject"].isin(subjects), "person"]
    connected = snakemake.params.time_courses and len(dataset.features) > 1
    frames = {
        "groups": tables.group_table(people, paired, dataset.groups, measures),
        "measures": tables.measure_table(people, paired, dataset.groups, measures),
        "features": tables.feature_table(dataset, snakemake.params.time_courses),
        "connectivity": tables.connectivity_table(dataset, subjects)
        if connected
        else pd.DataFrame(columns=["first", "second", "reference", "other", "difference"]),
    }
    frames["connectivity"] = frames["connectivity"].round(6)  # as many digits as anyone needs, in a long table
    for name, frame in frames.items():
        write_tsv(frame.assign(simulated=dataset.simulated), snakemake.output[name])
