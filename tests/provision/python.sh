#!/usr/bin/env bash
# Puts the Python packages of tests/sdk/requirements.txt, and of the list that it names, into target/venv. Does
# nothing when they are there: a stamp holds the hash of both lists and the version of Python.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
venv=$root/target/venv
list=$root/tests/sdk/requirements.txt
want=$(python3 --version; cat "$list" "$root/docs/clients/examples/python/requirements.txt" | sha256sum)

if [ -x "$venv/bin/python" ] && [ "$(cat "$venv/stamp" 2>/dev/null)" = "$want" ]; then
    exit 0
fi
rm -rf "$venv"
mkdir -p "$root/target"
python3 -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$list"
echo "$want" >"$venv/stamp"
