#!/bin/sh
# Writes the password file from the environment, then starts Mosquitto.
#
#   RECARGA_MQTT_PASSWORD_A, _B, _C   the three companies (users empresa-a, empresa-b, empresa-c)
#   RECARGA_MQTT_PASSWORD_CARS        every simulated car (users carro-0001, carro-0002, ...)
#   RECARGA_MQTT_CARS                 how many cars have a user
#
# The file is made anew at each start, so a changed password counts after a restart. One password
# for all simulated cars is a convenience of the demo; real cars each have their own.
set -eu
umask 077

passwords=/tmp/passwords

fail() {
    echo "mosquitto entrypoint: $*" >&2
    exit 1
}

# An entry is a line `user:password`: neither may hold a line break, and a password must exist.
add_user() {
    user=$1 password=$2
    [ -n "$password" ] || fail "the password of $user is empty"
    case $password in
        *'
'*) fail "the password of $user contains a line break" ;;
    esac
    printf '%s:%s\n' "$user" "$password"
}

cars=${RECARGA_MQTT_CARS:-200}
case $cars in
    '' | *[!0-9]*) fail "RECARGA_MQTT_CARS must be a number, not '$cars'" ;;
esac
[ "$cars" -le 9999 ] || fail "RECARGA_MQTT_CARS must be at most 9999, not $cars"

# The health check has a password that nobody needs to know: it is drawn at every start.
health_password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
printf '%s' "$health_password" > /tmp/health-password

{
    add_user empresa-a "${RECARGA_MQTT_PASSWORD_A:-}"
    add_user empresa-b "${RECARGA_MQTT_PASSWORD_B:-}"
    add_user empresa-c "${RECARGA_MQTT_PASSWORD_C:-}"
    add_user saude "$health_password"
    car=1
    while [ "$car" -le "$cars" ]; do
        add_user "$(printf 'carro-%04d' "$car")" "${RECARGA_MQTT_PASSWORD_CARS:-}"
        car=$((car + 1))
    done
} > "$passwords"

# Hashes all entries in place, in one go.
mosquitto_passwd -U "$passwords"

exec "$@"
