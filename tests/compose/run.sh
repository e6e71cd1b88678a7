#!/usr/bin/env bash
# Brings up the compose file in the repository's root as a newcomer would, and tries it for real:
# trips over the broker, a company that stops in the middle, crashes, an audit, and taking all down.
#
#   tests/compose/run.sh                   a running Docker engine if there is one, else podman
#   ENGINE=docker tests/compose/run.sh     Docker Engine with the compose plugin
#   ENGINE=podman tests/compose/run.sh     Debian's podman, as root; no image registry is needed
#
# With podman everything lives in namespaces and folders of the test's own (see podman.sh), so it
# disturbs nothing on the machine and nothing on the machine disturbs it. With Docker the ports of
# the compose file must be free; RECARGA_PORT_A, _B, _C and RECARGA_MQTT_PORT choose others.
#
# Whatever cannot be tried is a failure with a reason, never a silent skip.
# shellcheck disable=SC2016  # the engines' templates and some patterns hold dollar signs of their own
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$here/../.." && pwd)
cache=${COMPOSE_TEST_CACHE:-$repository/target/compose-test}
project=recarga-test
export COMPOSE_TEST_STARTED=${COMPOSE_TEST_STARTED:-$(date +%s)}

# Images of the test's own name: a user's `recarga:local` stays as it is.
export RECARGA_IMAGE=recarga:compose-test RECARGA_MOSQUITTO_IMAGE=recarga-mosquitto:compose-test
# The defaults of the compose file are what a newcomer gets, so a developer's `.env` must not matter.
export COMPOSE_ENV_FILE=/dev/null

step() { printf '\n[%4d s] %s\n' "$(($(date +%s) - COMPOSE_TEST_STARTED))" "$*"; }
note() { printf '         %s\n' "$*"; }
fail() {
    printf 'not ok - %s\n' "$*" >&2
    exit 1
}
passed=0
engine_ready=
ok() {
    printf 'ok - %s\n' "$*"
    passed=$((passed + 1))
}

# shellcheck source=podman.sh
source "$here/podman.sh"

choose_engine() {
    if [ -n "${ENGINE:-}" ]; then
        case $ENGINE in
            docker | podman) ;;
            *) fail "ENGINE is 'docker' or 'podman', not '$ENGINE'" ;;
        esac
    elif docker info > /dev/null 2>&1 && docker compose version > /dev/null 2>&1; then
        ENGINE=docker
    else
        ENGINE=podman
    fi
    export ENGINE
}

# --- the two engines behind the same few words ---------------------------------------------------

# What talks to the published ports must stand where they are published.
beside_ports() {
    if [ "$ENGINE" = podman ]; then in_test_network "$@"; else "$@"; fi
}
# Nothing may hang: every call of the engine ends by itself.
engine() { beside_ports timeout 120 "$ENGINE" "$@"; }
compose() {
    local program=(docker compose)
    [ "$ENGINE" = docker ] || program=("$venv/bin/podman-compose")
    # A build fetches packages; everything else stays in the test's network.
    if [ "$1" = build ]; then
        program=(timeout 3600 "${program[@]}")
    else
        program=(beside_ports timeout 300 "${program[@]}")
    fi
    (cd "$repository" &&
        "${program[@]}" --project-name "$project" --env-file "$COMPOSE_ENV_FILE" "$@") \
        >> "$log" 2>&1 || {
        tail -n 40 "$log" >&2
        cp "$log" "$cache/engine.log"
        fail "compose $* failed (its last lines are above, all of them in ${cache#"$repository/"}/engine.log)"
    }
}
container() {
    local id
    id=$(engine ps --all --quiet --filter "label=com.docker.compose.project=$project" \
        --filter "label=com.docker.compose.service=$1")
    [ -n "$id" ] || fail "there is no container of $1"
    printf '%s\n' "$id"
}
# The shipped health check. Docker runs it by its timer; podman's timer is systemd, which a container
# or CI machine may not have, so there the same check is run by hand.
healthy() {
    local id
    id=$(container "$1")
    if [ "$ENGINE" = podman ]; then
        engine healthcheck run "$id" > /dev/null 2>&1
    else
        [ "$(engine inspect --format '{{.State.Health.Status}}' "$id")" = healthy ]
    fi
}
wait_healthy() {
    local service deadline
    for service; do
        deadline=$(($(date +%s) + 60))
        until healthy "$service"; do
            [ "$(date +%s)" -lt "$deadline" ] || fail "$service did not become healthy in 60 s"
            sleep 0.3
        done
        ok "$service is healthy"
    done
}
inspect() { engine inspect --format "$2" "$(container "$1")"; }

# A crash: the process is gone without warning, and nobody asked the engine to stop it.
crash() {
    local pid before deadline
    before=$(inspect "$1" '{{.State.Pid}}')
    kill -KILL "$before" 2> /dev/null ||
        fail "cannot kill process $before of $1: with Docker this test must run as root on the engine's machine"
    deadline=$(($(date +%s) + 30))
    while
        pid=$(inspect "$1" '{{.State.Pid}}')
        [ "$pid" = "$before" ] || [ "$pid" = 0 ]
    do
        [ "$(date +%s)" -lt "$deadline" ] || fail "$1 was not restarted in 30 s"
        sleep 0.2
    done
    ok "$1 was killed and came back by itself"
}

mqtt_port=${RECARGA_MQTT_PORT:-1883}
urls=(
    "empresa-a=http://127.0.0.1:${RECARGA_PORT_A:-8001}"
    "empresa-b=http://127.0.0.1:${RECARGA_PORT_B:-8002}"
    "empresa-c=http://127.0.0.1:${RECARGA_PORT_C:-8003}"
)
broker() {
    counted beside_ports "$venv/bin/python" "$here/broker.py" "$1" --port "$mqtt_port" --cars-password demo-mqtt-cars \
        --company-password=empresa-{a=demo-mqtt-a,b=demo-mqtt-b,c=demo-mqtt-c}
}
travel() { counted travel_uncounted "$@"; }
travel_uncounted() {
    beside_ports "$venv/bin/python" "$here/travel.py" --port "$mqtt_port" --cars-password demo-mqtt-cars \
        "${urls[@]/#/--company=}" --state "$work/trips" "$@"
}
# Runs something that prints a line `ok - ...` for each of its checks, and counts them.
counted() {
    "$@" > "$work/checks" || {
        cat "$work/checks"
        fail "see above"
    }
    cat "$work/checks"
    passed=$((passed + $(grep -c '^ok' "$work/checks")))
}

# --- the test ------------------------------------------------------------------------------------

main() {
    choose_engine
    work=$(mktemp -d "${TMPDIR:-/tmp}/recarga-compose.XXXXXX")
    log=$work/engine.log
    venv=$cache/venv
    if [ "$ENGINE" = podman ] && [ -z "${COMPOSE_TEST_INSIDE:-}" ]; then
        rm -rf "$work"
        prepare_machine
        inside_own_namespaces "$here/run.sh"
    fi
    trap 'finish $?' EXIT
    trap 'exit 130' INT TERM

    check_agreement
    prepare_python
    [ "$ENGINE" = docker ] || prepare_podman
    engine_ready=yes
    try_images
    try_broker
    try_federation
}

check_agreement() {
    step "What is written twice says the same twice"
    grep -o '\${RECARGA_[A-Z_]*:-[^}]*}' "$repository/compose.yaml" | sed 's/^\${//; s/}$//; s/:-/=/' | sort -u > "$work/compose.env"
    grep '^[A-Z]' "$repository/.env.example" | sort -u > "$work/example.env"
    diff -u "$work/compose.env" "$work/example.env" || fail ".env.example and compose.yaml disagree (see above)"
    ok ".env.example names the $(wc -l < "$work/compose.env") variables of compose.yaml with their defaults"
    local image workspace
    image=$(sed -n 's/^ARG RUST_VERSION=//p' "$repository/deploy/Dockerfile")
    workspace=$(sed -n 's/^rust-version *= *"\(.*\)"/\1/p' "$repository/Cargo.toml")
    [ "$image" = "$workspace" ] || fail "deploy/Dockerfile builds with Rust $image, Cargo.toml asks for $workspace"
    ok "deploy/Dockerfile builds with the Rust version of Cargo.toml, $image"
}

prepare_python() {
    if ! cmp -s "$here/requirements.txt" "$venv/requirements.txt"; then
        step "Python tools: $(tr '\n' ' ' < "$here/requirements.txt")"
        rm -rf "$venv"
        mkdir -p "$cache"
        python3 -m venv "$venv"
        "$venv/bin/pip" install --quiet --requirement "$here/requirements.txt"
        cp "$here/requirements.txt" "$venv/requirements.txt"
    fi
}

try_images() {
    step "Build the images"
    compose build
    local size
    size=$(engine image inspect --format '{{.Size}}' "$RECARGA_IMAGE")
    note "the program's image has $((size / 1000000)) MB"
    [ "$size" -lt 60000000 ] || fail "the program's image has $size bytes, more than 60 MB"
    ok "the program's image is small"
    if engine run --rm --network none --entrypoint /bin/sh "$RECARGA_IMAGE" -c true > /dev/null 2>&1; then
        fail "the program's image has a shell"
    fi
    ok "the program's image has no shell"
    engine run --rm --network none "$RECARGA_IMAGE" --help > "$work/help" 2>&1 ||
        { cat "$work/help"; fail "the program does not start in its image"; }
    ok "the program starts in its image"
}

try_broker() {
    step "The broker alone: who may say and hear what"
    compose up --detach mosquitto
    wait_healthy mosquitto
    broker rules
    broker queue
    # The write to disk follows the acknowledgement at once, but follows it.
    sleep 1
    crash mosquitto
    wait_healthy mosquitto
    broker queue-after
}

try_federation() {
    local company
    step "Bring up everything"
    compose up --detach
    wait_healthy mosquitto empresa-a empresa-b empresa-c
    for company in empresa-{a,b,c}; do
        answers "$company" || fail "$company does not answer on its published port"
    done
    ok "the companies answer on their published ports"
    try_confinement
    travel book first --stops empresa-a,empresa-b,empresa-c --expect confirmada
    travel simulated --cars 20

    step "A company stops in the middle of the traffic"
    travel_in_background stop
    compose stop empresa-b
    if answers empresa-b; then fail "empresa-b still answers after it was stopped"; fi
    ok "empresa-b is stopped"
    travel book without-b --stops empresa-a,empresa-c --expect confirmada
    travel book with-b --stops empresa-a,empresa-b,empresa-c --coordinator empresa-a --expect recusada
    travel ask for-b --stops empresa-b,empresa-a --coordinator empresa-b
    compose start empresa-b
    wait_healthy empresa-b
    travel answer for-b --expect confirmada
    # The same windows: the refused trip has left nothing behind anywhere.
    travel book with-b-again --stops empresa-a,empresa-b,empresa-c --like with-b --expect confirmada
    join_background stop
    audit

    step "A company and the broker are killed in the middle of the traffic"
    travel_in_background kill
    crash empresa-c
    sleep 2
    crash mosquitto
    wait_healthy mosquitto empresa-a empresa-b empresa-c
    join_background kill
    travel book after-crashes --stops empresa-c,empresa-b,empresa-a --expect confirmada
    audit

    step "Everything is removed but the volumes, and brought up again"
    compose down
    compose up --detach
    wait_healthy mosquitto empresa-a empresa-b empresa-c
    travel book second-life --stops empresa-b,empresa-c --expect confirmada
    audit
}

answers() {
    local company
    for company in "${urls[@]}"; do
        if [ "${company%%=*}" = "$1" ]; then
            beside_ports curl --silent --fail --max-time 5 "${company#*=}/saude" > /dev/null 2>&1
            return
        fi
    done
    fail "$1 has no address"
}

burst_days=1
travel_in_background() {
    travel_uncounted burst "$1" --seconds 12 --from-day "$burst_days" > "$work/burst-$1" 2>&1 &
    burst=$!
    burst_days=$((burst_days + 25))
    # In the middle: when some trips are done.
    local deadline=$(($(date +%s) + 30))
    until [ "$(find "$work/trips" -name "burst-$1-*" | wc -l)" -ge 20 ]; do
        [ "$(date +%s)" -lt "$deadline" ] || { cat "$work/burst-$1"; fail "the cars did not get 20 trips in 30 s"; }
        sleep 0.1
    done
}
join_background() {
    wait "$burst" || {
        cat "$work/burst-$1"
        fail "see above"
    }
    counted cat "$work/burst-$1"
}

# Two audits: what the cars were told against what is free at each company, and the program's own,
# which reads everything that the companies remember. The simulated cars pause meanwhile.
audit() {
    compose stop carros
    travel verify
    engine run --rm --network "${project}_default" "$RECARGA_IMAGE" audit \
        --url http://empresa-a:8001 --token demo-operator-a \
        --url http://empresa-b:8002 --token demo-operator-b \
        --url http://empresa-c:8003 --token demo-operator-c > "$work/audit" 2>&1 || {
        cat "$work/audit"
        fail "the audit over the network does not hold"
    }
    note "$(tail -n 1 "$work/audit")"
    ok "recarga audit holds over the network"
    compose start carros
}

try_confinement() {
    local service
    for service in empresa-a empresa-b empresa-c carros mosquitto; do
        [ "$(inspect "$service" '{{.HostConfig.ReadonlyRootfs}}')" = true ] || fail "$service can write to its root"
        [ "$(inspect "$service" '{{.HostConfig.RestartPolicy.Name}}')" = unless-stopped ] || fail "$service is not restarted"
        local pid user effective
        pid=$(inspect "$service" '{{.State.Pid}}')
        user=$(awk '/^Uid:/ {print $2}' "/proc/$pid/status") || fail "cannot look at process $pid of $service"
        effective=$(awk '/^CapEff:/ {print $2}' "/proc/$pid/status")
        [ "$user" != 0 ] || fail "$service runs as root"
        [ "$effective" = 0000000000000000 ] || fail "$service has capabilities: $effective"
        ok "$service: not root, no capabilities, read-only root, restarted unless stopped"
    done
}

# --- taking down ---------------------------------------------------------------------------------

finish() {
    local status=$1
    trap - EXIT INT TERM
    set +e
    if [ -z "$engine_ready" ]; then
        rm -rf "$work"
        exit "$status"
    fi
    if [ "$status" -ne 0 ]; then
        step "FAILED; what the containers said last:"
        local id
        for id in $(engine ps --all --quiet --filter "label=com.docker.compose.project=$project" 2> /dev/null); do
            printf -- '--- %s\n' "$(engine inspect --format '{{.Name}}' "$id")"
            engine logs --tail 15 "$id" 2>&1
        done
    fi
    step "Take everything down"
    (compose down --volumes) || status=1
    engine image rm --force "$RECARGA_IMAGE" "$RECARGA_MOSQUITTO_IMAGE" > /dev/null 2>&1
    local left
    left=$(
        engine ps --all --quiet --filter "label=com.docker.compose.project=$project"
        engine volume ls --quiet | grep "^${project}_"
        engine network ls --format '{{.Name}}' | grep "^${project}_"
    )
    if [ -n "$left" ]; then
        printf 'not ok - still there: %s\n' "$left" >&2
        status=1
    fi
    rm -rf "$work"
    step "Done: exit status $status"
    if [ "$status" -eq 0 ]; then
        printf '\n%d passed, 0 failed\n' "$passed"
    else
        printf '\n%d passed, 1 failed\n' "$passed"
    fi
    exit "$status"
}

main "$@"
