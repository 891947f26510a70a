"""Group spectra of one step under many labelings at once.

A labeling splits the samples in two. Whatever is linear or quadratic in the samples is computed
once and shared: with few rows, a labeling only picks sub-blocks of the two Gram matrices of the
batch; with many rows, it only picks which per-sample gradients to add.
Indices: l labelings, n samples, q outputs, p inputs (plus one for the bias), g = 2 groups.
"""

import numpy as np
import pyarrow as pa
import torch

from autospec.spectra.decompose import gram, self_product, solve_gram, solve_pair
from autospec.spectra.factors import Factors
from autospec.summaries import summarise
from autospec.tables import LABELINGS, SUMMARIES

# Largest block of doubles held at a time; labelings are taken in parts that fit.
_BLOCK = 1_000_000

# Rows of several steps that are added to an epoch's sums at once.
_ROWS = 256


def group_spectra(factors: Factors, masks: torch.Tensor) -> torch.Tensor:
    """Singular values of both groups' gradients under every labeling.

    Parameters
    ----------
    factors : Factors
    masks : Tensor of bool, (l, n)
        True where a sample is in the second group.

    Returns
    -------
    Tensor of float64, (l, 2, r)
        Descending; the groups are (not mask, mask). A group without samples has zeros.
    """
    both = torch.stack([~masks, masks], dim=1).flatten(0, 1)
    most = int(both.sum(dim=1).max())
    if type(factors) is Factors and factors.inputs.shape[1] == 1 and most < factors.rank:
        values = _from_gram(factors, both, most)
    else:
        values = _from_sample_gradients(factors.sample_gradients(with_bias=False), both)
    return values.unflatten(0, (-1, 2))


def _from_gram(factors, masks, most):
    inputs, adjoints = factors.inputs[:, 0].double(), factors.adjoints[:, 0].double()
    n = len(inputs)
    # Sample n is a row of zeros: groups smaller than the largest are filled up with it.
    gram_inputs = torch.nn.functional.pad(self_product(inputs), (0, 1, 0, 1))
    gram_adjoints = torch.nn.functional.pad(self_product(adjoints), (0, 1, 0, 1))
    order = torch.argsort(masks.to(torch.int8), dim=1, descending=True, stable=True)[:, :most]
    chosen = torch.where(masks.gather(1, order), order, n)
    values = masks.new_zeros((len(masks), factors.rank), dtype=torch.float64)
    part = max(1, _BLOCK // (most * most))
    for first in range(0, len(masks), part):
        rows = chosen[first : first + part]
        pick = (rows[:, :, None], rows[:, None, :])
        values[first : first + part, :most] = solve_pair(gram_inputs[pick], gram_adjoints[pick])
    return values


def _from_sample_gradients(gradients, weights):
    n, q, p = gradients.shape
    flat = gradients.reshape(n, q * p)
    part = max(1, _BLOCK // (q * p))
    return torch.cat(
        [
            solve_gram(gram((weights[first : first + part].to(flat.dtype) @ flat).view(-1, q, p)))
            for first in range(0, len(weights), part)
        ]
    )


class EpochDifference:
    """The difference of the two groups' gradients, summed over an epoch, for every labeling.

    The bias is a column of the gradient, and each group's rows are scaled as if both had half of
    the batch. The sum is linear in the samples, so each step adds one product of signs and
    per-sample gradients; steps with one row a sample wait for one another, since reading and writing
    the sums costs as much as the product.
    """

    def __init__(self):
        self.total: torch.Tensor | None = None
        self.steps = 0
        self._waiting: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []

    def add(self, factors: Factors, masks: torch.Tensor) -> None:
        """Take one step: factors of n samples, masks (l, n)."""
        self.steps += 1
        if type(factors) is Factors and factors.shape[1] == 1:
            inputs, adjoints = factors.inputs[:, 0], factors.adjoints[:, 0]
            if factors.bias:
                inputs = torch.cat([inputs, torch.ones_like(inputs[:, :1])], dim=1)
            self._waiting.append((balanced_signs(masks).to(adjoints.dtype), adjoints, inputs.clone()))
            if sum(len(adjoints) for _, adjoints, _ in self._waiting) >= _ROWS:
                self._add_waiting()
            return
        gradients = factors.sample_gradients(with_bias=True)
        n, q, p = gradients.shape
        flat, signs = gradients.reshape(n, q * p), balanced_signs(masks).to(gradients.dtype)
        for part in self._parts(len(masks), q, p, gradients.device):
            self.total[part] += (signs[part] @ flat).view(-1, q, p)

    def _take_waiting(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The waiting steps as one, their samples side by side: signs (l, n), adjoints (n, q), inputs (n, p)."""
        waiting, self._waiting = self._waiting, []
        signs = torch.cat([part for part, _, _ in waiting], dim=1)
        return signs, *(torch.cat([step[side] for step in waiting]) for side in (1, 2))

    def _add_waiting(self) -> None:
        if not self._waiting:
            return
        signs, adjoints, inputs = self._take_waiting()
        q, p = adjoints.shape[1], inputs.shape[1]
        for part in self._parts(len(signs), q, p, adjoints.device):
            signed = (signs[part].unsqueeze(1) * adjoints.mT).flatten(0, 1)  # (l q, n)
            self.total[part] += (signed @ inputs).view(-1, q, p)

    def _parts(self, labelings: int, q: int, p: int, device: torch.device) -> list[slice]:
        """Labelings in parts whose sums fit a block; the sums are made when first asked for."""
        if self.total is None:
            self.total = torch.zeros((labelings, q, p), dtype=torch.float64, device=device)
        each = max(1, _BLOCK // (q * p))
        return [slice(first, first + each) for first in range(0, labelings, each)]

    def spectra(self) -> torch.Tensor:
        """Singular values of the differences, (l, min(q, p)) float64, descending."""
        if self.total is None:
            signs, adjoints, inputs = self._take_waiting()
            r = min(adjoints.shape[1], inputs.shape[1])
            if len(inputs) < r:
                return torch.nn.functional.pad(_from_rows(signs, adjoints, inputs), (0, r - len(inputs)))
            self._waiting.append((signs, adjoints, inputs))
        self._add_waiting()
        part = max(1, _BLOCK // self.total[0].numel())
        blocks = self.total.split(part)
        return torch.cat([solve_gram(gram(block)) for block in blocks])


def _from_rows(signs, adjoints, inputs):
    """Singular values of sum_i signs_i adjoints_i inputs_i^T, (l, n), whose n rows are few."""
    gram_inputs, gram_adjoints = (self_product(side.double()) for side in (inputs, adjoints))
    parts = signs.double().split(max(1, _BLOCK // gram_inputs.numel()))
    # One matrix of inputs for all labelings, and so one factor of it.
    return torch.cat([solve_pair(gram_inputs[None], s[:, :, None] * gram_adjoints * s[:, None, :]) for s in parts])


def balanced_signs(masks: torch.Tensor) -> torch.Tensor:
    """Weights (l, n): +n / (2 n_1) in the second group, -n / (2 n_0) in the first."""
    n = masks.shape[1]
    second = masks.sum(dim=1, keepdim=True).double()
    first = n - second
    return torch.where(masks, n / (2 * second.clamp_min(1)), -n / (2 * first.clamp_min(1)))


class EpochLosses:
    """Mean loss of each group over an epoch, for every labeling."""

    def __init__(self):
        self.sums: np.ndarray | None = None
        self.counts: np.ndarray | None = None
        self.steps = 0

    def add(self, losses: torch.Tensor, masks: torch.Tensor) -> None:
        """Take one step: losses (n,), masks (l, n)."""
        both = torch.stack([~masks, masks], dim=1).double()
        sums, counts = (both @ losses.double()).cpu().numpy(), both.sum(dim=-1).cpu().numpy()
        self.sums = sums if self.sums is None else self.sums + sums
        self.counts = counts if self.counts is None else self.counts + counts
        self.steps += 1

    def means(self) -> np.ndarray:
        """Mean losses, (l, 2); NaN for a group that no step held."""
        with np.errstate(invalid="ignore"):
            return self.sums / self.counts


class EpochLabelings:
    """All that is kept of an epoch's labelings, and its rows.

    Parameters
    ----------
    groups : (str, str)
        Names of the two groups, that of False first.
    indices : int or None
        How many leading singular values are kept.
    """

    def __init__(self, groups: tuple[str, str], indices: int | None):
        self.groups, self.indices, self.steps = groups, indices, 0
        self._sums: dict[str, np.ndarray] = {}
        self._differences: dict[str, EpochDifference] = {}
        self._losses = EpochLosses()

    def add(self, layers: dict[str, tuple], masks: torch.Tensor, losses: torch.Tensor | None) -> None:
        """Take one step: the factors of each layer, masks (l, n) and perhaps losses (n,)."""
        self.steps += 1
        for layer, (_, factors) in layers.items():
            if factors is None or factors.adjoints is None or not factors.trained:
                continue
            there = masks.to(factors.adjoints.device)
            values = group_spectra(factors, there)
            norms = values.square().sum(dim=-1, keepdim=True).sqrt()
            kept = torch.cat([norms, values], dim=-1).cpu().numpy()
            self._sums[layer] = self._sums[layer] + kept if layer in self._sums else kept
            self._differences.setdefault(layer, EpochDifference()).add(factors, there)
        if losses is not None:
            self._losses.add(losses, masks.to(losses.device))

    def table(self, epoch: int, depths: dict[str, int]) -> pa.Table:
        """Rows of the epoch in the schema ``autospec.tables.LABELINGS``."""
        parts = []
        for layer, sums in self._sums.items():
            steps = self._differences[layer].steps
            for position, group in enumerate(self.groups):
                means = sums[:, position] / steps
                parts.append(self._gradient_rows(epoch, steps, layer, depths[layer], group, means[:, 0], means[:, 1:]))
            values = self._differences[layer].spectra().cpu().numpy()
            norms = np.sqrt((values**2).sum(axis=-1))
            parts.append(self._gradient_rows(epoch, steps, layer, depths[layer], "difference", norms, values))
        if self._losses.steps:
            means = self._losses.means()
            for position, group in enumerate(self.groups):
                values = means[:, position : position + 1]
                parts.append(_rows(epoch, self._losses.steps, "", -1, "loss", group, None, values, {}))
        return pa.concat_tables(parts).unify_dictionaries()

    def _gradient_rows(self, epoch, steps, layer, depth, group, norms, values) -> pa.Table:
        summaries = summarise(values)
        leading = values[:, : self.indices]
        return _rows(epoch, steps, layer, depth, "gradient", group, norms, leading, summaries)


def _rows(epoch, steps, layer, depth, quantity, group, norms, values, summaries) -> pa.Table:
    count, width = values.shape
    offsets = pa.array(np.arange(count + 1) * width, pa.int32())
    spectra = pa.ListArray.from_arrays(offsets, pa.array(values.reshape(-1).astype(np.float32)))

    def constant(value):
        return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count), pa.int32()), pa.array([value]))

    columns = [
        pa.array(np.full(count, epoch), pa.int32()),
        pa.array(np.arange(count), pa.int32()),
        constant(layer),
        pa.array(np.full(count, depth), pa.int32()),
        constant(quantity),
        constant(group),
        pa.array(np.full(count, steps), pa.int32()),
        pa.nulls(count, pa.float64()) if norms is None else pa.array(norms, pa.float64()),
        spectra.cast(LABELINGS.field("singular_values").type),
        *(pa.array(summaries[name]) if summaries else pa.nulls(count, pa.float64()) for name in SUMMARIES),
    ]
    return pa.Table.from_arrays(columns, schema=LABELINGS)
