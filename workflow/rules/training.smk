# One job trains all seeds of a configuration.


rule train:
    """Train a network once a seed and record the spectra of its activations, adjoints and gradients for
    each group (AutoSpec: Baker, Calhoun and Plis 2024, arXiv 2406.11825), and for every labeling of the pairs
    where groups are tested.
    """
    input:
        data=f"{PREPARED}/data.parquet",
        pairs=f"{PREPARED}/pairs.tsv",
        splits=f"{PREPARED}/splits.tsv",
        library=library("scripts/train.py"),
    output:
        spectra=expand(f"{OUT}/runs/{RUN}/seed-{{seed}}/spectra.parquet", seed=SEEDS, allow_missing=True),
        labelings=expand(f"{OUT}/runs/{RUN}/seed-{{seed}}/labelings.parquet", seed=SEEDS, allow_missing=True),
        directions=expand(
            f"{OUT}/runs/{RUN}/seed-{{seed}}/directions.parquet", seed=SEEDS, allow_missing=True
        ),
        metrics=expand(f"{OUT}/runs/{RUN}/seed-{{seed}}/metrics.parquet", seed=SEEDS, allow_missing=True),
        records=expand(f"{OUT}/runs/{RUN}/seed-{{seed}}/run.json", seed=SEEDS, allow_missing=True),
    log:
        f"{LOGS}/train/{RUN}.log",
    benchmark:
        f"{LOGS}/train/{RUN}.benchmark.tsv"
    conda:
        "../../envs/training.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(240),
        gpu=0,  # what a cluster is asked for; the job takes the device that it finds
    params:
        dataset="{dataset}",
        model="{model}",
        task="{task}",
        activation="{activation}",
        shape="{shape}",
        seeds=SEEDS,
        model_options=lambda wildcards: config["models"][wildcards.model],
        training=config["training"],
        statistics=recorded,
        preparation=preparation,
        checkpoints="checkpoints",
    script:
        "../scripts/train.py"


rule runs:
    """List every run with how it ended, its time and memory, the shares of them that went to spectra and to
    labelings, and its final metrics.
    """
    input:
        records=expand(f"{OUT}/runs/{{run}}/seed-{{seed}}/run.json", run=ALL_RUNS, seed=SEEDS),
        metrics=expand(f"{OUT}/runs/{{run}}/seed-{{seed}}/metrics.parquet", run=ALL_RUNS, seed=SEEDS),
        library=library("scripts/list_runs.py"),
    output:
        runs=RUNS_TABLE,
    log:
        f"{LOGS}/runs/runs.log",
    benchmark:
        f"{LOGS}/runs/runs.benchmark.tsv"
    conda:
        "../../envs/training.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(30),
    script:
        "../scripts/list_runs.py"
