"""Covariates and site effects taken out of a table, fitted on training people and without their group."""

import logging

import numpy as np
import pandas as pd

from autospec.errors import InputError

CATEGORIES = ("sex", "site")
#: What ComBat leaves in the data where it is known.
KEPT = ("age", "sex")
#: A site's variance cannot be estimated from fewer training people.
_LEAST_A_SITE = 2
#: What is left of a feature counts as nothing below this share of its spread,
_NOTHING = 1e-6
#: and below what float32, in which values are stored, tells apart at their size.
_ROUNDING = float(np.finfo(np.float32).eps)

logger = logging.getLogger(__name__)


def fitted(people: pd.DataFrame, residualise: list[str], harmonise: str | None) -> dict[str, str]:
    """Every covariate that is fitted to the features, with the option that asks for it."""
    combat = ["site", *(name for name in KEPT if name in people)] if harmonise else []
    return dict.fromkeys(combat, "harmonise") | dict.fromkeys(residualise, "residualise")


def explained(values: np.ndarray, people: pd.DataFrame, names: dict[str, str]) -> np.ndarray:
    """Which features the covariates leave nothing of but rounding, in the training people.

    Such a feature says what they say. Scaled to unit variance, its residuals would hand them back.

    Parameters
    ----------
    values : ndarray of float64, shape (training people, features)
        As measured.
    people : DataFrame
    names : dict of covariate to option
        As `fitted` gives them.

    Returns
    -------
    ndarray of bool, shape (features,)

    Raises
    ------
    InputError
        A covariate that is not known, or not for everyone; no more training people than coefficients.
    """
    for name, option in names.items():
        _check_known(people, name, option)
    design = _design(people, people, list(names))
    _check_enough(design, names)
    coefficients = np.linalg.lstsq(design, values, rcond=None)[0]
    left = (values - design @ coefficients).std(axis=0)
    return left <= np.maximum(_NOTHING * values.std(axis=0), _ROUNDING * np.abs(values).max(axis=0))


def residualise(
    values: dict[str, np.ndarray], people: dict[str, pd.DataFrame], covariates: list[str]
) -> dict[str, np.ndarray]:
    """Take the linear effects of covariates out of each feature.

    One ordinary least squares fit a feature, with an intercept, on the training people; numbers enter as
    they are, `sex` and `site` as categories. Someone from a site without training people gets the mean
    effect of the sites that have some, weighted by their people.

    Parameters
    ----------
    values : dict of part (train, test) to ndarray of float64, shape (people, features)
    people : dict of part to DataFrame
        The covariates, in the order of `values`. No other column is looked at.
    covariates : list of str
        Of age, sex, site, head_size, motion.

    Returns
    -------
    dict of part to ndarray of float64, shape (people, features)
        Residuals; of mean 0 in the training part.

    Raises
    ------
    InputError
        A covariate that is not known, or not for everyone; fewer training people than coefficients.
    """
    for name in covariates:
        for part in people.values():
            _check_known(part, name, "residualise")
    train = people["train"]
    design = {part: _design(train, frame, covariates) for part, frame in people.items()}
    count = _check_enough(design["train"], dict.fromkeys(covariates, "residualise"))
    coefficients, _, rank, _ = np.linalg.lstsq(design["train"], values["train"], rcond=None)
    if rank < count:
        logger.warning("residualise: %s depend on one another in the training people", ", ".join(covariates))
    return {part: array - design[part] @ coefficients for part, array in values.items()}


def harmonise(values: dict[str, np.ndarray], people: dict[str, pd.DataFrame]) -> dict[str, np.ndarray]:
    """Bring the sites to one mean and spread by ComBat, as the package combatlearn fits it.

    Empirical Bayes, parametric (Johnson et al. 2007, doi:10.1093/biostatistics/kxj037; Fortin et al. 2018,
    doi:10.1016/j.neuroimage.2017.11.024), fitted on the training people. What goes with age and sex stays
    in the data, where they are known; the group is not told to it. Someone from a site with fewer than two
    training people stays as measured, and is counted in the log.

    Parameters
    ----------
    values : dict of part (train, test) to ndarray of float64, shape (people, features)
    people : dict of part to DataFrame
        `site` and, where known, `age` and `sex`, in the order of `values`. No other column is looked at.

    Returns
    -------
    dict of part to ndarray of float64, shape (people, features)

    Raises
    ------
    InputError
        combatlearn is not installed; a site, age or sex that is missing; fewer than two sites with two
        training people.
    """
    try:
        from combatlearn import ComBat
    except ModuleNotFoundError:
        raise InputError(
            "harmonise: 'combat' needs the package combatlearn, which is not installed here. Install it with pip "
            "(it is the extra `harmonisation` of this project), or take `harmonise` out of the configuration."
        ) from None
    kept = [name for name in KEPT if name in people["train"]]
    for name in ["site", *kept]:
        for part in people.values():
            _check_known(part, name, "harmonise")
    counts = people["train"]["site"].value_counts()
    sites = counts.index[counts >= _LEAST_A_SITE]
    if len(sites) < 2:
        raise InputError(
            f"harmonise: found {len(sites)} site(s) with at least {_LEAST_A_SITE} people to train on, wanted two or "
            "more: there is nothing to bring together. Take `harmonise` out of the configuration."
        )
    fitted = people["train"][people["train"]["site"].isin(sites)]
    result, model = {}, None
    for part in ("train", "test"):
        known = people[part]["site"].isin(sites).to_numpy()
        if not known.all():
            logger.warning(
                "harmonise: %d people (%s) stay as measured, since their site has fewer than %d people to train on",
                int((~known).sum()), part, _LEAST_A_SITE,
            )  # fmt: skip
        result[part] = values[part].copy()
        if not known.any():
            continue
        frame = people[part][known].reset_index(drop=True)
        options = {"batch": frame["site"].astype(str), "continuous_covariates": _numbers(frame, fitted, kept)}
        table = pd.DataFrame(values[part][known])
        if part == "train":
            model = ComBat(**options, method="fortin").fit(table)
        result[part][known] = model.set_params(**options).transform(table).to_numpy()
    return result


def _numbers(people: pd.DataFrame, fitted: pd.DataFrame, names: list[str]) -> pd.DataFrame | None:
    # combatlearn codes categories anew in each part, so that a test part of men alone would count as women: sex goes
    # in as numbers. Someone whose sex nobody in training has counts as their average.
    columns = {name: people[name] for name in names if name != "sex"}
    if "sex" in names:
        seen = people["sex"].isin(fitted["sex"])
        for level in sorted(fitted["sex"].unique())[1:]:
            share = (fitted["sex"] == level).mean()
            columns[f"sex {level}"] = (people["sex"] == level).astype(float).where(seen, share)
    return pd.DataFrame(columns) if columns else None


def _design(train: pd.DataFrame, people: pd.DataFrame, covariates: list[str]) -> np.ndarray:
    """Intercept, standardised numbers and centred indicators, shape (people, coefficients).

    Centred on the training people, so that a row of zeros is their average; this changes no prediction.
    """
    columns = [np.ones(len(people))]
    for name in covariates:
        if name in CATEGORIES:
            levels = sorted(train[name].unique())
            seen = people[name].isin(levels)
            for level in levels[1:]:
                columns.append(np.where(seen, (people[name] == level) - (train[name] == level).mean(), 0.0))
        else:
            spread = train[name].std(ddof=0)
            columns.append((people[name] - train[name].mean()).to_numpy() / (spread if spread > 0 else 1.0))
    return np.stack(columns, axis=1)


def _check_enough(design: np.ndarray, names: dict[str, str]) -> int:
    people, count = design.shape
    if people <= count:
        options = " and ".join(sorted(set(names.values())))
        raise InputError(
            f"{options}: {people} people to train on, wanted more than the {count} coefficients of {', '.join(names)}. "
            f"Name fewer covariates{', or take `harmonise` out' if 'harmonise' in options else ''}."
        )
    return count


def _check_known(people: pd.DataFrame, name: str, option: str) -> None:
    if name not in people:
        known = [column for column in people if column not in ("subject", "person", "group", "target")]
        raise InputError(
            f"{option}: '{name}' is not known of these people, only {', '.join(known) or 'no covariate'}. Name its "
            f"column under `participants` in the configuration, or leave it out of `{option}`."
        )
    missing = int(people[name].isna().sum())
    if missing:
        raise InputError(
            f"{option}: {missing} of {len(people)} people have no {name}. Fill it in, leave it out of `{option}`, or "
            "set `missing_subjects: drop` to go on without these people."
        )
