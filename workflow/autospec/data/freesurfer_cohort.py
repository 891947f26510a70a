"""From people and their FreeSurfer measures to a data set, alike for stats files and tables."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from autospec.data.dataset import Dataset
from autospec.data.freesurfer_names import is_volume
from autospec.data.quality import clean_features
from autospec.errors import InputError


def assemble(
    name: str,
    options: Mapping,
    path: Path,
    people: pd.DataFrame,
    table: pd.DataFrame,
    measured: Mapping[str, np.ndarray],
    originals: Mapping[str, str],
    origin: str,
    simulated: bool = False,
) -> tuple[Dataset, pd.DataFrame, pd.DataFrame]:
    """Check the measures, and make the data set.

    Parameters
    ----------
    name, options, path
        As `read` of the two readers takes them; of the options `head_size` is used.
    people : DataFrame
        From `read_participants`; without `head_size` it is taken from `measured`.
    table : DataFrame, shape (people, features)
        In the order of `people`, current names.
    measured : mapping of str to ndarray, shape (people,)
        `head_size` (mm^3) and further columns for the quality table; those that nobody has are left out.
    originals : mapping of str to str
        Current name -> the name in the files.
    origin : str
        What the data are, for the description.
    simulated : bool

    Returns
    -------
    dataset : Dataset
    quality : DataFrame
        See `clean_features`, and the columns of `measured`.
    dropped : DataFrame
        `kind`, `label`, `reason`.

    Raises
    ------
    InputError
        What `clean_features` and `proportions` refuse.
    """
    known = {column: values for column, values in measured.items() if not pd.isna(values).all()}
    if "head_size" not in people and "head_size" in known:
        people = people.assign(head_size=known["head_size"])
    table, quality, cleaned = clean_features(people, table)
    for column, values in known.items():
        if column != "head_size":
            quality.insert(1, column, values)
    adjusted = options.get("head_size", "none") == "proportion"
    if adjusted:
        table = proportions(table, people, path)
    dataset = Dataset(
        name=name,
        values=table.to_numpy(np.float32),
        people=people,
        features=list(table.columns),
        groups=tuple(options["groups"]),
        simulated=simulated,
        description=(
            f"{'Simulated' if simulated else 'Measured'} FreeSurfer features, {len(table.columns)} of {len(people)} "
            f"people, from {origin}{', volumes divided by head size' if adjusted else ''}."
        ),
        originals={feature: originals[feature] for feature in table if feature in originals},
    )
    return dataset, quality, cleaned


def proportions(table: pd.DataFrame, people: pd.DataFrame, path: str | Path) -> pd.DataFrame:
    """Divide each person's volumes by the head size of that person; other measures stay.

    It needs nobody else, so nothing of test subjects gets into what is trained on. The residual method
    does, and is fitted on training people only, within the run.

    Raises
    ------
    InputError
        Somebody has no head size above 0.
    """
    if "head_size" not in people:
        raise InputError(
            f"{path}: `head_size: proportion` needs head sizes, and neither the files nor the participants table "
            "has them. Name their column under `participants.head_size`, or take the option away."
        )
    lacking = ~(people["head_size"] > 0)
    if lacking.any():
        raise InputError(
            f"{path}: {int(lacking.sum())} people, {people['subject'][lacking].iloc[0]} first, have a head size of "
            f"{people['head_size'][lacking].iloc[0]:g}, wanted one above 0 for `head_size: proportion`. Correct it, "
            "remove them, or take the option away."
        )
    volumes = [feature for feature in table if is_volume(feature)]
    divided = table[volumes].div(people["head_size"].to_numpy(), axis=0)
    return table.assign(**divided)
