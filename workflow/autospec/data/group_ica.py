"""Component maps estimated by a group ICA (nilearn's CanICA).

Varoquaux et al. 2010, NeuroImage 51, 288-299. Nobody whom a network is tested on has a part in them. Either other
people are drawn at random, or named by a pattern of files, and left out of the data set, so that neither has any
group; or it is the training people of the one split that all seeds share (`training_people`), whole pairs.
"""

import gzip
import logging
import os
import zlib
from collections.abc import Mapping
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from autospec.data.scans import check_4d, grid, load, same_grid
from autospec.errors import InputError
from autospec.tables import atomic_path

#: In place of a number of people: those whom networks are trained on.
TRAINING = "training"
_FEWEST = 2


def choose(options: Mapping, folder: Path, scans: Mapping[str, list[Path]]) -> list[Path]:
    """Choose the scans that the maps are estimated on.

    Parameters
    ----------
    options : mapping
        `scans` (a pattern of files, relative to the folder), or `people` (how many are drawn) and `seed`.
    folder : path
    scans : mapping of person to list of path
        Of the people in the data set; whoever is drawn, is with all sessions.

    Raises
    ------
    InputError
        Fewer than two scans, or as many people as there are.
    """
    if options.get("scans"):
        chosen = sorted(path for path in folder.glob(options["scans"]) if path.is_file())
        if len(chosen) < _FEWEST:
            raise InputError(
                f"{folder}: {len(chosen)} file(s) match '{options['scans']}', wanted {_FEWEST} or more scans to "
                "estimate components on. Correct `ica.scans`."
            )
        return chosen
    people = options["people"]
    if people > len(scans) - 4:
        raise InputError(
            f"{folder}: `ica.people` asks for {people} of {len(scans)} people, who then have no further part; "
            "at least 4 must be left. Lower it, or name other people's scans under `ica.scans`."
        )
    drawn = np.random.default_rng(options["seed"]).permutation(len(scans))[:people]
    persons = sorted(scans.keys())
    return sorted(path for index in drawn for path in scans[persons[index]])


def estimate(options: Mapping, folder: Path, paths: list[Path]) -> tuple[nib.Nifti1Image, pd.DataFrame]:
    """Estimate the maps.

    Parameters
    ----------
    options : mapping
        `components` (how many), `seed`, `mask` (a NIfTI of the brain, relative to the folder; by default nilearn
        finds the brain in the scans).
    folder : path
    paths : list of path
        The scans, all on one grid; read one at a time.

    Returns
    -------
    maps : Nifti1Image
        4-d, one component a volume.
    record : DataFrame
        `scan`: the files, relative to the folder.

    Raises
    ------
    InputError
        A damaged scan, grids that differ, a decomposition that fails.
    """
    from nilearn.decomposition import CanICA

    first = load(paths[0])
    for path in paths:
        image = load(path)
        check_4d(image, path, "a scan with time as the fourth axis")
        if not same_grid(image, first):
            raise InputError(f"{path}: grid {grid(image)}; {paths[0].name} has {grid(first)}. Bring them to one grid.")
    mask = folder / options["mask"] if options.get("mask") else None
    if mask is not None and not same_grid(load(mask), first):
        raise InputError(f"{mask}: grid {grid(load(mask))}; the scans have {grid(first)}. Give a mask on their grid.")
    logging.info("%s: estimating %d components on %d scans", folder, options["components"], len(paths))
    canica = CanICA(
        n_components=options["components"], random_state=options["seed"], mask=mask, standardize="zscore_sample"
    )
    try:
        canica.fit([str(path) for path in paths])
    except (ValueError, EOFError, OSError, zlib.error, np.linalg.LinAlgError) as error:
        text = " ".join(str(error).split())
        raise InputError(f"{folder}: the group ICA of {len(paths)} scans fails: {text}") from None
    maps = nib.Nifti1Image(canica.components_img_.get_fdata(dtype=np.float32), canica.components_img_.affine)
    return maps, pd.DataFrame({"scan": [os.path.relpath(path, folder) for path in paths]})


def write_maps(maps: nib.Nifti1Image, path: str | Path) -> None:
    """Write the maps as .nii.gz, whole or not at all, the same bytes for the same maps."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(gzip.compress(maps.to_bytes(), mtime=0))
