#!/usr/bin/env python3
"""Programs that others wrote, against a running meridian: zonemaster, dnsviz, ldns, delv, kdig, dnspython.

    public.py [CHECK...]      all of them without a name

Everything runs in a network of its own (`unshare`), where meridian has the addresses of two name servers and port 53,
and NSD plays the root and the parent. Nothing leaves the machine.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import traceback

import servers
import zones

HERE = pathlib.Path(__file__).resolve().parent
ROOT_ADDRESS, ROOT_ADDRESS_V6 = "45.0.0.1", "2a10::1"
# Two networks each, as a zone's servers should be.
SERVERS = {"ns1": ("46.0.0.1", "2a20::1"), "ns2": ("47.0.0.1", "2a30::1")}
ZONE = "conform.test"
# Without steered names: one chain of NSECs, one of NSEC3s, both for ldns to transfer and verify.
FIXED = {"nsec.test": "nsec", "nsec3.test": "nsec3"}
ZONES = [ZONE, *FIXED]
PARENT_ZONES = {
    ".": f"""$TTL 86400
. SOA a.root. hostmaster.a.root. 1 14400 3600 1209600 3600
. NS a.root.
a.root. A {ROOT_ADDRESS}
a.root. AAAA {ROOT_ADDRESS_V6}
test. NS a.test.
a.test. A {ROOT_ADDRESS}
a.test. AAAA {ROOT_ADDRESS_V6}
arpa. NS a.root.
""",
    "test.": f"""$TTL 86400
test. SOA a.test. hostmaster.test. 1 14400 3600 1209600 3600
test. NS a.test.
a.test. A {ROOT_ADDRESS}
a.test. AAAA {ROOT_ADDRESS_V6}
""",
    "arpa.": "$TTL 86400\narpa. SOA a.root. hostmaster.a.root. 1 14400 3600 1209600 3600\narpa. NS a.root.\n",
}
STATIC = f"""$TTL 3600
@ SOA ns1 hostmaster 2026010101 14400 3600 1209600 3600
@ NS ns1
@ NS ns2
@ MX 10 mail
@ TXT "v=spf1 mx -all"
@ CAA 0 issue "ca.example.net"
mail A 46.0.0.25
mail AAAA 2a20::25
static A 46.0.0.80
static AAAA 2a20::80
static TXT "a" "b"
_dns SRV 0 0 53 ns1
alias CNAME static
far CNAME www.example.net.
old DNAME new
x.new A 46.0.0.81
*.wild TXT "wild"
a.b.ent A 46.0.0.82
svc SVCB 1 static alpn=h2
web HTTPS 0 static
cut NS ns.cut
ns.cut A 46.0.0.99
odd\\000\\255 A 46.0.0.83
"""
NAMES = '[names]\n"www" = "www"\n"@" = "www"\n"*.apps" = "www"\n"host" = "host"\n'
CONFIG = """[regions.a]
at = [50, 8]
[regions.b]
at = [40, -74]
[pools.a]
endpoints = [{ name = "one", region = "a", address = ["46.0.1.1", "2a20::1:1"] }]
[pools.b]
endpoints = [{ name = "two", region = "b", address = ["47.0.1.1"] }]
[pools.hosts]
endpoints = [{ name = "lb", region = "a", host = "lb.example.net" }]
[services.www]
policy = { failover = ["a", "b"] }
ttl = { min = "5s", max = "60s" }
[services.host]
policy = { failover = ["hosts"] }
"""


class Failed(Exception):
    """What a program said."""


def run(*command, seconds=300, succeed=True, text=None, directory=None):
    """A program's output."""
    command = [str(part) for part in command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, input=text, cwd=directory,
                          env={**os.environ, "PATH": servers.PATH})
    if succeed and done.returncode:
        raise Failed(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return done.stdout + (done.stderr if not succeed else "")


def expect(condition, what):
    if not condition:
        raise Failed(what)


class World:
    """meridian, the parents, and what tools need to know of them."""

    def __init__(self, folder):
        self.folder, self.running = folder, []
        run("ip", "link", "set", "lo", "up")
        for v4, v6 in [(ROOT_ADDRESS, ROOT_ADDRESS_V6), *SERVERS.values()]:
            run("ip", "address", "add", f"{v4}/32", "dev", "lo")
            run("ip", "address", "add", f"{v6}/128", "dev", "lo", "nodad")
        self.static = STATIC + "".join(f"{name} A {v4}\n{name} AAAA {v6}\n" for name, (v4, v6) in SERVERS.items())
        self.start_meridian()
        self.start_parents()
        (folder / "hints").write_text(
            f". 3600000 NS a.root.\na.root. 3600000 A {ROOT_ADDRESS}\na.root. 3600000 AAAA {ROOT_ADDRESS_V6}\n")

    def start_meridian(self):
        folder = self.folder / "meridian"
        (folder / "zones").mkdir(parents=True)
        for zone in ZONES:
            (folder / "zones" / f"{zone}.zone").write_text(self.static)
        (folder / "zones" / f"{ZONE}.toml").write_text("dnssec = true\n" + NAMES)
        for zone, denial in FIXED.items():
            (folder / "zones" / f"{zone}.toml").write_text(
                f'[dnssec]\ndenial = "{denial}"\n[transfer]\nto = ["{SERVERS["ns2"][0]}"]\n')
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
            "-subj", f"/CN=ns1.{ZONE}", "-addext", f"subjectAltName=DNS:ns1.{ZONE}", "-keyout", folder / "key.pem",
            "-out", folder / "chain.pem")
        listen = ", ".join(f'"{v4}:53", "[{v6}]:53"' for v4, v6 in SERVERS.values())
        encrypted = SERVERS["ns1"][0]
        (folder / "meridian.toml").write_text(
            f'[server]\nlisten = [{listen}]\nstate = "state"\nnsid = "conform"\n[control]\nlisten = "127.0.0.1:9853"\n'
            f'[tls]\nlisten = "{encrypted}:853"\ncertificate = "chain.pem"\nkey = "key.pem"\n'
            f'[https]\nlisten = "{encrypted}:443"\n[quic]\nlisten = "{encrypted}:853"\n'
            f'[dnssec]\nkey_folder = "keys"\n{CONFIG}')
        command = [servers.meridian_binary(), "serve", "--config", str(folder / "meridian.toml")]
        server = servers.Server("meridian", folder, 53, command)
        server.address = (SERVERS["ns1"][0], 53)
        self.running.append(server)
        server.wait_until_ready([zones.from_text(f"{zone}.") for zone in ZONES])
        for zone in ZONES:
            keys = run("dig", f"@{SERVERS['ns1'][0]}", "+tcp", "+noall", "+answer", zone, "DNSKEY")
            expect("DNSKEY" in keys, f"{zone} is not signed")
            (self.folder / f"{zone}.key").write_text(keys)
            with open(self.folder / f"{zone}.anchor", "w", encoding="ascii") as anchor:
                for line in keys.splitlines():
                    flags, protocol, algorithm, *key = line.split()[4:]
                    if flags == "257":
                        anchor.write(f'trust-anchors {{ {zone}. static-key {flags} {protocol} {algorithm} "{"".join(key)}"; }};\n')

    def start_parents(self):
        """NSD for the root and what is below it, signed by ldns, with the DS records of our zones."""
        folder = self.folder / "nsd"
        folder.mkdir()
        glue = "".join(f"{name}.{zone}. A {v4}\n{name}.{zone}. AAAA {v6}\n{zone}. NS {name}.{zone}.\n"
                       for zone in ZONES for name, (v4, v6) in SERVERS.items())
        lines = [f'server:\n  ip-address: {ROOT_ADDRESS}\n  ip-address: {ROOT_ADDRESS_V6}\n  username: ""\n  database: ""\n'
                 f'  zonesdir: "{folder}"\n  pidfile: "{folder}/pid"\n  xfrdfile: "{folder}/xfrd"\n  xfrdir: "{folder}"\n'
                 f'  zonelistfile: "{folder}/list"\n  rrl-ratelimit: 0\nremote-control:\n  control-enable: no\n']
        # From below upwards: each zone gets the DS of what it delegates.
        below = "".join(run("ldns-key2ds", "-n", "-2", self.folder / f"{zone}.key") for zone in ZONES)
        for number, (origin, data) in enumerate([("test.", glue + below), ("arpa.", ""), (".", "")]):
            (folder / f"{number}.zone").write_text(f"$ORIGIN {origin}\n{PARENT_ZONES[origin]}{data}")
            if origin == ".":
                signed = (folder / "0.ds").read_text() + (folder / "1.ds").read_text()
                (folder / f"{number}.zone").write_text(f"$ORIGIN {origin}\n{PARENT_ZONES[origin]}{signed}")
            key = run("ldns-keygen", "-a", "ECDSAP256SHA256", "-k", origin, directory=folder).strip()
            run("ldns-signzone", "-o", origin, "-i", time.strftime("%Y%m%d%H%M%S", time.gmtime(time.time() - 3600)), "-f", f"{number}.signed", f"{number}.zone", key, directory=folder)
            (folder / f"{number}.ds").write_text((folder / f"{key}.ds").read_text())
            lines.append(f'zone:\n  name: "{origin}"\n  zonefile: "{folder}/{number}.signed"\n')
        shutil.copy(folder / f"{key}.key", self.folder / "root.key")
        (folder / "nsd.conf").write_text("".join(lines))
        server = servers.Server("nsd", folder, 53, [servers.program("nsd"), "-d", "-c", str(folder / "nsd.conf")])
        server.address = (ROOT_ADDRESS, 53)
        self.running.append(server)
        server.wait_until_ready([b"\0", b"\x04test\0"])

    def stop(self):
        for server in self.running:
            server.stop()


# What zonemaster complains of that is so because of this test's own network, or is no fault of a server.
ZONEMASTER_KNOWN = {
    "NAMESERVER_IP_WITHOUT_REVERSE": "nobody delegates these addresses here",
    "NO_RESPONSE_PTR_QUERY": "likewise",
    "ASN_LOOKUP_SOURCE": "the service is on the Internet",
}


def zonemaster(world):
    """zonemaster-cli: every test of its plan, from root hints of our own."""
    messages = []
    for zone in ZONES:
        found = json.loads(run("zonemaster-cli", "--hints", world.folder / "hints", "--json", "--level", "WARNING",
                               "--no-time", zone, seconds=500))
        messages += found if isinstance(found, list) else found.get("results", [])
    bad = [message for message in messages if message["tag"] not in ZONEMASTER_KNOWN]
    expect(not bad, json.dumps(bad, indent=1))
    return f"{len(messages)} messages of WARNING and above, all of them known"


def dnsviz(world):
    """dnsviz: probe the servers from the root down, then grok for errors and warnings with the root's key."""
    probe = world.folder / "probe.json"
    names = [f"{name}{zone}" for zone in ZONES for name in ("", "www.", "static.", "nothing.", "x.wild.", "alias.", "ent.",
                                                            "x.old.", "a.cut.")]
    run("dnsviz", "probe", "-A", "-d", "1", "-a", ".", "-x", f".+:a.root={ROOT_ADDRESS}", "-o", probe, *names, seconds=500)
    # Debian's dnsviz looks for a part of pygraphviz that Debian's pygraphviz no longer has.
    (world.folder / "sitecustomize.py").write_text(
        "import types, pygraphviz\npygraphviz.release = types.SimpleNamespace(version=pygraphviz.__version__)\n")
    grok = ["env", f"PYTHONPATH={world.folder}", "dnsviz", "grok", "-t", world.folder / "root.key", "-r", probe]
    found = run(*grok, "-l", "warning") or "{}"
    bad = list(described(json.loads(found)))
    expect(not bad, "\n".join(bad[:20]))
    # That nothing is wrong would also be said of a zone that is not signed.
    whole = run(*grok)
    secure = whole.count('"SECURE"')
    expect(secure > len(names), f"only {secure} things are secure")
    return f"{len(names)} names without errors or warnings, {secure} times SECURE"


def described(node, path=""):
    """Errors and warnings anywhere in dnsviz's output."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("errors", "warnings"):
                for message in value:
                    yield f"{path}: {key}: {message.get('description', message)}"
            else:
                yield from described(value, f"{path}/{key}")
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from described(value, f"{path}/{number}")


def rfc8906(world):
    """The checks of RFC 8906 section 8, at both servers and in both families."""
    lines = []
    for address in [address for both in SERVERS.values() for address in both]:
        lines += run(sys.executable, pathlib.Path(__file__).with_name("rfc8906.py"), address, "53", ZONE).splitlines()
    return f"{len(lines)} checks"


def kdig(world):
    """kdig over UDP and TCP: the same answers, with NSID."""
    for name, rtype, expected in QUESTIONS:
        for transport in ("+notcp", "+tcp"):
            output = run("kdig", f"@{SERVERS['ns1'][0]}", f"{name}{ZONE}", rtype, transport, "+nsid", "+dnssec")
            expect(expected in output, f"{name} {rtype} {transport}: no {expected!r} in\n{output}")
            expect("conform" in output and "WARNING" not in output, output)
    return f"{len(QUESTIONS)} questions over UDP and TCP"


# (name with its dot, type, what the answer shows)
QUESTIONS = [
    ("", "SOA", "hostmaster"), ("", "NS", "ns2"), ("", "A", "46.0.1.1"), ("www.", "A", "46.0.1.1"),
    ("www.", "AAAA", "2a20::1:1"), ("x.apps.", "A", "46.0.1.1"), ("host.", "A", "lb.example.net."),
    ("static.", "TXT", '"a" "b"'), ("alias.", "A", "46.0.0.80"), ("x.old.", "A", "x.new"), ("q.wild.", "TXT", "wild"),
    ("ent.", "A", "NOERROR"), ("nothing.", "A", "hostmaster"), ("www.", "TXT", "NOERROR"), ("a.cut.", "A", "46.0.0.99"),
    ("_dns.", "SRV", "ns1"), ("svc.", "SVCB", "alpn=h2"), ("web.", "HTTPS", "static"),
]


def encrypted(world):
    """kdig over TLS, HTTPS (GET and POST) and QUIC, the certificate verified; the answers of TCP."""
    certificate = f"+tls-ca={world.folder / 'meridian' / 'chain.pem'}"
    # kdig verifies by its own words for each transport.
    transports = [["+tls", certificate, f"+tls-hostname=ns1.{ZONE}"], ["+https", certificate, f"+tls-hostname=ns1.{ZONE}"],
                  ["+https", "+https-get", certificate, f"+tls-hostname=ns1.{ZONE}"],
                  # Debian's kdig falls over its own feet when it is to verify a certificate over QUIC.
                  ["+quic"]]
    for name, rtype, expected in QUESTIONS:
        for transport in transports:
            output = run("kdig", f"@{SERVERS['ns1'][0]}", f"{name}{ZONE}", rtype, *transport, "+dnssec", "+padding")
            expect(expected in output and "WARNING" not in output, f"{name} {rtype} {transport}:\n{output}")
    return f"{len(QUESTIONS)} questions over {len(transports)} ways"


def drill(world):
    """drill: signatures chased up to our key, and a trace that validates from the root's key down."""
    for zone in ZONES:
        output = run("drill", "-D", f"static.{zone}", f"@{SERVERS['ns1'][0]}", "A")
        expect("46.0.0.80" in output and "NOERROR" in output and "RRSIG" in output, output)
        output = run("drill", "-T", "-D", "-k", world.folder / "root.key", "-r", world.folder / "hints", f"static.{zone}", "A")
        expect("46.0.0.80" in output and "[T]" in output and "\n[B]" not in output, output)
        output = run("drill", "-S", "-k", world.folder / f"{zone}.key", f"@{SERVERS['ns1'][0]}", f"static.{zone}", "A")
        expect(";; Chase successful" in output, output)
    return f"-D, -TD from the root and -S for {len(ZONES)} zones"


def delv(world):
    """delv: answers and denials of each zone, validated with its key."""
    count = 0
    for zone in ZONES:
        for name, rtype, _ in QUESTIONS:
            if zone != ZONE and name.split(".")[0] in ("www", "x", "host"):
                continue
            if name in ("host.", "a.cut.") or name == "" and zone != ZONE:
                continue
            output = run("delv", f"@{SERVERS['ns1'][0]}", "-a", world.folder / f"{zone}.anchor", f"+root={zone}",
                         f"{name}{zone}", rtype, succeed=False)
            expect("fully validated" in output, f"{name}{zone} {rtype}:\n{output}")
            count += 1
    return f"{count} answers and denials fully validated"


def ldns_verify_zone(world):
    """ldns-verify-zone on zones as a secondary gets them."""
    for zone in FIXED:
        text = run("dig", "-b", SERVERS["ns2"][0], f"@{SERVERS['ns1'][0]}", "AXFR", zone, "+noall", "+answer", "+onesoa")
        (world.folder / f"{zone}.axfr").write_text(text)
        run("ldns-verify-zone", "-k", world.folder / f"{zone}.key", world.folder / f"{zone}.axfr")
    return f"{len(FIXED)} zones"


def dnspython(world):
    """dnspython as a client: strict about what it reads, over UDP and TCP, with EDNS options."""
    import dns.edns
    import dns.flags
    import dns.message
    import dns.query
    import dns.rcode

    asked = 0
    for name, rtype, _ in QUESTIONS:
        for send in (dns.query.udp, dns.query.tcp):
            for options in ([], [dns.edns.ECSOption("203.0.113.0", 24)], [dns.edns.GenericOption(3, b"")]):
                query = dns.message.make_query(f"{name}{ZONE}", rtype, use_edns=0, payload=1232, options=options)
                # It raises on what is not this query's answer, on what follows the message, on what it cannot read.
                reply = send(query, SERVERS["ns2"][0], timeout=5, ignore_trailing=False)
                expect(reply.edns == 0 and len(reply.to_wire()) <= 65535, str(reply))
                expect(not reply.flags & (dns.flags.RA | dns.flags.TC), str(reply))
                echoed = [option.otype for option in reply.options]
                expect(all(option.otype in echoed for option in options), str(reply))
                asked += 1
    return f"{asked} exchanges"


CHECKS = [rfc8906, kdig, encrypted, drill, delv, ldns_verify_zone, dnspython, dnsviz, zonemaster]


def main():
    if os.environ.get("MERIDIAN_CONFORMANCE_NETWORK") != "own":
        environment = {**os.environ, "MERIDIAN_CONFORMANCE_NETWORK": "own"}
        os.execvpe("unshare", ["unshare", "--map-root-user", "--net", sys.executable, *sys.argv], environment)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="meridian-conformance-"))
    world, failed = None, False
    try:
        world = World(folder)
        for check in CHECKS:
            if len(sys.argv) > 1 and check.__name__ not in sys.argv[1:]:
                continue
            try:
                print(f"passed  {check.__name__}: {check(world)}", flush=True)
            except Failed as failure:
                failed = True
                print(f"FAILED  {check.__name__}: {failure}", flush=True)
            except Exception:
                failed = True
                print(f"FAILED  {check.__name__}:\n{traceback.format_exc()}", flush=True)
    finally:
        if world:
            world.stop()
        if os.environ.get("KEEP"):
            print(f"kept: {folder}")
        else:
            shutil.rmtree(folder)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
