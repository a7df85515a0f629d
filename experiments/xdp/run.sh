#!/usr/bin/env bash
# Answers inside XDP against meridian's sockets, between two network namespaces that this script makes and takes away.
#
#   experiments/xdp/run.sh check                     every octet of every reply, both ways
#   experiments/xdp/run.sh measure [--rounds 10 ...] the rounds; --help tells more
#   experiments/xdp/run.sh cost                      how long the programs run, by the kernel's count
#   experiments/xdp/run.sh dig                       some questions by dig, answered in the hook
#
# Needs root (or CAP_NET_ADMIN, CAP_SYS_ADMIN and CAP_BPF), Linux 6.3 or later with BTF, and Debian's clang, libbpf-dev,
# linux-libc-dev, iproute2, ethtool and, for the last, dnsutils. DATABASE names city databases as meridian reads
# them; without, the table that meridian ships is used. PROFILE is Cargo's (release). Nothing leaves the namespaces:
# the two interfaces lead to each other and nowhere else.
set -euo pipefail
cd "$(dirname "$0")/../.."
PATH=$PATH:/usr/sbin:/sbin
task=${1:-check}
[ $# -eq 0 ] || shift
profile=${PROFILE:-release}
for program in clang ip ethtool; do
    command -v "$program" > /dev/null || { echo "$program is missing (see the top of this script)" >&2; exit 1; }
done

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
[ -n "${BUILT:-}" ] || cargo build --profile "$profile" --bin meridian
[ -n "${BUILT:-}" ] || cargo build --profile "$profile" --manifest-path experiments/xdp/Cargo.toml
folder=$(mktemp -d)
server=meridian-xdp-server-$$
client=meridian-xdp-client-$$

clean() {
    # With a namespace go its interfaces, and with them what is in their hooks.
    ip netns del "$server" 2> /dev/null || true
    ip netns del "$client" 2> /dev/null || true
    rm -rf "$folder"
}
trap clean EXIT

ip netns add "$server"
ip netns add "$client"
ip link add server netns "$server" type veth peer name client netns "$client"
for end in "server $server 198.18.0.1" "client $client 198.18.0.2"; do
    read -r interface namespace address <<< "$end"
    ip -n "$namespace" address add "$address/24" dev "$interface"
    ip -n "$namespace" link set lo up
    ip -n "$namespace" link set "$interface" up
done
if [[ " $* " == *" split "* || " $* " == *"=split "* ]]; then
    # Each end polls in a thread of the kernel, which the program pins to the core of its side.
    for end in "server $server" "client $client"; do
        read -r interface namespace <<< "$end"
        ip netns exec "$namespace" ethtool -K "$interface" gro on
        ip netns exec "$namespace" sh -c "echo 1 > /sys/class/net/$interface/threaded"
    done
fi

experiment=("$CARGO_TARGET_DIR/${profile/dev/debug}/meridian-xdp" --folder "$folder"
    --meridian "$CARGO_TARGET_DIR/${profile/dev/debug}/meridian"
    --server-namespace "/run/netns/$server" --client-namespace "/run/netns/$client")
for database in ${DATABASE:-}; do experiment+=(--database "$database"); done

case $task in
    dig)
        coproc serving { "${experiment[@]}" serve; }
        while read -r line <&"${serving[0]}"; do echo "$line"; [ "$line" != ready ] || break; done
        ask() { ip netns exec "$client" dig @198.18.0.1 "$@" +tries=1 +time=2 +norecurse +nocookie; }
        ask host-7.bench.test A
        ask HOST-7.Bench.Test A +noedns
        ask www.bench.test A +subnet=2.0.0.0/24
        ask www.bench.test A +subnet=2.0.0.0/20
        ask bench.test SOA
        ask host-7.bench.test A +tcp
        echo >&"${serving[1]}"
        cat <&"${serving[0]}" || true
        wait "$serving_PID" || true
        ;;
    *) "${experiment[@]}" "$task" "$@" || { status=$?; tail -5 "$folder/meridian.log" >&2 || true; exit $status; } ;;
esac
