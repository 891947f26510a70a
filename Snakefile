# Do two groups of people drive a network's learning differently: in which layers, at which epochs?
# The configuration decides (config/README.md has every option). Data flow from top to bottom.

from snakemake.utils import min_version

min_version("9.27")


include: "workflow/rules/common.smk"
include: "workflow/rules/download.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/extraction.smk"
include: "workflow/rules/preprocessing.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/statistics.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/report.smk"


rule all:
    """Make every figure that the configuration asks for, the tables of runs and of claims, and the pages."""
    default_target: True
    input:
        FIGURES,
        RUNS_TABLE,
        CLAIMS,
        REPORT,
        EXPLORER,


rule downloads:
    """Download the open data that the configuration needs, on a machine with a network, before the analysis."""
    input:
        [f"{PATHS[name]}/{inputs.DOWNLOADED}" for name in DOWNLOADS],
