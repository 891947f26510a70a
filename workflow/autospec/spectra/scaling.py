"""The two scales of a spectrum."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def mean_scale(table: pa.Table) -> pa.Table:
    """Spectra of each group's own mean loss, from those of its contribution to the batch's.

    With a loss that is a mean over the batch, a group's adjoints carry 1 / N for the N samples of
    the batch. Times N / n_g, with the epoch's means of N and n_g, they carry 1 / n_g. Activations
    have no such factor and stay as they are; so do weights and updates, which have no groups.

    Parameters
    ----------
    table : pyarrow.Table
        In the schema ``autospec.tables.SPECTRA``.

    Returns
    -------
    pyarrow.Table
        The same schema. The group `all` is unchanged.
    """
    scaled = pc.is_in(table["quantity"].cast(pa.string()), pa.array(["adjoint", "gradient"]))
    per_step = pc.divide(table["n"].cast(pa.float64()), table["steps"].cast(pa.float64()))
    factors = pc.if_else(scaled, pc.divide(table["batch"], per_step), 1.0).to_pylist()
    for name in ("singular_values", "singular_values_sd"):
        column = table[name].combine_chunks()
        lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False)
        values = column.flatten().to_numpy() * np.repeat(factors, lengths)
        offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
        rebuilt = pa.ListArray.from_arrays(offsets, pa.array(values, pa.float32()))
        table = table.set_column(table.schema.get_field_index(name), table.field(name), rebuilt.cast(column.type))
    return table
