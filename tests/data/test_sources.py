"""From a source's name to its reader."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from autospec.data import freesurfer, sources
from autospec.data.dataset import read_dataset, write_dataset
from autospec.data.simulate_freesurfer import write_cohort
from autospec.errors import InputError

OPTIONS = {
    "source": "freesurfer",
    "participants": {"subject": "participant_id", "group": "diagnosis"},
    "groups": {"control": ["control"], "patient": ["schizophrenia"]},
}


def test_a_source_is_read_by_its_module_and_written_without_loss(tmp_path):
    write_cohort(tmp_path / "raw", subjects=6, effect=1.0, seed=1)
    dataset, quality, dropped = sources.read("name", OPTIONS, tmp_path / "raw")
    expected, _, _ = freesurfer.read("name", OPTIONS, tmp_path / "raw")
    np.testing.assert_array_equal(dataset.values, expected.values)
    assert list(dropped) == ["kind", "label", "reason"] and quality["subject"].is_unique

    write_dataset(dataset, tmp_path / "data.parquet")
    again = read_dataset(tmp_path / "data.parquet")
    np.testing.assert_array_equal(again.values, dataset.values)
    assert again.people.to_dict("list") == dataset.people.to_dict("list")
    assert again.features == dataset.features and again.groups == dataset.groups and again.simulated


def test_every_source_has_a_reader():
    for module in sources.MODULES.values():
        assert (Path(sources.__file__).parent / f"{module}.py").is_file()


def test_an_unknown_source_is_refused():
    with pytest.raises(InputError, match=r"datasets.name.source: found 'eeg', wanted one of digits"):
        sources.read("name", {"source": "eeg"}, None)


def test_a_group_of_one_is_refused(tmp_path):
    write_cohort(tmp_path / "raw", subjects=4, effect=1.0, seed=1)
    table = tmp_path / "raw" / "participants.tsv"
    table.write_text(table.read_text().replace("schizophrenia", "other", 1))
    with pytest.raises(InputError, match="group 'patient' has 1 subject"):
        sources.read("name", OPTIONS | {"other_groups": "drop"}, tmp_path / "raw")


def test_only_the_reader_that_is_needed_is_imported():
    code = (
        "import sys; from autospec.data import sources\n"
        "try: sources.read('name', {'source': 'freesurfer'}, 'nowhere')\n"
        "except Exception as error: assert 'participants.tsv' in str(error), error\n"
        "assert not {'torch', 'nilearn', 'sklearn', 'nibabel'} & set(sys.modules)"
    )
    library = Path(sources.__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=library, timeout=60)


def test_the_simulator_needs_no_more_than_pandas():
    code = (
        "import sys, autospec.data.simulate_freesurfer\n"
        "assert not {'torch', 'nilearn', 'sklearn', 'autospec.tables'} & set(sys.modules)"
    )
    library = Path(sources.__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=library, timeout=60)
