from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
import muse_core.models.encoders
print(sorted({"torch._dynamo", "sympy"} & set(sys.modules)))
import torch
from muse_core.models.compiler_shim import compiler_left_out
with compiler_left_out():
    weights = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.AdamW([weights], lr=0.1)
    weights.sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    print(bool((weights < 1).all()), "sympy" in sys.modules)
from torchvision.ops.roi_align import is_compile_supported
assert torch.compiler.disable(lambda: 3)() == 3
print("torch._dynamo.utils" in sys.modules, sys.modules["torch._dynamo"] is torch._dynamo)
print(is_compile_supported("cpu") == torch._dynamo.utils.is_compile_supported("cpu"))
"""
UNKNOWN = """
import sys
from muse_core.models.compiler_shim import compiler_left_out
with compiler_left_out():
    import torch._dynamo
    from torch._dynamo.utils import counters
    from torch._dynamo import optimize
    whole = sys.modules["torch._dynamo"]
print(type(counters).__name__, optimize is whole.optimize, whole is sys.modules["torch._dynamo"])
"""


def printed(code: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_models_and_steps_load_no_compiler_and_who_wants_it_has_it() -> None:
    assert printed(CODE) == ["[]", "True False", "True True", "True"]


def test_what_the_stand_in_lacks_comes_from_the_compiler() -> None:
    assert printed(UNKNOWN) == ["defaultdict True True"]
