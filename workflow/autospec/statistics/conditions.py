"""Tasks, activations or shapes compared: properties of trainings, so seeds are the unit, paired by seed."""

import itertools
import logging

import numpy as np
import pandas as pd

from autospec.statistics.effects import paired_t
from autospec.statistics.measures import by_layer, by_third
from autospec.statistics.multiplicity import adjust
from autospec.statistics.repeated import repeated_anova
from autospec.text import counted

#: What tells a network from another, seeds apart.
FIELDS = ("dataset", "model", "task", "activation", "shape")
#: The test of all conditions together, among the names of pairs.
OMNIBUS = "omnibus"
#: Fewer seeds than this are not tested: Hedges' g_z and its interval are defined from three on.
LEAST = 3
#: Fewer seeds than this are said to be few wherever a result stands.
FEW = 10

COLUMNS = [
    *FIELDS, "simulated", "compared", "layer", "depth", "quantity", "scale", "measure", "index",
    "pair", "first", "second", "mean_first", "mean_second", "difference", "test", "statistic", "df1", "df2",
    "p", "q", "effect", "effect_low", "effect_high", "n_seeds", "few_seeds", "n_diverged", "significant", "family",
]  # fmt: skip


def compare_conditions(compared, levels, indices=10, alpha=0.05, correction="bh"):
    """Compare the spectra of networks that differ in one condition, on one data set, paired by seed.

    Parameters
    ----------
    compared : {"task", "activation", "shape"}
        What differs. Tasks and activations are compared layer by layer, where name and size agree in all of
        them; shapes by thirds of the depth (see `by_third`).
    levels : mapping of str to mapping of path to dict
        For each condition, run folder and its `run.json`, one for each seed. The seeds that finished in all
        conditions are used; a condition in which none finished is left out.
    indices : int
        How many leading singular values.
    alpha, correction
        Level and correction. The pairs of one quantity and one scale are one family, the omnibus tests
        another.

    Returns
    -------
    cells : DataFrame
        One row a layer (or third of the depth), quantity, measure, index and pair of conditions, with
        Hedges' g_z of second minus first; where there are three conditions or more, also one of pair
        `omnibus`, a repeated-measures analysis of variance with partial eta squared, and then a pair is
        `significant` only where its omnibus test is. Measures are those of `by_layer`. No rows where
        nothing is comparable; no p, statistic and effect where fewer than three seeds are paired.
    overall : dict
        The identity (of what differs, all levels), how many seeds finished and diverged in each condition,
        how many are paired, and what to say beside the results.
    """
    status = [_status(name, records) for name, records in levels.items()]
    kept = [name for name, entry in zip(levels, status, strict=True) if entry["finished"]]
    finished = {
        name: {record["seed"]: folder for folder, record in levels[name].items() if record["status"] == "finished"}
        for name in kept
    }
    seeds = sorted(set.intersection(*(set(runs) for runs in finished.values()))) if len(kept) > 1 else []
    first = next(iter(next(iter(levels.values())).values()))
    overall = {field: first[field] for field in (*FIELDS, "simulated")} | {
        compared: " ".join(levels),
        "compared": compared,
        "levels": status,
        "seeds": len(seeds),
        "few_seeds": len(seeds) < FEW,
        "alpha": alpha,
        "correction": correction,
    }
    cells, values = _values(compared, [[finished[name][seed] for name in kept] for seed in seeds], indices)
    tables = [_omnibus(cells, values)] if len(kept) > 2 and cells else []
    for one, other in itertools.combinations(range(len(kept)), 2):
        if cells:
            tables.append(_pair(cells, values, kept, one, other))
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS)
    if len(seeds) < LEAST:
        table[["statistic", "p", "effect", "effect_low", "effect_high"]] = np.nan
    table = _corrected(table, alpha, correction)
    for name in (*FIELDS, "simulated", "compared", "few_seeds"):
        table[name] = overall[name]
    table["n_seeds"] = len(seeds)
    table["n_diverged"] = sum(entry["diverged"] for entry in status)
    return table[COLUMNS], overall | {"caution": _caution(overall)}


def _status(name, records):
    counts = [record["status"] == "finished" for record in records.values()]
    parameters = next(iter(records.values())).get("parameters")
    unlearned = sum(record["status"] == "finished" and not record["learned"] for record in records.values())
    failed = {"diverged": len(counts) - sum(counts), "unlearned": unlearned}
    return {"level": name, "finished": sum(counts), **failed, "parameters": parameters}


def _values(compared, folders, indices):
    """Cells that all runs have, in order, and their values, shape (seeds, conditions, cells)."""
    if not folders:
        return [], None
    runs, sizes = [], []
    for folder in itertools.chain(*folders):
        measures, size = by_layer(folder / "spectra.parquet", indices)
        runs.append(by_third(measures) if compared == "shape" else measures)
        sizes.append(size)
    shared = [cell for cell in runs[0] if all(cell in run for run in runs)]
    if compared != "shape":
        # Within a seed: another seed's training people may leave out another feature.
        width = len(folders[0])
        by_seed = [sizes[begin : begin + width] for begin in range(0, len(sizes), width)]
        same = {key for key in sizes[0] if all(len({size.get(key) for size in seed}) == 1 for seed in by_seed)}
        shared = [cell for cell in shared if (cell.layer, cell.quantity) in same]
        left_out = sorted({cell.layer for run in runs for cell in run} - {cell.layer for cell in shared})
        if left_out:
            logging.info("layers that not all have, in the same size, are left out: %s", ", ".join(left_out))
    values = np.array([[run[cell] for cell in shared] for run in runs])
    return shared, values.reshape(len(folders), -1, len(shared))


def _rows(cells):
    return pd.DataFrame([vars(cell) for cell in cells])


def _omnibus(cells, values):
    tests = repeated_anova(values).rename(columns={"F": "statistic"})
    return pd.concat([_rows(cells), tests], axis=1).assign(pair=OMNIBUS, test="repeated-measures anova")


def _pair(cells, values, names, one, other):
    tests = paired_t(values[:, other] - values[:, one]).rename(columns={"t": "statistic"})
    means = values.mean(axis=0)
    return pd.concat([_rows(cells), tests], axis=1).assign(
        pair=f"{names[other]} - {names[one]}",
        first=names[one],
        second=names[other],
        mean_first=means[one],
        mean_second=means[other],
        difference=means[other] - means[one],
        test="paired t",
        df1=len(values) - 1,
    )


def _corrected(table, alpha, correction):
    table = table.reindex(columns=COLUMNS)
    if table.empty:
        return table
    omnibus = table["pair"] == OMNIBUS
    families = table.groupby(["quantity", "scale", omnibus])["p"]
    table["q"] = families.transform(lambda p: pd.Series(adjust(p, correction), index=p.index))
    table["significant"] = table["q"] <= alpha
    if omnibus.any():
        cell = ["layer", "quantity", "scale", "measure", "index"]
        allowed = table[omnibus & table["significant"]].set_index(cell).index
        table["significant"] &= omnibus | table.set_index(cell).index.isin(allowed)
    scales = table["scale"].map({"free": "scale-free", "raw": "raw"})
    table["family"] = [
        f"{count} {'omnibus tests' if whole else 'pairs of conditions'} in {scale} cells (layer, measure and index) "
        f"of the {quantity} spectra, corrected by {correction.upper()} at {alpha:g}"
        for quantity, scale, whole, count in zip(
            table["quantity"], scales, omnibus, families.transform("count"), strict=True
        )
    ]
    return table


def _caution(overall):
    """What a reader must know of how many trainings stand behind the results."""
    seeds, lines = overall["seeds"], []
    if seeds < LEAST:
        lines.append(
            f"{counted(seeds, 'seed')} finished in all that is compared; at least {LEAST} are needed for an effect "
            "with its interval, so nothing is tested."
        )
    elif overall["few_seeds"]:
        lines.append(f"{seeds} seeds are few: intervals are wide, and effects that seeds agree on look huge.")
    return " ".join([*lines, *diverged(overall["levels"]), *_unlearned(overall["levels"])])


def _unlearned(levels):
    return [
        f"{entry['unlearned']} of {entry['finished']} trainings of {entry['level']} learned nothing (they end no "
        "better than guessing), and what differs may be that."
        for entry in levels
        if entry["unlearned"]
    ]


def diverged(levels):
    """A sentence for each condition in which trainings diverged.

    Parameters
    ----------
    levels : sequence of mapping
        `levels` of the `overall` of a comparison.
    """
    return [
        f"{entry['diverged']} of {entry['finished'] + entry['diverged']} trainings of {entry['level']} diverged"
        f"{'.' if entry['finished'] else ', so it is left out.'}"
        for entry in levels
        if entry["diverged"]
    ]
