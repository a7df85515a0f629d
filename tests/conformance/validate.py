#!/usr/bin/env python3
"""Every (name, type, state of health) of signed zones, validated: by validator.py, by unbound, and some by delv.

    validate.py [--self-test] [--seed N]

Zones: one with steered names (compact denials), walked through the states of its regions, and drawn ones (odd names,
wildcards, cuts, DNAMEs) signed with NSEC and with NSEC3. `--self-test` asks Knot, which signs the drawn zones itself, to show
that the validator finds no fault where there is none.
"""

import argparse
import collections
import json
import os
import pathlib
import random
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype as rdatatype
import dns.rrset

import public
import servers
import validator
import wire
import zones

TYPES = ["A", "AAAA", "NS", "CNAME", "SOA", "MX", "TXT", "SRV", "DNAME", "DS", "CAA", "SVCB", "HTTPS", "DNSKEY", "CDS",
         "CDNSKEY", "NSEC", "TLSA", "TYPE65400", "PTR"]
# The states that a steered zone is walked through: what is forced down.
STATES = [[], ["pool:a"], ["pool:b"], ["pool:a", "pool:b"]]


class Zone:
    """A signed zone on a server."""

    def __init__(self, origin, owners, server, steered=False):
        self.origin, self.server, self.steered = dns.name.from_text(origin), server, steered
        self.owners = [dns.name.from_wire(owner, 0)[0] for owner in owners]
        self.denied, self.positive = collections.defaultdict(list), collections.defaultdict(set)

    def keys(self):
        reply = ask(self.server, self.origin, "DNSKEY", transport="tcp")
        keys = next(rrset for rrset in reply.answer if rrset.rdtype == rdatatype.DNSKEY)
        self.validator = validator.Validator(self.origin, keys.to_rdataset())
        return keys

    def names(self, dice):
        """Owners, what is above and below them, what a wildcard covers, what is not there."""
        found = set()
        for owner in self.owners:
            found.add(owner)
            for label in dice.sample([b"nx", b"*", b"a", b"\0", b"\xff", b"zz", b"www"], 3):
                if sum(len(part) + 1 for part in owner.labels) + len(label) + 1 <= 255:
                    found.add(dns.name.Name((label,) + owner.labels))
                    if owner != self.origin:
                        found.add(dns.name.Name((label,) + owner.labels[1:]))
            while owner != self.origin:
                owner = owner.parent()
                found.add(owner)
        return sorted(name for name in found if name.is_subdomain(self.origin))


def ask(server, name, rtype, transport="udp", do=True, compact_ok=False, options=()):
    ednsflags = (dns.flags.DO if do else 0) | (0x4000 if compact_ok else 0)
    query = dns.message.make_query(name, rtype)
    query.use_edns(0, ednsflags, 1232, options=list(options))
    query.flags &= ~dns.flags.RD
    send = dns.query.tcp if transport == "tcp" else dns.query.udp
    reply = send(query, server.address[0], port=server.address[1], timeout=10)
    if reply.flags & dns.flags.TC:
        reply = dns.query.tcp(query, server.address[0], port=server.address[1], timeout=10)
    return reply


class Run:
    """Counts, and what was bogus."""

    def __init__(self):
        self.found, self.bogus = collections.Counter(), []

    def check(self, zone, name, rtype, state, compact_ok=False):
        shown = f"{name} {rtype} in {state or 'health'}"
        try:
            reply = ask(zone.server, name, rtype, compact_ok=compact_ok)
            if reply.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN, dns.rcode.YXDOMAIN):
                raise validator.Bogus(f"answered {dns.rcode.to_text(reply.rcode())}")
            verdict = "yxdomain" if reply.rcode() == dns.rcode.YXDOMAIN else zone.validator.check(name, rdatatype.from_text(rtype), reply)
            if verdict == "nxname" and compact_ok:
                raise validator.Bogus("NXNAME with NOERROR, though the asker knows compact denials")
            if zone.validator.redirected and rtype in ("CNAME", "DNAME"):
                # unbound takes the DNAME itself for the answer.
                verdict += ", past a DNAME"
            self.found[verdict] += 1
            number = int(rdatatype.from_text(rtype))
            if verdict == "positive":
                for rrset in reply.answer:
                    if rrset.rdtype != rdatatype.RRSIG and rrset.name not in zone.validator.expanded:
                        zone.positive[rrset.name].add(int(rrset.rdtype))
            for owner, following, types in zone.validator.nsecs():
                about = number if owner == name or owner.is_wild() else None
                zone.denied[owner].append((about, following, frozenset(types), shown))
            return verdict
        except (validator.Bogus, dns.exception.DNSException, OSError) as error:
            self.bogus.append(f"{shown}: {type(error).__name__} {error}")

    def denials_across_states(self, zone):
        """No NSEC that was ever sent denies what the zone answers in another state (RFC 8198: resolvers use it so)."""
        owners = set(zone.positive)
        for owner, entries in zone.denied.items():
            for asked, following, types, shown in entries:
                for rtype in zone.positive.get(owner, ()):
                    if rtype not in types and rtype != asked:
                        self.bogus.append(f"the NSEC of {owner} ({shown}) denies {rdatatype.to_text(rtype)}, which it has")
                # An aggressive resolver would deny these too.
                for name in owners:
                    if following != zone.origin and owner < name < following and not name.is_subdomain(owner):
                        self.bogus.append(f"the NSEC of {owner} ({shown}) denies {name}, which is there")


def drawn_zones(seed, nodes):
    """Signed zones of odd names: {origin: (text, owners)}, without the large RRsets and what signers refuse."""
    found = {}
    for origin in ("wild.test.", "cuts.test.", "dname.test.", "alias.test."):
        zone = zones.Zone(random.Random(f"{seed} {origin} signed"), origin, [origin])
        zone.grow(nodes, zones.SHARES[origin])
        # Signatures have to outlive TTLs.
        text = zone.text().replace(" 2147483647 IN ", " 86400 IN ")
        owners = {zones.from_text(line.split(" ", 1)[0]) for line in text.splitlines()}
        found[origin] = (text, sorted(owners))
    return found


def self_test(folder, given):
    """Knot, which signs the zones itself."""
    drawn = drawn_zones(given.seed, given.nodes)
    for denial in ("nsec", "nsec3"):
        (folder / denial).mkdir()
        server = servers.knot(folder / denial, {origin: text for origin, (text, _) in drawn.items()}, denial)
        server.wait_until_ready([zones.from_text(origin) for origin in drawn])
        for origin, (_, owners) in drawn.items():
            yield Zone(origin, owners, server)


def signed_by_meridian(folder, given, run):
    """meridian: a steered zone, walked through its states here; drawn ones with NSEC, with NSEC3 and compact."""
    drawn = drawn_zones(given.seed, given.nodes)
    place = folder / "meridian"
    (place / "zones").mkdir(parents=True)
    owners = {}
    for number, (origin, (text, names)) in enumerate(drawn.items()):
        denial = ["nsec", "nsec3", "compact"][(number + given.seed) % 3]
        (place / "zones" / f"{origin}zone").write_text(text)
        (place / "zones" / f"{origin}toml").write_text(f'[dnssec]\ndenial = "{denial}"\n')
        owners[origin] = names
    steered = f"{public.ZONE}."
    addresses = "".join(f"{name} A {v4}\n{name} AAAA {v6}\n" for name, (v4, v6) in public.SERVERS.items())
    (place / "zones" / f"{steered}zone").write_text(public.STATIC + addresses)
    (place / "zones" / f"{steered}toml").write_text("dnssec = true\n" + public.NAMES)
    port, control = servers.free_port(), servers.free_port()
    (place / "meridian.toml").write_text(
        f'[server]\nlisten = ["127.0.0.1:{port}"]\nstate = "state"\n[control]\nlisten = "127.0.0.1:{control}"\n'
        f'[dnssec]\nkey_folder = "keys"\n{public.CONFIG}')
    config = str(place / "meridian.toml")
    server = servers.Server("meridian", place, port, [servers.meridian_binary(), "serve", "--config", config])
    server.wait_until_ready([zones.from_text(origin) for origin in [*drawn, steered]])
    written = [line.split(" ", 1)[0] for line in (public.STATIC + addresses).splitlines()[1:]]
    written += [name.split(" ")[0].strip('"') for name in public.NAMES.splitlines()[1:]]
    names = {zones.from_text(steered if name == "@" else f"{name}.{steered}") for name in written}
    zone = Zone(steered, sorted(names), server, steered=True)
    yield zone
    for state in STATES:
        for selector in state:
            operate(config, "force-down", selector, "--force", "--reason", "validation")
        settle(server, state)
        walk(run, zone, given, " and ".join(state))
        for selector in state:
            operate(config, "undo", selector)
        settle(server, [])
    run.denials_across_states(zone)
    for origin, names in owners.items():
        yield Zone(origin, names, server)


def operate(config, command, *arguments):
    done = subprocess.run([servers.meridian_binary(), command, *arguments, "--config", config], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{command} {' '.join(arguments)}: {done.stdout}{done.stderr}")


def settle(server, state):
    """Until answers are those of a state."""
    expected = {"": "46.0.1.1", "pool:a": "47.0.1.1", "pool:b": "46.0.1.1", "pool:a pool:b": None}[" ".join(state)]
    until = time.monotonic() + 20
    while time.monotonic() < until:
        reply = ask(server, dns.name.from_text(f"www.{public.ZONE}."), "A", do=False)
        found = {rdata.address for rrset in reply.answer for rdata in rrset if rrset.rdtype == rdatatype.A}
        if found == ({expected} if expected else set()):
            return
        time.sleep(0.05)
    raise SystemExit(f"the answers never became those of {state}: {found}")


def walk(run, zone, given, state="", types=TYPES):
    """All names and types of a zone in a state: by our own rules, and by unbound."""
    dice = random.Random(f"{given.seed} {zone.origin}")
    keys = zone.keys()
    asked = []
    for name in zone.names(dice):
        for rtype in types:
            verdict = run.check(zone, name, rtype, state)
            asked.append((name, rtype, verdict))
            if dice.random() < 0.1:
                run.check(zone, name, rtype, state, compact_ok=True)
    if not given.no_unbound:
        by_unbound(run, zone, keys, asked, state)


# What a resolver can say AD of: all of the answer is ours and signed.
SECURE = {"positive", "nodata", "nxdomain", "nxname", "nodata by wildcard", "nodata by empty wildcard"}


def by_unbound(run, zone, keys, asked, state):
    """The same questions through a validating resolver that keeps nothing."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="meridian-unbound-"))
    port = servers.free_port()
    (folder / "anchor").write_text(keys.to_text() + "\n")
    host, at = zone.server.address
    (folder / "unbound.conf").write_text(f"""server:
  directory: "{folder}"
  chroot: ""
  username: ""
  pidfile: "{folder}/pid"
  use-syslog: no
  logfile: ""
  interface: 127.0.0.1
  port: {port}
  do-ip6: no
  do-not-query-localhost: no
  access-control: 127.0.0.0/8 allow
  module-config: "validator iterator"
  trust-anchor-file: "{folder}/anchor"
  local-zone: "test." nodefault
  local-zone: "{zone.origin}" nodefault
  cache-max-ttl: 0
  cache-max-negative-ttl: 0
  qname-minimisation: no
  val-log-level: 2
  edns-buffer-size: 1232
  num-queries-per-thread: 512
  infra-host-ttl: 0
stub-zone:
  name: "{zone.origin}"
  stub-addr: {host}@{at}
forward-zone:
  name: "."
  forward-addr: 127.0.0.1@1
remote-control:
  control-enable: no
""")
    resolver = servers.Server("unbound", folder, port, [servers.program("unbound"), "-d", "-c", str(folder / "unbound.conf")])
    try:
        wait_for_resolver(resolver, zone.origin)
        todo = [(name, rtype) for name, rtype, verdict in asked if verdict in SECURE]
        packets = [("udp", wire.query(0, name.to_wire(), rdatatype.from_text(rtype), 1, 0x0120, (1232, True, b"", 0)))
                   for name, rtype in todo]
        for (name, rtype), reply in zip(todo, servers.ask_all(resolver, packets, window=24, timeout_s=10)):
            rcode, secure = (reply[3] & 0xf, reply[3] & 0x20) if reply else (None, False)
            if rcode not in (0, 3) or not secure:
                run.bogus.append(f"unbound: {name} {rtype} in {state or 'health'}: rcode {rcode}, {'secure' if secure else 'not secure'}")
            else:
                run.found["secure to unbound"] += 1
    finally:
        resolver.stop()
        if not os.environ.get("KEEP"):
            shutil.rmtree(folder)


def wait_for_resolver(resolver, origin):
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            if ask(resolver, origin, "SOA").rcode() is not None:
                return
        except (dns.exception.DNSException, OSError):
            time.sleep(0.1)
    raise SystemExit(f"unbound does not answer: {resolver.tail()}")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--self-test", action="store_true")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--nodes", type=int, default=40)
    options.add_argument("--show", type=int, default=40)
    options.add_argument("--no-unbound", action="store_true")
    options.add_argument("--keep", action="store_true")
    given = options.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="meridian-validate-"))
    run, running = Run(), []
    try:
        source = self_test(folder, given) if given.self_test else signed_by_meridian(folder, given, run)
        begun = time.monotonic()
        for zone in source:
            if zone.server not in running:
                running.append(zone.server)
            if not zone.steered:
                walk(run, zone, given)
                run.denials_across_states(zone)
        print(f"{sum(run.found.values())} answers validated in {time.monotonic() - begun:.0f} s: "
              + ", ".join(f"{count} {what}" for what, count in run.found.most_common()))
        for text in run.bogus[:given.show]:
            print(f"BOGUS: {text}")
        print(f"{len(run.bogus)} bogus")
        return 1 if run.bogus else 0
    finally:
        for server in running:
            server.stop()
        if given.keep:
            print(f"kept: {folder}")
        else:
            shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
