# Fetches programs from Debian's packages without root; sourced by the scripts beside it.
#
#   fetch_programs WORD SUITES PACKAGES PROGRAM…
#
# puts the programs into target/tools, from the first of the suites whose programs run here. It goes through an
# apt configuration of its own, so nothing is installed on the system and no source of the system is changed.

tools=$(cd "$(dirname "$0")/../.." && pwd)/target/tools

# Whether all of these programs are in a folder and run.
runs() {
    local folder=$1 program
    shift
    for program in "$@"; do
        # etcdctl has a word for it, the others a flag.
        "$folder/$program" --version 2>&1 || "$folder/$program" version 2>&1 || return 1
    done
}

# The mirror that this machine's own sources name for Debian's main archive.
debian_mirror() {
    { cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null || true; } |
        sed -nE 's#^(deb |URIs:)[^#]*(https?://[^ ]*/debian)/?( .*)?$#\2#p' | head -n 1
}

# Sets `mirror`; ends with this remedy where packages cannot be had.
need_debian() {
    local remedy=$1 program
    for program in apt-get dpkg-deb; do
        command -v "$program" >/dev/null || { echo "$program is missing: $remedy" >&2; exit 1; }
    done
    mirror=${TRUNKLINE_DEBIAN_MIRROR:-$(debian_mirror)}
    [ -n "$mirror" ] || {
        echo "no Debian mirror is configured: name one in TRUNKLINE_DEBIAN_MIRROR" >&2
        exit 1
    }
}

# Fetches and unpacks packages of one suite into $1/unpacked.
fetch_packages() {
    root=$1 suite=$2 packages=$3
    mkdir -p "$root/lists/partial" "$root/archives/partial" "$root/unpacked" "$root/etc"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$root/sources.list"
    : >"$root/status"
    set -- -qq \
        -o Dir::Etc::sourcelist="$root/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::Etc::preferencesparts=/dev/null -o Dir::Etc::parts=/dev/null \
        -o Dir::State::lists="$root/lists" -o Dir::State::status="$root/status" \
        -o Dir::Cache::archives="$root/archives" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= \
        -o APT::Sandbox::User= -o Acquire::Languages=none
    # shellcheck disable=SC2086 # several packages
    apt-get "$@" update && (cd "$root" && apt-get "$@" download $packages) &&
        for package in "$root"/*.deb; do dpkg-deb -x "$package" "$root/unpacked"; done
}

fetch_programs() {
    word=$1 suites=$2 packages=$3
    shift 3
    if runs "$tools" "$@" >/dev/null 2>&1; then
        "$tools/$1" --version 2>&1 | head -n 1
        exit 0
    fi
    need_debian "put $* into $tools by hand"
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    for suite in $suites; do
        if fetch_packages "$work/$suite" "$suite" "$packages" &&
            runs "$work/$suite/unpacked/usr/bin" "$@" >"$work/version" 2>&1; then
            mkdir -p "$tools"
            for program in "$@"; do
                # Moved into place whole: another test may be looking for it.
                cp "$work/$suite/unpacked/usr/bin/$program" "$tools/$program.$$"
                mv "$tools/$program.$$" "$tools/$program"
            done
            head -n 1 "$work/version"
            exit 0
        fi
        echo "no $word from $suite, trying the next" >&2
    done
    echo "no $word could be had; put $* into $tools" >&2
    exit 1
}
