"""How alike the two groups are in what is known of their people, before matching and after."""

import numpy as np
import pandas as pd

NUMERIC = ("age", "head_size", "motion")
CATEGORICAL = ("sex", "site")

#: Stands for every site at once in `confounded_sites`; no site has an empty name.
ALL_SITES = ""


def confounded_sites(people, groups):
    """Say which sites hold people of one group alone.

    What differs between such a site and the others cannot be told from what differs between the groups.

    Parameters
    ----------
    people : DataFrame
        `group` and, where known, `site`.
    groups : (str, str)

    Returns
    -------
    dict of str to str
        Site -> a warning; under `ALL_SITES` instead, if no site has both groups. Nothing where everyone
        comes from one site or no site is known.
    """
    if "site" not in people or people["site"].nunique() < 2:
        return {}
    counts = pd.crosstab(people["site"], people["group"]).reindex(columns=list(groups), fill_value=0)
    alone = counts[(counts == 0).any(axis=1)]
    if len(alone) == len(counts):
        return {
            ALL_SITES: f"SITE AND GROUP CANNOT BE TOLD APART: none of the {len(counts)} sites has people of both "
            f"{groups[0]} and {groups[1]}, so any difference between the groups may be one between sites."
        }
    return {
        site: f"SITE AND GROUP GO TOGETHER at site {site}: its {int(row.sum())} people are all {row.idxmax()}. Match "
        "on site (`matching: exact`), which leaves them out, or leave the site out."
        for site, row in alone.iterrows()
    }


def balance_table(people, kept, groups, exact=(), callipers=()):
    """How alike the two groups are, before matching and after.

    Parameters
    ----------
    people, kept : DataFrame
        Everyone, and who was matched; one row a person.
    groups : (str, str)
        The reference group first.
    exact, callipers : iterable of str
        The matching variables. `age`, `head_size`, `motion`, `sex` and `site` are listed besides
        where they are known.

    Returns
    -------
    DataFrame
        One row a variable (and `level`, whose share is the mean, for categories) and `stage`
        (before, after): means, `mean_gap` (other minus reference), `smd` (the gap over the root mean
        square of the two standard deviations before matching, so that both stages have one scale),
        `variance_ratio` (other over reference), how many people have a value, and `warning` (see
        `confounded_sites`). The variable `people` holds the counts alone.
    """
    columns = [("people", "", pd.Series(np.nan, index=people.index))]
    for name in dict.fromkeys([*callipers, *NUMERIC]):
        if name in people and people[name].notna().any():
            columns.append((name, "", people[name].astype(float)))
    for name in dict.fromkeys([*exact, *CATEGORICAL]):
        if name in people:
            values = people[name]
            for level in sorted(values.dropna().unique(), key=str):
                columns.append((name, str(level), (values == level).astype(float).where(values.notna())))

    warnings = {"before": confounded_sites(people, groups), "after": confounded_sites(kept, groups)}
    rows = []
    for variable, level, values in columns:
        before = [values[people["group"] == group] for group in groups]
        scale = np.sqrt(np.mean([_variance(part) for part in before]))
        for stage, frame in (("before", people), ("after", kept)):
            reference, other = (values.loc[frame.index[frame["group"] == group]].dropna() for group in groups)
            gap = _mean(other) - _mean(reference)
            spread = _variance(reference)
            counts = [len(reference), len(other)]
            if variable == "people":
                counts = [int((frame["group"] == group).sum()) for group in groups]
            rows.append(
                {
                    "variable": variable,
                    "level": level,
                    "stage": stage,
                    "mean_reference": _mean(reference),
                    "mean_other": _mean(other),
                    "mean_gap": gap,
                    "smd": gap / scale if scale > 0 else (0.0 if gap == 0 else np.nan),
                    "variance_ratio": _variance(other) / spread if spread > 0 else np.nan,
                    "n_reference": counts[0],
                    "n_other": counts[1],
                    "warning": warnings[stage].get({"people": ALL_SITES, "site": level}.get(variable), ""),
                }
            )
    return pd.DataFrame(rows)


def _mean(values):
    return float(values.mean()) if len(values) else np.nan


def _variance(values):
    values = values.dropna()
    return float(values.var(ddof=1)) if len(values) > 1 else np.nan
