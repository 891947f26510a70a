"""Draw which inputs the first layer's gradients of one run point to, as bars and on the brain."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))
from autospec.jobs import job

with job(snakemake):
    from autospec.data.components import numbers_of
    from autospec.figures.brain import draw_brain
    from autospec.figures.style import save
    from autospec.tables import read_tsv

    image, numbers = snakemake.params.image, None
    if image:
        known = numbers_of(Path(image))
        # A feature may have another name than its component; the table of features tells both.
        features = read_tsv(snakemake.input.features, dtype=str)
        originals = zip(features["feature"], features["original"], strict=True)
        numbers = {feature: known[original] for feature, original in originals if original in known}
    figure, table = draw_brain(snakemake.input.records, snakemake.input.directions, image, numbers)
    save(figure, table, Path(snakemake.output.pdf).with_suffix(""))
