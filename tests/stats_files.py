"""Stats files for tests: read without our code, and written in the layouts of FreeSurfer's versions."""

import numpy as np
import pandas as pd

_COLUMNS = "StructName NumVert SurfArea GrayVol ThickAvg ThickStd MeanCurv GausCurv FoldInd CurvInd"


def by_pandas(path):
    """The table of a stats file, read by pandas alone."""
    (header,) = [line for line in path.read_text().splitlines() if line.startswith("# ColHeaders")]
    return pd.read_csv(path, sep=r"\s+", comment="#", names=header.split()[2:]).set_index("StructName")


def edit(path, old, new):
    """Replace the first occurrence, which must be there."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def write_parcellation(path, regions, seed, version="7.4.1"):
    """Write random numbers in the layout of mris_anatomical_stats; gives them as written."""
    random = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "NumVert": random.integers(500, 5000, len(regions)),
            "SurfArea": random.integers(300, 4000, len(regions)),
            "GrayVol": random.integers(800, 9000, len(regions)),
            "ThickAvg": random.uniform(1.5, 3.5, len(regions)).round(3),
        },
        index=regions,
    )
    lines = [
        "# Table of FreeSurfer cortical parcellation anatomical statistics ",
        "# generating_program mris_anatomical_stats",
        f"# cvs_version {version}",
        f"# hemi {path.name[:2]}",
        "# Measure Cortex, NumVert, Number of Vertices, 124559, unitless",
        f"# Measure Cortex, WhiteSurfArea, White Surface Total Area, {table['SurfArea'].sum()}.5, mm^2",
        f"# Measure Cortex, MeanThickness, Mean Thickness, {table['ThickAvg'].mean():.5f}, mm",
        f"# ColHeaders {_COLUMNS}",
    ]
    for region, row in table.iterrows():
        numbers = " ".join(f"{row[name]:g}" for name in ("NumVert", "SurfArea", "GrayVol", "ThickAvg"))
        lines.append(f"{region:<40}{numbers}  0.500     0.120     0.030       10     1.0")
    path.write_text("\n".join(lines) + "\n")
    return table
