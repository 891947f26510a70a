"""One file a layer type: which weights it has, and what they saw in a call (see `kind.Kind`)."""

from torch import nn

from autospec.spectra.layers.attention import Attention
from autospec.spectra.layers.convolution import Convolution
from autospec.spectra.layers.embedding import Embedding
from autospec.spectra.layers.kind import Kind
from autospec.spectra.layers.linear import Linear
from autospec.spectra.layers.recurrent import Recurrent

_KINDS = (Linear, Convolution, Recurrent, Attention, Embedding)


def kind_of(module: nn.Module) -> type[Kind] | None:
    """The layer type of a module, or None."""
    return next((kind for kind in _KINDS if type(module) in kind.types), None)
