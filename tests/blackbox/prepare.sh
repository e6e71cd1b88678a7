# Sourced by the scripts that test the program from outside: finds it, installs what the tests need, and sets
#   python     a Python that has the pinned clients
#   RECARGA_BIN  a copy of the program in the folder given
# All names that start with "_" are this file's own.
_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
_target=$(cd "$_here/../.." && pwd)/target

# prepare FOLDER_OF_LOGS [DEBIAN_PACKAGE:FILE_THAT_IT_BRINGS ...]
prepare() {
    local logs=$1 program=${RECARGA_BIN:-} candidate wanted missing=()
    shift
    if [ -z "$program" ]; then
        for candidate in "$_target/release/recarga" "$_target/debug/recarga"; do
            if [ -x "$candidate" ]; then program=$candidate && break; fi
        done
    fi
    if [ -z "$program" ] || [ ! -x "$program" ]; then
        echo "$0: no program to test; run \`cargo build --release -p recarga\` or set RECARGA_BIN" >&2
        exit 2
    fi

    export PATH=$PATH:/usr/sbin:/sbin
    command -v mosquitto >/dev/null || missing+=(mosquitto)
    command -v curl >/dev/null || missing+=(curl)
    command -v cc >/dev/null || missing+=(gcc libc6-dev)
    python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
    for wanted in "$@"; do
        compgen -G "${wanted#*:}" >/dev/null || missing+=("${wanted%%:*}")
    done
    if [ ${#missing[@]} -gt 0 ]; then _install_from_debian "${missing[@]}"; fi

    local venv=$_target/venv/blackbox
    if ! cmp -s "$_here/requirements.txt" "$venv/requirements.txt"; then
        python3 -m venv --clear "$venv"
        "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$_here/requirements.txt"
        cp "$_here/requirements.txt" "$venv/requirements.txt"
    fi
    python=$venv/bin/python

    # A copy, so that a build during the run does not change the program under the tests' feet.
    mkdir -p "$logs"
    cp -f "$program" "$logs/recarga"
    export RECARGA_BIN=$logs/recarga PYTHONDONTWRITEBYTECODE=1
}

_install_from_debian() {
    local sudo=()
    if [ "$(id -u)" -ne 0 ]; then sudo=(sudo); fi
    "${sudo[@]}" apt-get update -q
    # The package starts the system's broker; the tests run their own.
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$@"
}
