"""DNS messages as octets, without any library: composing queries, and reading replies for comparison."""

import struct

# Types in whose RDATA names may be compressed (RFC 1035) or at least are names, as (octets before, names, rest?).
NAMES_IN_RDATA = {
    2: (0, 1), 3: (0, 1), 4: (0, 1), 5: (0, 1), 6: (0, 2), 7: (0, 1), 8: (0, 1), 9: (0, 1), 12: (0, 1), 14: (0, 2),
    15: (2, 1), 17: (0, 2), 18: (2, 1), 21: (2, 1), 26: (2, 2), 33: (6, 1), 36: (2, 1), 39: (0, 1), 46: (18, 1),
    47: (0, 1), 64: (2, 1), 65: (2, 1),
}
TYPES = {
    "A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "HINFO": 13, "MX": 15, "TXT": 16, "RP": 17, "AFSDB": 18,
    "AAAA": 28, "LOC": 29, "SRV": 33, "NAPTR": 35, "DNAME": 39, "OPT": 41, "DS": 43, "SSHFP": 44, "RRSIG": 46,
    "NSEC": 47, "DNSKEY": 48, "NSEC3": 50, "NSEC3PARAM": 51, "TLSA": 52, "CDS": 59, "CDNSKEY": 60, "SVCB": 64,
    "HTTPS": 65, "SPF": 99, "IXFR": 251, "AXFR": 252, "ANY": 255, "URI": 256, "CAA": 257,
}
TYPE_NAMES = {number: name for name, number in TYPES.items()}
RCODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED", 6: "YXDOMAIN",
          9: "NOTAUTH", 16: "BADVERS"}
LOWER = bytes(octet + 32 if 65 <= octet <= 90 else octet for octet in range(256))


class Unreadable(Exception):
    """A message that breaks the format."""


def type_name(number):
    return TYPE_NAMES.get(number, f"TYPE{number}")


def name_text(wire):
    """A name for people."""
    labels, place = [], 0
    while wire[place]:
        label = wire[place + 1:place + 1 + wire[place]]
        labels.append("".join(chr(o) if 33 <= o <= 126 and chr(o) not in '."\\;()@$' else f"\\{o:03}" for o in label))
        place += 1 + wire[place]
    return ".".join(labels) + "."


def query(ident, name, rtype, rclass=1, flags=0, edns=None):
    """A query; `edns` is (payload, DO, options, version)."""
    packet = struct.pack("!HHHHHH", ident, flags, 1, 0, 0, 0 if edns is None else 1) + name
    packet += struct.pack("!HH", rtype, rclass)
    if edns is not None:
        payload, dnssec_ok, options, version = edns
        packet += struct.pack("!BHHBBHH", 0, 41, payload, 0, version, 0x8000 if dnssec_ok else 0, len(options)) + options
    return packet


def read_name(packet, at):
    """A name without compression, and where what follows begins."""
    labels, after, octets = [], None, 1
    while True:
        if at >= len(packet):
            raise Unreadable("a name is cut short")
        length = packet[at]
        if length == 0:
            return b"".join(labels) + b"\0", after if after is not None else at + 1
        if length >= 0xc0:
            target = (length & 0x3f) << 8 | packet[at + 1]
            if target >= at:
                raise Unreadable("a pointer forwards")
            after = at + 2 if after is None else after
            at = target
        elif length > 63:
            raise Unreadable("a label type")
        else:
            labels.append(packet[at:at + 1 + length])
            octets += 1 + length
            if octets > 255:
                raise Unreadable("a name over 255 octets")
            at += 1 + length


def read_rdata(packet, rtype, at, length):
    """RDATA with its names uncompressed and in lower case."""
    if rtype == 35:
        return read_naptr(packet, at, length)
    if rtype not in NAMES_IN_RDATA:
        return packet[at:at + length]
    before, names = NAMES_IN_RDATA[rtype]
    end, parts = at + length, [packet[at:at + before]]
    at += before
    for _ in range(names):
        name, at = read_name(packet, at)
        parts.append(name.translate(LOWER))
    if at > end:
        raise Unreadable("a name runs out of its RDATA")
    return b"".join(parts) + packet[at:end]


def read_naptr(packet, at, length):
    """NAPTR has its name after three strings."""
    place = at + 4
    for _ in range(3):
        place += 1 + packet[place]
    name, end = read_name(packet, place)
    if end != at + length:
        raise Unreadable("a NAPTR's length")
    return packet[at:place] + name.translate(LOWER)


class Reply:
    """A reply, its sections as sets: order and case do not count, neither does how names are compressed."""

    __slots__ = ("octets", "ident", "flags", "rcode", "question", "answer", "authority", "additional", "opt", "twice")

    def __init__(self, packet):
        try:
            self.read(packet)
        except (IndexError, struct.error) as error:
            raise Unreadable(str(error)) from error

    def read(self, packet):
        self.octets = len(packet)
        self.ident, self.flags, questions, *counts = struct.unpack_from("!HHHHHH", packet)
        at = 12
        for _ in range(questions):
            _, at = read_name(packet, at)
            at += 4
        self.question = packet[12:at]
        self.opt, self.twice = None, False
        sections = []
        for count in counts:
            records = []
            for _ in range(count):
                owner, at = read_name(packet, at)
                rtype, rclass, ttl, length = struct.unpack_from("!HHIH", packet, at)
                at += 10
                if at + length > len(packet):
                    raise Unreadable("RDATA is cut short")
                if rtype == 41:
                    if self.opt is not None:
                        raise Unreadable("two OPTs")
                    self.opt = (rclass, ttl, packet[at:at + length])
                else:
                    record = (owner.translate(LOWER), rtype, rclass, ttl, read_rdata(packet, rtype, at, length))
                    records.append(record)
                at += length
            whole = frozenset(records)
            self.twice |= len(whole) != len(records)
            sections.append(whole)
        if at != len(packet):
            raise Unreadable("octets after the last record")
        self.answer, self.authority, self.additional = sections
        self.rcode = self.flags & 0xf | (self.opt[1] >> 24 << 4 if self.opt else 0)

    @property
    def aa(self):
        return bool(self.flags & 0x400)

    @property
    def tc(self):
        return bool(self.flags & 0x200)

    def aspects(self, other):
        """In what two replies differ."""
        found = set()
        if self.rcode != other.rcode:
            found.add("rcode")
        for name, bit in (("aa", 0x400), ("tc", 0x200), ("rd", 0x100), ("ra", 0x80), ("z", 0x40), ("ad", 0x20), ("cd", 0x10)):
            if (self.flags ^ other.flags) & bit:
                found.add(name)
        if (self.flags ^ other.flags) & 0xf800:
            found.add("opcode")
        for name in ("question", "answer", "authority", "additional"):
            if getattr(self, name) != getattr(other, name):
                found.add(name)
        if (self.opt is None) != (other.opt is None):
            found.add("opt")
        elif self.opt and self.opt[1] & 0xffffff != other.opt[1] & 0xffffff:
            found.add("opt-fields")
        return found

    def normal(self):
        """The same message for every order, case and compression: what tests compare with."""
        parts = [struct.pack("!HH", self.flags & ~0xf, self.rcode), struct.pack("!H", len(self.question)), self.question]
        for section in (self.answer, self.authority, self.additional):
            parts.append(struct.pack("!H", len(section)))
            for owner, rtype, rclass, ttl, rdata in sorted(section):
                parts.append(owner + struct.pack("!HHIH", rtype, rclass, ttl, len(rdata)) + rdata)
        return b"".join(parts)

    def text(self):
        """For people."""
        flags = " ".join(name for name, bit in (("aa", 0x400), ("tc", 0x200), ("rd", 0x100), ("ra", 0x80), ("ad", 0x20),
                                                ("cd", 0x10)) if self.flags & bit)
        lines = [f"{RCODES.get(self.rcode, self.rcode)} {flags} {self.octets} octets"
                 + (f" opt={self.opt[0]},{self.opt[1]:08x},{self.opt[2].hex()}" if self.opt else "")]
        for name in ("answer", "authority", "additional"):
            for owner, rtype, rclass, ttl, rdata in sorted(getattr(self, name)):
                shown = rdata.hex() if len(rdata) <= 60 else f"{rdata[:60].hex()}... ({len(rdata)} octets)"
                if rtype in NAMES_IN_RDATA and NAMES_IN_RDATA[rtype] == (0, 1):
                    shown = name_text(rdata)
                lines.append(f"  {name[:4]} {name_text(owner)} {ttl} {type_name(rtype)} {shown}")
        return "\n".join(lines)
