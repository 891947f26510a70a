"""Estimate component maps on people who are left out of the data set, or on those whom networks are trained on."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))
from autospec.jobs import job

with job(snakemake):
    from autospec.data.extraction import find_cohort
    from autospec.data.group_ica import estimate, write_maps
    from autospec.data.training_people import training_people
    from autospec.tables import write_tsv

    options = snakemake.params.options
    folder = Path(snakemake.input.get("raw") or snakemake.params.path)
    cohort = find_cohort(options, folder)
    if snakemake.params.training is None:
        maps, scans = estimate(options["ica"], folder, cohort.estimated_on)
    else:
        people = training_people(options, cohort, **snakemake.params.training)
        maps, scans = estimate(options["ica"], folder, [cohort.scans[subject] for subject in people["subject"]])
        scans = scans.assign(person=people["person"])
    write_maps(maps, snakemake.output.maps)
    write_tsv(scans, snakemake.output.scans)
