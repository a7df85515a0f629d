"""What the entries of differences.toml check: each function says whether it is exactly that difference."""

import struct

import wire

CHAIN_MAX = 8


class World:
    """The zones as both sides got them."""

    def __init__(self, owners, cuts):
        """`owners`: {origin: [owner]} in wire form; `cuts`: owners of NS."""
        self.owners, self.nodes = {}, {}
        origins = {origin.translate(wire.LOWER) for origin in owners}
        self.cuts = {cut.translate(wire.LOWER) for cut in cuts} - origins
        for origin, names in owners.items():
            origin = origin.translate(wire.LOWER)
            held = {name.translate(wire.LOWER) for name in names}
            nodes = set(held)
            for name in held:
                while name != origin:
                    name = above(name)
                    nodes.add(name)
            self.owners[origin], self.nodes[origin] = held, nodes

    def origin_of(self, name):
        """The zone that a name is in; `None` if in none."""
        while name not in self.nodes:
            if name == b"\0":
                return None
            name = above(name)
        return name

    def is_written(self, name):
        return any(name in held for held in self.owners.values())

    def is_at_or_below_cut(self, name):
        while name not in self.nodes and name != b"\0":
            if name in self.cuts:
                return True
            name = above(name)
        return False

    def is_node_elsewhere(self, name, origin):
        """Whether another zone than `origin` has something at a name."""
        return any(name in nodes for other, nodes in self.nodes.items() if other != origin)

    def source_of_synthesis(self, name):
        """The wildcard that answers for a name that does not exist, if there is one (RFC 4592 section 3.3.1)."""
        origin = self.origin_of(name)
        nodes = self.nodes.get(origin, set())
        while name not in nodes:
            name = above(name)
        wildcard = b"\x01*" + name
        return wildcard if wildcard in nodes else None


class Asked:
    """A question."""

    def __init__(self, world, transport, packet, shown):
        self.world, self.transport, self.packet, self.shown = world, transport, packet, shown
        name, at = wire.read_name(packet, 12)
        self.name = name.translate(wire.LOWER)
        self.rtype, self.rclass = struct.unpack_from("!HH", packet, at)
        self.origin = world.origin_of(self.name)
        self.flags, = struct.unpack_from("!H", packet, 2)


def limit(packet):
    """The longest reply to a query over UDP."""
    _, at = wire.read_name(packet, 12)
    opt = packet[at + 4:]
    return min(1232, max(512, struct.unpack_from("!H", opt, 3)[0])) if opt else 512


def above(name):
    return name[1 + name[0]:]


def aliases(reply):
    return {owner: rdata for owner, rtype, _, _, rdata in reply.answer if rtype == 5}


def end_of_chain(asked, reply):
    """Where a reply's CNAMEs lead to from the name asked for, and over how many of them."""
    links, name, steps = aliases(reply), asked.name, 0
    while name in links and steps < 100:
        name, steps = links[name], steps + 1
    return name, steps


def other_zone(asked, ours, theirs):
    """The chain leaves the zone; the peer goes on where it leads, if that is in another of its zones."""
    end, steps = end_of_chain(asked, ours)
    leaves = steps > 0 and asked.world.origin_of(end) not in (asked.origin, None)
    # The other zone may be a child: then we refer to it.
    refers = all(rtype == 2 and owner != asked.origin for owner, rtype, *_ in ours.authority)
    return leaves and ours.answer <= theirs.answer and refers


def name_of_another_zone(asked, ours, theirs):
    """A wildcard answers for a name that only the parent zone has, as glue of the cut: to the peer it exists."""
    end, origin = asked.name, asked.origin
    answered = {owner for owner, *_ in ours.answer}
    denies = not theirs.answer and any(rtype == 6 and owner == origin for owner, rtype, *_ in theirs.authority)
    if end not in answered or not denies or asked.world.source_of_synthesis(end) is None:
        return False
    while end != origin and end not in asked.world.nodes[origin]:
        if asked.world.is_node_elsewhere(end, origin):
            return True
        end = above(end)
    return False


def chain_ends_sooner(asked, ours, theirs):
    """The peer follows fewer aliases than we do."""
    _, steps = end_of_chain(asked, theirs)
    return theirs.answer < ours.answer and not theirs.authority and theirs.rcode == 0 and steps >= 4


def chain_ends_later(asked, ours, theirs):
    """The peer follows more aliases than we do."""
    _, steps = end_of_chain(asked, ours)
    return ours.answer <= theirs.answer and steps >= CHAIN_MAX and not ours.authority


def any_type(asked, ours, theirs):
    """Each picks another RRset, or gives all."""
    if asked.rtype != 255:
        return False
    rrsets = {(owner, rtype) for owner, rtype, *_ in ours.answer}
    return ours.rcode == theirs.rcode and len(rrsets) == 1 and bool(theirs.answer)


def type_zero(asked, ours, theirs):
    return asked.rtype == 0 and theirs.rcode == 4


def class_any(asked, ours, theirs):
    return asked.rclass == 255 and ours.rcode == 5


def class_none_of_ours(asked, ours, theirs):
    """Nobody answers, with different words."""
    return asked.rclass not in (1, 255) and ours.rcode == 5 and not theirs.answer and not theirs.aa


def badvers_header(asked, ours, theirs):
    """The peer's BADVERS is without DO, or with CD."""
    return ours.rcode == theirs.rcode == 16


def signature_at_alias(asked, ours, theirs):
    """RRSIG and NSEC may stand beside a CNAME; here nothing does, and the peer stops at the name."""
    return asked.rtype in (46, 47) and bool(aliases(ours)) and theirs.answer < ours.answer


def additional_kinds(asked, ours, theirs):
    """Why records of the additional sections differ: a word for each; nothing where one has no reason."""
    kinds = {kind_of(asked, ours, theirs, record) for record in theirs.additional - ours.additional}
    for owner, *_ in ours.additional - theirs.additional:
        if asked.world.origin_of(owner) != asked.origin:
            kinds.add(None)
        elif is_referral(ours):
            kinds.add("glue of ours" if asked.world.is_at_or_below_cut(owner) else None)
        else:
            kinds.add("ours")
    return set() if None in kinds else kinds


def kind_of(asked, ours, theirs, record):
    """Why only the peer gives a record."""
    owner = record[0]
    if record in theirs.answer:
        return "repeated"
    if asked.world.origin_of(owner) != asked.origin:
        return "other zone"
    if not asked.world.is_written(owner) and asked.world.source_of_synthesis(owner):
        return "wildcard"
    if asked.world.is_at_or_below_cut(owner) and not is_referral(ours):
        return "glue"
    # Without a pointer to its owner, which may stand in RDATA that is not compressed itself.
    rrset = [other for other in theirs.additional if other[:2] == record[:2]]
    octets = len(owner) + sum(12 + len(rdata) for *_, rdata in rrset)
    if asked.transport == "udp" and max(ours.octets + octets, theirs.octets) > limit(asked.packet):
        return "room"
    if owner.startswith(b"\x01*"):
        return "literal wildcard"
    if record[1] in (64, 65) and record[1] == asked.rtype:
        return "service"
    return None


def is_referral(reply):
    return not reply.aa and any(rtype == 2 for _, rtype, *_ in reply.authority)


def additional_from_wildcard(asked, ours, theirs):
    """The peer synthesises addresses of a server or target from a wildcard."""
    return "wildcard" in additional_kinds(asked, ours, theirs)


def additional_of_other_zone(asked, ours, theirs):
    """The peer adds addresses that another of its zones has."""
    return "other zone" in additional_kinds(asked, ours, theirs)


def additional_glue(asked, ours, theirs):
    """The peer adds addresses that are glue of a cut beside an answer that is no referral."""
    return "glue" in additional_kinds(asked, ours, theirs)


def additional_of_ours(asked, ours, theirs):
    """We add what the peer does not."""
    return "ours" in additional_kinds(asked, ours, theirs)


def additional_left_out(asked, ours, theirs):
    """Optional data that do not fit into a datagram: one side leaves them out."""
    return "room" in additional_kinds(asked, ours, theirs)


def additional_literal_wildcard(asked, ours, theirs):
    """The peer adds a wildcard by its own name."""
    return "literal wildcard" in additional_kinds(asked, ours, theirs)


def referral_without_glue(asked, ours, theirs):
    """There is no room for everything: the peer leaves out glue, we what is none."""
    return asked.transport == "udp" and "glue of ours" in additional_kinds(asked, ours, theirs)


def ds_at_end_of_alias(asked, ours, theirs):
    """An alias leads to the top of its zone: the peer asks the parent, which it serves too, for the DS."""
    end, steps = end_of_chain(asked, ours)
    return asked.rtype == 43 and steps > 0 and end == asked.origin and asked.world.origin_of(above(end)) is not None


def additional_service_of_service(asked, ours, theirs):
    """The peer adds records of a service's target that are for targets of aliases."""
    return "service" in additional_kinds(asked, ours, theirs)


def additional_repeats_answer(asked, ours, theirs):
    """The peer gives records of the answer once more."""
    return "repeated" in additional_kinds(asked, ours, theirs)


def too_long_and_on(asked, ours, theirs):
    """The name that a DNAME makes is too long: the peer goes on from the DNAME's target itself."""
    return ours.rcode == 6 and ours.answer <= theirs.answer and not ours.authority


def dname_in_circles(asked, ours, theirs):
    """A DNAME leads to below itself: the peer uses it once."""
    return theirs.answer < ours.answer and any(
        rtype == 39 and rdata.endswith(owner) for owner, rtype, _, _, rdata in ours.answer)


def glue_of_parent(asked, ours, theirs):
    """The parent's zone has glue at or above the name, where the child's has nothing."""
    end, _ = end_of_chain(asked, ours)
    if {ours.rcode, theirs.rcode} != {0, 3}:
        return False
    name, nodes = end, asked.world.nodes.get(asked.origin, set())
    while name != asked.origin and name != b"\0":
        if name not in nodes and asked.world.is_node_elsewhere(name, asked.origin):
            return True
        name = above(name)
    return False


def negative_without_soa(asked, ours, theirs):
    """The SOA of a negative answer does not fit: the peer leaves it out, and says nothing of it by TC."""
    soa = [(owner, rdata) for owner, rtype, _, _, rdata in ours.authority if rtype == 6]
    return asked.transport == "udp" and not theirs.authority and len(soa) == len(ours.authority) == 1 and \
        max(ours.octets, theirs.octets + len(soa[0][0]) + 10 + len(soa[0][1])) > limit(asked.packet)
