#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""SIGKILL before every system call: nothing is lost, and what comes twice
was logged as possibly doubled. The calls that touch files and the wire are
all tried, of the others a sample; POSTHASTE_LONG=1 tries one of each stretch
between two of them, POSTHASTE_LONG=every every call."""

import concurrent.futures
import itertools
import os
import shutil
import subprocess
import sys
import threading

sys.dont_write_bytecode = True
# not this folder itself: its names would hide those of the library
sys.path[0] = os.path.join(os.path.dirname(__file__), "../support")
from harness import POSTHASTE, Failure, equal, eventually, want  # noqa: E402
from entries import entry_bytes, grown_journal, message_bytes  # noqa: E402
from lab import (  # noqa: E402
    EVERY, LONG, ROUTE, Lab, Sink, calls_of, email_report, inject,
    need_strace, sample, stretches, tap)

QUEUE = "queue = on_failure\nschedule = 0s\nlifetime = 1d"
# before these lies every state that a crash can leave
TELLING = {"write", "fsync", "fdatasync", "rename", "renameat", "renameat2",
           "linkat", "unlinkat", "unlink", "flock", "ftruncate", "fallocate",
           "sendto", "sendmsg", "recvfrom", "recvmsg", "fork", "vfork",
           "clone", "clone3", "wait4", "exit_group", "mkdir", "mkdirat",
           "syncfs", "utimensat", "fchmod"}


class Tally:
    def __init__(self):
        self.points = self.lost = self.twice = self.killed = 0
        self.faults = []
        self.lock = threading.Lock()

    def words(self, name):
        return (f"{name}: {self.points} points, {self.killed} killed, lost "
                f"{self.lost}, duplicates {self.twice}")


def points_of(trace, most):
    """(call, n) to kill before: all telling ones, others by sample."""
    if LONG and not EVERY:
        telling, between = stretches(trace, TELLING.__contains__)
        # the next telling call lies at the other end
        return telling + [stretch[0] for stretch in between]
    calls = {c: n for c, n in calls_of(trace).items() if c != "execve"}
    telling = [(c, n + 1) for c in sorted(calls) if c in TELLING
               for n in range(calls[c])]
    others = [(c, n + 1) for c in sorted(calls) if c not in TELLING
              for n in range(calls[c])]
    return telling + sample(others, most)


def doubted(lab, rcpt):
    return any(e.get("status") == "duplicate_possible" and e.get("to") == rcpt
               for e in lab.events())


class Sweep:
    """One deed, killed at each of its points in a queue of its own."""

    def __init__(self, folder, sink, prepare, deed, judge, queue=QUEUE,
                 most=25):
        self.folder, self.sink = folder, sink
        self.prepare, self.deed, self.judge = prepare, deed, judge
        self.queue, self.most = queue, most
        self.number = itertools.count()
        self.tally = Tally()

    def lab(self):
        mid = f"k{next(self.number)}"
        lab = Lab(f"{self.folder}/{mid}", self.sink.port, self.queue)
        lab.make_queue()
        self.prepare(lab, mid)
        return lab, mid

    def trace(self):
        lab, mid = self.lab()
        trace = f"{self.folder}/trace"
        status, _, err = self.deed(lab, mid, ["strace", "-f", "-qq", "-o",
                                              trace])
        self.end(lab, mid, status, f"unkilled ({err!r})")
        want(self.tally.twice == 0, "a duplicate without a kill")
        return trace

    def end(self, lab, mid, status, where):
        """Runs the queue to its end and judges."""
        try:
            lab.drain(limit=60)
            equal(lab.names("tmp"), [], "left in tmp")
            equal(lab.names("corrupt"), [], "in corrupt")
            self.judge(self, lab, mid, status)
        except Failure as why:
            with self.tally.lock:
                self.tally.faults.append(f"{where}: {why}")

    def point(self, call, n):
        lab, mid = self.lab()
        trace = lab.folder / "trace"
        status, _, _ = self.deed(lab, mid, inject(call, "signal=KILL", n,
                                                  str(trace)))
        with self.tally.lock:
            self.tally.points += 1
            self.tally.killed += b"killed by SIGKILL" in trace.read_bytes()
        self.end(lab, mid, status, f"before {call} {n}")
        if not os.environ.get("WIRE_KEEP"):
            shutil.rmtree(lab.folder, ignore_errors=True)

    def count(self, lab, mid, rcpt, least):
        """The accepted copies of a message for one recipient: at least so
        many, and more than one only where the log owns up to it."""
        n = self.sink.counts(lambda a: True).get((mid, rcpt), 0)
        with self.tally.lock:
            self.tally.lost += n < least
            self.tally.twice += max(0, n - 1)
        want(n >= least, f"{rcpt}: LOST")
        want(n < 2 or doubted(lab, rcpt),
              f"{rcpt}: {n} times, and not logged as possibly doubled")
        want(n < 3, f"{rcpt}: {n} times")

    def run(self, name):
        points = points_of(self.trace(), self.most)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda p: self.point(*p), points))
        words = [self.tally.words(name)]
        if self.tally.faults:
            raise Failure("\n".join(words + self.tally.faults[:30]))
        want(self.tally.killed > len(points) * 2 // 3,
              f"hardly killed: {words}")
        return words


def nothing(_lab, _mid):
    pass


def whole(sweep, mid):
    for a in list(sweep.sink.accepted):
        if a.id == mid:
            want(a.data.endswith(b"\r\n\r\nhi\r\n"),
                  f"not the message: {a.data!r}")


# --- into the queue ---

def submission(folder):
    """submission into the queue"""
    need_strace()

    def deed(lab, mid, wrap):
        return lab.submit(mid, "a@example.net", "b@example.net",
                          args=["-odq"], wrap=wrap)

    def judge(sweep, lab, mid, status):
        want(status in (0, -9, 137), f"status {status}")
        for rcpt in ("a@example.net", "b@example.net"):
            sweep.count(lab, mid, rcpt, status == 0)
        whole(sweep, mid)

    with Sink() as sink:
        return Sweep(folder, sink.up(), nothing, deed, judge).run("-odq")


def first_submission(folder):
    """the first submission, which makes the queue"""
    need_strace()

    def prepare(lab, _):
        shutil.rmtree(lab.queue)

    def deed(lab, mid, wrap):
        return lab.submit(mid, "a@example.net", args=["-odq"], wrap=wrap)

    def judge(sweep, lab, mid, status):
        sweep.count(lab, mid, "a@example.net", status == 0)
        whole(sweep, mid)

    with Sink() as sink:
        return Sweep(folder, sink.up(), prepare, deed, judge,
                     most=5).run("-odq in a new queue")


def failed_submission(folder):
    """a try that fails for now, then the queue"""
    need_strace()

    def deed(lab, mid, wrap):
        return lab.submit(mid, "a@example.net", "later@example.net",
                          wrap=wrap)

    def judge(sweep, lab, mid, status):
        want(status in (0, -9, 137), f"status {status}")
        # a caller that was killed knows nothing; one that got 0 may forget
        sweep.count(lab, mid, "a@example.net", status == 0)
        whole(sweep, mid)
        n = sum(e.get("status") in ("deferred", "queued") and
                e["to"] == "later@example.net" for e in lab.events())
        want(status or n, "later@example.net: LOST")

    class Patient(Sweep):
        def end(self, lab, mid, status, where):
            held = [r["address"] for e in lab.list() for r in e["recipients"]]
            if status == 0 and held != ["later@example.net"]:
                self.tally.faults.append(f"{where}: held {held}")
            for entry in lab.list():
                lab.good("--remove", entry["id"])
            super().end(lab, mid, status, where)

    with Sink() as sink:
        return Patient(folder, sink.up(), nothing, deed, judge,
                       "queue = on_failure\nschedule = 1h").run("on_failure")


# --- out of the queue ---

RCPTS = ["a@example.net", "b@example.net", "c@example.net"]


def put_three(lab, mid):
    lab.put(1, entry_bytes(RCPTS, message_bytes(mid, b"hi\r\n")))


def run_queue(lab, _mid, wrap):
    return lab.run("-q", wrap=wrap)


def judge_three(sweep, lab, mid, _status):
    for rcpt in RCPTS:
        sweep.count(lab, mid, rcpt, 1)
    whole(sweep, mid)
    equal([a for a in sweep.sink.reports() if mid.encode() + b">" in a.data],
          [], "reports")


def delivery(folder):
    """delivery of a message with three recipients, by DATA"""
    need_strace()
    with Sink() as sink:
        return Sweep(folder, sink.up(), put_three, run_queue,
                     judge_three).run("-q, DATA")


def delivery_bdat(folder):
    """delivery of a message with three recipients, by BDAT"""
    need_strace()
    with Sink(chunking=True) as sink:
        return Sweep(folder, sink.up(), put_three, run_queue, judge_three,
                     most=5).run("-q, BDAT")


def two_messages(folder):
    """two messages over one connection: one in doubt at most"""
    need_strace()

    def prepare(lab, mid):
        for i in (1, 2):
            lab.put(i, entry_bytes(RCPTS[:1], message_bytes(f"{mid}.{i}",
                                                            b"hi\r\n")))

    def judge(sweep, lab, mid, _status):
        for i in (1, 2):
            sweep.count(lab, f"{mid}.{i}", RCPTS[0], 1)
            whole(sweep, f"{mid}.{i}")
        counts = sweep.sink.counts()
        want(sum(counts[f"{mid}.{i}", RCPTS[0]] for i in (1, 2)) < 4,
              "both came twice")

    with Sink() as sink:
        return Sweep(folder, sink.up(), prepare, run_queue, judge,
                     most=5).run("-q, two messages")


def compaction(folder):
    """delivery of a message whose journal is written anew on the way"""
    need_strace()

    def prepare(lab, mid):
        lab.put(1, entry_bytes(RCPTS, message_bytes(mid, b"hi\r\n"),
                               journal=grown_journal()))

    def judge(sweep, lab, mid, _status):
        for rcpt in RCPTS[1:]:
            sweep.count(lab, mid, rcpt, 1)
        equal(sweep.sink.counts().get((mid, RCPTS[0]), 0), 0,
              "sent once more")
        whole(sweep, mid)
        want(not [e for e in lab.events() if "compacted" in
                   e.get("text", "")], "it was not written anew")

    with Sink() as sink:
        return Sweep(folder, sink.up(), prepare, run_queue, judge,
                     most=5).run("-q, compaction")


def removal(folder):
    """--remove: there or gone, and gone for good after 0"""
    need_strace()

    def deed(lab, mid, wrap):
        return lab.run("--remove", "made000000000001", wrap=wrap)

    def judge(sweep, lab, mid, status):
        for rcpt in RCPTS:
            sweep.count(lab, mid, rcpt, 0)
        counts = sweep.sink.counts()
        want(status or not any((mid, r) in counts for r in RCPTS),
              "removed, and sent nevertheless")
        equal(len({counts.get((mid, r), 0) for r in RCPTS}), 1, "a part")

    with Sink() as sink:
        return Sweep(folder, sink.up(), put_three, deed, judge,
                     most=10).run("--remove")


def orders(folder):
    """--hold, then --retry --transport, then --release: never lost"""
    need_strace()
    words = []

    def judge(sweep, lab, mid, _status):
        for rcpt in RCPTS:
            sweep.count(lab, mid, rcpt, 1)
        whole(sweep, mid)

    class Releasing(Sweep):
        def end(self, lab, mid, status, where):
            lab.good("--release", "made000000000001")
            super().end(lab, mid, status, where)

    for args in (["--hold", "made000000000001"],
                 ["--retry", "made000000000001", "--transport", "relay"]):
        with Sink() as sink:
            words += Releasing(
                f"{folder}/{args[0]}", sink.up(), put_three,
                lambda lab, mid, wrap, args=args: lab.run(*args, wrap=wrap),
                judge, most=5).run(args[0])
    return words


# --- reports ---

def reported(sweep, mid):
    """How often each recipient was reported as failed about a message, by
    the ids of the reports."""
    found = {}
    for a in sweep.sink.reports():
        if f"<{mid}>".encode() not in a.data:
            continue
        about, rcpts = email_report(a.data)
        if about == f"<{mid}>":
            for rcpt in rcpts:
                found.setdefault(rcpt, []).append(a.id)
    return found


def report(folder):
    """a refused recipient's report: made once, never lost"""
    need_strace()
    rcpts = ["a@example.net", "no1@example.net", "no2@example.net"]

    def prepare(lab, mid):
        lab.put(1, entry_bytes(rcpts, message_bytes(mid, b"hi\r\n")))

    def judge(sweep, lab, mid, _status):
        sweep.count(lab, mid, rcpts[0], 1)
        found = reported(sweep, mid)
        for rcpt in rcpts[1:]:
            ids = found.get(rcpt, [])
            sweep.tally.lost += not ids
            sweep.tally.twice += max(0, len(ids) - 1)
            want(ids, f"the report about {rcpt} is LOST")
            equal(len(set(ids)), 1, f"reports made about {rcpt}")
            want(len(ids) == 1 or doubted(lab, "s@test.example"),
                  f"the report about {rcpt} came {len(ids)} times")

    with Sink() as sink:
        return Sweep(folder, sink.up(), prepare, run_queue, judge,
                     most=10).run("-q, report")


def second_report(folder):
    """one refused now, one after the crash: both are reported"""
    need_strace()
    rcpts = ["no1@example.net", "soon2@example.net"]

    def prepare(lab, mid):
        lab.put(1, entry_bytes(rcpts, message_bytes(mid, b"hi\r\n")))

    def answer(rcpt):
        return ("550 5.1.1 no such user" if rcpt.startswith("no") else
                "450 4.2.1 not yet" if rcpt.startswith("soon") else "250 ok")

    def judge(sweep, lab, mid, _status):
        found = reported(sweep, mid)
        for rcpt in rcpts:
            ids = found.get(rcpt, [])
            sweep.tally.lost += not ids
            sweep.tally.twice += max(0, len(ids) - 1)
            want(ids, f"the report about {rcpt} is LOST")
            equal(len(set(ids)), 1, f"reports made about {rcpt}")
            want(len(ids) == 1 or doubted(lab, "s@test.example"),
                  f"the report about {rcpt} came {len(ids)} times")

    class Two(Sweep):
        """Two sinks: the second, used after the kill, refuses both."""
        def end(self, lab, mid, status, where):
            lab.port = self.worse.port
            lab.configure(self.queue)
            super().end(lab, mid, status, where)

    with Sink(answer=answer) as sink, Sink(
            answer=lambda r: "250 ok" if r.startswith("s@") else
            "550 5.1.1 closed") as worse:
        sweep = Two(folder, sink.up(), prepare, run_queue, judge, most=10)
        sweep.worse = worse.up()
        # what either took counts
        worse.accepted = sink.accepted
        return sweep.run("-q, a second report")


# --- workers ---

def two_ways(folder):
    """two destinations in the foreground: a worker's death is owned up to"""
    need_strace()
    rcpts = ["a@one.example", "b@two.example"]

    def deed(lab, mid, wrap):
        return lab.submit(mid, *rcpts, wrap=wrap)

    def judge(sweep, lab, mid, status):
        for rcpt in rcpts:
            sweep.count(lab, mid, rcpt, status == 0)
        want(status in (0, -9, 137), f"status {status}")

    class TwoWays(Sweep):
        def lab(self):
            mid = f"k{next(self.number)}"
            lab = Lab(f"{self.folder}/{mid}", self.sink.port)
            lab.configure(self.queue, f"""[route one]
to_domain = one.example
transport = other
[transport other]
kind = smtp
host = 127.0.0.1
port = {self.sink.port}
no_starttls = yes
""" + ROUTE)
            lab.make_queue()
            return lab, mid

    with Sink() as sink:
        # not due at once: no run of its own that would be killed as well
        return TwoWays(folder, sink.up(), nothing, deed, judge,
                       "queue = on_failure\nschedule = 1h",
                       most=10).run("two destinations")


def orphans(folder):
    """a runner dies, its worker goes on: the next runner leaves it alone"""
    with Sink(slow=1.0) as sink:
        lab = Lab(folder, sink.up().port, QUEUE)
        lab.make_queue()
        put_three(lab, "orphan")
        child = subprocess.Popen([POSTHASTE, "-C", str(lab.config), "-q"],
                                 env=lab.env, cwd=folder)
        eventually(lambda: sink.data, "the message's bytes")
        child.kill()
        child.wait()
        lab.good("-q")
        equal(len(lab.names()), 1, "entries")
        eventually(lambda: not sink.now, "the worker's end")
        lab.drain()
        equal(sink.counts(), {("orphan", rcpt): 1 for rcpt in RCPTS},
              "accepted")
        want("duplicate_possible" not in lab.log(), "doubt")


if __name__ == "__main__":
    sys.exit(tap([
        submission, first_submission, failed_submission, delivery,
        delivery_bdat, two_messages, compaction, removal, orders, report, second_report,
        two_ways, orphans],
        workers=1))
