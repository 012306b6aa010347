#!/bin/sh
# Puts buildah and docker-compose into target/tools, for the tests of images and of the compose file: the first
# builds images without a daemon, the second only reads files here. Safe to run again; needs no root.
#
# Like etcd.sh, it takes Debian's packages through an apt configuration of its own, so nothing is installed on
# the system and no source of the system is changed. The newest suite whose program runs here wins.
# Elsewhere: put a buildah >= 1.28 and a docker-compose >= 2 into target/tools by hand.
set -eu

tools=$(cd "$(dirname "$0")/../.." && pwd)/target/tools
suites=${TRUNKLINE_DEBIAN_SUITES:-forky trixie bookworm}

runs() { [ -x "$tools/$1" ] && "$tools/$1" "$2" >/dev/null 2>&1; }
if runs buildah --version && runs docker-compose version; then
    "$tools/buildah" --version
    exit 0
fi
for program in apt-get dpkg-deb; do
    command -v "$program" >/dev/null || { echo "$program is missing: put buildah and docker-compose into $tools by hand" >&2; exit 1; }
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

# An apt tool with the sources of one suite: apt_of SUITE TOOL ARGUMENT…
apt_of() {
    root=$work/$1
    tool=$2
    shift 2
    "$tool" -qq \
        -o Dir::Etc::sourcelist="$root/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::Etc::preferencesparts=/dev/null -o Dir::Etc::parts=/dev/null \
        -o Dir::State::lists="$root/lists" -o Dir::State::status="$root/status" \
        -o Dir::Cache::archives="$root/archives" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= \
        -o APT::Sandbox::User= -o Acquire::Languages=none "$@"
}

# Reads what a suite has, once.
open_suite() {
    root=$work/$1
    [ ! -e "$root/sources.list" ] || return 0
    mkdir -p "$root/lists/partial" "$root/archives/partial"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $1 main" >"$root/sources.list"
    : >"$root/status"
    apt_of "$1" apt-get update
}

# A package's shared libraries, and theirs, and theirs: none goes deeper. Not libc, which is the system's own.
libraries_of() {
    found=$2
    for _ in 1 2 3; do
        # shellcheck disable=SC2086 # a word for each package
        found="$found $(apt_of "$1" apt-cache depends --important $found |
            awk '$1 == "Depends:" && $2 ~ /^lib/ && $2 !~ /^lib(c6|gcc|crypt)/ { print $2 }')"
        # shellcheck disable=SC2086
        found=$(printf '%s\n' $found | sort -u | tr '\n' ' ')
    done
    echo "$found"
}

# Fetches and unpacks packages of one suite into a folder.
unpack() {
    suite=$1
    folder=$2
    shift 2
    mkdir -p "$folder/packages"
    (cd "$folder/packages" && apt_of "$suite" apt-get download "$@")
    for package in "$folder"/packages/*.deb; do dpkg-deb -x "$package" "$folder"; done
    rm -r "$folder/packages"
}

get_buildah() {
    folder=$work/$1/buildah
    # shellcheck disable=SC2046 # a word for each package
    unpack "$1" "$folder" $(libraries_of "$1" buildah)
    rm -rf "$tools/buildah.d"
    mkdir -p "$tools/buildah.d"
    cp "$folder/usr/bin/buildah" "$tools/buildah.d/"
    find "$folder/usr/lib" "$folder/lib" -name 'lib*.so*' -exec cp -P {} "$tools/buildah.d/" \; 2>/dev/null || true
    cat >"$tools/buildah" <<'SCRIPT'
#!/bin/sh
folder=$(dirname "$0")/buildah.d
LD_LIBRARY_PATH=$folder exec "$folder/buildah" "$@"
SCRIPT
    chmod +x "$tools/buildah"
    runs buildah --version
}

get_compose() {
    folder=$work/$1/compose
    unpack "$1" "$folder" docker-compose
    cp "$folder/usr/libexec/docker/cli-plugins/docker-compose" "$tools/docker-compose" && runs docker-compose version
}

mkdir -p "$tools"
for tool in buildah docker-compose; do
    case $tool in
        buildah) check=--version get=get_buildah ;;
        *) check=version get=get_compose ;;
    esac
    for suite in $suites; do
        runs $tool $check && break
        (open_suite "$suite" && $get "$suite") >"$work/log" 2>&1 || echo "no $tool from $suite, trying the next" >&2
    done
    runs $tool $check || { cat "$work/log" >&2; echo "no $tool could be had; put one into $tools" >&2; exit 1; }
done
"$tools/buildah" --version
