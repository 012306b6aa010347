#!/usr/bin/env bash
# Puts buildah and docker-compose into target/tools, for the tests of images and of the compose file: the first
# builds images without a daemon, the second only reads files here. Safe to run again; needs no root.
#
# Buildah comes from Debian 12 with the libraries it needs, so that it runs on newer ones, too. Elsewhere: put a
# buildah >= 1.28 and a docker-compose >= 2 into target/tools, or name them in TRUNKLINE_BUILDAH and
# TRUNKLINE_COMPOSE.
set -euo pipefail

. "$(dirname "$0")/debian.sh"
buildah_suite=bookworm
buildah_packages="buildah libassuan0 libdevmapper1.02.1 libgpg-error0 libgpgme11 libpcre2-8-0 libseccomp2 libselinux1 libudev1"
compose_suites=${TRUNKLINE_DEBIAN_SUITES:-forky trixie}

# Programs and libraries, in a folder that nothing else looks into, and a script that brings them together.
put_buildah() {
    local from=$1 folder=$tools/buildah.d
    rm -rf "$folder"
    mkdir -p "$folder"
    cp "$from/usr/bin/buildah" "$folder/"
    find "$from" -name 'lib*.so*' -exec cp -P {} "$folder/" \;
    cat >"$tools/buildah" <<'SCRIPT'
#!/bin/sh
folder=$(dirname "$0")/buildah.d
LD_LIBRARY_PATH=$folder exec "$folder/buildah" "$@"
SCRIPT
    chmod +x "$tools/buildah"
}

if runs "$tools" buildah docker-compose >/dev/null 2>&1; then
    "$tools/buildah" --version
    exit 0
fi
for program in apt-get dpkg-deb; do
    command -v "$program" >/dev/null || { echo "$program is missing: put buildah and docker-compose into $tools by hand" >&2; exit 1; }
done
mirror=${TRUNKLINE_DEBIAN_MIRROR:-$(debian_mirror)}
[ -n "$mirror" ] || {
    echo "no Debian mirror is configured: name one in TRUNKLINE_DEBIAN_MIRROR" >&2
    exit 1
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$tools"

fetch_packages "$work/buildah" "$buildah_suite" "$buildah_packages"
put_buildah "$work/buildah/unpacked"
for suite in $compose_suites; do
    fetch_packages "$work/$suite" "$suite" docker-compose &&
        cp "$work/$suite/unpacked/usr/libexec/docker/cli-plugins/docker-compose" "$tools/" &&
        runs "$tools" docker-compose >/dev/null 2>&1 && break
    echo "no docker-compose from $suite, trying the next" >&2
done
runs "$tools" buildah docker-compose >/dev/null || { echo "no buildah or docker-compose could be had; put them into $tools" >&2; exit 1; }
"$tools/buildah" --version
