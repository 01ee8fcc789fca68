# SPDX-License-Identifier: GPL-3.0-or-later
"""DNS, as little of it as is needed: a name server in a thread that answers
by UDP from a table."""

import select
import socket
import struct
import threading
import time

TYPES = {1: "A", 5: "CNAME", 12: "PTR", 15: "MX", 16: "TXT", 28: "AAAA",
         33: "SRV", 52: "TLSA"}
NUMBERS = {name: number for number, name in TYPES.items()}


def encoded(name):
    out = b""
    for label in name.rstrip(".").split("."):
        if label:
            out += bytes([len(label)]) + label.encode()
    return out + b"\0"


def rdata(kind, text):
    words = text.split()
    if kind == "A":
        return socket.inet_aton(text)
    if kind == "AAAA":
        return socket.inet_pton(socket.AF_INET6, text)
    if kind in ("PTR", "CNAME"):
        return encoded(text)
    if kind == "MX":
        return struct.pack(">H", int(words[0])) + encoded(words[1])
    if kind == "SRV":
        return struct.pack(">HHH", *map(int, words[:3])) + encoded(words[3])
    if kind == "TLSA":
        return bytes(map(int, words[:3])) + bytes.fromhex(words[3])
    data = text.encode("latin-1")
    return b"".join(bytes([len(data[i:i + 255])]) + data[i:i + 255]
                    for i in range(0, len(data), 255))


class Dns:
    """Answers from {"name TYPE": [text]}, with AD if signed; a text of
    SERVFAIL is one, and a zone of None never answers. silence: seconds from the
    first question on in which none is answered."""

    def __init__(self, zone, signed=False, port=0, silence=0):
        self.zone, self.signed, self.silence = zone, signed, silence
        self.first = None               # when it was asked first
        self.asked = []                 # "name TYPE"
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", port))
        self.port = self.socket.getsockname()[1]
        self.wake, self.stopper = socket.socketpair()
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        while True:
            ready, _, _ = select.select([self.socket, self.wake], [], [])
            if self.wake in ready:
                return
            query, peer = self.socket.recvfrom(4096)
            self.first = self.first or time.monotonic()
            if self.zone is not None and \
                    time.monotonic() - self.first >= self.silence:
                self.socket.sendto(self.answer(query), peer)

    def records(self, name, kind):
        """(owner, kind, text) by way of CNAMEs."""
        alias = self.zone.get(f"{name} CNAME", [])
        if alias and kind != "CNAME":
            return [(name, "CNAME", alias[0])] + self.records(alias[0], kind)
        return [(name, kind, text)
                for text in self.zone.get(f"{name} {kind}", [])]

    def exists(self, name):
        known = {key.split()[0] for key in self.zone}
        return any(k == name or k.endswith("." + name) for k in known)

    def answer(self, query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode("latin-1"))
            at += 1 + query[at]
        name = ".".join(labels).lower()
        kind = TYPES.get(struct.unpack(">H", query[at + 1:at + 3])[0], "?")
        self.asked.append(f"{name} {kind}")
        found = self.records(name, kind)
        code = 0 if self.exists(name) else 3
        if any(text == "SERVFAIL" for _, _, text in found):
            code, found = 2, []
        flags = 0x8180 | (0x20 if self.signed else 0) | code
        out = query[:2] + struct.pack(">HHHHH", flags, 1, len(found), 0, 0)
        out += query[12:at + 5]
        for owner, type_, text in found:
            data = rdata(type_, text)
            out += encoded(owner) + struct.pack(
                ">HHIH", NUMBERS[type_], 1, 60, len(data)) + data
        return out

    def stop(self):
        self.stopper.close()
        self.thread.join()
        self.wake.close()
        self.socket.close()
