#!/usr/bin/env bash
# Companies as real processes under a load of real trips, while everything around them fails; a checker decides.
#
#   tests/torture/run.sh [--faults N] [--seed S] [--for MINUTES] [--quick] [--companies N] [--result FILE]
#
# As root the companies live in network namespaces of their own; where those are refused, on loopback.
#
# RECARGA_BIN   the program; by default target/release/recarga, else target/debug/recarga
# TORTURE_LOGS  where logs and results go; by default target/torture
set -euo pipefail
cd "$(dirname "$0")"
source ../blackbox/prepare.sh
export TORTURE_LOGS=${TORTURE_LOGS:-$_target/torture}
prepare "$TORTURE_LOGS" "libfaketime:/usr/lib/*/faketime/libfaketimeMT.so.1" \
    "iproute2:$(command -v ip || echo /sbin/ip)" "iptables:$(command -v iptables || echo /usr/sbin/iptables)"
export PYTHONPATH=$PWD:$PWD/../blackbox

# The checker first: whoever cannot find a planted violation may not say that there is none.
"$python" -m pytest -p no:cacheprovider -q test_checker.py test_plan.py test_report.py

# Network, processes and mounts of the run belong to namespaces that the kernel clears away with the runner, however it ends.
isolated=(unshare --net --mount --pid --fork --kill-child --mount-proc)
inside='mount -t tmpfs -o mode=755 torture /run/netns'
try="$inside && ip link add bridge type bridge && ip netns add try && iptables -w -A INPUT -s 10.77.0.9 -j DROP"
if mkdir -p /run/netns 2>/dev/null && refusal=$("${isolated[@]}" sh -c "$try" 2>&1); then
    exec "${isolated[@]}" sh -c "$inside"' && exec "$@"' sh "$python" -m torture --ground namespaces "$@"
fi
echo "torture: NETWORK NAMESPACES ARE REFUSED (${refusal:-no /run/netns}): on loopback, with proxies that lose messages" >&2
exec "$python" -m torture --ground loopback "$@"
