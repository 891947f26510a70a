"""The report: one page that opens from disk, with every figure inside it.

It shows people as counts alone; whose row was dropped stays in the TSV files.
"""

from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path

from autospec.report import findings
from autospec.report.gallery import read_gallery
from autospec.report.methods import methods
from autospec.report.people import read_datasets
from autospec.report.render import write_page
from autospec.report.trainings import read_trainings, software

#: Longer tables are cut; the file that holds all of it is named.
LONGEST = 60

#: Packages that make the statistics and figures; those of the trainings stand in their records.
ALSO = ("matplotlib", "scipy", "seaborn", "statsmodels")

CAUTIONS = (
    "Inference is about these people and this pairing. Confounds that were not measured remain.",
    "Every layer tests the same null hypothesis. A difference seen at one layer and not at another is "
    "no evidence that the layers differ; that needs a contrast of the two.",
    "Simpler tests on the inputs are better at finding that groups differ; their p stands beside ours. "
    "The question here is where and when a network learns differently.",
    "Where training uses the group as its label (classification of the diagnosis), the label is in the "
    "gradient. Such results are descriptive: their p are ranks, not tests.",
    "Stability over trainings tests repeated trainings on the same people. It is no evidence about groups.",
)


def write_report(
    output: str | Path,
    template: str | Path,
    *,
    claims: str | Path,
    overall: Iterable[str | Path],
    layers: Iterable[str | Path],
    summaries: Iterable[str | Path],
    yardsticks: Iterable[str | Path],
    conditions: Iterable[str | Path],
    cells: Iterable[str | Path],
    balance: Iterable[str | Path],
    pairings: Iterable[str | Path],
    quality: Iterable[str | Path],
    dropped: Iterable[str | Path],
    unpaired: Iterable[str | Path],
    options: Mapping[str, Mapping],
    records: Iterable[str | Path],
    figures: Iterable[str | Path],
    snakemake: str,
    title: str = "AutoSpec report",
) -> None:
    """Write the report.

    Parameters
    ----------
    output : path
        The HTML file to write, whole or not at all.
    template : path
        The Jinja template; what it includes and the captions (`groups.rst`, `tasks.rst`, ...) lie beside it.
    claims : path
        `claims.tsv`.
    overall, layers, summaries, yardsticks : iterable of path
        Of each test of groups; the folder above each file names the run.
    conditions, cells : iterable of path
        `overall.json` and `cells.tsv` of each comparison of conditions.
    pairings : iterable of path
        The comparison with other pairings, of each data set whose groups are tested; the file is named by it.
    balance, dropped, unpaired : iterable of path
        Of each data set; the folder above each file names it.
    quality : iterable of path
        `quality/groups.tsv` of each data set; the folder above that names it.
    options : mapping of str to mapping
        By data set, its entry in the configuration, as it was completed.
    records : iterable of path
        Every `run.json`; `metrics.parquet` lies beside each.
    figures : iterable of path
        SVG files in folders named by their kind.
    snakemake : str
        The version of Snakemake that runs the workflow.
    title : str
    """
    runs = read_trainings(records)
    datasets = read_datasets(runs, balance, dropped, unpaired, quality, options, pairings)
    gallery = read_gallery(figures, datasets, Path(template).parent)
    judged = findings.read_claims(claims, [figure["id"] for kind in gallery for figure in kind["figures"]])
    compared = findings.read_conditions(conditions, cells)
    groups = findings.read_groups(overall, layers, summaries, yardsticks)
    found = software(runs) | {name: version(name) for name in ALSO} | {"snakemake": snakemake}
    versions = dict(sorted(found.items()))
    write_page(
        output,
        template,
        "report.js",
        title=title,
        runs=runs,
        datasets=datasets,
        groups=groups,
        conditions=compared,
        claims=judged,
        asked=findings.asked(judged, datasets),
        gallery=gallery,
        cautions=CAUTIONS,
        software=versions,
        methods=methods(runs, datasets, groups, judged, compared, versions),
        trainings=sum(run["seeds"] for run in runs),
        diverged=sum(run["diverged"] for run in runs),
        unlearned=sum(run["unlearned"] for run in runs),
        longest=LONGEST,
    )
