#!/usr/bin/env bash
# make demo: everything from a bare machine to nuclei on screen. See tools/demo.py.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/common.sh

venv=.demo-venv
tools/setup_system.sh
on_screen=
if [ "$(uname -s)" != Linux ] || [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ]; then
    on_screen=yes
elif ! command -v xvfb-run >/dev/null; then
    fail "there is no display, and no xvfb-run to stand in for one; install Xvfb"
fi
make_venv "$venv"

# Reinstalled only if the package or its location could have changed.
stamp="$venv/installed"
wanted=$({ pwd; cat pyproject.toml constraints.txt; } | cksum)
if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
    say "Installing napari-muse into $venv; the first time this takes a few minutes."
    "$venv/bin/python" -m pip install -q --disable-pip-version-check -c constraints.txt \
        -e '.[qt6,openslide,openvino]' </dev/null || fail "the installation failed, see above"
    printf '%s' "$wanted" >"$stamp"
fi

export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-passive}"
if [ -n "$on_screen" ]; then
    "$venv/bin/python" tools/demo.py --out demo-output --stay
else
    say "No display: running under Xvfb."
    unset DISPLAY WAYLAND_DISPLAY QT_QPA_PLATFORM
    xvfb-run -a -s "-screen 0 1600x1000x24" "$venv/bin/python" tools/demo.py --out demo-output
fi
