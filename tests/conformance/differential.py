#!/usr/bin/env python3
"""The same zones and questions for meridian, Knot and NSD; every difference has its reason in differences.toml.

    differential.py [--seed N] [--questions N] [--peers knot,nsd] [--keep] [--show N] [--record N]

An answer is compared section by section; order, case and compression do not count. A difference that no entry of
differences.toml explains fails the run. So does an entry that explains nothing.
"""

import argparse
import collections
import pathlib
import shutil
import sys
import tempfile
import time
import tomllib

import explanations
import servers
import wire
import zones

HERE = pathlib.Path(__file__).resolve().parent


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--questions", type=int, default=100_000)
    options.add_argument("--nodes", type=int, default=150, help="names in each zone")
    options.add_argument("--peers", default="knot,nsd")
    options.add_argument("--show", type=int, default=10, help="unexplained differences shown")
    options.add_argument("--keep", action="store_true", help="keep the folder with configurations and logs")
    options.add_argument("--record", type=int, default=0, help="write so many agreed answers for the tests")
    given = options.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="meridian-differential-"))
    running = []
    try:
        return compare(given, folder, running)
    finally:
        for server in running:
            server.stop()
        if given.keep:
            print(f"kept: {folder}")
        else:
            shutil.rmtree(folder)


def compare(given, folder, running):
    texts, names = zones.zones(given.seed, given.nodes)
    running.append(servers.meridian(folder, texts))
    running += [servers.PEERS[peer](folder, texts) for peer in given.peers.split(",")]
    origins = [zones.from_text(origin) for origin in texts]
    for server in running:
        server.wait_until_ready(origins)
    questions = list(zones.questions(given.seed, names, given.questions))
    begun = time.monotonic()
    packets = [(transport, packet) for transport, packet, _ in questions]
    answers = {server.name: servers.ask_all(server, packets) for server in running}
    cut = {name: [place for place, reply in enumerate(replies) if reply and reply[2] & 2] for name, replies in answers.items()}
    again = {server.name: servers.ask_all(server, [("tcp", packets[place][1]) for place in cut[server.name]])
             for server in running}
    print(f"seed {given.seed}: {len(questions)} questions to {len(running)} servers in {time.monotonic() - begun:.0f} s")
    judge = Judge(given.show)
    ever_cut = {place for places in cut.values() for place in places}
    world = explanations.World({zones.from_text(origin): [zones.from_text(owner) for owner in owners]
                                for origin, (owners, _) in names.items()},
                               {zones.from_text(line.split(" ", 1)[0]) for text in texts.values()
                                for line in text.splitlines() if " IN NS " in line})
    agreed = []
    judge.cut(questions, answers["meridian"], cut["meridian"], again["meridian"])
    for name, replies in answers.items():
        # What was cut is compared as it is over TCP.
        for place, reply in zip(cut[name], again[name]):
            replies[place] = reply
    for place, (transport, packet, shown) in enumerate(questions):
        asked = explanations.Asked(world, transport, packet, shown)
        ours = judge.read("meridian", answers["meridian"][place], asked)
        theirs = {peer: judge.read(peer, answers[peer][place], asked) for peer in list(answers)[1:]}
        equal = [judge.compare(asked, ours, peer, reply) for peer, reply in theirs.items()]
        if ours is not None and all(equal) and place not in ever_cut:
            agreed.append((transport, packet, ours))
    if given.record:
        record(given, texts, agreed)
    return judge.verdict(len(questions), len(agreed))


class Judge:
    """Compares, explains, counts."""

    def __init__(self, show):
        self.entries = tomllib.loads((HERE / "differences.toml").read_text())["difference"]
        self.explained = collections.Counter()
        self.unexplained = collections.Counter()
        self.left_to_show = show

    def read(self, name, octets, asked):
        if octets is None:
            return None
        try:
            return wire.Reply(octets)
        except wire.Unreadable as error:
            self.fail((name, "unreadable"), f"{asked.shown}: {name} sent what cannot be read: {error}\n{octets.hex()}")
            return None

    def cut(self, questions, replies, places, whole):
        """Our own cut answers: RRsets whole, nothing that is not in the whole answer, and no cut without need."""
        for place, reply in zip(places, whole):
            transport, packet, shown = questions[place]
            if transport == "tcp" or reply is None:
                self.fail(("meridian", "cut"), f"{shown}: TC over TCP")
                continue
            short, full = wire.Reply(replies[place]), wire.Reply(reply)
            kept = all(rrsets(getattr(short, name)) <= rrsets(getattr(full, name)) for name in ("answer", "authority", "additional"))
            if not kept or full.octets <= explanations.limit(packet):
                self.fail(("meridian", "cut"), f"{shown}: cut without need or within an RRset\n{short.text()}\n{full.text()}")

    def compare(self, asked, ours, peer, theirs):
        """Whether two replies are equal."""
        if ours is None or theirs is None:
            if ours is None or not self.explains(asked, ours, peer, None, frozenset(["silence"])):
                missing = "meridian" if ours is None else peer
                self.fail((peer, "silence"), f"{asked.shown}: {missing} did not answer")
            return False
        aspects = frozenset(ours.aspects(theirs))
        if ours.twice:
            self.fail(("meridian", "twice"), f"{asked.shown}: a record comes twice\n{ours.text()}")
        if not aspects:
            return True
        if not self.explains(asked, ours, peer, theirs, aspects):
            self.fail((peer, *sorted(aspects)), f"{asked.shown}\n{' '.join(sorted(aspects))}\nmeridian: {ours.text()}\n{peer}: "
                      f"{theirs.text()}")
        return False

    def explains(self, asked, ours, peer, theirs, aspects):
        """Whether entries explain all aspects: each takes away those that it is about."""
        left, used = set(aspects), []
        for entry in self.entries:
            about = left & set(entry["aspects"])
            if peer in entry["peers"] and about and getattr(explanations, entry["check"])(asked, ours, theirs):
                left -= about
                used.append((peer, entry["id"]))
        if not left:
            self.explained.update(used)
        return not left

    def fail(self, kind, text):
        self.unexplained[kind] += 1
        if self.left_to_show > 0 and self.unexplained[kind] <= 3:
            self.left_to_show -= 1
            print(f"UNEXPLAINED: {text}\n")

    def verdict(self, asked, agreed):
        print(f"equal for all servers: {agreed} of {asked}")
        for (peer, name), count in sorted(self.explained.items()):
            print(f"explained: {count:6} {peer}: {name}")
        for kind, count in self.unexplained.most_common():
            print(f"UNEXPLAINED: {count:6} {' '.join(kind)}")
        used = {name for _, name in self.explained}
        idle = [entry["id"] for entry in self.entries if entry["id"] not in used and not entry.get("rare")]
        for name in idle:
            print(f"explains nothing: {name}")
        # A short run does not meet everything.
        return 1 if self.unexplained or (idle and asked >= 100_000) else 0


def rrsets(section):
    """The RRsets of a section."""
    found = collections.defaultdict(set)
    for owner, rtype, *rest in section:
        found[owner, rtype].add(tuple(rest))
    return {(key, frozenset(records)) for key, records in found.items()}


def fnv1a(octets):
    """A hash that a test can have in three lines."""
    value = 0xcbf29ce484222325
    for octet in octets:
        value = (value ^ octet) * 0x100000001b3 & 0xffffffffffffffff
    return value


def record(given, texts, agreed):
    """Answers that all servers agree in, for tests/differential.rs."""
    folder = HERE / "recorded"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for number, (origin, text) in enumerate(texts.items()):
        (folder / f"{number:02}.zone").write_text(f"; {origin}\n{text}")
    step = max(1, len(agreed) // given.record)
    lines = [f"{transport} {packet.hex()} {fnv1a(reply.normal()):016x}\n" for transport, packet, reply in agreed[::step]]
    (folder / "answers.txt").write_text("".join(lines[:given.record]))


if __name__ == "__main__":
    sys.exit(main())
