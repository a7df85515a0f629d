#!/usr/bin/env python3
"""Writes the seeds of the corpora: fuzz/corpus/TARGET/seed-NAME. What a fuzzer adds lies beside them."""

import base64
import pathlib
import struct

ROOT = pathlib.Path(__file__).resolve().parent
CORPUS = ROOT / "corpus"
TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33, "NAPTR": 35,
         "DNAME": 39, "DS": 43, "RRSIG": 46, "NSEC": 47, "DNSKEY": 48, "NSEC3PARAM": 51, "TLSA": 52, "SVCB": 64,
         "HTTPS": 65, "TSIG": 250, "IXFR": 251, "AXFR": 252, "ANY": 255, "URI": 256, "CAA": 257, "TYPE65400": 65400}
NAMES = ["", "example.com", "www.example.com", "WwW.eXample.cOM", "near.example.com", "share.example.com",
         "all.example.com", "spare.example.com", "alias.example.com", "x.apps.example.com", "x.hosts.example.com",
         "link.example.com", "tonear.example.com", "toalias.example.com", "nowhere.example.com", "out.example.com",
         "loop1.example.com", "a.wild.example.com", "b.no.wild.example.com", "ent.wild.example.com",
         "x.alias-wild.example.com", "cut.example.com", "x.cut.example.com", "old.example.com", "x.old.example.com",
         "a.y.old.example.com", "a" * 63 + "." + "b" * 63 + ".long.example.com", "b.c.ent.example.com",
         "srv.example.com", "svc.example.com", "web.example.com", "many.example.com", "big.example.com",
         "unknown.example.com", "missing.example.com", "eu-west._region.spare.example.com",
         "_why.spare.example.com", "elsewhere.test", "com"]
SUBNETS = ["00010000", "00011800cb0071", "00012000cb007107", "00020000", "0002300020010db80001", "0002800020010db8ff00" +
           "00000000000000000001", "00000000", "000921", "00012118cb0071", "00011800cb0071ff", "000114000a0001",
           "0001", "", "000120000a010203", "00012000c0000207"]


def wire(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


def option(code, data=b""):
    return struct.pack("!HH", code, len(data)) + data


def opt(payload=1232, do=False, options=b"", version=0, owner=b"\0"):
    return owner + struct.pack("!HHBBHH", 41, payload, 0, version, 0x8000 if do else 0, len(options)) + options


def query(name, rtype="A", rclass=1, flags=0x0100, counts=(1, 0, 0, None), records=b"", additional=0):
    counts = list(counts)
    if counts[3] is None:
        counts[3] = additional
    return (struct.pack("!HHHHHH", 0xabcd, flags, *counts) + wire(name) +
            struct.pack("!HH", TYPES[rtype], rclass) + records)


def tsig(name="key.example", mac=32):
    rdata = wire("hmac-sha256") + struct.pack("!HIHH", 0, 1800000000, 300, mac) + b"\x5a" * mac + struct.pack("!HHH", 1, 0, 0)
    return wire(name) + struct.pack("!HHIH", 250, 255, 0, len(rdata)) + rdata


def packets():
    for number, name in enumerate(NAMES):
        yield f"name-{number:02}", query(name)
        yield f"name-{number:02}-do", query(name, "AAAA", records=opt(do=True), additional=1)
    for rtype in TYPES:
        yield f"type-{rtype}", query("www.example.com", rtype, records=opt(), additional=1)
        yield f"apex-{rtype}", query("example.com", rtype, records=opt(4096, True), additional=1)
    for number, data in enumerate(SUBNETS):
        options = option(8, bytes.fromhex(data))
        yield f"subnet-{number:02}", query("near.example.com", records=opt(options=options), additional=1)
    sound = query("near.example.com", records=opt(), additional=1)
    odd = {
        "empty": b"", "short": sound[:11], "header": sound[:12], "cut-question": sound[:20], "cut-opt": sound[:-3],
        "trailing": sound + b"\0", "response": sound[:2] + b"\x81" + sound[3:],
        "qdcount-0": query("www.example.com", counts=(0, 0, 0, 0))[:12],
        "qdcount-0-cookie": struct.pack("!HHHHHH", 1, 0, 0, 0, 0, 1) + opt(options=option(10, b"12345678")),
        "qdcount-2": query("www.example.com", counts=(2, 0, 0, 0)) + wire("near.example.com") + b"\0\x01\0\x01",
        "two-opts": query("www.example.com", records=opt() + opt(), additional=2),
        "opt-in-answer": query("www.example.com", counts=(1, 1, 0, 0), records=opt()),
        "opt-owner": query("www.example.com", records=opt(owner=wire("x")), additional=1),
        "badvers": query("www.example.com", records=opt(version=1), additional=1),
        "options": query("spare.example.com", records=opt(512, True, option(3) + option(10, b"12345678") + option(11) +
                                                          option(12, b"\0" * 20) + option(65001, b"x")), additional=1),
        "nsid": query("www.example.com", records=opt(options=option(3)), additional=1),
        "option-cut": query("www.example.com", records=opt(options=b"\0\x03\0\x09"), additional=1),
        "chaos": query("version.bind", "TXT", 3), "class-any": query("www.example.com", rclass=255),
        "notify": query("example.com", "SOA", flags=0x2400), "update": query("example.com", "SOA", flags=0x2800),
        "status": query("example.com", flags=0x1000), "opcode-15": query("example.com", flags=0x7800),
        "all-flags": query("www.example.com", flags=0x07ff),
        "pointer": struct.pack("!HHHHHH", 1, 0, 1, 0, 0, 0) + b"\xc0\x0c\0\x01\0\x01",
        "label-40": struct.pack("!HHHHHH", 1, 0, 1, 0, 0, 0) + b"\x41a\0\0\x01\0\x01",
        "long-name": struct.pack("!HHHHHH", 1, 0, 1, 0, 0, 0) + (b"\x3f" + b"a" * 63) * 4 + b"\0\0\x01\0\x01",
        "tsig": query("example.com", "AXFR", records=tsig(), additional=1),
        "tsig-first": query("example.com", records=tsig() + opt(), additional=2),
        "tsig-cut": query("example.com", records=tsig()[:-5], additional=1),
        "ixfr": query("example.com", "IXFR", counts=(1, 0, 1, 0), records=b"\xc0\x0c" + struct.pack("!HHIH", 6, 1, 0, 22)
                      + b"\0\0" + struct.pack("!5I", 1, 2, 3, 4, 5)),
        "compressed-owner": query("www.example.com", counts=(1, 1, 0, 0),
                                  records=b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 0, 4) + b"abcd"),
        "loop-owner": query("www.example.com", counts=(1, 1, 0, 0), records=b"\xc0\x21\0\0"),
    }
    yield from odd.items()


def zones():
    head = "$TTL 60\n@ SOA ns h 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n"
    world = (ROOT / "checks" / "world.zone").read_text()
    kept = [line for line in world.splitlines() if not line.startswith(("many ", "big "))]
    yield "world", "\n".join(kept) + "\n"
    for number, line in enumerate(kept[4:]):
        yield f"line-{number:02}", f"{head}{line}\n"
    yield "empty", ""
    yield "parentheses", head + "x TXT ( \"a\" ; note\n \"b\" )\n\t A ( 192.0.2.2 )\n"
    yield "origin", head + "$ORIGIN sub\nx A 192.0.2.2\n$ORIGIN .\nexample.com. TXT y\n$TTL 1h\nz.example.com. 1d IN A 192.0.2.3\n"
    yield "generate", head + "$GENERATE 1-3/2 h$ A 192.0.2.$\n$GENERATE 0-2 ${0,3,d}.r PTR h${1,2,x}\n"
    yield "include", head + "$INCLUDE other.zone sub\n$INCLUDE ../../etc/passwd\n"
    yield "escapes", head + "a\\.b\\\\c\\065 TXT \"\\\"\\;\\255\" \\100\n\"quoted\" A 192.0.2.2\n"
    yield "errors", head + "x A 1.2.3\ny CNAME\ny A 192.0.2.2\nz TYPE1 \\# 3 00\n( unclosed\n"
    yield "conflict", head + "c CNAME ns\nc A 192.0.2.2\nd DNAME ns\nx.d A 192.0.2.2\n"
    yield "crlf", head.replace("\n", "\r\n")
    yield "dnssec", head + "".join(f"x {line}\n" for line in (
        "DNSKEY 257 3 13 " + "A" * 86 + "==", "RRSIG A 13 3 60 20300101000000 20200101000000 1 example.com. AAAA",
        "NSEC y A RRSIG NSEC TYPE65400", "NSEC3PARAM 1 0 0 -", "NSEC3 1 1 0 AB 00000000000000000000000000000000 A",
        "DS 1 13 2 " + "00" * 32, "CDS 0 0 0 00", "CDNSKEY 0 3 0 AA=="))
    yield "types", head + "".join(f"x {line}\n" for line in (
        "HINFO a b", "LOC 52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m", "URI 10 1 \"https://www.example.com/\"", "RP a b", "AFSDB 1 a", "X25 1", "PX 1 a b", "KX 1 a", "CERT 1 2 3 AAAA", "OPENPGPKEY AAAA",
        "SMIMEA 3 1 1 00", "EUI48 00-00-5e-00-53-2a", "CSYNC 1 3 A", "ZONEMD 1 1 1 " + "00" * 48, "IPSECKEY 1 0 2 . AAAA",
        "SVCB 1 a mandatory=alpn alpn=h2 no-default-alpn port=1 ipv6hint=::1 key65000=x", "HIP 2 200100107B1A74DF365639CC39F1D578 AAAA"))


def configs():
    world = (ROOT / "checks" / "world.toml").read_text()
    names = (ROOT / "checks" / "world.names.toml").read_text()
    yield "world", world + "\n#---\n" + names
    main = (ROOT.parent / "meridian.toml").read_text()
    yield "shipped", main
    sample = (ROOT.parent / "docs" / "configuration.md").read_text().split("```toml")
    for number, part in enumerate(sample[1:]):
        yield f"manual-{number:02}", part.split("```")[0]
    for golden in sorted((ROOT.parent / "tests" / "config").glob("*.toml")):
        text = golden.read_bytes()
        if len(text) < 6000:
            yield f"golden-{golden.stem}", text


def requests():
    message = query("near.example.com", records=opt(do=True), additional=1)
    text = base64.urlsafe_b64encode(message).rstrip(b"=")
    kind = b"application/dns-message"
    yield "get", b"GET\n/dns-query?dns=" + text
    yield "get-parameters", b"GET\n/dns-query?a=b&dns=" + text + b"&c"
    yield "get-twice", b"GET\n/dns-query?dns=" + text + b"&dns=AAAA"
    yield "get-padding", b"GET\n/dns-query?dns=AAA="
    yield "get-escaped", b"GET\n/dns-query?dns=%41AAA"
    yield "get-absolute", b"GET\nhttps://ns.example:443/dns-query?dns=" + text
    yield "head", b"HEAD\n/dns-query?dns=" + text
    yield "post", b"POST\n/dns-query\n" + kind + b"\n40"
    yield "post-parameters", b"POST\n/dns-query?dns=x\n" + kind.upper() + b" ; charset=x\n65536"
    yield "post-json", b"POST\n/dns-query\napplication/json\n40"
    yield "put", b"PUT\n/dns-query?dns=AAAA"
    yield "elsewhere", b"GET\n/?dns=AAAA"
    yield "star", b"OPTIONS\n*"


def streams():
    messages = [packet for _, packet in packets()]
    framed = [struct.pack("!H", len(packet)) + packet for packet in messages]
    yield "one", b"\1" + framed[0]
    yield "several", b"\7" + b"".join(framed[:5])
    yield "cut", b"\40" + b"".join(framed[:3])[:-4]
    yield "empty-messages", b"\2" + b"\0\0" * 8 + framed[1]
    yield "long", b"\377\377\377" + framed[2]


def seeds():
    for name, octets in requests():
        yield "doh", name, octets
    for name, octets in streams():
        yield "framing", name, octets
    for name, packet in packets():
        yield "query", name, packet
        for number, how in enumerate((0, 0x0b, 0x13)):
            if number == 0 or name.startswith(("subnet", "odd", "name-0")):
                yield "respond", f"{name}-{number}", bytes([how]) + packet
    for number, data in enumerate(SUBNETS):
        yield "subnet", f"{number:02}", bytes.fromhex(data)
    for name, text in zones():
        yield "zone", name, text.encode()
    for name, text in configs():
        yield "config", name, text if isinstance(text, bytes) else text.encode()
    for file in sorted((ROOT.parent / "tests" / "data" / "mmdb").glob("*.mmdb")):
        yield "mmdb", file.stem, file.read_bytes()


for target, name, octets in seeds():
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"seed-{name}").write_bytes(octets)
