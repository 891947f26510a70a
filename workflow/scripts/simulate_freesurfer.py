"""Write a simulated FreeSurfer cohort."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))

from autospec.jobs import job

with job(snakemake):
    from autospec.data.simulate_freesurfer import write_cohort

    write_cohort(snakemake.output.folder, **snakemake.params.simulate)
