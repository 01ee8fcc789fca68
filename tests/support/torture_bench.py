# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run in which a call fails is made of: the server that takes its
mail, a place with a file of counters and the preloaded library, and how what
came of it is judged (tests/fault/torture.py)."""

import base64
import contextlib
import os
import pathlib
import re
import signal
import ssl
import struct
import subprocess
import threading
import time

from harness import POSTHASTE, Failure, equal, want
from lab import Lab, Sink, ROUTE

LIMIT = 20                      # seconds; whatever takes longer hangs
TIMEOUT = 15                    # of the program, for each answer
# as in torture.c
COUNTERS = ("allocation", "EINTR", "short", "EAGAIN", "EMFILE", "ENFILE",
            "ENOMEM")
HARMLESS = ("EINTR", "short", "EAGAIN")
# what is lacking here and now: try again
LACKING = (71, 73, 74, 75)
BODY = "first line\n.\n..two dots\n" + 70 * "x" + "\nlast line"
WIRE_BODY = BODY.replace("\n", "\r\n").encode() + b"\r\n"


# --- the other side ---

class Received(dict):
    """Messages by their id; reports by that of what they are about."""
    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()

    def append(self, a):
        about = a.id
        if a.sender == "":
            found = re.search(rb"^In-Reply-To: *<([^>]*)>", a.data, re.M)
            about = "report " + (found.group(1).decode() if found else "?")
        with self.lock:
            self.setdefault(about, []).append(a)

    def count(self, mid, rcpt):
        with self.lock:
            return sum(rcpt in a.rcpts for a in self.get(mid, ()))


class TortureSink(Sink):
    """Refuses for now who is later… until his message is welcome; in TLS with
    a login if the way says so."""
    def __init__(self, way, certificates):
        super().__init__(chunking=way.chunking, answer=self.answers)
        self.accepted = Received()
        self.welcome = set()
        self.wrong = []         # logins
        self.good_login = way.good_login
        self.context = None
        if way.tls:
            self.features = f"250-AUTH {way.mechanism}\r\n".encode()
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(f"{certificates}/good.pem",
                                         f"{certificates}/good.key")

    def login(self, words):
        secret = base64.b64decode(words.split(" ")[2]).decode()
        if self.good_login(secret):
            return "235 2.7.0 welcome"
        self.wrong.append(words)
        return "535 5.7.8 who are you?"

    def answers(self, rcpt):
        if rcpt.startswith("no"):
            return "550 5.1.1 no such user"
        if rcpt.startswith("later") and \
                rcpt[5:].split("@")[0] not in self.welcome:
            return "450 4.2.1 mailbox busy"
        return "250 2.1.5 ok"

    def _serve(self, conn, number):
        if self.context:
            try:
                conn.settimeout(60)
                conn = self.context.wrap_socket(conn, server_side=True)
            except OSError:
                with self.lock:
                    self.now -= 1
                conn.close()
                return
        super()._serve(conn, number)


# --- one worker's place ---

class Bench:
    """A lab, a file of counters, and the preloaded library."""
    def __init__(self, folder, library, port, queue, more):
        self.lab = Lab(folder, port, queue, more)
        text = self.lab.config.read_text()
        for was, now in (("level = debug", "level = info"),
                         ("timeout = 20s", f"timeout = {TIMEOUT}s")):
            want(was in text, was)
            text = text.replace(was, now)
        self.lab.config.write_text(text)
        self.lab.config.chmod(0o600)
        self.lab.make_queue()
        self.library = library
        self.counters = pathlib.Path(folder, "counters")
        self.size = 8 * (len(COUNTERS) + 2) + 64

    def clear(self):
        (self.lab.folder / "log").unlink(missing_ok=True)
        for part in ("mess", "tmp", "corrupt"):
            for name in self.lab.names(part):
                os.unlink(self.lab.queue / part / name)
        self.lab.make_queue()

    def env(self, kind, n, on):
        self.counters.write_bytes(bytes(self.size))
        number = COUNTERS.index(kind) if kind else 0
        env = {**self.lab.env, "LD_PRELOAD": self.library,
               "TORTURE": f"{self.counters} {number} {n}{on}",
               "TORTURE_QUEUE": str(self.lab.queue),
               "TORTURE_HELPERS": os.path.dirname(POSTHASTE),
               "TORTURE_SMTP": str(self.lab.port)}
        # nobody traces it here: a leak is a failure of its own
        env["ASAN_OPTIONS"] = "verify_asan_link_order=0"
        for name in ("UBSAN_OPTIONS", "LSAN_OPTIONS"):
            env[name] = os.environ.get(name, "")
        return env

    def counted(self):
        """(calls of each kind, failed, descriptors open, which failed)"""
        data = self.counters.read_bytes()
        numbers = struct.unpack_from(f"={len(COUNTERS) + 2}Q", data)
        what = data[8 * (len(COUNTERS) + 2):].split(b"\0")[0].decode()
        return (dict(zip(COUNTERS, numbers)), numbers[-2], numbers[-1], what)


def play(argv, stdin, env, folder):
    child = subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env=env, cwd=folder, start_new_session=True)
    try:
        # it ends when nobody has its standard error any more
        out, err = child.communicate(stdin, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        _, err = child.communicate()
        raise Failure(f"HANGS: {err[-300:]!r}") from None
    return child.returncode, out, err


def told_words(bench, err):
    """Whether somebody is told that it may have come twice."""
    return b"may have been delivered" in err or \
        "duplicate_possible" in bench.lab.log() or \
        "is not recorded" in bench.lab.log()


# --- a way, and what came of it ---

class Way:
    """What is done, and what must hold. rcpts: those whom the message has to
    reach; at_once: those of them whom it has reached when all went well."""
    name = None
    queue = "queue = on_failure\nschedule = 1h"
    tls = False         # of the sink, how one logs in there, and whether it
    mechanism = "PLAIN"                 # takes BDAT
    chunking = False
    before = ""         # the usual body
    weight = 1          # so many times fewer points in make check

    def start(self, folder, certificates, port):
        """Other servers than the sink, which is at port. Gives the lines of
        configuration that lead there; {folder} is the worker's place."""
        return ROUTE

    def stop(self):
        pass

    def good_login(self, secret):
        return secret == "\0user\0pencil"

    def prepare(self, bench, mid):
        pass

    def deed(self, bench, mid, env):
        raise NotImplementedError

    def judge(self, t, bench, mid, done):
        raise NotImplementedError

    def welcome(self, sink, mid):
        sink.welcome.add(mid)

    def settle(self, t, bench, mid):
        """A run without faults, if anything is left to do."""
        self.welcome(t.sink, mid)
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            if not bench.lab.names() and not bench.lab.names("tmp"):
                break
            bench.lab.make_due()
            status, _, err = play(
                [POSTHASTE, "-C", str(bench.lab.config), "-q"], b"",
                bench.env(None, 0, ""), bench.lab.folder)
            want(status == 0, f"then -q: {status} {err!r}")
        equal(bench.lab.names(), [], "left in the queue")
        equal(bench.lab.names("tmp"), [], "left in tmp")
        equal(bench.lab.names("corrupt"), [], "in corrupt")


class Done:
    """One run: what came of it, and what the sink had right after it."""
    def __init__(self, kind, status, out, err):
        self.kind, self.status, self.out, self.err = kind, status, out, err
        self.harmless = kind in HARMLESS

    def judge_status(self, also=()):
        want(self.status >= 0, f"ended by signal {-self.status}")
        if self.harmless or not self.kind:
            want(self.status == 0 and not self.err, "it did harm")
        else:
            want(self.status in (0, *LACKING, *also), "the status")
            want(self.status == 0 or self.err, "not a word")


def count(t, bench, mid, rcpt, least, most, err=b""):
    n = t.sink.accepted.count(mid, rcpt)
    want(n >= least, f"{rcpt}: LOST")
    if n > most and told_words(bench, err):
        t.twice()
        most = n
    want(n <= most, f"{rcpt}: {n} times, not {most}")
    for a in t.sink.accepted.get(mid, ()):
        begin = a.data.index(b"\r\n\r\n") + 4
        want(a.data[begin:] == t.way.before.replace(
            "\n", "\r\n").encode() + WIRE_BODY, "another body")
