#!/usr/bin/env bash
# Where a server under load spends its time: a flame graph of user space and kernel, and the ten functions with
# most time of their own as text.
#
#   make profile                               meridian, client subnets
#   KIND=static PEER=gdnsd benches/profile.sh  another question, another server
#
# Samples by perf on the processor's clock, 999 a second: also where a virtual machine has no counters. The files
# are target/bench/profile-PEER-KIND.{svg,folded}. CITY_V4, CITY_V6 and PROFILE as for benches/run.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
sh scripts/tools.sh perf:linux-perf
source benches/prepare.sh
tools=target/bench/tools
INFERNO=0.12.8
[ -x $tools/bin/inferno-flamegraph ] ||
    cargo install --quiet --root $tools --version "=$INFERNO" --no-default-features --features cli \
        --bin inferno-collapse-perf --bin inferno-flamegraph inferno

peer=${PEER:-meridian} kind=${KIND:-subnet} out=target/bench/profile-${PEER:-meridian}-${KIND:-subnet}
coproc holding { exec "$load" hold --v4 "$CITY_V4" --v6 "$CITY_V6" --meridian "$meridian" --peer "$peer" \
    --kind "$kind" --seconds 8; }
# A descriptor of our own: the shell takes its own back when the program has ended.
exec 3<&"${holding[0]}"
read -r process <&3 || { echo "$peer did not start" >&2; exit 1; }
perf record --quiet --event cpu-clock --freq 999 --call-graph dwarf,8192 --pid "$process" \
    --output $out.data -- sleep 5 ||
    { echo "perf may not look at process $process: see /proc/sys/kernel/perf_event_paranoid" >&2; exit 1; }
cat <&3
perf script --no-inline --input $out.data 2> /dev/null | $tools/bin/inferno-collapse-perf > $out.folded
$tools/bin/inferno-flamegraph --title "$peer, $kind" < $out.folded > $out.svg
rm $out.data

echo "share  function (its own time; $out.svg has the calls)"
awk '{ samples = $NF; sub(/ [0-9]+$/, ""); count = split($0, frames, ";"); own[frames[count]] += samples; all += samples }
    END { for (name in own) printf "%5.1f  %s\n", 100 * own[name] / all, name }' $out.folded | sort -rn | head -10
