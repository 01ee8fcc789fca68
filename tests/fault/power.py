#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The power goes, on a real ext4, after each system call: stopped there, the
file system is shut down without its journal, mounted again, and the queue
run to its end. Controls with syncs that do nothing must lose. Needs root."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
# not this folder itself: its names would hide those of the library
sys.path[0] = os.path.join(os.path.dirname(__file__), "../support")
from disk import Disk  # noqa: E402
from harness import POSTHASTE, Failure, equal, want  # noqa: E402
from entries import entry_bytes, grown_journal, message_bytes  # noqa: E402
from lab import (  # noqa: E402
    EVERY, LONG, Lab, Sink, calls_of, email_report, need_strace, sample,
    stretches, tap)

STARTUP = {"execve", "brk", "mmap", "munmap", "mprotect", "arch_prctl",
           "set_tid_address", "set_robust_list", "rseq", "prlimit64",
           "access", "rt_sigaction", "rt_sigprocmask", "getuid", "geteuid",
           "getgid", "getegid", "getpid", "gettid", "uname", "prctl",
           "getrandom", "ioctl", "lseek", "fcntl", "umask", "getgroups",
           "pread64", "read", "futex", "sysinfo", "poll", "ppoll"}
# the last three build the walls of a worker, a rule for each file that it may
# read
OFTEN = {"openat", "close", "newfstatat", "fstat", "getdents64", "socket",
         "connect", "bind", "getsockname", "setsockopt", "statx", "readlink",
         "close_range", "landlock_create_ruleset", "landlock_add_rule",
         "landlock_restrict_self"}


def points_of(trace, most):
    """(call, n) to cut after: all telling ones, of the others a sample, or
    one of each stretch between two telling ones."""
    if LONG and not EVERY:
        telling, between = stretches(
            trace, lambda call: call not in STARTUP | OFTEN)
        # the telling call before lies at the other end
        return telling + [stretch[-1] for stretch in between]
    calls = calls_of(trace)
    telling = [(c, n + 1) for c in sorted(calls)
               if c not in STARTUP | OFTEN for n in range(calls[c])]
    others = [(c, n + 1) for c in sorted(calls) if c in
              (STARTUP - {"execve"} if EVERY else set()) | OFTEN
              for n in range(calls[c])]
    return telling + sample(others, most)


class Sweep:
    def __init__(self, folder, disk, sink, prepare, args, judge,
                 queue="queue = on_failure\nschedule = 0s\nlifetime = 1d"):
        self.disk, self.sink, self.args = disk, sink, args
        self.prepare, self.judge = prepare, judge
        self.lab = Lab(f"{folder}/lab", sink.port, queue)
        text = self.lab.config.read_text().replace(
            f"directory = {self.lab.queue}", f"directory = {disk.path}/queue")
        self.lab.config.write_text(text)
        self.lab.queue = self.lab.queue.__class__(f"{disk.path}/queue")
        self.trace = f"{folder}/trace"
        self.number = 0
        self.points = self.lost = self.twice = self.stopped = 0
        self.faults = []

    def fresh(self):
        self.number += 1
        mid = f"p{self.number}"
        (self.lab.folder / "log").unlink(missing_ok=True)
        self.prepare(self.lab, mid)
        self.disk.sync()
        return mid

    def start(self, mid, wrap):
        child = subprocess.Popen(
            ["strace", "-f", "-o", self.trace, *wrap, POSTHASTE, "-C",
             str(self.lab.config), *self.args],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, env=self.lab.env,
            cwd=self.lab.folder, start_new_session=True)
        child.stdin.write(f"Message-ID: <{mid}>\n\nhi\n".encode())
        with contextlib.suppress(BrokenPipeError):
            child.stdin.close()
        return child

    def until_stopped(self, child):
        """Waits until it stands or has ended; gives its trace so far, and
        its status (None: it stands)."""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            status = child.poll()
            with open(self.trace, errors="replace") as f:
                text = f.read()
            if "stopped by SIGSTOP" in text or status is not None:
                return text, status
            time.sleep(0.002)
        return text, None

    def power_cut(self, wrap):
        """One run that ends in a power cut. Gives the message's id, the
        status it ended with before that, and whether an answer was synced."""
        mid = self.fresh()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.trace)
        open(self.trace, "w").close()
        child = self.start(mid, wrap)
        try:
            text, status = self.until_stopped(child)
        finally:
            # a worker beside the one that stands would go on sending on a
            # disk that is dead already
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        self.disk.cut()
        self.stopped += status is None
        self.disk.again()
        synced = re.findall(r"fdatasync\(\d+\) += 0(?! *\(INJECTED)", text)
        # one before the final dot, one after its answer
        return mid, status, len(synced) > 1

    def settle(self, mid, status, synced, where):
        try:
            self.lab.make_queue()
            self.lab.drain()
            equal(self.lab.names("corrupt"), [], "in corrupt")
            self.judge(self, mid, status, synced)
        except Failure as why:
            self.faults.append(f"{where}: {why}")
            shutil.rmtree(self.lab.queue, ignore_errors=True)

    def count(self, mid, rcpt, least, most):
        n = self.sink.counts(lambda a: True).get((mid, rcpt), 0)
        self.lost += n < least
        self.twice += max(0, n - 1)
        want(n >= least, f"{rcpt}: LOST")
        want(n <= most, f"{rcpt}: {n} times, at most {most} expected")
        if n > 1:
            want(any(e.get("status") == "duplicate_possible" and
                      e.get("to") == rcpt for e in self.lab.events()),
                  f"{rcpt}: {n} times, and not logged as possibly doubled")

    def calls(self, most):
        mid = self.fresh()
        child = self.start(mid, [])
        status = child.wait(30)
        equal(status, 0, "the status without a cut")
        # the next run writes another
        points = points_of(self.trace, most)
        self.settle(mid, 0, True, "without a cut")
        return points

    def run(self, name, most):
        for call, n in self.calls(most):
            self.points += 1
            found = self.power_cut([
                "-e", f"trace={call},fdatasync", "-e",
                f"inject={call}:signal=STOP:when={n}"])
            self.settle(*found, f"after {call} {n}")
        for _ in range(2):
            self.points += 1
            self.settle(*self.power_cut(["-e", "trace=fdatasync"]),
                        "after the end")
        words = [f"{name}: {self.points} points ({self.stopped} stopped), "
                 f"lost {self.lost}, duplicates {self.twice}"]
        if self.faults:
            raise Failure("\n".join(words + self.faults[:30]))
        return words

    def control(self, name):
        """With syncs that do nothing something must go wrong."""
        for _ in range(3):
            found = self.power_cut([
                "-e", "trace=fsync,fdatasync,syncfs", "-e",
                "inject=fsync,fdatasync,syncfs:retval=0"])
            equal(found[1], 0, "the status")
            self.settle(*found, "syncs faked")
        want(self.faults, f"{name}: faked syncs went unnoticed, so this "
              "test proves nothing")
        return [f"{name}, syncs faked: {self.faults[0]}"]


@contextlib.contextmanager
def stage(folder):
    need_strace()
    with Disk(folder) as disk, Sink() as sink:
        yield disk, sink.up()


def make_queue(lab, _mid):
    lab.make_queue()


def judge_submission(sweep, mid, status, _synced):
    # the one who was told 0 may forget it
    sweep.count(mid, "a@example.net", int(status == 0), 1)
    for a in list(sweep.sink.accepted):
        want(a.id != mid or a.data.endswith(b"\r\n\r\nhi\r\n"),
              f"not the message: {a.data!r}")


SUBMIT = ["-odq", "-i", "-f", "s@test.example", "a@example.net"]


def submission(folder):
    """submission into the queue"""
    with stage(folder) as (disk, sink):
        return Sweep(folder, disk, sink, make_queue, SUBMIT,
                     judge_submission).run("-odq", 15)


def new_queue(folder):
    """the first submission, which makes the queue"""
    def prepare(lab, _mid):
        shutil.rmtree(lab.queue, ignore_errors=True)

    with stage(folder) as (disk, sink):
        return Sweep(folder, disk, sink, prepare, SUBMIT,
                     judge_submission).run("-odq, new", 5)


def submission_control(folder):
    """control: submission with faked syncs loses"""
    with stage(folder) as (disk, sink):
        return Sweep(folder, disk, sink, make_queue, SUBMIT,
                     judge_submission).control("-odq")


RCPTS = ["a@example.net", "b@example.net", "c@example.net"]


def put_three(lab, mid):
    lab.make_queue()
    lab.put(int(mid[1:]), entry_bytes(RCPTS, message_bytes(mid)))


def judge_delivery(sweep, mid, _status, synced):
    for rcpt in RCPTS:
        # in doubt until the answer is on disk
        sweep.count(mid, rcpt, 1, 1 if synced else 2)


def delivery(folder):
    """delivery of a message with three recipients"""
    with stage(folder) as (disk, sink):
        return Sweep(folder, disk, sink, put_three, ["-q"],
                     judge_delivery).run("-q", 10)


def delivery_control(folder):
    """control: delivery with faked syncs repeats what was settled"""
    def judge(sweep, mid, status, _synced):
        judge_delivery(sweep, mid, status, True)

    with stage(folder) as (disk, sink):
        return Sweep(folder, disk, sink, put_three, ["-q"],
                     judge).control("-q")


def compaction(folder):
    """delivery of a message whose journal is written anew on the way"""
    def prepare(lab, mid):
        lab.make_queue()
        lab.put(int(mid[1:]), entry_bytes(RCPTS, message_bytes(mid),
                                          journal=grown_journal()))

    def judge(sweep, mid, _status, synced):
        sweep.count(mid, RCPTS[0], 0, 0)
        for rcpt in RCPTS[1:]:
            sweep.count(mid, rcpt, 1, 1 if synced else 2)

    with stage(folder) as (disk, sink):
        return Sweep(folder, disk, sink, prepare, ["-q"],
                     judge).run("-q, compaction", 5)


def report(folder):
    """a refused recipient's report: made once, never lost"""
    def prepare(lab, mid):
        lab.make_queue()
        lab.put(int(mid[1:]), entry_bytes(["no@example.net"],
                                          message_bytes(mid)))

    def judge(sweep, mid, _status, _synced):
        ids = [r.id for r in sweep.sink.reports()
               if f"<{mid}>".encode() in r.data and
               email_report(r.data)[0] == f"<{mid}>"]
        sweep.lost += not ids
        sweep.twice += max(0, len(ids) - 1)
        want(ids, "the report is LOST")
        equal(len(set(ids)), 1, "reports made")
        want(len(ids) < 3, f"it came {len(ids)} times")

    with stage(folder) as (disk, sink):
        return Sweep(folder, disk, sink, prepare, ["-q"],
                     judge).run("-q, report", 5)


if __name__ == "__main__":
    sys.exit(tap([submission, submission_control, new_queue, delivery,
                  delivery_control, compaction, report], workers=2))
