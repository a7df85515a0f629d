#!/usr/bin/env bash
# Counts user-space instructions per query by callgrind: the pure path alone, then whole servers with
# their sockets. Repeatable to a few in a thousand, whatever else the machine does.
#
# The profiles stay in target/bench/callgrind.*: `callgrind_annotate --auto=yes FILE` shows the lines.
set -euo pipefail
cd "$(dirname "$0")/.."
source benches/prepare.sh
sh scripts/tools.sh valgrind:valgrind

exec "$load" instructions --v4 "$CITY_V4" --v6 "$CITY_V6" --meridian "$meridian" "$@"
