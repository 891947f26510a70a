"""From replicates to rates: the table, the figure and the page of the calibration."""

from pathlib import Path

import numpy as np
import pandas as pd
from monitor import write
from statsmodels.stats.proportion import proportion_confint

from autospec.figures import style
from autospec.tables import atomic_path, read_json, write_tsv

ALPHA = 0.05
TESTS = {
    "spectra": "spectra (min-p)",
    "spectral_ratio": "spectral ratio",
    "gradient_difference": "gradient difference",
    "group_loss": "group loss",
    "all": "all three (min-p)",
    "any_cell": "any cell after BH",
    "across_seeds": "across seeds",
    "across_seeds_corrected": "across seeds, Nadeau-Bengio",
    "largest_t": "largest t",
    "largest_log_variance_ratio": "largest log variance ratio",
    "covariance_distance": "covariance distance",
}


def rejections(values, alpha: float = ALPHA) -> dict:
    """How often values are at most alpha, with the exact interval of Clopper and Pearson (1934).

    Parameters
    ----------
    values : array_like
        A p or q for each replicate; NaN (a test that could not be made) does not reject.
    alpha : float

    Returns
    -------
    dict
        `rejected`, `replicates`, `rate`, `low`, `high` (95 %).
    """
    values = np.asarray(values, dtype=float)
    rejected, count = int((values <= alpha + 1e-9).sum()), len(values)
    low, high = proportion_confint(rejected, count, alpha=0.05, method="beta")
    return {"rejected": rejected, "replicates": count, "rate": rejected / count, "low": low, "high": high}


def summarise(output: Path) -> pd.DataFrame:
    """Rates of every setting that was measured.

    Parameters
    ----------
    output : path
        A folder a setting, as `calibration.py` writes them.

    Returns
    -------
    DataFrame
        One row a setting and test (`layer` empty), and of the question `place` one a statistic and layer
        too; of real data one a test with the truth's p (`truth`) beside the rate under shuffles.
    """
    rows = []
    for folder in sorted(path.parent for path in output.glob("*/setting.json")):
        setting = read_json(folder / "setting.json")
        found = {int(path.stem): read_json(path) for path in sorted(folder.glob("[0-9]*.json"))}
        truth = found.pop(0, None)
        if not found:
            continue
        common = {name: setting[name] for name in ("name", "question", "model", "text")}
        common |= {"people": setting["cohort"].get("people"), "effect": setting["cohort"].get("effect")}
        common |= {
            "pairs": np.median([each["pairs"] for each in found.values()]),
            "age_gap": np.median([each["age_gap"] for each in found.values() if each["age_gap"] is not None] or np.nan),
            **{name: setting[name] for name in ("labelings", "seeds")},
            "cohort_seeds": f"{min(found)} to {max(found)}",
            "seconds": np.median([each["seconds"] for each in found.values()]),
            "simulated": setting["question"] != "real",
            "code": setting["code"],
            "versions": ", ".join(f"{name} {number}" for name, number in setting["versions"].items()),
        }
        for test in TESTS:
            values = [_number(each["values"][test]) for each in found.values()]
            of_truth = {"truth": _number(truth["values"][test])} if truth else {}
            rows.append(common | {"test": test, "layer": ""} | rejections(values) | of_truth)
        if setting["question"] == "place":
            cells = pd.DataFrame([row for each in found.values() for row in each["layers"] if row["layer"]])
            for (statistic, layer), part in cells.groupby(["statistic", "layer"]):
                effect = {"effect": np.exp(np.log(part["effect"]).mean())}
                rows.append(common | effect | {"test": statistic, "layer": layer} | rejections(part["p"]))
    if not rows:
        return pd.DataFrame(columns=["name", "question"])
    first = ["name", "question", "model", "text", "test", "layer"]
    first += ["rejected", "replicates", "rate", "low", "high", "truth"]
    table = pd.DataFrame(rows)
    return table.reindex(columns=[*first, *(name for name in table if name not in first)])


def _number(value) -> float:
    return np.nan if value is None else float(value)


def percent(row) -> str:
    """A rate with its interval, in per cent."""
    return f"{100 * row['rate']:.1f} ({100 * row['low']:.1f} to {100 * row['high']:.1f})"


def markdown(head: list[str], rows: list[list]) -> str:
    """A table of a Markdown page."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
