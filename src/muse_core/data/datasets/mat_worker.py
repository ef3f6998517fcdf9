"""``python -m muse_core.data.datasets.mat_worker``: reads one MATLAB file in a process of its own.

SciPy's reader is compiled, and a damaged file can crash it.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from scipy.io import loadmat

from muse_core.errors import UserError
from muse_core.isolation.child import serve


def read_mat(task: dict[str, Any]) -> bytes:
    """Return the arrays "names" of the file "path", stacked, as ``numpy.save`` writes them."""
    path, names = task["path"], task["names"]
    try:
        content = loadmat(path, variable_names=names)
    except Exception as error:  # of many kinds for a damaged file
        raise UserError(f"{path} is not a readable MATLAB file.") from error
    missing = [name for name in names if name not in content]
    if missing:
        raise UserError(f"{path} lacks {missing[0]!r}.")
    arrays = [content[name] for name in names]
    numeric = all(a.dtype.kind in "iuf" for a in arrays)
    if not numeric or len({a.shape for a in arrays}) > 1 or arrays[0].ndim != 2:
        raise UserError(f"The masks in {path} do not fit together.")
    out = io.BytesIO()
    np.save(out, np.stack(arrays), allow_pickle=False)
    return out.getvalue()


if __name__ == "__main__":
    serve(read_mat)
