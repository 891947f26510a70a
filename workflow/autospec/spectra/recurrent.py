"""Adjoints of RNN and LSTM weights, replayed from what a fused kernel lets one see.

Fused recurrent kernels hide the gates, so each layer and direction is run again: all gates in
one product, then the reverse recursion from the gradient that the hooks saw.
Indices: n samples, t time steps, p inputs, h hidden units, k h gate units.
"""

import torch
from torch import nn

from autospec.spectra.factors import Factors


def recurrent_factors(
    module: nn.RNNBase,
    arguments: tuple[torch.Tensor, ...],
    outputs: tuple[torch.Tensor, ...],
    gradients: list[torch.Tensor | None],
) -> dict[str, Factors]:
    """Factors of every input-hidden and hidden-hidden weight of one call.

    Parameters
    ----------
    module : nn.RNN or nn.LSTM
    arguments : input (n, t, p) or (t, n, p) or (t, p), then the initial states where given
    outputs : output, then the final states
    gradients : what came back to each of the outputs; None where nothing did

    Returns
    -------
    dict of parameter name to Factors
        Inputs (n, t, p or h) and adjoints (n, t, k h), time in order.
    """
    if type(module) not in _REPLAY or module.proj_size or (module.dropout and module.training):
        raise NotImplementedError
    directions = 2 if module.bidirectional else 1
    batched = arguments[0].dim() == 3

    def sample_first(sequence):
        if sequence is None:
            return None
        return sequence.unsqueeze(0) if not batched else sequence if module.batch_first else sequence.transpose(0, 1)

    def states(tensors):
        return [None if tensor is None else tensor if batched else tensor.unsqueeze(1) for tensor in tensors]

    inputs = sample_first(arguments[0])
    initial = states(arguments[1:])
    final = states(gradients[1:])
    reached = any(gradient is not None for gradient in gradients)
    replays, layer_inputs = [], [inputs]
    with torch.no_grad():
        for layer in range(module.num_layers):
            passes = []
            for direction in range(directions):
                position = layer * directions + direction
                weights = _weights(module, layer, direction)
                start = [state[position] for state in initial]
                sequence = layer_inputs[-1].flip(1) if direction else layer_inputs[-1]
                passes.append(_REPLAY[type(module)](module, weights, sequence, start))
            replays.append(passes)
            hidden = [run.hidden.flip(1) if direction else run.hidden for direction, run in enumerate(passes)]
            layer_inputs.append(torch.cat(hidden, dim=-1))
        factors = {}
        gradient = sample_first(gradients[0])
        for layer in reversed(range(module.num_layers)):
            below = 0.0
            for direction, run in enumerate(replays[layer]):
                position = layer * directions + direction
                suffix = f"l{layer}" + ("_reverse" if direction else "")
                adjoints = None
                if reached:
                    size = module.hidden_size
                    own = gradient if gradient is None else gradient[..., direction * size : (direction + 1) * size]
                    own = torch.zeros_like(run.hidden) if own is None else own.flip(1) if direction else own
                    end = [None if state is None else state[position] for state in final]
                    adjoints = run.adjoints(own, end)
                    into = adjoints @ run.weights[0]
                    below = below + (into.flip(1) if direction else into)
                factors[f"weight_ih_{suffix}"] = Factors(run.inputs, adjoints, module.bias)
                factors[f"weight_hh_{suffix}"] = Factors(run.previous, adjoints, module.bias)
            gradient = below if reached else None
    return factors


def _weights(module, layer, direction):
    suffix = f"_l{layer}" + ("_reverse" if direction else "")
    weight_ih, weight_hh = (getattr(module, f"weight_{part}{suffix}").detach() for part in ("ih", "hh"))
    bias = None
    if module.bias:
        bias = getattr(module, f"bias_ih{suffix}").detach() + getattr(module, f"bias_hh{suffix}").detach()
    return weight_ih, weight_hh, bias


def _start(state, sequence, size):
    return sequence.new_zeros(len(sequence), size) if state is None else state


class _ReplayRNN:
    """h_t = act(x_t W_ih^T + h_{t-1} W_hh^T + b), forward then backward in time."""

    def __init__(self, module, weights, inputs, start):
        self.weights, self.inputs = weights, inputs
        self.relu = module.nonlinearity == "relu"
        weight_ih, weight_hh, bias = weights
        projected = nn.functional.linear(inputs, weight_ih, bias)
        state = _start(start[0] if start else None, inputs, module.hidden_size)
        hidden = [state]
        for time in range(inputs.shape[1]):
            state = torch.addmm(projected[:, time], state, weight_hh.mT)
            state = state.relu() if self.relu else state.tanh()
            hidden.append(state)
        self.previous = torch.stack(hidden[:-1], dim=1)
        self.hidden = torch.stack(hidden[1:], dim=1)

    def adjoints(self, gradient, end):
        slope = (self.hidden > 0).to(gradient.dtype) if self.relu else 1 - self.hidden**2
        later, result = end[0] if end else None, [None] * gradient.shape[1]
        for time in reversed(range(gradient.shape[1])):
            total = gradient[:, time] if later is None else gradient[:, time] + later
            result[time] = total * slope[:, time]
            later = result[time] @ self.weights[1]
        return torch.stack(result, dim=1)


class _ReplayLSTM:
    """Gates i, f, g, o stacked in this order, as in the weights: k = 4."""

    def __init__(self, module, weights, inputs, start):
        self.weights, self.inputs = weights, inputs
        weight_ih, weight_hh, bias = weights
        projected = nn.functional.linear(inputs, weight_ih, bias)
        hidden_state = _start(start[0] if start else None, inputs, module.hidden_size)
        cell_state = _start(start[1] if start else None, inputs, module.hidden_size)
        hidden, cells, gates = [hidden_state], [cell_state], []
        for time in range(inputs.shape[1]):
            raw = torch.addmm(projected[:, time], hidden_state, weight_hh.mT)
            i, f, g, o = raw.chunk(4, dim=-1)
            i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
            cell_state = f * cell_state + i * g
            hidden_state = o * cell_state.tanh()
            hidden.append(hidden_state)
            cells.append(cell_state)
            gates.append(torch.stack([i, f, g, o], dim=1))
        self.previous = torch.stack(hidden[:-1], dim=1)
        self.hidden = torch.stack(hidden[1:], dim=1)
        self.gates = torch.stack(gates, dim=1)
        self.cells_before = torch.stack(cells[:-1], dim=1)
        self.cells = torch.stack(cells[1:], dim=1)

    def adjoints(self, gradient, end):
        i, f, g, o = self.gates.unbind(dim=2)
        squashed = self.cells.tanh()
        # Everything that does not depend on the recursion, for all time steps at once.
        to_cell = o * (1 - squashed**2)
        from_cell = torch.stack([g * i * (1 - i), self.cells_before * f * (1 - f), i * (1 - g**2)], dim=2)
        from_hidden = squashed * o * (1 - o)
        later = end[0] if end else None
        cell_later = end[1] if len(end) > 1 and end[1] is not None else torch.zeros_like(squashed[:, 0])
        result = [None] * gradient.shape[1]
        for time in reversed(range(gradient.shape[1])):
            total = gradient[:, time] if later is None else gradient[:, time] + later
            cell = total * to_cell[:, time] + cell_later
            rest = cell.unsqueeze(1) * from_cell[:, time]
            result[time] = torch.cat([rest.flatten(1), total * from_hidden[:, time]], dim=-1)
            later = result[time] @ self.weights[1]
            cell_later = cell * f[:, time]
        return torch.stack(result, dim=1)


_REPLAY = {nn.RNN: _ReplayRNN, nn.LSTM: _ReplayLSTM}
