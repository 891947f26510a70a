# Open data, where the configuration says that they can be downloaded and they are not there.


localrules:
    download,


rule download:
    """Download open data from their publishers, with checksums; a broken-off download goes on where it was."""
    input:
        # What is downloaded does not depend on our code, so that editing it asks no publisher again.
        library=ancient(library("scripts/download.py")),
    output:
        files=f"{{folder}}/{inputs.DOWNLOADED}",
    log:
        f"{{folder}}/{inputs.DOWNLOAD_LOG}",
    benchmark:
        "{folder}/download.benchmark.tsv"
    wildcard_constraints:
        folder="|".join(re.escape(PATHS[name]) for name in DOWNLOADS) or "(?!)",
    conda:
        "../../envs/preprocessing.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(600),
    params:
        names=lambda wildcards: sorted(
            {item for name in DOWNLOADS if PATHS[name] == wildcards.folder for item in DOWNLOADS[name]}
        ),
    script:
        "../scripts/download.py"
