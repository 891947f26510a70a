"""What each rule asks of a cluster, beside the most that its jobs took, from the benchmark files of finished runs.

    python benchmarks/resources.py .                # the runs in this folder
    python benchmarks/resources.py . other/folder   # and in others: the largest of all counts

Snakemake measures a job's script; on a cluster two Snakemakes run beside it, which are added here.
"""

import argparse
import re
from pathlib import Path

import pandas as pd

RULES = Path(__file__).resolve().parents[1] / "workflow" / "rules"
#: What the Snakemakes of a job take beside its script, in MB.
SNAKEMAKE = 400


def asked() -> pd.DataFrame:
    """What the first try of a rule's job asks for: megabytes and minutes, by rule."""
    rows = {}
    for file in sorted(RULES.glob("*.smk")):
        for part in re.split(r"^rule ", file.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
            amounts = {name: re.search(rf"{name}=growing\((\d+)\)", part)[1] for name in ("mem_mb", "runtime")}
            rows[part.split(":")[0]] = {name: int(amount) for name, amount in amounts.items()}
    return pd.DataFrame.from_dict(rows, orient="index")


def took(folders: list[Path], rules) -> pd.DataFrame:
    """The most that jobs of a rule took: number of jobs, megabytes and minutes, by rule."""
    rows = []
    for folder in folders:
        for path in (folder / "logs").rglob("*.benchmark.tsv"):
            named = [part for part in path.relative_to(folder).parts if part in rules]
            if named:
                row = pd.read_csv(path, sep="\t", na_values="-").iloc[0]
                rows.append({"rule": named[0], "megabytes": row["max_rss"] + SNAKEMAKE, "minutes": row["s"] / 60})
    table = pd.DataFrame(rows, columns=["rule", "megabytes", "minutes"]).groupby("rule")
    return table.agg(jobs=("minutes", "size"), megabytes=("megabytes", "max"), minutes=("minutes", "max"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="where Snakemake worked: it has `logs`")
    rules = asked()
    table = rules.join(took(parser.parse_args().folders, set(rules.index)), how="inner")
    print("| rule | jobs | asks for, MB | took, MB | times | asks for, min | took, min |")
    print("|---|---|---|---|---|---|---|")
    for rule, row in table.iterrows():
        times = row["mem_mb"] / row["megabytes"]
        print(
            f"| {rule} | {row['jobs']:.0f} | {row['mem_mb']:.0f} | {row['megabytes']:.0f} | {times:.1f} "
            f"| {row['runtime']:.0f} | {row['minutes']:.1f} |"
        )


if __name__ == "__main__":
    main()
