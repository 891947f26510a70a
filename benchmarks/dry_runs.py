"""How much processor time `snakemake -n` takes: Snakemake alone, the default, and the paper's grid.

    python benchmarks/dry_runs.py

The time of the processor is told, user's and system's together, and not the clock's, so that a busy machine disturbs
little; the median of several goes and their range.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EMPTY = 'rule all:\n    output:\n        "made",\n    shell:\n        "touch {output}"\n'


def seconds(snakefile: Path, folder: Path, *arguments) -> float:
    """Processor time of one dry run."""
    command = [sys.executable, "-m", "snakemake", "-n", "--snakefile", snakefile, "--directory", folder, *arguments]
    begin = os.times()
    subprocess.run(list(map(str, command)), cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
    end = os.times()
    return end.children_user + end.children_system - begin.children_user - begin.children_system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    print("| dry run | seconds of a processor | smallest to largest |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder, "Snakefile")
        empty.write_text(EMPTY, encoding="utf-8")
        for name, snakefile, arguments in (
            ("Snakemake alone: one rule", empty, ()),
            ("`snakemake -n`, the default", ROOT / "Snakefile", ()),
            ("`config/paper.yaml`", ROOT / "Snakefile", ("--configfile", ROOT / "config" / "paper.yaml")),
        ):
            seconds(snakefile, Path(folder), *arguments)  # the first one fills Snakemake's cache
            times = [seconds(snakefile, Path(folder), *arguments) for _ in range(repeats)]
            print(f"| {name} | {statistics.median(times):.1f} | {min(times):.1f} to {max(times):.1f} |", flush=True)


if __name__ == "__main__":
    main()
