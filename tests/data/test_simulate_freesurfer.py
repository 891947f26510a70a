"""The simulated cohort: FreeSurfer's format, the published effects, and its own label."""

import json

import numpy as np
import pandas as pd
import pytest

from autospec.data import freesurfer, freesurfer_stats, simulated_brain
from autospec.data.freesurfer_names import current_name
from autospec.data.simulate_freesurfer import simulate, write_cohort
from autospec.errors import InputError

OPTIONS = {
    "participants": {"subject": "participant_id", "group": "diagnosis"},
    "groups": {"control": ["control"], "patient": ["schizophrenia"]},
    "matching": {"exact": ["site", "sex"], "callipers": {"age": 0.2}},
}
MANY = 6000


@pytest.fixture(scope="module")
def cohort():
    return simulate(MANY, effect=1.0, seed=5)


def adjusted(people, values):
    """Residuals after age, sex, site and log head size, by least squares; patients as a mask."""
    patient = (people["diagnosis"] == "schizophrenia").to_numpy()
    covariates = [np.ones(len(people)), people["age"], people["sex"] == "F", np.log(people["head_size"])]
    covariates += [people["site"] == site for site in ("north", "south")]
    design = np.column_stack([*covariates, patient]).astype(float)
    fit, *_ = np.linalg.lstsq(design, values, rcond=None)
    return values - design[:, :-1] @ fit[:-1], patient


def cohens_d(values, patient):
    a, b = values[patient], values[~patient]
    return (a.mean() - b.mean()) / np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2)


STANDARD_ERROR = np.sqrt(4 / MANY)


@pytest.mark.parametrize(("structure", "published"), simulated_brain.VOLUME_D.items())
@pytest.mark.parametrize("side", ["Left", "Right"])
def test_subcortical_effects_are_the_published_ones(cohort, side, structure, published):
    people, volumes, _ = cohort
    found = cohens_d(*adjusted(people, np.log(volumes[f"{side}-{structure}"].to_numpy())))
    assert abs(found - published) < 3 * STANDARD_ERROR


@pytest.mark.parametrize(
    ("region", "published"),
    [
        ("fusiform", -0.54),
        ("parahippocampal", -0.5),
        ("middletemporal", -0.5),
        ("precentral", -0.3),
        ("cuneus", -0.3),
    ],
)
@pytest.mark.parametrize("side", ["lh", "rh"])
def test_cortical_thinning_is_as_published(cohort, side, region, published):
    people, _, cortex = cohort
    found = cohens_d(*adjusted(people, cortex[side, region, "thickness"].to_numpy()))
    assert abs(found - published) < 3 * STANDARD_ERROR


def test_head_size_is_a_little_smaller_in_patients(cohort):
    people, *_ = cohort
    patient = (people["diagnosis"] == "schizophrenia").to_numpy()
    scaled = people.groupby("sex")["head_size"].transform(lambda size: (size - size.mean()) / size.std())
    assert abs(cohens_d(scaled.to_numpy(), patient) - -0.12) < 3 * STANDARD_ERROR


def test_structures_without_a_published_effect_have_none(cohort):
    people, volumes, _ = cohort
    assert abs(cohens_d(*adjusted(people, np.log(volumes["Left-Caudate"].to_numpy())))) < 3 * STANDARD_ERROR


@pytest.mark.parametrize(("structure", "ratio"), [*simulated_brain.SPREAD.items(), ("Caudate", 1.0)])
def test_patients_vary_more_where_published(cohort, structure, ratio):
    people, volumes, _ = cohort
    name = structure if structure in volumes else f"Left-{structure}"
    values, patient = adjusted(people, np.log(volumes[name].to_numpy()))
    # The logarithm of a standard deviation of n normal values has variance 1 / (2 n).
    assert abs(np.log(values[patient].std() / values[~patient].std() / ratio)) < 3 * np.sqrt(2 / MANY)


def test_without_effect_the_groups_do_not_differ():
    people, volumes, cortex = simulate(MANY, effect=0.0, seed=6)
    table = np.column_stack([np.log(volumes.loc[:, volumes.min() > 0]), cortex])
    values, patient = adjusted(people, table)
    found = np.array([cohens_d(column, patient) for column in values.T])
    spread = np.log(values[patient].std(axis=0) / values[~patient].std(axis=0))
    assert np.abs(found).max() < 4.5 * STANDARD_ERROR
    assert np.abs(spread).max() < 4.5 * np.sqrt(2 / MANY)


def test_means_and_correlations_are_those_of_adults(cohort):
    people, volumes, cortex = cohort
    control = people["diagnosis"] == "control"
    hippocampus = volumes.loc[control, "Left-Hippocampus"]
    assert 3900 < hippocampus.mean() < 4400 and 350 < hippocampus.std() < 600
    assert 2.3 < cortex.loc[control].xs("thickness", axis=1, level=2).to_numpy().mean() < 2.7
    assert 3e5 < cortex.loc[control].xs("volume", axis=1, level=2).sum(axis=1).mean() < 6e5
    sides = np.corrcoef(volumes["Left-Hippocampus"], volumes["Right-Hippocampus"])[0, 1]
    others = np.corrcoef(volumes["Left-Hippocampus"], volumes["Left-Lateral-Ventricle"])[0, 1]
    assert 0.6 < sides < 0.95 and others < sides - 0.2
    assert np.corrcoef(volumes["Left-Lateral-Ventricle"], people["age"])[0, 1] > 0.1
    assert np.corrcoef(cortex["lh", "precuneus", "thickness"], people["age"])[0, 1] < -0.1
    assert np.corrcoef(volumes["Brain-Stem"], people["head_size"])[0, 1] > 0.4


def test_the_files_hold_what_was_drawn_and_say_that_they_are_simulated(tmp_path):
    write_cohort(tmp_path / "raw", subjects=10, effect=1.0, seed=1)
    people, volumes, cortex = simulate(10, 1.0, 1)
    dataset, _, _ = freesurfer.read("name", OPTIONS, tmp_path / "raw")
    assert dataset.simulated
    assert dataset.people["subject"].tolist() == people["participant_id"].tolist()
    np.testing.assert_allclose(dataset.people["head_size"], people["head_size"], rtol=1e-6)
    column = dataset.features.index("Left-Putamen")
    np.testing.assert_allclose(dataset.values[:, column], volumes["Left-Putamen"], atol=0.051)
    column = dataset.features.index("rh_insula_thickness")
    np.testing.assert_allclose(dataset.values[:, column], cortex["rh", "insula", "thickness"], atol=0.00051)

    for file in (tmp_path / "raw").rglob("*.stats"):
        assert file.read_text().startswith("# SIMULATED by AutoSpec")
    for file in (tmp_path / "raw").glob("*.json"):
        assert "SIMULATED" in file.read_text()
    assert json.loads((tmp_path / "raw" / "dataset_description.json").read_text())["Simulated"] is True
    assert (tmp_path / "raw" / "dataset_description.json").stat().st_mode & 0o444 == 0o444


def test_the_layout_is_that_of_a_real_subject(shared_data, tmp_path):
    write_cohort(tmp_path / "raw", subjects=4, effect=1.0, seed=1)
    for name in ("aseg.stats", "lh.aparc.stats", "rh.aparc.stats"):
        ours = freesurfer_stats.read_stats(tmp_path / "raw" / "sub-0001" / "stats" / name)
        real = freesurfer_stats.read_stats(shared_data / "fs_raw_stats" / "subjects" / "bert" / "stats" / name)
        assert ours.columns == real.columns
        structure = ours.columns.index("StructName")
        # FreeSurfer 7 shortened the thalamus's name after the version of the real file.
        names = [current_name(cells[structure]) for _, cells in real.rows]
        assert [cells[structure] for _, cells in ours.rows] == names
        if name == "aseg.stats":
            assert [cells[:2] for _, cells in ours.rows] == [cells[:2] for _, cells in real.rows]


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_cohort(tmp_path / name, subjects=6, effect=1.0, seed=seed)
    files = {file.relative_to(tmp_path / "a") for file in (tmp_path / "a").rglob("*") if file.is_file()}
    assert len(files) == 6 * 3 + 3
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)
    assert (tmp_path / "a/participants.tsv").read_bytes() != (tmp_path / "c/participants.tsv").read_bytes()


def test_a_failure_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(json, "dumps", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_cohort(tmp_path / "raw", subjects=4, effect=1.0, seed=1)
    assert list(tmp_path.iterdir()) == []


def test_files_are_never_overwritten_and_nonsense_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="holds files already"):
        write_cohort(tmp_path, subjects=4, effect=1.0, seed=1)
    with pytest.raises(InputError, match="at least 4"):
        write_cohort(tmp_path / "raw", subjects=3, effect=1.0, seed=1)
    (tmp_path / "empty").mkdir()
    write_cohort(tmp_path / "empty", subjects=5, effect=1.0, seed=1)
    people = pd.read_csv(tmp_path / "empty" / "participants.tsv", sep="\t")
    assert people["diagnosis"].value_counts().to_dict() == {"control": 3, "schizophrenia": 2}


def test_the_default_cohort_can_be_paired():
    from autospec.data.dataset import Dataset
    from autospec.data.pairing import pair_people

    people, *_ = simulate(160, effect=1.0, seed=1)
    people = people.rename(columns={"participant_id": "subject", "diagnosis": "group"})
    dataset = Dataset("name", np.zeros((160, 1)), people, ["f"], ("control", "schizophrenia"), True, "")
    pairs, _ = pair_people(dataset, **OPTIONS["matching"])
    assert len(pairs) // 2 >= 55
