"""nn.MultiheadAttention: the query, key, value and output projections, each a layer of its own.

Its projections are bare parameters, used inside one function, so no hook sees them. They are
found where they are recorded: the autograd graph between the module's output and its inputs.
Indices: n samples, t tokens, e width.
"""

from collections.abc import Iterator

import torch
from torch import nn

from autospec.spectra.call import Call, NotObserved, add_gradient
from autospec.spectra.factors import Factors
from autospec.spectra.layers.kind import Kind

_PARTS = ("query", "key", "value")
_PRODUCTS = ("AddmmBackward0", "MmBackward0", "BmmBackward0")


class Attention(Kind):
    """A of each input projection is the module's own argument; that of the output one is saved for backward."""

    types = (nn.MultiheadAttention,)

    @staticmethod
    def weights(module):
        if module.in_proj_weight is not None:
            inputs = module.in_proj_weight.chunk(3)
        else:
            inputs = (module.q_proj_weight, module.k_proj_weight, module.v_proj_weight)
        return dict(zip(_PARTS, inputs, strict=True)) | {"out_proj": module.out_proj.weight}

    @staticmethod
    def after(call: Call, arguments, output) -> None:
        """Find the four products in the graph and watch the gradients that reach them."""
        module = call.module
        owners = {id(module.out_proj.weight): ("out_proj",)}
        if module.in_proj_weight is not None:
            owners[id(module.in_proj_weight)] = _PARTS
        else:
            weights = (module.q_proj_weight, module.k_proj_weight, module.v_proj_weight)
            owners |= {id(weight): (part,) for weight, part in zip(weights, _PARTS, strict=True)}
        stops = {argument.grad_fn for argument in arguments if argument.grad_fn is not None}
        call.extra["gradients"] = gradients = {}
        for node, names, piece in _products(output[0].grad_fn, owners, stops):
            if names == ("out_proj",):
                saved = node._saved_mat1 if node.name() == "AddmmBackward0" else node._saved_self
                call.extra["attended"] = saved.detach()
            node.register_prehook(_keep(gradients, (names, piece)))

    @staticmethod
    def factors(call: Call, samples: int) -> dict[str, Factors]:
        module = call.module
        first = module.batch_first

        def by_sample(tensor):
            if tensor.dim() == 2:
                return tensor.unsqueeze(0)
            return tensor if first else tensor.transpose(0, 1)

        query, key, value = (by_sample(argument) for argument in call.arguments[:3])
        if len(query) != samples:
            raise NotObserved(f"it was called with {len(query)} sequences, but the step has {samples} samples")
        result = {}
        has_bias = module.in_proj_bias is not None
        trained = {name: weight.requires_grad for name, weight in Attention.weights(module).items()}
        for name, inputs in zip(_PARTS, (query, key, value), strict=True):
            result[name] = Factors(inputs, _adjoints(call, name, samples), has_bias, trained[name])
        attended = call.extra.get("attended")
        if attended is not None:
            attended = attended.flatten(0, -2).unflatten(0, (-1, samples)).transpose(0, 1)
            adjoints = _adjoints(call, "out_proj", samples)
            result["out_proj"] = Factors(attended, adjoints, module.out_proj.bias is not None, trained["out_proj"])
        return result


def _products(root, owners: dict, stops: set) -> Iterator[tuple]:
    """Matrix products between `root` and `stops` that have one of the weights as last factor.

    Yields the node, the names that its weight serves, and which piece of a split weight it used.
    """
    seen, queue = set(stops), [root]
    while queue:
        node = queue.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if node.name() in _PRODUCTS:
            weight, piece = _weight_behind(node)
            if id(weight) in owners:
                yield node, owners[id(weight)], piece
        queue.extend(following for following, _ in node.next_functions)


def _weight_behind(node) -> tuple:
    """The parameter that is the last factor of a product, through transposes, casts and splits."""
    piece = 0
    while node is not None:
        if hasattr(node, "variable"):
            return node.variable, piece
        following, output = node.next_functions[-1]
        if following is not None and "Split" in following.name():
            piece = output
        if following is not None and len(following.next_functions) > 1:
            return None, 0
        node = following
    return None, 0


def _keep(gradients: dict, key: tuple):
    def hook(grad_outputs):
        gradients[key] = add_gradient(gradients.get(key), grad_outputs[0])

    return hook


def _adjoints(call: Call, name: str, samples: int) -> torch.Tensor | None:
    """Adjoints of one projection, (n, t, e), cut out of the product that computed it.

    A packed weight is used whole (self-attention), as query and key-value, or in three pieces.
    """
    for (names, piece), gradient in call.extra["gradients"].items():
        if name not in names:
            continue
        rows = gradient.flatten(0, -2).unflatten(0, (-1, samples)).transpose(0, 1)  # (t n, .) -> (n, t, .)
        if len(names) == 1:
            return rows
        width = call.module.embed_dim
        first = _PARTS.index(name) - piece
        if 0 <= first < rows.shape[-1] // width:
            return rows[..., first * width : (first + 1) * width]
    return None
