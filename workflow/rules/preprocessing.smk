# From raw files to one table a data set, its matched pairs, and the split of each seed.


rule preprocess:
    """Read a data set into one table with its quality control: FreeSurfer statistics, or time courses by
    dual regression (Nickerson et al. 2017, doi:10.3389/fnins.2017.00115) with confounds removed."""
    input:
        raw=raw,
        downloaded=downloaded,
        participants=participants,
        parts=extracted,
        library=lambda wildcards: library("scripts/preprocess.py", reader(wildcards)),
    output:
        data=f"{PREPARED}/data.parquet",
        features=f"{PREPARED}/features.tsv",
        qc=f"{PREPARED}/qc.tsv",
        dropped=f"{PREPARED}/dropped.tsv",
    log:
        f"{LOGS}/preprocess/{{dataset}}.log",
    benchmark:
        f"{LOGS}/preprocess/{{dataset}}.benchmark.tsv"
    conda:
        "../../envs/preprocessing.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(120),
    params:
        name="{dataset}",
        path=lambda wildcards: PATHS[wildcards.dataset],
        options=lambda wildcards: inputs.what_is_read(config["datasets"][wildcards.dataset]),
        fingerprint=fingerprint,
    script:
        "../scripts/preprocess.py"


rule pair:
    """Match people in pairs across the two groups, by optimal assignment within callipers
    (Rosenbaum 1989, doi:10.2307/2290079); who finds no partner is left out and told why."""
    input:
        data=f"{PREPARED}/data.parquet",
        library=library("scripts/pair.py"),
    output:
        pairs=f"{PREPARED}/pairs.tsv",
        balance=f"{PREPARED}/balance.tsv",
        unpaired=f"{PREPARED}/unpaired.tsv",
    log:
        f"{LOGS}/pair/{{dataset}}.log",
    benchmark:
        f"{LOGS}/pair/{{dataset}}.benchmark.tsv"
    conda:
        "../../envs/preprocessing.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        matching=lambda wildcards: config["datasets"][wildcards.dataset].get("matching", {}),
    script:
        "../scripts/pair.py"


rule split:
    """Give whole pairs to training or test, each site in its share, for every seed (or once, where that is fixed)."""
    input:
        pairs=f"{PREPARED}/pairs.tsv",
        data=f"{PREPARED}/data.parquet",
        trained=trained_scans,
        library=library("scripts/split.py"),
    output:
        splits=f"{PREPARED}/splits.tsv",
    log:
        f"{LOGS}/split/{{dataset}}.log",
    benchmark:
        f"{LOGS}/split/{{dataset}}.benchmark.tsv"
    conda:
        "../../envs/preprocessing.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        seeds=SEEDS[:1] if "split" in config["training"]["fixed"] else SEEDS,
        test_share=config["training"]["test_share"],
    script:
        "../scripts/split.py"


rule quality:
    """Describe the groups with a test for each variable (the usual first table of a paper), the distributions
    of measures and features, and functional connectivity; nobody is named."""
    input:
        data=f"{PREPARED}/data.parquet",
        qc=f"{PREPARED}/qc.tsv",
        pairs=f"{PREPARED}/pairs.tsv",
        library=library("scripts/quality.py"),
    output:
        groups=f"{PREPARED}/quality/groups.tsv",
        measures=f"{PREPARED}/quality/measures.tsv",
        features=f"{PREPARED}/quality/features.tsv",
        connectivity=f"{PREPARED}/quality/connectivity.tsv",
    log:
        f"{LOGS}/quality/{{dataset}}.log",
    benchmark:
        f"{LOGS}/quality/{{dataset}}.benchmark.tsv"
    conda:
        "../../envs/preprocessing.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        time_courses=lambda wildcards: config["datasets"][wildcards.dataset]["source"]
        in configuration.SEQUENCES,
    script:
        "../scripts/quality.py"
