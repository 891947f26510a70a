"""One file a layer type. Each says which weights it has and what they saw in a call.

A layer file holds a class with

- ``types``: the module classes it serves, exactly these and not what is derived from them
  with another forward pass;
- ``refusal(module)``: why a module cannot be observed, or None;
- ``weights(module)``: its weight matrices by name, "" where it has one;
- ``before(module)`` and ``after(call, arguments, output)``: what it must see of the forward pass;
- ``factors(call, samples)``: the Factors of each weight in one call, by the same names.
"""

from torch import nn

from autospec.spectra.layers.attention import Attention
from autospec.spectra.layers.convolution import Convolution
from autospec.spectra.layers.embedding import Embedding
from autospec.spectra.layers.linear import Linear
from autospec.spectra.layers.recurrent import Recurrent

_KINDS = (Linear, Convolution, Recurrent, Attention, Embedding)


def kind_of(module: nn.Module):
    """The class that serves a module, or None."""
    return next((kind for kind in _KINDS if type(module) in kind.types), None)
