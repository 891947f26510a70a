# Tests: of groups (people are the unit) and of conditions (trainings are the unit).


rule test_groups:
    """Test whether two groups drive learning differently, by swaps within matched pairs (Winkler et al. 2015,
    doi:10.1016/j.neuroimage.2015.05.092), and show the stability over trainings beside it."""
    input:
        records=run_files("run.json"),
        spectra=run_files("spectra.parquet"),
        labelings=run_files("labelings.parquet"),
        data=lambda wildcards: f"{OUT}/preprocessed/{dataset_of(wildcards.run)}/data.parquet",
        pairs=lambda wildcards: f"{OUT}/preprocessed/{dataset_of(wildcards.run)}/pairs.tsv",
        library=library("scripts/test_groups.py"),
    output:
        cells=f"{GROUP_TESTS}/cells.tsv",
        epochs=f"{GROUP_TESTS}/epochs.tsv",
        layers=f"{GROUP_TESTS}/layers.tsv",
        summaries=f"{GROUP_TESTS}/summaries.tsv",
        stability=f"{GROUP_TESTS}/stability.tsv",
        yardsticks=f"{GROUP_TESTS}/yardsticks.tsv",
        overall=f"{GROUP_TESTS}/overall.json",
    log:
        f"{LOGS}/test_groups/{{run}}.log",
    benchmark:
        f"{LOGS}/test_groups/{{run}}.benchmark.tsv"
    conda:
        "../../envs/statistics.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        statistics=config["statistics"],
    script:
        "../scripts/test_groups.py"


rule pairings:
    """Compare the declared pairing with stricter, looser and simpler ones: the pairs that they leave, their balance, and
    the tests of the inputs by swaps within them (Rosenbaum 1989, doi:10.2307/2290079)."""
    input:
        data=f"{PREPARED}/data.parquet",
        pairs=f"{PREPARED}/pairs.tsv",
        library=library("scripts/pairings.py"),
    output:
        pairings=f"{OUT}/statistics/pairings/{{dataset}}.tsv",
    log:
        f"{LOGS}/pairings/{{dataset}}.log",
    benchmark:
        f"{LOGS}/pairings/{{dataset}}.benchmark.tsv"
    conda:
        "../../envs/statistics.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        matching=lambda wildcards: config["datasets"][wildcards.dataset].get("matching", {}),
        labelings=config["statistics"]["labelings"],
        labelings_seed=config["statistics"]["labelings_seed"],
        correction=config["statistics"]["correction"],
    script:
        "../scripts/pairings.py"


rule directions:
    """Tell which inputs the first layer's gradients point to: leading right singular vectors of each group's gradients
    and of their difference, averaged as subspaces (AutoSpec: Baker, Calhoun and Plis 2024, arXiv 2406.11825).
    """
    input:
        records=run_files("run.json"),
        directions=run_files("directions.parquet"),
        features=lambda wildcards: f"{OUT}/preprocessed/{dataset_of(wildcards.run)}/features.tsv",
        library=library("scripts/directions.py"),
    output:
        directions=f"{GROUP_TESTS}/directions.tsv",
    log:
        f"{LOGS}/directions/{{run}}.log",
    benchmark:
        f"{LOGS}/directions/{{run}}.benchmark.tsv"
    conda:
        "../../envs/statistics.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    script:
        "../scripts/directions.py"


rule compare_conditions:
    """Compare tasks, activations or shapes on scale-free summaries of the gradient spectra, paired by seed, with
    Hedges' g (Hedges 1981, doi:10.3102/10769986006002107); three conditions are first tested together (Greenhouse
    and Geisser 1959, doi:10.1007/BF02289823)."""
    input:
        records=condition_records,
        spectra=lambda wildcards: condition_records(wildcards, "spectra.parquet"),
        library=library("scripts/compare_conditions.py"),
    output:
        cells=f"{CONDITION_TESTS}/cells.tsv",
        overall=f"{CONDITION_TESTS}/overall.json",
    log:
        f"{LOGS}/compare_conditions/{{kind}}/{{comparison}}.log",
    benchmark:
        f"{LOGS}/compare_conditions/{{kind}}/{{comparison}}.benchmark.tsv"
    conda:
        "../../envs/statistics.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        compared=lambda wildcards: grid.CONDITIONS[wildcards.kind][0],
        levels=levels,
        seeds=len(SEEDS),
        indices=config["statistics"]["indices"],
        alpha=config["statistics"]["alpha"],
        correction=config["statistics"]["correction"],
    script:
        "../scripts/compare_conditions.py"


rule claims:
    """Say of each claim about spectra whether it held on these data, and in two models or more by the partial
    conjunction of Benjamini and Heller (2008, doi:10.1111/j.1541-0420.2007.00984.x)."""
    input:
        groups=expand(f"{GROUP_TESTS}/overall.json", run=GROUP_RUNS),
        layers=expand(f"{GROUP_TESTS}/layers.tsv", run=GROUP_RUNS),
        conditions=[f"{OUT}/statistics/{kind}/{comparison}/overall.json" for kind, comparison in COMPARISONS],
        cells=[f"{OUT}/statistics/{kind}/{comparison}/cells.tsv" for kind, comparison in COMPARISONS],
        records=expand(f"{OUT}/runs/{{run}}/seed-{{seed}}/run.json", run=ALL_RUNS, seed=SEEDS),
        library=library("scripts/claims.py"),
    output:
        claims=CLAIMS,
    log:
        f"{LOGS}/claims/claims.log",
    benchmark:
        f"{LOGS}/claims/claims.benchmark.tsv"
    conda:
        "../../envs/statistics.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        alpha=config["statistics"]["alpha"],
    script:
        "../scripts/claims.py"
