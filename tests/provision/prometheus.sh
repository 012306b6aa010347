#!/usr/bin/env bash
# Puts a real Prometheus and its promtool into target/tools, for the tests of rules and dashboards. Safe to run
# again; needs no root. Debian 12's is taken first: it is the oldest that the rules are made for, and it runs
# everywhere. Elsewhere: put both programs into target/tools, or name them in TRUNKLINE_PROMETHEUS and
# TRUNKLINE_PROMTOOL.
set -euo pipefail

. "$(dirname "$0")/debian.sh"
fetch_programs prometheus "${TRUNKLINE_DEBIAN_SUITES:-bookworm trixie forky}" prometheus prometheus promtool
