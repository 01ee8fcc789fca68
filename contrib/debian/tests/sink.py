#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A provider's submission server in a network of its own: it takes any login
and notes, a line of JSON a message, what came and how. Beside it the resolver
that knows its name.

    sink.py FOLDER   FOLDER has pem (key and certificate); mail goes to
                     FOLDER/mail, and FOLDER/ready is made when it listens
"""

import base64
import json
import pathlib
import socket
import ssl
import struct
import sys
import threading

ADDRESS = "192.0.2.25"
NAME = "smtp.provider.example"
PORTS = {25: False, 587: False, 465: True}
write = threading.Lock()


class Session:
    def __init__(self, peer, port, context, notes):
        self.peer, self.port, self.context = peer, port, context
        self.notes, self.tls, self.user = notes, False, None
        self.lines = None

    def say(self, *lines):
        for i, line in enumerate(lines):
            mark = " " if i == len(lines) - 1 else "-"
            self.peer.sendall(f"{line[:3]}{mark}{line[4:]}\r\n".encode())

    def start_tls(self):
        self.peer = self.context.wrap_socket(self.peer, server_side=True)
        self.lines, self.tls = self.peer.makefile("rb"), True

    def ask(self, challenge):
        self.say("334 " + base64.b64encode(challenge).decode())
        return base64.b64decode(self.lines.readline())

    def login(self, words):
        if words[1].upper() == "PLAIN":
            said = base64.b64decode(words[2]) if len(words) > 2 else \
                self.ask(b"")
            self.user = said.split(b"\0")[1].decode()
        else:
            name = base64.b64decode(words[2]) if len(words) > 2 else \
                self.ask(b"Username:")
            self.ask(b"Password:")
            self.user = name.decode()
        self.say("235 2.7.0 welcome")

    def message(self, sender, to):
        self.say("354 go on")
        text = []
        for line in self.lines:
            if line == b".\r\n":
                break
            text.append(line.decode("latin-1").rstrip("\r\n"))
        head = {}
        for line in text[:text.index("")] if "" in text else text:
            name, colon, value = line.partition(":")
            if colon and name.lower() not in head:
                head[name.lower()] = value.strip()
        note = {"subject": head.get("subject"), "sender": sender,
                "to": sorted(to), "port": self.port, "tls": self.tls,
                "user": self.user, "from": head.get("from"),
                "lines": len(text) - text.index("") if "" in text else 0}
        with write, open(self.notes, "a") as out:
            out.write(json.dumps(note) + "\n")
        self.say("250 2.0.0 taken")

    def run(self, implicit):
        if implicit:
            self.start_tls()
        else:
            self.lines = self.peer.makefile("rb")
        self.say(f"220 {NAME} ESMTP")
        sender, to = None, []
        # not "for": STARTTLS puts other lines in place of these
        while line := self.lines.readline():
            line = line.decode("latin-1").rstrip("\r\n")
            words = line.split() or [""]
            word = words[0].upper()
            if word in ("EHLO", "HELO"):
                offers = ["250 " + NAME, "250 8BITMIME", "250 SIZE 99999999"]
                offers += ["250 AUTH PLAIN LOGIN"] if self.tls else \
                    ["250 STARTTLS"]
                self.say(*offers[:1 if word == "HELO" else None])
            elif word == "STARTTLS":
                self.say("220 go on")
                self.start_tls()
            elif word == "AUTH":
                self.login(words)
            elif word == "MAIL":
                sender, to = line.split("<")[1].split(">")[0], []
                self.say("250 2.1.0 ok")
            elif word == "RCPT":
                to.append(line.split("<")[1].split(">")[0])
                self.say("250 2.1.5 ok")
            elif word == "DATA":
                self.message(sender, to)
            elif word == "QUIT":
                self.say("221 2.0.0 bye")
                break
            else:
                self.say("250 2.0.0 ok")
        self.peer.close()


def serve(port, implicit, context, notes):
    listener = socket.create_server((ADDRESS, port), backlog=64)

    def one(peer):
        try:
            peer.settimeout(60)
            Session(peer, port, context, notes).run(implicit)
        except (OSError, ValueError, IndexError) as why:
            print(f"{port}: {why}", flush=True)

    def accept():
        while True:
            peer, _ = listener.accept()
            threading.Thread(target=one, args=(peer,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def resolve():
    """A for its own name; that any other name has no such record."""
    asked = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    asked.bind((ADDRESS, 53))
    while True:
        question, who = asked.recvfrom(4096)
        end, labels = 12, []
        while question[end]:
            labels.append(question[end + 1:end + 1 + question[end]])
            end += 1 + question[end]
        end += 5
        kind = struct.unpack("!H", question[end - 4:end - 2])[0]
        known = b".".join(labels).lower().decode() == NAME
        answer = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + \
            socket.inet_aton(ADDRESS) if known and kind == 1 else b""
        asked.sendto(question[:2] + struct.pack(
            "!HHHHH", 0x8180 if known else 0x8183, 1, bool(answer), 0, 0) +
            question[12:end] + answer, who)


def main():
    folder = pathlib.Path(sys.argv[1])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "pem")
    for port, implicit in PORTS.items():
        serve(port, implicit, context, folder / "mail")
    (folder / "ready").write_text("")
    resolve()


if __name__ == "__main__":
    main()
