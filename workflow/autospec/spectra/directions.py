"""Where the groups' gradients point: leading singular vectors, averaged over an epoch as subspaces.

Singular vectors turn and change sign from step to step, so their mean means nothing. The projector
on the space that the leading k of them span has neither freedom: its mean over the steps has as
leading eigenvectors the directions that the steps share, and as eigenvalues how much they do.
"""

import time

import numpy as np
import pyarrow as pa
import torch

from autospec.spectra.factors import ALL, group_gradients
from autospec.spectra.gather import StepRecord
from autospec.tables import DIRECTIONS

#: The difference of the two groups' gradients, each group scaled as if both had half of the batch.
DIFFERENCE = "difference"


class Directions:
    """Leading singular vectors of some layers' group gradients.

    Parameters
    ----------
    layers : sequence of str, or None
        Layer names as in the spectra; None for the first layer that a gradient reached.
    count : int
        k, how many leading vectors.
    groups : (str, str)
        The two groups, the reference first, whose difference is taken too at steps that hold both.

    Attributes
    ----------
    seconds : float
        Time that taking steps has cost.
    """

    def __init__(self, layers, count: int, groups: tuple[str, str] = ("0", "1")):
        self.layers, self.count, self.groups = layers if layers is None else tuple(layers), count, groups
        self.seconds = 0.0
        self._spaces: dict[tuple[str, str, str], MeanProjector] = {}

    def take(self, record: StepRecord) -> None:
        """Take one step."""
        begun = time.perf_counter()
        reached = [
            layer
            for layer, (_, product) in record.layers.items()
            if product is not None and product.reached and product.trained
        ]
        for layer in reached[:1] if self.layers is None else [name for name in self.layers if name in reached]:
            gradients = dict(group_gradients(record.layers[layer][1], record.groups))
            if set(self.groups) <= gradients.keys():
                samples = sum(count for group, count in record.counts.items() if group != ALL)
                reference, other = (gradients[group] / record.counts[group] for group in self.groups)
                gradients[DIFFERENCE] = (other - reference) * (samples / 2)
            for group, gradient in gradients.items():
                gradient = gradient.double().cpu()
                if not torch.isfinite(gradient).all():
                    continue
                left, _, right = torch.linalg.svd(gradient, full_matrices=False)
                for side, vectors in (("left", left[:, : self.count]), ("right", right[: self.count].mT)):
                    self._spaces.setdefault((layer, side, group), MeanProjector()).add(vectors)
        self.seconds += time.perf_counter() - begun

    def table(self, epoch: int) -> pa.Table:
        """Rows of the epoch in the schema ``autospec.tables.DIRECTIONS``; begin anew."""
        rows = []
        for (layer, side, group), space in self._spaces.items():
            shares, vectors = space.leading(self.count)
            for index, (share, vector) in enumerate(zip(shares, vectors, strict=True), start=1):
                # A direction has no sign of its own: its largest entry is made positive.
                vector = vector * np.sign(vector[np.argmax(np.abs(vector))])
                rows.append(
                    {
                        "epoch": epoch,
                        "layer": layer,
                        "side": side,
                        "group": group,
                        "index": index,
                        "share": float(share),
                        "vector": vector.astype(np.float32),
                    }
                )
        self._spaces = {}
        return pa.Table.from_pylist(rows, schema=DIRECTIONS)


class MeanProjector:
    """Mean over steps of V V^T, for orthonormal V of shape (p, k), without forming a (p, p) matrix.

    The vectors stand side by side in a matrix X with X X^T the sum of the projectors; where it has become wider
    than high, X is replaced by U S of its singular value decomposition, which has the same X X^T.
    """

    def __init__(self):
        self.steps = 0
        self._columns: list[torch.Tensor] = []

    def add(self, vectors: torch.Tensor) -> None:
        """Take one step's vectors, (p, k)."""
        self.steps += 1
        self._columns.append(vectors)
        if sum(part.shape[1] for part in self._columns) > 2 * len(vectors):
            left, values, _ = torch.linalg.svd(torch.cat(self._columns, dim=1), full_matrices=False)
            self._columns = [left * values]

    def leading(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues, (count,) or as many as there are, descending, and eigenvectors as rows, (count, p)."""
        left, values, _ = torch.linalg.svd(torch.cat(self._columns, dim=1), full_matrices=False)
        return (values[:count] ** 2 / self.steps).numpy(), left[:, :count].mT.numpy()
