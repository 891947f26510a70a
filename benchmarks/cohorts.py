"""What is measured: simulated cohorts whose truth is known, and real ones whose labels are drawn anew."""

import dataclasses
import zlib

import numpy as np
import pandas as pd
import torch
from torch import nn

from autospec.data.dataset import Dataset, read_dataset
from autospec.data.pairing import one_row_a_person
from autospec.data.simulate_fmri import group_connectivity, simulate_timecourses
from autospec.data.simulate_freesurfer import AGES, SITES, simulate
from autospec.models import MODELS
from autospec.models.shapes import SIZES

GROUPS = ("control", "patient")
COMPONENTS, VOLUMES = 8, 24
#: Standard deviation of people's log amplitude, its change per year of age, and what a site adds to it (ours).
AMPLITUDE_SD, AMPLITUDE_AGE, AMPLITUDE_SITE = 0.2, -0.015, dict(zip(SITES, (0.15, -0.15, 0.0), strict=True))
#: Features in as many parts of equal size as `Branches` has layers; where a difference is planted.
PARTS, WIDTH, PLANTED = 4, 8, 2


@dataclasses.dataclass(frozen=True)
class Setting:
    """A kind of cohort, its pairing, the network that is trained, and how often.

    Attributes
    ----------
    name, question, text : str
        `question` is one of null, violation, power, place, real.
    cohort : dict
        What `draw` takes.
    matching : dict
        `exact` and `callipers` of `autospec.data.pairing.pair_people`.
    model : str
    replicates, labelings, seeds : int
        How many cohorts; labelings of each test; trainings, whose seeds are 0, 1, ...
    options : dict
        What differs from the default configuration, by its part: `model`, `training`, `statistics`,
        `preparation`.
    """

    name: str
    question: str
    text: str
    cohort: dict
    matching: dict = dataclasses.field(default_factory=lambda: {"exact": ["site", "sex"], "callipers": {"age": 0.2}})
    model: str = "mlp"
    replicates: int = 200
    labelings: int = 100
    seeds: int = 4
    options: dict = dataclasses.field(default_factory=dict)


class Branches(nn.Module):
    """Linear layers side by side, each of which reconstructs its own part of the features from that part.

    The loss is a mean over features, Adam scales each weight's step by that weight's own gradients, and no
    layer sees another's part. So the gradients of a layer, in every epoch and under every labeling, are
    functions of its own part alone: a difference planted in one part must show in one layer, and in every
    other layer the null hypothesis holds to the letter.
    Shapes: n samples of p features, `parts` layers of p / parts by p / parts.
    """

    def __init__(self, sample: tuple[int], classes: None, activation: str, parts: int):
        super().__init__()
        self.width = sample[0] // parts
        self.part = nn.ModuleList(nn.Linear(self.width, self.width) for _ in range(parts))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pieces = x.split(self.width, dim=1)
        return torch.cat([layer(piece) for layer, piece in zip(self.part, pieces, strict=True)], dim=1)  # (n, p)


MODELS["branches"] = Branches
SIZES["branches"] = ("parts", "parts")


def draw(cohort: dict, replicate: int) -> Dataset:
    """Draw one cohort; its truth is in its description.

    Parameters
    ----------
    cohort : dict
        `measured` is table (regional thickness and volumes), series (component time courses) or parts (of a
        table, for `Branches`); `people` how many; `share` of them patients. Labels are drawn
        among all people, before any pairing: at random, or with odds that grow with age or differ
        between sites (`confounded`). With an `effect` patients are who the simulator made patients,
        with so many times the published differences. `plant` is a shift of one part's means, or a
        factor on its spread, in patients.
        Or `path` of a data set: labels are shuffled among the people of each site; replicate 0 is the truth.
    replicate : int
        Seed of the people and of the labels.

    Returns
    -------
    Dataset
    """
    if "path" in cohort:
        return shuffle_labels(read_dataset(cohort["path"]), replicate)
    effect = cohort.get("effect", 0.0)
    people, volumes, cortex = simulate(cohort["people"], effect, replicate)
    thickness = cortex.loc[:, cortex.columns.get_level_values(2) == "thickness"]
    # A stream of its own for each of labels and series, so that settings share their people.
    random = {name: np.random.default_rng([replicate, zlib.crc32(name.encode())]) for name in ("labels", "series")}
    patient = (people["diagnosis"] == "schizophrenia").to_numpy()
    if not effect:
        patient = draw_patients(people, cohort.get("share", 0.5), cohort.get("confounded"), random["labels"])
    if cohort["measured"] == "series":
        values = _series(people, random["series"])
    elif cohort["measured"] == "parts":
        values = _planted(thickness.to_numpy()[:, : PARTS * WIDTH], patient, cohort["plant"])
    else:
        values = np.concatenate([volumes.loc[:, volumes.max() > 0].to_numpy(), thickness.to_numpy()], axis=1)
    group = np.array(GROUPS)[patient.astype(int)]
    frame = people.rename(columns={"participant_id": "subject"}).drop(columns="diagnosis")
    return Dataset(
        name="simulated",
        values=values.astype(np.float32),
        people=frame.assign(group=group, target=group),
        features=[f"feature{number}" for number in range(values.shape[-1])],
        groups=GROUPS,
        simulated=True,
        description="Simulated: random numbers, not measurements of people.",
    )


def draw_patients(people: pd.DataFrame, share: float, confounded: str | None, random) -> np.ndarray:
    """Draw who is called a patient: round(share n) people, of bool, (n,).

    One is drawn after another, with odds that are equal, e times larger per standard deviation of age, or e times
    larger at the first site and e times smaller at the second than at the third.
    """
    log_odds = np.zeros(len(people))
    if confounded == "age":
        log_odds = ((people["age"] - people["age"].mean()) / people["age"].std()).to_numpy()
    elif confounded == "site":
        log_odds = people["site"].map(dict(zip(SITES, (1.0, -1.0, 0.0), strict=True))).to_numpy()
    weights = np.exp(log_odds)
    chosen = random.choice(len(people), round(share * len(people)), replace=False, p=weights / weights.sum())
    return np.isin(np.arange(len(people)), chosen)


def shuffle_labels(dataset: Dataset, shuffle: int) -> Dataset:
    """The data set with its labels permuted among the persons of each site; all sessions of a person go together.

    Shuffle 0 is the truth.
    """
    if shuffle == 0:
        return dataset
    persons = one_row_a_person(dataset.people)
    site = persons["site"] if "site" in persons else pd.Series("", index=persons.index)
    group, random = persons["group"].to_numpy(copy=True), np.random.default_rng(shuffle)
    for rows in site.fillna("").groupby(site.fillna("")).indices.values():
        group[rows] = random.permutation(group[rows])
    drawn = dataset.people["person"].map(dict(zip(persons["person"], group, strict=True))).to_numpy()
    return dataclasses.replace(dataset, people=dataset.people.assign(group=drawn, target=drawn))


def _series(people: pd.DataFrame, random) -> np.ndarray:
    """Everyone's time courses, (people, time, components); amplitude falls with age and differs between sites."""
    connectivity = group_connectivity(0.0)[0][:COMPONENTS, :COMPONENTS]
    of_age = AMPLITUDE_AGE * (people["age"].to_numpy() - np.mean(AGES))
    of_site = people["site"].map(AMPLITUDE_SITE).to_numpy()
    amplitude = np.exp(AMPLITUDE_SD * random.standard_normal(len(people)) + of_age + of_site)
    return np.stack([simulate_timecourses(connectivity, random, size, VOLUMES) for size in amplitude])


def _planted(values, patient, plant: dict) -> np.ndarray:
    """Patients' values of one part, shifted by `shift` standard deviations, or `spread` times as far from the mean."""
    values = values.copy()
    part = slice(PLANTED * WIDTH, (PLANTED + 1) * WIDTH)
    mean, deviation = values[:, part].mean(axis=0), values[:, part].std(axis=0)
    scaled = (values[patient, part] - mean) / deviation
    values[patient, part] = mean + deviation * (plant.get("spread", 1.0) * scaled + plant.get("shift", 0.0))
    return values


_TABLE, _SERIES, _PARTS = ({"measured": kind, "people": 120} for kind in ("table", "series", "parts"))
_MANY = 12
_BRANCHES = {"parts": PARTS, "learning_rate": 0.003, "batch": 32}
#: What is asked of every network, without a difference to find: name -> (text, what the cohort has besides).
_NULLS = {
    "equal": ("equal groups", {}),
    "unequal": ("one patient to three controls", {"people": 160, "share": 0.25}),
    "age": ("patients older, paired within the calliper", {"people": 160, "confounded": "age"}),
    "site": ("patients from other sites, paired within site", {"people": 160, "confounded": "site"}),
}

SETTINGS = [
    *(
        Setting(
            f"{model}-{name}", "null", text, (_TABLE if model == "mlp" else _SERIES) | cohort, model=model,
            replicates=200 if (model, name) == ("mlp", "equal") else 30,
        )
        for model in ("mlp", "cnn", "rnn", "lstm", "bert") for name, (text, cohort) in _NULLS.items()
    ),
    # Few labelings: what is asked of it is the test across seeds.
    Setting("mlp-seeds", "null", f"equal groups, {_MANY} seeds", _TABLE, replicates=100, labelings=20, seeds=_MANY),
    Setting(
        "mlp-age-open", "violation", "patients older, no calliper for age", _TABLE | {"confounded": "age"},
        {"exact": ["site", "sex"], "callipers": {}}, replicates=30,
    ),
    Setting(
        "mlp-site-open", "violation", "patients from other sites, paired across sites", _TABLE | {"confounded": "site"},
        {"exact": ["sex"], "callipers": {"age": 0.2}}, replicates=30,
    ),
    *(
        Setting(
            f"mlp-effect{effect:g}-{people}", "power", f"{effect:g} times the published effects",
            _TABLE | {"people": people, "effect": effect}, replicates=30,
        )
        for people in (80, 160) for effect in (0.5, 1.0, 2.0)
    ),
    *(
        Setting(
            f"place-{plant}", "place", text, _PARTS | {"plant": {plant: size}}, model="branches", replicates=30,
            options={"model": _BRANCHES},
        )
        for plant, size, text in (
            ("spread", 1.5, "one part varies 1.5 times as much in patients"),
            ("shift", 1.0, "one part's means differ by one standard deviation"),
        )
    ),
]  # fmt: skip
