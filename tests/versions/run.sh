#!/usr/bin/env bash
# The program of the last release beside this one, in one federation: real processes, with the harness of the black box.
#
#   tests/versions/run.sh                      everything
#   tests/versions/run.sh -k rolling           some of it; all arguments go to pytest
#
# RECARGA_BIN      this program; by default target/release/recarga, else target/debug/recarga
# RECARGA_OLD_BIN  the other one; by default built in target/versions from the commit that the file `release` names
# BLACKBOX_SEED    repeats a run
set -euo pipefail
cd "$(dirname "$0")"
source ../blackbox/prepare.sh
export BLACKBOX_LOGS=${BLACKBOX_LOGS:-$_target/versions/logs} BLACKBOX_COMMAND=tests/versions/run.sh
prepare "$BLACKBOX_LOGS"

# Sets RECARGA_OLD_BIN.
build_release() {
    local folder=$_target/versions commit
    commit=$(sed -E '/^(#|$)/d' release)
    if [ "$(cat "$folder/commit" 2>/dev/null)" != "$commit" ]; then
        rm -rf "$folder/source"
        mkdir -p "$folder/source"
        # As of now: cargo would take files as old as the commit for those that it has built already.
        if ! git -C ../.. archive "$commit" | tar -x -m -C "$folder/source"; then
            echo "$0: the repository lacks $commit; run \`git fetch --unshallow\`" >&2
            exit 2
        fi
        echo "$commit" >"$folder/commit"
    fi
    echo "building the release $commit"
    (cd "$folder/source" && CARGO_TARGET_DIR=$folder/build cargo build --quiet --locked -p recarga)
    RECARGA_OLD_BIN=$folder/build/debug/recarga
}

if [ -z "${RECARGA_OLD_BIN:-}" ]; then build_release; fi
cp -f "$RECARGA_OLD_BIN" "$BLACKBOX_LOGS/recarga-old"
export RECARGA_OLD_BIN=$BLACKBOX_LOGS/recarga-old
# The fixtures of the black box, as a plugin.
export PYTHONPATH=$PWD/../blackbox
exec "$python" -m pytest -p no:cacheprovider -p conftest -q "$@"
