import numpy as np

from autospec.data.extracted import Extracted, read_extracted, write_extracted
from autospec.data.recording import Recording


def test_a_part_comes_back_from_its_file(tmp_path):
    rng = np.random.default_rng(0)
    first = Recording(
        "a",
        rng.random((5, 3)).astype(np.float32),
        rng.random((5, 2)),
        np.array([True, False, True, True, True]),
        np.array([False, True, False]),
    )
    second = Recording("b", rng.random((4, 3)).astype(np.float32))
    measures = [{"subject": "a", "volumes": 5, "tsnr": 50.0}, {"subject": "b", "volumes": 4, "tsnr": np.nan}]
    part = Extracted([first, second], measures, ["x", "y", "z"], ["w"], True)
    write_extracted(part, tmp_path / "1-of-1.parquet")
    back = read_extracted(tmp_path / "1-of-1.parquet")
    for one, other in zip(back.recordings, part.recordings, strict=True):
        assert one.subject == other.subject
        for name in ("series", "confounds", "kept", "lacking"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    np.testing.assert_equal(back.measures, part.measures)
    assert (back.features, back.lost, back.simulated) == (part.features, part.lost, part.simulated)


def test_a_part_may_hold_nobody(tmp_path):
    write_extracted(Extracted([], [], ["x"], [], False), tmp_path / "4-of-4.parquet")
    assert read_extracted(tmp_path / "4-of-4.parquet").recordings == []
