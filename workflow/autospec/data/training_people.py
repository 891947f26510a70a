"""Who is trained on, before any scan is read: for a group ICA on the training people of the one split of all seeds.

Pairs and splits rest on people, their motion and how many volumes are left of their scans, which the participants
table, the scans' headers and the confounds tell. So they can be made before there are maps, by the functions that
make them afterwards; no value of a scan has a part in them.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from autospec.data.confounds import read_confounds
from autospec.data.dataset import Dataset
from autospec.data.extraction import Cohort, with_motion
from autospec.data.pairing import pair_people
from autospec.data.scans import check_4d, load
from autospec.data.splits import split_pairs


def training_people(
    options: Mapping, cohort: Cohort, matching: Mapping, crop: int | None, test_share: float
) -> pd.DataFrame:
    """Tell who will be in the training part of the split of seed 0.

    Parameters
    ----------
    options : mapping
        What `extract_part` takes.
    cohort : Cohort
    matching : mapping
        What `pair_people` takes.
    crop : int or None
        Volumes below which somebody is left out.
    test_share : float

    Returns
    -------
    DataFrame
        `subject` and `person` of everybody in a training pair, in the order of the participants table.

    Raises
    ------
    InputError
        What the steps raise that read confounds, pair and split.
    """
    usable, motion = [], []
    for subject in cohort.people["subject"]:
        path = cohort.scans[subject]
        image = load(path)
        check_4d(image, path, "a scan with time as the fourth axis")
        kept, mean_fd = image.shape[3], np.nan
        if cohort.tables is not None:
            confounds = read_confounds(cohort.tables[subject], options, image.shape[3], path)
            kept, mean_fd = int(confounds.kept.sum()), confounds.mean_fd
        usable.append(kept)
        motion.append(mean_fd)
    people = with_motion(cohort.people, np.array(motion))
    people = people[np.array(usable) >= (crop or 0)].reset_index(drop=True)
    nothing = np.empty((len(people), 0), np.float32)
    dataset = Dataset("group ICA", nothing, people, [], tuple(options["groups"]), False, "People alone.")
    pairs, _ = pair_people(dataset, **matching)
    split = split_pairs(pairs, dataset.people, [0], test_share)
    trained = pairs.loc[pairs["pair"].isin(split.loc[split["part"] == "train", "pair"]), "subject"]
    return dataset.people.loc[dataset.people["subject"].isin(trained), ["subject", "person"]].reset_index(drop=True)
