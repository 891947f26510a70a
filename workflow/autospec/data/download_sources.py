"""What each open data set consists of, and who publishes it."""

import csv
import io
import itertools
import json
import urllib.parse
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

from autospec.data.download import RemoteFile, download
from autospec.data.images import MNIST
from autospec.data.participants import NO_DATA
from autospec.data.transfer import read_text
from autospec.errors import InputError

#: The Preprocessed Connectomes Project's bucket; its listing gives the MD5 of each file that was
#: uploaded in one piece as its ETag (preprocessed-connectomes-project.org/abide/download.html).
BUCKET = "https://s3.amazonaws.com/fcp-indi"
ABIDE = "data/Projects/ABIDE_Initiative"
PHENOTYPES = "Phenotypic_V1_0b_preprocessed1.csv"
#: C-PAC without band-pass filter and without global signal regression; regions of Craddock et al. 2012.
CC200 = f"{ABIDE}/Outputs/cpac/nofilt_noglobal/rois_cc200"
STATS = ("aseg.stats", *(f"{side}.{name}.stats" for side in ("lh", "rh") for name in ("aparc", "aparc.a2009s")))

#: FreeSurfer 6 tables of ABIDE I, as they stood at one commit.
TABLES = (
    "https://raw.githubusercontent.com/dfsp-spirit/abide_preproc_smri_freesurfer6/"
    "869ca75f49cd3e799035109819c43cc6a779156e/stats"
)
TABLES_SHA256 = {
    "aseg_table.tsv": "72b8713a365badaf6d84310ed7d52cbc64c89315d543257304f6f0fb6d03f678",
    "lh.aparc_table_area.tsv": "5bce29ffd73c5308f04182a7dfb448dcb0e7c5a1a05f7a765ac763d6db36b97c",
    "lh.aparc_table_thickness.tsv": "3adfe188709d229523e2bab74514a7c9e992e56409b98471b1ab3a2f3935b622",
    "lh.aparc_table_volume.tsv": "2854b418bdd744348e96c1b0e4376e1e7dca21270b5a788462154da8fcc1895c",
    "rh.aparc_table_area.tsv": "7edfe226ff717c3f20ab3f7d74a60eb6855653a0a87d9ffd14a568087db6e66f",
    "rh.aparc_table_thickness.tsv": "cbc05573a508a3340074074308441cb4bbc741b13071cdcef4e0dac36894edf2",
    "rh.aparc_table_volume.tsv": "eba6611195dd68a467a44c70a0d95d52c99b291e0e44dc48bcb55df144b7eacc",
}

#: COBRE preprocessed with NIAK 0.17, lightweight release (Bellec 2016, doi:10.6084/m9.figshare.4197885).
COBRE = "https://api.figshare.com/v2/articles/4197885"
_MOST_A_PAGE = 1000  # of a listing of figshare (docs.figshare.com, openapi: page_size)

#: A public copy of the four original files; their checksums are known.
MNIST_COPY = "https://ossci-datasets.s3.amazonaws.com/mnist"

#: Component maps, from where nilearn's fetchers take them (nilearn.datasets, which verifies none).
SMITH = "https://www.fmrib.ox.ac.uk/datasets/brainmap+rsns"
MSDL = "https://team.inria.fr/parietal/files/2015/01/MSDL_rois.zip"
DIFUMO_64 = "https://osf.io/pqu9r/download"


def get(names: list[str], folder: str | Path) -> pd.DataFrame:
    """Bring data sets into one folder.

    Parameters
    ----------
    names : list of str
        Of `SOURCES`.
    folder : path

    Returns
    -------
    DataFrame
        One row a file: `file`, `bytes`, `sha256`, `url`.

    Raises
    ------
    InputError
        What `autospec.data.download.download` refuses, and a listing that is not as it was.
    """
    return pd.concat([SOURCES[name](Path(folder), name) for name in names], ignore_index=True)


def _abide_tables(folder: Path, title: str) -> pd.DataFrame:
    """FreeSurfer 6 tables of 1035 people, in `stats`, and the phenotypes."""
    files = [RemoteFile(f"stats/{name}", f"{TABLES}/{name}", sha256=sha256) for name, sha256 in TABLES_SHA256.items()]
    return download([*_phenotypes(title), *files], folder, title)


def _abide_freesurfer(folder: Path, title: str) -> pd.DataFrame:
    """FreeSurfer 5.1 statistics, `<FILE_ID>/stats`, and the phenotypes."""
    phenotypes = download(_phenotypes(title), folder, title)
    subjects = _file_ids(folder / PHENOTYPES)
    base = f"{ABIDE}/Outputs/freesurfer/5.1"
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda subject: _listed(f"{base}/{subject}/stats/", title), subjects))
    files = [
        RemoteFile(file.url.removeprefix(f"{BUCKET}/{base}/"), file.url, file.size, file.md5)
        for files in found
        for file in files
        if file.name in STATS
    ]
    if not files:
        raise InputError(
            f"{title}: found no FreeSurfer statistics of the {len(subjects)} people in {BUCKET}/{base}; the bucket has "
            "been arranged anew. A later version of this program may know it."
        )
    return pd.concat([phenotypes, download(files, folder, title)], ignore_index=True)


def _abide_timecourses(folder: Path, title: str, site: str = "") -> pd.DataFrame:
    """CC200 time courses, in `raw`, and the phenotypes; of everyone, or of one site."""
    listed = [file for file in _listed(f"{CC200}/{site}", title) if file.name.endswith("_rois_cc200.1D")]
    if not listed:
        raise InputError(
            f"{title}: found no time courses in {BUCKET}/{CC200}; the bucket has been arranged anew. A later version "
            "of this program may know it."
        )
    files = [RemoteFile(f"raw/{file.name}", file.url, file.size, file.md5) for file in listed]
    return download([*_phenotypes(title), *files], folder, title)


def _nyu_timecourses(folder: Path, title: str) -> pd.DataFrame:
    return _abide_timecourses(folder, title, "NYU_")


def _phenotypes(title: str) -> list[RemoteFile]:
    files = [file for file in _listed(f"{ABIDE}/{PHENOTYPES}", title) if file.name == PHENOTYPES]
    if not files:
        raise InputError(
            f"{title}: found no {PHENOTYPES} in {BUCKET}/{ABIDE}; the bucket has been arranged anew. A later version "
            "of this program may know it."
        )
    return files


def _file_ids(path: Path) -> list[str]:
    rows = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig")))
    if "FILE_ID" not in (rows.fieldnames or ()):
        raise InputError(f"{path}: no column FILE_ID. The publisher has changed the table.")
    return sorted({row["FILE_ID"] for row in rows} - {NO_DATA, ""})


def _listed(prefix: str, title: str) -> list[RemoteFile]:
    """Every file of the bucket whose key begins so (ListObjectsV2), by its base name."""
    files, token = [], None
    while True:
        query = {"list-type": "2", "prefix": prefix} | ({"continuation-token": token} if token else {})
        url = f"{BUCKET}?{urllib.parse.urlencode(query)}"
        try:
            root = ElementTree.fromstring(read_text(url, title))
            for entry in root.iterfind("{*}Contents"):
                key, etag = entry.findtext("{*}Key"), entry.findtext("{*}ETag").strip('"')
                # The ETag of a file that was uploaded in parts is no MD5, and holds a dash.
                md5 = None if "-" in etag else etag
                address = f"{BUCKET}/{urllib.parse.quote(key)}"
                files.append(RemoteFile(key.rsplit("/", 1)[1], address, int(entry.findtext("{*}Size")), md5))
            truncated = root.findtext("{*}IsTruncated")
            if truncated not in ("true", "false"):
                raise ValueError(f"IsTruncated is {truncated}")
        except (ElementTree.ParseError, AttributeError, ValueError, TypeError, UnicodeDecodeError) as error:
            raise _changed(title, url, f"a bucket's listing ({error})") from None
        token = root.findtext("{*}NextContinuationToken")
        if truncated == "false":
            return files
        if not token:
            raise _changed(title, url, "a token for the next page")


def _article_files(article: str, title: str) -> list[RemoteFile]:
    """Every file of an article of figshare, page by page: the article's own page names ten of them at most."""
    files: list[RemoteFile] = []
    for page in itertools.count(1):
        url = f"{article}/files?page={page}&page_size={_MOST_A_PAGE}"
        try:
            found = [
                RemoteFile(entry["name"], entry["download_url"], int(entry["size"]), entry["computed_md5"])
                for entry in json.loads(read_text(url, title))
            ]
        except (ValueError, KeyError, TypeError) as error:
            raise _changed(title, url, f"files with name, download_url, size and computed_md5 ({error!r})") from None
        # Only an empty page is the end: pages may hold fewer files than were asked for.
        if not found:
            return files
        files += found
        if len({file.name for file in files}) < len(files):
            raise _changed(title, url, "each file once in all pages")
    raise AssertionError


def _cobre(folder: Path, title: str) -> pd.DataFrame:
    """Scans, confounds and diagnoses of COBRE, all in the folder itself, with the checksums of the listing."""
    files = _article_files(COBRE, title)
    names = {file.name for file in files}
    scans = {name.removesuffix(".nii.gz") for name in names if name.startswith("fmri_") and name.endswith(".nii.gz")}
    missing = sorted({"phenotypic_data.tsv.gz", *(f"{scan}.tsv.gz" for scan in scans)} - names)
    bad = [name for name in names if "/" in name or "\\" in name or name.startswith(".")]
    if not scans or missing or bad or not all(file.md5 for file in files):
        raise _changed(
            title, f"{COBRE}/files",
            f"scans fmri_*.nii.gz, each with its confounds fmri_*.tsv.gz and a checksum, and phenotypic_data.tsv.gz "
            f"({len(scans)} scans found, {len(missing)} files missing)",
        )  # fmt: skip
    return download(files, folder, title)


def _changed(title: str, url: str, wanted: str) -> InputError:
    return InputError(
        f"{title}: {url}: the listing is not as it was, wanted {wanted}. The publisher has changed it; a later version "
        "of this program may know it."
    )


def _mnist(folder: Path, title: str) -> pd.DataFrame:
    files = [RemoteFile(f"{name}.gz", f"{MNIST_COPY}/{name}.gz", md5=md5) for name, (md5, _) in MNIST.items()]
    return download(files, folder, title)


def _smith(folder: Path, title: str) -> pd.DataFrame:
    """10, 20 and 70 resting-state components (Smith et al. 2009, doi:10.1073/pnas.0905267106)."""
    names = ("PNAS_Smith09_rsn10.nii.gz", "rsn20.nii.gz", "rsn70.nii.gz")
    return download([RemoteFile(name, f"{SMITH}/{name}") for name in names], folder, title)


def _msdl(folder: Path, title: str) -> pd.DataFrame:
    """39 components (Varoquaux et al. 2011, doi:10.1007/978-3-642-22092-0_46)."""
    members = tuple((f"MSDL_rois/{name}", name) for name in ("msdl_rois.nii", "msdl_rois_labels.csv"))
    return download([RemoteFile("MSDL_rois.zip", MSDL, members=members)], folder, title)


def _difumo(folder: Path, title: str) -> pd.DataFrame:
    """64 components, on a grid of 2 mm (Dadi et al. 2020, doi:10.1016/j.neuroimage.2020.117126)."""
    members = (("64/2mm/maps.nii.gz", "difumo64.nii.gz"), ("64/labels_64_dictionary.csv", "difumo64_labels.csv"))
    return download([RemoteFile("difumo64.zip", DIFUMO_64, members=members)], folder, title)


#: Names that `download` takes in the configuration.
SOURCES = {
    "abide_freesurfer": _abide_freesurfer,
    "abide_freesurfer_tables": _abide_tables,
    "abide_timecourses": _abide_timecourses,
    "abide_nyu_timecourses": _nyu_timecourses,
    "cobre": _cobre,
    "mnist": _mnist,
    "smith_maps": _smith,
    "msdl_maps": _msdl,
    "difumo_maps": _difumo,
}
