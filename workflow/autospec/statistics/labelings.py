"""`labelings.parquet` of one seed as dense arrays."""

import dataclasses

import numpy as np

from autospec.errors import InputError
from autospec.tables import SUMMARIES, read_parquet


@dataclasses.dataclass(frozen=True)
class LayerLabelings:
    """One layer's gradients under every labeling.

    Attributes
    ----------
    depth : int
    reference, other, difference : ndarray, shape (epochs, labelings, k)
        Leading singular values of each group's gradient and of their difference; k differs
        between layers.
    frobenius : ndarray, shape (epochs, labelings)
        Norm of the difference.
    summaries : dict of str to (ndarray, ndarray), shape (epochs, labelings)
        Of the reference's whole spectrum and of the other's, by name.
    """

    depth: int
    reference: np.ndarray
    other: np.ndarray
    difference: np.ndarray
    frobenius: np.ndarray
    summaries: dict[str, tuple[np.ndarray, np.ndarray]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Labelings:
    """All layers of one seed, the mean losses of the two groups, (epochs, labelings), and the epochs."""

    layers: dict[str, LayerLabelings]
    loss_reference: np.ndarray
    loss_other: np.ndarray
    epochs: np.ndarray


def read_labelings(path, groups):
    """Read one seed's labelings.

    Parameters
    ----------
    path : path of `labelings.parquet`
    groups : (str, str)
        The reference group first.

    Returns
    -------
    Labelings

    Raises
    ------
    InputError
        If a row is missing: every epoch must have every labeling, for each layer and group.
    """
    table = read_parquet(path).unify_dictionaries().combine_chunks()
    if not len(table):
        raise InputError(f"{path}: found no rows, wanted the labelings of a run of groups. Delete it and run again.")
    layer, layers = _codes(table, "layer")
    group, names = _codes(table, "group")
    quantity, quantities = _codes(table, "quantity")
    epoch, labeling, depth = (table[name].to_numpy() for name in ("epoch", "labeling", "depth"))
    frobenius = table["frobenius"].to_numpy()
    summaries = {name: table[name].to_numpy() for name in SUMMARIES}
    lists = table["singular_values"].combine_chunks()
    starts = lists.offsets.to_numpy()[:-1]
    lengths = np.diff(lists.offsets.to_numpy())
    values = lists.values.to_numpy(zero_copy_only=False)
    epochs, labelings = np.unique(epoch), np.unique(labeling)
    order = np.lexsort((labeling, epoch))

    def rows(what, where, who):
        """Row numbers, shape (epochs, labelings)."""
        wanted = (
            (quantity == _index(quantities, what)) & (layer == _index(layers, where)) & (group == _index(names, who))
        )
        found = order[wanted[order]]
        grid = np.repeat(epochs, len(labelings)), np.tile(labelings, len(epochs))
        if len(found) != len(grid[0]) or (epoch[found] != grid[0]).any() or (labeling[found] != grid[1]).any():
            raise InputError(
                f"{path}: {what} of layer '{where}', group '{who}': found {len(found)} rows, "
                f"wanted one for each of {len(epochs)} epochs and {len(labelings)} labelings. "
                "Delete it and run again."
            )
        return found.reshape(len(epochs), len(labelings))

    def spectra(found):
        return values[starts[found][..., None] + np.arange(lengths[found].min())].astype(np.float64)

    result = {}
    of_gradient = quantity == _index(quantities, "gradient")
    for code in np.unique(layer[of_gradient]):
        reference, other, difference = (rows("gradient", layers[code], who) for who in (*groups, "difference"))
        result[layers[code]] = LayerLabelings(
            depth=int(depth[reference[0, 0]]),
            reference=spectra(reference),
            other=spectra(other),
            difference=spectra(difference),
            frobenius=frobenius[difference],
            summaries={
                name: (column[reference], column[other])
                for name, column in {**summaries, "frobenius_norm": frobenius}.items()
            },
        )
    losses = [spectra(rows("loss", "", who))[..., 0] for who in groups]
    return Labelings(dict(sorted(result.items(), key=lambda item: item[1].depth)), *losses, epochs)


def _codes(table, name):
    column = table[name].combine_chunks()
    return column.indices.to_numpy(), column.dictionary.to_pylist()


def _index(names, name):
    return names.index(name) if name in names else -1
