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
import itertools
import os
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
# not this folder itself: its names would hide those of the library
sys.path[0] = os.path.join(os.path.dirname(__file__), "../support")
import harness  # noqa: E402
from harness import Failure, want  # noqa: E402
from lab import EVERY  # noqa: E402
from torture_bench import Bench, Done, TortureSink  # noqa: E402
from torture_ways import WAYS  # noqa: E402

# points of a way that make check tries; a sanitized program is slow
SAMPLE = 0 if EVERY else 20 if harness.sanitized() else 60
# which calls fail: the n-th, or all from there on
KINDS = (("allocation", ""), ("allocation", "+"), ("EINTR", ""),
         ("short", ""), ("EAGAIN", ""), ("EMFILE", ""), ("EMFILE", "+"),
         ("ENFILE", ""), ("ENOMEM", ""), ("ENOMEM", "+"))


class Torture:
    def __init__(self, way, folder, library, certificates, workers):
        self.way = way()
        self.sink = TortureSink(self.way, certificates).up()
        self.lock = threading.Lock()
        self.faults, self.kinds, self.doubles = [], {}, 0
        more = self.way.start(folder, certificates, self.sink.port)
        self.benches = []
        for n in range(workers):
            here = f"{folder}/{n}"
            self.benches.append(Bench(
                here, library, self.sink.port,
                way.queue.replace("{folder}", here),
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
            want(not self.sink.wrong, f"logged in by {self.sink.wrong}")
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
        try:
            with t.sink:
                t.sweep()
        finally:
            t.way.stop()
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
