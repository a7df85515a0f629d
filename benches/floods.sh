#!/usr/bin/env bash
# Floods meridian with half-open connections and with TLS handshakes, in two network namespaces that this script makes
# and takes away: what well-behaved clients get meanwhile, and what becomes of the server's memory.
#
#   benches/floods.sh                         everything, some two minutes
#   benches/floods.sh --attacks syn,half      some of it; --help tells more
#   SYNCOOKIES=0 benches/floods.sh --attacks nothing,syn
#
# Needs root (or CAP_NET_ADMIN, CAP_NET_RAW and CAP_SYS_ADMIN) and Debian's iproute2. PROFILE is Cargo's (release). Nothing leaves
# the namespaces: their two interfaces lead to each other and nowhere else. The server's core handles what comes in, as
# that of a card's interrupts would; without that the attacker would do it.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin
source benches/build.sh

server=meridian-flood-server-$$
attacker=meridian-flood-attacker-$$
clean() {
    ip netns del "$server" 2> /dev/null || true
    ip netns del "$attacker" 2> /dev/null || true
}
trap clean EXIT

ip netns add "$server"
ip netns add "$attacker"
ip link add server netns "$server" type veth peer name attacker netns "$attacker"
for end in "server $server 198.18.0.1" "attacker $attacker 198.18.0.2"; do
    read -r interface namespace address <<< "$end"
    ip -n "$namespace" address add "$address/24" dev "$interface"
    ip -n "$namespace" link set lo up
    ip -n "$namespace" link set "$interface" up
done
# Where the addresses are said to be: nobody there answers.
ip -n "$server" route add 10.77.0.0/16 via 198.18.0.2
inside() { ip netns exec "$server" "$@"; }
inside sh -c "echo 1 > /sys/class/net/server/queues/rx-0/rps_cpus"
inside sysctl -q -w "net.ipv4.tcp_syncookies=${SYNCOOKIES:-1}"
inside sysctl net.ipv4.tcp_syncookies net.ipv4.tcp_max_syn_backlog net.core.somaxconn
inside "$load" flood --meridian "$meridian" --address 198.18.0.1 --namespace "$attacker" \
    --attacks nothing,syn,hello,half,handshake "$@"
inside nstat -az TcpExtSyncookiesSent TcpExtTCPReqQFullDrop TcpExtTCPReqQFullDoCookies TcpExtListenDrops | tail -n +2 || true
