#!/usr/bin/env bash
# The planner against frvcpy's instance with known optima, which is read from the package that this installs.
#
# RECARGA_BIN  the program; by default target/release/recarga
set -euo pipefail
cd "$(dirname "$0")/../.."
program=$(realpath "${RECARGA_BIN:-target/release/recarga}")
[ -x "$program" ] || { echo "tests/planning/run.sh: no program to test; run \`cargo build --release -p recarga\`" >&2; exit 2; }
venv=target/venv-planning
[ -x $venv/bin/python ] || python3 -m venv $venv
$venv/bin/python -c 'import frvcpy' 2>/dev/null || $venv/bin/pip install --quiet frvcpy==0.1.1
exec $venv/bin/python tests/planning/frvcpy_check.py "$program"
