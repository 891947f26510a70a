"""Where the groups' gradients point: leading singular vectors, averaged over an epoch as subspaces.

Singular vectors turn and change sign from step to step, so their mean means nothing. The projector
on the space that the leading k of them span has neither freedom: its mean over the steps has as
leading eigenvectors the directions that the steps share, and as eigenvalues how much they do.
"""

import numpy as np
import pyarrow as pa
import torch

from autospec.spectra.factors import group_gradients
from autospec.spectra.gather import StepRecord
from autospec.tables import DIRECTIONS


class Directions:
    """Leading singular vectors of some layers' group gradients.

    Parameters
    ----------
    layers : sequence of str
        Layer names as in the spectra.
    count : int
        k, how many leading vectors.
    """

    def __init__(self, layers, count: int):
        self.layers, self.count = tuple(layers), count
        self._projectors: dict[tuple[str, str, str], torch.Tensor] = {}
        self._steps: dict[tuple[str, str, str], int] = {}

    def take(self, record: StepRecord) -> None:
        """Take one step."""
        for layer in self.layers:
            _, product = record.layers.get(layer, (None, None))
            if product is None or product.adjoints is None or not product.trained:
                continue
            for group, gradient in group_gradients(product, record.groups):
                gradient = gradient.double().cpu()
                if not torch.isfinite(gradient).all():
                    continue
                left, _, right = torch.linalg.svd(gradient, full_matrices=False)
                for side, vectors in (("left", left[:, : self.count]), ("right", right[: self.count].mT)):
                    key = (layer, side, group)
                    self._projectors[key] = self._projectors.get(key, 0.0) + vectors @ vectors.mT
                    self._steps[key] = self._steps.get(key, 0) + 1

    def table(self, epoch: int) -> pa.Table:
        """Rows of the epoch in the schema ``autospec.tables.DIRECTIONS``; begin anew."""
        rows = []
        for (layer, side, group), total in self._projectors.items():
            shares, vectors = torch.linalg.eigh(total / self._steps[layer, side, group])
            for index in range(1, min(self.count, len(shares)) + 1):
                vector = vectors[:, -index].numpy()
                # A direction has no sign of its own: its largest entry is made positive.
                vector = vector * np.sign(vector[np.argmax(np.abs(vector))])
                rows.append(
                    {
                        "epoch": epoch,
                        "layer": layer,
                        "side": side,
                        "group": group,
                        "index": index,
                        "share": float(shares[-index]),
                        "vector": vector.astype(np.float32),
                    }
                )
        self._projectors, self._steps = {}, {}
        return pa.Table.from_pylist(rows, schema=DIRECTIONS)
