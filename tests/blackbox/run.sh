#!/usr/bin/env bash
# Black-box tests: the real program as real processes, against clients that others wrote (curl, paho, Mosquitto).
#
#   tests/blackbox/run.sh                      everything
#   tests/blackbox/run.sh test_kills.py -k vote some of it; all arguments go to pytest
#
# RECARGA_BIN    the program; by default target/release/recarga, else target/debug/recarga
# BLACKBOX_SEED  repeats a run
set -euo pipefail
cd "$(dirname "$0")"
repository=$(cd ../.. && pwd)
target=$repository/target

program=${RECARGA_BIN:-}
if [ -z "$program" ]; then
    for candidate in "$target/release/recarga" "$target/debug/recarga"; do
        if [ -x "$candidate" ]; then program=$candidate && break; fi
    done
fi
if [ -z "$program" ] || [ ! -x "$program" ]; then
    echo "tests/blackbox: no program to test; run \`cargo build --release -p recarga\` or set RECARGA_BIN" >&2
    exit 2
fi

install_from_debian() {
    local sudo=()
    if [ "$(id -u)" -ne 0 ]; then sudo=(sudo); fi
    "${sudo[@]}" apt-get update -q
    # The package starts the system's broker; the tests run their own.
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$@"
}
missing=()
[ -x /usr/sbin/mosquitto ] || command -v mosquitto >/dev/null || missing+=(mosquitto)
command -v curl >/dev/null || missing+=(curl)
command -v cc >/dev/null || missing+=(gcc libc6-dev)
python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
if [ ${#missing[@]} -gt 0 ]; then install_from_debian "${missing[@]}"; fi

venv=$target/venv/blackbox
if ! cmp -s requirements.txt "$venv/requirements.txt"; then
    python3 -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement requirements.txt
    cp requirements.txt "$venv/requirements.txt"
fi

# A copy, so that a build during the run does not change the program under the tests' feet.
logs=${BLACKBOX_LOGS:-$target/blackbox}
mkdir -p "$logs"
cp -f "$program" "$logs/recarga"
export RECARGA_BIN=$logs/recarga BLACKBOX_LOGS=$logs PYTHONDONTWRITEBYTECODE=1
export PATH=$PATH:/usr/sbin
exec "$venv/bin/python" -m pytest -p no:cacheprovider -q "$@"
