"""Write a simulated resting-state cohort."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))  # noqa: F821
from autospec.jobs import job  # noqa: E402

with job(snakemake):  # noqa: F821
    from autospec.data.simulate_fmri import write_cohort

    write_cohort(snakemake.output.folder, **snakemake.params.simulate)  # noqa: F821
