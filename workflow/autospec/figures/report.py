"""The report: one page that opens from disk, with every figure inside it.

It shows people as counts alone; whose row was dropped stays in the TSV files.
"""

import base64
from collections.abc import Iterable, Mapping
from pathlib import Path

import jinja2
import numpy as np
import pandas as pd

from autospec.figures.frames import over_seeds
from autospec.figures.learning import read_metrics
from autospec.figures.style import format_p, run_title
from autospec.statistics.swaps import SPECTRAL
from autospec.tables import atomic_path, read_json, read_tsv

KINDS = {
    "groups": "Where and when groups differ",
    "effects": "Group effects by layer",
    "epochs": "Spectra of the groups by epoch and index",
    "brain": "Where the first layer's gradients point",
    "tasks": "Tasks compared",
    "activations": "Activations compared",
    "shapes": "Shapes compared",
    "across": "Comparisons in every network",
    "models": "Every network side by side",
    "cost": "What spectra cost",
    "trajectories": "Trajectories of the groups' spectra",
    "quality": "People and data",
    "spectra": "Spectra over training",
    "learning": "Learning",
}
#: Kinds of figure that share a caption.
CAPTIONS = dict.fromkeys(("tasks", "activations", "shapes"), "conditions")
MIME = {".png": "image/png", ".svg": "image/svg+xml"}
_FIELDS = ("dataset", "model", "task", "activation", "shape")

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
    yardsticks: Iterable[str | Path],
    balance: Iterable[str | Path],
    quality: Iterable[str | Path],
    dropped: Iterable[str | Path],
    matching: Mapping[str, Mapping],
    records: Iterable[str | Path],
    figures: Iterable[str | Path],
    title: str = "AutoSpec report",
) -> None:
    """Write the report.

    Parameters
    ----------
    output : path
        The HTML file to write, whole or not at all.
    template : path
        The Jinja template; the captions (`groups.rst`, `tasks.rst`, ...) lie beside it.
    claims : path
        `claims.tsv`.
    overall, layers, yardsticks : iterable of path
        Of each test of groups; the folder above each file names the run.
    balance, dropped : iterable of path
        Of each data set; the folder above each file names it.
    quality : iterable of path
        `quality/groups.tsv` of each data set; the folder above that names it.
    matching : mapping of str to mapping
        By data set, how people were paired: `exact` (variables) and `callipers` (standard deviations by
        variable), both of which may be left out.
    records : iterable of path
        Every `run.json`; `metrics.parquet` lies beside each.
    figures : iterable of path
        PNG or SVG files under folders named by their kind.
    title : str
    """
    template = Path(template)
    runs = _runs(records)
    datasets = _datasets(runs, balance, dropped, matching)
    for path in map(Path, quality):
        if path.parents[1].name in datasets:
            datasets[path.parents[1].name]["described"] = read_tsv(path, dtype={"level": str}).to_dict("records")
    groups = _groups(overall, layers, yardsticks)
    context = {
        "title": title,
        "runs": runs,
        "datasets": datasets,
        "groups": groups,
        "claims": read_tsv(claims).to_dict("records"),
        "figures": _figures(figures, datasets, template.parent),
        "cautions": CAUTIONS,
        "software": _software(runs),
        "trainings": sum(run["seeds"] for run in runs),
        "diverged": sum(run["diverged"] for run in runs),
    }
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": _number, "p": _p, "words": lambda text: str(text).replace("_", " ")}
    page = environment.get_template(template.name).render(context)
    with atomic_path(output) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _number(value) -> str:
    """Three significant digits; a dash where there is none; text as it is."""
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)) or value == "":
        return "–"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 or value.is_integer() else f"{value:.3g}"
    return str(value)


def _p(value) -> str:
    return "–" if value is None or np.isnan(value) else format_p(value)


def _runs(records: Iterable[str | Path]) -> list[dict]:
    """One entry a configuration, its seeds together."""
    by_name: dict[str, list[Path]] = {}
    for path in map(Path, records):
        by_name.setdefault(path.parent.parent.name, []).append(path)
    runs = []
    for name, paths in by_name.items():
        pairs = sorted(((read_json(path), path.parent) for path in paths), key=lambda pair: pair[0]["seed"])
        kept = [(record, folder) for record, folder in pairs if record["status"] == "finished"]
        first = (kept or pairs)[0][0]
        learned = []
        if kept:
            metrics = read_metrics([folder for _, folder in kept])
            final = metrics[metrics["epoch"] == metrics["epoch"].max()]
            final = over_seeds(final, ["metric", "part", "group"])
            learned = final.sort_values(["metric", "part"], ascending=[True, False], kind="stable").to_dict(
                "records"
            )
        measured = [record["measured"] for record, _ in pairs]
        runs.append(
            {
                field: first[field]
                for field in (*_FIELDS, "groups", "simulated", "description", "n", "parameters")
            }
            | {
                "name": name,
                "title": run_title(first),
                "labels_used": first["labels_used"],
                "seed_list": ", ".join(str(record["seed"]) for record, _ in pairs),
                "seeds": len(pairs),
                "diverged": len(pairs) - len(kept),
                "learned": learned,
                "devices": ", ".join(sorted({str(record["device"]) for record, _ in pairs})),
                "threads": ", ".join(sorted({str(record["threads"]) for record, _ in pairs})),
                "seconds": sum(m["wall_seconds"] for m in measured if m.get("wall_seconds")),
                "memory": max(
                    (m["peak_memory_mb"] for m in measured if m.get("peak_memory_mb")), default=None
                ),
                "options": first["options"],
                "inputs": {Path(name).name: digest for name, digest in first["inputs"].items()},
                "versions": first["versions"],
            }
        )
    return runs


def _datasets(
    runs: list[dict],
    balance: Iterable[str | Path],
    dropped: Iterable[str | Path],
    matching: Mapping[str, Mapping],
) -> dict[str, dict]:
    """Where each data set comes from, how its pairs came out, who was left out and why."""
    datasets: dict[str, dict] = {}
    for run in runs:
        shown = {name: run[name] for name in ("groups", "simulated", "description")}
        datasets.setdefault(
            run["dataset"],
            shown
            | {"balance": [], "people": [], "dropped": [], "described": [], "warnings": []}
            | {"largest": None, "matching": ""},
        )
    for path in map(Path, balance):
        table = read_tsv(path, dtype={"level": str})
        if path.parent.name not in datasets:
            continue
        entry = datasets[path.parent.name]
        # The pairing is what the results rest on: a site of one group alone counts where it is still in the pairs.
        warned = table[table["warning"].notna() & (table["warning"] != "")].sort_values("stage")
        entry["warnings"] = warned.drop_duplicates(["variable", "level"])[["stage", "warning"]].to_dict("records")
        people = table["variable"] == "people"
        entry["people"] = table[people].to_dict("records")
        pairs = int(table.loc[people & (table["stage"] == "after"), "n_reference"].iloc[0])
        entry["matching"] = _matching_words(matching[path.parent.name], pairs)
        entry["balance"] = table[~people].to_dict("records")
        after = table[~people & (table["stage"] == "after") & table["smd"].notna()]
        if len(after):
            entry["largest"] = after.loc[after["smd"].abs().idxmax()].to_dict()
    for path in map(Path, dropped):
        if path.parent.name not in datasets:
            continue
        table = read_tsv(path, dtype=str)
        # A reason that quotes its own row's label would name a person.
        reasons = [
            str(reason).replace(str(label), "…")
            for label, reason in zip(table["label"], table["reason"], strict=True)
        ]
        counts = table.assign(reason=reasons).groupby(["kind", "reason"]).size().rename("count").reset_index()
        order = counts.sort_values(["kind", "count"], ascending=[False, False], kind="stable")
        datasets[path.parent.name]["dropped"] = order.to_dict("records")
    return datasets


def _matching_words(matching: Mapping, pairs: int) -> str:
    """Declare the one pairing that was used, and that no other was."""
    words = [f"the same {name}" for name in matching.get("exact", ())]
    words += [
        f"{name.replace('_', ' ')} within {limit:g} standard deviations"
        for name, limit in matching.get("callipers", {}).items()
    ]
    return (
        f"Primary matching, the only one: {', '.join(words) or 'none, people are paired at random'}; {pairs} pairs. "
        "Other callipers and pairings were not tried, so how far the results depend on this one is not known."
    )


def _groups(overall: Iterable, layers: Iterable, yardsticks: Iterable) -> list[dict]:
    """The question of each test of groups, and its answer in words."""
    layer_files = {Path(path).parent.name: path for path in layers}
    yardstick_files = {Path(path).parent.name: path for path in yardsticks}
    entries = []
    for path in map(Path, overall):
        name, summary = path.parent.name, read_json(path)
        table = read_tsv(layer_files[name])
        spectral = table[table["statistic"].isin(SPECTRAL)]
        rejecting = spectral[spectral["q"] <= summary["alpha"]]
        entries.append(
            summary
            | {
                "name": name,
                "verdict": _verdict(summary),
                "answer": _answer(summary),
                "yardstick": _yardstick(summary),
                "layers_say": _layers_say(summary, spectral, len(rejecting)),
                "rejecting": [_layer_words(row, summary["groups"]) for row in rejecting.to_dict("records")],
                "layer_rows": table.to_dict("records"),
                "yardstick_rows": read_tsv(yardstick_files[name]).to_dict("records")
                if name in yardstick_files
                else [],
            }
        )
    return entries


def _verdict(summary: Mapping) -> str:
    p = summary["spectra"]["p"]
    if p is None:
        return "not testable"
    if not summary["exact"]:
        return "descriptive"
    return "difference found" if p <= summary["alpha"] else "no evidence of a difference"


def _answer(summary: Mapping) -> str:
    p = summary["spectra"]["p"]
    if p is None:
        return "Nothing could be tested: every cell of the spectra is the same under every relabelling."
    numbers = f"{_equals('p', p)} over the gradient spectra of all layers, {summary['labelings']} labelings"
    if not summary["exact"]:
        return (
            "Descriptive only, since training used the labels. The truth's rank among relabellings "
            f"({numbers}) is not a test of the groups."
        )
    here = "for these people and this pairing"
    if p <= summary["alpha"]:
        return f"Yes, {here}: the network learns differently from the two groups ({numbers})."
    return f"No evidence, {here}, that the network learns differently from the two groups ({numbers})."


def _yardstick(summary: Mapping) -> str:
    """The loss beside the spectra: a network may fit one group worse with the same spectra."""
    p = summary["statistics"]["group_loss"]["p"]
    return "" if p is None else f"As a yardstick, the groups' mean loss under the same swaps: {_equals('p', p)}."


def _layers_say(summary: Mapping, layers: pd.DataFrame, rejecting: int) -> str:
    """What leads over to the list of layers, so that layers never say more than the whole does."""
    if summary["spectra"]["p"] is None:
        return ""
    if not rejecting:
        return "No single layer stands out after correction."
    if not summary["exact"]:
        return "Largest ranks by layer, described and not tested:"
    if summary["spectra"]["p"] <= summary["alpha"]:
        return "Seen, after correction, at:"
    text = "These layers pass the correction by themselves; as the whole does not, they are hints at most."
    if (layers["p"] <= summary["smallest_p"]).any():
        text += (
            " In some, the truth is the most extreme of all labelings: more labelings (in the configuration, "
            "under statistics) would tell how small the p of the whole can get."
        )
    return text


def _layer_words(row: Mapping, groups: list[str]) -> str:
    reference, other = groups
    index = int(row["strongest_index"])
    place = f"singular value {index}" if index else "the Frobenius norm"
    effect = _number(float(row["effect"]))
    if row["statistic"] == "spectral_ratio":
        size = f"{other} / {reference} = {effect}"
    else:
        size = f"{effect} times its usual size under relabelling"
    tests = f"{_equals('p', row['p'])}, {_equals('q', row['q'])}"
    return f"{row['layer']}: {row['statistic'].replace('_', ' ')}, {tests}; strongest at {place}, {size}"


def _equals(name: str, p: float) -> str:
    """`p = 0.005`, which a line never breaks."""
    return f"{name}\u00a0=\u00a0{format_p(p)}"


def _figures(paths: Iterable[str | Path], datasets: Mapping[str, dict], captions: Path) -> list[dict]:
    """Each figure as a data URI with its caption and the words for who cannot see it."""
    figures = []
    for path in map(Path, paths):
        kind, name = path.parent.name, path.stem
        dataset = name.removeprefix("data-").split("_model-")[0]
        caption = captions / f"{CAPTIONS.get(kind, kind)}.rst"
        text = " ".join(caption.read_text(encoding="utf-8").split()) if caption.exists() else ""
        heading = KINDS.get(kind, kind)
        shown = [datasets[dataset]] if dataset in datasets else list(datasets.values())
        simulated = bool(shown) and all(entry["simulated"] for entry in shown)
        about = _about(name)
        named = f"{heading}, {about}{' (simulated data)' if simulated else ''}"
        figures.append(
            {
                "kind": kind,
                "heading": heading,
                "about": about,
                "simulated": simulated,
                "caption": text,
                "alt": f"{named}. {text.split('. ')[0]}.",
                "source": f"data:{MIME[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode()}",
            }
        )
    order = list(KINDS)
    return sorted(figures, key=lambda one: order.index(one["kind"]) if one["kind"] in order else len(order))


def _about(name: str) -> str:
    """Turn `data-abide_nyu_model-lstm_task-autoencoding` into `abide_nyu, lstm, autoencoding`."""
    for entity in ("model", "task", "activation", "shape"):
        name = name.replace(f"_{entity}-", ", ")
    return name.removeprefix("data-").removesuffix(", base")


def _software(runs: list[dict]) -> list[tuple[str, str]]:
    found: dict[str, set[str]] = {}
    for run in runs:
        for package, version in run["versions"].items():
            found.setdefault(package, set()).add(str(version))
    return [(package, ", ".join(sorted(versions))) for package, versions in sorted(found.items())]
