"""A simulated case-control cohort in FreeSurfer's own files.

No measurement of a person stands behind it. Group differences have published size; the rest is
a factor model: features share variance over the brain, within a lobe, and between the two sides.
"""

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from autospec.data import simulated_brain as brain
from autospec.data import simulated_stats as stats_files
from autospec.errors import InputError

SITES = ("north", "south", "west")
SITE_SHARES = (0.45, 0.35, 0.2)
AGES = (18.0, 50.0)
#: Share of men; share of patients whose control is of the other sex; standard deviation of the couples'
#: difference in age, in years (ours).
MALES, OTHER_SEX, AGE_DIFFERENCE = 0.6, 0.1, 2.5
#: Mean and standard deviation of intracranial volume in mm^3 (ours).
HEAD_SIZE = {"M": (1_600_000, 120_000), "F": (1_420_000, 110_000)}
#: Shares of a feature's variance: whole brain, lobe or system, region on both sides; the rest is its own.
BRAIN_SHARE, LOBE_SHARE, REGION_SHARE = 0.25, 0.2, 0.25
#: Per year of age, and of women against men, in standard deviations (ours).
AGE_TISSUE, AGE_FLUID, AGE_THICKNESS, SEX_THICKNESS = -0.015, 0.03, -0.03, 0.1
#: Standard deviation of a site's offset, in a feature's standard deviations (ours).
SITE_OFFSET = 0.3


def simulate(subjects: int, effect: float, seed: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Draw a cohort, half of it patients.

    Volumes are log-normal and grow with head size; thickness is normal; areas grow with the
    surface of the head; cortical volume is area times thickness.

    Parameters
    ----------
    subjects : int
        At least 4.
    effect : float
        Multiple of the published group differences; 0 gives exchangeable groups.
    seed : int

    Returns
    -------
    people : DataFrame
        `participant_id`, `age`, `sex`, `diagnosis`, `site`, and `head_size` in mm^3.
    volumes : DataFrame, shape (subjects, aseg rows)
        In mm^3.
    cortex : DataFrame, shape (subjects, 2 hemispheres x 34 regions x 3 measures)
        Columns (hemisphere, region, `area` in mm^2, `thickness` in mm or `volume` in mm^3).
    """
    random = np.random.default_rng(seed)
    people = _people(subjects, effect, random)
    patient = (people["diagnosis"] == "schizophrenia").to_numpy()
    relative_head = (people["head_size"] / np.mean([HEAD_SIZE["M"][0], HEAD_SIZE["F"][0]])).to_numpy()

    volumes = {name: np.zeros(subjects) for name in brain.EMPTY}
    scores = _scores(people, _subcortical(), patient, effect, random)
    for (name, structure), score in scores.items():
        mean, deviation = (brain.PAIRED | brain.MIDLINE)[structure]
        # The log-normal that has this mean and standard deviation.
        sigma = np.sqrt(np.log1p((deviation / mean) ** 2))
        volumes[name] = mean * relative_head * np.exp(sigma * score - sigma**2 / 2)

    thickness = _scores(people, _regions("thickness"), patient, effect, random)
    area = _scores(people, _regions("area"), patient, 0.0, random)
    cortex = {}
    for side in ("lh", "rh"):
        for region, (_, mean, deviation, mean_area) in brain.CORTEX.items():
            millimetres = np.maximum(mean + deviation * thickness[side, region], 0.5)
            # Areas vary by about a tenth beyond head size; head size is a volume, area its power of 2/3.
            square = mean_area * relative_head ** (2 / 3) * np.exp(0.1 * area[side, region])
            cortex[side, region, "area"] = square
            cortex[side, region, "thickness"] = millimetres
            cortex[side, region, "volume"] = square * millimetres
    return people, pd.DataFrame(volumes)[list(brain.ASEG_ROWS)], pd.DataFrame(cortex)


def write_cohort(folder: str | Path, subjects: int, effect: float, seed: int) -> None:
    """Write a simulated cohort as a SUBJECTS_DIR with participants.tsv, whole or not at all.

    Every file says that it is simulated.

    Parameters
    ----------
    folder : path
        Made anew; must not hold anything.
    subjects : int
    effect : float
        Multiple of the published group differences.
    seed : int

    Raises
    ------
    InputError
        The folder holds files already; fewer than four subjects.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(
            f"{folder}: holds files already. Remove it, or choose another folder for the simulation."
        )
    if subjects < 4:
        raise InputError(f"simulate.subjects: found {subjects}, wanted at least 4, two of each group.")
    people, volumes, cortex = simulate(subjects, effect, seed)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        for row, person in enumerate(people.itertuples()):
            stats = temporary / person.participant_id / "stats"
            stats.mkdir(parents=True)
            (stats / "aseg.stats").write_text(
                stats_files.aseg(person, volumes.iloc[row].to_dict(), cortex.iloc[row].to_dict())
            )
            for side in ("lh", "rh"):
                (stats / f"{side}.aparc.stats").write_text(stats_files.aparc(person, side, cortex.iloc[row].to_dict()))
        people.drop(columns="head_size").to_csv(
            temporary / "participants.tsv", sep="\t", index=False, float_format="%.1f", lineterminator="\n"
        )
        stats_files.write_descriptions(temporary, {"subjects": subjects, "effect": effect, "seed": seed})
        temporary.chmod(0o755)
        os.replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _people(subjects: int, effect: float, random: np.random.Generator) -> pd.DataFrame:
    """Patients, and controls recruited to be like them: same site, mostly same sex, similar age."""
    controls = (subjects + 1) // 2
    site = random.choice(SITES, controls, p=SITE_SHARES)
    man = random.random(controls) < MALES
    age = random.uniform(*AGES, controls)
    like = slice(subjects - controls)
    other_sex = random.random(controls) < OTHER_SEX
    patients = {
        "age": np.clip(age + AGE_DIFFERENCE * random.standard_normal(controls), *AGES)[like],
        "man": (man ^ other_sex)[like],
        "site": site[like],
        "diagnosis": "schizophrenia",
    }
    both = [
        pd.DataFrame({"age": age, "man": man, "site": site, "diagnosis": "control"}),
        pd.DataFrame(patients),
    ]
    people = pd.concat(both, ignore_index=True).iloc[random.permutation(subjects)].reset_index(drop=True)
    people.insert(0, "participant_id", [f"sub-{number:04d}" for number in range(1, subjects + 1)])
    people["age"] = people["age"].round(1)
    people.insert(2, "sex", np.where(people.pop("man"), "M", "F"))
    mean, deviation = np.array([HEAD_SIZE[name] for name in people["sex"]]).T
    shift = effect * brain.HEAD_SIZE_D * (people["diagnosis"] == "schizophrenia")
    people["head_size"] = mean + deviation * (random.standard_normal(subjects) + shift)
    return people


def _subcortical() -> dict[tuple, dict]:
    features = {}
    for structure in brain.PAIRED | brain.MIDLINE:
        fluid = structure in brain.FLUID
        recipe = {
            "lobe": "fluid" if fluid else "subcortical",
            "region": structure,
            "d": brain.VOLUME_D.get(structure, 0.0),
            "spread": brain.SPREAD.get(structure, 1.0),
            "age": AGE_FLUID if fluid else AGE_TISSUE,
            "women": 0.0,
        }
        sides = ("Left-", "Right-") if structure in brain.PAIRED else ("",)
        features |= {(side + structure, structure): recipe for side in sides}
    return features


def _regions(measure: str) -> dict[tuple, dict]:
    features = {}
    for region, (lobe, *_) in brain.CORTEX.items():
        temporal = lobe == "temporal"
        spread = brain.TEMPORAL_SPREAD if temporal else 1.0
        recipe = {
            "lobe": lobe,
            "region": region,
            "d": brain.TEMPORAL_D if temporal else brain.THICKNESS_D,
            "spread": brain.ANTERIOR_CINGULATE_SPREAD if region in brain.ANTERIOR_CINGULATE else spread,
            "age": AGE_THICKNESS if measure == "thickness" else 0.0,
            "women": SEX_THICKNESS if measure == "thickness" else 0.0,
        }
        if region == "fusiform":
            recipe["d"] = brain.FUSIFORM_D
        features |= {(side, region): recipe for side in ("lh", "rh")}
    return features


def _scores(
    people: pd.DataFrame,
    features: dict[tuple, dict],
    patient: np.ndarray,
    effect: float,
    random: np.random.Generator,
) -> dict[tuple, np.ndarray]:
    """Scores in a feature's standard deviations, shape (subjects,) each.

    Controls of one age, sex and site have variance 1; patients the square of `spread`, and a mean
    that is `d` pooled standard deviations away.
    """
    count = len(people)
    years = people["age"].to_numpy() - np.mean(AGES)
    women = (people["sex"] == "F").to_numpy() - 0.5
    whole = random.standard_normal(count)
    shared = {
        label: random.standard_normal(count)
        for label in dict.fromkeys(
            (kind, recipe[kind]) for kind in ("lobe", "region") for recipe in features.values()
        )
    }
    own = np.sqrt(1 - BRAIN_SHARE - LOBE_SHARE - REGION_SHARE)
    scores = {}
    for feature, recipe in features.items():
        residual = (
            np.sqrt(BRAIN_SHARE) * whole
            + np.sqrt(LOBE_SHARE) * shared["lobe", recipe["lobe"]]
            + np.sqrt(REGION_SHARE) * shared["region", recipe["region"]]
            + own * random.standard_normal(count)
        )
        spread = recipe["spread"] ** effect
        pooled = np.sqrt((1 + spread**2) / 2)
        residual = np.where(patient, spread * residual + effect * recipe["d"] * pooled, residual)
        offsets = dict(zip(SITES, SITE_OFFSET * random.standard_normal(len(SITES)), strict=True))
        site = people["site"].map(offsets).to_numpy()
        scores[feature] = residual + recipe["age"] * years + recipe["women"] * women + site
    return scores
