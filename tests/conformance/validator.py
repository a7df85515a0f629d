"""A validator of its own (RFC 4035, 5155, 9824): signatures by dnspython, proofs by the rules as written, nothing shared
with the server. It says why, where resolvers say SERVFAIL."""

import base64
import time

import dns.dnssec
import dns.flags
import dns.name
import dns.rcode
import dns.rdatatype as rdatatype
import dns.rrset

NXNAME = 128
CNAME, DNAME, NS, SOA, DS, NSEC, NSEC3, RRSIG = (getattr(rdatatype, name) for name in
                                                ("CNAME", "DNAME", "NS", "SOA", "DS", "NSEC", "NSEC3", "RRSIG"))


class Bogus(Exception):
    """What a validating resolver would not believe, and why."""


def types_of(rdata):
    """The types in a bitmap."""
    return {window * 256 + place * 8 + bit for window, octets in rdata.windows for place, octet in enumerate(octets)
            for bit in range(8) if octet & 0x80 >> bit}


class Validator:
    """Knows a zone's keys."""

    def __init__(self, origin, dnskeys, now=None):
        self.origin, self.now = origin, now or time.time()
        self.keys = {origin: dnskeys}
        self.verified = {}

    def check(self, name, rtype, reply):
        """What a reply proves: a word; or it is `Bogus`. `self.denials` has the NSECs that came with it."""
        self.reply, self.denials, self.used, self.expanded, self.redirected = reply, [], set(), set(), False
        # An NSEC that was asked for is data like other data.
        for rrset in reply.authority:
            if rrset.rdtype in (NSEC, NSEC3):
                self.verify(rrset, reply.authority)
                self.denials.append(rrset)
        name, found = self.chain(name, rtype)
        self.nothing_unsigned()
        if found:
            return found
        if not name.is_subdomain(self.origin):
            return "alias out of the zone"
        soa = self.find(reply.authority, self.origin, SOA)
        if soa is None:
            return self.referral(name, rtype)
        self.verify(soa, reply.authority)
        if reply.rcode() == dns.rcode.NXDOMAIN:
            return self.name_error(name)
        if reply.rcode() == dns.rcode.NOERROR:
            return self.no_data(name, rtype)
        raise Bogus(f"a denial with {dns.rcode.to_text(reply.rcode())}")

    # The answer section.

    def chain(self, name, rtype):
        """Follows aliases: (the end, what was found there)."""
        answer, seen = self.reply.answer, set()
        while name not in seen:
            seen.add(name)
            found = self.find(answer, name, rtype)
            if rtype == dns.rdatatype.ANY:
                found = next((rrset for rrset in answer if rrset.name == name and rrset.rdtype != RRSIG), None)
            if rtype == RRSIG and any(rrset.name == name and rrset.rdtype == RRSIG for rrset in answer):
                return name, "signatures"
            if found is not None and not (rtype == CNAME and self.synthesised(name)):
                self.verify(found, answer, name)
                return name, "positive"
            if found is not None:
                return name, "alias made of a DNAME"
            alias = self.find(answer, name, CNAME)
            if alias is None and len(seen) > 1 and not self.reply.authority and self.reply.rcode() == 0:
                return name, "chain that goes on"
            if alias is None:
                return name, None
            if not self.synthesised(name):
                self.verify(alias, answer, name)
            name = alias[0].target
        return name, "loop"

    def synthesised(self, name):
        """Whether a CNAME follows from a signed DNAME above it (RFC 6672 section 5.3.1)."""
        for rrset in self.reply.answer:
            if rrset.rdtype == DNAME and name.is_subdomain(rrset.name) and name != rrset.name:
                self.verify(rrset, self.reply.answer)
                alias = self.find(self.reply.answer, name, CNAME)
                target = name.relativize(rrset.name).derelativize(rrset[0].target)
                if alias is not None and alias[0].target != target:
                    raise Bogus(f"the CNAME of {name} is not what the DNAME makes of it")
                self.used.add((name, CNAME))
                self.redirected = True
                return True
        return False

    def nothing_unsigned(self):
        """Every RRset of the answer section has a signature, but for CNAMEs that a DNAME makes."""
        for rrset in self.reply.answer:
            if rrset.rdtype != RRSIG and (rrset.name, rrset.rdtype) not in self.used:
                self.verify(rrset, self.reply.answer, rrset.name)

    def find(self, section, name, rtype):
        return next((rrset for rrset in section if rrset.name == name and rrset.rdtype == rtype), None)

    def verify(self, rrset, section, asked=None):
        """One of our keys has signed it, now; expanded wildcards come with their proof."""
        self.used.add((rrset.name, rrset.rdtype))
        covering = [candidate for candidate in section if candidate.name == rrset.name and candidate.rdtype == RRSIG
                    and candidate.covers == rrset.rdtype]
        if not covering:
            raise Bogus(f"{rrset.name} {rdatatype.to_text(rrset.rdtype)} is not signed")
        signatures = covering[0]
        why = None
        for signature in signatures:
            try:
                self.verify_one(rrset, signatures.ttl, signature)
                break
            except (Bogus, dns.dnssec.ValidationFailure) as error:
                why = error
        else:
            raise Bogus(f"{rrset.name} {rdatatype.to_text(rrset.rdtype)}: {why}")
        labels = len(rrset.name.labels) - 1 - (rrset.name.labels[0] == b"*")
        if signature.labels < labels:
            if section is self.reply.authority and rrset.rdtype in (NSEC, NSEC3):
                raise Bogus("an expanded NSEC")
            self.expanded.add(rrset.name)
            self.no_closer_match(rrset.name, signature.labels)

    def verify_one(self, rrset, signature_ttl, signature):
        if signature.signer != self.origin:
            raise Bogus(f"signed by {signature.signer}")
        if rrset.ttl > signature.original_ttl:
            raise Bogus(f"its TTL {rrset.ttl} is above the signed {signature.original_ttl}")
        if rrset.ttl != signature_ttl:
            raise Bogus(f"its TTL {rrset.ttl} is not the signature's {signature_ttl}")
        if signature.expiration - self.now < 3 * 86400:
            raise Bogus(f"the signature ends in {signature.expiration - self.now:.0f} s: less than three days")
        key = (rrset.name, rrset.rdtype, signature.to_text(), tuple(sorted(r.to_digestable() for r in rrset)))
        if key not in self.verified:
            dns.dnssec.validate_rrsig(rrset, signature, self.keys, now=self.now)
            self.verified[key] = True

    # Proofs.

    def nsecs(self):
        return [(rrset.name, rrset[0].next, types_of(rrset[0])) for rrset in self.denials if rrset.rdtype == NSEC]

    def covering(self, name):
        """An NSEC whose span holds a name."""
        for owner, following, types in self.nsecs():
            last = following == self.origin
            if owner < name and (name < following or last):
                # An NSEC of a cut or DNAME says nothing of what is below (RFC 6840 section 4.1).
                if name.is_subdomain(owner) and (DNAME in types or NS in types and SOA not in types):
                    continue
                return owner, following, types
        return None

    def matching(self, name):
        return next((entry for entry in self.nsecs() if entry[0] == name), None)

    def nsec3(self, name):
        """(the NSEC3 that matches a name, the one that covers it)."""
        match = cover = None
        for rrset in self.denials:
            if rrset.rdtype != NSEC3:
                continue
            rdata = rrset[0]
            digest = dns.dnssec.nsec3_hash(name, rdata.salt, rdata.iterations, rdata.algorithm).upper()
            owner = rrset.name.labels[0].decode().upper()
            following = base64.b32encode(rdata.next).decode().translate(
                str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", "0123456789ABCDEFGHIJKLMNOPQRSTUV"))
            if digest == owner:
                match = rdata
            elif owner < digest < following or owner >= following and (digest > owner or digest < following):
                cover = rdata
        return match, cover

    def has_nsec3(self):
        return any(rrset.rdtype == NSEC3 for rrset in self.denials)

    def closest_encloser(self, name):
        """By NSEC3 (RFC 5155 section 8.3): (encloser, next closer name)."""
        closer = None
        while True:
            match, _ = self.nsec3(name)
            if match is not None:
                if closer is None or self.nsec3(closer)[1] is not None:
                    return name, closer
                raise Bogus(f"no NSEC3 covers the next closer name {closer}")
            if name == self.origin:
                raise Bogus("no closest encloser")
            closer, name = name, name.parent()

    def no_closer_match(self, name, labels):
        """For what a wildcard answered: nothing of the name below the wildcard's parent exists (RFC 4035 section 5.3.4)."""
        encloser = dns.name.Name(name.labels[-(labels + 1):])
        next_closer = dns.name.Name(name.labels[-(labels + 2):])
        if self.has_nsec3():
            if self.nsec3(next_closer)[1] is None:
                raise Bogus(f"no NSEC3 covers {next_closer}, so a closer match may exist")
            return
        found = self.covering(next_closer) or self.covering(name)
        if found is None:
            raise Bogus(f"no NSEC covers {next_closer}, so a closer match than *.{encloser} may exist")
        owner, following, _ = found
        for neighbour in (owner, following):
            if neighbour.is_subdomain(next_closer):
                raise Bogus(f"{next_closer} exists: {neighbour} is below it")

    def name_error(self, name):
        if self.has_nsec3():
            encloser, closer = self.closest_encloser(name)
            if closer is None:
                raise Bogus("NXDOMAIN for a name whose NSEC3 is there")
            if self.nsec3(dns.name.Name((b"*",) + encloser.labels))[1] is None:
                raise Bogus("no NSEC3 denies the wildcard")
            return "nxdomain"
        own = self.matching(name)
        if own is not None:
            if NXNAME in own[2]:
                return "nxdomain"
            raise Bogus(f"NXDOMAIN for {name}, whose NSEC is there")
        found = self.covering(name)
        if found is None:
            raise Bogus(f"no NSEC covers {name}")
        owner, following, _ = found
        if following.is_subdomain(name):
            raise Bogus(f"{name} is an empty non-terminal")
        encloser = max((ancestor(name, owner), ancestor(name, following)), key=len)
        if self.covering(dns.name.Name((b"*",) + encloser.labels)) is None:
            raise Bogus(f"no NSEC denies the wildcard below {encloser}")
        return "nxdomain"

    def no_data(self, name, rtype):
        if self.has_nsec3():
            return self.no_data3(name, rtype)
        own = self.matching(name)
        if own is not None:
            self.lacks(own[2], rtype, name)
            if rtype == DS and name == self.origin or CNAME in own[2]:
                return "nodata at the child" if rtype == DS else "nodata beside an alias"
            return "nxname" if NXNAME in own[2] else "nodata"
        found = self.covering(name)
        if found is None:
            raise Bogus(f"no NSEC for {name}")
        owner, following, _ = found
        if following.is_subdomain(name):
            return "nodata"
        encloser = max((ancestor(name, owner), ancestor(name, following)), key=len)
        wildcard = dns.name.Name((b"*",) + encloser.labels)
        match = self.matching(wildcard)
        if match is not None:
            self.lacks(match[2], rtype, wildcard)
            return "nodata by wildcard"
        above = self.covering(wildcard)
        if above is not None and above[1].is_subdomain(wildcard):
            return "nodata by empty wildcard"
        raise Bogus(f"NODATA for {name}, which does not exist, and no wildcard covers it")

    def no_data3(self, name, rtype):
        match, _ = self.nsec3(name)
        if match is not None:
            self.lacks(types_of(match), rtype, name)
            if rtype == DS and name == self.origin or CNAME in types_of(match):
                return "nodata at the child" if rtype == DS else "nodata beside an alias"
            return "nodata"
        encloser, closer = self.closest_encloser(name)
        cover = self.nsec3(closer)[1]
        if rtype == DS and cover is not None and cover.flags & 1:
            return "nodata by opt-out"
        match, _ = self.nsec3(dns.name.Name((b"*",) + encloser.labels))
        if match is None:
            raise Bogus(f"NODATA for {name}: neither it nor its wildcard has an NSEC3")
        self.lacks(types_of(match), rtype, name)
        return "nodata by wildcard"

    def lacks(self, types, rtype, name):
        """A bitmap denies a type: neither the type nor CNAME is in it, and it is the right side of a cut."""
        if rtype in types:
            raise Bogus(f"the NSEC of {name} has {rdatatype.to_text(rtype)}")
        if CNAME in types and rtype not in (NSEC, RRSIG):
            raise Bogus(f"the NSEC of {name} has CNAME")
        if rtype == DS and SOA in types and name != self.origin:
            raise Bogus("DS denied by the child")
        if rtype != DS and NS in types and SOA not in types:
            raise Bogus("denied by the parent's side of a cut")

    def referral(self, name, rtype):
        cut = next((rrset for rrset in self.reply.authority if rrset.rdtype == NS), None)
        if cut is None:
            raise Bogus("neither an answer nor a denial nor a referral")
        if self.find(self.reply.authority, cut.name, DS) is not None:
            self.verify(self.find(self.reply.authority, cut.name, DS), self.reply.authority)
            return "referral, signed"
        if self.has_nsec3():
            match, _ = self.nsec3(cut.name)
            if match is None:
                _, closer = self.closest_encloser(cut.name)
                if not self.nsec3(closer)[1].flags & 1:
                    raise Bogus("no NSEC3 for an unsigned cut, and no opt-out")
                return "referral, opt-out"
            types = types_of(match)
        else:
            own = self.matching(cut.name)
            if own is None:
                raise Bogus(f"nothing says that {cut.name} has no DS")
            types = own[2]
        if NS not in types or DS in types or SOA in types:
            raise Bogus(f"the bitmap at the cut {cut.name} has {sorted(types)}")
        return "referral, unsigned"


def ancestor(name, other):
    """The longest name that both are at or below."""
    _, _, labels = name.fullcompare(other)
    return dns.name.Name(name.labels[len(name.labels) - labels:])
