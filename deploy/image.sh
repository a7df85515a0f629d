#!/bin/sh
# image.sh FOLDER: builds the program static and lays out all that the server's image holds.
set -eu
image=$1
cd "$(dirname "$0")/.."
host=$(rustc -vV | sed -n 's/^host: //p')
built=${CARGO_TARGET_DIR:-target/static}
# With the target named, the flag is for the program alone and not for what runs during the build.
RUSTFLAGS="-C target-feature=+crt-static" CARGO_TARGET_DIR=$built \
    cargo build --locked --release --bin meridian --target "$host"

rm -rf "$image"
mkdir -p "$image/etc/meridian" "$image/etc/ssl/certs" "$image/usr/share/meridian"
strip --strip-debug -o "$image/meridian" "$built/$host/release/meridian"
chmod 755 "$image/meridian"
# What https monitors trust.
cp /etc/ssl/certs/ca-certificates.crt "$image/etc/ssl/certs/"
cp geoip/world.mgeo "$image/usr/share/meridian/"
