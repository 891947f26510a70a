# Every figure is a PDF, an SVG and a PNG, with the table behind it.


rule figure_spectra:
    """Draw the spectra over training, for each layer and group (AutoSpec: Baker, Calhoun and Plis 2024,
    arXiv 2406.11825)."""
    input:
        records=run_files("run.json"),
        spectra=run_files("spectra.parquet"),
        library=library("scripts/figure_spectra.py"),
    output:
        **figure_files("spectra", "{run}", "Spectra over training"),
    log:
        f"{LOGS}/figure_spectra/{{run}}.log",
    benchmark:
        f"{LOGS}/figure_spectra/{{run}}.benchmark.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    script:
        "../scripts/figure_spectra.py"


rule figure_learning:
    """Draw the learning curves: loss and score of training and test people over epochs."""
    input:
        records=run_files("run.json"),
        metrics=run_files("metrics.parquet"),
        library=library("scripts/figure_learning.py"),
    output:
        **figure_files("learning", "{run}", "Learning curves"),
    log:
        f"{LOGS}/figure_learning/{{run}}.log",
    benchmark:
        f"{LOGS}/figure_learning/{{run}}.benchmark.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    script:
        "../scripts/figure_learning.py"


rule figure_groups:
    """Draw where two groups drive learning differently: layers by indices, with the cells marked that the
    swap test within pairs calls significant (Winkler et al. 2015, doi:10.1016/j.neuroimage.2015.05.092)."""
    input:
        records=run_files("run.json"),
        spectra=run_files("spectra.parquet"),
        cells=f"{GROUP_TESTS}/cells.tsv",
        layers=f"{GROUP_TESTS}/layers.tsv",
        stability=f"{GROUP_TESTS}/stability.tsv",
        overall=f"{GROUP_TESTS}/overall.json",
        library=library("scripts/figure_groups.py"),
    output:
        **figure_files("groups", "{run}", "Where groups differ"),
    log:
        f"{LOGS}/figure_groups/{{run}}.log",
    benchmark:
        f"{LOGS}/figure_groups/{{run}}.benchmark.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    script:
        "../scripts/figure_groups.py"


rule figure_conditions:
    """Draw how tasks, activations or shapes differ in each layer or third of the depth, paired by seed."""
    input:
        records=condition_records,
        spectra=lambda wildcards: condition_records(wildcards, "spectra.parquet"),
        cells=f"{CONDITION_TESTS}/cells.tsv",
        overall=f"{CONDITION_TESTS}/overall.json",
        library=library("scripts/figure_conditions.py"),
    output:
        **figure_files("{kind}", "{comparison}", "Conditions compared: {kind}", caption="conditions"),
    log:
        f"{LOGS}/figure_conditions/{{kind}}/{{comparison}}.log",
    benchmark:
        f"{LOGS}/figure_conditions/{{kind}}/{{comparison}}.benchmark.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        levels=levels,
        seeds=len(SEEDS),
    script:
        "../scripts/figure_conditions.py"


rule figure_across:
    """Draw the effects of one kind of comparison in every network, side by side."""
    input:
        overall=lambda wildcards: [
            f"{OUT}/statistics/{wildcards.kind}/{name}/overall.json" for name in CONDITIONS[wildcards.kind]
        ],
        cells=lambda wildcards: [
            f"{OUT}/statistics/{wildcards.kind}/{name}/cells.tsv" for name in CONDITIONS[wildcards.kind]
        ],
        library=library("scripts/figure_across.py"),
    output:
        **figure_files("across", "{kind}", "Every network"),
    log:
        f"{LOGS}/figure_across/{{kind}}.log",
    benchmark:
        f"{LOGS}/figure_across/{{kind}}.benchmark.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    script:
        "../scripts/figure_across.py"


rule figure_models:
    """Draw the same scale-free summaries of gradient spectra in every network, side by side."""
    input:
        records=lambda wildcards: expand(
            f"{OUT}/runs/{{run}}/seed-{{seed}}/run.json", run=MODELS[wildcards.task], seed=SEEDS
        ),
        spectra=lambda wildcards: expand(
            f"{OUT}/runs/{{run}}/seed-{{seed}}/spectra.parquet", run=MODELS[wildcards.task], seed=SEEDS
        ),
        library=library("scripts/figure_models.py"),
    output:
        **figure_files("models", "{task}", "Every network"),
    log:
        f"{LOGS}/figure_models/{{task}}.log",
    benchmark:
        f"{LOGS}/figure_models/{{task}}.benchmark.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    script:
        "../scripts/figure_models.py"


rule figure_cost:
    """Draw which share of the training time spectra took."""
    input:
        records=expand(f"{OUT}/runs/{{run}}/seed-{{seed}}/run.json", run=ALL_RUNS, seed=SEEDS),
        library=library("scripts/figure_cost.py"),
    output:
        **figure_files("cost", "models", "Every network"),
    log:
        f"{LOGS}/figure_cost/models.log",
    benchmark:
        f"{LOGS}/figure_cost/models.benchmark.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    script:
        "../scripts/figure_cost.py"


rule figure_epochs:
    """Draw the groups' spectra by epoch and index, with the cells marked in which they differ, corrected by the
    largest of the whole map (Westfall and Young 1993)."""
    input:
        records=run_files("run.json"),
        spectra=run_files("spectra.parquet"),
        epochs=f"{GROUP_TESTS}/epochs.tsv",
        overall=f"{GROUP_TESTS}/overall.json",
        library=library("scripts/figure_epochs.py"),
    output:
        **figure_files("epochs", "{run}", "Where groups differ"),
    log:
        f"{LOGS}/figure_epochs/{{run}}.log",
    benchmark:
        f"{LOGS}/figure_epochs/{{run}}.benchmark.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    script:
        "../scripts/figure_epochs.py"


rule figure_trajectories:
    """Draw chosen singular values and summaries of the groups' gradient spectra over training, with intervals."""
    input:
        records=run_files("run.json"),
        spectra=run_files("spectra.parquet"),
        library=library("scripts/figure_trajectories.py"),
    output:
        **figure_files("trajectories", "{run}", "Spectra over training"),
    log:
        f"{LOGS}/figure_trajectories/{{run}}.log",
    benchmark:
        f"{LOGS}/figure_trajectories/{{run}}.benchmark.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    script:
        "../scripts/figure_trajectories.py"


rule figure_effects:
    """Draw the effect of the true labels in every layer, beside what relabelling alone gives."""
    input:
        cells=f"{GROUP_TESTS}/cells.tsv",
        overall=f"{GROUP_TESTS}/overall.json",
        library=library("scripts/figure_effects.py"),
    output:
        **figure_files("effects", "{run}", "Where groups differ"),
    log:
        f"{LOGS}/figure_effects/{{run}}.log",
    benchmark:
        f"{LOGS}/figure_effects/{{run}}.benchmark.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    script:
        "../scripts/figure_effects.py"


rule figure_brain:
    """Draw which inputs the first layer's gradients point to, as bars and on the brain: Desikan-Killiany regions on
    fsaverage5 (Desikan et al. 2006, doi:10.1016/j.neuroimage.2006.01.021), components by their own image."""
    input:
        records=run_files("run.json"),
        directions=f"{GROUP_TESTS}/directions.tsv",
        features=lambda wildcards: f"{OUT}/preprocessed/{dataset_of(wildcards.run)}/features.tsv",
        labels=str(ROOT / "workflow" / "autospec" / "figures" / "fsaverage5" / "aparc.csv"),
        library=library("scripts/figure_brain.py"),
    output:
        **figure_files("brain", "{run}", "Where groups differ"),
    log:
        f"{LOGS}/figure_brain/{{run}}.log",
    benchmark:
        f"{LOGS}/figure_brain/{{run}}.benchmark.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        image=component_image,
    script:
        "../scripts/figure_brain.py"


rule figure_quality:
    """Draw the people and the data before any network: measures by group, outliers, connectivity."""
    input:
        measures=f"{PREPARED}/quality/measures.tsv",
        features=f"{PREPARED}/quality/features.tsv",
        connectivity=f"{PREPARED}/quality/connectivity.tsv",
        library=library("scripts/figure_quality.py"),
    output:
        **figure_files("quality", "data-{dataset}", "People and data"),
    log:
        f"{LOGS}/figure_quality/{{dataset}}.log",
    benchmark:
        f"{LOGS}/figure_quality/{{dataset}}.benchmark.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        source=lambda wildcards: config["datasets"][wildcards.dataset]["source"],
    script:
        "../scripts/figure_quality.py"
