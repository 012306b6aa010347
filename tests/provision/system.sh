#!/usr/bin/env bash
# Makes sure that the programs of the system that the build and the tests need are there. Installs
# Debian packages only when one is missing, and only as root or with a sudo that asks nothing.
set -euo pipefail

missing=()
command -v cc >/dev/null || missing+=(gcc libc6-dev)
command -v git >/dev/null || missing+=(git)
# ensurepip is what Debian leaves out of python3 and puts into python3-venv.
python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3 python3-venv)
# The examples for shells call it.
command -v curl >/dev/null || missing+=(curl)
# Images carry what the system trusts.
[ -s /etc/ssl/certs/ca-certificates.crt ] || missing+=(ca-certificates)
# Units of systemd are checked by its own tool.
command -v systemd-analyze >/dev/null || missing+=(systemd)
# deploy/tls/ca makes certificates with it.
command -v openssl >/dev/null || missing+=(openssl)
# The status page is looked at in it.
command -v chromium >/dev/null || missing+=(chromium)

[ ${#missing[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null; then
    echo "please install what Debian calls: ${missing[*]}" >&2
    exit 1
fi
if [ "$(id -u)" -eq 0 ]; then
    as_root=()
elif sudo -n true 2>/dev/null; then
    as_root=(sudo -n)
else
    echo "please run: sudo apt-get install ${missing[*]}" >&2
    exit 1
fi
"${as_root[@]}" apt-get -qq update
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends "${missing[@]}"
