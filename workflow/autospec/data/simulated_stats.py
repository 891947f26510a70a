"""The files of a simulated FreeSurfer cohort: the layout of FreeSurfer's stats files, each saying what it is."""

import json
from pathlib import Path

from autospec.data import simulated_brain as brain

STATEMENT = (
    "SIMULATED by AutoSpec: random numbers with group effects of published size, not measurements of people."
)


def aseg(person, volumes: dict[str, float], cortex: dict[tuple, float]) -> str:
    """The text of one person's aseg.stats; volumes in mm^3 by structure, cortex by side, region and measure."""
    totals = {side: sum(cortex[side, region, "volume"] for region in brain.CORTEX) for side in ("lh", "rh")}
    lines = [
        *(
            f"# Measure {side}Cortex, {side}CortexVol, {name} hemisphere cortical gray matter volume, "
            f"{totals[side]:.6f}, mm^3"
            for side, name in (("lh", "Left"), ("rh", "Right"))
        ),
        f"# Measure Cortex, CortexVol, Total cortical gray matter volume, {sum(totals.values()):.6f}, mm^3",
    ]
    rows = [
        f"{index:3d} {brain.ASEG_ROWS[name]:3d}  {round(volume):8d} {volume:10.1f}  {name:<30s}"
        + f" {0:10.4f}" * 5
        for index, (name, volume) in enumerate(volumes.items(), start=1)
    ]
    columns = "Index SegId NVoxels Volume_mm3 StructName normMean normStdDev normMin normMax normRange"
    header = _header(person, "mri_segstats", ["# anatomy_type volume", *lines])
    return "\n".join(
        [header, f"# NRows {len(rows)}", "# NTableCols 10", f"# ColHeaders  {columns}", *rows, ""]
    )


def aparc(person, side: str, cortex: dict[tuple, float]) -> str:
    """The text of one person's aparc.stats of one side."""
    area = {region: cortex[side, region, "area"] for region in brain.CORTEX}
    thickness = {region: cortex[side, region, "thickness"] for region in brain.CORTEX}
    total = sum(area.values())
    mean = sum(area[region] * thickness[region] for region in area) / total
    lines = [
        "# anatomy_type surface",
        f"# hemi {side}",
        f"# Measure Cortex, WhiteSurfArea, White Surface Total Area, {total:.1f}, mm^2",
        f"# Measure Cortex, MeanThickness, Mean Thickness, {mean:.5f}, mm",
    ]
    # Vertices at FreeSurfer's usual density of about 0.67 mm^2; the four shape measures are not simulated.
    rows = [
        f"{region:<40s} {round(area[region] / 0.67):5d}  {area[region]:5.0f}"
        f"  {cortex[side, region, 'volume']:5.0f}"
        f"  {thickness[region]:5.3f} {0:5.3f}     {0:5.3f}     {0:5.3f}    {0:5d}   {0:5.1f}"
        for region in area
    ]
    columns = "StructName NumVert SurfArea GrayVol ThickAvg ThickStd MeanCurv GausCurv FoldInd CurvInd"
    header = _header(person, "mris_anatomical_stats", lines)
    return "\n".join([header, "# NTableCols 10", f"# ColHeaders {columns}", *rows, ""])


def write_descriptions(folder: Path, parameters: dict) -> None:
    """Say in the files that BIDS has for it that nobody was measured, and how the numbers were drawn."""
    records = {
        "dataset_description.json": {
            "Name": "Simulated FreeSurfer cohort",
            "BIDSVersion": "1.8.0",
            "DatasetType": "derivative",
            "GeneratedBy": [{"Name": "AutoSpec", "Description": STATEMENT, "Parameters": parameters}],
            "Simulated": True,
        },
        "participants.json": {
            "participant_id": {"Description": f"Nobody. {STATEMENT}"},
            "age": {"Description": "Simulated age", "Units": "year"},
            "sex": {"Description": "Simulated sex", "Levels": {"M": "male", "F": "female"}},
            "diagnosis": {"Description": "Simulated diagnosis"},
            "site": {"Description": "Simulated site"},
        },
    }
    for name, record in records.items():
        (folder / name).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def _header(person, program: str, lines: list[str]) -> str:
    return "\n".join(
        [
            f"# {STATEMENT}",
            "#",
            f"# generating_program {program} (imitated)",
            f"# subjectname {person.participant_id}",
        ]
        + lines
        + [
            "# Measure EstimatedTotalIntraCranialVol, eTIV, Estimated Total Intracranial Volume, "
            f"{person.head_size:.6f}, mm^3"
        ]
    )
