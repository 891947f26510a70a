"""4-d scans for tests: written, read without our code, and turned into time courses by nilearn alone."""

import nibabel as nib
import numpy as np
from nilearn.maskers import NiftiMapsMasker

from autospec.data import fmri, simulate_fmri

OPTIONS = {
    "source": "fmri",
    "participants": {"subject": "participant_id", "group": "diagnosis"},
    "groups": {"control": ["control"], "patient": ["schizophrenia"]},
}
SCAN = "sub-0002/func/sub-0002_task-rest_desc-preproc_bold.nii.gz"
CONFOUNDS = "sub-0002/func/sub-0002_task-rest_desc-confounds_timeseries.tsv"


def read(folder, **options):
    """Read the scans in a folder, with what is asked of them beside who they are."""
    return fmri.read("rest", OPTIONS | options, folder)


def save(folder, data, affine=simulate_fmri.AFFINE, name=SCAN, step=2.0, unit="sec"):
    """Write an image with a repetition time."""
    image = nib.Nifti1Image(data, affine)
    image.header.set_xyzt_units("mm", unit)
    if data.ndim == 4:
        image.header["pixdim"][4] = step
    nib.save(image, folder / name)


def scan(folder, name=SCAN):
    """The values of an image."""
    return nib.load(folder / name).get_fdata().astype(np.float32)


def by_nilearn(maps, scan, **options):
    """Cleaned time courses of a scan with a repetition time of 2 s."""
    masker = NiftiMapsMasker(
        maps, allow_overlap=True, standardize="zscore_sample", detrend=True, low_pass=0.1, high_pass=0.01, t_r=2.0,
        resampling_target=None,
    )  # fmt: skip
    return masker.fit().transform(scan, **options)
