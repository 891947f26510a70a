"""The monitor's tables: one part an epoch, and a form in which a checkpoint can hold them."""

import numpy as np
import pyarrow as pa
import torch

from autospec.tables import ALIGNMENTS, DIRECTIONS, LABELINGS, SPECTRA

SCHEMAS = {"spectra": SPECTRA, "labelings": LABELINGS, "directions": DIRECTIONS, "alignments": ALIGNMENTS}


class Record:
    """Tables that grow by a part an epoch."""

    def __init__(self):
        self._parts: dict[str, list[pa.Table]] = {name: [] for name in SCHEMAS}

    def add(self, name: str, part: pa.Table) -> None:
        """Take one epoch's part of one table."""
        if len(part):
            self._parts[name].append(part)

    def table(self, name: str) -> pa.Table:
        """All parts of one table together."""
        parts = self._parts[name]
        return pa.concat_tables(parts).unify_dictionaries() if parts else SCHEMAS[name].empty_table()

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The tables as bytes, (n,) uint8 each, which ``torch.load`` reads with ``weights_only``."""
        return {name: _to_bytes(self.table(name)) for name in SCHEMAS}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Go on from `state_dict`'s state."""
        self.__init__()
        for name, data in state.items():
            with pa.ipc.open_stream(pa.py_buffer(data.numpy())) as reader:
                self.add(name, reader.read_all())


def _to_bytes(table: pa.Table) -> torch.Tensor:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return torch.from_numpy(np.frombuffer(sink.getvalue(), dtype=np.uint8).copy())
