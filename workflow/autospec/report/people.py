"""The data sets: where each comes from, how its pairs came out, who was left out and why. Counts alone."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from autospec.tables import read_tsv


def read_datasets(
    trainings: list[dict],
    balance: Iterable[str | Path],
    dropped: Iterable[str | Path],
    unpaired: Iterable[str | Path],
    quality: Iterable[str | Path],
    options: Mapping[str, Mapping],
    pairings: Iterable[str | Path] = (),
) -> dict[str, dict]:
    """Describe each data set that was trained on.

    Parameters
    ----------
    trainings : list of dict
        What `read_trainings` gives.
    balance, dropped, unpaired : iterable of path
        Of each data set; the folder above each file names it.
    quality : iterable of path
        `quality/groups.tsv` of each data set; the folder above that names it.
    options : mapping of str to mapping
        By data set, its entry in the configuration.
    pairings : iterable of path
        The comparison with other pairings, of each data set whose groups are tested; the file is named by it.

    Returns
    -------
    dict of str to dict
        By data set: groups, simulated, description, options, people, pairs, balance, largest, warnings,
        matching (in words), pairings, dropped and unpaired (counts by reason), described.
    """
    datasets: dict[str, dict] = {}
    for training in trainings:
        shown = {name: training[name] for name in ("groups", "simulated", "description")}
        empty = {name: [] for name in ("balance", "people", "dropped", "unpaired", "described", "warnings", "pairings")}
        about = {"options": options.get(training["dataset"], {}), "largest": None, "matching": "", "pairs": None}
        datasets.setdefault(training["dataset"], shown | empty | about)
    for path in map(Path, balance):
        if path.parent.name in datasets:
            entry = datasets[path.parent.name]
            entry |= _balance(read_tsv(path, dtype={"level": str}), entry["options"].get("matching", {}))
    for path in map(Path, pairings):
        if path.stem in datasets:
            entry = datasets[path.stem]
            entry["pairings"] = _pairings(read_tsv(path))
            entry["matching"] = _matching_words(entry["options"].get("matching", {}), entry["pairs"], tried=True)
    for path in map(Path, dropped):
        if path.parent.name in datasets:
            datasets[path.parent.name]["dropped"] = _counted(read_tsv(path, dtype=str))
    for path in map(Path, unpaired):
        if path.parent.name in datasets:
            datasets[path.parent.name]["unpaired"] = _unpaired(read_tsv(path, dtype=str))
    for path in map(Path, quality):
        if path.parents[1].name in datasets:
            datasets[path.parents[1].name]["described"] = read_tsv(path, dtype={"level": str}).to_dict("records")
    return datasets


def _balance(table, matching: Mapping) -> dict:
    # The pairing is what the results rest on: a site of one group alone counts where it is still in the pairs.
    warned = table[table["warning"].notna() & (table["warning"] != "")].sort_values("stage")
    people = table["variable"] == "people"
    pairs = int(table.loc[people & (table["stage"] == "after"), "n_reference"].iloc[0])
    after = table[~people & (table["stage"] == "after") & table["smd"].notna()]
    return {
        "warnings": warned.drop_duplicates(["variable", "level"])[["stage", "warning"]].to_dict("records"),
        "people": table[people].to_dict("records"),
        "pairs": pairs,
        "matching": _matching_words(matching, pairs),
        "balance": table[~people].to_dict("records"),
        "largest": after.loc[after["smd"].abs().idxmax()].to_dict() if len(after) else None,
    }


def _counted(table) -> list[dict]:
    # A reason that quotes its own row's label would name a person.
    reasons = [
        str(reason).replace(str(label), "…") for label, reason in zip(table["label"], table["reason"], strict=True)
    ]
    counts = table.assign(reason=reasons).groupby(["kind", "reason"]).size().rename("count").reset_index()
    return counts.sort_values(["kind", "count"], ascending=[False, False], kind="stable").to_dict("records")


def _unpaired(table) -> list[dict]:
    # A person without a partner is one, however many sessions of theirs the table holds.
    once = table[(table["kind"] == "session") | ~table.duplicated(["kind", "person"])]
    counts = once.groupby(["kind", "reason"]).size().rename("count").reset_index()
    return counts.sort_values(["kind", "count"], ascending=[True, False], kind="stable").to_dict("records")


def criteria(matching: Mapping) -> str:
    """What the two people of a pair have in common, in words; nothing where pairs are drawn at random."""
    words = [f"the same {name}" for name in matching.get("exact", ())]
    words += [
        f"{name.replace('_', ' ')} within {limit:g} standard deviations"
        for name, limit in matching.get("callipers", {}).items()
    ]
    return ", ".join(words)


def _matching_words(matching: Mapping, pairs: int, tried: bool = False) -> str:
    """Declare the one pairing that the results rest on, and what is known of others."""
    declared = f"Primary matching: {criteria(matching) or 'none, people are paired at random'}; {pairs} pairs. "
    if not tried:
        return declared + "The groups of these data are not tested, so no other was tried."
    return declared + (
        "The networks were trained on this pairing alone. What other callipers and fewer variables do to the pairs, to "
        "their balance and to the tests of the inputs stands in a table below; how the networks' results depend on "
        "them is not known without training again."
    )


def _pairings(table) -> list[dict]:
    """One row a matching, with the p of each test of the inputs."""
    rows = []
    for name, part in table.groupby("matching", sort=False):
        tests = part[part["test"].notna() & (part["test"] != "")].set_index("test")["p"]
        rows.append(part.iloc[0].to_dict() | {"matching": name, "tests": tests.to_dict()})
    return rows
