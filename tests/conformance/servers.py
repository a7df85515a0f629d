"""Servers on loopback: meridian, and the peers from Debian. Each is started here, and ended by the process it is."""

import atexit
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import time

import wire

ROOT = pathlib.Path(__file__).resolve().parents[2]
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
PATIENCE_S = 60


def program(name):
    """Where a program is; an error that says what to install."""
    found = shutil.which(name, path=PATH)
    if not found:
        raise SystemExit(f"{name} is not installed: `make tools-conformance` installs what this needs")
    return found


def free_port():
    """A port that is free for UDP and TCP; until it is taken, only by the kernel's word."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp:
            tcp.bind(("127.0.0.1", 0))
            port = tcp.getsockname()[1]
            try:
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
                    udp.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


class Server:
    """A running server."""

    def __init__(self, name, folder, port, command, environment=None):
        self.name, self.folder, self.port = name, pathlib.Path(folder), port
        self.address = ("127.0.0.1", port)
        self.log = open(self.folder / f"{name}.log", "wb")
        self.process = subprocess.Popen(command, cwd=folder, stdout=self.log, stderr=subprocess.STDOUT,
                                        stdin=subprocess.DEVNULL, env={**os.environ, "PATH": PATH, **(environment or {})})
        # Also where the caller gives up before it has noted the server.
        atexit.register(self.stop)

    def wait_until_ready(self, origins):
        """Until it answers for every zone."""
        until = time.monotonic() + PATIENCE_S
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(0.2)
            for origin in origins:
                while True:
                    if self.process.poll() is not None:
                        raise SystemExit(f"{self.name} ended: {self.tail()}")
                    if time.monotonic() > until:
                        raise SystemExit(f"{self.name} does not serve {wire.name_text(origin)}: {self.tail()}")
                    try:
                        sock.sendto(wire.query(1, origin, 6), self.address)
                        reply = sock.recv(65535)
                    except OSError:
                        time.sleep(0.05)
                        continue
                    flags, = struct.unpack_from("!H", reply, 2)
                    if flags & 0x40f == 0x400:
                        break
                    time.sleep(0.05)

    def tail(self):
        self.log.flush()
        return (self.folder / f"{self.name}.log").read_text(errors="replace")[-3000:]

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()
        atexit.unregister(self.stop)


def meridian_binary():
    """The server that is tested: MERIDIAN, or what `cargo build` has made."""
    given = os.environ.get("MERIDIAN")
    binary = pathlib.Path(given) if given else ROOT / "target" / "debug" / "meridian"
    if not binary.exists():
        raise SystemExit(f"{binary} is not there: run `cargo build`, or name a binary in MERIDIAN")
    return str(binary)


def meridian(folder, zones, server="", rest=""):
    """meridian with these zones ({origin: text}), more keys of [server], more sections."""
    folder = pathlib.Path(folder) / "meridian"
    (folder / "zones").mkdir(parents=True)
    for origin, text in zones.items():
        (folder / "zones" / f"{origin.rstrip('.')}.zone").write_text(text)
    port = free_port()
    (folder / "meridian.toml").write_text(
        f'[server]\nlisten = ["127.0.0.1:{port}"]\nstate = "off"\n{server}\n[control]\nlisten = "off"\n{rest}')
    command = [meridian_binary(), "serve", "--config", str(folder / "meridian.toml")]
    return Server("meridian", folder, port, command)


def zone_files(folder, zones):
    """Writes the zones; returns {origin: path}."""
    (folder / "zones").mkdir(parents=True)
    paths = {}
    for number, (origin, text) in enumerate(zones.items()):
        path = folder / "zones" / f"{number}.zone"
        path.write_text(f"$ORIGIN {origin}\n{text}")
        paths[origin] = path
    return paths


def knot(folder, zones, policy=""):
    """Knot DNS; with a policy (`nsec`, `nsec3`) it signs the zones."""
    folder = pathlib.Path(folder) / "knot"
    paths = zone_files(folder, zones)
    port = free_port()
    lines = [f"server:\n    rundir: {folder}\n    listen: 127.0.0.1@{port}\n    udp-workers: 1\n    tcp-workers: 1\n"
             "    udp-max-payload: 1232\n"
             f"log:\n  - target: stderr\n    any: warning\ndatabase:\n    storage: {folder}\n"
             + (KNOT_POLICY.format(nsec3="on" if policy == "nsec3" else "off") if policy else "") +
             "template:\n  - id: default\n    journal-content: none\n    zonefile-load: whole\n    zonefile-sync: -1\n"
             "    semantic-checks: off\n" + ("    dnssec-signing: on\n    dnssec-policy: signed\n" if policy else "")
             + "zone:\n"]
    lines += [f'  - domain: "{origin}"\n    file: {path}\n' for origin, path in paths.items()]
    (folder / "knot.conf").write_text("".join(lines))
    return Server("knot", folder, port, [program("knotd"), "-c", str(folder / "knot.conf")])


def nsd(folder, zones):
    """NSD."""
    folder = pathlib.Path(folder) / "nsd"
    paths = zone_files(folder, zones)
    port = free_port()
    lines = [f'server:\n  ip-address: 127.0.0.1@{port}\n  username: ""\n  zonesdir: "{folder}"\n  database: ""\n'
             f'  pidfile: "{folder}/nsd.pid"\n  xfrdfile: "{folder}/xfrd.state"\n  zonelistfile: "{folder}/zone.list"\n'
             f'  xfrdir: "{folder}"\n  server-count: 1\n  ipv4-edns-size: 1232\n  rrl-ratelimit: 0\n'
             "  minimal-responses: yes\n  refuse-any: no\n  tcp-count: 50\n  round-robin: no\nremote-control:\n  control-enable: no\n"]
    lines += [f'zone:\n  name: "{origin}"\n  zonefile: "{path}"\n' for origin, path in paths.items()]
    (folder / "nsd.conf").write_text("".join(lines))
    return Server("nsd", folder, port, [program("nsd"), "-d", "-c", str(folder / "nsd.conf")])


KNOT_POLICY = """policy:
  - id: signed
    single-type-signing: on
    nsec3: {nsec3}
    nsec3-iterations: 5
    nsec3-opt-out: off
"""

PEERS = {"knot": knot, "nsd": nsd}


def ask_all(server, questions, window=64, timeout_s=2.0):
    """The replies to questions (transport, packet), in their order; `None` where none came."""
    replies = [None] * len(questions)
    datagrams = [place for place, (transport, _) in enumerate(questions) if transport == "udp"]
    streams = [place for place, (transport, _) in enumerate(questions) if transport == "tcp"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(server.address)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        for attempt in range(3):
            todo = [place for place in datagrams if replies[place] is None]
            for start in range(0, len(todo), window):
                part = todo[start:start + window]
                waiting = {}
                for ident, place in enumerate(part):
                    # The window's place is the ID: what is asked again gets a new one by the attempt.
                    waiting[ident + attempt * 4096] = place
                    sock.send(struct.pack("!H", ident + attempt * 4096) + questions[place][1][2:])
                sock.settimeout(timeout_s)
                while waiting:
                    try:
                        reply = sock.recv(65535)
                    except TimeoutError:
                        break
                    place = waiting.pop(struct.unpack_from("!H", reply)[0], None) if len(reply) >= 2 else None
                    if place is not None:
                        replies[place] = reply
    for start in range(0, len(streams), window):
        ask_stream(server, questions, streams[start:start + window], replies)
    return replies


def ask_stream(server, questions, places, replies):
    """Several questions over one connection, one after the other: not every peer pipelines without limit."""
    with socket.create_connection(server.address, timeout=10) as sock:
        stream = sock.makefile("rb")
        for ident, place in enumerate(places):
            packet = questions[place][1]
            sock.sendall(struct.pack("!HH", len(packet), ident) + packet[2:])
            length = stream.read(2)
            if len(length) < 2:
                return
            replies[place] = stream.read(struct.unpack("!H", length)[0])
