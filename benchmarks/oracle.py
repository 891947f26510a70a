"""Group gradients and their spectra in float64, by means that share nothing with the library.

What each layer was given, and the gradient that came back to it, are recorded. A float64 copy of
the layer is then run on the samples of one group, and backwards from their recorded gradients:
autograd gives the group's weight gradient, and LAPACK its singular values.
"""

import copy

import numpy as np
import torch
from torch import nn


def reference(model: nn.Module, criterion, batch) -> dict[tuple[str, str], np.ndarray]:
    """Singular values of each group's gradient and of everyone's, `all`, in every layer.

    Returns
    -------
    dict
        (layer, group) to float64 singular values. A layer is named by its module, or where it has
        several weight matrices by their names.
    """
    x, y, labels = batch
    model = copy.deepcopy(model)
    seen = {}
    for name, module in model.named_modules():
        if any(weight.dim() > 1 for weight in module.parameters(recurse=False)) and not list(
            module.children()
        ):
            module.register_forward_hook(_record(seen, name))
    criterion(model(x), y).backward()
    names = np.array(labels)
    groups = {str(name): torch.from_numpy(names == name) for name in np.unique(names)}
    groups["all"] = torch.ones(len(names), dtype=torch.bool)
    spectra = {}
    for name, (module, inputs, output) in seen.items():
        double = copy.deepcopy(module).double()
        for group, chosen in groups.items():
            double.zero_grad()
            _first(double(inputs[chosen].double())).backward(output.grad[chosen].double())
            for weight, parameter in double.named_parameters():
                if parameter.dim() > 1:
                    layer = name if weight == "weight" else f"{name}.{weight}"
                    spectra[layer, group] = torch.linalg.svdvals(parameter.grad.flatten(1)).numpy()
    return spectra


def worst_error(spectra: dict, wanted: dict) -> float:
    """Largest difference of a singular value over the largest value of its spectrum, over layers and groups.

    The spectra of `all`, everyone together, need not be there.
    """
    groups = {group for _, group in spectra}
    keys = {key for key in wanted if key[1] in groups}
    if set(spectra) != keys or not groups >= {group for _, group in wanted} - {"all"}:
        raise AssertionError(f"spectra of {sorted(spectra)}, wanted {sorted(wanted)}")
    return max(float(np.abs(spectra[key] - wanted[key]).max() / wanted[key][0]) for key in keys)


def _record(seen: dict, name: str):
    def hook(module, arguments, output):
        first = _first(output)
        first.retain_grad()
        seen[name] = (module, arguments[0].detach(), first)

    return hook


def _first(output):
    return output if torch.is_tensor(output) else output[0]
