import pytest
from autospec.data.dataset import write_dataset
from autospec.tables import write_tsv
from simulated import simulated_dataset, simulated_pairs, simulated_splits


@pytest.fixture
def prepared_files(tmp_path):
    """Paths of data, pairs and splits of a small simulated data set."""

    def write(shape=(10,), seeds=(0, 1, 2)):
        write_dataset(simulated_dataset(shape), tmp_path / "data.parquet")
        write_tsv(simulated_pairs(), tmp_path / "pairs.tsv")
        write_tsv(simulated_splits(seeds), tmp_path / "splits.tsv")
        return {name: str(tmp_path / f"{name}.{end}") for name, end in (("data", "parquet"), ("pairs", "tsv"), ("splits", "tsv"))}

    return write
