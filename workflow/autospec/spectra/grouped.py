"""Faster layers: group gradients formed in place of the weight gradient, as part of the backward pass.

A weight's gradient is a sum over rows; summed group by group it costs the same arithmetic as summed
at once, and the groups' gradients come for nothing. While a step is observed, a layer's forward
pass is replaced by one that does so. The sum is the same up to rounding, in another order.
Where a group's samples lie side by side in the batch, linear and convolution layers use its rows where they are; else
they are copied first.

Indices: n samples, t rows a sample, p inputs, q outputs, g groups.
"""

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import _VF, nn

from autospec.spectra.layers.recurrent import run_pass

Samples: TypeAlias = torch.Tensor | slice


def count(samples: Samples) -> int:
    """How many there are."""
    return samples.stop - samples.start if isinstance(samples, slice) else len(samples)


class GroupedStep:
    """The samples of each group in a step, and the group gradients that its backward pass leaves."""

    def __init__(self):
        self.begin(None)

    def begin(self, groups: Callable[[], dict[str, Samples]] | None) -> None:
        """Begin a step; `groups` gives the samples of each group: together they are all samples, once."""
        self._find, self._groups = groups, None if groups else {}
        self.gradients: dict[tuple[str, str], torch.Tensor] = {}

    @property
    def groups(self) -> dict[str, Samples]:
        """The samples of each group, (n_g,) or a slice."""
        if self._groups is None:
            self._groups = self._find()
        return self._groups

    @property
    def samples(self) -> int:
        """How many samples there are."""
        return sum(map(count, self.groups.values()))

    def add(self, layer: str, group: str, gradient: torch.Tensor) -> None:
        """Take one group's part of one weight's gradient; several calls of a layer add up."""
        key = (layer, group)
        gradient = gradient.detach().flatten(1)
        self.gradients[key] = self.gradients[key] + gradient if key in self.gradients else gradient


class GroupedLinear(torch.autograd.Function):
    """y = x W^T + b with x (n, ..., p); backward forms D_g^T A_g for every group."""

    @staticmethod
    def forward(ctx, x, weight, bias, step, layer):
        ctx.save_for_backward(x, weight)
        ctx.step, ctx.layer, ctx.has_bias = step, layer, bias is not None
        return nn.functional.linear(x, weight, bias)

    @staticmethod
    def backward(ctx, gradient):
        x, weight = ctx.saved_tensors
        into = gradient @ weight if ctx.needs_input_grad[0] else None
        total = None
        for group, samples in ctx.step.groups.items():
            part = gradient[samples].flatten(0, -2).mT @ x[samples].flatten(0, -2)
            ctx.step.add(ctx.layer, group, part)
            total = part if total is None else total + part
        bias = gradient.flatten(0, -2).sum(dim=0) if ctx.has_bias else None
        return into, total, bias, None, None


class GroupedConvolution(torch.autograd.Function):
    """A convolution with explicit zero padding; backward runs the weight kernel on each group's samples."""

    @staticmethod
    def forward(ctx, x, weight, bias, options, step, layer):
        ctx.save_for_backward(x, weight)
        ctx.options, ctx.step, ctx.layer, ctx.has_bias = options, step, layer, bias is not None
        return torch.convolution(x, weight, bias, *options)

    @staticmethod
    def backward(ctx, gradient):
        x, weight = ctx.saved_tensors
        axes = tuple(range(2, gradient.dim()))

        def kernel(samples, wanted):
            rows, image = (gradient, x) if samples is None else (gradient[samples], x[samples])
            return torch.ops.aten.convolution_backward(rows, image, weight, None, *ctx.options, wanted)

        into = kernel(None, [True, False, False])[0] if ctx.needs_input_grad[0] else None
        total = None
        for group, samples in ctx.step.groups.items():
            part = kernel(samples, [False, True, False])[1]
            ctx.step.add(ctx.layer, group, part)
            total = part if total is None else total + part
        bias = gradient.sum(dim=(0, *axes)) if ctx.has_bias else None
        return into, total, bias, None, None, None


class GroupedRNN(torch.autograd.Function):
    """One layer and direction of nn.RNN, forward and backward in time by hand.

    The library's own kernel runs the graph of every time step; this one does not.
    """

    @staticmethod
    def forward(ctx, x, weight_ih, weight_hh, bias_ih, bias_hh, start, module, layer, reverse, step, name):
        parameters = {kind: value.detach() for kind, value in module.named_parameters()}
        # Saved only so that autograd refuses a backward pass after one of them was changed in place.
        ctx.save_for_backward(x, weight_ih, weight_hh)
        ctx.run = run_pass(module, parameters, layer, reverse, x, [start])
        ctx.step, ctx.names = step, (f"{name}weight_ih_{ctx.run.suffix}", f"{name}weight_hh_{ctx.run.suffix}")
        # A copy: the caller may write into it, and an output held by its own graph would never be freed.
        hidden = ctx.run.hidden
        return (hidden.flip(1) if reverse else hidden.clone()), hidden[:, -1].clone()

    @staticmethod
    def backward(ctx, gradient, final):
        run, step, _ = ctx.run, ctx.step, ctx.saved_tensors
        run.backward(run.in_time(gradient), [final])
        adjoints, totals = run.input_adjoints, [None, None]
        for group, samples in step.groups.items():
            rows = _rows(samples, adjoints).mT
            for position, inputs in enumerate((run.inputs, run.previous)):
                part = rows @ _rows(samples, inputs)
                step.add(ctx.names[position], group, part)
                totals[position] = part if totals[position] is None else totals[position] + part
        into = run.in_time(adjoints @ run.weight_ih) if ctx.needs_input_grad[0] else None
        bias = adjoints.sum(dim=(0, 1)) if run.module.bias else None
        start = adjoints[:, 0] @ run.weight_hh if ctx.needs_input_grad[5] else None
        return into, *totals, bias, bias, start, None, None, None, None, None


class Divided(torch.autograd.Function):
    """The samples of each group apart, (t, n_g, p) each; the library's own way back would add into zeros."""

    @staticmethod
    def forward(ctx, x, samples):
        ctx.samples = samples
        return _divided(samples, x)

    @staticmethod
    def backward(ctx, *gradients):
        return _merged(ctx.samples, gradients), None


class Merged(torch.autograd.Function):
    """What was divided, (t, n, p) together again."""

    @staticmethod
    def forward(ctx, samples, *parts):
        ctx.samples = samples
        return _merged(samples, parts)

    @staticmethod
    def backward(ctx, gradient):
        return None, *_divided(ctx.samples, gradient)


def _rows(samples, sequence):
    """Rows of some samples of (n, t, p), time first, which is how adjoints lie in memory: (t n_g, p)."""
    whole = sequence.transpose(0, 1)
    return (whole[:, samples] if isinstance(samples, slice) else whole.index_select(1, samples)).flatten(0, 1)


def _divided(samples, whole):
    copy = torch.contiguous_format
    return tuple(
        whole[:, part].clone(memory_format=copy) if isinstance(part, slice) else whole.index_select(1, part)
        for part in samples
    )


def _merged(samples, parts):
    first = parts[0]
    whole = first.new_empty(first.shape[0], sum(map(count, samples)), *first.shape[2:])
    for places, part in zip(samples, parts, strict=True):
        if isinstance(places, slice):
            whole[:, places] = part
        else:
            whole.index_copy_(1, places, part)
    return whole


def grouped_forward(module: nn.Module, name: str, step: GroupedStep):
    """A forward pass for `module` that leaves its group gradients in `step`; None where there is none.

    For a call that it does not serve (another shape, one row a sample, a frozen weight, mixed precision,
    dropout between recurrent layers) it returns None.
    """
    kind = next((kind for kind in _FORWARDS if type(module) in kind), None)
    if kind is None:
        return None
    return _FORWARDS[kind](module, name, step)


def _linear(module, name, step):
    def forward(x):
        if x.dim() < 3 or x.shape[0] != step.samples or _refused(module, x):
            return None
        return GroupedLinear.apply(x, module.weight, module.bias, step, name)

    return forward


def _convolution(module, name, step):
    zeros = [0] * len(module.kernel_size)
    plain = module.padding_mode == "zeros" and not isinstance(module.padding, str)
    mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
    options = (list(module.stride), list(module.padding) if plain else zeros, list(module.dilation), False, zeros)

    def forward(x):
        if x.dim() != len(module.kernel_size) + 2 or x.shape[0] != step.samples or _refused(module, x):
            return None
        if not plain:
            x = nn.functional.pad(x, module._reversed_padding_repeated_twice, mode=mode)
        return GroupedConvolution.apply(x, module.weight, module.bias, (*options, module.groups), step, name)

    return forward


def _rnn(module, name, step):
    prefix = f"{name}." if name else ""

    def forward(x, hx=None):
        if not _serves(module, x, step) or module.dropout:
            return None
        x = x if module.batch_first else x.transpose(0, 1)
        directions = (False, True) if module.bidirectional else (False,)
        finals = []
        for layer in range(module.num_layers):
            outputs = []
            for reverse in directions:
                suffix = f"_l{layer}" + ("_reverse" if reverse else "")
                kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
                weights = [getattr(module, f"{kind}{suffix}", None) for kind in kinds]
                start = x.new_zeros(len(x), module.hidden_size) if hx is None else hx[len(finals)]
                hidden, final = GroupedRNN.apply(x, *weights, start, module, layer, reverse, step, prefix)
                outputs.append(hidden)
                finals.append(final)
            x = torch.cat(outputs, dim=-1) if len(outputs) > 1 else outputs[0]
        return (x if module.batch_first else x.transpose(0, 1)), torch.stack(finals)

    return forward


def _gated(module, name, step):
    """LSTM and GRU: the library's fused kernel, run on each group with a copy of the weights of its own."""
    prefix = f"{name}." if name else ""
    lstm = isinstance(module, nn.LSTM)

    def forward(x, hx=None):
        if not _serves(module, x, step) or (module.dropout and module.training):
            return None
        samples = tuple(step.groups.values())
        parts = Divided.apply(x.transpose(0, 1) if module.batch_first else x, samples)
        states = None
        if hx is not None:
            states = list(zip(*(Divided.apply(state, samples) for state in (hx if lstm else [hx])), strict=True))
        outputs, finals = [], []
        for position, group in enumerate(step.groups):
            weights = []
            for parameter in module._flat_weights_names:
                # A view is the same numbers and a node of its own: what reaches it is this group's part.
                weight = getattr(module, parameter).view_as(getattr(module, parameter))
                if parameter.startswith("weight"):
                    weight.register_hook(_leave(step, f"{prefix}{parameter}", group))
                weights.append(weight)
            if states is None:
                rows = (module.num_layers * (2 if module.bidirectional else 1), count(samples[position]))
                start = [x.new_zeros(*rows, module.proj_size or module.hidden_size)]
                start += [x.new_zeros(*rows, module.hidden_size)] if lstm else []
            else:
                start = list(states[position])
            kernel = _VF.lstm if lstm else _VF.gru
            result = kernel(
                parts[position],
                start if lstm else start[0],
                weights,
                module.bias,
                module.num_layers,
                0.0,
                module.training,
                module.bidirectional,
                False,
            )
            outputs.append(result[0])
            finals.append(result[1:])
        output = Merged.apply(samples, *outputs)
        output = output.transpose(0, 1) if module.batch_first else output
        last = [Merged.apply(samples, *parts) for parts in zip(*finals, strict=True)]
        return output, tuple(last) if lstm else last[0]

    return forward


def _serves(module, x, step: GroupedStep) -> bool:
    if not isinstance(x, torch.Tensor) or x.dim() != 3 or _refused(module, x):
        return False
    return x.shape[0 if module.batch_first else 1] == step.samples


def _refused(module, x) -> bool:
    if torch.is_autocast_enabled(x.device.type):
        return True
    return not all(parameter.requires_grad for parameter in module._parameters.values() if parameter is not None)


def _leave(step: GroupedStep, layer: str, group: str):
    def hook(gradient):
        step.add(layer, group, gradient)

    return hook


_FORWARDS = {
    (nn.Linear,): _linear,
    (nn.Conv1d, nn.Conv2d, nn.Conv3d): _convolution,
    (nn.RNN,): _rnn,
    (nn.LSTM, nn.GRU): _gated,
}
