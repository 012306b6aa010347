#!/bin/sh
# Puts Go, its gRPC packages and the generators of stubs into target/tools/go, for the tests of the clients in Go.
# Safe to run again; needs no root.
#
# It takes Debian's packages through an apt configuration of its own, so nothing is installed on the system and no
# source of the system is changed. The suite is pinned: a test must not change because a client did. Its programs
# need nothing newer than bookworm's libraries.
set -eu

tools=$(cd "$(dirname "$0")/../.." && pwd)/target/tools
suite=trixie
packages="golang-1.24-go golang-1.24-src golang-google-grpc-dev golang-google-protobuf-dev golang-google-genproto-dev
golang-github-golang-protobuf-1-5-dev golang-golang-x-net-dev golang-golang-x-sys-dev golang-golang-x-text-dev
protoc-gen-go-1-5 protoc-gen-go-grpc"
want=$(cat "$0" | sha256sum)

[ "$(cat "$tools/go/stamp" 2>/dev/null)" = "$want" ] && exit 0
for program in apt-get dpkg-deb; do
    command -v "$program" >/dev/null || { echo "$program is missing: these packages are Debian's" >&2; exit 1; }
done

# The mirror that this machine's own sources name for Debian's main archive.
configured=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
    sed -nE 's#^(deb |URIs:)[^#]*(https?://[^ ]*/debian)/?( .*)?$#\2#p' | head -n 1)
mirror=${TRUNKLINE_DEBIAN_MIRROR:-$configured}
[ -n "$mirror" ] || {
    echo "no Debian mirror is configured: name one in TRUNKLINE_DEBIAN_MIRROR" >&2
    exit 1
}

mkdir -p "$tools"
# Beside its place, so that it can be moved there whole.
root=$(mktemp -d "$tools/go.XXXXXX")
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/lists/partial" "$root/archives/partial" "$root/unpacked"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$root/sources.list"
: >"$root/status"
set -- -qq \
    -o Dir::Etc::sourcelist="$root/sources.list" -o Dir::Etc::sourceparts=/dev/null \
    -o Dir::Etc::preferencesparts=/dev/null -o Dir::Etc::parts=/dev/null \
    -o Dir::State::lists="$root/lists" -o Dir::State::status="$root/status" \
    -o Dir::Cache::archives="$root/archives" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= \
    -o APT::Sandbox::User= -o Acquire::Languages=none
apt-get "$@" update
# Unquoted: a list of names.
(cd "$root" && apt-get "$@" download $packages)
for package in "$root"/*.deb; do dpkg-deb -x "$package" "$root/unpacked"; done
"$root/unpacked/usr/lib/go-1.24/bin/go" version
echo "$want" >"$root/unpacked/stamp"
rm -rf "$tools/go"
mv "$root/unpacked" "$tools/go"
