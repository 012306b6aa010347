#!/bin/sh
# Puts a real etcd and its etcdctl into target/tools, for the tests that need them. Safe to run again; needs no
# root.
#
# It takes Debian's packages through an apt configuration of its own, so nothing is installed on the
# system and no source of the system is changed. The newest suite whose binary runs here wins.
# Elsewhere: put any etcd >= 3.4 and its etcdctl into target/tools, or name them in TRUNKLINE_ETCD and
# TRUNKLINE_ETCDCTL.
set -eu

tools=$(cd "$(dirname "$0")/../.." && pwd)/target/tools
suites=${TRUNKLINE_DEBIAN_SUITES:-forky trixie bookworm}

runs() { [ -x "$1/etcd" ] && "$1/etcd" --version && [ -x "$1/etcdctl" ] && "$1/etcdctl" version; }
if runs "$tools" >/dev/null 2>&1; then
    "$tools/etcd" --version | head -n 1
    exit 0
fi
for program in apt-get dpkg-deb; do
    command -v "$program" >/dev/null || { echo "$program is missing: put an etcd at $tools/etcd by hand" >&2; exit 1; }
done

# The mirror that this machine's own sources name for Debian's main archive.
configured=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
    sed -nE 's#^(deb |URIs:)[^#]*(https?://[^ ]*/debian)/?( .*)?$#\2#p' | head -n 1)
mirror=${TRUNKLINE_DEBIAN_MIRROR:-$configured}
[ -n "$mirror" ] || {
    echo "no Debian mirror is configured: name one in TRUNKLINE_DEBIAN_MIRROR" >&2
    exit 1
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Fetches and unpacks the packages of one suite into $work/$1/unpacked.
fetch() {
    root=$work/$1
    mkdir -p "$root/lists/partial" "$root/archives/partial" "$root/unpacked" "$root/etc"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $1 main" >"$root/sources.list"
    : >"$root/status"
    set -- -qq \
        -o Dir::Etc::sourcelist="$root/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::Etc::preferencesparts=/dev/null -o Dir::Etc::parts=/dev/null \
        -o Dir::State::lists="$root/lists" -o Dir::State::status="$root/status" \
        -o Dir::Cache::archives="$root/archives" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= \
        -o APT::Sandbox::User= -o Acquire::Languages=none
    apt-get "$@" update && (cd "$root" && apt-get "$@" download etcd-server etcd-client) &&
        for package in "$root"/etcd-*.deb; do dpkg-deb -x "$package" "$root/unpacked"; done
}

for suite in $suites; do
    if fetch "$suite" && runs "$work/$suite/unpacked/usr/bin" >"$work/version" 2>&1; then
        mkdir -p "$tools"
        for program in etcd etcdctl; do
            # Moved into place whole: another test may be looking for it.
            cp "$work/$suite/unpacked/usr/bin/$program" "$tools/$program.$$"
            mv "$tools/$program.$$" "$tools/$program"
        done
        head -n 1 "$work/version"
        exit 0
    fi
    echo "no etcd from $suite, trying the next" >&2
done
echo "no etcd could be had; put one at $tools/etcd or name it in TRUNKLINE_ETCD" >&2
exit 1
