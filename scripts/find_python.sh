#!/bin/sh
# Print the Python to use: $1 if given; else that of .venv, if there is one; else the first of
# python3.12, python3.11, python3 that really runs and is 3.11 or 3.12 (a pyenv shim may exist and
# yet fail). Fails with one line.
set -eu

can() { # can PYTHON TEST: does it run, with the right version, and does TEST hold?
    "$1" -c "import sys; sys.exit(not ((3, 11) <= sys.version_info[:2] <= (3, 12) and ($2)))" \
        >/dev/null 2>&1
}

advice="Point at one: make PYTHON=/path/to/python3.11 ..."

if [ -n "${1:-}" ]; then
    can "$1" True && { echo "$1"; exit 0; }
    found=$("$1" -c "import platform; print('is Python', platform.python_version())" 2>/dev/null) ||
        found="doesn't run"
    echo "error: PYTHON=$1 $found; CellFleet needs Python 3.11 or 3.12. $advice" >&2
    exit 1
fi

can .venv/bin/python True && { echo .venv/bin/python; exit 0; }

# Best: one that can also make virtual environments and compile extensions.
complete="__import__('ensurepip') and __import__('os').path.exists(
    __import__('sysconfig').get_path('include') + '/Python.h')"
for test in "$complete" True; do
    for python in python3.12 python3.11 python3; do
        can "$python" "$test" && { echo "$python"; exit 0; }
    done
done
found=$(python3 -c "import platform; print('Python', platform.python_version())" 2>/dev/null) ||
    found="no Python"
echo "error: found $found; CellFleet needs Python 3.11 or 3.12. $advice" >&2
exit 1
