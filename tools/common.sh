# Shared by the scripts in this folder; sourced, not run.

say() { printf '%s\n' "$*" >&2; }
fail() { say "error: $*"; exit 1; }

# The first Python from 3.11 to 3.13 that runs.
find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3.11 python3.12 python3.13 python3 python; do
        [ -n "$candidate" ] || continue
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
            >/dev/null 2>&1; then
            command -v "$candidate"
            return
        fi
    done
    fail "Python 3.11, 3.12 or 3.13 is needed; install one of them, or name it with PYTHON=..."
}

# make_venv FOLDER: create a virtual environment there, or recreate a broken one.
make_venv() {
    local folder=$1 python
    if "$folder/bin/python" -m pip --version >/dev/null 2>&1; then
        return
    fi
    python=$(find_python) || exit 1
    rm -rf "$folder"
    if ! "$python" -m venv "$folder" >/dev/null 2>&1; then
        rm -rf "$folder"
        # Debian has ensurepip in a separate package; virtualenv includes it.
        if "$python" -m virtualenv --version >/dev/null 2>&1; then
            "$python" -m virtualenv -q "$folder" || fail "could not make $folder"
        else
            fail "$python cannot make virtual environments; install its package venv"
        fi
    fi
}
