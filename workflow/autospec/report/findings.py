"""What was asked and what was found, in plain words that fixed rules make from the tables."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from autospec.figures.style import format_p
from autospec.report.words import MODELS, equals, listed, number, words
from autospec.statistics.claims import CLAIMS, DESCRIPTIVE, HELD, HELD_ON_SIMULATED, NOT_HELD, UNTESTABLE
from autospec.statistics.swaps import SPECTRAL, why_untested
from autospec.statistics.yardsticks import say_inputs
from autospec.tables import read_json, read_tsv

#: What each claim asks, in the words of the summary.
QUESTIONS = {
    "C1": "Do auto-encoding and classification give different gradient spectra?",
    "C2": "Do ReLU, sigmoid and tanh give different gradient spectra?",
    "C3": "Do wide and deep networks of equal size give different gradient spectra?",
    "C4": "Does a network learn differently from the two groups?",
    "C5": "In which layers do the groups differ?",
    "C6": "Does the same procedure serve all five kinds of network?",
    "C7": "Does computing spectra cost more than half of the training time?",
}
#: Statuses in the order in which they are told, and the words before the places.
_TOLD = {
    HELD: "Held",
    HELD_ON_SIMULATED: "Held on simulated data only",
    NOT_HELD: "Not held",
    DESCRIPTIVE: "Described and not tested",
    UNTESTABLE: "Not testable here",
}
#: Held or not in some places, and those too few for a judgement over all.
_OPEN = "open over all"


def read_claims(path: str | Path, figures: Iterable[str] = ()) -> list[dict]:
    """Read the claims table, one entry a claim.

    Parameters
    ----------
    path : path
        `claims.tsv`.
    figures : iterable of str
        Identifiers of the figures on the page; a row whose figure is among them links to it.

    Returns
    -------
    list of dict
        `claim`, `title`, `question`, `status` (over all, in words), `sentence`, and `rows`, those of each place first.
    """
    figures = set(figures)
    rows = read_tsv(path).to_dict("records")
    for row in rows:
        name = Path(row["figure"]) if isinstance(row["figure"], str) else None
        link = f"figure-{name.parent.name}-{name.stem}" if name else ""
        row["link"] = link if link in figures else ""
        row["simulated"] = str(row["simulated"]) == "True"
        row["place"] = _place(row)
    claims = []
    for claim, title in CLAIMS.items():
        of_claim = [row for row in rows if row["claim"] == claim]
        if not of_claim:
            continue
        places = [row for row in of_claim if not _over_all(row)]
        over_all = [row for row in of_claim if _over_all(row)]
        claims.append(
            {"claim": claim, "title": title, "question": QUESTIONS[claim], "rows": places + over_all}
            | {"status": _status(places, over_all)}
            | {"sentence": _sentence(places, over_all)}
        )
    return claims


def _over_all(row: Mapping) -> bool:
    return row["dataset"] == "all" and row["model"] == "all"


def _place(row: Mapping) -> str:
    """Where a row was judged: `freesurfer (simulated), MLP, autoencoding`."""
    if _over_all(row):
        return "over all"
    names = [MODELS.get(row["model"], row["model"])]
    if row["dataset"] != "all":
        names.insert(0, row["dataset"] + (" (simulated)" if row["simulated"] else ""))
    if isinstance(row["task"], str) and row["claim"] != "C1":  # which compares the tasks
        names.append(row["task"])
    return ", ".join(names)


def _status(places: list[dict], over_all: list[dict]) -> str:
    """The status over all; open where places were judged and are too few to judge over all."""
    if not over_all:
        return _common(places)
    return _OPEN if _too_few(places, over_all) else over_all[0]["status"]


def _too_few(places: list[dict], over_all: list[dict]) -> bool:
    judged = any(row["status"] in (HELD, HELD_ON_SIMULATED, NOT_HELD) for row in places)
    return judged and any(row["status"] == UNTESTABLE for row in over_all)


def _common(rows: list[dict]) -> str:
    """The one status of all rows, or how often each."""
    counts = {status: sum(row["status"] == status for row in rows) for status in _TOLD}
    counts = {status: count for status, count in counts.items() if count}
    return next(iter(counts)) if len(counts) == 1 else ", ".join(f"{s} in {n}" for s, n in counts.items())


def _sentence(places: list[dict], over_all: list[dict]) -> str:
    """Which places held, and which did not; the note of the judgement over all where there are no places."""
    told = []
    for status, start in _TOLD.items():
        found = [row["place"] for row in places if row["status"] == status]
        if found:
            told.append(f"{start} in {len(found)} of {len(places)}: {'; '.join(found)}.")
    if _too_few(places, over_all):
        told += [f"Over all: {str(row['note']).rstrip('.')}." for row in over_all]
    if not told:
        told = [f"{number(row['note']).capitalize()}." for row in over_all]
    return " ".join(told)


def read_groups(
    overall: Iterable[str | Path],
    layers: Iterable[str | Path],
    summaries: Iterable[str | Path],
    yardsticks: Iterable[str | Path],
) -> list[dict]:
    """Read each test of groups: the question, and its answer in words.

    Parameters
    ----------
    overall, layers, summaries, yardsticks : iterable of path
        Of each test of groups; the folder above each file names the run.

    Returns
    -------
    list of dict
        `overall.json` and beside it `name`, `verdict`, `answer`, `yardstick`, `layers_say`, `rejecting`,
        `layer_rows`, `summary_rows`, `yardstick_rows`.
    """
    layer_files = {Path(path).parent.name: path for path in layers}
    summary_files = {Path(path).parent.name: path for path in summaries}
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
                "summary_rows": read_tsv(summary_files[name]).to_dict("records"),
                "yardstick_rows": read_tsv(yardstick_files[name]).to_dict("records") if name in yardstick_files else [],
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
        return why_untested(summary)
    low, high = (format_p(summary["spectra"][name]) for name in ("p_low", "p_high"))
    numbers = (
        f"{equals('p', p)} over the gradient spectra of all layers; {summary['labelings']} labelings leave it between "
        f"{low} and {high} and cannot give less than {format_p(summary['smallest_p'])}"
    )
    if not summary["exact"]:
        return (
            "Descriptive only, since training used the labels. The truth's rank among relabellings "
            f"({numbers}) is not a test of the groups."
        )
    here, alpha, doubt = "for these people and this pairing", summary["alpha"], ""
    if summary["spectra"]["p_low"] <= alpha < summary["spectra"]["p_high"]:
        doubt = f" Other labelings might decide otherwise: that interval holds {alpha:g}."
    if p <= alpha:
        return f"Yes, {here}: the network learns differently from the two groups ({numbers}).{doubt}"
    return f"No evidence, {here}, that the network learns differently from the two groups ({numbers}).{doubt}"


def _yardstick(summary: Mapping) -> str:
    """What stands beside the spectra: a network may fit one group worse with the same spectra."""
    p = summary["statistics"]["group_loss"]["p"]
    loss = "" if p is None else f"As a yardstick, the groups' mean loss under the same swaps: {equals('p', p)}. "
    return loss + say_inputs(summary["inputs"])


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
    effect = number(float(row["effect"]))
    if row["statistic"] == "spectral_ratio":
        size = f"{other} / {reference} = {effect}"
    else:
        size = f"{effect} times its usual size under relabelling"
    tests = f"{equals('p', row['p'])}, {equals('q', row['q'])}"
    return f"{row['layer']}: {words(row['statistic'])}, {tests}; strongest at {place}, {size}"


def read_conditions(overall: Iterable[str | Path], cells: Iterable[str | Path]) -> list[dict]:
    """Read each comparison of tasks, activations or shapes: what the claims rest on, the strongest first.

    Parameters
    ----------
    overall, cells : iterable of path
        Of each comparison, in a folder of its own; the folders above name it and its kind.

    Returns
    -------
    list of dict
        `overall.json` and beside it `title`, `file` (the table, under the output folder), `family` (in words), and
        `rows`: the scale-free cells of the gradient spectra that were tested, by p.
    """
    tables = {Path(path).parent: path for path in cells}
    entries = []
    for path in map(Path, overall):
        summary, table = read_json(path), read_tsv(tables[path.parent])
        table = table[(table["quantity"] == "gradient") & (table["scale"] == "free") & table["p"].notna()]
        compared = " against ".join(level["level"] for level in summary["levels"])
        about = [summary["dataset"], MODELS[summary["model"]]]
        about += [summary["task"]] if summary["compared"] != "task" else []
        entries.append(
            summary
            | {
                "title": f"{', '.join(about)}: {compared}",
                "file": f"statistics/{path.parents[1].name}/{path.parent.name}/cells.tsv",
                "family": "; ".join(dict.fromkeys(table["family"])),
                "rows": table.sort_values("p", kind="stable").to_dict("records"),
            }
        )
    return entries


def asked(claims: list[dict], datasets: Mapping[str, dict]) -> list[str]:
    """Say which questions were put, and to which networks on which data."""
    lines = []
    for name, data in datasets.items():
        networks = {row["model"] for claim in claims for row in claim["rows"] if row["dataset"] == name} - {"all"}
        tested = any(row["dataset"] == name for claim in claims if claim["claim"] == "C4" for row in claim["rows"])
        people = f"{data['pairs']} pairs of {data['groups'][0]} and {data['groups'][1]}" if data["pairs"] else ""
        where = f"{name}{' (simulated)' if data['simulated'] else ''}"
        parts = [f"{where}: {people}" if people else where]
        if networks:
            parts.append(listed([MODELS[model] for model in MODELS if model in networks]))
        parts.append("groups tested" if tested else "groups shown, not tested")
        lines.append("; ".join(parts) + ".")
    return lines
