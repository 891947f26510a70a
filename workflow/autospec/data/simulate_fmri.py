"""A simulated resting-state cohort as fMRIPrep would leave it: scans, confounds, component maps.

Patients differ from controls as published for schizophrenia: the thalamus is tied more strongly to
sensorimotor cortex and more weakly to striatum and cerebellum [1]_ [2]_, and slow fluctuations are
weaker [3]_. The sizes are ours: with `effect` 1 about d = 0.4 to 0.7 an edge, as read from
the scans.

References
----------
.. [1] Anticevic et al. (2014), Characterizing thalamo-cortical disturbances in schizophrenia and
   bipolar illness. Cerebral Cortex 24, 3116-3130.
.. [2] Damaraju et al. (2014), Dynamic functional connectivity analysis reveals transient states of
   dysconnectivity in schizophrenia. NeuroImage: Clinical 5, 298-308.
.. [3] Hoptman et al. (2010), Amplitude of low-frequency oscillations in schizophrenia: a resting
   state fMRI study. Schizophrenia Research 117, 13-20.
"""

from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from scipy import signal

from autospec.errors import InputError
from autospec.tables import write_json, write_tsv

REPETITION_TIME = 2.0  # seconds
VOLUMES = 120
SHAPE = (13, 16, 12)
AFFINE = np.array([[12.0, 0, 0, -72], [0, 12, 0, -108], [0, 0, 12, -54], [0, 0, 0, 1]])
MARK = "SIMULATED by AutoSpec: no person"

#: Component -> (domain, centres in MNI space, mm).
COMPONENTS = {
    "thalamus": ("subcortical", [(-10, -18, 8), (10, -18, 8)]),
    "caudate": ("subcortical", [(-12, 14, 10), (12, 14, 10)]),
    "putamen": ("subcortical", [(-28, 2, 0), (28, 2, 0)]),
    "cerebellum-anterior": ("subcortical", [(-20, -50, -24), (20, -50, -24)]),
    "cerebellum-posterior": ("subcortical", [(-34, -72, -36), (34, -72, -36)]),
    "hand-left": ("sensorimotor", [(-40, -24, 54)]),
    "hand-right": ("sensorimotor", [(40, -24, 54)]),
    "paracentral": ("sensorimotor", [(0, -30, 66)]),
    "face": ("sensorimotor", [(-56, -8, 30), (56, -8, 30)]),
    "auditory": ("auditory", [(-54, -22, 8), (54, -22, 8)]),
    "visual-medial": ("visual", [(0, -84, 4)]),
    "visual-lateral": ("visual", [(-40, -76, 2), (40, -76, 2)]),
    "default-posterior": ("default", [(0, -54, 28)]),
    "default-anterior": ("default", [(0, 52, 2)]),
    "angular": ("default", [(-48, -62, 34), (48, -62, 34)]),
    "insula": ("salience", [(-38, 18, 0), (38, 18, 0)]),
    "anterior-cingulate": ("salience", [(0, 24, 34)]),
    "frontoparietal-left": ("frontoparietal", [(-42, 30, 32), (-46, -52, 48)]),
    "frontoparietal-right": ("frontoparietal", [(42, 30, 32), (46, -52, 48)]),
    "language": ("language", [(-50, 22, 12), (-56, -42, 6)]),
}
MOTION = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")
_HEAD_RADIUS = 50.0  # mm; turns rotations into displacements (Power et al. 2012)
_WITHIN, _BETWEEN = 0.45, 0.15
_EDGE_SHIFT = 0.12  # Fisher's z; people's standard deviation in scans of four minutes is about 0.2
_AMPLITUDE_SHIFT, _AMPLITUDE_SD = 0.10, 0.22  # natural logarithm
_CONNECTIVITY_FREEDOM = 100  # degrees of freedom of people's own correlations about their group's


def planted_edges() -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Give the pairs of components whose correlation is higher, and lower, in patients."""
    names = list(COMPONENTS)
    thalamus = names.index("thalamus")
    domain = [COMPONENTS[name][0] for name in names]
    higher = [(thalamus, j) for j in range(len(names)) if domain[j] == "sensorimotor"]
    lower = [
        (i, j) for i in range(len(names)) for j in range(i + 1, len(names)) if domain[i] == domain[j] == "subcortical"
    ]
    return higher, lower


def group_connectivity(effect: float) -> tuple[np.ndarray, np.ndarray]:
    """Give the correlations between components that controls and patients have on average.

    Parameters
    ----------
    effect : float
        0 for no difference, 1 for the size stated at the head of this file.

    Returns
    -------
    control, patient : ndarray, shape (components, components)

    Raises
    ------
    InputError
        If no correlation matrix has so large a difference.
    """
    domain = np.array([kind for kind, _ in COMPONENTS.values()])
    control = np.where(domain[:, None] == domain[None, :], _WITHIN, _BETWEEN)
    np.fill_diagonal(control, 1.0)
    patient = control.copy()
    for edges, sign in zip(planted_edges(), (1, -1), strict=True):
        for i, j in edges:
            patient[i, j] = patient[j, i] = np.tanh(np.arctanh(control[i, j]) + sign * effect * _EDGE_SHIFT)
    if np.linalg.eigvalsh(patient)[0] <= 1e-6:
        raise InputError(
            f"simulate: effect {effect:g} asks for correlations that no signals can have. Give an effect from 0 to 3."
        )
    return control, patient


def simulate_timecourses(
    connectivity: np.ndarray, rng: np.random.Generator, amplitude: float = 1.0, volumes: int = VOLUMES
) -> np.ndarray:
    """Draw one person's component time courses: autoregressive noise, band-limited, then mixed.

    Parameters
    ----------
    connectivity : ndarray, shape (components, components)
        The group's correlations; the person's own vary about them (Wishart).
    rng : numpy.random.Generator
    amplitude : float
        Standard deviation of every component.
    volumes : int
        Length, in steps of ``REPETITION_TIME``.

    Returns
    -------
    ndarray, shape (volumes, components)
    """
    components = len(connectivity)
    person = np.linalg.cholesky(connectivity) @ rng.standard_normal((components, _CONNECTIVITY_FREEDOM))
    own = np.corrcoef(person)
    margin = 50  # steps on each side, for the filter to settle
    noise = rng.standard_normal((volumes + 2 * margin, components))
    slow = signal.lfilter([1.0], [1.0, -0.4], noise, axis=0)
    band = signal.butter(2, (0.01, 0.1), btype="bandpass", fs=1 / REPETITION_TIME, output="sos")
    slow = signal.sosfiltfilt(band, slow, axis=0)[margin:-margin]
    slow /= slow.std(axis=0)
    return amplitude * slow @ np.linalg.cholesky(own).T


def component_maps() -> tuple[np.ndarray, np.ndarray]:
    """Draw the components' maps, smooth blobs within an ellipsoid of a brain.

    Returns
    -------
    maps : ndarray of float32, shape SHAPE + (components,)
        Largest value 1.
    brain : ndarray of bool, shape SHAPE
    """
    voxels = np.stack(np.meshgrid(*(np.arange(size) for size in SHAPE), indexing="ij"), axis=-1)
    place = voxels @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    brain = (((place - (0, -18, 12)) / (74, 92, 68)) ** 2).sum(axis=-1) <= 1
    maps = np.zeros((*SHAPE, len(COMPONENTS)))
    for index, (_, centres) in enumerate(COMPONENTS.values()):
        for centre in centres:
            distance = ((place - centre) ** 2).sum(axis=-1)
            maps[..., index] += np.exp(-distance / (2 * 12.0**2))
    maps *= brain[..., None]
    return (maps / maps.max(axis=(0, 1, 2))).astype(np.float32), brain


def write_cohort(folder: str | Path, subjects: int, effect: float, seed: int) -> None:
    """Write a simulated cohort of preprocessed scans in the layout of fMRIPrep.

    Controls are recruited to match the patients one by one (site, sex, age within two years, motion
    within a few per cent), as case-control studies do; head motion leaks into the voxels of both
    groups alike, so that it blurs the groups' difference and makes none.

    Parameters
    ----------
    folder : path
        Made if absent. Gets `participants.tsv`, `dataset_description.json`, `component_maps.nii.gz`
        with their names in `component_maps.tsv`, `brain_mask.nii.gz`, and for each person
        `{subject}/func/{subject}_task-rest_desc-preproc_bold.nii.gz` with its JSON and confounds.
    subjects : int
        People, half of them (rounded down) patients; at least 4.
    effect : float
        Multiplies the published differences; 0 for none.
    seed : int
        Two cohorts of one seed hold the same bytes.

    Raises
    ------
    InputError
        If there are fewer than four people or the effect is impossible.
    """
    if subjects < 4:
        raise InputError(f"simulate: found subjects: {subjects}, wanted 4 or more. Raise it in the configuration.")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    connectivity = dict(zip(("control", "schizophrenia"), group_connectivity(effect), strict=True))
    maps, brain = component_maps()
    leaks = _spatial_leaks(brain, np.random.default_rng([seed, 0]))
    people = _recruit(subjects, np.random.default_rng([seed, 1]))

    names = pd.DataFrame({"index": range(1, len(COMPONENTS) + 1), "name": list(COMPONENTS)})
    write_tsv(names, folder / "component_maps.tsv")
    _save(maps, folder / "component_maps.nii.gz")
    _save(brain.astype(np.uint8), folder / "brain_mask.nii.gz")
    for index, person in people.iterrows():
        rng = np.random.default_rng([seed, 2, index])
        patient = person["diagnosis"] == "schizophrenia"
        amplitude = np.exp(_AMPLITUDE_SD * rng.standard_normal() - _AMPLITUDE_SHIFT * effect * patient)
        series = simulate_timecourses(connectivity[person["diagnosis"]], rng, amplitude)
        confounds = _confounds(person["scale"], rng)
        scan = _scan(series, confounds, maps[brain], leaks, rng)
        volume = np.zeros((*SHAPE, VOLUMES), dtype=np.int16)
        volume[brain] = np.round(scan.T)
        stem = folder / person["participant_id"] / "func" / f"{person['participant_id']}_task-rest_desc-"
        stem.parent.mkdir(parents=True, exist_ok=True)
        _save(volume, f"{stem}preproc_bold.nii.gz")
        write_json({"RepetitionTime": REPETITION_TIME, "TaskName": "rest"}, f"{stem}preproc_bold.json")
        write_tsv(confounds.round(6), f"{stem}confounds_timeseries.tsv")
        people.loc[index, "motion"] = round(confounds["framewise_displacement"].mean(), 4)
    write_tsv(people.drop(columns="scale"), folder / "participants.tsv")
    write_json(
        {
            "Name": "SIMULATED resting-state cohort: no person stands behind any value",
            "BIDSVersion": "1.9.0",
            "DatasetType": "derivative",
            "GeneratedBy": [{"Name": "AutoSpec, simulate_fmri"}],
            "Simulated": True,
            "Simulation": {"subjects": subjects, "effect": effect, "seed": seed},
        },
        folder / "dataset_description.json",
    )


def _recruit(subjects: int, rng: np.random.Generator) -> pd.DataFrame:
    """Draw patients, a control for each (and one more if the number is odd), in random order."""
    patients, controls = subjects // 2, subjects - subjects // 2
    base = pd.DataFrame(
        {
            "age": rng.normal(36, 11, controls).clip(18, 62),
            "sex": rng.choice(["F", "M"], controls, p=[0.35, 0.65]),
            "site": rng.choice(["A", "B"], controls),
            "scale": 0.03 * np.exp(0.35 * rng.standard_normal(controls)),
        }
    )
    control = base.assign(diagnosis="control")
    patient = base.iloc[:patients].assign(diagnosis="schizophrenia")
    patient["age"] += rng.uniform(-2, 2, patients)
    patient["scale"] *= np.exp(0.03 * rng.standard_normal(patients))
    people = pd.concat([control, patient]).sample(frac=1, random_state=rng).reset_index(drop=True)
    people["age"] = people["age"].round(1)
    people.insert(0, "participant_id", [f"sub-{number:04d}" for number in range(1, subjects + 1)])
    return people[["participant_id", "diagnosis", "age", "sex", "site", "scale"]].assign(motion=np.nan)


def _confounds(scale: float, rng: np.random.Generator) -> pd.DataFrame:
    """Draw head motion (mm and radians; steps of standard deviation `scale` mm) and tissue signals."""
    head = signal.lfilter([1.0], [1.0, -0.95], scale * rng.standard_normal((VOLUMES, 6)), axis=0)
    head[:, 3:] /= _HEAD_RADIUS
    steps = np.abs(np.diff(head, axis=0))
    displacement = steps[:, :3].sum(axis=1) + _HEAD_RADIUS * steps[:, 3:].sum(axis=1)
    tissue = signal.lfilter([1.0], [1.0, -0.8], rng.standard_normal((VOLUMES, 2)), axis=0)
    table = pd.DataFrame(head, columns=list(MOTION))
    table["framewise_displacement"] = np.concatenate([[np.nan], displacement])
    table["csf"] = 1200 + 6 * tissue[:, 0]
    table["white_matter"] = 900 + 4 * tissue[:, 1]
    return table


def _spatial_leaks(brain: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw how strongly each confound enters each voxel: smooth in space, shape (8, voxels)."""
    from scipy.ndimage import gaussian_filter

    fields = np.stack([gaussian_filter(rng.standard_normal(brain.shape), 1.5)[brain] for _ in range(8)])
    fields = (fields - fields.mean(axis=1, keepdims=True)) / fields.std(axis=1, keepdims=True)
    fields[:6] *= 20.0  # signal a millimetre
    fields[6:] = 0.5 + 0.25 * fields[6:]  # tissue signals leak everywhere
    return fields


def _scan(series, confounds, maps, leaks, rng) -> np.ndarray:
    """Mix one scan, shape (volumes, voxels); a baseline of 1000, a signal of about one per cent."""
    motion = confounds[list(MOTION)].to_numpy() * ([1] * 3 + [_HEAD_RADIUS] * 3)
    tissue = confounds[["csf", "white_matter"]].to_numpy()
    nuisance = np.column_stack([motion, tissue - tissue.mean(axis=0)]) @ leaks
    drift = np.linspace(-1, 1, VOLUMES)[:, None] * rng.normal(0, 5, maps.shape[0])
    return 1000 + 10 * series @ maps.T + nuisance + drift + 8 * rng.standard_normal((VOLUMES, maps.shape[0]))


def _save(values: np.ndarray, path) -> None:
    image = nib.Nifti1Image(values, AFFINE)
    image.header["descrip"] = MARK
    image.header.set_sform(AFFINE, code="mni")
    image.header.set_qform(AFFINE, code="mni")
    image.header.set_xyzt_units("mm", "sec")
    if values.ndim == 4 and values.shape[3] == VOLUMES:
        image.header["pixdim"][4] = REPETITION_TIME
    nib.save(image, path)
