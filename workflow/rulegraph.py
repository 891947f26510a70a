"""Draw the rules of the test configuration by stage, in the README's mermaid block: ``make rulegraph``."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def stages() -> dict[str, list[str]]:
    """The rules of each file of rules, in the order in which the Snakefile includes them."""
    names = re.findall(r'include: "(workflow/rules/(\w+)\.smk)"', (ROOT / "Snakefile").read_text(encoding="utf-8"))
    rules = {
        stage: re.findall(r"^rule (\w+):", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
        for file, stage in names
    }
    return {stage: found for stage, found in rules.items() if found}


def arrows(text: str) -> set[tuple[str, str]]:
    """Arrows between rules in Snakemake's mermaid graph, without those that a longer way implies."""
    names = dict(re.findall(r"(id\d+)\[(\w+)\]", text))
    found = {(names[a], names[b]) for a, b in re.findall(r"(id\d+) --> (id\d+)", text) if names[b] != "all"}

    def reached(rule: str) -> set[str]:
        below = {b for a, b in found if a == rule}
        return below.union(*map(reached, below))

    return {(a, b) for a, b in found if not any(b in reached(c) for x, c in found if x == a and c != b)}


def draw(text: str) -> str:
    """A mermaid graph with a box a stage."""
    edges = arrows(text)
    drawn = {rule for edge in edges for rule in edge}
    lines = ["flowchart LR"]
    for stage, rules in stages().items():
        if shown := [rule for rule in rules if rule in drawn]:
            lines += [f"  subgraph {stage}", *(f"    {rule}" for rule in shown), "  end"]
    return "\n".join(lines + [f"  {a} --> {b}" for a, b in sorted(edges)])


def main() -> None:
    command = [sys.executable, "-m", "snakemake", "--configfile", "config/test.yaml", "--rulegraph", "mermaid-js"]
    text = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    page = ROOT / "README.md"
    readme = page.read_text(encoding="utf-8")
    page.write_text(
        re.sub(r"```mermaid\n.*?```", lambda _: f"```mermaid\n{draw(text)}\n```", readme, flags=re.DOTALL),
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
