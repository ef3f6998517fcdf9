#!/usr/bin/env bash
# Ensures that the system libraries of Qt and OpenGL exist, and Xvfb if there is no display.
# As root they are installed by apt; otherwise one line lists the missing ones.
# With --no-window only the requirements of a virtual environment are checked.
set -euo pipefail
cd "$(dirname "$0")"
. ./common.sh

[ "$(uname -s)" = Linux ] || exit 0
command -v dpkg-query >/dev/null || exit 0

packages=()
window=(
    libgl1 libgl1-mesa-dri libegl1 libglib2.0-0 libfontconfig1 libdbus-1-3 libxkbcommon-x11-0
    libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-render-util0 libxcb-shape0
    libxcb-xinerama0
)
if [ "${1:-}" != --no-window ]; then
    packages+=("${window[@]}")
    [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ] || packages+=(xvfb xauth)
fi
python=$(find_python) || exit 1
case "$python" in
    /usr/bin/*)
        # Debian has ensurepip in a separate package for each Python.
        "$python" -c 'import ensurepip' 2>/dev/null \
            || "$python" -c 'import virtualenv' 2>/dev/null \
            || packages+=("$("$python" -c 'import sys; print("python3.%d-venv" % sys.version_info[1])')")
        ;;
esac

installed() {
    # Newer releases call some of these NAMEt64.
    local name
    for name in "$1" "$1t64"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] && return 0
    done
    return 1
}

missing=()
for package in "${packages[@]}"; do
    installed "$package" || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" != 0 ]; then
    fail "system libraries are missing; run: sudo apt-get install -y ${missing[*]}"
fi
say "Installing system libraries: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
install() { apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null >/dev/null; }
install 2>/dev/null || { apt-get update -qq >/dev/null && install; } \
    || fail "apt-get could not install ${missing[*]}"
