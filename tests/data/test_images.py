import gzip
import shutil
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from autospec.data import images
from autospec.errors import InputError

GROUPS = {"even": ["0", "2", "4", "6", "8"], "odd": ["1", "3", "5", "7", "9"]}


def read(path=None, source="digits", **options):
    return images.read("pictures", {"source": source, "groups": GROUPS} | options, path)


def idx(values):
    header = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    return header + values.astype(np.uint8).tobytes()


def test_digits_are_those_of_sklearn_scaled_to_one():
    dataset, qc, dropped = read()
    digits = load_digits()
    np.testing.assert_allclose(dataset.values[:, 0], digits.images / 16, atol=1e-7)
    assert dataset.people["target"].tolist() == [str(digit) for digit in digits.target]
    assert (dataset.people["group"] == "odd").tolist() == (digits.target % 2 == 1).tolist()
    assert dataset.people["subject"].iloc[0] == "digit-0001"
    assert not dataset.simulated
    assert dropped.empty
    np.testing.assert_allclose(qc["mean_intensity"], digits.data.mean(axis=1) / 16, rtol=1e-6)


def test_a_limit_draws_evenly_over_classes_and_always_the_same():
    dataset, qc, _ = read(limit=203)
    counts = dataset.people["target"].value_counts()
    assert len(dataset.values) == len(qc) == 203
    assert set(counts) == {20, 21}
    digits = load_digits()
    places = dataset.people["subject"].str.removeprefix("digit-").astype(int) - 1
    np.testing.assert_allclose(dataset.values[:, 0], digits.images[places] / 16, atol=1e-7)
    assert read(limit=203)[0].people.equals(dataset.people)
    assert len(read(limit=10**6)[0].values) == 1797


def test_classes_in_no_group_are_left_out_and_counted():
    dataset, _, dropped = read(groups={"low": [0, 1], "high": [8, 9]})
    digits = load_digits()
    assert len(dataset.values) == np.isin(digits.target, [0, 1, 8, 9]).sum()
    assert len(dropped) == 1797 - len(dataset.values)
    assert set(dropped["kind"]) == {"subject"}


@pytest.mark.parametrize(
    "options, said",
    [
        ({"groups": {"a": ["0"], "b": ["ten"]}}, "found class 'ten'"),
        ({"groups": {"a": ["0"], "b": ["0"]}}, "stands in a and in b"),
        ({"limit": 9}, "limit: found 9, wanted 10"),
    ],
)
def test_wrong_options_are_refused(options, said):
    with pytest.raises(InputError, match=said):
        read(**options)


def test_mnist_is_what_its_original_files_hold(shared_data):
    dataset, _, _ = read(shared_data / "mnist", source="mnist", limit=500)
    parts = []
    for name in ("train", "t10k"):
        with gzip.open(shared_data / "mnist" / f"{name}-images-idx3-ubyte.gz") as file:
            magic, count, height, width = struct.unpack(">IIII", file.read(16))
            assert (magic, height, width) == (2051, 28, 28)
            parts.append(np.frombuffer(file.read(), np.uint8).reshape(count, height, width))
    with gzip.open(shared_data / "mnist" / "train-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read()[8:], np.uint8)
    places = dataset.people["subject"].str.removeprefix("mnist-").astype(int).to_numpy() - 1
    np.testing.assert_allclose(dataset.values[:, 0], np.concatenate(parts)[places] / np.float32(255), atol=1e-7)
    training = places < 60_000
    assert dataset.people["target"][training].tolist() == labels[places[training]].astype(str).tolist()
    assert dataset.values.shape == (500, 1, 28, 28)


def test_unpacked_mnist_files_are_verified_too(shared_data, tmp_path):
    for path in (shared_data / "mnist").glob("t10k-*.gz"):
        (tmp_path / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    for path in (shared_data / "mnist").glob("train-*.gz"):
        shutil.copy(path, tmp_path)
    assert len(read(tmp_path, source="mnist", limit=20)[0].values) == 20
    plain = tmp_path / "t10k-labels-idx1-ubyte"
    plain.write_bytes(plain.read_bytes()[:-1] + b"\x01")
    with pytest.raises(InputError, match="t10k-labels-idx1-ubyte: found md5 .*, wanted 27ae3e4e"):
        read(tmp_path, source="mnist")


def test_missing_mnist_is_asked_for(tmp_path):
    with pytest.raises(InputError, match="train-images-idx3-ubyte.gz: no such file"):
        read(tmp_path, source="mnist")


def test_other_files_under_mnists_names_are_refused(tmp_path):
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(np.zeros((2, 28, 28)))))
    with pytest.raises(InputError, match="not MNIST's original file"):
        read(tmp_path, source="mnist")


@pytest.mark.parametrize("shape", [(5,), (3, 4, 2)])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_files_keep_shape_and_values(tmp_path, shape, suffix):
    values = np.random.default_rng(0).integers(0, 256, shape)
    path = tmp_path / f"values{suffix}"
    path.write_bytes(gzip.compress(idx(values)) if suffix else idx(values))
    np.testing.assert_array_equal(images.read_idx(path), values)


@pytest.mark.parametrize(
    "content, said",
    [
        (b"", "found a header"),
        (b"\x89PNG....", "found a header 89 50 4e 47"),
        (bytes([0, 0, 13, 1, 0, 0, 0, 1, 0]), "found a header"),
        (bytes([0, 0, 8, 3, 0, 0]), "found a header"),
        (idx(np.zeros((3, 4)))[:-1], "states 3 x 4 values, found 11"),
        (bytes([0, 0, 8, 4]) + 4 * struct.pack(">I", 65536), "65536 x 65536 values, found 0"),
        (bytes([0, 0, 8, 2]) + struct.pack(">2I", 0, 2**32 - 1), "states 0 x 4294967295 values, found 0"),
        (bytes([0, 0, 8, 70]) + 70 * struct.pack(">I", 1) + b"\0", "found a header"),
    ],
)
def test_what_is_not_idx_is_refused(tmp_path, content, said):
    path = tmp_path / "values"
    path.write_bytes(content)
    with pytest.raises(InputError, match=said):
        images.read_idx(path)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(head=st.binary(max_size=24), packed=st.booleans(), cut=st.integers(0, 12), data=st.data())
def test_any_bytes_give_an_array_or_an_input_error(tmp_path, head, packed, cut, data):
    start = data.draw(st.sampled_from([b"", b"\0\0\x08", b"\0\0\x08\x01\0\0\0\x05", b"\x1f\x8b\x08"]))
    path = tmp_path / ("values.gz" if packed else "values")
    content = gzip.compress(start + head) if data.draw(st.booleans()) and packed else start + head
    path.write_bytes(content[: len(content) - cut])
    try:
        values = images.read_idx(path)
    except InputError as error:
        assert "values" in str(error)
    else:
        assert values.dtype == np.uint8


def test_a_file_of_mnist_cut_short_is_refused(shared_data, tmp_path):
    for file in (shared_data / "mnist").glob("*.gz"):
        shutil.copy(file, tmp_path)
    path = tmp_path / "t10k-images-idx3-ubyte.gz"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(InputError, match=r"t10k-images-idx3-ubyte.gz: found md5 .*Get it again"):
        read(tmp_path, source="mnist")


def test_a_gzip_file_cut_short_is_refused(tmp_path):
    path = tmp_path / "values.gz"
    path.write_bytes(gzip.compress(idx(np.arange(200)))[:-30])
    with pytest.raises(InputError, match="damaged or cut short"):
        images.read_idx(path)
