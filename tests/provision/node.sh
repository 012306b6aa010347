#!/usr/bin/env bash
# Puts the packages of each package-lock.json that the tests need into node_modules beside it, with the npm that
# target/venv holds (see python.sh). Does nothing where they are there: a stamp holds the lock's hash.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)

for folder in "$root/tests/sdk" "$root/docs/clients/examples/typescript"; do
    want=$(cat "$folder/package.json" "$folder/package-lock.json" | sha256sum)
    [ "$(cat "$folder/node_modules/.stamp" 2>/dev/null)" = "$want" ] && continue
    PATH=$root/target/venv/bin:$PATH npm ci --prefix "$folder" --silent --no-audit --no-fund --ignore-scripts
    echo "$want" >"$folder/node_modules/.stamp"
done
