# Sourced by run.sh: Docker's compose file on a machine that has neither a Docker engine nor an image
# registry. Debian's podman runs the containers; the base images are made from Debian's packages and
# this machine's Rust toolchain, under the names that the Dockerfiles use.
#
# The test runs in mount, process and network namespaces of its own, with its own container storage:
# its ports cannot collide with anything, other containers on the machine are out of sight, and
# whatever happens, nothing outlives the test.
# shellcheck shell=bash disable=SC2154,SC2016  # run.sh sets cache, log, repository and work

packages=(podman buildah runc conmon netavark aardvark-dns iptables iproute2 util-linux procps uidmap
    debootstrap debian-archive-keyring ca-certificates curl python3-venv)

prepare_machine() {
    [ "$(uname -s)" = Linux ] || fail "ENGINE=podman needs Linux"
    [ "$(id -u)" = 0 ] || fail "ENGINE=podman needs root (it makes namespaces and base images); try: sudo ENGINE=podman $0"
    local missing=() package
    for package in "${packages[@]}"; do
        dpkg-query --show --showformat '${db:Status-Status}' "$package" 2> /dev/null | grep -qx installed || missing+=("$package")
    done
    if [ "${#missing[@]}" -gt 0 ]; then
        command -v apt-get > /dev/null || fail "ENGINE=podman needs Debian's packages: ${missing[*]}"
        step "Install ${missing[*]}"
        mkdir -p "$cache"
        { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "${missing[@]}"; } \
            > "$cache/apt.log" 2>&1 || { tail -n 20 "$cache/apt.log" >&2; fail "apt-get could not install them"; }
    fi
    command -v cargo > /dev/null || fail "the stand-in for the Rust image is made from this machine's Rust, and there is none"
}

# Runs a program as the first process of new namespaces. When it ends, however it ends, the kernel
# ends every container with it; only the folder is left to remove.
inside_own_namespaces() {
    local status=0 child state
    # A short path: the engine's sockets in it may have 107 characters at most.
    state=$(mktemp -d /var/tmp/recarga-compose.XXXXXX)
    # shellcheck disable=SC2064  # the folder's name is wanted now
    trap "rm -rf --one-file-system '$state'" EXIT
    COMPOSE_TEST_INSIDE=$state unshare --mount --propagation private --pid --fork --kill-child --mount-proc -- "$1" &
    child=$!
    # The end of the first process is the end of all; only after that is the folder quiet.
    # shellcheck disable=SC2064
    trap "pkill -KILL --parent $child" INT TERM
    wait "$child" || status=$?
    trap - INT TERM
    wait "$child" 2> /dev/null || true
    exit "$status"
}

in_test_network() { nsenter --net=/run/netns/recarga-test -- "$@"; }

prepare_podman() {
    local state=$COMPOSE_TEST_INSIDE folder
    step "podman $(podman --version | awk '{print $3}') in namespaces of its own"
    # What podman keeps in fixed places must be our own too.
    for folder in /run/containers /run/libpod /run/netns /dev/shm; do
        mkdir -p "$folder"
        mount -t tmpfs tmpfs "$folder"
    done
    ip netns add recarga-test
    ip -n recarga-test link set lo up

    mkdir -p "$state"/{storage,run,networks,tmp/buildah-cache} "$cache/cargo"
    # The cache mounts of the Dockerfile outlive the test, so that a second run compiles only changes.
    mount --bind "$cache/cargo" "$state/tmp/buildah-cache"
    cat > "$state/storage.conf" <<END
[storage]
driver = "overlay"
graphroot = "$state/storage"
runroot = "$state/run"
END
    # runc, because crun refuses machines with both cgroup versions mounted. The limits on open files
    # and processes are low because a sandboxed root may not raise them.
    cat > "$state/containers.conf" <<END
[containers]
default_ulimits = ["nofile=1024:4096", "nproc=1024:4096"]
log_driver = "k8s-file"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
tmp_dir = "$state/run/libpod"
volume_path = "$state/volumes"
[network]
network_backend = "netavark"
network_config_dir = "$state/networks"
END
    export CONTAINERS_STORAGE_CONF=$state/storage.conf CONTAINERS_CONF=$state/containers.conf
    export BUILDAH_ISOLATION=chroot TMPDIR=$state/tmp
    make_debian_image
    make_rust_image
}

# debian:bookworm-slim, from Debian's packages.
make_debian_image() {
    local archive=$cache/debian-bookworm.tar mirror
    if [ -z "$(find "$archive" -mtime -7 2> /dev/null)" ]; then
        step "Make a stand-in for the image debian:bookworm-slim"
        # The mirror that this machine uses, if it uses one, knows best how to be reached.
        mirror=$(apt-get indextargets --format '$(CREATED_BY) $(LABEL) $(REPO_URI)' 2> /dev/null |
            awk '$1 == "Packages" && $2 == "Debian" {print $3; exit}')
        debootstrap --variant=minbase bookworm "$TMPDIR/debian" ${mirror:+"$mirror"} > "$work/debootstrap.log" 2>&1 ||
            { tail -n 20 "$work/debootstrap.log" >&2; fail "debootstrap could not make a Debian system"; }
        # So do its settings for reaching it.
        apt-config dump | grep -E '^Acquire::(Check-|Retries|https?::(Proxy|Timeout))' > "$TMPDIR/debian/etc/apt/apt.conf.d/90host" || true
        rm -rf "$TMPDIR"/debian/var/cache/apt/archives/*.deb "$TMPDIR"/debian/var/lib/apt/lists/*
        tar --directory "$TMPDIR/debian" --create --file "$archive.new" .
        mv "$archive.new" "$archive"
        rm -rf --one-file-system "$TMPDIR/debian"
    fi
    podman import --change 'CMD ["bash"]' "$archive" debian:bookworm-slim >> "$log" 2>&1 || fail "podman cannot import the Debian image"
    ok "debian:bookworm-slim stands in"
}

# rust:<version>-slim-bookworm: a C linker from Debian, and this machine's toolchain.
make_rust_image() {
    local version name toolchain image cargo_home certificates
    version=$(sed -n 's/^ARG RUST_VERSION=//p' "$repository/deploy/Dockerfile")
    name=rust:$version-slim-bookworm
    step "Make a stand-in for the image $name"
    toolchain=$(cd "$repository" && rustc --print sysroot)
    note "with $("$toolchain/bin/rustc" --version)"
    image=$(buildah from debian:bookworm-slim)
    buildah run "$image" -- sh -c 'apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev ca-certificates' >> "$log" 2>&1 ||
        { tail -n 20 "$log" >&2; fail "the C linker cannot be installed in the Rust image"; }
    buildah copy --quiet "$image" "$toolchain/bin" /usr/local/cargo/bin > /dev/null
    buildah copy --quiet "$image" "$toolchain/lib" /usr/local/cargo/lib > /dev/null
    # How this machine reaches the registry of crates, if it has settings of its own.
    cargo_home=${CARGO_HOME:-$HOME/.cargo}
    if [ -f "$cargo_home/config.toml" ]; then
        buildah copy --quiet "$image" "$cargo_home/config.toml" /usr/local/cargo/config.toml > /dev/null
    fi
    certificates=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}
    buildah copy --quiet "$image" "$certificates" /etc/ssl/certs/ca-certificates.crt > /dev/null
    buildah config --env CARGO_HOME=/usr/local/cargo \
        --env PATH=/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$image"
    buildah commit --quiet --rm "$image" "$name" > /dev/null
    ok "$name stands in"
}
