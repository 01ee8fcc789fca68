#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mail into a maildir, killed before each system call that touches files, and
with the power cut after each: nothing is lost, no file is there in part, none
is left in tmp, and what comes twice was logged as possibly doubled."""

import email
import importlib.util
import os
import pathlib
import re
import shutil
import sys

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
# not this folder itself: its names would hide those of the library
sys.path[0] = os.path.join(os.path.dirname(__file__), "../support")
from harness import want  # noqa: E402
from entries import entry_bytes, message_bytes  # noqa: E402
from lab import Lab, Sink, need_strace, tap  # noqa: E402


def module(name):
    spec = importlib.util.spec_from_file_location(
        f"fault_{name}", os.path.join(HERE, f"{name}.py"))
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


kill, power = module("kill"), module("power")

ROUTE = "[route all]\ntransport = box\n[transport box]\nkind = maildir\n" \
        "path = {}\n"
RCPTS = ["a@example.net", "b@example.net", "c@example.net"]


def files(box):
    box = pathlib.Path(box)
    want(not list(box.glob("tmp/*")), "left in tmp")
    return [email.message_from_bytes(path.read_bytes())
            for path in box.glob("new/*")]


def copies(box, mid, rcpt):
    n = 0
    for m in files(box):
        if m["Message-ID"] != f"<{mid}>" or m["Delivered-To"] != rcpt:
            continue
        n += 1
        want(m["Return-Path"] == "<s@test.example>" and
              m.get_payload() in ("hi\n", "body\n"),
              f"not the message: {bytes(m)!r}")
    return n


def judge_count(tally, lab, box, mid, rcpt, least, most=2):
    n = copies(box, mid, rcpt)
    tally.lost += n < least
    tally.twice += max(0, n - 1)
    want(n >= least, f"{rcpt}: LOST")
    want(n <= most, f"{rcpt}: {n} times")
    want(n < 2 or kill.doubted(lab, rcpt),
          f"{rcpt}: {n} times, and not logged as possibly doubled")


class Killed(kill.Sweep):
    def lab(self):
        mid = f"k{next(self.number)}"
        lab = Lab(f"{self.folder}/{mid}", self.sink.port)
        lab.box = lab.folder / "box"
        lab.configure(self.queue, ROUTE.format(lab.box))
        lab.make_queue()
        self.prepare(lab, mid)
        return lab, mid

    def count(self, lab, mid, rcpt, least):
        with self.tally.lock:
            judge_count(self.tally, lab, lab.box, mid, rcpt, least)


def killed_at_once(folder):
    """killed: a caller's message, whose maildir is not there yet"""
    need_strace()

    def deed(lab, mid, wrap):
        return lab.submit(mid, *RCPTS[:2], wrap=wrap)

    def judge(sweep, lab, mid, status):
        want(status in (0, -9, 137), f"status {status}")
        for rcpt in RCPTS[:2]:
            sweep.count(lab, mid, rcpt, status == 0)

    with Sink() as sink:
        return Killed(folder, sink.up(), kill.nothing, deed, judge).run(
            "at once")


def killed_runner(folder):
    """killed: the queue's runner"""
    need_strace()

    def prepare(lab, mid):
        lab.put(int(mid[1:]), entry_bytes(RCPTS, message_bytes(mid)))

    def deed(lab, _mid, wrap):
        return lab.run("-q", wrap=wrap)

    def judge(sweep, lab, mid, _status):
        for rcpt in RCPTS:
            sweep.count(lab, mid, rcpt, 1)

    with Sink() as sink:
        return Killed(folder, sink.up(), prepare, deed, judge).run("-q")


class Cut(power.Sweep):
    def __init__(self, folder, disk, sink, prepare, args, least):
        self.box = pathlib.Path(disk.path, "box")

        def judge(_sweep, mid, status, _synced):
            for rcpt in RCPTS:
                judge_count(self, self.lab, self.box, mid, rcpt,
                            least(status))

        def fresh(lab, mid):
            shutil.rmtree(self.box, ignore_errors=True)
            lab.make_queue()
            prepare(lab, mid)

        super().__init__(folder, disk, sink, fresh, args, judge)
        text = self.lab.config.read_text()
        head = text[:text.index("[route")]
        self.lab.config.write_text(head + ROUTE.format(self.box))


def synced_by(trace):
    """What was synced: directories' paths, and the name of the call."""
    found = set()
    for line in trace.read_text().splitlines():
        call = re.search(r"(fsync|syncfs)\(\d+<([^>]*)>\) += 0", line)
        if call:
            found |= {call[1], call[2]}
    return found


def made_in_part(folder):
    """killed while directories are made: the next one syncs their names"""
    need_strace()
    lab = Lab(folder, 1)
    top = lab.folder / "deep"
    trace = lab.folder / "trace"
    wrap = ["strace", "-f", "-y", "-o", str(trace), "-e",
            "trace=fsync,syncfs"]

    def by_kill(call, n, argv, needed):
        shutil.rmtree(top, ignore_errors=True)
        killed = lab.submit("m", RCPTS[0], args=argv, wrap=[
            *wrap, "-e", f"inject={call}:signal=KILL:when={n}"])
        synced = synced_by(trace)
        done = lab.submit("m", RCPTS[0], args=argv, wrap=wrap)
        want(killed[0] in (0, -9, 137) and done[0] == 0, (killed, done))
        missing = needed - synced - synced_by(trace)
        want(not missing, f"{argv}, killed at {call} {n}: not synced: "
             f"{missing}")
        return killed[0]

    lab.configure("queue = never", ROUTE.format(top / "box"))
    needed = {str(path) for path in (lab.folder, top, top / "box")}
    n = 1
    while by_kill("fsync", n, [], needed):
        n += 1
    want(n > 3, f"killed at {n} calls")
    lab.configure("queue = always", ROUTE.format(top / "box"))
    want(by_kill("syncfs", 1, ["-odq"], {"syncfs"}), "not killed")


AT_ONCE = ["-i", "-f", "s@test.example", *RCPTS]


def cut_at_once(folder):
    """power cut: a caller's message"""
    with power.stage(folder) as (disk, sink):
        return Cut(folder, disk, sink, kill.nothing, AT_ONCE,
                   lambda status: int(status == 0)).run("at once", 5)


def cut_control(folder):
    """control: with faked syncs a caller's message is lost"""
    with power.stage(folder) as (disk, sink):
        return Cut(folder, disk, sink, kill.nothing, AT_ONCE,
                   lambda status: int(status == 0)).control("at once")


def cut_runner(folder):
    """power cut: the queue's runner"""
    with power.stage(folder) as (disk, sink):
        return Cut(folder, disk, sink, lambda lab, mid: lab.put(
            int(mid[1:]), entry_bytes(RCPTS, message_bytes(mid))), ["-q"],
                   lambda status: 1).run("-q", 5)


if __name__ == "__main__":
    sys.exit(tap([killed_at_once, killed_runner, made_in_part, cut_at_once,
                  cut_control, cut_runner], workers=2))
