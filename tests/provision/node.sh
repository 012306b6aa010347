#!/usr/bin/env bash
# Puts the packages of tests/sdk/package-lock.json into tests/sdk/node_modules, with the npm that
# target/venv holds (see python.sh). Does nothing when they are there: a stamp holds the lock's hash.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
sdk=$root/tests/sdk
want=$(cat "$sdk/package.json" "$sdk/package-lock.json" | sha256sum)

if [ "$(cat "$sdk/node_modules/.stamp" 2>/dev/null)" = "$want" ]; then
    exit 0
fi
PATH=$root/target/venv/bin:$PATH npm ci --prefix "$sdk" --silent --no-audit --no-fund --ignore-scripts
echo "$want" >"$sdk/node_modules/.stamp"
