# Simulated cohorts, written in the formats that real ones come in.


rule simulate_freesurfer:
    """Write a simulated FreeSurfer SUBJECTS_DIR; group effects as published by ENIGMA
    (van Erp et al. 2016, doi:10.1038/mp.2015.63; van Erp et al. 2018, doi:10.1016/j.biopsych.2018.04.023)."""
    input:
        library=library("scripts/simulate_freesurfer.py"),
    output:
        folder=directory(f"{OUT}/raw/{{dataset}}"),
    log:
        f"{LOGS}/simulate_freesurfer/{{dataset}}.log",
    benchmark:
        f"{LOGS}/simulate_freesurfer/{{dataset}}.benchmark.tsv"
    wildcard_constraints:
        dataset=simulated("freesurfer"),
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        simulate=lambda wildcards: config["datasets"][wildcards.dataset]["simulate"],
    script:
        "../scripts/simulate_freesurfer.py"


rule simulate_fmri:
    """Write a simulated resting-state cohort: 4-d NIfTI, confounds and component maps, with thalamic
    dysconnectivity as published for schizophrenia (Anticevic et al. 2014, doi:10.1093/cercor/bht165)."""
    input:
        library=library("scripts/simulate_fmri.py"),
    output:
        folder=directory(f"{OUT}/raw/{{dataset}}"),
    log:
        f"{LOGS}/simulate_fmri/{{dataset}}.log",
    benchmark:
        f"{LOGS}/simulate_fmri/{{dataset}}.benchmark.tsv"
    wildcard_constraints:
        dataset=simulated("fmri"),
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        simulate=lambda wildcards: config["datasets"][wildcards.dataset]["simulate"],
    script:
        "../scripts/simulate_fmri.py"
