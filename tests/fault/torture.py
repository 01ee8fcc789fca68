#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The n-th allocation and the n-th system call fail, for all n: in a
submission, a -bs session, a run of the queue, posthaste-drop and a report.
Never a lost message, a wrong status, a hang or a leak. What did not happen
(EINTR, EAGAIN) or happened in part (one octet) changes nothing at all.

    torture.py [WAY ...]    some points of each way; make torture
                            (POSTHASTE_LONG=every) has all

An allocation counts if the program asks for it, itself or by way of the C
library; GnuTLS and the loader without memory are not ours to mend."""

import concurrent.futures
import contextlib
import itertools
import os
import pathlib
import re
import select
import shutil
import signal
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
# not this folder itself: its names would hide those of the library
sys.path[0] = os.path.join(os.path.dirname(__file__), "../support")
import harness  # noqa: E402
from harness import POSTHASTE, Failure, equal, want  # noqa: E402
from entries import entry_bytes, message_bytes  # noqa: E402
from lab import EVERY, Accepted, Lab, Sink, ROUTE  # noqa: E402

DROP = os.path.join(os.path.dirname(POSTHASTE), "posthaste-drop")
LIMIT = 20                      # seconds; whatever takes longer hangs
TIMEOUT = 15                    # of the program, for each answer
# points of a way that make check tries; a sanitized program is slow
SAMPLE = 0 if EVERY else 20 if harness.sanitized() else 60
# as in torture.c
COUNTERS = ("allocation", "EINTR", "short", "EAGAIN", "EMFILE", "ENFILE",
            "ENOMEM")
# which calls fail: the n-th, or all from there on
KINDS = (("allocation", ""), ("allocation", "+"), ("EINTR", ""),
         ("short", ""), ("EAGAIN", ""), ("EMFILE", ""), ("EMFILE", "+"),
         ("ENFILE", ""), ("ENOMEM", ""), ("ENOMEM", "+"))
HARMLESS = ("EINTR", "short", "EAGAIN")
# what is lacking here and now: try again
LACKING = (71, 73, 74, 75)
BODY = "first line\n.\n..two dots\n" + 70 * "x" + "\nlast line"
WIRE_BODY = BODY.replace("\n", "\r\n").encode() + b"\r\n"
# more than is kept in memory
LARGE = 1250 * (900 * "x" + "\n")


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
    a login if there are certificates."""
    def __init__(self, certificates=None):
        super().__init__(answer=self.answers)
        self.accepted = Received()
        self.welcome = set()
        self.context = None
        if certificates:
            self.features = b"250-AUTH PLAIN LOGIN\r\n"
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(f"{certificates}/good.pem",
                                         f"{certificates}/good.key")

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
               "TORTURE_QUEUE": str(self.lab.queue)}
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


# --- the ways ---

class Way:
    """What is done, and what must hold. rcpts: those whom the message has to
    reach; at_once: those of them whom it has reached when all went well."""
    name = None
    queue = "queue = on_failure\nschedule = 1h"
    tls = False
    before = ""         # the usual body
    transport = ""      # lines of one of its own, with {folder}
    weight = 1          # so many times fewer points in make check

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
                bench.lab.env, bench.lab.folder)
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


class Submission(Way):
    args = ()
    at_once = ("a@example.net",)
    held = ()

    def rcpts(self, mid):
        return [r.replace("MID", mid) for r in (*self.at_once, *self.held)]

    def deed(self, bench, mid, env):
        text = (f"Message-ID: <{mid}>\nTo: {self.rcpts(mid)[0]}\n"
                f"Subject: test\n\n{self.before}{BODY}\n").encode()
        return play([POSTHASTE, "-C", str(bench.lab.config), "-i", "-f",
                     "s@test.example", *self.args, *self.rcpts(mid)],
                    text, env, bench.lab.folder)

    def judge(self, t, bench, mid, done):
        before = {r: t.sink.accepted.count(mid, r) for r in self.rcpts(mid)}
        # some have it: to try again for all is as wrong
        some = any(before.values()) and not all(before.values())
        done.judge_status((69,) if some else ())
        told = some or told_words(bench, done.err)
        if done.harmless:
            equal([n for n in before.values()],
                  [1] * len(self.at_once) + [0] * len(self.held), "at once")
        if done.status:
            want(told or not any(before.values()),
                 f"delivered, and status {done.status}")
        self.settle(t, bench, mid)
        for r in self.rcpts(mid):
            least = 1 if done.status == 0 else 0
            most = 1 if done.status == 0 or before[r] else 0
            count(t, bench, mid, r, least, most, done.err)


class Plain(Submission):
    name = "submit"


class Later(Submission):
    name = "submit, one for later"
    held = ("laterMID@example.net",)
    queue = "queue = on_failure\nschedule = 1h"


class Large(Later):
    name = "submit what memory does not hold"
    before = LARGE
    weight = 6


class Queued(Submission):
    name = "submit to the queue"
    args = ("-odq",)
    at_once = ()
    held = ("a@example.net",)


class NewQueue(Queued):
    name = "submit to a new queue"

    def prepare(self, bench, mid):
        shutil.rmtree(bench.lab.queue)


class Tls(Submission):
    name = "submit by TLS, with a login"
    tls = True


class Local(Submission):
    """Mail that stays here: the files of a folder are what arrived."""
    def prepare(self, bench, mid):
        for name in ("box", "part"):
            shutil.rmtree(bench.lab.folder / name, ignore_errors=True)
        (bench.lab.folder / "box/new").mkdir(parents=True)
        (bench.lab.folder / "part").mkdir()

    def take(self, t, bench):
        for path in (bench.lab.folder / "box/new").iterdir():
            data = path.read_bytes().replace(b"\n", b"\r\n")
            to = re.search(rb"^(?:Delivered-To|To): (.*)\r", data, re.M)
            want(to, f"this arrived: {data[:300]!r}")
            t.sink.accepted.append(Accepted(
                "s@test.example", [to.group(1).decode()], data, 0))
            path.unlink()

    def judge(self, t, bench, mid, done):
        self.take(t, bench)
        super().judge(t, bench, mid, done)

    def settle(self, t, bench, mid):
        super().settle(t, bench, mid)
        self.take(t, bench)


class Maildir(Local):
    name = "submit to a maildir"
    transport = "kind = maildir\npath = {folder}/box\n"


class Command(Local):
    """One that has the message only if it was all there."""
    name = "submit to a command"
    before = 200 * (900 * "x" + "\n")      # more than a pipe holds
    transport = "kind = command\ncommand = f=$(mktemp {folder}/part/XXXXXX)" \
        " && cat >$f && mv $f {folder}/box/new/\n"


class Session(Way):
    """Two messages by -bs."""
    name = "-bs"
    args = ()

    def deed(self, bench, mid, env):
        child = subprocess.Popen(
            [POSTHASTE, "-C", str(bench.lab.config), "-bs", *self.args],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env=env, cwd=bench.lab.folder,
            start_new_session=True, bufsize=0)
        self.took = {}
        try:
            verdicts = Dialogue(child).two(mid)
            status, out, err = harness.finish(child, b"", LIMIT)
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.communicate()
        return status, verdicts, err

    def judge(self, t, bench, mid, done):
        verdicts = done.out
        want(done.status >= 0, f"ended by signal {-done.status}")
        want(done.status in (0, *LACKING), "the status")
        mids = [f"{mid}.{n}" for n in (1, 2)]
        before = [t.sink.accepted.count(m, "a@example.net") for m in mids]
        if done.harmless or not done.kind:
            equal((verdicts, done.status, done.err), ([250, 250], 0, b""),
                  "it did harm")
        for code, n in zip(verdicts, before):
            want(code is None or code == 250 or 400 <= code < 500,
                 f"answer {code}")
            want(code in (None, 250) or not n or
                 told_words(bench, done.err),
                 f"delivered, and answer {code}")
        want(done.status == 0 or done.err or 421 in verdicts, "not a word")
        self.settle(t, bench, mid)
        for m, code, n in zip(mids, verdicts, before):
            # without an answer nobody knows
            count(t, bench, m, "a@example.net", int(code == 250),
                  1 if code in (250, None) or n else 0, done.err)


class SessionQueued(Session):
    name = "-bs to the queue"
    args = ("-odq",)


class Dialogue:
    """The client of a session; an answer is its code, None: there is none."""
    def __init__(self, child):
        self.child, self.data = child, b""
        self.end = time.monotonic() + LIMIT

    def answer(self):
        while True:
            line, nl, rest = self.data.partition(b"\n")
            if nl:
                self.data = rest
                if line[3:4] != b"-":
                    return int(line[:3])
                continue
            ready, _, _ = select.select([self.child.stdout], [], [],
                                        max(0, self.end - time.monotonic()))
            want(ready, "HANGS")
            more = os.read(self.child.stdout.fileno(), 4096)
            if not more:
                return None
            self.data += more

    def say(self, text):
        try:
            self.child.stdin.write(text.encode())
        except BrokenPipeError:
            return None
        return self.answer()

    def two(self, mid):
        verdicts = []
        if self.answer() is None or self.say("EHLO client\r\n") is None:
            return [None, None]
        body = re.sub(r"(?m)^\.", "..", BODY).replace("\n", "\r\n")
        for n in (1, 2):
            code = self.say("MAIL FROM:<s@test.example>\r\n")
            if code == 250:
                code = self.say("RCPT TO:<a@example.net>\r\n")
            if code == 250:
                code = self.say("DATA\r\n")
            if code == 354:
                code = self.say(f"Message-ID: <{mid}.{n}>\r\n"
                                f"Subject: test\r\n\r\n{body}\r\n.\r\n")
            verdicts.append(code)
            if code != 250 and code is not None:
                self.say("RSET\r\n")
        self.say("QUIT\r\n")
        return verdicts


class Run(Way):
    """Two entries, one of which is refused for now."""
    name = "-q"

    def mids(self, mid):
        return {mid: "a@example.net", mid + ".l": f"later{mid}@example.net"}

    def prepare(self, bench, mid):
        for i, (m, rcpt) in enumerate(self.mids(mid).items()):
            bench.lab.put(i, entry_bytes([rcpt], message_bytes(m, WIRE_BODY)))

    def deed(self, bench, mid, env):
        return play([POSTHASTE, "-C", str(bench.lab.config), "-q"], b"", env,
                    bench.lab.folder)

    def judge(self, t, bench, mid, done):
        done.judge_status()
        if done.harmless:
            equal([t.sink.accepted.count(m, r) for m, r in
                   self.mids(mid).items()], [1, 0], "at once")
            equal(len(bench.lab.names()), 1, "entries")
        self.settle(t, bench, mid)
        for m, rcpt in self.mids(mid).items():
            count(t, bench, m, rcpt, 1, 1, done.err)
        want(f"report {mid}" not in t.sink.accepted and
             f"report {mid}.l" not in t.sink.accepted, "it was given up")


class Report(Way):
    """A message that is refused for one, and reaches the other."""
    name = "-q that reports"

    def prepare(self, bench, mid):
        bench.lab.put(1, entry_bytes(["no@example.net", "a@example.net"],
                                     message_bytes(mid, WIRE_BODY)))

    deed = Run.deed

    def judge(self, t, bench, mid, done):
        done.judge_status()
        self.settle(t, bench, mid)
        count(t, bench, mid, "a@example.net", 1, 1, done.err)
        reports = t.sink.accepted.get(f"report {mid}", ())
        want(reports, "the report is LOST")
        equal(len({r.id for r in reports}), 1, "reports made")
        want(len(reports) == 1 or told_words(bench, done.err),
             f"the report came {len(reports)} times")
        for r in reports:
            want(b"no@example.net" in r.data and
                 b"a@example.net" not in r.data.replace(
                     b"no@example.net", b""), "about whom")


class Drop(Way):
    name = "posthaste-drop"
    queue = "queue = on_failure\nschedule = 0s"

    def deed(self, bench, mid, env):
        entry = entry_bytes(["a@example.net"], message_bytes(mid, WIRE_BODY))
        return play([DROP, "write", "0"],
                    b"posthaste-drop 1 %d\n" % len(entry) + entry, env,
                    bench.lab.folder)

    def judge(self, t, bench, mid, done):
        done.judge_status()
        names = bench.lab.names()
        equal(len(names), int(done.status == 0), "entries")
        if names:
            equal(done.out.decode().strip(), names[0].split(",")[0], "id")
        self.settle(t, bench, mid)
        want_n = int(done.status == 0)
        count(t, bench, mid, "a@example.net", want_n, want_n)


class DropList(Drop):
    name = "posthaste-drop that lists"

    def prepare(self, bench, mid):
        bench.lab.put(1, entry_bytes(["a@example.net"],
                                     message_bytes(mid, WIRE_BODY)))

    def deed(self, bench, mid, env):
        return play([DROP, "list"], b"", env, bench.lab.folder)

    def judge(self, t, bench, mid, done):
        done.judge_status()
        equal(len(bench.lab.names()), 1, "entries")
        want(done.status or b"rcpt a@example.net\n" in done.out,
             f"0, and the list is {done.out!r}")
        self.settle(t, bench, mid)
        count(t, bench, mid, "a@example.net", 1, 1)


WAYS = [Plain, Later, Large, Queued, NewQueue, Tls, Maildir, Command, Session,
        SessionQueued, Run, Report, Drop, DropList]


# --- all of them ---

class Torture:
    def __init__(self, way, folder, library, certificates, workers):
        self.way = way()
        self.sink = TortureSink(certificates if way.tls else None).up()
        self.lock = threading.Lock()
        self.faults, self.kinds, self.doubles = [], {}, 0
        more = ROUTE
        if way.tls:
            secret = pathlib.Path(folder, "password")
            secret.write_text("pencil\n")
            secret.chmod(0o600)
            more = (f"{ROUTE}[transport secure]\nkind = submissions\n"
                    f"host = localhost\nport = {self.sink.port}\n"
                    f"username = user\npassword_file = {secret}\n"
                    f"ca_file = {certificates}/ca.pem\n").replace(
                        "transport = relay", "transport = secure")
        if way.transport:
            more = "[route all]\ntransport = here\n[transport here]\n" + \
                way.transport
        self.benches = []
        for n in range(workers):
            here = f"{folder}/{n}"
            self.benches.append(Bench(here, library, self.sink.port, way.queue,
                                      more.replace("{folder}", here)))
        self.numbers = itertools.count()
        self.open = None

    def twice(self):
        with self.lock:
            self.doubles += 1

    def once(self, bench, kind, n, on):
        """One run; gives whether the call was reached."""
        mid = f"t{next(self.numbers)}"
        bench.clear()
        self.way.prepare(bench, mid)
        status, out, err, what = None, b"", b"", "?"
        env = bench.env(kind, n, on)
        try:
            status, out, err = self.way.deed(bench, mid, env)
            calls, failed, fds, what = bench.counted()
            if kind and not failed:
                return None
            self.way.judge(self, bench, mid,
                           Done(kind, status, out, err))
            if fds and self.open:
                want(fds <= self.open, f"{fds} descriptors are open at the "
                     f"end, not {self.open}")
            if not kind:
                self.open = fds
        except Failure as why:
            with self.lock:
                self.faults.append(f"{kind or 'no fault'} {n}{on} ({what}): "
                                   f"{why} (status {status}, "
                                   f"{err[-300:]!r})")
            return True
        return calls if not kind else True

    def sweep(self):
        calls = self.once(self.benches[0], None, 0, "")
        if self.faults:
            return
        points = []
        for kind, on in KINDS:
            points += [(kind, n, on) for n in range(1, calls[kind] + 1)]
        most = SAMPLE // self.way.weight
        if SAMPLE and len(points) > most:
            points = [points[i * len(points) // most] for i in range(most)]
        free = list(self.benches)

        def point(p):
            with self.lock:
                bench = free.pop()
            try:
                reached = self.once(bench, *p)
            finally:
                with self.lock:
                    free.append(bench)
            with self.lock:
                name = p[0] + p[2]
                if reached:
                    self.kinds[name] = self.kinds.get(name, 0) + 1

        with concurrent.futures.ThreadPoolExecutor(len(free)) as pool:
            list(pool.map(point, points))


def build(folder):
    library = f"{folder}/torture.so"
    source = os.path.join(harness.TOP, "tests/fault/torture.c")
    harness.command(*os.environ.get("CC", "cc").split(), "-std=gnu11",
                    "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl")
    return library


def test_of(way, library):
    def test(folder, certificates):
        begin = time.monotonic()
        t = Torture(way, folder, library, certificates, 4)
        with t.sink:
            t.sweep()
        if not t.kinds and not t.faults:
            raise Failure("no point at all")
        points = sum(t.kinds.values())
        words = [f"{points} points, {len(t.faults)} failures, "
                 f"{t.doubles} may have come twice and said so; "
                 f"{time.monotonic() - begin:.0f} s",
                 ", ".join(f"{k} {n}" for k, n in sorted(t.kinds.items()))]
        with LOCK:
            TOTAL[0] += points
            TOTAL[1] += len(t.faults)
        if t.faults:
            raise Failure("\n".join(words + t.faults))
        return words
    test.__name__ = way.__name__
    return way.name, test


LOCK = threading.Lock()
TOTAL = [0, 0]


def main():
    if os.access("/dev/shm", os.W_OK):
        tempfile.tempdir = "/dev/shm"
    with tempfile.TemporaryDirectory() as folder:
        library = build(folder)
        status = harness.tap([test_of(way, library) for way in WAYS], 1)
    print(f"# {TOTAL[0]} points, {TOTAL[1]} failures")
    return status


if __name__ == "__main__":
    sys.exit(main())
