#!/bin/sh
# docker.sh: builds the server's image FROM scratch with a static program, and plays docker-compose.yml with it.
# Needs root or a running container engine, and no registry: see compose-scenario.sh for what cannot be pulled.
set -eu
cd "$(dirname "$0")/.."
PATH="$PATH:/usr/sbin:/sbin"
work=$(mktemp -d)
engine_pid=""

say() { echo "== $*"; }
fail() { echo "FAILED: $*" >&2; exit 1; }

# Ends the engine if this script has started it.
clean_up() {
    [ -z "$engine_pid" ] || kill "$engine_pid" 2>/dev/null || true
    [ -z "$engine_pid" ] || wait "$engine_pid" 2>/dev/null || true
    # The engine leaves this one mounted.
    umount "$work/exec/netns/default" 2>/dev/null || true
    rm -rf "$work" || true
}
trap clean_up EXIT
trap 'exit 130' INT TERM

engine_answers() { docker info >/dev/null 2>&1; }

start_engine() {
    sh scripts/tools.sh docker:docker.io
    if engine_answers; then
        say "using the container engine that runs"
        return
    fi
    sh scripts/tools.sh dockerd:docker.io iptables:iptables
    say "starting a container engine of our own"
    export DOCKER_HOST="unix://$work/docker.sock"
    dockerd --data-root "$work/data" --exec-root "$work/exec" --host "$DOCKER_HOST" --pidfile "$work/pid" \
        --storage-driver vfs >"$work/dockerd.log" 2>&1 &
    engine_pid=$!
    for _ in $(seq 60); do
        if engine_answers; then return; fi
        sleep 0.5
    done
    tail -n 20 "$work/dockerd.log" >&2
    fail "no container engine can run here"
}

# The last stage of the Dockerfile, with a folder made here in place of the build stage.
build_image() {
    say "building the static program"
    sh deploy/image.sh "$work/image"
    say "building the image FROM scratch"
    sed -n '/^FROM scratch/,$p' Dockerfile | sed 's|^COPY --from=build /image/ /|COPY . /|' >"$work/Dockerfile"
    grep -q '^COPY \. /$' "$work/Dockerfile" || fail "the Dockerfile's last stage has changed: mend this script"
    docker build --quiet --tag meridian --file "$work/Dockerfile" "$work/image" >"$work/build.log" 2>&1 ||
        { cat "$work/build.log" >&2; fail "docker build"; }
    docker image ls --format '{{.Repository}}: {{.Size}}' meridian
}

start_engine
build_image
sh scripts/compose-scenario.sh
say "all is well"
