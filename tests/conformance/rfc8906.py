#!/usr/bin/env python3
"""The checks of RFC 8906 section 8 against a running server: rfc8906.py ADDRESS PORT ZONE

ZONE is one that the server holds. Each check is a line; the exit status is 1 if one fails. Needs nothing but
the standard library.
"""
import socket
import struct
import sys

QR, AA, TC, RD, RA, AD, CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080, 0x0020, 0x0010
SOA, TYPE1000, OPT = 6, 1000, 41
NOERROR, NOTIMP, BADVERS = 0, 4, 16


def name(text):
    labels = [label for label in text.rstrip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label.encode() for label in labels) + b"\0"


def query(zone, rtype=SOA, flags=0, opcode=0, opt=None):
    head = struct.pack(">6H", 0x4D52, flags | opcode << 11, 1, 0, 0, 0 if opt is None else 1)
    return head + name(zone) + struct.pack(">2H", rtype, 1) + (opt or b"")


def opt(version=0, flags=0, options=b"", size=4096):
    return b"\0" + struct.pack(">2H2BHH", OPT, size, 0, version, flags, len(options)) + options


def option(code, data):
    return struct.pack(">2H", code, len(data)) + data


class Reply:
    def __init__(self, octets):
        self.octets = octets
        self.id, self.flags, questions, *counts = struct.unpack_from(">6H", octets)
        self.records, self.opt = [], None
        at = 12
        for _ in range(questions):
            at = self.skip(at) + 4
        for section, count in enumerate(counts):
            for _ in range(count):
                at = self.skip(at)
                rtype, size, ttl, length = struct.unpack_from(">2HIH", octets, at)
                data = octets[at + 10 : at + 10 + length]
                at += 10 + length
                if rtype == OPT:
                    self.opt = (ttl >> 24, ttl >> 16 & 0xFF, ttl & 0xFFFF, size, data)
                else:
                    self.records.append((section, rtype))
        self.rcode = self.flags & 15 | (self.opt[0] << 4 if self.opt else 0)

    def skip(self, at):
        while True:
            length = self.octets[at]
            if length >= 0xC0:
                return at + 2
            at += 1 + length
            if length == 0:
                return at

    def has(self, rtype, section=0):
        return (section, rtype) in self.records


def ask(server, message, tcp=False):
    kind = socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM
    family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
    with socket.socket(family, kind) as sock:
        sock.settimeout(5)
        sock.connect(server)
        if not tcp:
            sock.send(message)
            return Reply(sock.recv(65535))
        sock.sendall(struct.pack(">H", len(message)) + message)
        stream = sock.makefile("rb")
        (length,) = struct.unpack(">H", stream.read(2))
        return Reply(stream.read(length))


# Section, what is sent, over TCP or not, what must hold of the reply.
def checks(zone):
    unknown = option(100, b"\0" * 4)
    soa = lambda r: r.rcode == NOERROR and r.flags & AA and r.has(SOA)
    plain = lambda r: soa(r) and r.opt is None
    edns = lambda r: soa(r) and r.opt is not None and r.opt[1] == 0
    badvers = lambda r: r.rcode == BADVERS and r.opt is not None and r.opt[1] == 0 and not r.has(SOA)
    return [
        ("8.1.1 a SOA query", query(zone), False, plain),
        ("8.1.2 an unknown type", query(zone, TYPE1000), False, lambda r: r.rcode == NOERROR and r.flags & AA and not r.has(TYPE1000) and r.opt is None),
        ("8.1.3.1 CD=1", query(zone, flags=CD), False, lambda r: plain(r)),
        ("8.1.3.2 AD=1", query(zone, flags=AD), False, plain),
        ("8.1.3.3 the reserved bit", query(zone, flags=0x40), False, lambda r: plain(r) and not r.flags & 0x40),
        ("8.1.3.4 RD=1", query(zone, flags=RD), False, lambda r: plain(r) and r.flags & RD and not r.flags & RA),
        ("8.1.4 an unknown opcode", query(zone, opcode=15), False, lambda r: r.rcode == NOTIMP and not r.has(SOA)),
        ("8.1.5 over TCP", query(zone), True, plain),
        ("8.2.1 EDNS version 0", query(zone, opt=opt()), False, edns),
        ("8.2.2 EDNS version 1", query(zone, opt=opt(version=1)), False, badvers),
        ("8.2.3 an unknown option", query(zone, opt=opt(options=unknown)), False, lambda r: edns(r) and unknown not in r.opt[4]),
        ("8.2.4 an unknown flag", query(zone, opt=opt(flags=0x40)), False, lambda r: edns(r) and not r.opt[2] & 0x40),
        ("8.2.5 version 1 with an unknown flag", query(zone, opt=opt(version=1, flags=0x40)), False, lambda r: badvers(r) and not r.opt[2] & 0x40),
        ("8.2.6 version 1 with an unknown option", query(zone, opt=opt(version=1, options=unknown)), False, lambda r: badvers(r) and unknown not in r.opt[4]),
        ("8.2.7 512 octets, truncated or not", query(zone, 48, opt=opt(flags=0x8000, size=512)), False, lambda r: r.rcode == NOERROR and r.opt is not None and len(r.octets) <= 512),
        ("8.2.8 DO=1", query(zone, opt=opt(flags=0x8000)), False, lambda r: edns(r) and r.opt[2] & 0x8000),
        ("8.2.9 version 1 with DO=1", query(zone, opt=opt(version=1, flags=0x8000)), False, lambda r: badvers(r) and r.opt[2] & 0x8000),
        ("8.2.10 several options at once", query(zone, opt=opt(options=option(3, b"") + option(8, b"\0\1\0\0") + option(9, b"") + option(10, b"\1" * 8))), False, edns),
        ("EDNS over TCP", query(zone, opt=opt()), True, edns),
    ]


def main(address, port, zone):
    failed = 0
    for what, message, tcp, holds in checks(zone):
        try:
            good = holds(reply := ask((address, int(port)), message, tcp)) and reply.id == 0x4D52 and reply.flags & QR
        except (OSError, struct.error, IndexError) as error:
            good, what = False, f"{what}: {error!r}"
        failed += not good
        print("ok  " if good else "FAIL", what)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
