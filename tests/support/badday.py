# SPDX-License-Identifier: GPL-3.0-or-later
"""A bad day: a server that takes mail and fails at random in every way that a
network has, and a wall clock that jumps."""

import base64
import collections
import contextlib
import mmap
import os
import pathlib
import random
import shlex
import socket
import ssl
import struct
import threading
import time

from harness import TOP, command, free_ports


# --- the network ---

class Gone(Exception):
    """The session ends here."""


class FailingServer:
    """Takes mail, which it hands to take(sender, recipients, data) before it
    answers, and fails at this share of its steps as long as it is failing.
    patience: how long clients wait for an answer, in seconds; certificates:
    a folder of them, for STARTTLS and a login after it."""

    STEPS = ("reset", "close", "stall", "slow", "garbage", "half", "421",
             "later")
    LOST = ("lost reset", "lost close", "lost stall", "lost garbage")

    LOGIN = base64.b64encode(b"\0user\0password").decode()

    def __init__(self, take, share, patience, certificates, seed):
        self.take, self.share, self.patience = take, share, patience
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(f"{certificates}/good.pem",
                                 f"{certificates}/good.key")
        self.rng = random.Random(seed)
        self.failing = True
        self.lock = threading.Lock()
        self.count = collections.Counter()
        self.now = 0
        self.port, = free_ports(1)
        self.socket = None
        self.ended = False
        self.up = threading.Event()
        self.up.set()
        self.listen()
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def listen(self):
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(("127.0.0.1", self.port))
        self.socket.listen(256)

    def refuse(self, seconds):
        """Nobody listens for so long."""
        self.count["refused"] += 1
        self.up.clear()
        self.socket.shutdown(socket.SHUT_RDWR)
        time.sleep(seconds)
        # bound all the time, so that nobody else gets the port
        self.socket.listen(256)
        self.up.set()

    def end(self):
        self.ended = True
        self.up.set()
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join(10)
        self.socket.close()

    def lost(self):
        """How many messages were taken without the client's knowing."""
        return sum(self.count[kind] for kind in (*self.LOST, "unheard"))

    def _accept(self):
        while not self.ended:
            try:
                conn, _ = self.socket.accept()
            except OSError:
                self.up.wait(10)
                continue
            with self.lock:
                self.now += 1
            threading.Thread(target=self._serve, args=(conn,),
                             daemon=True).start()

    def _serve(self, conn):
        try:
            conn.settimeout(60)
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.say(conn, b"220 sink.example ready") and \
                    self._session(conn):
                conn = self.tls.wrap_socket(conn, server_side=True)
                self._session(conn, secure=True)
        except (OSError, Gone):
            pass
        finally:
            conn.close()
            with self.lock:
                self.now -= 1

    def chance(self, kinds):
        with self.lock:
            if not self.failing or self.rng.random() >= self.share:
                return None
            kind = self.rng.choice(kinds)
            self.count[kind] += 1
            return kind

    def misbehave(self, conn, kind):
        """True: what was to be said is said nevertheless."""
        if kind == "slow":
            time.sleep(self.rng.uniform(0.05, self.patience / 2))
            return True
        if kind == "later":
            conn.sendall(b"451 4.3.0 not just now\r\n")
            return False
        if kind == "421":
            conn.sendall(b"421 4.3.2 going down\r\n")
        elif kind == "garbage":
            conn.sendall(bytes(self.rng.randrange(256) for _ in range(40)) +
                         b"\r\nwhat?\r\n")
        elif kind == "half":
            conn.sendall(b"250-")
        elif kind == "reset":
            conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                            struct.pack("ii", 1, 0))
        elif kind == "stall":
            conn.settimeout(0.2)
            while self.failing:
                with contextlib.suppress(TimeoutError):
                    if not conn.recv(65536):
                        break
        raise Gone

    def say(self, conn, text):
        """False: something else was said."""
        kind = self.chance(self.STEPS)
        if kind and not self.misbehave(conn, kind):
            return False
        conn.sendall(text + b"\r\n")
        return True

    def _session(self, conn, secure=False):
        """True: it is to go on over TLS."""
        lines = conn.makefile("rb")
        sender, rcpts, data = None, [], b""
        offers = [b"250-AUTH PLAIN" if secure else b"250-STARTTLS"]
        if self.rng.random() < 0.5:
            offers.append(b"250-CHUNKING")
        while line := lines.readline():
            words = line.decode("latin-1").strip()
            verb = words[:4].upper()
            if verb == "EHLO":
                self.say(conn, b"250-sink.example\r\n250-PIPELINING\r\n"
                         b"250-8BITMIME\r\n" + b"\r\n".join(offers) +
                         b"\r\n250 ENHANCEDSTATUSCODES")
            elif verb == "HELO":
                self.say(conn, b"250 sink.example")
            elif verb == "STAR":
                if self.say(conn, b"220 2.0.0 go on"):
                    return True
            elif verb == "AUTH":
                self.say(conn, b"235 2.7.0 welcome" if secure and
                         words.split(" ")[2:] == [self.LOGIN] else
                         b"535 5.7.8 not you")
            elif verb == "MAIL":
                rcpts, data = [], b""
                sender = words[11:].split(">")[0] if self.say(
                    conn, b"250 2.1.0 ok") else None
            elif verb == "RCPT":
                rcpt = words[9:].split(">")[0]
                if sender is None:
                    conn.sendall(b"503 5.5.1 no sender\r\n")
                elif rcpt.startswith("no"):
                    self.say(conn, b"550 5.1.1 no such user")
                elif self.say(conn, b"250 2.1.5 ok"):
                    rcpts.append(rcpt)
            elif verb == "DATA":
                if not rcpts:
                    conn.sendall(b"554 5.5.1 no recipients\r\n")
                elif self.say(conn, b"354 go on"):
                    self.answer(conn, sender, rcpts, self.text(conn, lines))
                    sender, rcpts = None, []
            elif verb == "BDAT":
                part = lines.read(int(words.split(" ")[1]))
                data += part
                if len(part) < int(words.split(" ")[1]):
                    raise Gone
                if not rcpts:
                    conn.sendall(b"503 5.5.1 no recipients\r\n")
                elif not words.upper().endswith(" LAST"):
                    if not self.say(conn, b"250 2.0.0 ok"):
                        sender, rcpts, data = None, [], b""
                else:
                    self.answer(conn, sender, rcpts, data)
                    sender, rcpts, data = None, [], b""
            elif verb == "QUIT":
                conn.sendall(b"221 2.0.0 bye\r\n")
                return False
            else:
                sender, rcpts, data = None, [], b""
                self.say(conn, b"250 2.0.0 ok")
        return False

    def text(self, conn, lines):
        kind = self.chance(("reset", "close", "stall"))
        text = []
        while (line := lines.readline()) != b".\r\n":
            if not line.endswith(b"\n"):
                raise Gone
            text.append(line[1:] if line.startswith(b".") else line)
            if kind and len(text) == 20:
                self.misbehave(conn, kind)
        return b"".join(text)

    def answer(self, conn, sender, rcpts, data):
        """To the final dot."""
        begun = time.monotonic()
        kind = self.chance(self.STEPS + self.LOST)
        if kind and kind not in self.LOST and not self.misbehave(conn, kind):
            return
        self.take(sender, rcpts, data)
        if kind in self.LOST:
            self.misbehave(conn, kind.split(" ")[1])
        try:
            conn.sendall(b"250 2.0.0 taken\r\n")
            heard = time.monotonic() - begun < self.patience * 0.8
        except OSError:
            heard = False
        # who asked is dead, or did not wait any longer
        if not heard:
            with self.lock:
                self.count["unheard"] += 1


# --- the clock ---

class Clock:
    """Of every program that is started with its env."""

    def __init__(self, folder):
        self.library = f"{folder}/jumping_clock.so"
        path = f"{folder}/clock"
        command(*shlex.split(os.environ.get("CC", "cc")), "-shared", "-fPIC",
                "-O1", "-o", self.library,
                TOP / "tests/support/jumping_clock.c")
        pathlib.Path(path).write_bytes(bytes(8))
        with open(path, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), 8)
        # a sanitizer wants to be first, and its leak checker stays out
        self.env = {"LD_PRELOAD": self.library, "JUMPING_CLOCK": path,
                    "ASAN_OPTIONS": "verify_asan_link_order=0:detect_leaks=0"}
        self.jumps = self.ahead = 0

    def jump(self, ahead):
        self.jumps += ahead != self.ahead
        self.ahead = ahead
        self.map[:] = struct.pack("=q", ahead)

    def now(self):
        return int(time.time()) + self.ahead
