"""NumPy's BLAS held to one thread while spectra are solved.

Products of small matrices gain nothing from more, and its threads, which spin while they wait, would take the
cores from the training. `torch.set_num_threads` does not reach them.
"""

import functools
import threading

import threadpoolctl


class OneThread:
    """``with OneThread():`` on any number of threads at once; when the last has left, all is as it was."""

    _lock = threading.Lock()
    _inside = 0
    _limit: object

    def __enter__(self):
        with OneThread._lock:
            if not OneThread._inside:
                OneThread._limit = _libraries().limit(limits=1, user_api="blas")
                OneThread._limit.__enter__()
            OneThread._inside += 1

    def __exit__(self, *_):
        with OneThread._lock:
            OneThread._inside -= 1
            if not OneThread._inside:
                OneThread._limit.__exit__(None, None, None)


@functools.cache
def _libraries() -> threadpoolctl.ThreadpoolController:
    return threadpoolctl.ThreadpoolController()
