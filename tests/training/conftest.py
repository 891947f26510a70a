import pytest
from simulated import simulated_dataset, simulated_pairs, simulated_splits

from autospec.data.dataset import write_dataset
from autospec.tables import write_tsv


@pytest.fixture
def prepared_files(tmp_path):
    """Paths of data, pairs and splits of a small simulated data set."""

    def write(shape=(10,), seeds=(0, 1, 2)):
        write_dataset(simulated_dataset(shape), tmp_path / "data.parquet")
        write_tsv(simulated_pairs(), tmp_path / "pairs.tsv")
        write_tsv(simulated_splits(seeds), tmp_path / "splits.tsv")
        return {
            "data": str(tmp_path / "data.parquet"),
            "pairs": str(tmp_path / "pairs.tsv"),
            "splits": str(tmp_path / "splits.tsv"),
        }

    return write
