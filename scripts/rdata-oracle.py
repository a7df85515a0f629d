#!/usr/bin/env python3
"""Fills the third column of src/compile/zonefile/types.tsv: what independent readers make of each text.

Needs named-compilezone (BIND) and, where it is installed, dnspython. Where both read a text they must agree;
the fourth column says which of them did. Rows
that name a document there are left alone. Usage: scripts/rdata-oracle.py src/compile/zonefile/types.tsv
"""
import struct
import subprocess
import sys
import tempfile

try:
    import dns.name
    import dns.rdata
    import dns.rdataclass
    import dns.rdatatype
except ImportError:
    dns = None

HEAD = "$ORIGIN example.com.\n$TTL 60\n@ SOA . . 1 2 3 4 5\n@ NS ns.example.net.\n"


def bind(rtype, text):
    """The RDATA according to BIND: from its raw form of a zone with this one record."""
    with tempfile.NamedTemporaryFile("w", suffix=".zone") as zone, tempfile.NamedTemporaryFile() as raw:
        zone.write(f"{HEAD}x {rtype} {text}\n")
        zone.flush()
        command = ["named-compilezone", "-q", "-k", "ignore", "-i", "none", "-n", "ignore", "-F", "raw=0"]
        done = subprocess.run([*command, "-o", raw.name, "example.com", zone.name], capture_output=True)
        if done.returncode != 0:
            return None
        octets = open(raw.name, "rb").read()
    at = 12
    while at < len(octets):
        total, _, number, _, _, count, length = struct.unpack_from(">IHHHIIH", octets, at)
        name = octets[at + 20 : at + 20 + length]
        data = at + 20 + length
        if name.startswith(b"\x01x") and count == 1:
            size = struct.unpack_from(">H", octets, data)[0]
            return octets[data + 2 : data + 2 + size].hex()
        at += total
    return None


def dnspython(rtype, text):
    if dns is None:
        return None
    try:
        origin = dns.name.from_text("example.com.")
        kind = dns.rdatatype.from_text(rtype)
        data = dns.rdata.from_text(dns.rdataclass.IN, kind, text, origin=origin, relativize=False)
        # Octets of a type that it does not know are no second opinion.
        if isinstance(data, dns.rdata.GenericRdata) and not text.startswith("\\#"):
            return None
        return data.to_wire(origin=origin).hex()
    except Exception:
        return None


def main(path):
    lines = []
    for line in open(path):
        line = line.rstrip("\n")
        if not line or line.startswith("#"):
            lines.append(line)
            continue
        rtype, text, *known = line.split("\t")
        # What no reader at hand judges, or what they judge more kindly than the document named.
        if len(known) == 2 and known[1].startswith(("RFC", "IANA")):
            lines.append(line)
            continue
        found = {name: wire for name, read in (("bind", bind), ("dnspython", dnspython)) if (wire := read(rtype, text)) is not None}
        if len(set(found.values())) > 1:
            sys.exit(f"{rtype} {text}: the readers disagree: {found}")
        wire = next(iter(found.values()), "refused")
        lines.append("\t".join([rtype, text, wire, ",".join(found) or "bind,dnspython"]))
    open(path, "w").write("\n".join(lines) + "\n")


main(sys.argv[1])
