"""FreeSurfer's names: one for each measure, whatever version or table it comes from.

One subject's stats files, or one cohort's tables, may come from any version from 5.1 on. The names given here
are those that asegstats2table and aparcstats2table of FreeSurfer 7 and 8 write: `Left-Hippocampus`,
`CerebralWhiteMatterVol`, `lh_fusiform_thickness`, `rh_G_and_S_frontomargin_area`.
"""

import functools
import re

#: Total intracranial volume, which is a covariate and no feature.
HEAD_SIZE = "EstimatedTotalIntraCranialVol"
#: Number of defects in the surfaces before they were mended, the usual sign of a bad scan.
SURFACE_HOLES = "SurfaceHoles"
#: No measure of a brain comes near, in any of FreeSurfer's units (ours).
LARGEST = 1e12
#: Endings of measures of the processing, not of the brain.
PROCESSING = ("SurfaceHoles", "-to-eTIV")

_ONE_A_SIDE = """
    Lateral-Ventricle Inf-Lat-Vent Cerebellum-White-Matter Cerebellum-Cortex Thalamus Caudate Putamen Pallidum
    Hippocampus Amygdala Accumbens-area VentralDC vessel choroid-plexus WM-hypointensities non-WM-hypointensities
""".split()
_ONE_A_BRAIN = """
    3rd-Ventricle 4th-Ventricle 5th-Ventricle Brain-Stem CSF WM-hypointensities non-WM-hypointensities Optic-Chiasm
    CC_Posterior CC_Mid_Posterior CC_Central CC_Mid_Anterior CC_Anterior BrainSegVol BrainSegVolNotVent
    BrainSegVolNotVentSurf VentricleChoroidVol lhCortexVol rhCortexVol CortexVol lhCerebralWhiteMatterVol
    rhCerebralWhiteMatterVol CerebralWhiteMatterVol SubCortGrayVol TotalGrayVol SupraTentorialVol
    SupraTentorialVolNotVent SupraTentorialVolNotVentVox MaskVol BrainSegVol-to-eTIV MaskVol-to-eTIV
    lhSurfaceHoles rhSurfaceHoles SurfaceHoles EstimatedTotalIntraCranialVol
""".split()
_SIDES = {"Left": "L", "Right": "R"}
#: ENIGMA's protocol, LandRvolumes.csv: `Lthal` and so on.
_ENIGMA = {
    "LatVent": "Lateral-Ventricle",
    "thal": "Thalamus",
    "caud": "Caudate",
    "put": "Putamen",
    "pal": "Pallidum",
    "hippo": "Hippocampus",
    "amyg": "Amygdala",
    "accumb": "Accumbens-area",
}
#: Up to FreeSurfer 6, up to 5.3, 5.1, and short forms in tables.
_OLD = {
    "Left-Thalamus-Proper": "Left-Thalamus",
    "Right-Thalamus-Proper": "Right-Thalamus",
    "lhCorticalWhiteMatterVol": "lhCerebralWhiteMatterVol",
    "rhCorticalWhiteMatterVol": "rhCerebralWhiteMatterVol",
    "CorticalWhiteMatterVol": "CerebralWhiteMatterVol",
    "SuperTentorialVol": "SupraTentorialVol",
    "BrainMaskVol": "MaskVol",
    "IntraCranialVol": HEAD_SIZE,
    "eTIV": HEAD_SIZE,
    "ICV": HEAD_SIZE,
}
#: ENIGMA's protocol, CorticalMeasuresENIGMA_ThickAvg.csv and _SurfAvg.csv.
_ENIGMA_ENDINGS = {"thickavg": "thickness", "surfavg": "area"}
_CORTEX = re.compile(r"(lh|rh)_(.+)_(volume|thickness|area|thicknessstd|meancurv|gauscurv|foldind|curvind)")
_ENIGMA_CORTEX = re.compile(r"([LR])_(.+)_(thickavg|surfavg)")
_OTHER_VOLUME = re.compile(r"(Left|Right|wm-lh|wm-rh)-.+")


def _key(name: str) -> str:
    """What is left of a name in every spelling: R writes `X3rd.Ventricle`, others `Left_Thalamus_Proper`."""
    return re.sub("[^a-z0-9]", "", re.sub("^X(?=[0-9])", "", name).lower())


_NAMES = (
    {name: name for name in _ONE_A_BRAIN}
    | {f"{side}-{name}": f"{side}-{name}" for side in _SIDES for name in _ONE_A_SIDE}
    | {f"{short}{name}": f"{side}-{full}" for side, short in _SIDES.items() for name, full in _ENIGMA.items()}
    | {f"{side}Thickness": f"{side.lower()}h_MeanThickness_thickness" for side in "LR"}
    | {f"{side}SurfArea": f"{side.lower()}h_WhiteSurfArea_area" for side in "LR"}
    | _OLD
)
_BY_KEY = {_key(name): current for name, current in _NAMES.items()}


@functools.cache
def current_name(name: str) -> str:
    """The name that FreeSurfer 7 and 8 give to a measure of any version or table; unknown names stay."""
    if known := _BY_KEY.get(_key(name)):
        return known
    if match := _ENIGMA_CORTEX.fullmatch(name):
        side, region, ending = match.groups()
        return f"{side.lower()}h_{region}_{_ENIGMA_ENDINGS[ending]}"
    # In the Destrieux atlas FreeSurfer 5 and 7 write G_and_S_frontomargin, FreeSurfer 6 G&S_frontomargin.
    return name.replace("&", "_and_") if _CORTEX.fullmatch(name) else name


@functools.cache
def is_measure(name: str) -> bool:
    """Whether a current name is one that FreeSurfer gives to a measure of the brain."""
    known = name in _BY_KEY.values() or _CORTEX.fullmatch(name) or _OTHER_VOLUME.fullmatch(name)
    return bool(known) and name != HEAD_SIZE and not name.endswith(PROCESSING)


def is_volume(name: str) -> bool:
    """Whether a measure, under its current name, is a volume."""
    cortex = _CORTEX.fullmatch(name)
    return cortex[3] == "volume" if cortex else is_measure(name)
