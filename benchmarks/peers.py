"""Other libraries that look into a training step, where they are installed.

They give per-sample gradients (Cockpit: statistics of them) and neither group gradients nor
spectra, which would cost more on top. requirements.txt has their versions and licences.
"""

import torch
from torch import nn
from ways import Plain


class Opacus(Plain):
    """Per-sample gradients by hooks; recurrent layers are replaced by the library's own."""

    def prepare(self):
        from opacus.grad_sample import GradSampleModule
        from opacus.layers import DPRNN
        from opacus.validators import ModuleValidator

        for name, module in list(self.model.named_children()):
            if type(module) is nn.RNN:  # which the validator does not replace
                own = DPRNN(module.input_size, module.hidden_size, batch_first=module.batch_first)
                own.load_state_dict(module.state_dict())
                setattr(self.model, name, own)
        self.model = GradSampleModule(ModuleValidator.fix(self.model))

    def step(self, x, y, labels):
        super().step(x, y, labels)
        self.forget()

    def forget(self):
        for parameter in self.model.parameters():
            parameter.grad_sample = None

    def sample_gradients(self, x, y):
        self.criterion(self.model(x), y).backward()
        found = [parameter.grad_sample / len(x) for parameter in self.model.parameters()]
        self.forget()
        return found


class BackPACK(Plain):
    """Per-sample gradients by an extended backward pass (BatchGrad)."""

    def prepare(self):
        import backpack
        from backpack.extensions import BatchGrad

        self.model, self.criterion = backpack.extend(self.model), backpack.extend(self.criterion)
        self.extended = lambda: backpack.backpack(BatchGrad())

    def backward(self, x, y, labels):
        with self.extended():
            super().backward(x, y, labels)

    def step(self, x, y, labels):
        super().step(x, y, labels)
        for parameter in self.model.parameters():
            del parameter.grad_batch

    def sample_gradients(self, x, y):
        self.backward(x, y, None)
        return [parameter.grad_batch for parameter in self.model.parameters()]


class Vmap(Plain):
    """Per-sample gradients by torch.func: vmap of grad; their mean is the gradient."""

    def prepare(self):
        from torch.func import functional_call, grad, vmap

        def loss(parameters, x, y):
            return self.criterion(functional_call(self.model, parameters, (x[None],)), y[None])

        self.gradients = vmap(grad(loss), in_dims=(None, 0, 0))

    def backward(self, x, y, labels):
        parameters = dict(self.model.named_parameters())
        gradients = self.gradients({name: value.detach() for name, value in parameters.items()}, x, y)
        for name, gradient in gradients.items():
            parameters[name].grad = gradient.mean(dim=0)
        return gradients

    def sample_gradients(self, x, y):
        return [gradient / len(x) for gradient in self.backward(x, y, None).values()]


class Cockpit(Plain):
    """Its instruments GradNorm and GradHist1d at every step."""

    def prepare(self):
        import backpack
        from cockpit import Cockpit
        from cockpit.quantities import GradHist1d, GradNorm
        from cockpit.utils.schedules import linear

        self.model, self.criterion = backpack.extend(self.model), backpack.extend(self.criterion)
        self.individual = torch.nn.CrossEntropyLoss(reduction="none")
        self.cockpit = Cockpit(
            self.model.parameters(), quantities=[GradNorm(linear(1)), GradHist1d(linear(1))]
        )
        self.steps = 0

    def backward(self, x, y, labels):
        output = self.model(x)
        loss, losses = self.criterion(output, y), self.individual(output, y).detach()
        information = {
            "batch_size": len(x),
            "individual_losses": losses,
            "loss": loss,
            "optimizer": self.optimizer,
        }
        with self.cockpit(self.steps, info=information):
            loss.backward(create_graph=self.cockpit.create_graph(self.steps))
        self.steps += 1

    def end_epoch(self):
        self.cockpit.output.clear()


PEERS = {
    "Opacus: per-sample gradients": Opacus,
    "BackPACK: per-sample gradients": BackPACK,
    "torch.func vmap(grad): per-sample gradients": Vmap,
    "Cockpit: GradNorm, GradHist1d": Cockpit,
}
#: The package behind each, to tell what is not installed from what is not supported.
PACKAGES = dict(zip(PEERS, ("opacus", "backpack", "torch", "cockpit"), strict=True))


def check(peer: Plain, model: nn.Module, batch: tuple) -> None:
    """See that a peer's per-sample gradients sum to the gradient of a plain step of `model`.

    Their norm is compared, over all parameters, since a peer may name these otherwise.

    Raises
    ------
    ValueError
        If they do not.
    """
    if not hasattr(peer, "sample_gradients"):
        return
    x, y, _ = batch
    found = sum(float(part.sum(dim=0).square().sum()) for part in peer.sample_gradients(x, y)) ** 0.5
    plain = Plain(model)
    plain.criterion(plain.model(x), y).backward()
    wanted = sum(float(parameter.grad.square().sum()) for parameter in plain.model.parameters()) ** 0.5
    peer.optimizer.zero_grad()
    if abs(found - wanted) > 1e-3 * wanted:
        raise ValueError(f"its per-sample gradients sum to a gradient of norm {found:.3e}, not {wanted:.3e}")
