"""Numbers behind the simulated FreeSurfer cohort.

Means and standard deviations are our rounded approximations of what recon-all gives for healthy
adults. They are for realism only: nothing is concluded from them.
"""

#: Subcortical structures with two sides: mean and standard deviation in mm^3.
PAIRED = {
    "Lateral-Ventricle": (7500, 3600),
    "Inf-Lat-Vent": (320, 150),
    "Cerebellum-White-Matter": (14500, 1700),
    "Cerebellum-Cortex": (55000, 5500),
    "Thalamus": (7800, 750),
    "Caudate": (3600, 420),
    "Putamen": (5200, 600),
    "Pallidum": (1950, 220),
    "Hippocampus": (4150, 400),
    "Amygdala": (1680, 200),
    "Accumbens-area": (560, 95),
    "VentralDC": (4000, 420),
    "vessel": (40, 22),
    "choroid-plexus": (650, 180),
}

#: Structures in the middle: mean and standard deviation in mm^3.
MIDLINE = {
    "3rd-Ventricle": (950, 280),
    "4th-Ventricle": (1750, 470),
    "Brain-Stem": (21500, 2300),
    "CSF": (1050, 230),
    "WM-hypointensities": (1000, 420),
    "Optic-Chiasm": (230, 50),
    "CC_Posterior": (960, 150),
    "CC_Mid_Posterior": (500, 95),
    "CC_Central": (520, 110),
    "CC_Mid_Anterior": (530, 120),
    "CC_Anterior": (900, 150),
}

#: Rows of aseg.stats that are 0 in nearly everyone, and here in all.
EMPTY = (
    "5th-Ventricle",
    "Left-WM-hypointensities",
    "Right-WM-hypointensities",
    "non-WM-hypointensities",
    "Left-non-WM-hypointensities",
    "Right-non-WM-hypointensities",
)

#: Fluid grows with age where tissue shrinks.
FLUID = ("Lateral-Ventricle", "Inf-Lat-Vent", "3rd-Ventricle", "4th-Ventricle", "CSF", "choroid-plexus")

#: Rows of aseg.stats in FreeSurfer's order with its segment numbers (FreeSurferColorLUT.txt).
ASEG_ROWS = {
    "Left-Lateral-Ventricle": 4,
    "Left-Inf-Lat-Vent": 5,
    "Left-Cerebellum-White-Matter": 7,
    "Left-Cerebellum-Cortex": 8,
    "Left-Thalamus": 10,
    "Left-Caudate": 11,
    "Left-Putamen": 12,
    "Left-Pallidum": 13,
    "3rd-Ventricle": 14,
    "4th-Ventricle": 15,
    "Brain-Stem": 16,
    "Left-Hippocampus": 17,
    "Left-Amygdala": 18,
    "CSF": 24,
    "Left-Accumbens-area": 26,
    "Left-VentralDC": 28,
    "Left-vessel": 30,
    "Left-choroid-plexus": 31,
    "Right-Lateral-Ventricle": 43,
    "Right-Inf-Lat-Vent": 44,
    "Right-Cerebellum-White-Matter": 46,
    "Right-Cerebellum-Cortex": 47,
    "Right-Thalamus": 49,
    "Right-Caudate": 50,
    "Right-Putamen": 51,
    "Right-Pallidum": 52,
    "Right-Hippocampus": 53,
    "Right-Amygdala": 54,
    "Right-Accumbens-area": 58,
    "Right-VentralDC": 60,
    "Right-vessel": 62,
    "Right-choroid-plexus": 63,
    "5th-Ventricle": 72,
    "WM-hypointensities": 77,
    "Left-WM-hypointensities": 78,
    "Right-WM-hypointensities": 79,
    "non-WM-hypointensities": 80,
    "Left-non-WM-hypointensities": 81,
    "Right-non-WM-hypointensities": 82,
    "Optic-Chiasm": 85,
    "CC_Posterior": 251,
    "CC_Mid_Posterior": 252,
    "CC_Central": 253,
    "CC_Mid_Anterior": 254,
    "CC_Anterior": 255,
}

#: Desikan-Killiany regions in FreeSurfer's order: lobe, mean thickness and its standard deviation
#: in mm, mean area in mm^2.
CORTEX = {
    "bankssts": ("temporal", 2.50, 0.17, 1050),
    "caudalanteriorcingulate": ("cingulate", 2.60, 0.24, 640),
    "caudalmiddlefrontal": ("frontal", 2.55, 0.14, 2300),
    "cuneus": ("occipital", 1.85, 0.12, 1500),
    "entorhinal": ("temporal", 3.30, 0.30, 410),
    "fusiform": ("temporal", 2.72, 0.14, 3250),
    "inferiorparietal": ("parietal", 2.46, 0.12, 4900),
    "inferiortemporal": ("temporal", 2.78, 0.15, 3350),
    "isthmuscingulate": ("cingulate", 2.35, 0.19, 1000),
    "lateraloccipital": ("occipital", 2.18, 0.11, 5000),
    "lateralorbitofrontal": ("frontal", 2.62, 0.14, 2650),
    "lingual": ("occipital", 2.00, 0.11, 3050),
    "medialorbitofrontal": ("frontal", 2.40, 0.16, 1900),
    "middletemporal": ("temporal", 2.85, 0.14, 3400),
    "parahippocampal": ("temporal", 2.70, 0.28, 690),
    "paracentral": ("frontal", 2.37, 0.14, 1450),
    "parsopercularis": ("frontal", 2.55, 0.14, 1550),
    "parsorbitalis": ("frontal", 2.68, 0.19, 700),
    "parstriangularis": ("frontal", 2.42, 0.14, 1400),
    "pericalcarine": ("occipital", 1.60, 0.11, 1400),
    "postcentral": ("parietal", 2.05, 0.11, 4150),
    "posteriorcingulate": ("cingulate", 2.45, 0.14, 1200),
    "precentral": ("frontal", 2.52, 0.12, 4850),
    "precuneus": ("parietal", 2.37, 0.12, 3850),
    "rostralanteriorcingulate": ("cingulate", 2.85, 0.21, 760),
    "rostralmiddlefrontal": ("frontal", 2.35, 0.12, 5800),
    "superiorfrontal": ("frontal", 2.68, 0.13, 7300),
    "superiorparietal": ("parietal", 2.18, 0.11, 5400),
    "superiortemporal": ("temporal", 2.78, 0.15, 3750),
    "supramarginal": ("parietal", 2.54, 0.12, 3900),
    "frontalpole": ("frontal", 2.75, 0.27, 250),
    "temporalpole": ("temporal", 3.65, 0.30, 470),
    "transversetemporal": ("temporal", 2.33, 0.19, 420),
    "insula": ("insula", 3.00, 0.15, 2250),
}

#: Patients minus controls, Cohen's d adjusted for age, sex, site and head size: subcortical volumes of
#: the ENIGMA Schizophrenia Working Group (van Erp et al. 2016, Molecular Psychiatry 21:547).
VOLUME_D = {
    "Hippocampus": -0.46,
    "Amygdala": -0.31,
    "Thalamus": -0.31,
    "Accumbens-area": -0.25,
    "Pallidum": 0.21,
    "Lateral-Ventricle": 0.37,
}
HEAD_SIZE_D = -0.12

#: Cortical thickness (van Erp et al. 2018, Biological Psychiatry 84:644): fusiform -0.54, temporal lobe and
#: parahippocampal gyrus about -0.5, -0.3 elsewhere.
FUSIFORM_D, TEMPORAL_D, THICKNESS_D = -0.54, -0.5, -0.3

#: Patients' standard deviation over controls'. Which structures vary more or less is from Brugger and Howes
#: 2017 (JAMA Psychiatry 74:1104, first episodes); the sizes are our rounded approximations.
SPREAD = {"Thalamus": 1.15, "Putamen": 1.13, "3rd-Ventricle": 1.2}
TEMPORAL_SPREAD = 1.12
ANTERIOR_CINGULATE_SPREAD = 0.9
ANTERIOR_CINGULATE = ("caudalanteriorcingulate", "rostralanteriorcingulate")
