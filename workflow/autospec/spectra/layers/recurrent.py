"""nn.RNN, LSTM and GRU: adjoints replayed from what a fused kernel lets one see.

Fused recurrent kernels hide the gates. But the hidden states of the last layer are its output, and
from a layer's inputs and hidden states all gates come in one product; then follows the reverse
recursion from the gradient that reached the output. Layers below the last are run again for theirs.
Where only gradients are asked for, an LSTM's own kernel is run again on each group's samples, forward and
backward, which on a processor costs less than a replay.
Indices: n samples, t time steps, p inputs, h hidden units, k gates a unit (1, 4 or 3).
"""

import torch
from torch import _VF, nn

from autospec.spectra.call import Call, NotObserved
from autospec.spectra.factors import AnyFactors, Factors
from autospec.spectra.layers.kind import Kind


class Recurrent(Kind):
    """Input-hidden and hidden-hidden weights (and an LSTM's projection), each a layer of its own."""

    types = (nn.RNN, nn.LSTM, nn.GRU)

    @staticmethod
    def refusal(module):
        if module.dropout and module.num_layers > 1 and next(module.parameters()).is_cuda:
            return "dropout between recurrent layers draws its masks inside cuDNN, where they cannot be had"
        return None

    @staticmethod
    def weights(module):
        return {name: weight for name, weight in module.named_parameters(recurse=False) if name.startswith("weight")}

    @staticmethod
    def before(module):
        # Dropout between the layers is drawn inside the kernel; from the same state it is drawn again.
        return {"random": torch.get_rng_state()} if module.dropout and module.training else {}

    @staticmethod
    def after(call, arguments, output):
        if not isinstance(output[0], torch.Tensor):
            raise NotObserved("it was called with a PackedSequence; pad the sequences instead")
        # Copies, since the optimiser writes the next weights into these.
        call.extra["output"] = output[0].detach()
        call.extra["version"] = output[0]._version
        call.extra["parameters"] = {name: value.detach().clone() for name, value in call.module.named_parameters()}

    @staticmethod
    def factors(call: Call, samples: int) -> dict[str, Factors]:
        replay = _Replay(call, samples)
        if "random" in call.extra:
            # The generator is the training thread's own, so its masks are drawn again here and now.
            with torch.random.fork_rng(devices=[]):
                torch.set_rng_state(call.extra["random"])
                return replay.factors()
        return {name: _Replayed(replay, name) for name in replay.weights}


class _Replay:
    """One call, to be run again when its factors are first asked for, perhaps on another thread."""

    def __init__(self, call: Call, samples: int):
        self.module = call.module
        self.batched = call.arguments[0].dim() == 3
        self.parameters = call.extra["parameters"]
        self.weights = {name: value for name, value in self.parameters.items() if name.startswith("weight")}
        self.inputs, self.returned = self._sample_first(call.arguments[0]), self._sample_first(call.gradients[0])
        # Whoever changes the output in place takes the hidden states away; they are computed again then.
        unchanged = call.extra["output"]._version == call.extra["version"]
        self.output = self._sample_first(call.extra["output"]) if unchanged else None
        self.initial, self.final = self._states(call.arguments[1:]), self._states(call.gradients[1:])
        self.reached = any(part is not None for part in call.gradients)
        self._factors: dict[str, Factors] | None = None
        self._gradients: list[tuple[torch.Tensor, dict[str, torch.Tensor]]] = []
        if len(self.inputs) != samples:
            raise NotObserved(f"it was called with {len(self.inputs)} sequences, but the step has {samples} samples")

    def _sample_first(self, sequence):
        if sequence is None:
            return None
        if not self.batched:
            return sequence.unsqueeze(0)
        return sequence if self.module.batch_first else sequence.transpose(0, 1)

    def _states(self, tensors):
        return [None if tensor is None else tensor if self.batched else tensor.unsqueeze(1) for tensor in tensors]

    def factors(self) -> dict[str, Factors]:
        if self._factors is None:
            with torch.no_grad():
                self._factors = self._run()
        return self._factors

    def gradient(self, name: str, samples: torch.Tensor) -> torch.Tensor:
        """Gradient of one weight from `samples` alone, (q, p); of all weights at once where the kernel gives it."""
        if self._factors is not None or type(self.module) is not nn.LSTM or self.inputs.is_cuda:
            return self.factors()[name].gradient(samples)
        for known, gradients in self._gradients:
            if torch.equal(known, samples):
                return gradients[name]
        self._gradients.append((samples, self._by_kernel(samples)))
        return self._gradients[-1][1][name]

    def _by_kernel(self, samples: torch.Tensor) -> dict[str, torch.Tensor]:
        """Gradients of all weights from `samples` alone, by the library's own kernel and its backward pass."""
        module, inputs = self.module, self.inputs[samples]
        directions = module.num_layers * (2 if module.bidirectional else 1)
        start = [state[:, samples] for state in self.initial]
        if not start:
            sizes = (module.proj_size or module.hidden_size, module.hidden_size)
            start = [inputs.new_zeros(directions, len(samples), size) for size in sizes]
        with torch.enable_grad():
            parameters = {name: value.detach().requires_grad_() for name, value in self.parameters.items()}
            flat = [parameters[name] for name in module._flat_weights_names]
            outputs = _VF.lstm(
                inputs, start, flat, module.bias, module.num_layers, 0.0, True, module.bidirectional, True
            )
        given = [None if self.returned is None else self.returned[samples]]
        given += [None if state is None else state[:, samples] for state in self.final]
        reached = [(output, part) for output, part in zip(outputs, given, strict=False) if part is not None]
        names = list(self.weights)
        gradients = torch.autograd.grad(
            [output for output, _ in reached],
            [parameters[name] for name in names],
            [part for _, part in reached],
            materialize_grads=True,
        )
        return dict(zip(names, gradients, strict=True))

    def _run(self) -> dict[str, Factors]:
        module, inputs, gradient = self.module, self.inputs, self.returned
        directions = (False, True) if module.bidirectional else (False,)
        layers, masks = [], []
        for layer in range(module.num_layers):
            masks.append(None)
            if layer and module.dropout and module.training:
                # The kernel's masks are drawn in its own order, time first.
                drawn = nn.functional.dropout(torch.ones_like(inputs.transpose(0, 1)).contiguous(), module.dropout)
                masks[-1] = drawn.transpose(0, 1)
                inputs = inputs * masks[-1]
            passes = []
            for reverse in directions:
                start = [state[len(directions) * layer + reverse] for state in self.initial]
                known = None
                if layer == module.num_layers - 1 and self.output is not None:
                    known = self.output.chunk(len(directions), dim=-1)[reverse]
                passes.append(run_pass(module, self.parameters, layer, reverse, inputs, start, known))
            layers.append(passes)
            inputs = torch.cat([run.in_time(run.hidden) for run in passes], dim=-1)
        factors = {}
        for layer in reversed(range(module.num_layers)):
            below = None
            for run in layers[layer]:
                if self.reached:
                    size = run.hidden.shape[-1]
                    own = None if gradient is None else gradient[..., run.reverse * size : (run.reverse + 1) * size]
                    own = torch.zeros_like(run.hidden) if own is None else run.in_time(own)
                    position = len(directions) * layer + run.reverse
                    run.backward(own, [None if state is None else state[position] for state in self.final])
                    if layer:
                        into = run.in_time(run.input_adjoints @ run.weight_ih)
                        below = into if below is None else below + into
                factors |= run.factors()
            gradient = below if masks[layer] is None or below is None else below * masks[layer]
        return factors


class _Replayed(AnyFactors):
    """One weight's factors in a replay that may be still to come."""

    holds_rows = True

    def __init__(self, replay: _Replay, name: str):
        self._replay, self._name = replay, name
        self.bias = replay.module.bias and not name.startswith("weight_hr")
        self.trained = getattr(replay.module, name).requires_grad
        self.rank = min(replay.weights[name].shape)

    @property
    def reached(self) -> bool:
        return self._replay.reached

    @property
    def device(self) -> torch.device:
        return self._replay.inputs.device

    @property
    def inputs(self) -> torch.Tensor:
        return self._replay.factors()[self._name].inputs

    @property
    def adjoints(self) -> torch.Tensor | None:
        return self._replay.factors()[self._name].adjoints

    def gradient(self, samples: torch.Tensor) -> torch.Tensor:
        return self._replay.gradient(self._name, samples)

    def sample_gradients(self, with_bias: bool) -> torch.Tensor:
        return self._replay.factors()[self._name].sample_gradients(with_bias)


class _Pass:
    """One layer in one direction: what its weights saw, in the order in which it read the sequence.

    `known` are its hidden states in time order, (n, t, h), where one has them.
    """

    def __init__(self, module, parameters: dict, layer: int, reverse: bool, inputs: torch.Tensor, start: list, known):
        self.module, self.parameters, self.reverse = module, parameters, reverse
        self.suffix = f"l{layer}" + ("_reverse" if reverse else "")
        self.inputs = self.in_time(inputs)
        self.weight_ih, self.weight_hh = self.parameter("weight_ih"), self.parameter("weight_hh")
        self.bias_ih, self.bias_hh = self.parameter("bias_ih"), self.parameter("bias_hh")
        size = module.proj_size or module.hidden_size
        self.start = start[0] if start else inputs.new_zeros(len(inputs), size)
        self.input_adjoints = self.hidden_adjoints = None
        self.hidden = self.run(start) if known is None else self.in_time(known)
        self.previous = torch.cat([self.start.unsqueeze(1), self.hidden[:, :-1]], dim=1)
        self.gate(start)

    def run(self, start: list) -> torch.Tensor:
        """Hidden states by the library's own kernel: (n, t, h)."""
        kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
        weights = [self.parameter(kind) for kind in kinds if self.parameter(kind) is not None]
        lstm = isinstance(self.module, nn.LSTM)
        units = (1, len(self.inputs), self.module.hidden_size)
        states = [state.unsqueeze(0).contiguous() for state in start] or [self.start.unsqueeze(0)]
        if lstm and not start:
            states.append(self.inputs.new_zeros(units))
        kernel = _VF.lstm if lstm else _VF.gru
        given = states if lstm else states[0]
        return kernel(self.inputs, given, weights, self.module.bias, 1, 0.0, False, False, True)[0]

    def gate(self, start: list) -> None:
        """Take from inputs and hidden states what the way back needs."""

    def in_time(self, sequence: torch.Tensor) -> torch.Tensor:
        """From time order to the order of reading, or back."""
        return sequence.flip(1) if self.reverse else sequence

    def parameter(self, kind: str) -> torch.Tensor | None:
        return self.parameters.get(f"{kind}_{self.suffix}")

    def factors(self) -> dict[str, Factors]:
        bias = self.module.bias
        parts = {
            "weight_ih": Factors(self.inputs, self.input_adjoints, bias),
            "weight_hh": Factors(self.previous, self.hidden_adjoints, bias),
        }
        named = {f"{kind}_{self.suffix}": part for kind, part in (parts | self.more_factors()).items()}
        for name, part in named.items():
            part.trained = getattr(self.module, name).requires_grad
        return named

    def more_factors(self) -> dict[str, Factors]:
        return {}


class _RNNPass(_Pass):
    """h_t = act(x_t W_ih^T + h_{t-1} W_hh^T + b); run by hand, which is faster than the library's kernel.

    As in an LSTM's, time comes first in memory, all views are made before the loops, and every step writes into
    what is there already.
    """

    def run(self, start):
        bias = None if self.bias_ih is None else self.bias_ih + self.bias_hh
        hidden = nn.functional.linear(self.inputs.transpose(0, 1), self.weight_ih, bias)
        act = torch.relu_ if self.module.nonlinearity == "relu" else torch.tanh_
        weight, before = self.weight_hh.mT, self.start
        for now in hidden.unbind(0):
            before = act(now.addmm_(before, weight))
        return hidden.transpose(0, 1)

    def backward(self, gradient, final):
        hidden = self.hidden.transpose(0, 1)
        slope = (hidden > 0).to(gradient.dtype) if self.module.nonlinearity == "relu" else 1 - hidden**2
        adjoints = gradient.transpose(0, 1).clone(memory_format=torch.contiguous_format)
        each, slopes = adjoints.unbind(0), slope.unbind(0)
        if final and final[0] is not None:
            each[-1].add_(final[0])
        each[-1].mul_(slopes[-1])
        for time in reversed(range(len(each) - 1)):
            each[time].addmm_(each[time + 1], self.weight_hh).mul_(slopes[time])
        self.input_adjoints = self.hidden_adjoints = adjoints.transpose(0, 1)


class _LSTMPass(_Pass):
    """Gates i, f, g, o, stacked in this order as in the weights; a projection of h where there is one.

    Time comes first in memory, and all views are made before the loops: a step in time is a few small
    operations, which cost their calls.
    """

    def gate(self, start):
        bias = None if self.bias_ih is None else self.bias_ih + self.bias_hh
        raw = nn.functional.linear(self.inputs.transpose(0, 1), self.weight_ih, bias)
        raw.flatten(0, 1).addmm_(self.previous.transpose(0, 1).flatten(0, 1), self.weight_hh.mT)
        raw = raw.unflatten(-1, (4, -1))
        self.gates = torch.sigmoid(raw)
        torch.tanh(raw[:, :, 2], out=self.gates[:, :, 2])
        i, f, g, _ = self.gates.unbind(2)
        self.cells = torch.zeros(len(i) + 1, *i.shape[1:], dtype=i.dtype, device=i.device)
        if start:
            self.cells[0] = start[1]
        added, kept, cells = _lists(i * g, f, self.cells)
        for time in range(len(added)):
            torch.addcmul(added[time], kept[time], cells[time], out=cells[time + 1])
        self.weight_hr = self.parameter("weight_hr")

    def backward(self, gradient, final):
        i, f, g, o = self.gates.unbind(2)
        squashed = torch.tanh(self.cells[1:])
        # Whatever does not depend on the recursion, for all time steps at once.
        to_cell = (o * (1 - squashed**2)).unbind(0)
        from_cell = torch.stack([g * i * (1 - i), self.cells[:-1] * f * (1 - f), i * (1 - g**2)], dim=2).unbind(0)
        from_state = (squashed * o * (1 - o)).unbind(0)
        steps = len(self.gates)
        adjoints, totals = torch.empty_like(self.gates), torch.empty_like(gradient.transpose(0, 1))
        inner, outer, flat = _lists(adjoints[:, :, :3], adjoints[:, :, 3], adjoints.flatten(2))
        given, total, forget = gradient.transpose(0, 1).unbind(0), totals.unbind(0), f.unbind(0)
        cell = torch.zeros_like(squashed[0])
        if len(final) > 1 and final[1] is not None:
            cell += final[1]
        beside, later = cell.unsqueeze(1), torch.zeros_like(given[0])
        if final and final[0] is not None:
            later += final[0]
        for time in reversed(range(steps)):
            torch.add(given[time], later, out=total[time])
            reached = total[time] if self.weight_hr is None else total[time] @ self.weight_hr
            cell.addcmul_(reached, to_cell[time])
            torch.mul(beside, from_cell[time], out=inner[time])
            torch.mul(reached, from_state[time], out=outer[time])
            torch.mm(flat[time], self.weight_hh, out=later)
            cell.mul_(forget[time])
        self.input_adjoints = self.hidden_adjoints = adjoints.flatten(2).transpose(0, 1)
        self.projection_adjoints = totals.transpose(0, 1)

    def more_factors(self):
        if self.weight_hr is None:
            return {}
        states = self.gates[:, :, 3] * torch.tanh(self.cells[1:])
        adjoints = None if self.input_adjoints is None else self.projection_adjoints
        return {"weight_hr": Factors(states.transpose(0, 1), adjoints, False)}


def _lists(*tensors: torch.Tensor) -> list[tuple[torch.Tensor, ...]]:
    """Views of each tensor's parts along its first dimension."""
    return [tensor.unbind(0) for tensor in tensors]


class _GRUPass(_Pass):
    """Gates r, z, n, stacked in this order; the reset gate acts on W_hn h + b_hn."""

    def gate(self, start):
        x_r, x_z, x_n = nn.functional.linear(self.inputs, self.weight_ih, self.bias_ih).chunk(3, dim=-1)
        h_r, h_z, self.recurrent = nn.functional.linear(self.previous, self.weight_hh, self.bias_hh).chunk(3, dim=-1)
        self.reset, self.update = torch.sigmoid(x_r + h_r), torch.sigmoid(x_z + h_z)
        self.new = torch.tanh(x_n + self.reset * self.recurrent)

    def backward(self, gradient, final):
        to_new = (1 - self.update) * (1 - self.new**2)
        to_update = (self.previous - self.new) * self.update * (1 - self.update)
        to_reset = self.recurrent * self.reset * (1 - self.reset)
        later = final[0] if final else None
        inputs, hiddens = [None] * gradient.shape[1], [None] * gradient.shape[1]
        for time in reversed(range(gradient.shape[1])):
            total = gradient[:, time] if later is None else gradient[:, time] + later
            new = total * to_new[:, time]
            both = torch.cat([new * to_reset[:, time], total * to_update[:, time]], dim=-1)
            inputs[time] = torch.cat([both, new], dim=-1)
            hiddens[time] = torch.cat([both, new * self.reset[:, time]], dim=-1)
            later = hiddens[time] @ self.weight_hh + total * self.update[:, time]
        self.input_adjoints, self.hidden_adjoints = torch.stack(inputs, dim=1), torch.stack(hiddens, dim=1)


def run_pass(
    module: nn.RNNBase,
    parameters: dict[str, torch.Tensor],
    layer: int,
    reverse: bool,
    inputs: torch.Tensor,
    start: list[torch.Tensor],
    known: torch.Tensor | None = None,
) -> _Pass:
    """One layer and direction: inputs (n, t, p), initial states (n, h), and hidden states (n, t, h) if known."""
    return _PASS[type(module)](module, parameters, layer, reverse, inputs, start, known)


_PASS = {nn.RNN: _RNNPass, nn.LSTM: _LSTMPass, nn.GRU: _GRUPass}
