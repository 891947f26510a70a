"""Seconds and memory that each reader takes for a thousand people, on simulated files of realistic size.

    python benchmarks/preprocessing.py           the table, in about ten minutes on an idle core
    python benchmarks/preprocessing.py --write   put the table into benchmarks/README.md

The files are noise, written beforehand and not counted. Each reader runs in a process of its own, on one thread, and
does what the pipeline's rule does: participants, files, checks, cleaning. README.md explains the table.
"""

import argparse
import dataclasses
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))

import nibabel as nib
import numpy as np
import pandas as pd

from autospec.data.simulate_freesurfer import write_cohort
from autospec.data.sources import read

SHAPE, VOXEL, VOLUMES = (61, 73, 61), 3.0, 150  # MNI space at 3 mm; five minutes at 2 s
MAPS, REGIONS = 70, 200
ORIGINALS = 4  # different files of one kind; the others are links to these
HEADER = ("reader", "files of a person", "people read", "seconds", "a person", "1000 people, one core", "peak memory")
GROUPS = {"groups": {"control": ["control"], "patient": ["schizophrenia"]}, "missing_subjects": "drop"}
SCANS = {"source": "fmri", "bold": "{subject}_bold.nii.gz", "confounds": "{subject}_confounds.tsv"}


@dataclasses.dataclass(frozen=True)
class Case:
    """A reader: what its files are, who writes them, and how many people are read."""

    files: str
    write: Callable[[Path, int], None]
    options: dict
    people: int


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--write", action="store_true", help="into README.md")
    parser.add_argument("--read", nargs=3, metavar=("CASE", "FOLDER", "PEOPLE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        name, folder, people = options.read
        print(json.dumps(measure(CASES[name], Path(folder), int(people))))
        return
    from monitor import table, write

    rows = []
    for name, case in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            case.write(Path(folder), case.people)
            few, many = (in_a_process(name, folder, count) for count in (case.people // 4, case.people))
        rows.append(row(name, case, few, many))
    text = f"{os.cpu_count()} cores, of which one is used.\n\n{table(HEADER, rows)}"
    print(text)
    if options.write:
        write(Path(__file__).with_name("README.md"), {"preprocessing": text})


def row(name: str, case: Case, few: dict, many: dict) -> tuple[str, ...]:
    """A row of the table, by a straight line: what is done once, and what each person takes."""
    each = (many["seconds"] - few["seconds"]) / (case.people - case.people // 4)
    thousand = many["seconds"] + each * (1000 - case.people)
    text = f"{thousand:.1f} s" if thousand < 60 else f"{thousand / 60:.0f} min"
    found = "measured" if case.people == 1000 else "extrapolated"
    cells = (f"{many['seconds']:.1f}", f"{1000 * each:.1f} ms", f"{text}, {found}", f"{many['megabytes']} MB")
    return (name, case.files, str(case.people), *cells)


def in_a_process(name: str, folder: str, people: int) -> dict:
    """What `measure` gives in a fresh process with one thread."""
    threads = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS")}
    command = [sys.executable, __file__, "--read", name, folder, str(people)]
    process = subprocess.run(command, env=os.environ | threads, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(process.stdout)


def measure(case: Case, folder: Path, people: int) -> dict:
    """Seconds of the processor that reading takes, and the most memory that the process had."""
    table = pd.read_csv(folder / "participants.tsv", sep="\t")
    table.groupby("diagnosis").head(people // 2).to_csv(folder / "some.tsv", sep="\t", index=False)
    begin = time.process_time()
    dataset, _, _ = read("made", GROUPS | {"participants": {"file": "some.tsv"}} | case.options, folder)
    seconds = time.process_time() - begin
    assert len(dataset.people) == people
    return {"seconds": seconds, "megabytes": peak_memory()}


def peak_memory() -> int:
    """In MB; of this program alone, which `getrusage` does not tell from the one that started it."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) // 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (2**20 if sys.platform == "darwin" else 1024)


def subjects_dir(folder: Path, people: int) -> None:
    """A SUBJECTS_DIR; what it is written into must not be there."""
    write_cohort(folder / "made", people, 1.0, 0)
    for path in (folder / "made").iterdir():
        path.rename(folder / path.name)


def tables(folder: Path, people: int) -> None:
    """Tables as asegstats2table and aparcstats2table write them."""
    rng, named = np.random.default_rng(0), participants(folder, people)
    regions = [f"region{number:02d}" for number in range(34)]
    for side in ("lh", "rh"):
        for measure_name in ("volume", "thickness"):
            columns = [f"{side}_{region}_{measure_name}" for region in regions]
            wide = pd.DataFrame(rng.uniform(1, 4, (people, len(columns))).round(3), named, columns)
            wide.to_csv(folder / f"{side}.{measure_name}.tsv", sep="\t", index_label=f"{side}.aparc.{measure_name}")
    columns = [f"Left-Structure{number}" for number in range(44)] + ["EstimatedTotalIntraCranialVol"]
    volumes = pd.DataFrame(rng.uniform(8e5, 2e6, (people, len(columns))).round(1), named, columns)
    volumes.to_csv(folder / "aseg.tsv", sep="\t", index_label="Measure:volume")


def courses(folder: Path, people: int) -> None:
    """Text files as ABIDE's CC200 time courses are: 176 volumes of 200 regions."""
    originals = []
    for number in range(min(ORIGINALS, people)):
        originals.append(folder / f"original{number}")
        values = np.random.default_rng(number).standard_normal((176, REGIONS))
        header = "\t".join(f"#{region}" for region in range(REGIONS))
        np.savetxt(originals[-1], values, fmt="%.9f", delimiter="\t", header=header, comments="")
    link(originals, participants(folder, people), "_rois_cc200.1D")


def scans(folder: Path, people: int) -> None:
    """4-d scans in an ellipsoid, their confounds, component maps and an atlas."""
    affine = np.diag([VOXEL, VOXEL, VOXEL, 1.0])
    places = np.stack(np.meshgrid(*(np.linspace(-1, 1, size) for size in SHAPE), indexing="ij"), axis=-1)
    brain = (places**2).sum(axis=-1) < 0.7
    rng, originals, tables_of = np.random.default_rng(0), [], []
    for number in range(min(ORIGINALS, people)):
        noise = 800 + 20 * rng.standard_normal((*SHAPE, VOLUMES), dtype=np.float32)
        image = nib.Nifti1Image((noise * brain[..., None]).astype(np.int16), affine)
        image.header.set_xyzt_units("mm", "sec")
        image.header["pixdim"][4] = 2.0
        originals.append(folder / f"original{number}.nii.gz")
        nib.save(image, originals[-1])
        tables_of.append(folder / f"original{number}.tsv")
        names = [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]
        confounds = rng.standard_normal((VOLUMES, 9))
        table = pd.DataFrame(confounds, columns=[*names, "csf", "white_matter", "framewise_displacement"])
        table.abs().to_csv(tables_of[-1], sep="\t", index=False)
    named = participants(folder, people)
    link(originals, named, "_bold.nii.gz")
    link(tables_of, named, "_confounds.tsv")
    maps = rng.standard_normal((*SHAPE, MAPS), dtype=np.float32) * brain[..., None]
    nib.save(nib.Nifti1Image(maps, affine), folder / "maps.nii.gz")
    labels = (rng.integers(1, REGIONS + 1, SHAPE) * brain).astype(np.int16)
    nib.save(nib.Nifti1Image(labels, affine), folder / "atlas.nii.gz")


def participants(folder: Path, people: int) -> list[str]:
    """Write the table of participants; gives the subjects."""
    named = [f"sub-{number:04d}" for number in range(people)]
    groups = [("control", "schizophrenia")[number % 2] for number in range(people)]
    table = pd.DataFrame({"participant_id": named, "diagnosis": groups})
    table.to_csv(folder / "participants.tsv", sep="\t", index=False)
    return named


def link(originals: list[Path], named: list[str], suffix: str) -> None:
    """Give each subject one of the files, without a copy."""
    for number, name in enumerate(named):
        os.link(originals[number % len(originals)], originals[0].with_name(name + suffix))


TABLES = ["aseg.tsv", *(f"{side}.{name}.tsv" for side in ("lh", "rh") for name in ("volume", "thickness"))]
COURSES = {"source": "timecourses", "files": "{subject}_rois_cc200.1D", "repetition_time": 2.0}
#: People are fewer where a thousand would take long; time grows with their number.
CASES = {
    "freesurfer": Case("3 stats files: aseg, aparc of both sides", subjects_dir, {"source": "freesurfer"}, 1000),
    "freesurfer_tables": Case(
        "a row in each of 5 tables", tables, {"source": "freesurfer_tables", "tables": TABLES}, 1000
    ),
    "timecourses": Case(f"text, 176 volumes of {REGIONS} regions", courses, COURSES, 400),
    "fmri, maps": Case(
        f"{' x '.join(map(str, SHAPE))} voxels, {VOLUMES} volumes, int16, .nii.gz; {MAPS} maps",
        scans, SCANS | {"maps": "maps.nii.gz"}, 16,
    ),
    "fmri, atlas": Case(f"the same scans; {REGIONS} regions", scans, SCANS | {"atlas": "atlas.nii.gz"}, 16),
}  # fmt: skip

if __name__ == "__main__":
    main()
