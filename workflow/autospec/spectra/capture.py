"""Hooks that pair every layer call's inputs with its own adjoints, on only while a step is observed."""

import dataclasses
import functools
import logging

import torch
from torch import nn

from autospec.spectra.call import Call, NotObserved, add_gradient, kept, tensors_in
from autospec.spectra.factors import FormedFactors, SharedFactors, join_calls
from autospec.spectra.grouped import GroupedStep, grouped_forward
from autospec.spectra.layers import kind_of

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
        self._forwards: dict[str, object] = {}
        self.layers: dict[str, nn.Module] = {}
        self.left_out: dict[str, str] = {}
        self._handles: list = []
        self._replaced: list[nn.Module] = []
        self._calls: list[Call] = []
        self._started: dict[int, dict] = {}
        self._batch_first: dict[str, bool] = {}
        inside: tuple[str, ...] = ()
        for name, module in model.named_modules():
            if name.startswith(inside):
                continue
            kind = kind_of(module)
            refusal = kind.refusal(module) if kind else _unknown(module)
            if refusal:
                self._leave_out(name, refusal)
            elif kind:
                self.layers[name] = module
                self._batch_first[name] = _batch_first(model, name, batch_first)
            if kind:
                inside += (f"{name}.",) if name else ()

    def weights(self) -> dict[str, torch.Tensor]:
        """The observed weights as matrices, by layer name; a shared one once."""
        found, seen = {}, set()
        for path, module in self.layers.items():
            for name, weight in kind_of(module).weights(module).items():
                key = (weight.data_ptr(), weight.shape)
                if key not in seen:
                    seen.add(key)
                    found[_join(path, name)] = weight.detach().flatten(1)
        return found

    def start(self, groups: dict[str, torch.Tensor] | None = None) -> None:
        """Put the hooks on and forget the last step.

        With `groups`, the samples of each group, layers that have a faster forward pass take that
        instead of hooks.
        """
        self._calls, self._started = [], {}
        self.grouped.begin(groups)
        for name, module in self.layers.items():
            forward = None if groups is None else self._faster_forward(name, module)
            if forward is None:
                kind = kind_of(module)
                self._handles.append(module.register_forward_pre_hook(self._before(kind)))
                self._handles.append(module.register_forward_hook(self._after(name, kind), with_kwargs=True))
            else:
                module.__dict__["forward"] = forward
                self._replaced.append(module)

    def stop(self) -> None:
        """Take the hooks off."""
        for handle in self._handles:
            handle.remove()
        for module in self._replaced:
            del module.__dict__["forward"]
        self._handles, self._replaced = [], []

    def take(self) -> list[Call]:
        """The calls of this step, in the order of the forward pass."""
        calls, self._calls = self._calls, []
        return calls

    def factors(
        self,
        calls: list[Call],
        samples: int,
        loss_scale: float = 1.0,
    ) -> dict[str, tuple]:
        """Factors of each layer in some calls: (of its activations and adjoints, of its gradient).

        The gradient of a weight that several layers share stands under the first one's name; the
        others have None.
        """
        rows: dict[str, list] = {}
        products: dict[tuple, _Weight] = {}
        for call in calls:
            kind = kind_of(call.module)
            weights = kind.weights(call.module)
            names = {name: _join(call.name, name) for name in weights}
            if call.formed and not self.rows_wanted:
                found = dict.fromkeys(names)
            else:
                _settle(call, loss_scale)
                try:
                    found = kind.factors(call, samples)
                except NotObserved as reason:
                    self._leave_out(call.name, str(reason))
                    continue
            for name, factors in found.items():
                layer, weight = names[name], weights[name]
                rows.setdefault(layer, []).append(factors)
                product = products.setdefault((weight.data_ptr(), weight.shape), _Weight(layer))
                if call.formed:
                    product.formed.add(layer)
                else:
                    product.parts.setdefault(layer, []).append(factors)
        result: dict[str, tuple] = {}
        for layer, parts in rows.items():
            result[layer] = (None if parts[0] is None else join_calls(parts), None)
        for product in products.values():
            own = result[product.layer][0]
            result[product.layer] = (own, product.factors(own, self.grouped))
        return result

    def _leave_out(self, name: str, reason: str) -> None:
        if name not in self.left_out:
            self.left_out[name] = reason
            logger.warning("layer '%s' is not observed: %s", name, reason)

    def _faster_forward(self, name, module):
        """The forward pass to put in place of the module's own, made once; None where there is none."""
        if name in self._forwards:
            return self._forwards[name]
        self._forwards[name] = None
        forward = grouped_forward(module, name, self.grouped)
        if forward is None:
            return None
        kind, plain = kind_of(module), functools.partial(type(module).forward, module)
        before, after = self._before(kind), self._after(name, kind)

        def replaced(*arguments, **keywords):
            call = Call(name, module, (), (), [None], self._batch_first[name])
            output = forward(call, *arguments, **keywords)
            if output is None:
                before(module, arguments)
                output = plain(*arguments, **keywords)
                after(module, arguments, keywords, output)
            elif call.formed and self.rows_wanted:
                after(module, arguments, keywords, output, formed=True)
            else:
                self._calls.append(call)
            return output

        self._forwards[name] = replaced
        return replaced

    def _before(self, kind):
        def hook(module, arguments):
            state = kind.before(module)
            if state:
                self._started[id(module)] = state

        return hook

    def _after(self, name, kind):
        def hook(module, arguments, keywords, output, formed=False):
            arguments = tensors_in((*arguments, *keywords.values()))
            outputs = tensors_in(output)
            call = Call(
                name=name,
                module=module,
                arguments=tuple(kept(tensor) for tensor in arguments),
                outputs=tuple(tensor.detach() for tensor in outputs),
                gradients=[None] * len(outputs),
                batch_first=self._batch_first[name],
                formed=formed,
                extra=self._started.pop(id(module), {}),
            )
            try:
                kind.after(call, arguments, output)
            except NotObserved as reason:
                self._leave_out(name, str(reason))
                return
            for position, tensor in enumerate(outputs):
                if tensor.requires_grad:
                    tensor.register_hook(_gradient_hook(call, position))
            self._calls.append(call)

        return hook


@dataclasses.dataclass
class _Weight:
    """All that one weight, perhaps shared, met in one step."""

    layer: str
    parts: dict[str, list] = dataclasses.field(default_factory=dict)
    formed: set[str] = dataclasses.field(default_factory=set)

    def factors(self, own, grouped: GroupedStep):
        """Factors of its gradient; `own` are those of the first layer's rows."""
        unformed = [part for parts in self.parts.values() for part in parts]
        if not self.formed:
            return own if set(self.parts) == {self.layer} else SharedFactors(unformed)
        totals = {}
        for group, samples in grouped.groups.items():
            here = [grouped.gradients[layer, group] for layer in self.formed if (layer, group) in grouped.gradients]
            here += [part.gradient(samples) for part in unformed if part.adjoints is not None]
            if here:
                totals[group] = sum(here)
        return FormedFactors(totals) if totals else None


def _gradient_hook(call: Call, position: int):
    def hook(gradient):
        call.gradients[position] = add_gradient(call.gradients[position], gradient)

    return hook


def _settle(call: Call, loss_scale: float) -> None:
    """Undo the loss's scale; and give in float32 what mixed precision computed in less."""
    gradients = [gradient for gradient in (*call.gradients, *call.extra.get("gradients", {}).values())]
    low = next((g.dtype for g in gradients if g is not None and g.dtype in _LOW_PRECISION), None)

    def settled(gradient):
        if gradient is None:
            return None
        return (gradient.float() if gradient.dtype in _LOW_PRECISION else gradient) / loss_scale

    if low is not None:
        # The layer itself saw its inputs in the lower precision.
        call.arguments = tuple(a.to(low).float() if a.is_floating_point() else a for a in call.arguments)
        call.outputs = tuple(output.float() for output in call.outputs)
        if "attended" in call.extra:
            call.extra["attended"] = call.extra["attended"].float()
    if low is not None or loss_scale != 1.0:
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
