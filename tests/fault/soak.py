#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything at once, for a long time: 20 callers and 4 runners of one queue,
a server that fails at one step in twenty, processes that are killed, a clock
that jumps. No message that was accepted is lost or changed, no more come twice
than were in doubt, and nothing grows.

    SOAK_SECONDS=1800 SOAK_SEED=N soak.py      (make soak)"""

import collections
import contextlib
import glob
import hashlib
import itertools
import json
import os
import pathlib
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
# not this folder itself: its names would hide those of the library
sys.path[0] = os.path.join(os.path.dirname(__file__), "../support")
from badday import Clock, FailingServer  # noqa: E402
from harness import (  # noqa: E402
    POSTHASTE, Failure, Told, eventually, make_certificates, need_programs,
    sanitized, want)
from entries import entry_bytes  # noqa: E402
from lab import Lab, email_report, runs_in  # noqa: E402

SECONDS = float(os.environ.get("SOAK_SECONDS") or 3)
SEED = int(os.environ.get("SOAK_SEED") or time.time_ns() % 1000000)
SENDERS, RUNNERS = 20, 4
FAULTS = 0.05                   # of the steps of all sessions
PATIENCE = 3                    # seconds that the program waits for a server
HANGS = 120                     # longer than this nothing may take
# between two messages of a caller; short tests are to have some, too
PAUSE = 2.0 if SECONDS > 20 else 1.2 if sanitized() else 0.6
DOMAINS = ["example.net"] * 6 + ["two.example"] * 2 + ["box.example"]
SENDER = "s@test.example"
HOUR, DAY = 3600, 86400
JUMPS = (0, 1, 45, -45, HOUR, -HOUR, 7 * HOUR, DAY, -DAY, 6 * DAY, -6 * DAY,
         400 * DAY)

QUEUE = """queue = {use}
schedule = 1s 1s 2s 2s 3s
concurrency = 4
connections = 2"""
ROUTES = """[route two]
to_domain = two.example
transport = login
[route three]
to_domain = box.example
transport = box
[route all]
transport = relay
[transport login]
kind = submission
host = 127.0.0.1
port = {port}
ca_file = {folder}/certificates/ca.pem
username = user
password_file = {folder}/password
[transport box]
kind = maildir
path = {folder}/box
"""


# --- what is sent, and what became of it ---

class Books:
    """What callers were told, and what the server took."""

    def __init__(self):
        self.lock = threading.Lock()
        self.digest = {}            # of a message's body, by its id
        self.due = {}               # id: recipients that must get it
        self.told = {}              # id: recipients named as refused
        self.statuses = collections.Counter()
        self.taken = collections.Counter()      # (id, recipient)
        self.again = 0              # transactions that came twice
        self.transactions = 0
        self.reports = []
        self.dates = set()
        self.faults = []            # whatever must not be

    def fault(self, words):
        with self.lock:
            self.faults.append(str(words)[:600])

    def settle(self, mid, rcpts, status, words):
        """The caller's end: who was not named as refused is owed the
        message, unless its acceptance was not said."""
        with self.lock:
            self.statuses[status] += 1
            if status in (0, 67):
                self.told[mid] = {r for r in rcpts if r in words}
                self.due[mid] = set(rcpts) - self.told[mid]
        if status not in (0, 67, -signal.SIGKILL):
            self.fault(f"{mid}: status {status}: {words}")

    def take(self, sender, rcpts, data):
        """The server's acceptance."""
        header, _, body = data.partition(b"\r\n\r\n")
        fields = dict(line.split(b": ", 1) for line in header.split(b"\r\n")
                      if b": " in line)
        mid = fields.get(b"Message-ID", b"").decode().strip("<>")
        good = not sender or self.digest.get(mid) == digest(body)
        with self.lock:
            self.transactions += 1
            self.again += any(self.taken[mid, r] for r in rcpts)
            for rcpt in rcpts:
                self.taken[mid, rcpt] += 1
            if not sender:
                self.reports.append(data)
            self.dates.add(fields.get(b"Date", b"")[:16])
        if not good:
            self.fault(f"{mid}: not the message that was sent, {len(data)} "
                       f"bytes: {data[:300]}")


def digest(body):
    return hashlib.sha1(body).digest()


class Texts:
    """Bodies that differ, with lines that a server could take for its own."""

    def __init__(self, rng):
        hard = ["", ".", "..", ".x", "From here on", "MAIL FROM:<x@y.example>",
                "QUIT", "From: nobody@example.org", "DATA"]
        self.lines = [rng.choice(hard) if rng.random() < 0.05 else
                      "".join(rng.choices("abc defgh ijkl.", k=rng.randrange(
                          1, 78))).strip() + "x" for _ in range(6000)]

    def body(self, rng):
        many = rng.choice((2, 3, 5, 20, 20, 100)) if rng.random() < 0.95 \
            else rng.randrange(1000, 5000)
        begin = rng.randrange(len(self.lines) - many)
        return self.lines[begin:begin + many]


# --- everything together ---

class Soak:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.books = Books()
        make_certificates(f"{folder}/certificates")
        (self.folder / "password").write_text("password\n")
        (self.folder / "password").chmod(0o600)
        self.server = FailingServer(self.books.take, FAULTS, PATIENCE,
                                    f"{folder}/certificates", SEED)
        self.clock = Clock(folder)
        self.rng = random.Random(SEED + 1)
        self.texts = Texts(self.rng)
        self.labs = {}
        for use in ("on_failure", "always"):
            lab = Lab(self.folder / use, self.server.port)
            lab.configure(QUEUE.format(use=use),
                          ROUTES.format(port=self.server.port,
                                        folder=folder))
            # both use one queue and one log
            lab.config.write_text(lab.config.read_text().replace(
                f"{lab.folder}/", f"{self.folder}/").replace(
                    "level = debug", "level = info").replace(
                    "timeout = 20s", f"timeout = {PATIENCE}s"))
            lab.env.update(self.clock.env)
            lab.env["ASAN_OPTIONS"] += f":log_path={folder}/asan"
            lab.env["UBSAN_OPTIONS"] = f"log_path={folder}/ubsan"
            lab.queue = self.folder / "queue"
            self.labs[use] = lab
        self.lab = self.labs["on_failure"]
        self.lab.make_queue()
        self.ending = threading.Event()
        self.number = itertools.count()
        self.kills = 0
        self.killed = threading.Lock()
        self.spared = {}            # who may live as long as he likes
        self.samples = []
        self.threads = []

    def pause(self, rng, most):
        return not self.ending.wait(rng.uniform(0, most))

    def message(self, rng):
        """id, recipients, lines of the body."""
        mid = f"m{next(self.number)}"
        many = rng.choice((1, 1, 1, 2, 3, 12))
        rcpts = [f"{'no' if rng.random() < 0.03 else 'r'}{i}.{mid}@"
                 f"{rng.choice(DOMAINS)}" for i in range(many)]
        lines = self.texts.body(rng)
        with self.books.lock:
            self.books.digest[mid] = digest("".join(
                f"{line}\r\n" for line in lines).encode())
        return mid, rcpts, lines

    def start(self, use, *args, **more):
        lab = self.labs[use]
        return subprocess.Popen(
            [POSTHASTE, "-C", str(lab.config), *args], env=lab.env,
            cwd=self.folder, start_new_session=True, **{
                "stdin": subprocess.PIPE, "stdout": subprocess.PIPE,
                "stderr": subprocess.PIPE, **more})

    def end(self, child, stdin, rng):
        """Its status and words; perhaps it is killed before."""
        timer = None
        if rng.random() < 0.05:
            timer = threading.Timer(rng.uniform(0, 0.1), child.kill)
            timer.start()
        try:
            _, err = child.communicate(stdin, timeout=HANGS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
            self.books.fault(f"hangs: {child.args}")
            return -signal.SIGKILL, ""
        finally:
            if timer:
                timer.cancel()
        with self.killed:
            self.kills += timer is not None and child.returncode < 0
        return child.returncode, (err or b"").decode(errors="replace")

    # callers

    def send(self, rng):
        """One message by a command line."""
        mid, rcpts, lines = self.message(rng)
        use = "always" if rng.random() < 0.3 else "on_failure"
        args = ["-i", "-f", SENDER]
        header = f"Message-ID: <{mid}>\nSubject: soak\n"
        args += rng.choice(([], [], ["-odq"], ["-odb"], ["-odi"]))
        if rng.random() < 0.5:
            half = len(rcpts) // 2
            header += "To: " + ",\n ".join(rcpts[half:]) + "\n"
            if half:
                header += "Bcc: " + ", ".join(rcpts[:half]) + "\n"
            args.append("-t")
        else:
            args += ["--", *rcpts]
        text = (header + "\n" + "\n".join(lines) + "\n").encode()
        status, words = self.end(self.start(
            use, *args, stdout=subprocess.DEVNULL), text, rng)
        if status == 0 and words:
            self.books.fault(f"{mid}: status 0, and: {words}")
        self.books.settle(mid, rcpts, status, words)

    def transaction(self, child, mid, rcpts, lines):
        """One message in a -bs session; None: the session is over."""
        def reply():
            text = ""
            while True:
                line = child.stdout.readline().decode(errors="replace")
                text += line
                if line[3:4] != "-":
                    return text
        text = (f"MAIL FROM:<{SENDER}>\r\n" + "".join(
            f"RCPT TO:<{rcpt}>\r\n" for rcpt in rcpts) + "DATA\r\n")
        child.stdin.write(text.encode())
        child.stdin.flush()
        replies = [reply() for _ in range(len(rcpts) + 2)]
        if not replies[-1].startswith("354"):
            if replies[-1]:
                self.books.fault(f"-bs: {replies}")
            return None
        child.stdin.write("".join(
            f"{'.' if line.startswith('.') else ''}{line}\r\n" for line in
            [f"Message-ID: <{mid}>", "", *lines]).encode() + b".\r\n")
        child.stdin.flush()
        return reply() or None

    def session(self, rng, many=None, pause=0.0, spared=False):
        """Messages by one -bs session."""
        child = self.start(rng.choice(list(self.labs)), "-bs",
                           stderr=subprocess.DEVNULL)
        if spared:
            self.spared[child.pid] = "session"
        hang = None if spared else threading.Timer(HANGS, child.kill)
        if hang:
            hang.start()
        with contextlib.suppress(OSError):
            child.stdout.readline()
            child.stdin.write(b"EHLO caller.example\r\n")
            child.stdin.flush()
            while child.stdout.readline()[3:4] == b"-":
                pass
            for _ in itertools.count() if many is None else range(many):
                mid, rcpts, lines = self.message(rng)
                said = None
                try:
                    said = self.transaction(child, mid, rcpts, lines)
                finally:
                    self.books.settle(
                        mid, rcpts, -signal.SIGKILL if said is None else
                        0 if said[0] == "2" else 67 if said[:3] == "550" else
                        said, said or "")
                if said is None or not self.pause(rng, pause):
                    break
        status, _ = self.end(child, b"QUIT\r\n" if child.poll() is None
                             else b"", random.Random(1))
        self.spared.pop(child.pid, None)
        if hang:
            hang.cancel()
        if status not in (0, -signal.SIGKILL) or spared and status:
            self.books.fault(f"-bs: status {status}")

    def foreign(self, rng):
        """As posthaste-drop leaves another user's message in the queue."""
        mid, rcpts, lines = self.message(rng)
        text = "".join(f"{line}\r\n" for line in
                       [f"From: {SENDER}", f"Message-ID: <{mid}>", "",
                        *lines]).encode()
        name = f"foreign{mid}"
        path = self.folder / name
        path.write_bytes(entry_bytes(rcpts, text, queued=self.clock.now(),
                                     uid=47001))
        path.chmod(0o600)
        os.chown(path, 47001, -1)
        os.rename(path, self.lab.queue / "mess" / f"{name},0")
        self.books.settle(mid, rcpts, 0, "")

    def administer(self, rng):
        """Somebody looks at the queue, or puts his hand to it."""
        for args in rng.choice(((["-bp"],), (["-bp", "--json"],),
                                (["--health"],), (["--retry", "ALL"],),
                                (["--hold", "ALL"], ["--release", "ALL"]))):
            status, words = self.end(self.start(
                "on_failure", *args, stdout=subprocess.DEVNULL), b"", rng)
            # 75: an entry is being delivered
            good = (0, 1, 2) if args == ["--health"] else (0, 75)
            if status not in (*good, -signal.SIGKILL):
                self.books.fault(f"{args}: {status} {words}")

    def caller(self, number):
        rng = random.Random(SEED * 100 + number)
        if number == 0:
            self.session(rng, pause=PAUSE, spared=True)
            return
        while self.pause(rng, PAUSE):
            what = rng.random()
            if what < 0.12:
                self.session(rng, rng.randrange(1, 5))
            elif what < 0.2 and os.geteuid() == 0:
                self.foreign(rng)
            elif what < 0.23:
                self.administer(rng)
            else:
                self.send(rng)

    def runner(self, number):
        rng = random.Random(SEED * 100 + 50 + number)
        while self.pause(rng, 0.5):
            args = ["-qRexample"] if rng.random() < 0.1 else \
                ["-q15m"] if number == 1 else ["-q"]
            child = self.start("on_failure", *args, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL)
            if number == 0:
                self.spared[child.pid] = "runner"
            with child:
                words = child.stderr.read()
            self.spared.pop(child.pid, None)
            if child.returncode not in (0, -signal.SIGKILL) or words:
                self.books.fault(f"{args}: {child.returncode} {words}")

    # what happens to them

    def killer(self):
        rng = random.Random(SEED + 2)
        while self.pause(rng, 1.0):
            found = [p for p in runs_in(self.folder) if p not in self.spared]
            for pid in rng.sample(found, min(len(found), 1)):
                with contextlib.suppress(OSError):
                    with open(f"/proc/{pid}/stat") as f:
                        dead = f.read().rpartition(")")[2].split()[0] in "ZX"
                    if not dead:
                        os.kill(pid, signal.SIGKILL)
                        with self.killed:
                            self.kills += 1

    def jumper(self):
        rng = random.Random(SEED + 3)
        while self.pause(rng, min(6.0, SECONDS / 4)):
            self.clock.jump(rng.choice(JUMPS))

    def breaker(self):
        rng = random.Random(SEED + 4)
        while self.pause(rng, min(20.0, SECONDS / 2)):
            self.server.refuse(0.3)

    def sampler(self):
        while not self.ending.wait(min(5.0, max(0.5, SECONDS / 60))):
            self.samples.append(self.sample())

    def sample(self):
        """How much of everything there is: most descriptors and memory (KiB)
        of any process, of the session that lives all the while, and of
        the runner that is never killed; files and bytes of the queue;
        processes."""
        found = {f"{whose}{what}": 0 for whose in ("", "session ", "runner ")
                 for what in ("fds", "rss")}
        found.update(files=0, bytes=0)
        pids = runs_in(self.folder)
        found["processes"] = len(pids)
        for pid in pids:
            with contextlib.suppress(OSError, IndexError):
                fds = len(os.listdir(f"/proc/{pid}/fd"))
                with open(f"/proc/{pid}/statm") as f:
                    rss = int(f.read().split()[1]) * os.sysconf(
                        "SC_PAGESIZE") // 1024
                for name, n in (("fds", fds), ("rss", rss)):
                    found[name] = max(found[name], n)
                    if pid in self.spared:
                        found[f"{self.spared[pid]} {name}"] = n
        for path, _, names in os.walk(self.lab.queue):
            for name in names:
                with contextlib.suppress(OSError):
                    found["bytes"] += os.stat(f"{path}/{name}").st_size
                    found["files"] += 1
        return found

    # from the beginning to the end

    def run(self):
        deeds = [(self.caller, n) for n in range(SENDERS)]
        deeds += [(self.runner, n) for n in range(RUNNERS)]
        deeds += [(f,) for f in (self.killer, self.jumper, self.breaker,
                                 self.sampler)]

        def guarded(deed, *args):
            try:
                deed(*args)
            except Exception as why:  # pylint: disable=broad-except
                self.books.fault(f"{deed.__name__}: {why!r}")

        self.threads = [threading.Thread(target=guarded, args=deed,
                                         daemon=True) for deed in deeds]
        for thread in self.threads:
            thread.start()
        end = time.monotonic() + SECONDS
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(60, left))
            if left > 60:
                print("# " + self.words(), flush=True)
        self.ending.set()
        self.server.failing = False
        for thread in self.threads:
            thread.join(HANGS)
            if thread.is_alive():
                self.books.fault(f"{thread} does not end")
        print("# " + self.words(), flush=True)

    def words(self):
        return (f"{len(self.books.digest)} messages, "
                f"{self.books.transactions} taken, {self.books.again} twice, "
                f"{self.kills} kills, {self.server.lost()} answers lost, "
                f"{self.clock.jumps} jumps of the clock, " +
                (f"now {self.samples[-1]}" if self.samples else ""))

    def drain(self):
        """Without any more faults the queue ends."""
        self.clock.jump(0)
        # whoever held them may have been killed before he released them
        self.lab.run("--release", "ALL")
        end = time.monotonic() + HANGS
        while self.lab.names() or runs_in(self.folder):
            want(time.monotonic() < end, "the queue does not drain: "
                 f"{self.lab.names()[:20]} {runs_in(self.folder)}")
            status, out, err = self.lab.run("-q", limit=HANGS)
            want(not status and not out + err, f"-q: {status} {out} {err}")
            time.sleep(0.3)
        self.lab.good("-q")
        for path in (self.folder / "box/new").iterdir():
            self.delivered(path.read_bytes())

    def delivered(self, text):
        """A file of the maildir, as if the server had taken it."""
        fields = text.partition(b"\n\n")[0].split(b"\n")
        rcpt, = (field.partition(b": ")[2].decode() for field in fields
                 if field.startswith(b"Delivered-To: "))
        sender, = (field for field in fields
                   if field.startswith(b"Return-Path: "))
        self.books.take(sender.partition(b": ")[2].decode().strip("<>"),
                        [rcpt], text.replace(b"\n", b"\r\n"))

    def stop(self):
        self.ending.set()
        for pid in runs_in(self.folder):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        self.server.end()


# --- the reckoning ---

def lost(soak):
    """who was owed a message and neither got it nor was reported"""
    books = soak.books
    reported = set()
    for data in books.reports:
        about, rcpts = email_report(data)
        if b"Action: failed" in data:
            reported |= {(about.strip("<>"), rcpt) for rcpt in rcpts}
    missing = [(mid, rcpt) for mid, rcpts in books.due.items()
               for rcpt in rcpts if not books.taken[mid, rcpt] and
               (mid, rcpt) not in reported]
    want(not missing, f"lost {len(missing)}: {missing[:20]}")
    wrong = [(mid, rcpt) for mid, rcpts in books.told.items()
             for rcpt in rcpts if books.taken[mid, rcpt]]
    want(not wrong, f"told as refused, and taken: {wrong[:20]}")
    return [f"lost 0 of {sum(map(len, books.due.values()))} recipients of "
            f"{len(books.due)} accepted messages, {len(books.reports)} "
            f"reports"]


def events(soak):
    """The log's lines; None for one that was cut short."""
    with open(soak.folder / "log", errors="replace") as log:
        for line in log:
            try:
                yield json.loads(line)
            except ValueError:
                yield None


def twice(soak):
    """what came twice was in doubt, which the log says"""
    most = soak.kills + soak.server.lost()
    # recipients are unique, but for the one of all reports
    doubts = collections.Counter(
        event["to"] if event["from"] else event["message_id"].strip("<>")
        for event in events(soak)
        if event and event.get("status") == "duplicate_possible")
    silent = [(mid, rcpt, n) for (mid, rcpt), n in soak.books.taken.items()
              if n > 1 + doubts[mid if rcpt == SENDER else rcpt]]
    want(not silent, f"twice, and not logged as in doubt: {silent[:20]}")
    want(soak.books.again <= most, f"{soak.books.again} transactions came "
         f"twice: {soak.kills} kills, {soak.server.lost()} answers lost")
    return [f"{soak.books.again} of {soak.books.transactions} transactions "
            f"twice, at most {most}"]


def whole(soak):
    """no wrong status, changed message, hanging process or noise"""
    faults = soak.books.faults
    faults += [pathlib.Path(path).read_text(errors="replace")[:3000]
               for path in glob.glob(f"{soak.folder}/*san.*")]
    want(not faults, f"{len(faults)}:\n" + "\n".join(faults[:30]))
    return [f"statuses {dict(soak.books.statuses)}",
            f"faults of the network {dict(soak.server.count)}"]


def clean(soak):
    """nothing is left in the queue, or running"""
    for part in ("mess", "tmp", "corrupt", "../box/tmp"):
        want(not soak.lab.names(part), f"{part}: {soak.lab.names(part)[:20]}")
    eventually(lambda: not runs_in(soak.folder), "the end of all processes")
    eventually(lambda: not soak.server.now, "the end of all sessions")


def logged(soak):
    """the log knows of no fault of the program's own"""
    kinds = collections.Counter()
    damaged = 0
    for event in events(soak):
        damaged += event is None
        if event:
            kinds[event.get("status") or str(event)[:200]] += 1
    usual = {"sent", "deferred", "failed", "queued", "duplicate_possible",
             "delayed"}
    odd = {kind: n for kind, n in kinds.items() if kind not in usual}
    want(not odd and damaged <= soak.kills,
         f"{damaged} lines damaged, {odd}")
    return [f"{ {kind: n for kind, n in kinds.items() if kind in usual} }"]


def flat(soak):
    """descriptors, memory and queue do not grow"""
    n = len(soak.samples)
    if n < 40:
        return ["too short to say"]
    words, grown = [], []
    for name in soak.samples[0]:
        # whoever was not there when it was looked has no size
        second, last = (statistics.median(
            [s[name] for s in part if s[name]] or [0]) for part in
            (soak.samples[n // 4:n // 2], soak.samples[n - n // 4:]))
        # a session has some more descriptors while it sends
        slack = 1024 if "rss" in name else {"bytes": 1 << 20}.get(name, 8)
        words.append(f"{name} {second:g} -> {last:g}, at most "
                     f"{max(s[name] for s in soak.samples)}")
        if last > second * 1.25 + slack:
            grown.append(name)
    want(not grown, f"{grown} grew: " + "; ".join(words))
    return words


def jumped(soak):
    """the clock jumped indeed"""
    dates = {d for d in soak.books.dates if d}
    want(len(dates) > 1, f"{dates}")
    return [f"{len(dates)} days in the messages"]


def main():
    need_programs()
    print(f"# {SECONDS:g} s, SOAK_SEED={SEED}", flush=True)
    checks = (lost, twice, whole, clean, logged, flat, jumped)
    told = Told(len(checks))
    with tempfile.TemporaryDirectory(prefix="test-") as folder:
        soak = Soak(folder)
        try:
            soak.run()
            drained = None
            try:
                soak.drain()
            except Failure as why:
                drained = why
            for check in checks:
                try:
                    if check is clean and drained:
                        raise drained
                    for line in check(soak) or ():
                        print(f"# {line}")
                    told.tell(True, check.__doc__)
                except Failure as why:
                    told.tell(False, check.__doc__, str(why).splitlines())
            if os.environ.get("WIRE_KEEP"):
                shutil.copytree(folder, os.environ["WIRE_KEEP"])
        finally:
            soak.stop()
    return told.end()


if __name__ == "__main__":
    sys.exit(main())
