#!/usr/bin/env bash
# The Debian package on a Debian that has never seen it, with systemd as its init, in a container: installed, configured, started,
# killed, upgraded, removed, purged.
#
#   tests/package/run.sh [PACKAGE]     by default the one that scripts/package makes
#
# Needs root, and once some 120 MB from Debian's archive (kept in target/debian).
set -euo pipefail
cd "$(dirname "$0")/../.."
[ "$(id -u)" -eq 0 ] || { echo "$0: run it as root: it boots a container" >&2; exit 2; }
package=$(realpath "${1:-$(scripts/package | tail -1)}")

if ! command -v debootstrap >/dev/null || ! command -v systemd-nspawn >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends debootstrap systemd-container >/dev/null
fi
base=target/debian
if [ ! -e $base/made ]; then
    rm -rf $base
    mkdir -p $base
    echo "a Debian from nothing, into $base"
    debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,curl bookworm $base >target/debian.log || {
        tail -20 target/debian.log >&2
        exit 1
    }
    rm -f $base/etc/machine-id
    touch $base/made
fi

results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
units=$base/etc/systemd/system
install -D -m 0644 tests/package/test.service $units/package-test.service
# There is no network to wait for.
ln -sf /dev/null $units/systemd-networkd-wait-online.service
ln -sf /etc/systemd/system/package-test.service $units/multi-user.target.wants/package-test.service
# What it writes is gone with it; its exit status is that of the test.
status=0
timeout 300 systemd-nspawn --quiet --directory=$base --volatile=overlay --boot --private-network --register=no --keep-unit \
    --machine=package-test --console=pipe --bind-ro="$package:/mnt/recarga.deb" \
    --bind-ro="$PWD/tests/package/inside.sh:/mnt/inside.sh" --bind="$results:/results" \
    </dev/null >"$results/console" 2>&1 || status=$?
cat "$results/log" 2>/dev/null || tail -50 "$results/console"
[ $status -eq 0 ] || { echo "$0: failed (status $status)" >&2; exit 1; }
grep -q '^all is well$' "$results/log"
