"""The tests of groups and the claims of two runs side by side, true labels and shuffled ones, as Markdown.

    python benchmarks/side_by_side.py results/abide results/abide_shuffled
    python benchmarks/side_by_side.py results/abide results/abide_shuffled --page docs/abide.md

The second line puts the tables between the marks `<!-- table:groups -->` and `<!-- table:claims -->` of a page.
"""

import argparse
import sys
from pathlib import Path

import library  # noqa: F401
import pandas as pd
from monitor import write

from autospec.errors import InputError
from autospec.report.words import number
from autospec.report.words import p as p_value
from autospec.tables import read_json, read_tsv

STATISTICS = ("spectral_ratio", "gradient_difference", "group_loss")
#: More layers than so many are counted and not named.
MOST_NAMED = 3
YARDSTICKS = ("largest_t", "largest_log_variance_ratio", "covariance_distance")


def groups_table(runs: dict[str, Path]) -> str:
    """A row a network that does not see labels, and kind of labels: pairs, p of each test, cells that tests call."""
    heads = ["data, network", "labels", "seeds", "pairs", "spectra: min-p (95 % interval)"]
    heads += [name.replace("_", " ") for name in (*STATISTICS, *YARDSTICKS)]
    heads += ["cells significant after correction", "stable over trainings: paired t; Nadeau and Bengio"]
    rows = []
    for labels, folder in runs.items():
        for path in sorted((folder / "statistics" / "groups").glob("*/overall.json")):
            overall = read_json(path)
            if not overall["exact"]:
                continue
            cells, stability = (read_tsv(path.with_name(f"{name}.tsv")) for name in ("cells", "stability"))
            spectra = overall["spectra"]
            row = [f"{overall['dataset']}, {overall['model']}", labels, overall["seeds"], overall["pairs"]]
            row.append(f"{spectra['p']:.3f} ({spectra['p_low']:.3f} to {spectra['p_high']:.3f})")
            row += [f"{overall['statistics'][name]['p']:.3f}" for name in STATISTICS]
            row += [f"{overall['inputs'][name]:.3f}" for name in YARDSTICKS]
            spectral = cells[cells["statistic"] != "group_loss"]
            row.append(f"{int((spectral['q'] <= overall['alpha']).sum())} of {len(spectral)}")
            shares = [(stability[name] <= overall["alpha"]).mean() for name in ("q", "q_corrected")]
            row.append("; ".join(f"{share:.0%}" for share in shares))
            rows.append(row)
    return _markdown(heads, sorted(rows, key=lambda row: row[0]))


def claims_table(runs: dict[str, Path]) -> str:
    """A row a claim, place and kind of labels: what can be tested, but for C7, which is about time and not labels."""
    heads = ["claim", "data, network", "labels", "outcome", "p", "q", "effect", "95 % interval", "n"]
    heads += ["statistic: value", "where"]
    rows = []
    for labels, folder in runs.items():
        for row in read_tsv(folder / "statistics" / "claims.tsv").to_dict("records"):
            if row["status"] == "not testable here" or row["claim"] == "C7":
                continue
            over_all = row["dataset"] == row["model"] == "all"
            place = "over all" if over_all else ", ".join(row[part] for part in ("dataset", "model"))
            place += f", {row['task']}" if row["claim"] == "C2" and not over_all else ""
            ranked = "" if pd.isna(row["p_low"]) else f" ({row['p_low']:.3f} to {row['p_high']:.3f})"
            rows.append([row["claim"], place, labels, row["status"], p_value(row["p"]) + ranked, p_value(row["q"])])
            effect = "" if pd.isna(row["effect"]) else f"{row['effect']:.3g}"
            bounds = "" if pd.isna(row["effect_low"]) else f"{row['effect_low']:.3g} to {row['effect_high']:.3g}"
            count = "" if pd.isna(row["n"]) else f"{int(row['n'])} {row['n_of']}"
            value = "" if pd.isna(row["value"]) else f": {row['value']:.3g}"
            layers = str(number(row["where"])).split(", ")
            named = len(layers) <= MOST_NAMED or over_all
            where = ", ".join(layers) if named else f"{len(layers)} layers"
            rows[-1] += [effect, bounds, count, f"{number(row['statistic'])}{value}", where]
    return _markdown(heads, sorted(rows, key=lambda row: (row[0], row[1] == "over all", row[1])))


def _markdown(heads: list[str], rows: list[list]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("true", type=Path, help="results with the true labels")
    parser.add_argument("shuffled", type=Path, help="results with shuffled labels (benchmarks/shuffle.py)")
    parser.add_argument("--page", type=Path, help="a page whose tables are written anew")
    arguments = parser.parse_args()
    runs = {"true": arguments.true, "shuffled": arguments.shuffled}
    try:
        for folder in runs.values():
            if not (folder / "statistics" / "claims.tsv").exists():
                raise InputError(f"{folder}/statistics/claims.tsv: not found, wanted the results of a finished run.")
        tables = {"groups": groups_table(runs), "claims": claims_table(runs)}
        if arguments.page:
            write(arguments.page, tables)
        else:
            print("\n\n".join(tables.values()))
    except InputError as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()
