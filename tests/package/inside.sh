# Runs inside the container, as root. Each line says what is true by then.
set -Eeuo pipefail
export LC_ALL=C
trap 'echo "line $LINENO: $BASH_COMMAND"; systemctl status --no-pager recarga; journalctl --no-pager --unit recarga | tail -30' ERR
url=http://127.0.0.1:8001
config=/etc/recarga/company.toml

is_serving() {
    for _ in $(seq 100); do
        if curl -fsS --max-time 2 $url/saude >/dev/null 2>&1; then return; fi
        sleep 0.1
    done
    return 1
}
pid() { systemctl show --property MainPID --value recarga; }
trips() { curl -fsS "$url/viagens?veiculo_id=carro-1" | grep -o '"viagem_id":"[^"]*"'; }

dpkg --install /mnt/recarga.deb
[ "$(systemctl is-active recarga || true)" = inactive ]
[ "$(systemctl is-enabled recarga || true)" = disabled ]
[ "$(stat --format '%U:%G %a' $config /etc/recarga/environment | sort -u)" = 'root:recarga 640' ]
echo 'installed: not started, and nobody else reads its secrets'

cat >>$config <<'LOCATION'
[[locations]]
id = "SSA-01"
name = "Posto do Farol"
city = "Salvador"
state = "BA"
latitude = -13.0103
longitude = -38.5326
time_zone = "America/Bahia"
tariff = { price_kwh = 2.10, activation_fee = 2.00 }
evses = [{ id = "SSA-01-1", connectors = [{ id = "1", plug = "IEC_62196_T2_COMBO", power_kw = 60 }] }]
LOCATION
sed -i "s/^RECARGA_OPERATOR_TOKEN=.*/RECARGA_OPERATOR_TOKEN=$(od -An -tx1 -N24 /dev/urandom | tr -d ' \n')/" /etc/recarga/environment
(set -a && . /etc/recarga/environment && recarga config check $config)
systemctl enable --now recarga
is_serving
[ "$(stat --format %U "/proc/$(pid)")" = recarga ]
[ "$(stat --format '%U %a' /var/lib/recarga)" = 'recarga 750' ]
echo 'started, as a user of its own'

recarga trip book --node $url --vehicle carro-1 --stop "my-company/SSA-01-1@+48h/40m"
before=$(trips)
echo "booked: $before"

kill -KILL "$(pid)"
sleep 6
is_serving
[ "$(trips)" = "$before" ]
echo 'killed: systemd has started it again, and it has forgotten nothing'

old=$(pid)
systemctl reload recarga
sleep 1
[ "$(pid)" = "$old" ]
is_serving
echo 'reloaded: the same process'

dpkg --install /mnt/recarga.deb
is_serving
[ "$(pid)" != "$old" ]
[ "$(trips)" = "$before" ]
grep -q SSA-01-1 $config
echo 'upgraded: another process, the same configuration, the same trips'

systemctl stop recarga
[ "$(systemctl show --property Result --value recarga)" = success ]
recarga audit /var/lib/recarga
echo 'stopped in order: the audit holds'

systemctl start recarga
is_serving
dpkg --remove recarga
[ "$(curl -s -o /dev/null --max-time 2 $url/saude || echo refused)" = refused ]
[ -e $config ]
dpkg --purge recarga
[ ! -e $config ]
[ -e /var/lib/recarga/recarga.redb ]
echo 'removed and purged: no service, no configuration; the record is left for a person'
echo 'all is well'
