"""Every figure as the page holds it: compressed, with its caption and the words for who cannot see it."""

import base64
import gzip
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from autospec.report.words import about

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


def read_gallery(paths: Iterable[str | Path], datasets: Mapping[str, dict], captions: Path) -> list[dict]:
    """Read the figures, those of one kind together.

    Parameters
    ----------
    paths : iterable of path
        SVG files, each in a folder named by its kind.
    datasets : mapping of str to dict
        What `read_datasets` gives.
    captions : Path
        The folder of the captions (`groups.rst`, `tasks.rst`, ...).

    Returns
    -------
    list of dict
        One entry a kind: `kind`, `heading`, `caption`, and `figures`, each with `id`, `about`, `simulated`,
        `alt`, `size` and `svg` (the gzipped file in base64: a page cannot hold a hundred drawings of several
        hundred kilobytes as they are).
    """
    kinds: dict[str, dict] = {}
    for path in map(Path, paths):
        kind = path.parent.name
        if kind not in kinds:
            caption = captions / f"{CAPTIONS.get(kind, kind)}.rst"
            text = " ".join(caption.read_text(encoding="utf-8").split()) if caption.exists() else ""
            kinds[kind] = {"kind": kind, "heading": KINDS.get(kind, kind), "caption": text, "figures": []}
        kinds[kind]["figures"].append(_figure(path, kinds[kind], datasets))
    order = list(KINDS)
    return sorted(kinds.values(), key=lambda one: order.index(one["kind"]) if one["kind"] in order else len(order))


def _figure(path: Path, kind: dict, datasets: Mapping[str, dict]) -> dict:
    name = path.stem
    dataset = name.removeprefix("data-").split("_model-")[0]
    shown = [datasets[dataset]] if dataset in datasets else list(datasets.values())
    simulated = bool(shown) and all(entry["simulated"] for entry in shown)
    named = f"{kind['heading']}, {about(name)}{' (simulated data)' if simulated else ''}"
    return {
        "id": f"figure-{kind['kind']}-{name}",
        "about": about(name),
        "simulated": simulated,
        "alt": f"{named}. {kind['caption'].split('. ')[0].removesuffix('.')}.",
        "size": _size(path.read_text(encoding="utf-8")),
        "svg": base64.b64encode(gzip.compress(path.read_bytes(), mtime=0)).decode(),
    }


def _size(svg: str) -> dict[str, int]:
    """Width and height in points, so that the page can leave room before the figure is unpacked."""
    found = re.search(r'<svg [^>]*?\bheight="([\d.]+)pt"[^>]*', svg)
    width = re.search(r'\bwidth="([\d.]+)pt"', found[0]) if found else None
    return {"width": round(float(width[1])), "height": round(float(found[1]))} if width else {}
