"""Numbers of regions or components, painted on a brain by nilearn."""

import functools
import re
from pathlib import Path

import nibabel as nib
import numpy as np
from matplotlib.colors import Colormap
from matplotlib.figure import Figure

#: The Desikan-Killiany regions in the order of FreeSurfer's colour table.
DESIKAN = """
    bankssts caudalanteriorcingulate caudalmiddlefrontal corpuscallosum cuneus entorhinal fusiform inferiorparietal
    inferiortemporal isthmuscingulate lateraloccipital lateralorbitofrontal lingual medialorbitofrontal middletemporal
    parahippocampal paracentral parsopercularis parsorbitalis parstriangularis pericalcarine postcentral
    posteriorcingulate precentral precuneus rostralanteriorcingulate rostralmiddlefrontal superiorfrontal
    superiorparietal superiortemporal supramarginal frontalpole temporalpole transversetemporal insula
""".split()
SIDES = {"lh": "left", "rh": "right"}
MEASURES = ("thickness", "volume", "area")
_REGION = re.compile(rf"(lh|rh)_({'|'.join(DESIKAN)})_({'|'.join(MEASURES)})")
_LABELS = Path(__file__).parent / "fsaverage5" / "aparc.csv"
_VERTICES = 10242  # of one hemisphere


def surface_measures(features):
    """The measures of Desikan-Killiany regions among features, in the order of `MEASURES`."""
    found = {match[3] for feature in features if (match := _REGION.fullmatch(feature))}
    return [measure for measure in MEASURES if measure in found]


def paint_surface(loadings, measure):
    """Give every vertex of fsaverage5 its region's loading.

    Parameters
    ----------
    loadings : mapping of str to float
        By feature, e.g. `lh_fusiform_thickness`; what is no region's is left out.
    measure : str
        One of `MEASURES`.

    Returns
    -------
    dict of {"lh", "rh"} to ndarray, shape (10242,)
        NaN where no region has a loading.
    """
    labels = np.loadtxt(_LABELS, dtype=int)
    values = np.full(len(labels), np.nan)
    for place, side in enumerate(SIDES):
        for number, region in enumerate(DESIKAN, start=1 + len(DESIKAN) * place):
            values[labels == number] = loadings.get(f"{side}_{region}_{measure}", np.nan)
    return {side: values[_VERTICES * place :][:_VERTICES] for place, side in enumerate(SIDES)}


def paint_regions(image, loadings):
    """Give every voxel of an atlas its region's loading.

    Parameters
    ----------
    image : Nifti1Image
        3-d (or 4-d with one volume), one whole number a region.
    loadings : mapping of int to float
        By the region's number; others become 0.

    Returns
    -------
    Nifti1Image
    """
    labels = np.rint(image.get_fdata()).astype(int).reshape(image.shape[:3])
    values = np.zeros(labels.shape)
    for number, loading in loadings.items():
        values[labels == number] = loading
    return nib.Nifti1Image(values, image.affine)


def paint_maps(image, loadings):
    """Add component maps up, each over its largest absolute value and times its loading.

    Parameters
    ----------
    image : Nifti1Image
        4-d, one map a volume.
    loadings : mapping of int to float
        By the map's volume, from 0.

    Returns
    -------
    Nifti1Image
    """
    maps, values = image.get_fdata(dtype=np.float32), 0.0
    for volume, loading in loadings.items():
        values = values + loading * maps[..., volume] / np.abs(maps[..., volume]).max()
    return nib.Nifti1Image(np.asarray(values, dtype=float), image.affine)


def surface_picture(values, side: str, view: str, limit: float, colours: Colormap) -> np.ndarray:
    """Draw one hemisphere of the inflated fsaverage5 surface.

    Parameters
    ----------
    values : ndarray, shape (10242,)
    side : {"lh", "rh"}
    view : {"lateral", "medial"}
    limit : float
        Colours run from -limit to limit.

    Returns
    -------
    ndarray of uint8, shape (height, width, 4)
    """
    from nilearn.datasets import load_fsaverage, load_fsaverage_data
    from nilearn.plotting import plot_surf_stat_map

    hemisphere = SIDES[side]
    figure, axis = _scratch((3.0, 2.4), projection="3d")
    plot_surf_stat_map(
        load_fsaverage("fsaverage5")["inflated"].parts[hemisphere],
        values,
        bg_map=load_fsaverage_data("fsaverage5", data_type="sulcal").data.parts[hemisphere],
        hemi=hemisphere, view=view, cmap=colours, vmin=-limit, vmax=limit, colorbar=False,
        avg_method="median",  # a triangle between regions takes the region of most of its corners
        figure=figure, axes=axis,
    )  # fmt: skip
    return _pixels(figure)


def volume_picture(image, place, limit: float, colours: Colormap) -> np.ndarray:
    """Draw three slices of a volume through `place`, (x, y, z) in mm, on the outline of MNI152.

    Returns
    -------
    ndarray of uint8, shape (height, width, 4)
    """
    from nilearn.plotting import plot_stat_map

    figure, axis = _scratch((4.8, 1.9))
    plot_stat_map(
        image, bg_img=_template(), cut_coords=place, cmap=colours, vmin=-limit, vmax=limit,
        threshold=limit / 20, colorbar=False, annotate=True, draw_cross=False, black_bg=False, figure=figure, axes=axis,
    )  # fmt: skip
    return _pixels(figure)


@functools.cache
def _template():
    from nilearn.datasets import load_mni152_template

    return load_mni152_template(resolution=2)


def peak(image):
    """Where a volume has its largest absolute value, (x, y, z) in mm."""
    values = np.abs(image.get_fdata())
    return tuple(nib.affines.apply_affine(image.affine, np.unravel_index(values.argmax(), values.shape)))


def _scratch(size, **options):
    figure = Figure(figsize=size, dpi=200)
    return figure, figure.add_axes((0, 0, 1, 1), **options)


def _pixels(figure: Figure) -> np.ndarray:
    """What was drawn, without the white around it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())
    drawn = (pixels[..., :3] < 250).any(axis=2)
    rows, columns = (np.flatnonzero(drawn.any(axis=axis)) for axis in (1, 0))
    return pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].copy()
