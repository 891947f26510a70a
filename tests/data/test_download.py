import hashlib
import io
import json
import logging
import threading
import time
import zipfile

import numpy as np
import pytest
from publisher import S3, Publisher

from autospec.data import download as downloading
from autospec.data import download_sources as sources
from autospec.data import transfer
from autospec.data.download import RemoteFile, download
from autospec.errors import InputError
from autospec.tables import read_tsv

FILE = "/example.org/a.bin"
CONTENT = np.random.default_rng(0).bytes(3_000_000)


@pytest.fixture
def publisher(monkeypatch):
    server = Publisher()
    monkeypatch.setenv("AUTOSPEC_MIRROR", server.url)
    monkeypatch.setattr(transfer, "_WAITS", (0.0, 0.0, 0.0))
    server.files[FILE] = CONTENT
    yield server
    server.close()


def remote(content=CONTENT, name="a.bin", **changes):
    details = {"size": len(content), "md5": hashlib.md5(content).hexdigest()} | changes
    return RemoteFile(name, f"https:/{FILE}", **details)


def test_a_file_comes_whole_with_its_checksum_and_is_fetched_once(publisher, tmp_path, capsys):
    table = download([remote()], tmp_path, "made")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    row = table.iloc[0]
    assert (row["file"], row["bytes"], row["sha256"]) == ("a.bin", 3_000_000, hashlib.sha256(CONTENT).hexdigest())
    assert "made: 1 of 1 files, 3.0 MB of 3.0 MB" in capsys.readouterr().err
    download([remote()], tmp_path, "made")
    assert len(publisher.requests) == 1


@pytest.mark.parametrize("details", [{}, {"size": None, "md5": None}])
def test_a_transfer_cut_off_goes_on_where_it_was(publisher, tmp_path, details):
    publisher.cuts[FILE] = [1_000_000, 500_000]
    download([remote(**details)], tmp_path, "made")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert [span for _, span in publisher.requests] == [None, "bytes=1000000-", "bytes=1500000-"]


def test_a_run_that_gave_up_is_gone_on_with_by_the_next(publisher, tmp_path):
    publisher.cuts[FILE] = [700_000, 0, 0, 0]
    with pytest.raises(InputError, match="made: cannot get .*example.org.*Is there a network here"):
        download([remote()], tmp_path, "made")
    assert not (tmp_path / "a.bin").exists()
    assert (tmp_path / ".a.bin.part").stat().st_size == 700_000
    publisher.requests.clear()
    download([remote()], tmp_path, "made")
    assert publisher.requests == [(FILE, "bytes=700000-")]
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert not list(tmp_path.glob(".*part"))


@pytest.mark.parametrize("versions", ["followed", "ignored", "unknown"])
def test_a_file_that_changes_at_the_publisher_in_between_is_never_glued_together(publisher, tmp_path, versions):
    publisher.versions, publisher.cuts[FILE] = versions, [700_000, 0, 0, 0]
    without = remote(size=None, md5=None)
    with pytest.raises(InputError, match="Is there a network here"):
        download([without], tmp_path, "made")
    changed = np.random.default_rng(1).bytes(len(CONTENT))
    publisher.files[FILE], publisher.requests = changed, []
    download([without], tmp_path, "made")
    assert (tmp_path / "a.bin").read_bytes() == changed
    spans = {"followed": ["bytes=700000-"], "ignored": ["bytes=700000-", None], "unknown": [None]}
    assert [span for _, span in publisher.requests] == spans[versions]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.bin", "checksums.tsv"]


def test_a_server_without_ranges_begins_anew(publisher, tmp_path):
    publisher.ranges, publisher.cuts[FILE] = False, [1_000_000]
    download([remote()], tmp_path, "made")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("size", [100, 3_000_000, 3_000_001])
def test_a_beginning_that_does_not_belong_to_the_file_is_thrown_away(publisher, tmp_path, size):
    (tmp_path / ".a.bin.part").write_bytes(b"x" * size)
    download([remote()], tmp_path, "made")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_wrong_checksum_is_refused_and_leaves_nothing(publisher, tmp_path):
    publisher.files[FILE] = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    wrong = hashlib.md5(publisher.files[FILE]).hexdigest()
    with pytest.raises(InputError, match=f"found md5 {wrong}, wanted {hashlib.md5(CONTENT).hexdigest()}"):
        download([remote()], tmp_path, "made")
    assert [path.name for path in tmp_path.iterdir()] == ["checksums.tsv"]


def test_a_file_that_is_shorter_or_longer_than_listed_is_refused(publisher, tmp_path):
    for content in (CONTENT[:-5], CONTENT + b"more"):
        publisher.files[FILE] = content
        with pytest.raises(InputError, match="cannot get|found more than the 3000000 bytes"):
            download([remote(md5=None)], tmp_path, "made")
        assert not (tmp_path / "a.bin").exists()


def test_without_a_published_checksum_the_first_download_is_what_later_ones_must_be(publisher, tmp_path):
    plain = remote(size=None, md5=None)
    download([plain], tmp_path, "made")
    (tmp_path / "a.bin").write_bytes(b"damaged on this disk")
    download([plain], tmp_path, "made")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    (tmp_path / "a.bin").unlink()
    publisher.files[FILE] = b"the publisher's new version"
    with pytest.raises(InputError, match="as at the first download.*delete its line in .*checksums.tsv"):
        download([plain], tmp_path, "made")
    record = (tmp_path / "checksums.tsv").read_text()
    assert hashlib.sha256(CONTENT).hexdigest() in record
    (tmp_path / "checksums.tsv").write_text(record.splitlines(keepends=True)[0])
    download([plain], tmp_path, "made")
    assert (tmp_path / "a.bin").read_bytes() == b"the publisher's new version"


def test_a_damaged_file_is_fetched_again(publisher, tmp_path, caplog):
    download([remote()], tmp_path, "made")
    (tmp_path / "a.bin").write_bytes(CONTENT[:-1] + b"?")
    download([remote()], tmp_path, "made")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert "is not what it was" in caplog.text


def test_a_missing_file_is_told_once_and_the_others_stay(publisher, tmp_path):
    gone = RemoteFile("gone.bin", f"https:/{FILE.replace('a.bin', 'gone.bin')}")
    with pytest.raises(InputError, match=r"example.org/gone.bin: the server answers 404 \(Not Found\)"):
        download([remote(), gone], tmp_path, "made")
    publisher.files["/example.org/gone.bin"] = b"back"
    publisher.requests.clear()
    download([remote(), gone], tmp_path, "made")
    assert ("/example.org/gone.bin", None) in publisher.requests


def test_what_was_on_its_way_when_another_file_failed_is_recorded(publisher, tmp_path, monkeypatch):
    failed, fetch = threading.Event(), downloading.fetch

    def later(url, *arguments):
        if url.endswith("gone.bin"):
            failed.set()
        else:
            failed.wait(10)
            time.sleep(0.2)
        fetch(url, *arguments)

    monkeypatch.setattr(downloading, "fetch", later)
    gone = RemoteFile("gone.bin", f"https:/{FILE.replace('a.bin', 'gone.bin')}")
    with pytest.raises(InputError, match="the server answers 404"):
        download([gone, remote()], tmp_path, "made")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert list(read_tsv(tmp_path / "checksums.tsv")["sha256"]) == [hashlib.sha256(CONTENT).hexdigest()]


def test_a_busy_server_is_asked_again(publisher, tmp_path):
    publisher.answers[FILE] = [503, 429]
    download([remote()], tmp_path, "made")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_no_server_is_one_clear_message(monkeypatch, tmp_path):
    monkeypatch.setenv("AUTOSPEC_MIRROR", "http://127.0.0.1:9")
    monkeypatch.setattr(transfer, "_WAITS", (0.0,))
    for name in sources.SOURCES:
        with pytest.raises(InputError, match=rf"^{name}: cannot get .*Is there a network here\?"):
            sources.get([name], tmp_path / name)


def test_a_full_disk_is_not_called_a_missing_network(publisher, tmp_path):
    (tmp_path / "a.bin").mkdir()
    with pytest.raises(OSError):
        download([remote()], tmp_path, "made")


# The publishers' layouts.

PHENOTYPES = f"{sources.ABIDE}/{sources.PHENOTYPES}"
TABLE = (
    b"SUB_ID,SITE_ID,FILE_ID,DX_GROUP,AGE_AT_SCAN,SEX,func_mean_fd\n"
    b"50952,NYU,NYU_0050952,1,8.74,2,0.37\n50030,PITT,Pitt_0050030,2,25.1,1,0.08\n"
    b"50001,PITT,no_filename,1,20,1,\n"
)


def stats(name, subject):
    return f"# {name} of {subject}\n".encode()


@pytest.fixture
def abide(publisher):
    publisher.bucket(PHENOTYPES, TABLE)
    for subject in ("NYU_0050952", "Pitt_0050030"):
        publisher.bucket(f"{sources.CC200}/{subject}_rois_cc200.1D", f"#1\t#2\n{subject} 1.5\n".encode())
        base = f"{sources.ABIDE}/Outputs/freesurfer/5.1/{subject}"
        for name in (*sources.STATS, "wmparc.stats", "lh.curv.stats"):
            publisher.bucket(f"{base}/stats/{name}", stats(name, subject))
        publisher.bucket(f"{base}/surf/lh.white", b"not wanted")
    return publisher


def names(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} - {"checksums.tsv"}


def test_abide_statistics_come_as_a_subjects_dir_of_everyone_with_a_file(abide, tmp_path):
    table = sources.get(["abide_freesurfer"], tmp_path)
    wanted = {f"{subject}/stats/{name}" for subject in ("NYU_0050952", "Pitt_0050030") for name in sources.STATS}
    assert names(tmp_path) == set(table["file"]) == {*wanted, sources.PHENOTYPES}
    assert (tmp_path / "NYU_0050952/stats/lh.aparc.stats").read_bytes() == stats("lh.aparc.stats", "NYU_0050952")
    assert (tmp_path / sources.PHENOTYPES).read_bytes() == TABLE


def test_someone_without_statistics_is_left_to_the_reader(abide, tmp_path):
    for path in [path for path in abide.files if "freesurfer/5.1/Pitt" in path]:
        del abide.files[path]
    sources.get(["abide_freesurfer"], tmp_path)
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"NYU_0050952"}


def test_time_courses_come_of_everyone_or_of_one_site_page_by_page(abide, tmp_path):
    abide.page = 1
    sources.get(["abide_timecourses"], tmp_path / "all")
    assert names(tmp_path / "all") == {
        "raw/NYU_0050952_rois_cc200.1D", "raw/Pitt_0050030_rois_cc200.1D", sources.PHENOTYPES
    }  # fmt: skip
    sources.get(["abide_nyu_timecourses"], tmp_path / "nyu")
    assert names(tmp_path / "nyu") == {"raw/NYU_0050952_rois_cc200.1D", sources.PHENOTYPES}


def test_an_object_uploaded_in_parts_has_no_md5_and_gets_a_record(abide, tmp_path):
    key = f"{sources.CC200}/NYU_0050952_rois_cc200.1D"
    abide.etags[key] = hashlib.md5(b"parts").hexdigest() + "-2"
    sources.get(["abide_nyu_timecourses"], tmp_path)
    assert hashlib.sha256(abide.files[f"{S3}/{key}"]).hexdigest() in (tmp_path / "checksums.tsv").read_text()
    abide.etags[key] = hashlib.md5(b"something else").hexdigest()
    (tmp_path / "raw/NYU_0050952_rois_cc200.1D").unlink()
    with pytest.raises(InputError, match="found md5"):
        sources.get(["abide_nyu_timecourses"], tmp_path)


@pytest.mark.parametrize("name", ["abide_freesurfer", "abide_timecourses"])
def test_a_bucket_arranged_anew_is_told(abide, tmp_path, name):
    for path in [path for path in abide.files if "Outputs" in path]:
        abide.files[path.replace("Outputs", "Outputs2")] = abide.files.pop(path)
    with pytest.raises(InputError, match=f"{name}: found no .*the bucket has been arranged anew"):
        sources.get([name], tmp_path)
    del abide.files[f"{S3}/{PHENOTYPES}"]
    with pytest.raises(InputError, match="the bucket has been arranged anew"):
        sources.get([name], tmp_path)


@pytest.mark.parametrize(
    "page", [b"<html>moved", b"<a/>", b"<a><IsTruncated>true</IsTruncated></a>",
             b"<a><IsTruncated>false</IsTruncated><Contents><Key>x</Key></Contents></a>"]
)  # fmt: skip
def test_a_changed_listing_of_the_bucket_is_told(publisher, tmp_path, monkeypatch, page):
    monkeypatch.setattr(publisher, "_listing", lambda query: page)
    with pytest.raises(InputError, match="the listing is not as it was"):
        sources.get(["abide_timecourses"], tmp_path)


COBRE_FILES = {
    "fmri_0040000.nii.gz": b"scan", "fmri_0040000.tsv.gz": b"confounds",
    "fmri_0040001.nii.gz": b"other scan", "fmri_0040001.tsv.gz": b"other confounds",
    "phenotypic_data.tsv.gz": b"diagnoses", "keys_confounds.json": b"{}", "keys_phenotypic_data.json": b"{}",
}  # fmt: skip


def test_cobre_comes_with_the_checksums_of_its_listing(publisher, tmp_path):
    publisher.article(4197885, COBRE_FILES)
    sources.get(["cobre"], tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in names(tmp_path)} == COBRE_FILES
    publisher.files["/ndownloader.figshare.com/files/7600002"] = b"other scam"
    (tmp_path / "fmri_0040001.nii.gz").unlink()
    with pytest.raises(InputError, match="cobre: .*ndownloader.*found md5"):
        sources.get(["cobre"], tmp_path)


def cobre_of(people):
    files = dict(list(COBRE_FILES.items())[4:])
    for number in range(40000, 40000 + people):
        files |= {f"fmri_00{number}.{kind}": f"{kind} of {number}".encode() for kind in ("nii.gz", "tsv.gz")}
    return files


# The publisher may put fewer files on a page than are asked for, and the last page may be full.
@pytest.mark.parametrize(("most", "pages"), [(1000, 2), (7, 6), (29, 2)])
def test_every_file_of_cobre_comes_however_many_pages_list_them(publisher, tmp_path, most, pages):
    publisher.page, files = most, cobre_of(13)
    assert len(files) == 29
    publisher.article(4197885, files)
    sources.get(["cobre"], tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in names(tmp_path)} == files
    asked = [path for path, _ in publisher.requests if "articles" in path]
    place = "/api.figshare.com/v2/articles/4197885/files"
    assert asked == [f"{place}?page={page}&page_size=1000" for page in range(1, pages + 1)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda entries: entries[0].pop("computed_md5"), "computed_md5"),
        (lambda entries: entries[0].update(computed_md5=""), "a checksum"),
        (lambda entries: entries[0].update(name="../../outside"), "wanted scans"),
        (lambda entries: entries.pop(1), "2 scans found, 1 files missing"),
        (lambda entries: entries.pop(4), "2 scans found, 1 files missing"),
        (lambda entries: entries.__delitem__(slice(4)), "0 scans found"),
        (lambda entries: entries.clear(), "0 scans found"),
        (lambda entries: entries.append(entries[0]), "each file once"),
    ],
)
@pytest.mark.parametrize("most", [1000, 3])
def test_a_changed_listing_of_cobre_is_told_and_nothing_is_fetched(publisher, tmp_path, most, change, message):
    publisher.page = most
    publisher.article(4197885, COBRE_FILES)
    change(publisher.articles[4197885])
    with pytest.raises(InputError, match=f"cobre: .*the listing is not as it was.*{message}"):
        sources.get(["cobre"], tmp_path)
    assert not names(tmp_path)


@pytest.mark.parametrize("page", [b"<html>moved", b'{"files": []}', b"null", b'["fmri_0040000.nii.gz"]', b"\xff"])
def test_a_listing_of_cobre_that_is_none_is_told(publisher, tmp_path, monkeypatch, page):
    monkeypatch.setattr(publisher, "_article", lambda *asked: page)
    with pytest.raises(InputError, match="cobre: .*page=1.*the listing is not as it was, wanted files with name"):
        sources.get(["cobre"], tmp_path)


def test_a_publisher_of_cobre_that_gives_the_same_page_again_and_again_is_told(publisher, tmp_path, monkeypatch):
    publisher.article(4197885, COBRE_FILES)
    page = json.dumps(publisher.articles[4197885]).encode()
    monkeypatch.setattr(publisher, "_article", lambda *asked: page)
    with pytest.raises(InputError, match="cobre: .*page=2.*the listing is not as it was, wanted each file once"):
        sources.get(["cobre"], tmp_path)
    assert not names(tmp_path)


def zipped(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def test_component_maps_come_out_of_their_archives_under_the_promised_names(publisher, tmp_path):
    for name in ("PNAS_Smith09_rsn10.nii.gz", "rsn20.nii.gz", "rsn70.nii.gz"):
        publisher.files[f"/www.fmrib.ox.ac.uk/datasets/brainmap+rsns/{name}"] = name.encode()
    msdl = {"MSDL_rois/msdl_rois.nii": b"maps", "MSDL_rois/msdl_rois_labels.csv": b"labels", "MSDL_rois/x": b""}
    publisher.files["/team.inria.fr/parietal/files/2015/01/MSDL_rois.zip"] = zipped(msdl)
    difumo = {"64/2mm/maps.nii.gz": b"64 maps", "64/labels_64_dictionary.csv": b"64 labels"}
    publisher.files["/osf.io/pqu9r/download"] = zipped(difumo)
    sources.get(["smith_maps", "msdl_maps", "difumo_maps"], tmp_path)
    assert (tmp_path / "rsn20.nii.gz").read_bytes() == b"rsn20.nii.gz"
    assert (tmp_path / "msdl_rois.nii").read_bytes() == b"maps"
    assert (tmp_path / "difumo64.nii.gz").read_bytes() == b"64 maps"
    for content in (b"no archive", zipped({"elsewhere": b""})):
        publisher.files["/osf.io/pqu9r/download"] = content
        with pytest.raises(InputError, match="wanted a zip archive that holds 64/2mm/maps.nii.gz"):
            sources.get(["difumo_maps"], tmp_path / hashlib.md5(content).hexdigest())


def test_mnist_and_the_tables_are_those_that_are_known(publisher, tmp_path, shared_data):
    for path in (shared_data / "mnist").glob("*.gz"):
        publisher.files[f"/ossci-datasets.s3.amazonaws.com/mnist/{path.name}"] = path.read_bytes()
    publisher.bucket(PHENOTYPES, TABLE)
    tables = sources.TABLES.removeprefix("https:/")
    for path in (shared_data / "abide_freesurfer" / "stats").glob("*.tsv"):
        publisher.files[f"{tables}/{path.name}"] = path.read_bytes()
    sources.get(["mnist"], tmp_path / "mnist")
    sources.get(["abide_freesurfer_tables"], tmp_path / "tables")
    assert len(names(tmp_path / "mnist")) == 4
    assert names(tmp_path / "tables") == {sources.PHENOTYPES, *(f"stats/{name}" for name in sources.TABLES_SHA256)}


def test_mnist_that_is_not_the_published_one_is_refused(publisher, tmp_path):
    for name in sources.MNIST:
        publisher.files[f"/ossci-datasets.s3.amazonaws.com/mnist/{name}.gz"] = b"something else"
    with pytest.raises(InputError, match="found md5"):
        sources.get(["mnist"], tmp_path)


def test_progress_goes_to_the_log_too(publisher, tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        download([remote()], tmp_path, "made")
    assert "made: 1 of 1 files" in caplog.text
