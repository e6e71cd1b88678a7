#!/usr/bin/env bash
# What is shipped for operators: alert rules by Prometheus's own tool, the dashboard's questions to a real Prometheus that
# watches a real federation, the service's unit by systemd's, the Kubernetes manifests against its schemas, and the Debian
# package taken apart and used.
#
# RECARGA_BIN  the program; by default target/release/recarga
set -euo pipefail
cd "$(dirname "$0")/../.."
program=$(realpath "${RECARGA_BIN:-target/release/recarga}")
[ -x "$program" ] || { echo "tests/deploy/run.sh: no program to test; run \`cargo build --release -p recarga\`" >&2; exit 2; }

promtool check config deploy/prometheus/prometheus.yml deploy/prometheus/compose.yml
promtool test rules deploy/prometheus/rules_test.yml
python3 tests/deploy/watched.py "$program"

venv=target/venv/deploy
if ! cmp -s tests/deploy/requirements.txt $venv/requirements.txt; then
    python3 -m venv --clear $venv
    $venv/bin/pip install --quiet --disable-pip-version-check --requirement tests/deploy/requirements.txt
    cp tests/deploy/requirements.txt $venv/requirements.txt
fi
$venv/bin/python tests/deploy/compose.py
$venv/bin/kubernetes-validate --strict deploy/kubernetes/company.yaml
# What the manifest brings as a configuration is one.
$venv/bin/python -c 'import sys, yaml
print(next(one["data"]["company.toml"] for one in yaml.safe_load_all(open(sys.argv[1])) if one["kind"] == "ConfigMap"))' \
    deploy/kubernetes/company.yaml >target/kubernetes-company.toml
RECARGA_OPERATOR_TOKEN=0123456789 RECARGA_DRIVER_TOKEN=0123456789 "$program" config check target/kubernetes-company.toml

package=$(realpath "$(RECARGA_BIN=$program scripts/package | tail -1)")
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
dpkg-deb --extract "$package" "$root"
dpkg-deb --info "$package" | grep -E '^ (Package|Version|Depends)'
cmp <("$root/usr/bin/recarga" --version) <("$program" --version)
RECARGA_OPERATOR_TOKEN=0123456789 "$root/usr/bin/recarga" config check "$root/etc/recarga/company.toml"
bash -n "$root/usr/share/bash-completion/completions/recarga"
sh -n deploy/debian/postinst && sh -n deploy/debian/prerm
(cd "$root" && dpkg-deb --control "$package" "$root/control" && md5sum --quiet --check control/md5sums)
sed "s|ExecStart=/usr/bin/|ExecStart=$root/usr/bin/|" deploy/systemd/recarga.service >"$root/recarga.service"
systemd-analyze verify --man=no "$root/recarga.service"
systemd-analyze security --offline=true --threshold=20 "$root/recarga.service" | tail -1
echo "the package holds what it should: $package"
