"""``python -m muse_core.cli``, the same as the console script."""

from __future__ import annotations

from muse_core.cli.app import main

if __name__ == "__main__":
    main()
