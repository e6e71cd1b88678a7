#!/usr/bin/env bash
# Black-box tests: the real program as real processes, against clients that others wrote (curl, paho, Mosquitto).
#
#   tests/blackbox/run.sh                      everything
#   tests/blackbox/run.sh -n 2 --dist loadfile    the same, two files at a time
#   tests/blackbox/run.sh test_kills.py -k vote some of it; all arguments go to pytest
#
# RECARGA_BIN    the program; by default target/release/recarga, else target/debug/recarga
# BLACKBOX_SEED  repeats a run
set -euo pipefail
cd "$(dirname "$0")"
source ./prepare.sh
export BLACKBOX_LOGS=${BLACKBOX_LOGS:-$_target/blackbox}
prepare "$BLACKBOX_LOGS"
exec "$python" -m pytest -p no:cacheprovider -q "$@"
