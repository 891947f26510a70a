"""nn.Linear on inputs of any rank. Indices: n samples, t rows a sample, p inputs, q outputs."""

from torch import nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

from autospec.spectra.call import Call, sample_rows
from autospec.spectra.factors import Factors
from autospec.spectra.layers.kind import Kind


class Linear(Kind):
    """y = x W^T + b: A is x, (n, t, p); D is dL/dy, (n, t, q)."""

    types = (nn.Linear, NonDynamicallyQuantizableLinear)

    @staticmethod
    def factors(call: Call, samples: int) -> dict[str, Factors]:
        inputs, adjoints, module = call.arguments[0], call.gradients[0], call.module
        if inputs.dim() != 2 or len(inputs) != samples:
            inputs = sample_rows(inputs, samples, call.batch_first)
            adjoints = None if adjoints is None else sample_rows(adjoints, samples, call.batch_first)
        return {"": Factors(inputs, adjoints, module.bias is not None, module.weight.requires_grad)}
