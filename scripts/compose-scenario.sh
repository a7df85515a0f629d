#!/bin/sh
# compose-scenario.sh: plays docker-compose.yml and checks what it promises. Images that cannot be pulled are made from
# this machine's Debian packages of the same servers, under the same names; the Compose file is used as it is.
set -eu
cd "$(dirname "$0")/.."
PATH="$PATH:/usr/sbin:/sbin"
work=$(mktemp -d)
# A port that no demo on this machine uses.
export MERIDIAN_PORT="${MERIDIAN_PORT:-15300}"
second=""

say() { echo "== $*"; }
fail() { echo "FAILED: $*" >&2; compose logs --no-color --tail 30 server >&2 || true; exit 1; }

compose() {
    if docker compose version >/dev/null 2>&1; then
        docker compose --project-name meridian-scenario "$@"
    else
        docker-compose --project-name meridian-scenario "$@"
    fi
}

clean_up() {
    [ -z "$second" ] || docker rm --force "$second" >/dev/null 2>&1 || true
    compose down --timeout 2 >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# image NAME TEST-COMMAND...: makes sure of an image, by pulling it or, failing that, by the function stand_in_NAME.
image() {
    docker image inspect "$1" >/dev/null 2>&1 && return
    timeout 120 docker pull --quiet "$1" 2>/dev/null && return
    say "$1 cannot be pulled: a stand-in is made from Debian's packages"
    shift
    "$@"
}

# The old builder tells on standard error that it is old.
build() {
    docker build --quiet "$@" >"$work/build.log" 2>&1 || { cat "$work/build.log" >&2; fail "docker build $*"; }
}

# lay_out FOLDER PROGRAM...: copies programs and the libraries that they need into a folder.
lay_out() {
    folder=$1
    shift
    mkdir -p "$folder/bin" "$folder/etc" "$folder/tmp" "$folder/var/log/nginx" "$folder/var/lib/nginx"
    chmod 1777 "$folder/tmp"
    printf 'root:x:0:0::/:\nnobody:x:65534:65534::/:\n' >"$folder/etc/passwd"
    printf 'root:x:0:\nnogroup:x:65534:\n' >"$folder/etc/group"
    for program in "$@"; do
        program=$(command -v "$program")
        cp -L "$program" "$folder/bin/"
        ldd "$program" | grep -o '/[^ ]*' | while read -r library; do
            mkdir -p "$folder/$(dirname "$library")"
            cp -L "$library" "$folder/$library"
        done
    done
}

stand_in_nginx() {
    sh scripts/tools.sh nginx:nginx-light
    lay_out "$work/nginx" nginx
    printf 'FROM scratch\nCOPY . /\nSTOPSIGNAL SIGQUIT\nCMD ["/bin/nginx", "-c", "/etc/nginx/nginx.conf", "-g", "daemon off;"]\n' |
        build --tag nginx:1.28-alpine --file - "$work/nginx"
}

stand_in_haproxy() {
    sh scripts/tools.sh haproxy:haproxy
    lay_out "$work/haproxy" haproxy
    printf 'FROM scratch\nCOPY . /\nUSER 99:99\nSTOPSIGNAL SIGUSR1\nCMD ["/bin/haproxy", "-W", "-db", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]\n' |
        build --tag haproxy:3.0-alpine --file - "$work/haproxy"
}

# The client's own Dockerfile from COPY on, over a root that holds dig.
stand_in_client() {
    sh scripts/tools.sh dig:bind9-dnsutils
    lay_out "$work/client" sh dig date sleep tail
    printf 'FROM scratch\nCOPY . /\n' | build --tag meridian-client-root --file - "$work/client"
    sed -e 's|^FROM .*|FROM meridian-client-root|' -e '/^RUN /d' deploy/client/Dockerfile >"$work/Dockerfile"
    build --tag meridian-client --file "$work/Dockerfile" deploy/client
}

in_server() { compose exec -T server /meridian "$@"; }

answers() {
    for continent in america europe asia; do
        printf '%s ' "$(compose exec -T client sh /ask.sh "$continent" | tail -n 1)"
    done
}

# expect SECONDS WHAT ANSWERS: until the three continents get these answers.
expect() {
    begun=$(date +%s)
    while :; do
        given=$(answers)
        [ "$given" != "$3 " ] || break
        [ $(($(date +%s) - begun)) -lt "$1" ] || fail "$2: $given instead of $3"
        sleep 0.3
    done
    echo "$2: $3 (after $(($(date +%s) - begun)) s)"
}

play_scenario() {
    say "starting all"
    compose up -d --quiet-pull 2>"$work/up" || compose up -d || fail "it does not start"
    expect 60 "america europe asia" "10.53.0.11 10.53.0.12 10.53.0.13"
    say "eu-west dies: its users go to the next nearest, the others stay"
    compose stop --timeout 1 eu-west 2>/dev/null
    expect 20 "without eu-west" "10.53.0.11 10.53.0.11 10.53.0.13"
    say "eu-west comes back"
    compose start eu-west >/dev/null 2>&1
    expect 30 "with eu-west" "10.53.0.11 10.53.0.12 10.53.0.13"
    say "all regions die: everything is answered as if all were well"
    compose stop --timeout 1 us-east eu-west ap-northeast 2>/dev/null
    for _ in $(seq 30); do
        in_server status | grep -q 'last resort' && break
        sleep 0.5
    done
    in_server status | grep -q 'last resort' || fail "status does not tell that all are down"
    expect 5 "nothing healthy" "10.53.0.11 10.53.0.12 10.53.0.13"
    compose start us-east eu-west ap-northeast >/dev/null 2>&1
    say "asked from the host, by the published port"
    dig @127.0.0.1 -p "$MERIDIAN_PORT" +tries=2 +subnet=133.11.0.0/24 www.world.meridian.test | grep -E 'CLIENT-SUBNET|IN.A'
    dig @127.0.0.1 -p "$MERIDIAN_PORT" +tcp +short www.world.meridian.test | grep -q '^10\.53\.' || fail "no TCP"
    compose logs --no-color client | tail -n 8
}

# What the container is allowed, and whether the image's own health check sees it well.
check_container() {
    say "the container"
    server=$(compose ps -q server)
    [ "$(docker inspect --format '{{.State.Health.Status}}' "$server")" = healthy ] || fail "not healthy"
    docker top "$server" -eo pid,uid,args | tail -n 1 | grep -q '^ *[0-9]* *65532 ' || fail "not nobody's uid"
    [ "$(docker inspect --format '{{.HostConfig.ReadonlyRootfs}}' "$server")" = true ] || fail "root is not read-only"
    in_server healthcheck --control 127.0.0.1:9853
    in_server explain www.world.meridian.test --client 193.0.0.0/24 | grep -q '10.53.0.12' || fail "explain"
    in_server reload
    status=0
    in_server healthcheck --control 127.0.0.1:9 2>/dev/null || status=$?
    [ "$status" = 1 ] || fail "healthcheck of nobody ends with $status"
    docker run --rm --network none meridian --version
    status=0
    docker run --rm --network none meridian 2>/dev/null || status=$?
    [ "$status" = 2 ] || fail "without a configuration it ends with $status"
}

# A second server asks for a name, which a static program must still find, and by HTTPS, for which the image holds the
# public authorities' certificates: what is asked speaks no TLS, so the failure must be the handshake's.
check_names_and_trust() {
    say "names and trust"
    mkdir -p "$work/etc/zones"
    cp deploy/etc/zones/world.meridian.test.zone "$work/etc/zones/"
    cat >"$work/etc/meridian.toml" <<'CONFIGURATION'
[server]
listen = ["0.0.0.0:5353"]
[regions.us-east]
[monitors.web]
http = { path = "/healthz", port = 8080 }
interval = "1s"
[monitors.secure]
https = { path = "/healthz", port = 8080, host = "us-east" }
interval = "1s"
[pools.named]
monitor = "web"
endpoints = [{ name = "named", region = "us-east", host = "us-east" }]
[pools.secure]
monitor = "secure"
endpoints = [{ name = "secure", region = "us-east", address = "10.53.0.11" }]
[services.named]
policy = { failover = ["named"] }
[services.secure]
policy = { failover = ["secure"] }
CONFIGURATION
    printf '[names]\n"named" = "named"\n"secure" = "secure"\n' >"$work/etc/zones/world.meridian.test.toml"
    chmod -R a+rX "$work"
    second=$(docker run --detach --network meridian-scenario_world --read-only --cap-drop ALL \
        --volume "$work/etc:/etc/meridian:ro" meridian)
    for _ in $(seq 40); do
        docker exec "$second" /meridian status >"$work/status" 2>/dev/null || true
        grep -q 'named.* up ' "$work/status" && grep -q 'tls: handshake failed' "$work/status" && break
        sleep 0.5
    done
    cat "$work/status"
    grep -q 'named.* up ' "$work/status" || { docker logs "$second" >&2; fail "the name is not found"; }
    grep -q 'tls: handshake failed' "$work/status" || fail "HTTPS fails otherwise than expected"
    say "stopping it"
    docker stop --time 30 "$second" >/dev/null
    [ "$(docker inspect --format '{{.State.ExitCode}}' "$second")" = 0 ] || fail "it does not stop in peace"
}

command -v docker-compose >/dev/null 2>&1 || docker compose version >/dev/null 2>&1 ||
    sh scripts/tools.sh docker-compose:docker-compose
sh scripts/tools.sh dig:bind9-dnsutils
image nginx:1.28-alpine stand_in_nginx
image haproxy:3.0-alpine stand_in_haproxy
docker image inspect meridian-client >/dev/null 2>&1 || compose build --quiet client 2>/dev/null || stand_in_client
docker image inspect meridian >/dev/null 2>&1 || compose build server
compose config --quiet
play_scenario
check_container
check_names_and_trust
