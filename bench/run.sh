#!/usr/bin/env bash
# Books the same trips with Recarga, with PostgreSQL's two-phase commit and with a FastAPI service, side by side in one run.
#
#   bench/run.sh [--quick] [--seconds N] [--rounds N] [--clients 1,16,64,256] [--document FILE]
#
# BENCH_DATA   a folder on the disk to measure; by default one in /var/tmp, removed at the end
set -euo pipefail
export BENCH_FROM=$PWD
cd "$(dirname "$0")/.."

export PATH=$PATH:/usr/sbin:/sbin
postgres=/usr/lib/postgresql/15/bin
if [ ! -x $postgres/postgres ]; then
    echo "bench: installing PostgreSQL 15"
    as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    # No cluster of the distribution's own: it would share the disk with those that are measured.
    "${as_root[@]}" mkdir -p /etc/postgresql-common
    echo 'create_main_cluster = false' | "${as_root[@]}" tee /etc/postgresql-common/createcluster.conf >/dev/null
    "${as_root[@]}" apt-get update -qq
    DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends postgresql-15 >/dev/null
fi
python3 -c 'import ensurepip, venv' 2>/dev/null || scripts/setup
venv=target/venv/bench
if ! cmp -s bench/requirements.txt $venv/requirements.txt; then
    python3 -m venv --clear $venv
    $venv/bin/pip install --quiet --disable-pip-version-check --requirement bench/requirements.txt
    cp bench/requirements.txt $venv/requirements.txt
fi
[ -n "${BENCH_BUILT:-}" ] || cargo build --release --locked -p recarga -p recarga-bench

export BENCH_POSTGRES=$postgres PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=bench
command=($venv/bin/python -m side_by_side "$@")
# In a network of its own the loopback device carries nothing but what is measured.
if [ "$(id -u)" -eq 0 ] && unshare --net true 2>/dev/null; then
    exec unshare --net --pid --fork --kill-child --mount-proc sh -c 'ip link set lo up && exec "$@"' sh "${command[@]}"
fi
echo "bench: not root, so the bytes on the wire are those of the whole machine's loopback" >&2
exec "${command[@]}"
