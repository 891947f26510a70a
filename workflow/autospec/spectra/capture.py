"""Hooks that pair every layer call's inputs with its own adjoints, on only while a step is observed."""

import dataclasses
import functools
import logging
from collections.abc import Callable

import torch
from torch import nn

from autospec.spectra.arrivals import Arrivals
from autospec.spectra.call import Call, NotObserved, add_gradient, copied, guarded, kept, tensors_in
from autospec.spectra.factors import FormedFactors, SharedFactors, join_calls
from autospec.spectra.grouped import GroupedStep, Samples, grouped_forward
from autospec.spectra.layers import kind_of
from autospec.spectra.layers.kind import Kind
from autospec.spectra.layers.linear import Linear

logger = logging.getLogger(__name__)

_LOW_PRECISION = (torch.float16, torch.bfloat16)


class Capture:
    """What a model's layers see in one step.

    Parameters
    ----------
    model : nn.Module
    batch_first : bool
        Whether samples come before time in what layers see that do not say so themselves.
    rows_wanted : bool
        Whether what a layer sees is kept also where its group gradients come ready.

    Attributes
    ----------
    layers : dict of str to nn.Module
        The observed modules by path.
    left_out : dict of str to str
        What is not observed, by module path, with the reason.
    """

    def __init__(self, model: nn.Module, batch_first: bool = True, rows_wanted: bool = True):
        self.rows_wanted = rows_wanted
        self.grouped = GroupedStep()
        self.layers: dict[str, nn.Module] = {}
        self.left_out: dict[str, str] = {}
        self._layers: dict[str, _Layer] = {}
        self._handles: list = []
        self._replaced: list[nn.Module] = []
        self._calls: list[Call] = []
        self._started: dict[int, dict] = {}
        self._refused: list[str] = []
        self._arrivals: Arrivals | None = None
        inside: tuple[str, ...] = ()
        for name, module in model.named_modules():
            if name.startswith(inside):
                continue
            kind = kind_of(module)
            refusal = kind.refusal(module) if kind else _unknown(module)
            if refusal:
                self._leave_out(name, refusal)
            elif kind:
                names = {weight: _join(name, weight) for weight in kind.weights(module)}
                self.layers[name] = module
                self._layers[name] = _Layer(name, module, kind, _batch_first(model, name, batch_first), names)
            if kind:
                inside += (f"{name}.",) if name else ()
        self.find_shared()

    def find_shared(self) -> None:
        """See which layers share a weight; what a model shares may change between epochs."""
        first: dict[tuple, str] = {}
        for layer in self._layers.values():
            for name, weight in layer.kind.weights(layer.module).items():
                layer.owners[name] = first.setdefault((weight.data_ptr(), weight.shape), layer.names[name])

    def weights(self) -> dict[str, torch.Tensor]:
        """The observed weights as matrices, by layer name; a shared one once."""
        return {
            layer.names[name]: weight.detach().flatten(1)
            for layer in self._layers.values()
            for name, weight in layer.kind.weights(layer.module).items()
            if layer.owners[name] == layer.names[name]
        }

    def start(self, groups: Callable[[], dict[str, Samples]] | None = None, arrivals: Arrivals | None = None) -> None:
        """Put the hooks on and forget the last step.

        With `groups`, which gives the samples of each group, layers that have a faster forward pass take that
        instead of hooks. `arrivals` takes what linear layers see, until something comes that it does not expect.
        """
        self._calls, self._started, self._refused, self._arrivals = [], {}, [], arrivals
        faster = [] if groups is None else [layer for layer in self._layers.values() if self._has_faster(layer)]
        self.grouped.begin(groups)
        for layer in faster:
            layer.module.__dict__["forward"] = layer.forward if arrivals is None else layer.direct or layer.forward
            self._replaced.append(layer.module)
        for layer in self._layers.values():
            if groups is not None and layer.forward:
                continue
            if layer.kind.before is not Kind.before:
                self._handles.append(layer.module.register_forward_pre_hook(self._before(layer)))
            layer.after = layer.after or self._after(layer)
            # First of all hooks: another may change the output.
            self._handles.append(layer.module.register_forward_hook(layer.after, prepend=True, with_kwargs=True))

    def stop(self) -> None:
        """Take the hooks off."""
        for handle in self._handles:
            handle.remove()
        for module in self._replaced:
            del module.__dict__["forward"]
        self._handles, self._replaced = [], []

    def take(self) -> "Seen":
        """What the layers saw in this step."""
        calls, self._calls = self._calls, []
        if self._arrivals is not None:
            calls = self._arrivals.calls() + calls
        groups = self.grouped.groups if any(call.formed for call in calls) else {}
        return Seen(calls, groups, self.grouped.gradients)

    def factors(self, seen: "Seen", samples: int, loss_scale: float = 1.0) -> dict[str, tuple]:
        """Factors of each layer in a step: (of its activations and adjoints, of its gradient).

        The gradient of a weight that several layers share stands under the first one's name; the
        others have None.
        """
        rows: dict[str, list] = {}
        products: dict[str, _Weight] = {}
        for call in seen.calls:
            layer = self._layers[call.name]
            if call.formed and not self.rows_wanted:
                found = dict.fromkeys(layer.names)
            else:
                _settle(call, loss_scale)
                try:
                    found = layer.kind.factors(call, samples)
                except NotObserved as reason:
                    self._leave_out(call.name, str(reason))
                    self._refused.append(call.name)
                    continue
            for weight, factors in found.items():
                name, owner = layer.names[weight], layer.owners[weight]
                rows.setdefault(name, []).append(factors)
                if owner not in products:
                    products[owner] = _Weight(name)
                if call.formed:
                    products[owner].formed.add(name)
                else:
                    products[owner].parts.setdefault(name, []).append(factors)
        # What a layer's other calls saw is not all that it saw.
        for refused in dict.fromkeys(self._refused):
            for weight, name in self._layers[refused].names.items():
                rows.pop(name, None)
                products.pop(self._layers[refused].owners[weight], None)
        result: dict[str, tuple] = {}
        for layer, parts in rows.items():
            result[layer] = (None if parts[0] is None else join_calls(parts), None)
        for product in products.values():
            own = result[product.layer][0]
            result[product.layer] = (own, product.factors(own, seen))
        return result

    def _leave_out(self, name: str, reason: str) -> None:
        if name not in self.left_out:
            self.left_out[name] = reason
            logger.warning("layer '%s' is not observed: %s", name, reason)

    def _has_faster(self, layer: "_Layer") -> bool:
        """Whether a module has a forward pass to put in place of its own, which is made once."""
        if layer.forward is None and "forward" in vars(layer.module):
            layer.forward = False  # Someone has put another in place already.
        if layer.forward is None:
            forward = grouped_forward(layer.module, layer.name, self.grouped)
            layer.forward = self._replacing(layer, forward) if forward else False
        return bool(layer.forward)

    def _replacing(self, layer: "_Layer", forward):
        module, plain = layer.module, functools.partial(type(layer.module).forward, layer.module)
        before, after = self._before(layer), self._after(layer)

        def replaced(*arguments, **keywords):
            output = forward(*arguments, **keywords)
            if output is None:
                before(module, arguments)
                output = plain(*arguments, **keywords)
                after(module, arguments, keywords, output)
            elif self.rows_wanted:
                after(module, arguments, keywords, output, formed=True)
            else:
                if self._arrivals is not None:
                    self._arrivals.fail()
                self._calls.append(Call(layer.name, module, (), [None], layer.batch_first, formed=True))
            return output

        def direct(x):
            weight = module.weight
            output = nn.functional.linear(x, weight, module.bias)
            if not self._arrivals.take(layer, weight, x, output):
                after(module, (x,), {}, output)
            return output

        layer.direct = direct if layer.kind is Linear else None
        return replaced

    def _before(self, layer: "_Layer"):
        def hook(module, arguments):
            state = layer.kind.before(module)
            if state:
                self._started[id(module)] = state

        return hook

    def _after(self, layer: "_Layer"):
        name, kind, batch_first = layer.name, layer.kind, layer.batch_first
        watched = kind.after is not Kind.after

        def hook(module, arguments, keywords, output, formed=False):
            if self._arrivals is not None:
                if kind is Linear and not keywords and not formed:
                    if self._arrivals.take(layer, module.weight, arguments[0], output):
                        return
                self._arrivals.fail()
            given = tensors_in((*arguments, *keywords.values()) if keywords else arguments)
            outputs = tensors_in(output)
            keep = kept if guarded(module, given) else copied
            call = Call(
                name,
                module,
                tuple([keep(tensor) for tensor in given]),
                [None] * len(outputs),
                batch_first,
                formed,
                self._started.pop(id(module), {}) if self._started else {},
            )
            if watched:
                try:
                    kind.after(call, given, output)
                except NotObserved as reason:
                    self._leave_out(name, str(reason))
                    self._refused.append(name)
                    return
            for position, tensor in enumerate(outputs):
                if tensor.requires_grad:
                    tensor.register_hook(_gradient_hook(call, position))
            self._calls.append(call)

        return hook


@dataclasses.dataclass
class Seen:
    """What the layers saw in one step.

    Attributes
    ----------
    calls : list of Call
        In the order of the forward pass.
    groups : dict of str to Tensor or slice
        Samples of each group, where group gradients were formed in the backward pass.
    gradients : dict of (str, str) to Tensor
        Those, by layer and group.
    """

    calls: list[Call]
    groups: dict[str, Samples]
    gradients: dict[tuple[str, str], torch.Tensor]

    @property
    def bytes(self) -> int:
        """Memory held, in bytes."""
        held = [*self.gradients.values()]
        for call in self.calls:
            held += [*call.arguments, *(gradient for gradient in call.gradients if gradient is not None)]
            held += call.extra.get("parameters", {}).values()
        return sum(tensor.nbytes for tensor in held)


@dataclasses.dataclass
class _Layer:
    """One observed module: its names, and what is put on it while a step is observed.

    `forward` is a faster forward pass, False where there is none, None where nobody has looked; `direct` is one
    for a step that is expected.
    `names` and `owners` take the name of each of its weights to its layer's name, and to the name of the
    first layer that has the same weight.
    """

    name: str
    module: nn.Module
    kind: type[Kind]
    batch_first: bool
    names: dict[str, str]
    owners: dict[str, str] = dataclasses.field(default_factory=dict)
    after: Callable | None = None
    forward: Callable | bool | None = None
    direct: Callable | None = None


@dataclasses.dataclass
class _Weight:
    """All that one weight, perhaps shared, met in one step."""

    layer: str
    parts: dict[str, list] = dataclasses.field(default_factory=dict)
    formed: set[str] = dataclasses.field(default_factory=set)

    def factors(self, own, seen: Seen):
        """Factors of its gradient; `own` are those of the first layer's rows."""
        unformed = [part for parts in self.parts.values() for part in parts]
        if not self.formed:
            return own if set(self.parts) == {self.layer} else SharedFactors(unformed)
        totals = {}
        for group, samples in seen.groups.items():
            here = [seen.gradients[layer, group] for layer in self.formed if (layer, group) in seen.gradients]
            here += [part.gradient(_numbers(samples, part.device)) for part in unformed if part.reached]
            if here:
                totals[group] = sum(here)
        return FormedFactors(totals) if totals else None


def _numbers(samples: Samples, device: torch.device) -> torch.Tensor:
    return torch.arange(samples.start, samples.stop, device=device) if isinstance(samples, slice) else samples


def _gradient_hook(call: Call, position: int):
    def hook(gradient):
        call.gradients[position] = add_gradient(call.gradients[position], gradient)

    return hook


def _settle(call: Call, loss_scale: float) -> None:
    """Undo the loss's scale; and give in float32 what mixed precision computed in less."""
    gradients = call.gradients
    if "gradients" in call.extra:
        gradients = [*gradients, *call.extra["gradients"].values()]
    low = next((g.dtype for g in gradients if g is not None and g.dtype in _LOW_PRECISION), None)
    if low is None and loss_scale == 1.0:
        return

    def settled(gradient):
        if gradient is None:
            return None
        return (gradient.float() if gradient.dtype in _LOW_PRECISION else gradient) / loss_scale

    if low is not None:
        # The layer itself saw its inputs in the lower precision.
        call.arguments = tuple(a.to(low).float() if a.is_floating_point() else a for a in call.arguments)
        if "attended" in call.extra:
            call.extra["attended"] = call.extra["attended"].float()
    call.gradients = [settled(gradient) for gradient in call.gradients]
    if "gradients" in call.extra:
        call.extra["gradients"] = {key: settled(g) for key, g in call.extra["gradients"].items()}


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path and name else path or name


def _unknown(module: nn.Module) -> str | None:
    if any(weight.dim() > 1 for weight in module.parameters(recurse=False)):
        return f"{type(module).__name__} is not among the layer types observed"
    return None


def _batch_first(model: nn.Module, name: str, default: bool) -> bool:
    """What the layer, or the nearest module around it, says of the order of samples and time."""
    modules = dict(model.named_modules())
    while True:
        module = modules[name]
        for place in (module, getattr(module, "self_attn", None)):
            if isinstance(getattr(place, "batch_first", None), bool):
                return place.batch_first
        if not name:
            return default
        name = name.rpartition(".")[0]
