#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dialogues with a server whose replies are missing, doubled, early, split or
wrong, by chance. The server knows for whom it has accepted what; the program
may never say "sent" where that is not so, nor send twice, nor let a body
become commands. In clear and over TLS, by DATA, BDAT and LMTP, with early
pipelining and with what is remembered of another server.

    random_dialogues.py [SEED] [N]

SEED repeats a run, N is the number of a single dialogue of it.
DIALOGUE_SECONDS is how long it goes on (25; make check-long: 600)."""

import concurrent.futures
import copy
import itertools
import os
import pathlib
import random
import re
import shlex
import shutil
import socket
import ssl
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import harness  # noqa: E402
from harness import Failure, want  # noqa: E402

SECONDS = float(os.environ.get("DIALOGUE_SECONDS", "25"))
WORKERS = 6
TIMEOUT = 3
CONFIG = """[general]
hostname = client.example.test
domain = example.test
timeout = {timeout}s
cache = {folder}/cache
connect_timeout = {timeout}s
[queue]
queue = never
[log]
to = {folder}/log
[transport smtp]
kind = smtp
host = localhost
port = {port}
no_starttls = yes
ip_family = ipv4
[transport tls]
kind = submissions
host = localhost
port = {port}
ca_file = {certificates}/ca.pem
ip_family = ipv4
[transport lmtp]
kind = lmtp
host = localhost
port = {port}
no_starttls = yes
ip_family = ipv4
"""
HEADER = ("From: a@example.test\r\nTo: b@example.org\r\nSubject: s\r\n"
          "Date: Sat, 28 Nov 2026 12:00:00 +0000\r\nMessage-ID: <1@x>\r\n\r\n")
BODIES = ["hi\r\n", ".\r\n..\r\n.x\r\n", "x" * 900 + "\r\n",
          "RSET\r\nMAIL FROM:<evil@example.org>\r\nRCPT TO:<r0@example.org>"
          "\r\nDATA\r\nSubject: forged\r\n\r\npay me\r\n.\r\n",
          "a line of a longer message\r\n" * 1500,
          "and one that is too long for a flight\r\n" * 4000]
FAULTS = ["missing", "doubled", "extra", "early", "wrong", "split", "close",
          "close-after", "garbage", "slow", "421"]
GARBAGE = [b"what\r\n", b"\r\n", b"99 x\r\n", b"250-a\r\n550 b\r\n",
           b"250\tx\r\n", b"\0\r\n"]
RCPT_CODES = ["250 2.1.5 ok"] * 8 + ["550 5.1.1 no", "450 4.2.0 later",
                                     "452 4.5.3 too many", "452 4.2.2 full",
                                     "550 5.7.1 no", "251 2.1.5 forwarded"]
FINAL_CODES = ["250 2.0.0 taken"] * 6 + ["554 5.6.0 no", "451 4.3.0 later",
                                         "552 5.3.4 large", "502 5.5.1 what"]


class Gone(Exception):
    """The connection has ended."""


class Plan:
    """What one dialogue is like; the same for the same seed and number."""

    def __init__(self, seed, number):
        r = self.r = random.Random(f"{seed} {number}")
        self.number = number
        self.way = r.choice(["smtp", "smtp", "tls", "lmtp"])
        self.extensions = [e for e, share in (
            ("PIPELINING", .85), ("CHUNKING", .6), ("8BITMIME", .7),
            ("ENHANCEDSTATUSCODES", .8), ("SIZE 1000000", .7), ("DSN", .3),
            ("LIMITS RCPTMAX=2", .1), ("LIMITS MAILMAX=1", .1))
            if r.random() < share]
        # whether the server was seen before, as it is now or another
        self.early = self.way != "lmtp" and r.choice(
            [None, None, "known", "other"])
        if self.early:
            self.extensions += [e for e in ("PIPELINING", "PIPECONNECT")
                                if e not in self.extensions]
        self.bdat = (self.way != "lmtp" and "CHUNKING" in self.extensions and
                     "PIPELINING" in self.extensions)
        self.rcpts = [f"r{i}@example.org" for i in range(r.choice(
            [1, 1, 2, 3, 5]))]
        self.body = r.choice(BODIES[:4] * 3 + BODIES)
        self.mail = r.choice(["250 2.1.0 ok"] * 12 + [
            "550 5.7.1 no", "451 4.3.0 later", "503 5.5.1 nested"])
        # place of the reply (greeting 0, EHLO 1, ...) to what happens there
        self.faults = {}
        for _ in range(r.choice([0, 1, 1, 1, 1, 2, 3])):
            fault = r.choice(FAULTS)
            if fault == "missing" and r.random() < .6:
                fault = "doubled"  # each of those costs a timeout
            self.faults[r.choice([0, 1, 2, 2, 2, 3, 3, 3, 4, 4, 5, 6, 7])] \
                = fault
        # one too few and one too many make up for each other, and nobody
        # who counts can tell; in LMTP an end cuts answers off as well
        fewer = {"missing"} if self.way != "lmtp" else \
            {"missing", "close", "close-after", "421"}
        if fewer & set(self.faults.values()):
            self.faults = {place: fault for place, fault
                           in self.faults.items()
                           if fault not in ("doubled", "extra", "early")}
        self.unread = r.random() < .08  # BDAT is refused and not read
        self.late = not self.faults and r.random() < .2

    def words(self):
        return (f"{self.way} {self.extensions} {len(self.rcpts)} recipients, "
                f"{len(self.body)} bytes, {self.early}, {self.faults}"
                f"{' unread' if self.unread else ''}")


    def before(self):
        """The same server, or another one, when all was well."""
        plan = copy.copy(self)
        plan.faults, plan.unread, plan.late = {}, False, False
        plan.mail = "250 2.1.0 ok"
        plan.r = random.Random(1)
        if self.early == "other":
            plan.extensions = ["XOTHER"] + self.extensions
        return plan


class Session:
    """One connection. Replies gather until all that came was read, as a
    server writes that does pipelining."""

    def __init__(self, plan, sock, accepted, trace):
        self.plan, self.sock, self.r = plan, sock, plan.r
        self.accepted, self.trace = accepted, trace
        self.buffer, self.out, self.place = b"", b"", 0
        self.owed = 0          # replies that were said too early
        self.sender, self.to = None, []

    # --- bytes ---

    def flush(self, split=False):
        out, self.out = self.out, b""
        try:
            if split:
                for i in range(len(out)):
                    self.sock.sendall(out[i:i + 1])
            elif out:
                self.sock.sendall(out)
        except OSError as why:
            raise Gone() from why

    def more(self):
        self.flush()
        try:
            data = self.sock.recv(65536)
        except OSError as why:
            raise Gone() from why
        if not data:
            raise Gone()
        self.buffer += data

    def line(self):
        while b"\n" not in self.buffer:
            self.more()
        line, self.buffer = self.buffer.split(b"\n", 1)
        line = line.rstrip(b"\r").decode("latin-1")
        self.trace.append("C: " + line[:80])
        return line

    def add(self, text):
        if isinstance(text, str):
            text = text.encode() + b"\r\n"
        self.trace.append(f"S: {text[:80]!r}")
        self.out += text

    # --- replies ---

    def reply(self, text, final=False):
        """Says it, or what the plan has instead; gives the code that stands
        at its place, 0 for none."""
        fault = self.plan.faults.get(self.place)
        self.place += 1
        if self.owed:
            self.owed -= 1
            return self.early_code
        if self.plan.late and final:
            self.flush()
            time.sleep(.02)
        if fault == "missing":
            return 0
        if fault == "close":
            raise Gone()
        if fault == "garbage":
            self.add(self.r.choice(GARBAGE))
            return 0
        if fault == "421":
            self.add("421 4.3.2 going down")
            self.flush()
            raise Gone()
        if fault == "wrong":
            text = self.r.choice(["250 2.1.0 wrong", "550 5.0.0 wrong",
                                  "450 4.0.0 wrong", "354 wrong",
                                  "250 2.0.0 wrong", "220 wrong"])
        if fault == "slow":
            self.flush()
            time.sleep(.02)
        self.add(text)
        if fault == "doubled":
            self.add(text)
        elif fault == "extra":
            self.add(self.r.choice(["250 2.1.5 extra", "250 2.1.0 extra",
                                    "550 5.1.1 extra"]))
        elif fault == "early":
            early = self.r.choice(["250 2.1.5 early", "550 5.1.1 early"])
            self.early_code = int(early[:3])
            self.owed = 1
            self.add(early)
        elif fault == "split":
            self.flush(split=True)
        elif fault == "close-after":
            self.flush()
            raise Gone()
        return int(text[:3])

    # --- what was accepted ---

    def judge(self, message):
        """The answer, or in LMTP one for each recipient."""
        each = self.to if self.plan.way == "lmtp" else [None]
        for rcpt in each:
            code = None
            try:
                code = self.reply(self.r.choice(FINAL_CODES), True)
            except Gone:
                # what was said before it closed has been said
                code = self.said_last()
                raise
            finally:
                if code == 0 and self.r.random() < .5:
                    code = 250  # it has it, and nobody was told
                # LMTP's answers carry no address: the next one would pass
                # for the one that is missing, so there is no next one
                if self.plan.faults.get(self.place - 1) == "missing":
                    self.plan.faults[self.place] = "missing"
                # a lone dot is how a message for nobody is taken back
                if code and code // 100 == 2 and message:
                    for one in self.to if rcpt is None else [rcpt]:
                        self.accepted.append((self.sender, one, message))
        self.sender, self.to = None, []

    def said_last(self):
        last = self.trace[-1]
        found = re.match(r"S: b'(\d{3}) ", last)
        return int(found[1]) if found else 0

    # --- commands ---

    def content(self):
        message = b""
        while True:
            while b"\r\n" not in self.buffer:
                self.more()
            line, self.buffer = self.buffer.split(b"\r\n", 1)
            if line == b".":
                return message
            message += (line[1:] if line[:1] == b"." else line) + b"\r\n"

    def chunk(self, size):
        while len(self.buffer) < size:
            self.more()
        message, self.buffer = self.buffer[:size], self.buffer[size:]
        return message

    def hello(self, verb):
        if verb == "HELO" or not self.plan.extensions:
            self.reply("250 here")
            return
        words = ["here"] + self.plan.extensions
        self.reply("\r\n".join(f"250{'-' if w != words[-1] else ' '}{w}"
                               for w in words))

    def mail(self, line):
        if self.sender is not None:
            self.reply("503 5.5.1 nested")
            return
        code = self.reply(self.plan.mail)
        if code // 100 == 2 or self.plan.mail[0] == "2":
            self.sender = re.search("<(.*?)>", line)[1]

    def rcpt(self, line):
        if self.sender is None:
            self.reply("503 5.5.1 MAIL first")
            return
        text = self.r.choice(RCPT_CODES)
        code = self.reply(text)
        # a server that was another one before is asked again what it
        # refused: it may say no and mean yes only where it is not
        yes = text[0] == "2" and not (code and self.plan.early == "other")
        if code // 100 == 2 or yes:
            self.to.append(re.search("<(.*?)>", line)[1])

    def data(self):
        if not self.to:
            self.reply("554 5.5.1 no recipients")
            return
        if self.reply("354 go") == 354:
            self.judge(self.content())

    def bdat(self, size):
        if self.plan.unread:
            self.reply("502 5.5.1 what")
            return
        message = self.chunk(size)
        if not self.to:
            self.reply("503 5.5.1 no recipients")
            return
        self.judge(message)

    def run(self):
        self.reply("220 here")
        while True:
            line = self.line()
            verb = line.split(" ")[0].upper()
            if verb in ("EHLO", "HELO", "LHLO"):
                self.hello(verb)
            elif verb == "MAIL":
                self.mail(line)
            elif verb == "RCPT":
                self.rcpt(line)
            elif verb == "DATA":
                self.data()
            elif verb == "BDAT":
                self.bdat(int(line.split(" ")[1]))
            elif verb == "RSET":
                self.sender, self.to = None, []
                self.reply("250 2.0.0 ok")
            elif verb == "QUIT":
                self.add("221 2.0.0 bye")
                self.flush()
                return
            else:
                self.add("500 5.5.2 what")


class Worker:
    """A listener, a configuration and a folder."""

    def __init__(self, folder, certificates):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=20)
        self.config = self.folder / "conf"
        self.config.write_text(CONFIG.format(
            folder=folder, certificates=certificates, timeout=TIMEOUT,
            port=self.listener.getsockname()[1]))
        self.config.chmod(0o600)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(f"{certificates}/good.pem",
                                     f"{certificates}/good.key")
        self.environment = harness.environment(str(folder))

    def serve(self, plan, stop, accepted, trace):
        self.listener.settimeout(.02)
        while not stop.is_set():
            try:
                sock, _ = self.listener.accept()
            except OSError:
                continue
            sock.settimeout(2 * TIMEOUT)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            trace.append("---")
            session = None
            try:
                if plan.way == "tls":
                    sock = self.context.wrap_socket(sock, server_side=True)
                session = Session(plan, sock, accepted, trace)
                session.run()
            except (Gone, OSError):
                pass
            with_close(sock)

    def submit(self, plan, accepted, trace):
        stop = threading.Event()
        server = threading.Thread(target=self.serve, daemon=True,
                                  args=(plan, stop, accepted, trace))
        server.start()
        try:
            return harness.run(
                ["-C", str(self.config), "--transport", plan.way, "-i", "-f",
                 "a@example.test", *plan.rcpts],
                (HEADER + plan.body).encode(), self.environment,
                str(self.folder), 60)
        finally:
            stop.set()
            server.join()

    def dialogue(self, plan):
        log = self.folder / "log"
        accepted, trace = [], []
        shutil.rmtree(self.folder / "cache", ignore_errors=True)
        if plan.early:
            self.submit(plan.before(), [], [])
            want(any((self.folder / "cache").iterdir()),
                 "nothing was remembered")
        log.unlink(missing_ok=True)
        began = time.monotonic()
        status, err = None, b""
        try:
            status, _, err = self.submit(plan, accepted, trace)
            self.check(plan, status, err, accepted,
                       time.monotonic() - began,
                       log.read_text() if log.exists() else "")
        except Failure as why:
            raise Failure(f"dialogue {plan.number}: {why}\n{plan.words()}\n"
                          f"status {status}\n{err.decode('latin-1')}\n" +
                          (log.read_text() if log.exists() else "") + "\n" +
                          "\n".join(trace[-120:])) from why

    @staticmethod
    def check(plan, status, err, accepted, took, log):
        said = {}
        for line in log.splitlines():
            if " status=" in line:
                words = dict(w.split("=", 1) for w in shlex.split(line)
                             if "=" in w)
                said[words["to"].strip("<>")] = words["status"]
        message = (HEADER + plan.body).encode()
        has = [rcpt for _, rcpt, _ in accepted]
        want(status in (0, 65, 67, 68, 69, 75, 76), f"status {status}")
        want(set(said) == set(plan.rcpts), f"logged {said}")
        want(not re.search(rb"[\0-\x08\x0b-\x1f\x7f]", err), "control bytes")
        want(all(s == "a@example.test" for s, _, _ in accepted),
             "a body became commands")
        want(all(m == message for _, _, m in accepted), "another message")
        want(len(has) == len(set(has)), "accepted twice")
        for rcpt, word in said.items():
            want(word != "sent" or rcpt in has, f"false: sent to {rcpt}")
        want(status != 0 or set(has) == set(plan.rcpts), "false 0")
        want((status == 0) == all(w == "sent" for w in said.values()),
             "the status is not the log's")
        want(status != 75 or "sent" not in said.values(),
             "75 though one was accepted")
        if not plan.faults:
            want(sorted(has) == sorted(r for r, w in said.items()
                                       if w == "sent"),
                 "accepted and not told")
        want(took < 8 * TIMEOUT + 10, f"it took {took:.1f} s")


def with_close(sock):
    try:
        sock.close()
    except OSError:
        pass


def main():
    harness.need_programs()
    seed = sys.argv[1] if len(sys.argv) > 1 else \
        os.environ.get("DIALOGUE_SEED", str(random.randrange(10 ** 9)))
    numbers = iter([int(sys.argv[2])]) if len(sys.argv) > 2 else \
        itertools.count()
    told = harness.Told(1)
    print(f"# seed {seed}", flush=True)
    end = time.monotonic() + SECONDS
    done, failures, lock = itertools.count(), [], threading.Lock()
    root = tempfile.mkdtemp(prefix="dialogues-")

    def work(i):
        worker = Worker(f"{root}/{i}", f"{root}/certificates")
        while time.monotonic() < end and len(failures) < 5:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            try:
                worker.dialogue(Plan(seed, number))
            except Failure as why:
                failures.append(str(why))
            next(done)

    try:
        harness.make_certificates(f"{root}/certificates")
        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            for future in [pool.submit(work, i) for i in range(WORKERS)]:
                future.result()
    finally:
        shutil.rmtree(root, ignore_errors=True)
    print(f"# {next(done)} dialogues")
    told.tell(not failures, f"random dialogues, never a false 0 (seed {seed})",
              "\n".join(failures).splitlines())
    return told.end()


if __name__ == "__main__":
    sys.exit(main())
