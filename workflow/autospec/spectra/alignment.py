"""How matrices of neighbouring layers lie to one another.

Cosines of gradients as in the study of layer-wise gradients by arXiv 2504.10766 (neighbours, and in
an attention block the query with the output and the key with the value projection); alignment of
neighbouring weights, |V_next^T U_prev|, as in arXiv 2408.11804.
"""

from itertools import pairwise

import pyarrow as pa
import torch

from autospec.spectra.factors import group_gradients
from autospec.spectra.gather import StepRecord
from autospec.tables import ALIGNMENTS

_PARTNERS = (("query", "out_proj"), ("key", "value"))
_DIRECTIONS = 10


class Alignments:
    """Mean over an epoch's steps of the cosines; alignments of the weights at its end."""

    def __init__(self):
        self._cosines: dict[tuple[str, str, str], list[float]] = {}

    def take(self, record: StepRecord) -> None:
        """Take one step."""
        found = {
            layer: dict(group_gradients(product, record.groups))
            for layer, (_, product) in record.layers.items()
            if product is not None and product.reached and product.trained
        }
        for group in record.groups:
            gradients = {layer: of_group[group].double() for layer, of_group in found.items()}
            for first, second in _pairs(list(gradients)):
                if gradients[first].shape == gradients[second].shape:
                    value = torch.nn.functional.cosine_similarity(
                        gradients[first].flatten(), gradients[second].flatten(), dim=0, eps=0.0
                    )
                    self._cosines.setdefault((first, second, group), []).append(float(value))

    def table(self, epoch: int, weights: dict[str, torch.Tensor]) -> pa.Table:
        """Rows of the epoch in the schema ``autospec.tables.ALIGNMENTS``; begin anew.

        Parameters
        ----------
        epoch : int
        weights : dict of layer to Tensor, (q, p)
            In the order of the forward pass.
        """
        rows = [
            _row(epoch, first, second, "gradient_cosine", group, sum(values) / len(values), len(values))
            for (first, second, group), values in self._cosines.items()
        ]
        for first, second in pairwise(weights):
            before, after = weights[first].double().cpu(), weights[second].double().cpu()
            if before.shape[0] == after.shape[1]:
                rows.append(_row(epoch, first, second, "weight_alignment", "all", _alignment(before, after), 1))
        self._cosines = {}
        return pa.Table.from_pylist(rows, schema=ALIGNMENTS)


def _pairs(layers: list[str]) -> list[tuple[str, str]]:
    partners = [
        (layer, layer.removesuffix(first) + second)
        for layer in layers
        for first, second in _PARTNERS
        if layer.endswith(first) and layer.removesuffix(first) + second in layers
    ]
    return list(dict.fromkeys([*pairwise(layers), *partners]))


def _alignment(before: torch.Tensor, after: torch.Tensor) -> float:
    """Mean of the first ten diagonal entries of |V_next^T U_prev|."""
    left = torch.linalg.svd(before, full_matrices=False)[0]
    right = torch.linalg.svd(after, full_matrices=False)[2]
    count = min(_DIRECTIONS, left.shape[1], right.shape[0])
    return float((right[:count].double() @ left[:, :count]).diagonal().abs().mean())


def _row(epoch, first, second, measure, group, value, steps) -> dict:
    names = ("epoch", "first", "second", "measure", "group", "value", "steps")
    return dict(zip(names, (epoch, first, second, measure, group, value, steps), strict=True))
