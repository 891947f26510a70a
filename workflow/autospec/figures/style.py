"""One look for every figure, and the one way a figure is written.

Sizes are those of a journal page: one column is 89 mm wide, two are 183 mm.
"""

import logging
import textwrap
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
import pandas as pd
import seaborn as sns
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from autospec.tables import atomic_path, write_tsv

# At INFO it tells of every glyph that goes into a PDF: thousands of lines in a job's log.
logging.getLogger("fontTools").setLevel(logging.WARNING)

ONE_COLUMN = 89.0
TWO_COLUMNS = 183.0
MILLIMETRE = 1 / 25.4

# Okabe and Ito's colours: told apart with every common form of colour blindness.
REFERENCE = "#0072B2"
OTHER = "#D55E00"
ALL = "#6E6E6E"
LEVELS = ("#009E73", "#AA4499", "#E69F00")
PAIRS = ("#000000", "#0072B2", "#D55E00")
SERIES = ("#0072B2", "#D55E00", "#009E73", "#AA4499", "#E69F00", "#000000")
DASHES = ("-", (0, (3, 1.2)), (0, (1, 1)))
MARKERS = ("o", "s", "D")
SIMULATED = "#B00020"
MISSING = "#E4E4E4"

#: Below 0 the reference group's hue, above 0 the other's.
GROUP_MAP = LinearSegmentedColormap.from_list("groups", [REFERENCE, "#FFFFFF", OTHER])
#: Below 0 grey, above 0 purple: for a one-sided quantity whose large values matter.
ONE_SIDED_MAP = LinearSegmentedColormap.from_list("one_sided", ["#7F7F7F", "#FFFFFF", "#5E3C99"])

#: Effect sizes up to this are drawn on a linear axis.
LARGE_EFFECT = 4.0

_SETTINGS = {
    "font.family": "sans-serif",
    # The font that matplotlib brings along: the same on every machine, so the bytes are too.
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 6.5,
    "axes.titlesize": 7,
    "axes.labelsize": 6.5,
    "xtick.labelsize": 6,
    "ytick.labelsize": 6,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.major.pad": 2,
    "ytick.major.pad": 2,
    "lines.linewidth": 1.0,
    "lines.markersize": 3,
    "patch.linewidth": 0.5,
    "figure.dpi": 100,
    # TrueType inside PDF: text stays text in an editor, and journals refuse Type 3.
    "pdf.fonttype": 42,
    # An SVG cannot carry its font without growing large, and a page that lacks it is laid out
    # differently; outlines look the same everywhere. The PDF is the file with editable text.
    "svg.fonttype": "path",
    "svg.hashsalt": "autospec",
    "path.simplify": False,
}

#: Dots per inch of the PNG.
_DOTS = 300


def new_figure(
    width: float, height: float, title: str, foot: str = "", keys: list | None = None, wrap: int | None = None
) -> Figure:
    """Start a figure in the house style: title and key above the panels, a note below.

    Parameters
    ----------
    width, height : float
        In millimetres; `height` is that of the panels, the title and the note come on top.
    title : str
        One line, at the top left.
    foot : str
        Text under the panels; long lines are broken.
    keys : list of artists, optional
        Labelled handles of the key, outside the data.
    wrap : int, optional
        How many keys stand in a line; all of them if left out.

    Returns
    -------
    matplotlib.figure.Figure
        Constrained layout; `subplots`, `subfigures` or `add_gridspec` fill it.
    """
    matplotlib.rcParams.update(matplotlib.rcParamsDefault)
    sns.set_theme(style="ticks", rc=_SETTINGS)
    foot = wrapped(foot, width)
    lines = -(-len(keys) // (wrap or len(keys))) if keys else 0
    head = 6.0 + 4.0 * lines
    below = 2.9 * len(foot.splitlines()) + 2.5 if foot else 0.0
    total = height + head + below
    figure = Figure(figsize=(width * MILLIMETRE, total * MILLIMETRE), layout="constrained")
    figure.get_layout_engine().set(
        rect=(0, below / total, 1, height / total), w_pad=0.04, h_pad=0.03, wspace=0.02, hspace=0.03
    )
    figure.text(0.006, 1 - 1.2 / total, title, ha="left", va="top", fontsize=7.5, fontweight="bold")
    if keys:
        figure.legend(
            handles=keys,
            loc="upper left",
            bbox_to_anchor=(0, 1 - 4.8 / total),
            ncols=wrap or len(keys),
            borderaxespad=0,
            borderpad=0.3,
            columnspacing=1.6,
        )
    if foot:
        figure.text(0.006, 1.0 / total, foot, ha="left", va="bottom", fontsize=6, linespacing=1.3)
    return figure


def wrapped(text: str, width: float) -> str:
    """Break lines of small print so that they fit a width in millimetres."""
    return "\n".join(textwrap.fill(line, int(width / 1.12)) for line in text.splitlines())


def empty_figure(title: str, text: str, simulated: bool, columns: list[str]) -> tuple[Figure, pd.DataFrame]:
    """Say why nothing is drawn, and give an empty table of `columns` beside it."""
    figure = new_figure(TWO_COLUMNS, 20, title)
    if simulated:
        mark_simulated(figure)
    figure.text(0.5, 0.4, wrapped(text, TWO_COLUMNS), ha="center", va="center")
    return figure, pd.DataFrame(columns=[*columns, "simulated"])


def nothing_finished(kind: str, record: dict, columns: list[str]) -> tuple[Figure, pd.DataFrame]:
    """The figure of a run of which every training diverged; `record` is that of any of them."""
    text = "Every training diverged. Lower `learning_rate` of this model in the configuration and run again."
    return empty_figure(f"{kind}: {run_title(record)}", text, record["simulated"], columns)


def mark_simulated(figure: Figure, text: str = "Simulated data") -> None:
    """Say on the figure's face that no measured person stands behind it."""
    height = figure.get_size_inches()[1] / MILLIMETRE
    figure.text(
        0.994,
        1 - 1.2 / height,
        text,
        ha="right",
        va="top",
        fontsize=7.5,
        fontweight="bold",
        color=SIMULATED,
        gid="simulated",
    )


def save(figure: Figure, table: pd.DataFrame, stem: str | Path) -> list[Path]:
    """Write a figure as PDF, SVG and PNG (300 dots per inch) and the table behind it as TSV.

    The bytes depend on the figure alone: no date is written and identifiers are salted.

    Parameters
    ----------
    figure : Figure
    table : DataFrame
        What is drawn.
    stem : path
        The files' common name, without an ending; a dot in it is kept.

    Returns
    -------
    list of Path
        The four files; each is written whole or not at all.
    """
    paths = {ending: Path(f"{stem}.{ending}") for ending in ("pdf", "svg", "png", "tsv")}
    metadata = {
        "pdf": {"CreationDate": None, "ModDate": None},
        "svg": {"Date": None},
        "png": {},
    }
    with matplotlib.rc_context(_SETTINGS):
        # Laid out once: the three formats look alike, and it is the slowest step. Text is wider on paper than at the
        # resolution of a screen, and would be cut off there.
        figure.set_dpi(_DOTS)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        _settle(figure)
        for ending, without_date in metadata.items():
            with atomic_path(paths[ending]) as temporary:
                figure.savefig(temporary, format=ending, dpi=_DOTS, metadata=without_date)
    write_tsv(table, paths["tsv"])
    return list(paths.values())


def _settle(figure: Figure) -> None:
    """Round the places of panels: how the solver of the layout rounds depends on where its variables lie in memory."""
    for part in figure.subfigs:
        part.bbox_relative.set_points(part.bbox_relative.get_points().round(6))
    for axis in figure.axes:
        axis.set_position([round(number, 6) for number in axis.get_position(original=True).bounds])


def run_title(record: dict) -> str:
    """Name a run for a figure's head, e.g. `freesurfer, MLP, autoencoding, relu`."""
    names = [
        record["dataset"],
        record["model"].upper(),
        record["task"],
        record["activation"],
        record["shape"],
    ]
    return ", ".join(name for name in names if name not in ("base", ""))


def plain_log_ticks(axis, count: int = 4) -> None:
    """Give a logarithmic y axis a few ticks that can be read, however narrow its range."""
    axis.set_yscale("log")
    low, high = axis.get_ylim()
    if high / low > 30:
        locator = LogLocator(numticks=count)
    elif high / low > 5:
        locator = LogLocator(subs=(1.0, 2.0, 5.0), numticks=count + 4)
    else:
        locator = MaxNLocator(nbins=count - 1)
    axis.yaxis.set_major_locator(locator)
    axis.yaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_major_formatter(FuncFormatter(_short))
    axis.yaxis.set_minor_formatter(NullFormatter())


def effect_axis(axis, lows, highs, label: str) -> None:
    """Scale and name an x axis of effect sizes: linear, or where they are large linear near 0 alone, and it says so.

    Seeds that agree closely make an effect as large as one likes.

    Parameters
    ----------
    axis : matplotlib Axes
    lows, highs : array_like
        What is to fit; NaN where nothing is drawn.
    label : str
    """
    axis.axvline(0, color=ALL, linewidth=0.6, zorder=0)
    reach = float(np.nanmax(np.abs([*lows, *highs]), initial=2.0))
    if reach <= LARGE_EFFECT:
        axis.set_xlim(-1.1 * reach, 1.1 * reach)
        axis.xaxis.set_major_locator(MaxNLocator(nbins=5))
        axis.set_xlabel(label)
        return
    axis.set_xscale("symlog", linthresh=1)
    axis.set_xlim(-1.6 * reach, 1.6 * reach)
    highest = int(np.log10(reach))
    decades = sorted({10.0 ** (highest // 2), 10.0**highest})
    axis.set_xticks([-tick for tick in decades] + [0.0] + decades)
    axis.xaxis.set_major_formatter(FuncFormatter(lambda tick, _: f"{tick:g}".replace("-", "−")))
    axis.minorticks_off()
    axis.set_xlabel(f"{label}\n(linear from −1 to 1, logarithmic beyond)")


def say(axis, y: float, text: str, transform) -> None:
    """Write in the middle of a panel, at a height, why nothing is drawn there."""
    axis.text(
        0.5, y, text, transform=transform, ha="center", va="center", color=ALL, fontsize=6, gid="no effect",
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1}, in_layout=False,
    )  # fmt: skip


def mark_beyond(axis, lows, highs, places) -> None:
    """Put an arrow at the end of the x axis where an interval goes on beyond it."""
    lows, highs, places = (np.asarray(values, dtype=float) for values in (lows, highs, places))
    left, right = axis.get_xlim()
    for end, beyond, marker in ((left, lows < left, "<"), (right, highs > right, ">")):
        if beyond.any():
            axis.scatter(np.full(beyond.sum(), end), places[beyond], s=7, marker=marker, color="black", linewidths=0,
                         clip_on=False, zorder=3, gid="beyond")  # fmt: skip


def epoch_ticks(axis) -> None:
    """Whole epochs only, and few of them."""
    axis.xaxis.set_major_locator(MaxNLocator(nbins=4, integer=True, min_n_ticks=1))


def format_p(p: float) -> str:
    """Write a p value with three decimals, or with two significant digits where it is smaller."""
    return "0" if p == 0 else f"{p:.3f}" if p >= 0.001 else f"{p:.1e}"


def _short(value: float, _position=None) -> str:
    if value == 0 or 0.001 <= abs(value) < 10_000:
        return f"{value:.4g}"
    mantissa, exponent = f"{value:.1e}".replace(".0e", "e").split("e")
    power = f"10^{{{int(exponent)}}}"
    return f"${power}$" if mantissa == "1" else rf"${mantissa}\cdot{power}$"
