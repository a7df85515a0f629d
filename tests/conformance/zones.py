"""Adversarial zones and questions, drawn from a seed: legal everywhere, and as odd as legal gets."""

import random

import wire

LABELS = ["a", "b", "c", "d", "www", "mail", "x-y", "_tcp", "_sip", "A", "Bb", "0", "1", "\\000", "\\255", "\\046", "a\\.b",
          "\\032", "\\034", "\\092", "\\@", "\\200\\201", "*a", "a*", "**", "xn--zca", "l" * 63, "UPPER", "miXed"]
ORIGINS = ["plain.test.", "wild.test.", "Deep.Example.", "a.very.long.origin.with.many.labels.test.", "cuts.test.",
           "sub.cuts.test.", "alias.test.", "dname.test.", "big.test.", "odd_9.test."]
TYPES_ASKED = ["A", "AAAA", "NS", "CNAME", "SOA", "MX", "TXT", "SRV", "PTR", "DNAME", "DS", "CAA", "NAPTR", "SVCB",
               "HTTPS", "TLSA", "SSHFP", "HINFO", "DNSKEY", "RRSIG", "NSEC", "NSEC3PARAM", "SPF", "LOC", "URI"]
TTLS = [0, 1, 60, 300, 3600, 86400, 2147483647]


def from_text(text, origin=b"\0"):
    """A name's wire form from the text that this module writes."""
    if text == ".":
        return b"\0"
    labels, label, place, absolute = [], bytearray(), 0, False
    while place < len(text):
        char = text[place]
        if char == "\\" and text[place + 1].isdigit():
            label.append(int(text[place + 1:place + 4]))
            place += 4
            continue
        if char == "\\":
            label.append(ord(text[place + 1]))
            place += 2
            continue
        if char == ".":
            labels.append(bytes(label))
            label = bytearray()
            absolute = place == len(text) - 1
        else:
            label.append(ord(char))
        place += 1
    if label:
        labels.append(bytes(label))
    return b"".join(bytes([len(label)]) + label for label in labels) + (b"\0" if absolute else origin)


class Node:
    """A name and what stands there."""

    def __init__(self, text, labels):
        self.text, self.labels, self.kind, self.records = text, labels, "plain", []


class Zone:
    """One zone in the making: nodes by name, records as lines."""

    def __init__(self, dice, origin, all_origins):
        self.dice, self.origin, self.all_origins = dice, origin, all_origins
        self.nodes = {}
        self.closed = set()
        self.negative = dice.choice(TTLS[:5])

    def key(self, text):
        return from_text(text).translate(wire.LOWER)

    def below_closed(self, labels):
        """Whether a name is at or below a cut or DNAME."""
        return any(self.key(".".join(labels[at:]) + ".") in self.closed for at in range(len(labels)))

    def add(self, labels, kind):
        """A node, if nothing stands in its way; with it no label is longer than what fits."""
        text = ".".join(labels + [self.origin]) if labels else self.origin
        if len(from_text(text)) > 200 or self.below_closed(labels + [""]):
            return None
        key = self.key(text)
        if key in self.nodes or self.is_below_closed(key):
            return None
        node = Node(text, labels)
        node.kind = kind
        self.nodes[key] = node
        return node

    def is_below_closed(self, key):
        return any(key != closed and key.endswith(closed) or key == closed for closed in self.closed)

    def is_above_any(self, key):
        return any(other != key and other.endswith(key) for other in self.nodes)

    def any_name(self):
        """A name to point at: ours, not there, of other zones, of nobody."""
        dice = self.dice
        pick = dice.random()
        nodes = list(self.nodes.values())
        if pick < 0.5 and nodes:
            text = dice.choice(nodes).text
            if text.startswith("*."):
                return text if dice.random() < 0.2 else dice.choice(["q", "w"]) + text[1:]
            return text
        if pick < 0.65 and nodes:
            return dice.choice(["nx", "deep.er", "q"]) + "." + dice.choice(nodes).text
        if pick < 0.8:
            return dice.choice(["", "www.", "a.", "nx."]) + dice.choice(self.all_origins)
        if pick < 0.95:
            return dice.choice(["www.elsewhere.example.", "mail.nowhere.invalid.", "a.b.c.d.e.", "com."])
        return "."

    def rdata(self, rtype):
        """RDATA of a type as text."""
        dice = self.dice
        name = self.any_name
        octets = lambda count: bytes(dice.randrange(256) for _ in range(count)).hex()
        string = lambda most: '"' + "".join(f"\\{dice.randrange(256):03}" if dice.random() < 0.1 else
                                            dice.choice("abc XYZ09;()@") for _ in range(dice.randrange(most))) + '"'
        match rtype:
            case "A":
                return f"192.0.2.{dice.randrange(256)}"
            case "AAAA":
                return f"2001:db8::{dice.randrange(65536):x}"
            case "NS" | "PTR" | "CNAME" | "DNAME":
                return name()
            case "MX" | "AFSDB":
                return f"{dice.randrange(65536)} {name()}"
            case "SRV":
                return f"{dice.randrange(100)} {dice.randrange(100)} {dice.randrange(65536)} {name()}"
            case "RP":
                return f"{name()} {name()}"
            case "NAPTR":
                return f'{dice.randrange(10)} {dice.randrange(10)} "u" "E2U+sip" "!^.*$!sip:x@y!" {name()}'
            case "LOC":
                return f"{dice.randrange(90)} {dice.randrange(60)} 23.000 N {dice.randrange(180)} 53 32.000 E {dice.randrange(-99, 999)}.00m 1m 10000m 10m"
            case "URI":
                return f'{dice.randrange(9)} {dice.randrange(9)} "https://www.example.com/{dice.randrange(99)}"'
            case "TXT" | "SPF":
                return " ".join(string(40) for _ in range(dice.randrange(1, 4)))
            case "HINFO":
                return f"{string(10)} {string(10)}"
            case "CAA":
                return f'{dice.choice([0, 128])} {dice.choice(["issue", "issuewild", "iodef"])} "ca.example"'
            case "TLSA":
                return f"3 1 1 {octets(32)}"
            case "SSHFP":
                return f"4 2 {octets(32)}"
            case "DS":
                return f"{dice.randrange(65536)} 13 2 {octets(32)}"
            case "SVCB" | "HTTPS":
                if dice.random() < 0.3:
                    return f"0 {name()}"
                parameters = dice.sample(["alpn=h2,h3", "port=8443", "ipv4hint=192.0.2.1", "ipv6hint=2001:db8::1"],
                                         dice.randrange(4))
                return f"{dice.randrange(1, 9)} {dice.choice(['.', name()])} {' '.join(parameters)}".rstrip()
            case _:
                return f"\\# {(count := dice.randrange(1, 30))} {octets(count)}"

    def put(self, node, rtype, count=1):
        """An RRset."""
        ttl = self.dice.choice(TTLS)
        written = {self.rdata(rtype) for _ in range(count)}
        for rdata in sorted(written):
            # The owner's case is drawn anew for each record: it must not matter.
            node.records.append(f"{self.cased(node.text)} {ttl} IN {rtype} {rdata}")

    def cased(self, text):
        if self.dice.random() < 0.8:
            return text
        return "".join(char.upper() if self.dice.random() < 0.5 else char.lower() for char in text)

    def plain(self, node):
        types = ["A", "AAAA", "TXT", "MX", "SRV", "PTR", "CAA", "NAPTR", "SVCB", "HTTPS", "TLSA", "SSHFP", "HINFO", "RP",
                 "AFSDB", "LOC", "URI", "TYPE65400", "TYPE65401", "TYPE1234"]
        for rtype in self.dice.sample(types, self.dice.choice([1, 1, 2, 3, 6])):
            single = rtype in ("HINFO", "LOC")
            self.put(node, rtype, 1 if single else self.dice.choice([1, 1, 2, 5]))

    def grow(self, nodes, share):
        """Draws names until there are `nodes`; `share` says how often each kind comes."""
        dice = self.dice
        apex = self.add([], "apex")
        self.plain(apex)
        branches = [[]]
        tries = 0
        while len(self.nodes) < nodes and tries < nodes * 20:
            tries += 1
            kind = dice.choices(list(share), list(share.values()))[0]
            labels = list(dice.choice(branches))
            for _ in range(dice.choice([0, 0, 0, 1, 3])):
                labels.insert(0, dice.choice(LABELS))
            labels.insert(0, "*" if dice.random() < share_of_wildcards(kind) else dice.choice(LABELS))
            if kind in ("cut", "dname"):
                if "*" in labels[:1] or "*" in labels and kind == "dname":
                    continue
                key = self.key(".".join(labels + [self.origin]))
                if self.is_above_any(key) or key in self.nodes:
                    continue
            node = self.add(labels, kind)
            if node is None:
                continue
            branches.append(labels)
            getattr(self, f"make_{kind}")(node)

    def make_plain(self, node):
        self.plain(node)

    def make_alias(self, node):
        node.records.append(f"{node.text} {self.dice.choice(TTLS)} IN CNAME {self.any_name()}")

    def make_loop(self, node):
        """A circle of two, or of one."""
        other = self.add(["loop" + str(len(self.nodes))] + node.labels[1:], "loop")
        target = other or node
        node.records.append(f"{node.text} 60 IN CNAME {target.text}")
        if other:
            other.records.append(f"{other.text} 60 IN CNAME {node.text}")

    def make_chain(self, node):
        """A chain of up to twelve."""
        text = node
        for step in range(self.dice.randrange(1, 12)):
            following = self.add([f"chain{len(self.nodes)}"] + node.labels[1:], "chain")
            if following is None:
                break
            text.records.append(f"{text.text} 60 IN CNAME {following.text}")
            text = following
        self.plain(text) if self.dice.random() < 0.7 else self.make_alias(text)

    def make_dname(self, node):
        self.closed.add(self.key(node.text))
        target = self.any_name()
        if self.dice.random() < 0.2:
            long = ".".join(["t" * 60] * 2 + [target if target != "." else "test."])
            target = long if len(from_text(long)) <= 255 else target
        node.records.append(f"{node.text} {self.dice.choice(TTLS)} IN DNAME {target}")
        if self.dice.random() < 0.5:
            self.put(node, self.dice.choice(["A", "TXT", "MX"]))

    def make_cut(self, node):
        dice = self.dice
        key = self.key(node.text)
        self.closed.add(key)
        ttl = dice.choice(TTLS)
        servers = set()
        for number in range(dice.randrange(1, 5)):
            inside = dice.random() < 0.6
            servers.add(f"ns{number}.{node.text}" if inside else self.any_name())
        if dice.random() < 0.2:
            servers.add(node.text)
        for server in sorted(servers):
            if server == ".":
                continue
            node.records.append(f"{node.text} {ttl} IN NS {server}")
            if self.key(server).endswith(key) and dice.random() < 0.9 and not server.startswith("*"):
                for rtype in dice.choice([["A"], ["AAAA"], ["A", "AAAA"]]):
                    node.records.append(f"{server} {dice.choice(TTLS)} IN {rtype} {self.rdata(rtype)}")
        if not any(" NS " in record for record in node.records):
            node.records.append(f"{node.text} {ttl} IN NS ns.elsewhere.example.")
        if dice.random() < 0.5:
            self.put(node, "DS", dice.choice([1, 3]))

    def make_big(self, node):
        """RRsets up to what a message holds."""
        octets = self.dice.choice([400, 600, 1100, 1400, 4000, 16000, 60000])
        count = max(1, octets // 250)
        ttl = self.dice.choice(TTLS)
        for number in range(count):
            node.records.append(f'{node.text} {ttl} IN TXT "{number:05}{"t" * 225}"')
        if self.dice.random() < 0.3:
            for number in range(self.dice.choice([30, 200])):
                node.records.append(f"{node.text} {ttl} IN A 198.51.{100 + number // 250}.{number % 250}")

    def text(self):
        soa_ttl = self.dice.choice(TTLS[1:])
        lines = [f"{self.origin} {soa_ttl} IN SOA ns1.{self.origin} host\\.master.{self.origin} 1 7200 900 1209600 {self.negative}",
                 f"{self.origin} 3600 IN NS ns1.{self.origin}", f"{self.origin} 3600 IN NS ns.elsewhere.example."]
        body = [record for node in self.nodes.values() for record in node.records]
        if not self.is_below_closed(self.key(f"ns1.{self.origin}")) and self.key(f"ns1.{self.origin}") not in self.nodes:
            lines.append(f"ns1.{self.origin} 3600 IN A 192.0.2.53")
        # RRsets have one TTL (RFC 2181 section 5.2): the first one drawn.
        seen, unique = {}, []
        for line in lines + body:
            owner, ttl, _, rtype, rdata = line.split(" ", 4)
            first = seen.setdefault((self.key(owner), rtype), ttl)
            unique.append(f"{owner} {first} IN {rtype} {rdata}")
        return "\n".join(dict.fromkeys(unique)) + "\n"


def share_of_wildcards(kind):
    return {"plain": 0.25, "alias": 0.25, "chain": 0.1, "big": 0.1}.get(kind, 0)


SHARES = {
    "plain.test.": {"plain": 8, "alias": 1, "big": 0.3},
    "wild.test.": {"plain": 8, "alias": 3, "cut": 1, "dname": 0.5},
    "cuts.test.": {"plain": 3, "cut": 5, "alias": 1},
    "sub.cuts.test.": {"plain": 5, "cut": 3, "alias": 2},
    "alias.test.": {"alias": 5, "chain": 1, "loop": 1, "plain": 3, "dname": 1, "cut": 0.5},
    "dname.test.": {"dname": 4, "plain": 3, "alias": 3, "cut": 0.5},
    "big.test.": {"big": 3, "plain": 2, "alias": 1},
}
MIXED = {"plain": 5, "alias": 2, "chain": 0.5, "loop": 0.5, "dname": 1, "cut": 1.5, "big": 0.2}


def zones(seed, nodes=150):
    """{origin: text} and, for the questions, {origin: [(owner as text)]}."""
    texts, names = {}, {}
    for origin in ORIGINS:
        zone = Zone(random.Random(f"{seed} {origin}"), origin, ORIGINS)
        if origin == "cuts.test.":
            # A child that is served here too: the parent answers for its DS alone.
            zone.make_cut(zone.add(["sub"], "cut"))
        # Its answers are large, so that its names can be few.
        zone.grow(nodes // 3 if origin == "big.test." else nodes, SHARES.get(origin, MIXED))
        texts[origin] = zone.text()
        owners = {line.split(" ", 1)[0] for line in texts[origin].splitlines()}
        targets = {word for line in texts[origin].splitlines() if " NS " in line or " CNAME " in line
                   for word in line.split(" ")[4:] if word.endswith(".")}
        names[origin] = (sorted(owners), sorted(targets))
    return texts, names


def questions(seed, names, count):
    """`count` questions: (transport, packet, what for people)."""
    dice = random.Random(f"{seed} questions")
    origins = list(names)
    owners = {origin: [from_text(text) for text in pair[0]] for origin, pair in names.items()}
    targets = {origin: [from_text(text) for text in pair[1]] for origin, pair in names.items()}
    labels = [from_text(label + ".")[:-1] for label in LABELS + ["*", "nx", "q", "loop0", "chain3", "ns1", "ns0"]]
    for _ in range(count):
        origin = dice.choice(origins)
        name = dice.choice(targets[origin] if targets[origin] and dice.random() < 0.1 else owners[origin])
        pick = dice.random()
        if pick < 0.35:
            pass
        elif pick < 0.6:
            name = b"".join(dice.choice(labels) for _ in range(dice.choice([1, 1, 1, 2, 4]))) + name
        elif pick < 0.8 and name != b"\0":
            cut = 1 + name[0]
            name = dice.choice(labels) + name[cut:]
        elif pick < 0.95 and name != b"\0":
            for _ in range(dice.choice([1, 1, 2])):
                name = name[1 + name[0]:] if name != b"\0" else name
        elif pick < 0.97:
            name = bytes([63]) + b"z" * 63 + name
        else:
            name = dice.choice(labels) + from_text("elsewhere.example.")
        if len(name) > 255:
            name = owners[origin][0]
        if dice.random() < 0.2:
            name = bytes(octet ^ 32 if 65 <= octet & 0xdf <= 90 and octet > 63 and dice.random() < 0.5 else octet
                         for octet in name)
        yield drawn(dice, name)


def drawn(dice, name):
    """A question for a name."""
    pick = dice.random()
    if pick < 0.9:
        rtype = wire.TYPES[dice.choice(TYPES_ASKED if dice.random() < 0.5 else TYPES_ASKED[:11])]
    elif pick < 0.93:
        rtype = wire.TYPES["ANY"]
    else:
        rtype = dice.choice([65400, 65401, 1234, 0, 3, 10, 65535, 54321])
    rclass = dice.choice([3, 4, 254, 255, 0, 65535]) if dice.random() < 0.01 else 1
    flags = 0
    for bit, likely in ((0x100, 0.5), (0x10, 0.2), (0x20, 0.2), (0x40, 0.02), (0x80, 0.02), (0x400, 0.02)):
        flags |= bit if dice.random() < likely else 0
    edns = None
    if dice.random() < 0.7:
        options = b""
        if dice.random() < 0.1:
            options += b"\xfd\xe9\0\x03abc"
        version = 1 if dice.random() < 0.01 else 0
        edns = (dice.choice([0, 512, 600, 1232, 1232, 1232, 4096, 65535]), dice.random() < 0.5, options, version)
    transport = "tcp" if dice.random() < 0.2 else "udp"
    packet = wire.query(0, name, rtype, rclass, flags, edns)
    opt = "" if edns is None else f" +edns={edns[0]}{' +do' if edns[1] else ''}{' +version=1' if edns[3] else ''}"
    shown = f"{wire.name_text(name)} {wire.type_name(rtype)} class={rclass} flags={flags:04x}{opt} +{transport}"
    return transport, packet, shown
