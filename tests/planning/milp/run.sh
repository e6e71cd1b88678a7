#!/usr/bin/env bash
# Makes the instances and solves them anew, and says whether that changes what is kept. Takes some minutes.
#
# WORKERS  how many to solve at a time; by default 1
set -euo pipefail
cd "$(dirname "$0")/../../.."
venv=target/venv-milp
[ -x $venv/bin/python ] || python3 -m venv $venv
$venv/bin/pip install --quiet --requirement tests/planning/milp/requirements.txt
$venv/bin/python tests/planning/milp/instances.py "${WORKERS:-1}"
git diff --stat --exit-code -- tests/planning/milp/instances.json
