import threadpoolctl
import torch
from torch import nn

from autospec.spectra import stacks
from autospec.spectra.monitor import SpectralMonitor
from autospec.spectra.one_thread import OneThread, _libraries


def threads():
    """Of NumPy's BLAS; SciPy may have brought one of its own since."""
    return {library["num_threads"] for library in _libraries().info() if library["user_api"] == "blas"}


def test_numpys_blas_gets_its_threads_back_when_the_last_has_left():
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        first, second = OneThread(), OneThread()
        first.__enter__()
        second.__enter__()
        first.__exit__()
        assert threads() == {1}
        second.__exit__()
        assert threads() == {2}


def test_spectra_are_solved_with_one_thread_of_numpys_blas(monkeypatch):
    met, product = [], stacks.self_product

    def counting(*arguments, **keywords):
        met.append(threads())
        return product(*arguments, **keywords)

    monkeypatch.setattr(stacks, "self_product", counting)
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        layer = nn.Linear(5, 4)
        monitor = SpectralMonitor(layer)
        for _ in range(3):
            with monitor.observe("aabb"):
                layer(torch.randn(4, 5)).square().sum().backward()
        monitor.end_epoch()
        monitor.close()
        assert threads() == {2}
    assert met and all(count == {1} for count in met)
