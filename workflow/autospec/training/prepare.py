"""From a data set, its pairs and a split to the tensors that a run trains on.

Nothing here sees the group: which features vary, who is an outlier, harmonising, residualising and scaling are
decided on all training people together and on nobody else, and the two people of a pair stand in the order of the
table of pairs, which was drawn at random. (An order by subject can be an order by group: studies often number one
group first.)
"""

import dataclasses
import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd

from autospec.data.dataset import Dataset
from autospec.data.quality import flag_people
from autospec.errors import InputError
from autospec.training import covariates

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Prepared:
    """One split of a data set, scaled. Rows 2 i and 2 i + 1 are pair i of their part.

    Attributes
    ----------
    values : dict of part (train, test) to ndarray of float32, (people, ...)
    targets : dict of part to ndarray of int64, (people,); indices into `classes`
    is_other : dict of part to ndarray of bool, (people,); True in the second group
    pairs : ndarray of int, (training pairs,)
        Which pair of the data set each training pair is.
    classes : list of str
    labels_used : bool
        Whether the target differs within some pair, so that training on it used what a swap
        of labels would change.
    features_left_out : list of str
        Features of a table that are the same in all training people, or that the covariates taken out of them explain
        wholly; components that are zero in one of the training people.
    pairs_left_out : list of int
        Pairs of the data set, of both parts, in which somebody is an outlier among the training people.
    """

    values: dict[str, np.ndarray]
    targets: dict[str, np.ndarray]
    is_other: dict[str, np.ndarray]
    pairs: np.ndarray
    classes: list[str]
    labels_used: bool
    features_left_out: list[str] = dataclasses.field(default_factory=list)
    pairs_left_out: list[int] = dataclasses.field(default_factory=list)


def prepare(
    dataset: Dataset,
    pairs: pd.DataFrame,
    split: pd.DataFrame,
    residualise: Sequence[str] = (),
    harmonise: str | None = None,
    outliers: str = "keep",
) -> Prepared:
    """Take the paired people of one split, in pair order: cleaned, harmonised, residualised and scaled by the
    training part.

    Parameters
    ----------
    dataset : Dataset
    pairs : DataFrame with columns pair, subject (two rows a pair, in random order)
    split : DataFrame with columns pair, part; the rows of one seed
    residualise : sequence of str
        Covariates whose linear effects are taken out of the features of a table.
    harmonise : {None, "combat"}
        Whether the sites of a table are brought together.
    outliers : {"keep", "drop"}
        Whether the pairs of people who are outliers among the training people are left out of a table.

    Raises
    ------
    InputError
        Nothing varies in the training people, or nothing beyond covariates; too few pairs without outliers; and what
        `autospec.training.covariates` refuses.
    """
    position = pd.Series(np.arange(len(dataset.people)), index=dataset.people["subject"])
    ordered = pairs.merge(split[["pair", "part"]], on="pair").sort_values("pair", kind="stable")
    unlikely = _unlikely(dataset, ordered, position) if outliers == "drop" else set()
    ordered = ordered[~ordered["pair"].isin(unlikely)]
    _check_parts(dataset, ordered, len(unlikely))
    varying = _varying(dataset.values[position[ordered.loc[ordered["part"] == "train", "subject"]]])
    if not varying.any():
        raise InputError(f"data set '{dataset.name}': no feature varies in all people who are trained on. See qc.tsv.")
    classes = sorted(dataset.people["target"].astype(str).unique())
    target_of = pd.Series(
        pd.Categorical(dataset.people["target"].astype(str), categories=classes).codes.astype(np.int64),
        index=dataset.people["subject"],
    )
    other_of = pd.Series((dataset.people["group"] == dataset.groups[1]).to_numpy(), index=dataset.people["subject"])
    values, people, targets, is_other, numbers = {}, {}, {}, {}, {}
    for part in ("train", "test"):
        rows = ordered[ordered["part"] == part]
        places = position[rows["subject"]].to_numpy()
        values[part], people[part] = dataset.values[places][..., varying], dataset.people.iloc[places]
        targets[part] = target_of[rows["subject"]].to_numpy(copy=True)
        is_other[part] = other_of[rows["subject"]].to_numpy(copy=True)
        numbers[part] = rows["pair"].to_numpy()[::2]
    every_target = target_of[ordered["subject"]].to_numpy()
    if harmonise or residualise:
        values = {part: array.astype(np.float64) for part, array in values.items()}
        values, varying = _beyond_covariates(dataset, values, varying, people["train"], list(residualise), harmonise)
    if harmonise:
        values = covariates.harmonise(values, people)
    if residualise:
        values = covariates.residualise(values, people, list(residualise))
    center, spread = _scaling(values["train"])
    return Prepared(
        values={part: ((array - center) / spread).astype(np.float32) for part, array in values.items()},
        targets=targets,
        is_other=is_other,
        pairs=numbers["train"],
        classes=classes,
        labels_used=bool((every_target[::2] != every_target[1::2]).any()),
        features_left_out=[name for name, kept in zip(dataset.features, varying, strict=True) if not kept],
        pairs_left_out=sorted(unlikely),
    )


def _varying(train: np.ndarray) -> np.ndarray:
    """Which features of a table differ between people, which components nobody lacks; everything of images."""
    if train.ndim == 2:
        return (train != train[:1]).any(axis=0)
    if train.ndim == 3:
        return train.any(axis=1).all(axis=0)
    return np.ones(train.shape[-1], dtype=bool)


def _beyond_covariates(
    dataset: Dataset, values: dict[str, np.ndarray], kept: np.ndarray, train: pd.DataFrame, residualise: list[str],
    harmonise: str | None,
) -> tuple[dict[str, np.ndarray], np.ndarray]:  # fmt: skip
    """Without the features that the covariates explain wholly; and which of the data set's features are then left."""
    names = covariates.fitted(train, residualise, harmonise)
    explained = covariates.explained(values["train"], train, names)
    if not explained.any():
        return values, kept
    gone = np.array(dataset.features)[kept][explained]
    if explained.all():
        raise InputError(
            f"data set '{dataset.name}': {', '.join(names)} explain all {len(gone)} features wholly in the people who "
            "are trained on, so that nothing is left to learn from. Take out fewer covariates, or train on others."
        )
    logger.warning(
        "%s: %d features are left out, since %s explain them wholly in the training people: %s",
        *(dataset.name, len(gone), ", ".join(names), ", ".join(gone)),
    )
    kept = kept.copy()
    kept[kept] = ~explained
    return {part: array[:, ~explained] for part, array in values.items()}, kept


def _unlikely(dataset: Dataset, ordered: pd.DataFrame, position: pd.Series) -> set[int]:
    """The pairs in which somebody is an outlier among the training people."""
    places = position[ordered["subject"]].to_numpy()
    values, trained = dataset.values[places].astype(np.float64), (ordered["part"] == "train").to_numpy()
    varying = _varying(values[trained])
    sizes = dataset.people["head_size"].to_numpy()[places] if "head_size" in dataset.people else None
    flags = flag_people(values[:, varying], sizes, values[trained][:, varying])["flag"].to_numpy()
    return set(ordered["pair"][flags != ""].tolist())


def _check_parts(dataset: Dataset, ordered: pd.DataFrame, left_out: int) -> None:
    if left_out:
        logger.info("%s: %d pairs with an outlier are left out", dataset.name, left_out)
    for part in ("train", "test"):
        count = ordered.loc[ordered["part"] == part, "pair"].nunique()
        if count < 2:
            raise InputError(
                f"data set '{dataset.name}': {count} pair(s) in the {part} part are without an outlier, wanted 2 or "
                "more. Set `outliers: keep`, or look at the flags in qc.tsv."
            )


def _scaling(train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each feature of a table; of all values of an array."""
    axis = 0 if train.ndim == 2 else None
    wide = train.astype(np.float64)
    center, spread = wide.mean(axis=axis), wide.std(axis=axis)
    return center, np.where(spread > 0, spread, 1.0)
