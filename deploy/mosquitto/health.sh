#!/bin/sh
# Healthy means: a client can log in and receives a message.
set -eu
exec mosquitto_sub -h 127.0.0.1 -p 1883 -u saude -P "$(cat /tmp/health-password)" \
    -t '$SYS/broker/uptime' -C 1 -W 3 > /dev/null
