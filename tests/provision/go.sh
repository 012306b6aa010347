#!/usr/bin/env bash
# Puts Go, its gRPC packages and the generators of stubs into target/tools/go, for the tests of the clients in Go.
# Safe to run again; needs no root. The suite is pinned: a test must not change because a client did. Its programs
# need nothing newer than bookworm's libraries.
set -euo pipefail

# shellcheck source=tests/provision/debian.sh
. "$(dirname "$0")/debian.sh"

suite=trixie
packages="golang-1.24-go golang-1.24-src golang-google-grpc-dev golang-google-protobuf-dev golang-google-genproto-dev
golang-github-golang-protobuf-1-5-dev golang-golang-x-net-dev golang-golang-x-sys-dev golang-golang-x-text-dev
protoc-gen-go-1-5 protoc-gen-go-grpc"
want=$(cat "$0" | sha256sum)

[ "$(cat "$tools/go/stamp" 2>/dev/null)" = "$want" ] && exit 0
need_debian "put what Debian calls $packages into $tools/go by hand"
mkdir -p "$tools"
# Beside its place, so that it can be moved there whole.
root=$(mktemp -d "$tools/go.XXXXXX")
trap 'rm -rf "$root"' EXIT
fetch_packages "$root" "$suite" "$packages"
"$root/unpacked/usr/lib/go-1.24/bin/go" version
echo "$want" >"$root/unpacked/stamp"
rm -rf "$tools/go"
mv "$root/unpacked" "$tools/go"
