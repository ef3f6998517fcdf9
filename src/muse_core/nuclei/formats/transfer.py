"""A NucleusFile as bytes, to hand it from one process to another: an Arrow stream."""

from __future__ import annotations

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa

from muse_core.nuclei.formats.facts import facts_from_json, facts_of, facts_to_json
from muse_core.nuclei.nucleus_file import NucleusFile
from muse_core.nuclei.table import NUCLEUS_COLUMNS

_FACTS = b"facts"
_NOTES = b"notes"


def to_bytes(content: NucleusFile) -> memoryview:
    """Return a NucleusFile as bytes; each text is in them once, however often it occurs."""
    columns = {}
    for name in NUCLEUS_COLUMNS:
        values = content.table[name].to_numpy()
        if values.dtype == object:
            codes, texts = pd.factorize(values)
            columns[name] = pa.DictionaryArray.from_arrays(
                codes.astype(np.int32), pa.array(texts, pa.large_string())
            )
        else:
            columns[name] = pa.array(values)
    facts = orjson.dumps(facts_to_json(facts_of(content)))
    notes = orjson.dumps(content.notes)
    table = pa.table(columns).replace_schema_metadata({_FACTS: facts, _NOTES: notes})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return memoryview(sink.getvalue())


def from_bytes(data: memoryview) -> NucleusFile:
    """Return what :func:`to_bytes` was given; the table was checked on the other side."""
    with pa.ipc.open_stream(pa.py_buffer(data)) as reader:
        table = reader.read_all().combine_chunks()
    columns = {}
    for name in NUCLEUS_COLUMNS:
        column = table.column(name)
        if pa.types.is_dictionary(column.type):
            columns[name] = _texts(column)
        else:
            columns[name] = column.to_numpy().copy()
    facts = facts_from_json(table.schema.metadata[_FACTS])
    notes = tuple(orjson.loads(table.schema.metadata[_NOTES]))
    frame = pd.DataFrame(columns, columns=list(NUCLEUS_COLUMNS))
    return facts.with_table(frame, notes)


def _texts(column: pa.ChunkedArray) -> np.ndarray:
    if not len(column):
        return np.zeros(0, dtype=object)
    chunk = column.chunk(0)
    result: np.ndarray = np.array(chunk.dictionary.to_pylist(), dtype=object)[
        chunk.indices.to_numpy()
    ]
    return result
