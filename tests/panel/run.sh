#!/bin/sh
# The page in a browser against the real program: `recarga demo`, on ports that nobody else uses.
#   tests/panel/run.sh [PROGRAM]
# Needs Node 20, Debian's chromium (CHROMIUM names another), and a program that was built with the page.
set -eu
here=$(dirname "$0")
program=$(realpath "${1:-$here/../../target/debug/recarga}")
cd "$here"
panel_port=${PANEL_PORT:-18380}
[ -d node_modules ] || npm ci --silent --no-fund --no-audit

folder=$(mktemp -d)
"$program" demo --data "$folder/data" --panel-port "$panel_port" --mqtt-port $((panel_port + 1)) --company-port $((panel_port + 2)) \
  --cars 12 --speed 600 --plain >"$folder/demo.log" 2>&1 &
demo=$!
finish() {
  kill -INT "$demo" 2>/dev/null || true
  wait "$demo" && audit=0 || audit=$?
  rm -rf "$folder"
}
trap 'finish; exit 1' INT TERM

export PANEL="http://127.0.0.1:$panel_port"
ready=no
for _ in $(seq 60); do
  if curl -fs "$PANEL/demo/empresas" >/dev/null 2>&1; then ready=yes; break; fi
  kill -0 "$demo" 2>/dev/null || break
  sleep 0.5
done
if [ "$ready" = no ]; then
  cat "$folder/demo.log"
  finish
  exit 1
fi

node --test panel.test.mjs && tests=0 || tests=$?
[ "$tests" = 0 ] || tail -50 "$folder/demo.log"
finish
# The demo audits all databases at its end: what the page did left every trip whole.
[ "$audit" = 0 ] || { echo "the audit at the end of the demo failed" >&2; exit 1; }
exit "$tests"
