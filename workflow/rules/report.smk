# The pages that open from disk.


rule report:
    """Write one page: figures with captions, the claims, who was left out and why, and versions."""
    input:
        figures=[path for path in FIGURES if path.endswith(".svg")],
        claims=CLAIMS,
        overall=expand(f"{GROUP_TESTS}/overall.json", run=GROUP_RUNS),
        layers=expand(f"{GROUP_TESTS}/layers.tsv", run=GROUP_RUNS),
        summaries=expand(f"{GROUP_TESTS}/summaries.tsv", run=GROUP_RUNS),
        yardsticks=expand(f"{GROUP_TESTS}/yardsticks.tsv", run=GROUP_RUNS),
        conditions=[f"{OUT}/statistics/{kind}/{comparison}/overall.json" for kind, comparison in COMPARISONS],
        cells=[f"{OUT}/statistics/{kind}/{comparison}/cells.tsv" for kind, comparison in COMPARISONS],
        records=expand(f"{OUT}/runs/{{run}}/seed-{{seed}}/run.json", run=ALL_RUNS, seed=SEEDS),
        pairings=expand(
            f"{OUT}/statistics/pairings/{{dataset}}.tsv", dataset=dict.fromkeys(map(dataset_of, GROUP_RUNS))
        ),
        dropped=expand(f"{PREPARED}/dropped.tsv", dataset=PATHS),
        unpaired=expand(f"{PREPARED}/unpaired.tsv", dataset=PATHS),
        balance=expand(f"{PREPARED}/balance.tsv", dataset=PATHS),
        quality=expand(f"{PREPARED}/quality/groups.tsv", dataset=PATHS),
        templates=templates("macros.html.j2", "report.html.j2", "report.js", "style.css"),
        captions=expand(f"{ROOT}/workflow/report/{{kind}}.rst", kind=CAPTIONS),
        library=library("scripts/report.py"),
    output:
        report=REPORT,
    log:
        f"{LOGS}/report/report.log",
    benchmark:
        f"{LOGS}/report/report.benchmark.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        options={name: config["datasets"][name] for name in PATHS},
        snakemake=SNAKEMAKE,
    script:
        "../scripts/report.py"


rule explorer:
    """Write the page that draws the spectrum of any layer, quantity and epoch, with the test at that place."""
    input:
        records=expand(f"{OUT}/runs/{{run}}/seed-{{seed}}/run.json", run=ALL_RUNS, seed=SEEDS),
        spectra=expand(f"{OUT}/runs/{{run}}/seed-{{seed}}/spectra.parquet", run=ALL_RUNS, seed=SEEDS),
        overall=expand(f"{GROUP_TESTS}/overall.json", run=GROUP_RUNS),
        tables=expand(f"{GROUP_TESTS}/{{name}}.tsv", run=GROUP_RUNS, name=["cells", "epochs", "layers"]),
        templates=templates("explorer.html.j2", "explorer.js", "macros.html.j2", "style.css"),
        library=library("scripts/explorer.py"),
    output:
        explorer=EXPLORER,
    log:
        f"{LOGS}/explorer/explorer.log",
    benchmark:
        f"{LOGS}/explorer/explorer.benchmark.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    script:
        "../scripts/explorer.py"
