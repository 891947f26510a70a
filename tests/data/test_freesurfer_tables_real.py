"""Real tables of FreeSurfer's measures: ABIDE's, and COBRE's header, as pandas reads them."""

import numpy as np
import pandas as pd
import pytest

from autospec.data.dataset import feature_table
from autospec.data.freesurfer_tables import read, read_table
from autospec.errors import InputError

ABIDE = {
    "source": "freesurfer_tables",
    "path": "abide_freesurfer",
    "tables": [
        "stats/aseg_table.tsv",
        "stats/lh.aparc_table_volume.tsv",
        "stats/rh.aparc_table_volume.tsv",
        "stats/lh.aparc_table_thickness.tsv",
        "stats/rh.aparc_table_thickness.tsv",
    ],
    "participants": {
        "file": "phenotypic_min.csv",
        "subject": "FILE_ID",
        "group": "DX_GROUP",
        "age": "AGE_AT_SCAN",
        "sex": "SEX",
        "site": "SITE_ID",
        "motion": "func_mean_fd",
    },
    "groups": {"control": ["2"], "autism": ["1"]},
    "matching": {"exact": ["site", "sex"], "callipers": {"age": 0.2}},
}
KINDS = ("volume", "thickness", "area")


def new_name(name):
    """What FreeSurfer 6 and 7 made of older names."""
    return name.replace("Thalamus-Proper", "Thalamus").replace("CorticalWhite", "CerebralWhite")


def test_abide_reads_as_pandas_reads_it(shared_data):
    root = shared_data / "abide_freesurfer"
    dataset, quality, dropped = read("abide", ABIDE, root)

    tables = [pd.read_csv(root / file, sep="\t", index_col=0) for file in ABIDE["tables"]]
    expected = pd.concat(tables, axis=1).loc[dataset.people["subject"]]
    expected = expected.rename(columns=new_name)
    head_size = expected.pop("IntraCranialVol")
    constant = expected.columns[expected.nunique() == 1]
    expected = expected.drop(columns=constant)
    assert dataset.features == list(expected.columns)
    assert dataset.values.shape == (1035, 188)
    np.testing.assert_array_equal(dataset.values, expected.to_numpy(np.float32))
    np.testing.assert_array_equal(dataset.people["head_size"], head_size)
    assert sorted(dropped["label"]) == sorted(constant) and len(constant) == 4

    # 29 people have an intracranial volume that nobody can have; they are flagged and kept.
    flagged = quality["flag"].str.startswith("head size")
    assert flagged.sum() == (head_size < 800_000).sum() == 29
    assert not dataset.simulated


def test_abide_agrees_with_the_derived_table(shared_data):
    root = shared_data / "abide_freesurfer"
    dataset, _, _ = read("abide", ABIDE, root)
    derived = pd.read_csv(root / "abide_fs6_aseg_aparc_with_dx.csv", index_col="subject")
    derived = derived.rename(columns=new_name)
    derived = derived.loc[dataset.people["subject"]]
    np.testing.assert_allclose(dataset.values, derived[dataset.features], rtol=1e-6)
    assert (derived["sex"].to_numpy() == dataset.people["sex"].to_numpy()).all()
    np.testing.assert_allclose(derived["age"], dataset.people["age"])
    assert (derived["site"].to_numpy() == dataset.people["site"].to_numpy()).all()
    assert dataset.people["group"].value_counts().to_dict() == {"control": 530, "autism": 505}
    names = derived["diagnosis"].map({"ASD": "autism", "TC": "control"}).to_numpy()
    assert (names == dataset.people["group"].to_numpy()).all()


def test_tables_of_the_destrieux_atlas_read_as_pandas_reads_them(shared_data):
    root = shared_data / "abide_freesurfer"
    files = [f"stats/aparc.a2009s/{side}.aparc.a2009s_table_{kind}.tsv" for side in ("lh", "rh") for kind in KINDS]
    dataset, _, dropped = read("abide", ABIDE | {"tables": files}, root)
    tables = [pd.read_csv(root / file, sep="\t", index_col=0) for file in files]
    expected = pd.concat(tables, axis=1).loc[dataset.people["subject"]]
    # 74 regions; thickness and area also have the measure of the whole hemisphere.
    assert dataset.values.shape == (1035, 2 * (74 + 75 + 75)) and dropped.empty
    np.testing.assert_array_equal(dataset.values, expected.to_numpy(np.float32))
    assert dataset.features == list(expected.columns) and "head_size" not in dataset.people


def test_a_real_table_separated_by_spaces_reads_as_pandas_reads_it(shared_data):
    root = shared_data / "abide_freesurfer"
    file = "stats/brainvol/brainstats_abide_with_pial.txt"
    names = ["lhPialSurfArea", "rhPialSurfArea", "CortexVol", "lhMean*"]
    dataset, _, dropped = read("abide", ABIDE | {"tables": [file], "features": names}, root)
    expected = pd.read_csv(root / file, sep=" ", index_col="subject").loc[dataset.people["subject"]]
    taken = ["CortexVol", "lhMeanThickness", "lhPialSurfArea", "rhPialSurfArea"]
    assert dataset.features == taken
    np.testing.assert_array_equal(dataset.values, expected[taken].to_numpy(np.float32))
    np.testing.assert_array_equal(dataset.people["head_size"], expected["EstimatedTotalIntraCranialVol"])
    others = ["CerebralWhiteMatterVol", "TotalGray", "rhMeanThickness", "totalBrainVolume"]
    assert set(others) < set(dropped.loc[dropped["reason"] == "not a measure of FreeSurfer by its name", "label"])


def test_a_real_wide_table_with_the_participants_in_it_is_read(shared_data):
    root = shared_data / "abide_freesurfer"
    file = "abide_fs6_aseg_aparc_with_dx.csv"
    people = {"file": file, "subject": "subject", "group": "diagnosis", "age": "age", "sex": "sex", "site": "site"}
    options = ABIDE | {"tables": [file], "participants": people, "groups": {"control": ["TC"], "autism": ["ASD"]}}
    wide, _, dropped = read("abide", options, root)
    assert set(dropped["reason"]) == {"the same value for everyone"}
    apart, _, _ = read("abide", ABIDE, root)
    order = apart.people.set_index("subject").index.get_indexer(wide.people["subject"])
    apart_people = apart.people.iloc[order].reset_index(drop=True)
    for column in ("group", "sex", "site"):
        assert (wide.people[column] == apart_people[column]).all()
    # The wide table has mean thickness besides.
    columns = [wide.features.index(feature) for feature in apart.features]
    np.testing.assert_allclose(wide.values[:, columns], apart.values[order], rtol=1e-6)
    np.testing.assert_allclose(wide.people["head_size"], apart_people["head_size"])


def test_a_wide_table_with_the_columns_of_cobre_is_read(shared_data, tmp_path):
    header = (shared_data / "cobre_meta" / "vault_freesurfer_cobre_data.csv").read_text().strip().split(",")
    random = np.random.default_rng(5)
    values = dict(zip(header, random.uniform(1e5, 2e6, (len(header), 6)).round(2), strict=True))
    cells = np.stack([values[name] for name in header], axis=1)  # a name that stands twice has one set of values
    lines = [["URSI", "Subject Type", *header]]
    for number in range(6):
        lines.append([f"A{number}", ["Patient", "Control"][number % 2], *map(str, cells[number])])
    (tmp_path / "cobre.csv").write_text("\n".join(",".join(line) for line in lines))
    options = {
        "tables": ["cobre.csv"],
        "participants": {"file": "cobre.csv", "subject": "URSI", "group": "Subject Type"},
        "groups": {"control": ["Control"], "patient": ["Patient"]},
    }
    dataset, quality, dropped = read("cobre", options, tmp_path)
    processing = [name for name in header if name.endswith("eTIV") or name in ("lhSurfaceHoles", "rhSurfaceHoles")]
    assert sorted(dropped["label"]) == sorted(processing)
    unlike = {*processing, "SurfaceHoles", "EstimatedTotalIntraCranialVol"}
    kept = [name for name in dict.fromkeys(header) if name not in unlike]
    assert feature_table(dataset)["original"].tolist() == kept and len(kept) == 493 - 6
    np.testing.assert_array_equal(dataset.values, np.stack([values[name] for name in kept], axis=1).astype(np.float32))
    np.testing.assert_array_equal(dataset.people["head_size"], values["EstimatedTotalIntraCranialVol"])
    np.testing.assert_array_equal(quality["surface_holes"], values["SurfaceHoles"])

    # The published header alone has no column with the subjects, and may contradict itself.
    (tmp_path / "bare.csv").write_text(",".join(header) + "\n" + ",".join(map(str, range(1, 496))))
    with pytest.raises(InputError, match="'lh_MeanThickness_thickness' stands twice and holds"):
        read_table(tmp_path / "bare.csv")
    (tmp_path / "bare.csv").write_text(",".join(header) + "\n" + ",".join(["7"] * 495))
    with pytest.raises(InputError, match="no column with the subjects; the first one is 'Left-Lateral-Ventricle'"):
        read_table(tmp_path / "bare.csv")
