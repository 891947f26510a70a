"""From replicates to rates of rejection: the table and the page of the calibration."""

from pathlib import Path

import numpy as np
import pandas as pd
from calibration_figure import draw
from cohorts import SETTINGS
from monitor import write
from statsmodels.stats.proportion import proportion_confint

from autospec.figures import style
from autospec.tables import atomic_path, read_json, read_tsv, write_tsv

ALPHA = 0.05
TESTS = {
    "spectra": "spectra (min-p)",
    "spectral_ratio": "spectral ratio",
    "gradient_difference": "gradient difference",
    "group_loss": "group loss",
    "all": "all three (min-p)",
    "any_cell": "any cell, BH",
    "across_seeds": "any cell across seeds",
    "across_seeds_corrected": "the same, Nadeau-Bengio",
    "largest_t": "largest t",
    "largest_log_variance_ratio": "largest log variance ratio",
    "covariance_distance": "covariance distance",
}
SWAPS = ("spectra", "spectral_ratio", "gradient_difference", "group_loss")
SEEDS = ("across_seeds", "across_seeds_corrected")
YARDSTICKS = ("largest_t", "largest_log_variance_ratio", "covariance_distance")
#: Questions of the page -> the tests in their columns.
COLUMNS = {
    "null": (*SWAPS, *SEEDS),
    "violation": (*SWAPS, *SEEDS),
    "power": (*SWAPS, *YARDSTICKS),
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
    # A p is a count over labelings, written in decimals.
    return rate_of(int((values <= alpha + 1e-9).sum()), len(values))


def rate_of(rejected: int, count: int) -> dict:
    """As `rejections`, from counts."""
    low, high = proportion_confint(rejected, count, alpha=0.05, method="beta")
    return {"rejected": rejected, "replicates": count, "rate": rejected / count, "low": low, "high": high}


def summarise(output: Path) -> pd.DataFrame:
    """Rates of all settings that were measured.

    Parameters
    ----------
    output : path
        A folder a setting, as `calibration.py` writes them.

    Returns
    -------
    DataFrame
        One row a setting and test (`layer` empty); of the question `place` one a statistic and layer
        too, with the geometric mean of its `effect`. Of real data `truth` is what the true labels give; its rates
        are those of the shuffled ones. `cells` is the mean share of cells that a test across seeds
        calls significant.
    """
    rows = []
    order = [setting.name for setting in SETTINGS]
    folders = [path.parent for path in sorted(output.glob("*/setting.json"))]
    for folder in sorted(folders, key=lambda each: order.index(each.name) if each.name in order else len(order)):
        setting = read_json(folder / "setting.json")
        found = {int(path.stem): read_json(path) for path in sorted(folder.glob("[0-9]*.json"))}
        truth = found.pop(0, None)
        if not found:
            continue
        common = _common(setting, found)
        for test in TESTS:
            row = common | {"test": test, "layer": ""}
            row |= rejections([_number(each["values"][test]) for each in found.values()])
            share = {"across_seeds": "stable", "across_seeds_corrected": "stable_corrected"}.get(test)
            row["cells"] = np.mean([each[share] for each in found.values()]) if share else np.nan
            row["truth"] = _number(truth["values"][test]) if truth else np.nan
            rows.append(row)
        if setting["question"] == "place":
            cells = pd.DataFrame([row for each in found.values() for row in each["layers"] if row["layer"]])
            for (statistic, layer), part in cells.groupby(["statistic", "layer"]):
                row = common | {"test": statistic, "layer": layer, "effect": np.exp(np.log(part["effect"]).mean())}
                rows.append(row | rejections(part["p"]))
    first = ["setting", "question", "model", "text", "test", "layer", "rejected", "replicates", "rate", "low", "high"]
    table = pd.DataFrame(rows)
    return table.reindex(columns=[*first, *(name for name in table if name not in first)])


def _common(setting: dict, found: dict) -> dict:
    gaps = [each["age_gap"] for each in found.values() if each["age_gap"] is not None]
    return {
        "setting": setting["name"],
        **{name: setting[name] for name in ("question", "model", "text", "labelings", "seeds")},
        "people": setting["cohort"].get("people", np.nan),
        "planted": setting["cohort"].get("effect", np.nan),
        "pairs": np.median([each["pairs"] for each in found.values()]),
        "age_gap": np.median(gaps) if gaps else np.nan,
        "cohort_seeds": f"{min(found)} to {max(found)}",
        "seconds": np.median([each["seconds"] for each in found.values()]),
        "simulated": setting["question"] != "real",
        "code": setting["code"],
        "versions": ", ".join(f"{name} {number}" for name, number in setting["versions"].items()),
    }


def _number(value) -> float:
    return np.nan if value is None else float(value)


def write_page(table: pd.DataFrame, docs: Path) -> None:
    """Bring calibration.tsv, calibration.png, the tables of calibration.md and that of method.md up to date.

    Rows of a setting that stood on more cohorts than the table's are kept, with the code that made them.
    """
    # Everything is made from the numbers of the file, so that the page can be checked against it.
    write_tsv(joined(table, read_tsv(docs / "calibration.tsv")).round(4), docs / "calibration.tsv")
    table = read_tsv(docs / "calibration.tsv")
    with atomic_path(docs / "calibration.png") as temporary:
        draw(table).savefig(temporary, format="png", dpi=200)
    write(docs / "calibration.md", page_tables(table))
    write(docs / "method.md", {"measured": in_short(table)})


def joined(new: pd.DataFrame, old: pd.DataFrame) -> pd.DataFrame:
    """Of each setting the rows that stand on more cohorts, and the new ones of equally many; in the settings' order."""
    most = {name: part["replicates"].max() for name, part in old.groupby("setting")}
    better = new["replicates"] >= new["setting"].map(most).fillna(0)
    table = pd.concat([new[better], old[~old["setting"].isin(new["setting"][better])]], ignore_index=True)
    order = {setting.name: place for place, setting in enumerate(SETTINGS)}
    place = table["setting"].map(order).fillna(len(order))
    return table.iloc[np.argsort(place.to_numpy(), kind="stable")].reset_index(drop=True)


def page_tables(table: pd.DataFrame) -> dict[str, str]:
    """The tables of the page, in Markdown, by the name of their marks."""
    whole = table[table["layer"].fillna("") == ""]
    tables = {}
    for question, tests in COLUMNS.items():
        rows = []
        for _, part in whole[whole["question"] == question].groupby("setting", sort=False):
            of_test = part.set_index("test")
            rows.append([*_who(part.iloc[0]), *(percent(of_test.loc[test]) for test in tests)])
        if question == "null":
            rows += _together(whole, tests)
        tables[question] = markdown([*_WHO, *(TESTS[test] for test in tests)], rows)
    place = table[(table["question"] == "place") & (table["layer"].fillna("") != "")]
    layers = sorted(place["layer"].unique())
    rows = []
    for (_, test), part in place.groupby(["setting", "test"], sort=False):
        of_layer = part.set_index("layer")
        rows.append([*_who(part.iloc[0]), TESTS[test], *(percent(of_layer.loc[layer]) for layer in layers)])
    tables["place"] = markdown([*_WHO, "statistic", *layers], rows)
    rows = []
    for _, part in whole[whole["question"] == "real"].groupby("setting", sort=False):
        for row in part.to_dict("records"):
            truth = "" if np.isnan(row["truth"]) else style.format_p(row["truth"])
            counts = [f"{row['pairs']:g}", row["replicates"]]
            rows.append([row["setting"], *counts, TESTS[row["test"]], truth, percent(row)])
    tables["real"] = markdown(
        ["data, network", "pairs", "shuffles", "test", "p or least q, true labels", "shuffled labels"], rows
    )
    return tables


def in_short(table: pd.DataFrame) -> str:
    """The test that claims rest on and the one across seeds, on everything that is simulated: for method.md."""
    rows = []
    for question in COLUMNS:
        of_question = table[(table["question"] == question) & (table["layer"].fillna("") == "")]
        for _, part in of_question.groupby("setting", sort=False):
            of_test = part.set_index("test")
            rows.append([*_who(part.iloc[0]), *(percent(of_test.loc[test]) for test in ("spectra", "across_seeds"))])
    return markdown([*_WHO, TESTS["spectra"], TESTS["across_seeds"]], rows)


def _together(whole: pd.DataFrame, tests) -> list[list[str]]:
    """The rates over all cohorts without a difference of several settings with the default seeds.

    One line of the perceptron, and of the other networks together one for each kind of cohort.
    """
    nulls = whole[(whole["question"] == "null") & (whole["seeds"] == 4)]
    others = nulls[nulls["model"] != "mlp"]
    parts = {"mlp: the four of 4 seeds together": nulls[nulls["model"] == "mlp"]}
    parts |= {
        f"{', '.join(part['model'].unique())} together: {text}": part
        for text, part in others.groupby("text", sort=False)
        if part["model"].nunique() > 1
    }
    lines = []
    for label, part in parts.items():
        sums = part.groupby("test")[["rejected", "replicates"]].sum()
        rates = [percent(rate_of(*map(int, sums.loc[test]))) if test in sums.index else "" for test in tests]
        lines.append([label, "", "", str(int(sums["replicates"].max()) if len(sums) else 0), "100", "4", *rates])
    return lines


_WHO = ["cohort", "pairs", "age gap", "cohorts", "P", "seeds"]


def _who(row) -> list[str]:
    values = [f"{row[name]:g}" for name in ("replicates", "labelings", "seeds")]
    people = f", {row['people']:g} people" if row["question"] == "power" else ""
    return [
        f"{row['model']}: {row['text']}{people}",
        f"{row['pairs']:g}",
        f"{round(row['age_gap'], 2) + 0.0:.2f}",
        *values,
    ]


def percent(row) -> str:
    """A rate in per cent with its interval."""
    return f"{100 * row['rate']:.0f} ({100 * row['low']:.0f} to {100 * row['high']:.0f})"


def markdown(head: list[str], rows: list[list]) -> str:
    """A table of a Markdown page."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
