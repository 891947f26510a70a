"""Numbers and names as people read them."""

import numpy as np
import pandas as pd

from autospec.figures.style import format_p

NOTHING = "–"
MODELS = {"mlp": "MLP", "cnn": "CNN", "rnn": "RNN", "lstm": "LSTM", "bert": "BERT"}


def number(value) -> str:
    """Three significant digits; a dash where there is none; text as it is."""
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)) or value == "":
        return NOTHING
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 or value.is_integer() else f"{value:.3g}"
    return str(value)


def p(value) -> str:
    """A p value, or a dash."""
    return NOTHING if value is None or np.isnan(value) else format_p(value)


def equals(name: str, value: float) -> str:
    """`p = 0.005`, which a line never breaks."""
    return f"{name}\u00a0=\u00a0{format_p(value)}"


def interval(row) -> str:
    """The interval of a row's effect, or a dash."""
    low, high = number(row["effect_low"]), number(row["effect_high"])
    return NOTHING if low == high == NOTHING else f"{low} to {high}"


def words(text) -> str:
    """A name without its underscores."""
    return str(text).replace("_", " ")


def listed(names) -> str:
    """Write `a`, `a and b` or `a, b and c`."""
    *first, last = map(str, names)
    return f"{', '.join(first)} and {last}" if first else last


def about(name: str) -> str:
    """Turn `data-abide_nyu_model-lstm_task-autoencoding` into `abide_nyu, LSTM, autoencoding`."""
    for entity in ("model", "task", "activation", "shape"):
        name = name.replace(f"_{entity}-", ", ")
    parts = name.removeprefix("data-").removesuffix(", base").split(", ")
    return ", ".join(MODELS.get(part, part) for part in parts)
