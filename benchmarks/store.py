"""Speed of the annotation store with a million nuclei.

python benchmarks/store.py [--nuclei 1000000]
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer

from muse_core.nuclei import ClassScheme, nucleus_table
from muse_core.nuclei.store import AnnotationStore, SlideIdentity

_SIDE_PX = 100_000.0


@contextmanager
def _timed(what: str, times: int = 1) -> Iterator[None]:
    begin, of_cpu = time.perf_counter(), time.process_time()
    yield
    wall, cpu = (time.perf_counter() - begin) / times, (time.process_time() - of_cpu) / times
    print(f"| {what} | {wall * 1000:.1f} ms | {cpu * 1000:.1f} ms |")


def main(nuclei: Annotated[int, typer.Option(help="How many.")] = 1_000_000) -> None:
    """Print a table of times."""
    rng = np.random.default_rng(0)
    xy = rng.uniform(0, _SIDE_PX, (nuclei, 2))
    names = np.array(["a", "b", "c"], dtype=object)[rng.integers(0, 3, nuclei)]
    table = nucleus_table(xy[:, 0], xy[:, 1], names.tolist(), rng.random(nuclei), model="m")
    print("| | time | of it on the processor |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s.muse"
        scheme = ClassScheme.from_names(["a", "b", "c"])
        with AnnotationStore.create(path, SlideIdentity("s", 1, "f"), scheme) as store:
            with _timed("bulk insert"):
                store.insert(table)
            _time_use(store)
            _time_many(store, table.iloc[: nuclei // 5].assign(x=lambda t: t["x"] + 2.0))
        with _timed("open"):
            AnnotationStore.open(path).close()
        with AnnotationStore.open(path) as store, _timed("read all, as arrays"):
            store.rows()


def _time_use(store: AnnotationStore) -> None:
    view = (1000.0, 1000.0, 4000.0, 4000.0)
    acts: tuple[tuple[str, Callable[[int], object]], ...] = (
        (f"view of {len(store.nuclei(view))} nuclei", lambda _: store.nuclei(view)),
        ("one edit", lambda i: store.set_class([i + 1], "b")),
        ("one undo", lambda _: store.undo()),
    )
    for what, act in acts:
        with _timed(what, times=50):
            for i in range(50):
                act(i)


def _time_many(store: AnnotationStore, table: pd.DataFrame) -> None:
    with _timed(f"{len(table):,} nuclei of a file taken over"):
        store.take_over(table)
    with _timed("undo of that"):
        store.undo()
    rng = np.random.default_rng(1)
    ids = store.rows()["id"]
    for turn in range(2):
        classes, chances = rng.integers(1, 4, len(ids)), rng.random(len(ids))
        with _timed(f"relearning of {len(ids):,} nuclei, {('first', 'second')[turn]}"):
            store.apply_predictions(ids, classes, chances, model="learnt")
    with _timed("undo of the second"):
        store.undo()
    with _timed("undo of the first"):
        store.undo()
    with _timed("redo of both"):
        store.redo()
        store.redo()


if __name__ == "__main__":
    typer.run(main)
