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
            self.found[verdict] += 1
            number = int(rdatatype.from_text(rtype))
            if verdict == "positive":
                for rrset in reply.answer:
                    if rrset.rdtype != rdatatype.RRSIG and rrset.name not in zone.validator.expanded:
                        zone.positive[rrset.name].add(int(rrset.rdtype))
            for owner, following, types in zone.validator.nsecs():
                zone.denied[owner].append((number if owner == name else None, following, frozenset(types), shown))
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


def walk(run, zone, given, state="", types=TYPES):
    dice = random.Random(f"{given.seed} {zone.origin}")
    zone.keys()
    names = zone.names(dice)
    for name in names:
        for rtype in types:
            run.check(zone, name, rtype, state)
            if dice.random() < 0.1:
                run.check(zone, name, rtype, state, compact_ok=True)
    return names


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--self-test", action="store_true")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--nodes", type=int, default=40)
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
        for text in run.bogus[:40]:
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
