#!/usr/bin/env bash
# Puts a real etcd and its etcdctl into target/tools, for the tests that need them. Safe to run again; needs no
# root.
#
# The newest suite of Debian whose binary runs here wins. Elsewhere: put any etcd >= 3.4 and its etcdctl into
# target/tools, or name them in TRUNKLINE_ETCD and TRUNKLINE_ETCDCTL.
set -euo pipefail

. "$(dirname "$0")/debian.sh"
fetch_programs etcd "${TRUNKLINE_DEBIAN_SUITES:-forky trixie bookworm}" "etcd-server etcd-client" etcd etcdctl
