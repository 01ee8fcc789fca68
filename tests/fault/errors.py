#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors of the file system at every call that can have one: never 0 unless
held or delivered, never "try again" when somebody has it, nothing lost. The
quick tier tries every place with one error, POSTHASTE_LONG=1 with one for
once and another from then on, POSTHASTE_LONG=every with all."""

import concurrent.futures
import contextlib
import itertools
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading

sys.dont_write_bytecode = True
# not this folder itself: its names would hide those of the library
sys.path[0] = os.path.join(os.path.dirname(__file__), "../support")
from harness import Failure, Skip, equal, need, want  # noqa: E402
from entries import entry_bytes, message_bytes  # noqa: E402
from disk import tmpfs  # noqa: E402
from lab import (  # noqa: E402
    EVERY, LONG, Lab, Sink, calls_of, email_report, inject, need_strace,
    sample, tap)

ERRORS = ["ENOSPC", "EDQUOT", "EIO", "EROFS"]
CALLS = {"write", "fsync", "fdatasync", "syncfs", "rename", "renameat",
         "renameat2", "linkat", "openat", "close", "mkdir", "mkdirat",
         "fallocate", "ftruncate", "fchmod", "unlinkat", "pread64",
         "newfstatat", "fstat", "getdents64", "flock", "faccessat",
         "faccessat2", "utimensat"}
AGAIN = (71, 73, 74, 75)     # "nothing is kept, try again"


def points_of(calls):
    """(call, n, error, from then on?), each place at least once."""
    places = [(c, n + 1) for c in sorted(calls) if c in CALLS
              for n in range(calls[c])]
    if EVERY:
        return [(c, n, e, on) for c, n in places for e in ERRORS
                for on in (False, True) if c != "close" or not on]
    # those that come often are most of them the loader's
    few = [p for p in places if p[0] not in ("openat", "close", "fstat",
                                             "newfstatat", "pread64")]
    loading = sample([p for p in places if p not in few], 30)
    if LONG:
        return [(c, n, ERRORS[(i + on) % 4], bool(on))
                for i, (c, n) in enumerate(few + loading)
                for on in ((0, 1) if c != "close" else (0,))]
    few += loading
    return [(c, n, ERRORS[i % 4], i % 3 == 2 and c != "close")
            for i, (c, n) in enumerate(few)]


def owned_up(lab, rcpt):
    return any(e.get("status") == "duplicate_possible" and
               e.get("to") == rcpt for e in lab.events()) or \
        "is not recorded" in lab.log()


class Sweep:
    def __init__(self, folder, sink, prepare, deed, judge, queue,
                 closes=True):
        # strace leaves out the call that it lets fail: a pipe would stay
        # open, and its reader wait
        self.closes = closes
        self.folder, self.sink, self.queue = folder, sink, queue
        self.prepare, self.deed, self.judge = prepare, deed, judge
        self.number = itertools.count()
        self.lock = threading.Lock()
        self.faults, self.lost, self.twice, self.statuses = [], 0, 0, {}

    def lab(self):
        mid = f"e{next(self.number)}"
        lab = Lab(f"{self.folder}/{mid}", self.sink.port, self.queue)
        lab.make_queue()
        self.prepare(lab, mid)
        return lab, mid

    def point(self, call, n, error, on):
        lab, mid = self.lab()
        where = f"{error} at {call} {n}{'+' if on else ''}"
        status, err = None, b""
        try:
            status, _, err = self.deed(lab, mid, inject(
                call, f"error={error}", f"{n}+" if on else n))
            with self.lock:
                self.statuses[status] = self.statuses.get(status, 0) + 1
            want(status >= 0, f"ended by signal {-status}")
            want(status == 0 or err or call == "write",
                  f"status {status} without a word")
            held = self.held(lab)
            had = set(self.sink.counts())
            lab.drain(limit=60)
            equal(lab.names("tmp"), [], "left in tmp")
            equal(lab.names("corrupt"), [], "in corrupt")
            self.judge(self, lab, mid, status, held, had, on)
        except Failure as why:
            with self.lock:
                self.faults.append(
                    f"{where}: {why} (status {status}, {err[-200:]!r})")
        if not os.environ.get("WIRE_KEEP"):
            shutil.rmtree(lab.folder, ignore_errors=True)

    @staticmethod
    def held(lab):
        return {r["address"] for e in lab.list() for r in e["recipients"]
                if r["status"] in ("queued", "deferred")}

    def count(self, lab, mid, rcpt, least, on):
        n = self.sink.counts().get((mid, rcpt), 0)
        with self.lock:
            self.lost += n < least
            self.twice += max(0, n - 1)
        want(n >= least, f"{rcpt}: LOST")
        want(n < 2 or on or owned_up(lab, rcpt),
              f"{rcpt}: {n} times without a word in the log")
        want(n < 3, f"{rcpt}: {n} times")
        return n

    def run(self, name):
        lab, mid = self.lab()
        trace = f"{self.folder}/trace"
        self.deed(lab, mid, ["strace", "-f", "-o", trace])
        calls = calls_of(trace)
        if not self.closes:
            calls.pop("close", None)
        points = points_of(calls)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda p: self.point(*p), points))
        seen = ", ".join(f"{n} x {s}" for s, n in
                         sorted(self.statuses.items()))
        words = [f"{name}: {len(points)} points, lost {self.lost}, "
                 f"duplicates {self.twice}; statuses {seen}"]
        if self.faults:
            raise Failure("\n".join(words + self.faults[:40]))
        return words


def nothing(_lab, _mid):
    pass


def judge_submission(rcpts):
    def judge(sweep, lab, mid, status, held, had, on):
        for rcpt in rcpts:
            accepted = (mid, rcpt) in had
            if status == 0:
                want(accepted or rcpt in held,
                      f"{rcpt}: 0, and neither sent nor held")
            if status in AGAIN:
                want(not accepted, f"{rcpt}: accepted")
                want(rcpt not in held, f"{rcpt}: held")
            n = sweep.count(lab, mid, rcpt, status == 0, on)
            want(status == 0 or accepted or not n, f"{rcpt}: sent later")
    return judge


def submission(folder):
    """-odq: each error ends it with nothing kept, or does no harm"""
    need_strace()
    with Sink() as sink:
        return Sweep(
            folder, sink.up(), nothing,
            lambda lab, mid, wrap: lab.submit(
                mid, "a@example.net", "b@example.net", args=["-odq"],
                wrap=wrap),
            judge_submission(["a@example.net", "b@example.net"]),
            "queue = on_failure\nschedule = 1h").run("-odq")


def new_queue(folder):
    """the same where the queue is made first"""
    need_strace()
    with Sink() as sink:
        return Sweep(
            folder, sink.up(), lambda lab, _: shutil.rmtree(lab.queue),
            lambda lab, mid, wrap: lab.submit(
                mid, "a@example.net", args=["-odq"], wrap=wrap),
            judge_submission(["a@example.net"]),
            "queue = on_failure\nschedule = 1h").run("-odq, new")


def foreground(folder):
    """one taken and one for later: after an acceptance never 75, 71, 73, 74"""
    need_strace()

    def answer(rcpt):
        # every odd time: so that the queue gets empty in the end
        return ("450 4.2.1 not now" if rcpt.startswith("later") and
                rcpt not in seen and not seen.add(rcpt) else "250 ok")

    seen = set()

    def deed(lab, mid, wrap):
        return lab.submit(mid, "a@example.net", f"later{mid}@example.net",
                          wrap=wrap)

    def judge(sweep, lab, mid, status, held, had, on):
        judge_submission(["a@example.net", f"later{mid}@example.net"])(
            sweep, lab, mid, status, held, had, on)
        if (mid, "a@example.net") in had:
            want(status in (0, 69), "after an acceptance")

    with Sink(answer=answer) as sink:
        return Sweep(folder, sink.up(), nothing, deed, judge,
                     "queue = on_failure\nschedule = 1h").run("on_failure")


RCPTS = ["a@example.net", "b@example.net", "c@example.net"]


def delivery(folder):
    """-q of a message with three recipients"""
    need_strace()

    def prepare(lab, mid):
        lab.put(1, entry_bytes(RCPTS, message_bytes(mid)))

    def judge(sweep, lab, mid, _status, _held, _had, on):
        for rcpt in RCPTS:
            sweep.count(lab, mid, rcpt, 1, on)
        equal([r.data for r in sweep.sink.reports()], [], "reports")

    with Sink() as sink:
        return Sweep(folder, sink.up(), prepare,
                     lambda lab, _, wrap: lab.run("-q", wrap=wrap), judge,
                     "queue = on_failure\nschedule = 0s",
                     closes=False).run("-q")


def report(folder):
    """-q of a message that is refused: the report is made, once"""
    need_strace()

    def prepare(lab, mid):
        lab.put(1, entry_bytes(["no@example.net", "a@example.net"],
                               message_bytes(mid)))

    def judge(sweep, lab, mid, _status, _held, _had, on):
        sweep.count(lab, mid, "a@example.net", 1, on)
        ids = [r.id for r in sweep.sink.reports()
               if f"<{mid}>".encode() in r.data and
               email_report(r.data)[0] == f"<{mid}>"]
        want(ids, "the report is LOST")
        equal(len(set(ids)), 1, "reports made")
        want(len(ids) == 1 or on or owned_up(lab, "s@test.example"),
              f"it came {len(ids)} times")

    with Sink() as sink:
        return Sweep(folder, sink.up(), prepare,
                     lambda lab, _, wrap: lab.run("-q", wrap=wrap), judge,
                     "queue = on_failure\nschedule = 0s",
                     closes=False).run("-q, report")


def once_more(folder):
    """an outcome whose record fails once is recorded, and sent no second time;
    one that fails again is owned up to"""
    need_strace()
    sent = []
    with Sink() as sink:
        lab = Lab(folder, sink.up().port, "queue = on_failure\nschedule = 0s")
        lab.make_queue()
        trace = lab.folder / "writes"
        # the write of its process that records the outcome, or the next two
        for number, when in enumerate(("0", "{}", "{}..{}")):
            mid = f"m{number}"
            lab.put(1, entry_bytes(RCPTS, message_bytes(mid)))
            wrap = ["strace", "-f", "-s", "300", "-o", str(trace), "-e",
                    "trace=write"]
            if sent:
                wrap += ["-e", "inject=write:error=EIO:when=" +
                         when.format(sent[0], sent[0] + 1)]
            lab.run("-q", wrap=wrap)
            if not sent:
                before = {}
                for line in trace.read_text().splitlines():
                    pid = line.split()[0]
                    before[pid] = before.get(pid, 0) + 1
                    if re.search(r" sent 0 attempts=.* sent 2 ", line):
                        sent.append(before[pid])
                want(sent, "no write that records all three")
            counts = sink.counts()
            if number < 2:
                equal([counts[mid, rcpt] for rcpt in RCPTS], [1, 1, 1], mid)
                equal(lab.names(), [], mid)
            else:
                want(lab.names() and "an outcome is not recorded" in
                     lab.log(), lab.log()[-500:])


def no_worker(folder):
    """what it takes to make a worker fails: an outcome, logged; later it goes"""
    need_strace()
    with Sink() as sink:
        sink.up()
        for call in ("socketpair", "clone"):
            lab = Lab(f"{folder}/{call}", sink.port,
                      "queue = on_failure\nschedule = 0s")
            lab.make_queue()
            lab.put(1, entry_bytes(["a@example.net"], message_bytes(call)))
            for when, left in (("1+", 1), ("2+", 0)):
                status, _, err = lab.run("-q", wrap=inject(
                    call, "error=EAGAIN", when))
                equal((status, len(lab.names())), (71 if left else 0, left),
                      f"{call} {when}: {err}")
            deferred = [e for e in lab.events() if
                        e.get("status") == "deferred"]
            want(len(deferred) == 1 and "no worker could be made" in
                 deferred[0]["text"], deferred)
            equal(sink.counts()[call, "a@example.net"], 1, call)


# --- syncs ---

SYNC = re.compile(r"(?:fsync|fdatasync|syncfs)\(\d+<([^>]*)>\) *= (-?\d+)")


def syncs(lab, call, n, *args, **more):
    """The files synced while the n-th such call fails."""
    trace = lab.folder / "syncs"
    done = (lab.submit if more.pop("submit", False) else lab.run)(
        *args, wrap=["strace", "-f", "-y", "-o", str(trace), "-e",
                     "trace=fsync,fdatasync,syncfs", "-e",
                     f"inject={call}:error=EIO:when={n}"], **more)
    return done[0], [(os.path.basename(m.group(1)), m.group(2) == "0")
                     for m in SYNC.finditer(trace.read_text())]


def never_again(folder):
    """a failed sync is never tried again, and the message not accepted"""
    need_strace()
    words = []
    with Sink() as sink:
        sink.up()
        for n in (1, 2):
            lab = Lab(f"{folder}/{n}", sink.port)
            lab.make_queue()
            status, found = syncs(lab, "fsync", n, f"f{n}", "a@example.net",
                                  args=["-odq"], submit=True)
            equal(len(found), n, f"syncs {found}")
            equal([ok for _, ok in found], [True] * (n - 1) + [False],
                  f"syncs {found}")
            equal(status, 74, "status")
            equal(lab.names() + lab.names("tmp"), [], "kept")
            words.append(f"fsync {n} ({found[-1][0]}) fails: {status}")
        lab = Lab(f"{folder}/q", sink.port, "queue = on_failure\n"
                  "schedule = 0s")
        lab.make_queue()
        lab.put(1, entry_bytes(RCPTS, message_bytes("fq")))
        _, found = syncs(lab, "fdatasync", 1, "-q")
        failed = [name for name, ok in found if not ok]
        want(failed, f"no sync failed: {found}")
        want(len(failed) <= 2, f"it failed in two processes: {found}")
        want("not recorded" in lab.log(), "the log says nothing")
        # the entry stays: whatever is on disk decides in the next run
        equal(len(lab.names()), 1, "entries")
        lab.drain()
        for rcpt in RCPTS:
            want(sink.counts()["fq", rcpt] in (1, 2), f"{rcpt} LOST")
    return words


# --- for real ---

def fill(lab, mids, rcpts=1):
    """Submits until the queue is full; gives who was told 0."""
    held = []
    for mid in mids:
        names = [f"r{i}@example.net" for i in range(rcpts)]
        status, _, err = lab.submit(mid, *names, args=["-odq"],
                                    body="x" * 3000)
        want(status in (0, 73), f"status {status} {err!r}")
        equal(lab.names("tmp"), [], "left in tmp")
        if status:
            return held
        held.append(mid)
    raise Failure("it never got full")


def full(folder):
    """a full disk, and one without inodes: what was accepted arrives"""
    words = []
    for number, options in enumerate(("size=64k,mode=700",
                                      "nr_inodes=12,mode=700")):
        with Sink() as sink, tmpfs(f"{folder}/{number}/queue", options):
            lab = Lab(f"{folder}/{number}", sink.port)
            lab.make_queue()
            held = fill(lab, [f"f{i}" for i in range(100)])
            want(len(held) > 2, "nothing fitted")
            # the relay is down and no journal can grow
            for i in range(10000):
                try:
                    (lab.queue / f"filler{i}").write_bytes(b"x" * 4096)
                except OSError:
                    break
            lab.run("-q")
            lab.run("-q")
            equal(len(lab.names()), len(held), "entries")
            sink.up()
            for _ in range(3):
                lab.make_due()
                lab.run("-q")
            for name in os.listdir(lab.queue):
                if name.startswith("filler"):
                    os.unlink(lab.queue / name)
            lab.drain()
            equal(sink.counts(), {(mid, "r0@example.net"): 1 for mid in held},
                  "accepted")
            equal(lab.names("corrupt"), [], "in corrupt")
            words.append(f"{options}: {len(held)} accepted, lost 0")
    return words


def owed(folder):
    """a report finds no room: on_failure is told once, when it is queued"""
    with Sink() as sink, tmpfs(f"{folder}/queue", "size=64k,mode=700"):
        told = f"{folder}/told"
        lab = Lab(folder, sink.up().port, "queue = on_failure\n"
                  f"schedule = 0s\non_failure = cat >>{told}")
        lab.make_queue()
        lab.hold("one", "no@example.net")
        filler = lab.queue / "filler"
        with contextlib.suppress(OSError), open(filler, "wb", 0) as f:
            while True:
                f.write(b"x" * 4096)
        for _ in range(3):
            lab.good("-q")
            want("cannot write an entry" in lab.log(), lab.log()[-500:])
            want(not os.path.exists(told), "told of what is not reported")
        health = json.loads(lab.run("--health", "--json")[1])
        equal([c["value"] for c in health["checks"] if c["check"] == "queue"],
              [1], "messages that wait")
        filler.unlink()
        lab.good("-q")
        lab.good("-q")
        with open(told) as f:
            equal(len(f.readlines()), 1, "told")
        equal((len(sink.reports()), lab.names()), (1, []), "reported")


def full_log(folder):
    """a log that cannot be written changes nothing"""
    with Sink() as sink:
        lab = Lab(folder, sink.up().port)
        text = lab.config.read_text().replace(f"to = {folder}/log",
                                              "to = /dev/full")
        lab.config.write_text(text)
        lab.hold("one", "a@example.net", "later@example.net")
        status, _, _ = lab.run("-q")
        equal(status, 0, "status")
        equal(sink.counts(), {("one", "a@example.net"): 1}, "sent")
        equal(len(lab.names()), 1, "entries")


def cut_log(folder):
    """a line that a full disk cuts short is taken out of the log again"""
    with Sink() as sink, tmpfs(f"{folder}/small", "size=8k,mode=700") as small:
        lab = Lab(folder, sink.up().port)
        log = pathlib.Path(small, "log")
        lab.config.write_text(lab.config.read_text().replace(
            f"to = {folder}/log", f"to = {log}"))
        before = b"#" * 4000 + b"\n"
        log.write_bytes(before)
        filler = pathlib.Path(small, "filler")
        filler.write_bytes(b"x" * 4096)
        equal(lab.submit("one", "a@example.net")[0], 0, "status")
        equal(log.read_bytes(), before, "the log")
        filler.unlink()
        equal(lab.submit("two", "a@example.net")[0], 0, "status")
        line, = log.read_bytes()[len(before):].splitlines()
        equal(json.loads(line)["message_id"], "two", "the log")


def read_only(folder):
    """a queue that turns read-only: 73, and nothing lost when it is back"""
    with Sink() as sink, tmpfs(f"{folder}/queue", "size=1m,mode=700"):
        lab = Lab(folder, sink.port)
        lab.hold("one", "a@example.net")
        subprocess.run(["mount", "-o", "remount,ro", lab.queue], check=True)
        for args in (["-odq"], ["-odb"], []):
            status, _, err = lab.submit("two", "b@example.net", args=args)
            equal(status, 73, f"{args}")
            want(err, "not a word")
        sink.up()
        lab.run("-q")
        subprocess.run(["mount", "-o", "remount,rw", lab.queue], check=True)
        lab.drain()
        found = sink.counts()
        equal(found.get(("one", "a@example.net")), 1, "accepted")
        equal(found.get(("two", "b@example.net"), 0), 0, "refused, and sent")


def read_only_relay_up(folder):
    """a read-only queue does not stop mail that can be sent at once"""
    with Sink() as sink, tmpfs(f"{folder}/queue", "size=1m,mode=700"):
        lab = Lab(folder, sink.up().port)
        lab.make_queue()
        subprocess.run(["mount", "-o", "remount,ro", lab.queue], check=True)
        status, _, err = lab.submit("one", "a@example.net")
        equal(status, 0, f"status ({err!r})")
        equal(sink.counts(), {("one", "a@example.net"): 1}, "accepted")
        status, _, err = lab.submit("two", "a@example.net",
                                    "later@example.net")
        equal(status, 69, "one accepted, the other cannot be held")
        want(b"later@example.net" in err, repr(err))
        status, _, err = lab.submit("three", "later@example.net")
        equal(status, 73, "none accepted, and it cannot be held")


# --- limits ---

def limits(folder):
    """limits of the process: files, their size, memory, processes"""
    need("prlimit")
    words, done = [], 0
    with Sink() as sink:
        sink.up()
        for number, limit in enumerate((
                "--fsize=0", "--fsize=100", "--fsize=400", "--nofile=4",
                "--nofile=6", "--nofile=9", "--nofile=12", "--as=30000000",
                "--as=60000000", "--stack=100000")):
            lab = Lab(f"{folder}/{number}", sink.port)
            lab.make_queue()
            mid = f"l{number}"
            status, _, _ = lab.submit(mid, "a@example.net", args=["-odq"],
                                      wrap=["prlimit", limit])
            want(status >= 0 or "--as" in limit or "--stack" in limit,
                  f"{limit}: ended by signal {-status}")
            # a queue that cannot be opened is none: then it goes at once
            equal(len(lab.names()) + len(sink.counts()) - done,
                  int(status == 0), f"{limit}: held or sent")
            lab.drain()
            done = len(sink.counts())
            equal(sink.counts().get((mid, "a@example.net"), 0),
                  int(status == 0), f"{limit}: accepted")
            equal(lab.names("tmp"), [], "left in tmp")
            words.append(f"{limit}: {status}")
    return words


def small_files(folder):
    """no file may be as large as an entry with its journal: none is tried"""
    need("prlimit")
    with Sink() as sink:
        lab = Lab(folder, sink.up().port, "queue = on_failure\n"
                  "schedule = 0s")
        # more than the log has, which may not get larger either
        body = "x\n" * 10000
        lab.hold("one", "a@example.net", body=body)
        name, = lab.names()
        size = (lab.queue / "mess" / name).stat().st_size
        for more in (100, 0, 1000):
            wrap = ["prlimit", f"--fsize={size + more}"]
            status, _, err = lab.submit("two", "b@example.net", body=body,
                                        args=["-odq"], wrap=wrap)
            want(status == 73 and err, f"{more}: status {status} {err!r}")
            equal((len(lab.names()), lab.names("tmp")), (1, []), "queue")
            before = len(lab.log())
            lab.run("-q", wrap=wrap)
            equal(sink.data, 0, f"{more}: tried")
            equal(len(lab.names()), 1, f"{more}: entries")
            want("cannot reserve room for the journal: File too large" in
                 lab.log()[before:], f"{more}: {lab.log()[before:]!r}")
        lab.drain()
        equal(sink.counts(), {("one", "a@example.net"): 1}, "sent")
        want("duplicate_possible" not in lab.log(), "doubt")


def few_descriptors(folder):
    """a runner that may open few files works on few entries at a time"""
    need("prlimit")
    with Sink() as sink:
        lab = Lab(folder, sink.up().port, "queue = on_failure\n"
                  "schedule = 1h")
        lab.make_queue()
        for i in range(200):
            lab.put(i, entry_bytes(["a@example.net"], message_bytes(f"m{i}")))
        words = []
        for limit in (24, 48, 70, 100, 200):
            lab.make_due()
            before = len(lab.names())
            status, _, _ = lab.run("-q", wrap=["prlimit", f"--nofile={limit}"])
            words.append(f"{limit} descriptors: status {status}, "
                         f"{before - len(lab.names())} sent")
            equal(len(lab.names()), 0, f"{limit} descriptors: entries")
            for i in range(200):
                lab.put(i, entry_bytes(["a@example.net"],
                                       message_bytes(f"m{limit}.{i}")))
        lab.drain()
        equal(sorted(sink.counts().values()), [1] * 1200, "accepted")
        return words


if __name__ == "__main__":
    sys.exit(tap([
        submission, new_queue, foreground, delivery, report, once_more,
        no_worker, never_again, full, owed, full_log, cut_log, read_only,
        read_only_relay_up, limits, small_files, few_descriptors], workers=1))
