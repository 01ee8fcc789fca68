#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a host's name to a connection: happy eyeballs (RFC 8305), ip_family,
source_address, resolvers that do not answer, SRV records, and no network at
all; in a network, mount and process namespace with names of its own. Must be
root. TAP on standard output; arguments: names of tests.

POSTHASTE, WIRE_SERVER  as for tests/wire/run.py
"""

import json
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import harness  # noqa: E402
from harness import PATH, want  # noqa: E402

V4, V6 = "192.0.2.1", "2001:db8::1"
HOLE4, HOLE6 = "198.51.100.91", "2001:db8:dead::91"
REFUSES6 = "2001:db8::2"
RESOLVER, SILENT = "192.0.2.53", "192.0.2.54"
PORT, PORT2 = 2525, 2526
HOSTS = {"both.test": [V6, V4], "four.test": [V4], "six.test": [V6],
         "dead-six.test": [HOLE6, V4], "dead-four.test": [HOLE4, V6],
         "refuses.test": [REFUSES6, V4], "dead.test": [HOLE6, HOLE4],
         "many.test": [f"2001:db8:dead::{i}" for i in range(0x91, 0x9b)] +
                      [V4]}
CONFIG = """[general]
hostname = client.example.test
domain = example.test
connect_timeout = {timeout}
timeout = 20s
[queue]
queue = {queue}
directory = {folder}/queue
[log]
to = {folder}/log
[dns]
{dns}
[route all]
transport = relay
{routes}
[transport relay]
{transport}
"""
CLEAR = "kind = smtp\nno_starttls = yes\nport = 2525\n"


def ip(words):
    harness.command("ip", *words.split())


# --- servers ---

class Sink:
    """Takes mail at an address and remembers from where."""

    def __init__(self, address, port=PORT):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.socket = socket.create_server((address, port), family=family,
                                           backlog=50)
        self.peers, self.messages = [], 0
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                peer, where = self.socket.accept()
            except OSError:
                return
            with peer:
                peer.settimeout(10)
                self.peers.append(where[0])
                try:
                    self.talk(peer)
                except OSError:
                    pass

    def talk(self, peer):
        peer.sendall(b"220 sink\r\n")
        data = False
        for line in peer.makefile("rb"):
            if data and line != b".\r\n":
                continue
            self.messages += data
            answer = b"354 go on" if line == b"DATA\r\n" else b"250 ok"
            data = line == b"DATA\r\n"
            peer.sendall(answer + b"\r\n")
            if line == b"QUIT\r\n":
                return

    def __enter__(self):
        return self

    def __exit__(self, *_):
        harness.stop_listening(self.socket, self.thread)


def encoded(name):
    return b"".join(bytes([len(part)]) + part.encode()
                    for part in name.split(".") if part) + b"\0"


class Resolver:
    """Answers from {(name, type): [rdata]}; an unknown name does not exist,
    and with code it answers nothing but that."""

    def __init__(self, records=(), address=RESOLVER, code=None,
                 answers=True):
        self.records, self.code = dict(records), code
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 53))
        self.socket.settimeout(0.1)
        self.asked, self.ended = [], False
        self.thread = threading.Thread(target=self.serve, daemon=True)
        if answers:
            self.thread.start()

    def serve(self):
        while not self.ended:
            try:
                query, peer = self.socket.recvfrom(4096)
            except socket.timeout:
                continue
            self.socket.sendto(self.answer(query), peer)

    def answer(self, query):
        at, labels = 12, []
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode().lower())
            at += 1 + query[at]
        kind = struct.unpack(">H", query[at + 1:at + 3])[0]
        name = ".".join(labels)
        self.asked.append((name, kind))
        found = self.records.get((name, kind), [])
        known = any(key[0] == name for key in self.records)
        code = self.code if self.code is not None else 0 if known else 3
        head = query[:2] + struct.pack(">HHHHH", 0x8180 | code, 1,
                                       len(found), 0, 0)
        return head + query[12:at + 5] + b"".join(
            b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 60, len(data)) + data
            for data in found)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ended = True
        if self.thread.is_alive():
            self.thread.join(10)
        self.socket.close()


def resolver_is(address):
    pathlib.Path("/etc/resolv.conf").write_text(
        f"nameserver {address}\noptions timeout:30 attempts:5\n")


# --- runs ---

class Client(harness.Place):
    def __init__(self, folder, transport, timeout="3s", queue="never",
                 dns="", routes=""):
        super().__init__(folder)
        os.makedirs(f"{folder}/queue", 0o700, exist_ok=True)
        self.config.write_text(CONFIG.format(
            folder=folder, transport=transport, timeout=timeout, queue=queue,
            dns=dns, routes=routes))
        self.seconds = 0

    def run(self, *argv, message=b"Subject: s\n\nhi\n", around=()):
        begin = time.monotonic()
        done = super().run(*argv, stdin=message, wrap=around, cwd="/",
                           env={"PATH": PATH})
        self.seconds = time.monotonic() - begin
        return done

    def send(self, *argv, **more):
        return self.run("-i", "-f", "a@example.test", *argv,
                        "b@example.org", **more)

    def sent(self, *argv, **more):
        done = self.send(*argv, **more)
        want(done == (0, "", ""), done)

    def listing(self):
        status, out, err = self.run("-bp", "--json")
        want(status == 0, err)
        return json.loads(out)


def to(host, more=""):
    return f"{CLEAR}host = {host}\n{more}\n"


# --- happy eyeballs ---

def eyeballs(host, alive, least, most, more=""):
    def test(folder, _certificates):
        with Sink(alive) as sink:
            client = Client(folder, to(host, more))
            client.sent()
            want(sink.messages == 1, "not delivered")
            want(f" ip={alive} " in client.log(), client.log())
            want(least <= client.seconds <= most, f"{client.seconds} s")
    return test


def all_dead(folder, _certificates):
    client = Client(folder, to("dead.test"), timeout="2s")
    status, _, err = client.send()
    want(status == 75 and HOLE4 in err and HOLE6 in err, (status, err))
    want(1.9 <= client.seconds <= 3, f"{client.seconds} s")


def winner_alone_is_used(folder, _certificates):
    """Both answer: one connection, the first in order."""
    with Sink(V4) as four, Sink(V6) as six:
        Client(folder, to("both.test")).sent()
        want((four.peers, len(six.peers)) == ([], 1), (four.peers,
                                                       six.peers))


class Once(Sink):
    """Offers STARTTLS to one, hangs up on him, and is there no more."""

    def talk(self, peer):
        lines = peer.makefile("rb")
        for answer in (b"220 sink", b"250-sink\r\n250 STARTTLS", b"220 go"):
            peer.sendall(answer + b"\r\n")
            lines.readline()
        self.socket.shutdown(socket.SHUT_RDWR)


def second_dial_fails(folder, _certificates):
    """An address that is gone when it is dialled anew (in clear, its TLS
    failed) takes none with it that was not asked yet."""
    with Once(V6) as six, Sink(V4) as four:
        Client(folder, "kind = lmtp\nport = 2525\nhost = both.test\n").sent()
        want((len(six.peers), four.messages) == (1, 1),
             (six.peers, four.messages))


# --- ip_family and source_address ---

# host, ip_family -> where it arrives
FAMILIES = [("both.test", "any", V6), ("both.test", "ipv4", V4),
            ("both.test", "ipv6", V6), ("both.test", "prefer_ipv4", V4),
            ("both.test", "prefer_ipv6", V6), ("four.test", "any", V4),
            ("four.test", "prefer_ipv6", V4), ("six.test", "prefer_ipv4", V6),
            ("four.test", "ipv6", None), ("six.test", "ipv4", None),
            (V4, "ipv6", None), (f"[{V6}]", "ipv4", None), (V4, "ipv4", V4),
            (V6, "any", V6)]


def ip_family(folder, _certificates):
    for number, (host, family, where) in enumerate(FAMILIES):
        with Sink(V4) as four, Sink(V6) as six:
            client = Client(f"{folder}/{number}", to(
                host, f"ip_family = {family}"))
            status, _, err = client.send()
            name = f"{host} {family}: {status} {err}"
            want(status == (0 if where else 75), name)
            want((four.messages, six.messages) ==
                 (where == V4, where == V6), name)
            want(where or host.strip("[]") in err, name)
            want(client.seconds < 1, f"{name}: {client.seconds} s")


def source_address(folder, _certificates):
    for source, sees in (("192.0.2.7", V4), ("2001:db8::7", V6)):
        with Sink(V4) as four, Sink(V6) as six:
            Client(f"{folder}/{sees[:4]}", to(
                "both.test", f"source_address = {source}")).sent()
            sink, other = (four, six) if sees == V4 else (six, four)
            want(sink.peers == [source] and not other.peers, sink.peers)
    with Sink(V4) as four:
        client = Client(folder, to("four.test",
                                   "source_address = 192.0.3.3"))
        status, _, err = client.send()
        want(status == 75 and "source address" in err, (status, err))
        client = Client(folder, to("four.test",
                                   "source_address = 2001:db8::7"))
        status, _, err = client.send()
        want(status == 75 and "source address" in err, (status, err))
        client = Client(folder, to("four.test", "source_address = here"))
        want(client.send()[0] == 78, "a bad address is no configuration")
        want(not four.peers, four.peers)


# --- resolvers ---

def silent_resolver(folder, _certificates):
    resolver_is(SILENT)
    with Resolver(address=SILENT, answers=False):
        client = Client(folder, to("nowhere.test"), timeout="2s")
        status, _, err = client.send()
        want(status == 75 and "nowhere.test" in err, (status, err))
        want(1.9 <= client.seconds <= 3, f"{client.seconds} s")
        # there is a network: it counts
        client = Client(folder, to("nowhere.test"), timeout="1s",
                        queue="on_failure")
        client.sent()
        want(client.seconds < 2.5, f"{client.seconds} s")
        want([e["attempts"] for e in client.listing()] == [1],
             client.listing())
        client = Client(folder, "kind = direct", timeout="2s",
                        dns=f"resolver = {SILENT}")
        status, _, err = client.send()
        want(status == 75 and client.seconds < 5,
             (status, err, client.seconds))


def resolvers_answers(folder, _certificates):
    resolver_is(RESOLVER)
    for code, expected in ((3, 68), (2, 75), (5, 75)):
        with Resolver(code=code):
            client = Client(f"{folder}/{code}", to("nowhere.test"),
                            timeout="3s")
            status, _, err = client.send()
            want(status == expected and "nowhere.test" in err,
                 (code, status, err))


# --- SRV ---

A, AAAA, SRV = 1, 28, 33
TLS_SERVER = "listen {0} {1}\ntls starttls\ncertificate good\n"
SUBMISSION = "_submission._tcp.example.test"


def srv(priority, weight, port, target):
    return struct.pack(">HHH", priority, weight, port) + encoded(target)


class Domain:
    """example.test with these SRV records and a submission server at
    mail.example.test, the address given."""

    def __init__(self, folder, certificates, records, address=V4):
        self.server = harness.Server(folder, 1, TLS_SERVER.format(
            address, PORT), certificates)
        known = {("mail.example.test", A): [socket.inet_aton(V4)],
                 ("elsewhere.example.net", A): [socket.inet_aton(V4)],
                 ("gone.example.test", A): [socket.inet_aton(HOLE4)],
                 ("example.test", A): [socket.inet_aton("192.0.2.99")]}
        if records:
            known[SUBMISSION, SRV] = records
        self.resolver = Resolver(known)
        resolver_is(RESOLVER)
        self.client = Client(
            folder, "kind = submission\nhost = example.test\nsrv = yes\n"
            f"ca_file = {certificates}/ca.pem\n",
            dns=f"resolver = {RESOLVER}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.resolver.__exit__()
        self.server.stop()

    def arrived(self):
        return sum(1 for e in self.server.stop()
                   if e["event"] == "message" and e["accepted"])


def srv_is_followed(folder, certificates):
    # the first refuses, which is noticed at once; the last is never asked
    with Domain(folder, certificates,
                [srv(30, 0, PORT, "gone.example.test"),
                 srv(20, 5, PORT, "mail.example.test"),
                 srv(10, 0, PORT2, "mail.example.test")]) as domain:
        domain.client.sent()
        want(domain.client.seconds < 2, domain.client.seconds)
        want(domain.arrived() == 1, "not delivered")
        want((SUBMISSION, SRV) in domain.resolver.asked,
             domain.resolver.asked)
        want("host=mail.example.test" in domain.client.log(),
             domain.client.log())


def srv_that_leads_nowhere(folder, certificates):
    for number, records in enumerate(
            ([], [srv(0, 0, 0, "")], [srv(0, 0, 0, "mail.example.test")],
             [b"\0\1"], [srv(0, 0, PORT, "elsewhere.example.net")])):
        with Domain(f"{folder}", certificates, records) as domain:
            status, _, err = domain.client.send()
            # the last leads elsewhere, where the certificate must name
            # the domain itself
            want(status in (68, 69, 75) and "example.test" in err,
                 (number, status, err))
            want(domain.client.seconds < 6, domain.client.seconds)
            want(domain.arrived() == 0, (number, "delivered"))


# --- no network ---

ALONE = tuple(harness.namespace("net"))


def no_network(transport, dns=""):
    """Nothing is up, not even loopback: no attempt was made."""
    def test(folder, _certificates):
        resolver_is(RESOLVER)
        client = Client(folder, transport, queue="on_failure", dns=dns,
                        routes="minimum_attempts = 0\n[route first]\n"
                        "minimum_attempts = 1\ntransport = other\n"
                        "[transport other]\nkind = fail\n")
        # as written, the second route would be reached by one attempt
        text = client.config.read_text()
        head, _, rest = text.partition("[route all]")
        one, _, tail = rest.partition("[route first]")
        second, _, last = tail.partition("[transport other]")
        client.config.write_text(head + "[route first]" + second +
                                 "[route all]" + one + "[transport other]" +
                                 last)
        for _ in range(3):
            client.sent(around=ALONE)
            client.run("-qI", "", around=ALONE)
        found = client.listing()
        want([e["attempts"] for e in found] == [0, 0, 0], found)
        want("transport=other" not in client.log(), client.log())
        want("status=failed" not in client.log(), client.log())
        lines = [line for line in client.log().splitlines()
                 if "status=deferred" in line]
        want(lines and all(" attempt=0 " in line or " attempt=1 " in line
                           for line in lines), client.log())
        client = Client(f"{folder}/2", transport, dns=dns)
        status, _, err = client.send(around=ALONE)
        want(status == 75 and err, (status, err))
        want(client.seconds < 6, f"{client.seconds} s")
    return test


def back_again(folder, _certificates):
    with Sink(V4) as sink:
        client = Client(folder, to("four.test"), queue="on_failure")
        client.sent(around=ALONE)
        found = client.listing()
        want([e["attempts"] for e in found] == [0], "counted")
        # and no run of the queue was started to try the same again
        want(found[0]["next"] > time.time() + 60, found)
        done = client.run("-qI", "")
        want(done == (0, "", "") and sink.messages == 1, done)
        want("attempt=1 " in client.log().splitlines()[-1], client.log())


def tests():
    yield "dead-ipv6", eyeballs("dead-six.test", V4, 0.2, 0.75)
    yield "dead-ipv4", eyeballs("dead-four.test", V6, 0.2, 0.75,
                                "ip_family = prefer_ipv4")
    yield "refused-ipv6", eyeballs("refuses.test", V4, 0, 0.24)
    yield "many-dead", eyeballs("many.test", V4, 0.2, 0.75)
    for function in (all_dead, winner_alone_is_used, second_dial_fails,
                     ip_family, source_address, silent_resolver,
                     resolvers_answers, srv_is_followed,
                     srv_that_leads_nowhere, back_again):
        yield function.__name__.replace("_", "-"), function
    yield "no-network-name", no_network(to("four.test"))
    yield "no-network-address", no_network(to(V4))
    yield "no-network-dns", no_network(to("nowhere.test"))
    yield "no-network-direct", no_network("kind = direct",
                                          f"resolver = {RESOLVER}")


def own_names():
    """A copy of /etc in place of it, with hosts and switch of our own."""
    copy = tempfile.mkdtemp(prefix="etc-")
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", copy], check=True)
    shutil.copytree("/etc", copy, symlinks=True, dirs_exist_ok=True,
                    ignore_dangling_symlinks=True)
    files = {"hosts": "".join(f"{address} {name}\n"
                              for name, found in HOSTS.items()
                              for address in found),
             "nsswitch.conf": "hosts: files dns\n", "resolv.conf": "",
             # the order of addresses is RFC 6724's own
             "gai.conf": ""}
    for name, text in files.items():
        path = pathlib.Path(copy, name)
        path.unlink(missing_ok=True)
        path.write_text(text)
    subprocess.run(["mount", "--bind", copy, "/etc"], check=True)
    subprocess.run(["umount", "--lazy", copy], check=True)
    os.rmdir(copy)


def inside():
    own_names()
    for words in ("link set lo up", "addr add 192.0.2.1/24 dev lo",
                  "link add hole0 type veth peer name hole1",
                  "addr add 198.51.100.1/24 dev hole0",
                  "link set hole0 up", "link set hole1 up",
                  "-6 addr add 2001:db8:dead::1/64 dev hole0 nodad",
                  f"neigh add {HOLE4} lladdr 02:00:00:00:00:63 dev hole0"):
        ip(words)
    for i in range(0x91, 0x9b):
        ip(f"-6 neigh add 2001:db8:dead::{i:x} lladdr 02:00:00:00:00:63 "
           "dev hole0")
    for address in ("192.0.2.7", RESOLVER, SILENT):
        ip(f"addr add {address}/32 dev lo")
    for address in (V6, REFUSES6, "2001:db8::7"):
        ip(f"-6 addr add {address}/128 dev lo nodad")
    # one network, so one at a time
    return harness.tap(tests(), workers=1)


def main():
    harness.need_programs()
    harness.enter("net", "mount", "pid")
    return inside()


if __name__ == "__main__":
    sys.exit(main())
