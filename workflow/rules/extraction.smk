# From 4-d scans to time courses, in parts of several people each.


rule estimate_components:
    """Estimate component maps by a group ICA (CanICA: Varoquaux et al. 2010,
    doi:10.1016/j.neuroimage.2010.02.010) on people who are then left out, or on those whom networks are trained on.
    """
    input:
        raw=raw,
        downloaded=downloaded,
        participants=participants,
        library=library("scripts/estimate_components.py"),
    output:
        maps=f"{PREPARED}/component_maps.nii.gz",
        scans=f"{PREPARED}/component_scans.tsv",
    log:
        f"{LOGS}/estimate_components/{{dataset}}.log",
    benchmark:
        f"{LOGS}/estimate_components/{{dataset}}.benchmark.tsv"
    conda:
        "../../envs/preprocessing.yaml"
    threads: 1
    resources:
        mem_mb=growing(8000),
        runtime=growing(240),
    params:
        path=lambda wildcards: PATHS[wildcards.dataset],
        options=lambda wildcards: inputs.what_is_extracted(config["datasets"][wildcards.dataset]),
        training=lambda wildcards: inputs.what_decides_training(config, wildcards.dataset),
        fingerprint=fingerprint,
    script:
        "../scripts/estimate_components.py"


rule extract:
    """Take time courses from the scans of one part of the people: by dual regression onto component maps
    (Nickerson et al. 2017, doi:10.3389/fnins.2017.00115), or as means of an atlas' regions."""
    input:
        raw=raw,
        downloaded=downloaded,
        participants=participants,
        maps=estimated_maps,
        library=library("scripts/extract.py"),
    output:
        part=f"{PREPARED}/extracted/{{part}}-of-{{parts}}.parquet",
    log:
        f"{LOGS}/extract/{{dataset}}/{{part}}-of-{{parts}}.log",
    benchmark:
        f"{LOGS}/extract/{{dataset}}/{{part}}-of-{{parts}}.benchmark.tsv"
    conda:
        "../../envs/preprocessing.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(240),
    params:
        path=lambda wildcards: PATHS[wildcards.dataset],
        options=lambda wildcards: inputs.what_is_extracted(config["datasets"][wildcards.dataset]),
        fingerprint=fingerprint,
    script:
        "../scripts/extract.py"
