#!/bin/sh
# Gives the parts of a cluster their users and roles in etcd, so that each can write only what is its own.
# An etcd user is the common name of a client certificate; nobody has a password. Safe to run again.
#
#   access.sh router NAME     reads everything, writes its own sign of life and what keys spend; NAME is its node_id
#   access.sh routers NAME    the same for many routers with one certificate and names that are made up
#   access.sh prober NAME     reads everything, writes its own sign of life and what it saw; NAME is its --id
#   access.sh operator NAME   lets a router's user change the configuration too: operators' edits go through it
#   access.sh enable          makes the user root and turns access control on; a certificate of root is needed after it
#
# etcdctl is told by its own variables where etcd is and who asks:
#   ETCDCTL_ENDPOINTS=https://etcd-0:2379 ETCDCTL_CACERT=ca.pem ETCDCTL_CERT=root.pem ETCDCTL_KEY=root-key.pem
#
# etcd must be started with --client-cert-auth, --trusted-ca-file, --cert-file and --key-file.
set -eu

layout=/trunkline/v1
reader=trunkline-reader
operator=trunkline-operator
etcdctl=${ETCDCTL:-etcdctl}
export ETCDCTL_API=3

usage() {
    sed -n 's/^#   access/  access/p' "$0" >&2
    exit 2
}

# Runs etcdctl; that something is there already is what was wanted.
ctl() {
    if ! said=$("$etcdctl" "$@" 2>&1); then
        case $said in
        *"already exists"* | *"is already granted"*) ;;
        *)
            printf '%s %s: %s\n' "$etcdctl" "$*" "$said" >&2
            exit 1
            ;;
        esac
    fi
}

# A role that may write one key, or with --prefix all keys below.
may_write() {
    role=$1
    shift
    ctl role add "$role"
    ctl role grant-permission "$role" readwrite "$@"
}

# A user who reads everything and writes what a role of its own allows.
user() {
    ctl role add "$reader"
    ctl role grant-permission "$reader" read --prefix "$layout/"
    ctl user add "$1" --no-password
    ctl user grant-role "$1" "$reader"
    ctl user grant-role "$1" "$2"
}

name() {
    case ${1:-} in
    '' | *[!A-Za-z0-9._-]*)
        echo "a name has letters, digits and . _ -" >&2
        usage
        ;;
    esac
}

what=${1:-}
who=${2:-}
case $what in
router)
    name "$who"
    may_write "trunkline-router-$who" "$layout/routers/$who"
    may_write "trunkline-router-$who" --prefix "$layout/spend/"
    user "$who" "trunkline-router-$who"
    ;;
routers)
    name "$who"
    may_write trunkline-routers --prefix "$layout/routers/"
    may_write trunkline-routers --prefix "$layout/spend/"
    user "$who" trunkline-routers
    ;;
prober)
    name "$who"
    may_write "trunkline-prober-$who" "$layout/probers/$who"
    may_write "trunkline-prober-$who" --prefix "$layout/obs/$who/"
    user "$who" "trunkline-prober-$who"
    ;;
operator)
    name "$who"
    may_write "$operator" --prefix "$layout/cfg/"
    may_write "$operator" --prefix "$layout/hist/"
    ctl user grant-role "$who" "$operator"
    ;;
enable)
    ctl user add root --no-password
    ctl role add root
    ctl user grant-role root root
    ctl auth enable
    ;;
*) usage ;;
esac
