#!/usr/bin/env bash
# make test: the whole suite through tox, in a separate environment.
# Arguments are passed to tox; without any, the tests run with the first Python found.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/common.sh

case "$*" in
    "-e lint" | "-e docs") tools/setup_system.sh --no-window ;;
    # Test windows open on a separate screen, whatever display there is.
    *) env -u DISPLAY -u WAYLAND_DISPLAY tools/setup_system.sh ;;
esac
venv=.tox-venv
make_venv "$venv"
"$venv/bin/python" -m pip install -q --disable-pip-version-check 'tox>=4.25' </dev/null \
    || fail "tox could not be installed, see above"
[ $# -gt 0 ] || set -- -e py
started=$SECONDS
status=0
"$venv/bin/python" -m tox run "$@" </dev/null || status=$?
say "tox run $*: $((SECONDS - started)) s"
exit "$status"
