"""Scans that tests of several readers look at."""

import shutil

import pytest

from autospec.data import simulate_fmri


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    simulate_fmri.write_cohort(folder, 4, 1.0, 3)
    return folder


@pytest.fixture
def copy(cohort, tmp_path):
    return shutil.copytree(cohort, tmp_path / "cohort")
