import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import stats

from autospec.statistics.directions import by_feature, leading_inputs, mean_direction
from autospec.tables import DIRECTIONS, write_parquet

FEATURES = [f"f{number}" for number in range(6)]


def made_run(folder, vectors, shares, seed, status="finished", model="mlp", left_out=()):
    """A run whose directions are `vectors`, {group: (epochs, inputs)}, with a share each."""
    rows = [
        {"epoch": epoch, "layer": "encoder.linear1", "side": "right", "group": group, "index": 1,
         "share": shares[group][epoch - 1], "vector": vector}
        for group, of_epochs in vectors.items()
        for epoch, vector in enumerate(of_epochs.astype(np.float32), start=1)
    ]  # fmt: skip
    other = [row | {"side": "left", "vector": row["vector"][:2]} for row in rows]
    write_parquet(pa.Table.from_pylist([*rows, *other], schema=DIRECTIONS), folder / "directions.parquet")
    record = {"status": status, "seed": seed, "groups": ["control", "patient"], "model": model}
    return folder, record | {"left_out": {"features": list(left_out), "pairs": []}}


def random_run(folder, seed, common, noise=0.5, inputs=6, **changes):
    generator = np.random.default_rng(seed)
    vectors, shares = {}, {}
    for group in ("control", "patient", "difference", "all"):
        drawn = common + noise * generator.normal(size=(4, inputs))
        drawn *= generator.choice([-1, 1], size=(4, 1)) / np.linalg.norm(drawn, axis=1, keepdims=True)
        vectors[group], shares[group] = drawn, generator.uniform(0.3, 1, size=4)
    return made_run(folder, vectors, shares, seed, **changes), vectors, shares


def test_the_mean_direction_is_numpys_leading_eigenvector_of_the_mean_projector():
    for seed in range(5):
        vectors = np.random.default_rng(seed).normal(size=(7, 5))
        share, direction = mean_direction(vectors)
        values, expected = np.linalg.eigh(sum(np.outer(v, v) for v in vectors) / 7)
        assert share == pytest.approx(values[-1])
        assert abs(direction @ expected[:, -1]) == pytest.approx(1)


def test_loadings_and_intervals_agree_with_eigh_and_scipy(tmp_path):
    common = np.random.default_rng(0).normal(size=6) * 2
    made = [random_run(tmp_path / f"seed-{seed}", seed, common) for seed in range(4)]
    table = leading_inputs(dict(run for run, _, _ in made), FEATURES)
    assert table["group"].unique().tolist() == ["control", "patient", "difference"]
    reference = None
    for group, rows in table.groupby("group", sort=False):
        projectors = [
            sum(s * np.outer(v, v) for v, s in zip(vectors[group], shares[group], strict=True)) / 4
            for _, vectors, shares in made
        ]
        values, whole = np.linalg.eigh(np.mean(projectors, axis=0))
        whole = whole[:, -1]
        whole = whole * np.sign(whole[np.abs(whole).argmax()] if reference is None else whole @ reference)
        reference = whole if reference is None else reference
        seeds = np.array([np.linalg.eigh(projector)[1][:, -1] for projector in projectors])
        seeds *= np.sign(seeds @ whole)[:, None]
        np.testing.assert_allclose(rows["loading"], seeds.mean(axis=0), atol=1e-6)
        low, high = stats.t.interval(0.95, 3, seeds.mean(axis=0), stats.sem(seeds, axis=0))
        np.testing.assert_allclose(rows[["low", "high"]], np.column_stack([low, high]), atol=1e-6)
        np.testing.assert_allclose(rows["share"], values[-1], rtol=1e-5)
        assert (rows["n_seeds"] == 4).all() and rows["feature"].tolist() == FEATURES


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_features_that_one_seed_left_out_have_no_part_in_its_direction(tmp_path, model):
    (first, _, _), (_, vectors, shares) = (
        random_run(tmp_path / f"seed-{seed}", seed, np.ones(18), inputs=18, model=model) for seed in (0, 1)
    )
    # Three entries a feature: neighbours in a convolution, six apart in a series made flat.
    kept = np.array([True, True, False, True, False, True])
    mask = np.repeat(kept, 3) if model == "cnn" else np.tile(kept, 3)
    left_out = [name for name, stays in zip(FEATURES, kept, strict=True) if not stays]
    fewer = made_run(
        tmp_path / "fewer", {group: drawn[:, mask] for group, drawn in vectors.items()}, shares, 1, model=model,
        left_out=left_out,
    )  # fmt: skip
    masked = {group: drawn * mask for group, drawn in vectors.items()}
    zeros = made_run(tmp_path / "zeros", masked, shares, 1, model=model)
    table = leading_inputs(dict([first, fewer]), FEATURES)
    pd.testing.assert_frame_equal(table, leading_inputs(dict([first, zeros]), FEATURES))
    alone = leading_inputs(dict([fewer]), FEATURES)
    absent = alone["feature"].isin(left_out)
    assert alone.loc[absent, "loading"].abs().max() < 1e-12 < alone.loc[~absent, "loading"].abs().min()


def test_a_direction_that_turns_its_sign_between_seeds_does_not_cancel(tmp_path):
    vector = np.array([[0.8, 0, 0, -0.6, 0, 0]])
    runs = [
        made_run(tmp_path / f"{n}", dict.fromkeys(("control", "patient", "difference"), sign * vector),
                 dict.fromkeys(("control", "patient", "difference"), [1.0]), n)
        for n, sign in enumerate((1, -1, -1))
    ]  # fmt: skip
    table = leading_inputs(dict(runs), FEATURES)
    for _, rows in table.groupby("group"):
        np.testing.assert_allclose(rows["loading"], vector[0], atol=1e-7)
        np.testing.assert_allclose(rows["share"], 1)


def test_diverged_seeds_are_left_out_and_one_seed_has_no_interval(tmp_path):
    common = np.ones(6)
    one, gone = (random_run(tmp_path / name, 1, common, status=name)[0] for name in ("finished", "diverged"))
    table = leading_inputs(dict([one, gone]), FEATURES)
    pd.testing.assert_frame_equal(table, leading_inputs(dict([one]), FEATURES))
    assert (table["n_seeds"] == 1).all() and table[["low", "high"]].isna().all(axis=None)
    assert leading_inputs(dict([gone]), FEATURES).empty


def test_a_feature_seen_at_several_places_has_the_size_of_all_and_the_sign_of_their_sum():
    vector = np.array([3.0, 1.0, -4.0, 0.0, 0.0, -2.0])
    np.testing.assert_allclose(by_feature(vector, 3), [3.0, 1.0, -np.sqrt(20)])  # two time points, three features
    np.testing.assert_allclose(by_feature(vector, 3, channels_first=True), [np.sqrt(10), -4.0, -2.0])
    np.testing.assert_allclose(by_feature(vector, 6), vector)
