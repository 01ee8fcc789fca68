#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one entry, or a user's many, can hold: thousands of recipients that
are deferred to the end of the schedule, thousands of domains, a heap of large
messages. Nothing of it is lost or damaged, memory stays small, and the mail of
others goes with the same run."""

import glob
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
# not this folder itself: its names would hide those of the library
sys.path[0] = os.path.join(os.path.dirname(__file__), "../support")
from harness import POSTHASTE, Failure, equal, sanitized, want  # noqa: E402
from entries import entry_bytes, message_bytes  # noqa: E402
from lab import (  # noqa: E402
    EVERY, Lab, Sink, email_report, faketime_library, tap)

MEMORY = 128 * 1024         # KiB, in any process of ours
# whose memory is not the program's own
SANITIZED = sanitized()
PROGRAM = os.path.realpath(POSTHASTE)
TEXT = """[general]
hostname = test.example
domain = test.example
aliases =
timeout = 20s
connect_timeout = 5s
[log]
to = none
[queue]
directory = {folder}/queue
alarm_after = 0
{queue}
{first}[route all]
transport = relay
[transport relay]
kind = smtp
host = 127.0.0.1
port = {port}
no_starttls = yes
{more}
"""


def quiet(folder, port, queue="queue = on_failure\nschedule = 1h", first="",
          more=""):
    """A lab whose log, which would be longer than all the rest, is none."""
    lab = Lab(folder, port, text=TEXT.format(folder=folder, queue=queue,
                                             port=port, first=first,
                                             more=more))
    lab.make_queue()
    return lab


# --- memory, from where the kernel tells it ---

def highest(session):
    """The most memory that any process of ours in this session ever had, in
    KiB. (A parent's or an interpreter's own does not count.)"""
    most = 0
    for path in glob.glob("/proc/[0-9]*"):
        try:
            with open(f"{path}/stat") as f:
                if int(f.read().rpartition(")")[2].split()[3]) != session:
                    continue
            if os.path.realpath(f"{path}/exe") != PROGRAM:
                continue
            with open(f"{path}/status") as f:
                for line in f:
                    if line.startswith("VmHWM:"):
                        most = max(most, int(line.split()[1]))
        except (OSError, ValueError, IndexError):
            continue
    return most


def spent():
    """Processor time of what was started and has ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class Run:
    """posthaste -q to its end, looked at all the while."""

    def __init__(self, lab, limit=600, done=None, env=()):
        begun, before = time.monotonic(), spent()
        self.memory = 0
        with open(lab.folder / "words", "w+b") as words:
            child = subprocess.Popen(
                [POSTHASTE, "-C", str(lab.config), "-q"], cwd=lab.folder,
                stdin=subprocess.DEVNULL, stdout=words, stderr=words,
                env={**lab.env, **dict(env)}, start_new_session=True)
            try:
                while child.poll() is None:
                    self.memory = max(self.memory, highest(child.pid))
                    want(time.monotonic() - begun < limit,
                          f"still running after {limit} s")
                    if done and done():
                        child.send_signal(signal.SIGTERM)
                        done = None
                    # all of /proc is looked through
                    time.sleep(0.05)
            except Failure:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
                raise
            words.seek(0)
            equal((child.returncode, words.read()[:500]), (0, b""), "-q")
        self.lasting = time.monotonic() - begun
        self.cpu = spent() - before
        if not SANITIZED:
            want(0 < self.memory < MEMORY, f"{self.memory} KiB")


# --- the whole schedule ---

def whole_schedule(folder):
    """thousands of recipients deferred to the end: listed, bounded, told"""
    many = 20000 if EVERY else 4000
    reply = "450 4.2.2 " + "the mailbox is full and this is a long story " * 9
    env = {"LD_PRELOAD": faketime_library(),
           "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    with Sink(answer=lambda rcpt: reply if rcpt.startswith("r") else
              "250 2.1.5 ok") as sink:
        lab = quiet(folder, sink.up().port, "queue = on_failure")
        begun = int(time.time())
        name = lab.put(1, entry_bytes(
            [f"r{n}@example.net" for n in range(many)],
            message_bytes("long"), queued=begun))
        largest = attempts = memory = 0
        while name in lab.names():
            due = int(name.partition(",")[2]) or begun
            after = {**env, "FAKETIME": f"+{due - int(time.time()) + 2}"}
            run = Run(lab, env=after)
            memory = max(memory, run.memory)
            attempts += 1
            want(attempts < 60, "no end of it")
            names = lab.names()
            equal(lab.names("corrupt"), [], "damaged")
            left = [n for n in names if n.startswith("made")]
            if not left:
                break
            name, = left
            path = lab.queue / "mess" / name
            largest = max(largest, path.stat().st_size)
            if attempts in (1, 8, 15):
                listed, = lab.list()
                equal((listed["attempts"], len(listed["recipients"])),
                      (attempts, many), "listed")
                want(listed["recipients"][many - 1]["text"].startswith(
                    "the mailbox"), listed["recipients"][-1])
        # what is due at the end goes with the next run
        for _ in range(3):
            if not lab.names():
                break
            lab.good("-q", env={**env, "FAKETIME": "+6d"}, limit=300)
        equal(lab.names(), [], "the queue")
        want(attempts >= 15, f"{attempts} attempts")
        # a line a recipient, and one more attempt's before that is written
        # again
        want(largest < many * 2500, f"{largest} bytes")
        failed, delayed = set(), set()
        for report in sink.reports():
            cause, about = email_report(report.data)
            equal(cause, "<long>", "about")
            kind = delayed if b"Action: delayed" in report.data else failed
            want(not kind & set(about), "told twice")
            kind |= set(about)
        equal((len(failed), len(delayed)), (many, many), "reported")
        return [f"{attempts} attempts, at most {largest} bytes, {memory} KiB"]


# --- many domains ---

class Refuser:
    """A name server that says no as fast as it can."""

    def __enter__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.port = self.socket.getsockname()[1]
        self.asked = 0
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.socket.close()

    def serve(self):
        while True:
            try:
                data, peer = self.socket.recvfrom(4096)
                self.asked += 1
                # NXDOMAIN, the question alone
                end = data.index(b"\0", 12) + 5
                self.socket.sendto(data[:2] + b"\x81\x83" + data[4:6] +
                                   b"\0\0\0\0\0\0" + data[12:end], peer)
            except OSError:
                return


def domains(folder):
    """thousands of domains in one entry: time and memory in proportion"""
    words, costs = [], []
    # under a sanitizer a worker costs ten times as much to begin
    for many in ((700, 2240) if SANITIZED else (2500, 8000) if EVERY else
                 (1500, 4800)):
        with Refuser() as names, Sink() as sink:
            lab = quiet(f"{folder}/{many}", sink.up().port,
                        first="[route bulk]\nto_domain = .bulk.example\n"
                        "transport = direct\n",
                        more=f"[dns]\nresolver = 127.0.0.1:{names.port}\n")
            lab.put(1, entry_bytes([f"r{n}@d{n}.bulk.example"
                                    for n in range(many)],
                                   message_bytes("bulk"), sender=""))
            lab.put(2, entry_bytes(["good@example.net"],
                                   message_bytes("bob")))
            run = Run(lab)
            equal(sink.counts(), {("bob", "good@example.net"): 1}, "bob's")
            want(names.asked >= many, f"{names.asked} questions")
            equal(lab.names(), [], "the queue")
            costs.append(run.cpu)
            words.append(f"{many}: {run.cpu:.1f} s of {run.lasting:.1f}, "
                         f"{run.memory} KiB, {names.asked} questions")
    # in proportion it is 3.2 times as much, and by the square ten times
    # under a sanitizer what is copied for each worker is many times as much
    want(costs[1] < (8 if SANITIZED else 4.5) * costs[0],
         " ".join(words))
    return words


# --- many recipients, many entries ---

def million(folder):
    """a million recipients handed in: refused, and bob's mail goes"""
    with Sink() as sink:
        lab = quiet(folder, sink.up().port)
        head = (b"posthaste-queue 1\nqueued 1\nuid 0\nsender a@b.example\n" +
                b"".join(b"rcpt r%d@example.net\n" % n
                         for n in range(1000000)) + b"size 0\n\n")
        lab.put(1, head + b"checksum 0000000000000000\n")
        # one long line without an end; one recipient of all the header's
        lab.put(2, b"posthaste-queue 1\nsender " + b"x" * (40 << 20))
        lab.put(3, b"posthaste-queue 1\nqueued 1\nuid 0\nsender a@b.example\n"
                b"envid " + b"%41" * 20000 + b"\nrcpt " + b"x" * 60000 +
                b"\nsize 99999999999\n\n")
        lab.put(9, entry_bytes(["good@example.net"], message_bytes("bob")))
        run = Run(lab)
        equal(sink.counts(), {("bob", "good@example.net"): 1}, "bob's")
        equal((lab.names(), len(lab.names("corrupt"))), ([], 3), "entries")
        return [f"{run.lasting:.1f} s, {run.memory} KiB"]


def names(folder):
    """a directory of very many names: memory, and bob's mail goes"""
    many = 1000000 if EVERY else 200000
    with Sink() as sink:
        lab = quiet(folder, sink.up().port)
        first = None
        later = int(time.time()) + 3000
        for number in range(many):
            # a file takes so many names; what has several is no entry
            if number % 20000 == 0:
                first = lab.queue / "mess" / f"n{number:012},{later}"
                first.write_bytes(b"x")
            else:
                os.link(first, lab.queue / "mess" /
                        f"n{number:012},{later if number % 50 else 0}")
        lab.put(1, entry_bytes(["good@example.net"], message_bytes("bob")))
        lab.put(2, entry_bytes(["no@example.net"], message_bytes("fails")))
        run = Run(lab)
        equal(sink.counts(), {("bob", "good@example.net"): 1}, "bob's")
        equal(len(sink.reports()), 1, "reports")
        # what is no entry is not looked for among all the others
        lab.put(3, entry_bytes(["good@example.net"], message_bytes("eve")))
        listed = subprocess.run(
            [POSTHASTE, "-C", str(lab.config), "-bp"], env=lab.env,
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=120, check=False)
        want("good@example.net" in listed.stdout, listed)
        return [f"{many}: {run.lasting:.1f} s, {run.memory} KiB"]


def large_entries(folder):
    """120 entries of 5000 recipients or 2 MB: bob's mail is not last"""
    with Sink() as sink:
        lab = quiet(folder, sink.up().port)
        rcpts = [f"u{n}@example.net" for n in range(5000)]
        wide = entry_bytes(rcpts, message_bytes("wide"))
        long = entry_bytes(["a@example.net"], message_bytes(
            "long", (b"x" * 990 + b"\r\n") * 2000))
        for number in range(60):
            lab.put(number, wide)
        for number in range(60, 120):
            lab.put(number, long)
        lab.put(500, entry_bytes(["good@example.net"], message_bytes("bob"),
                                 uid=47002))
        run = Run(lab)
        counts = sink.counts()
        equal(counts.get(("bob", "good@example.net")), 1, "bob's")
        equal(len(lab.names()), 0, "entries")
        order = [a.id for a in sink.accepted]
        want(order.index("bob") < 3 * len(order) // 4,
              f"bob's was number {order.index('bob')} of {len(order)}")
        equal((counts["wide", "u0@example.net"],
               counts["wide", "u4999@example.net"],
               counts["long", "a@example.net"]), (60, 60, 60), "taken")
        return [f"{run.lasting:.1f} s, {run.memory} KiB; bob's was number "
                f"{order.index('bob')} of {len(order)}"]


def giants_in_front(folder):
    """two users' largest entries stand still: smaller mail of both goes"""
    most, wait = 65536, 200
    small_gone, waited = threading.Event(), []

    def answer(rcpt):
        if rcpt.startswith("last"):
            begun = time.monotonic()
            small_gone.wait(wait)
            waited.append(time.monotonic() - begun)
        return "250 2.1.5 ok"

    with Sink(answer=answer) as sink:
        lab = quiet(folder, sink.up().port)
        users = (47001, 47002) if os.getuid() == 0 else (os.getuid(),)
        names = []
        for number, uid in enumerate(users):
            for mid, many in (("giant", most), ("wide", 3000), ("small", 1)):
                rcpts = [f"r{n}{uid}@example.net" for n in range(many - 1)]
                rcpts.append(f"{'last' if mid == 'giant' else 'x'}{uid}"
                             "@example.net")
                names.append(f"{mid}{uid}")
                # giants come first by name, and so did
                name = lab.put(10 * ("giant", "wide", "small").index(mid) +
                               number,
                               entry_bytes(rcpts, message_bytes(names[-1])))
                os.chown(lab.queue / "mess" / name, uid, -1)

        def gone():
            ids = {a.id for a in list(sink.accepted)}
            if not any(n not in ids for n in names
                       if not n.startswith("giant")):
                small_gone.set()

        run = Run(lab, done=gone)
        equal(sorted({a.id for a in sink.accepted}), sorted(names), "taken")
        equal(lab.names(), [], "the queue")
        want(len(waited) == len(users) and waited[0] < wait, waited)
        return [f"{run.lasting:.1f} s, {run.memory} KiB, the small ones "
                f"after {waited[0]:.1f} s"]


def all_refused(folder):
    """65536 recipients refused: one report, which names all of them"""
    many = 65536
    with Sink(answer=lambda rcpt: "550 5.1.1 no such user " + "as this " * 40
              if rcpt.startswith("r") else "250 2.1.5 ok") as sink:
        lab = quiet(folder, sink.up().port)
        lab.put(1, entry_bytes([f"r{n}@example.net" for n in range(many)],
                               message_bytes("wide")))
        run = Run(lab)
        report, = sink.reports()
        # a parser of mail takes a minute for it
        named = set(re.findall(rb"(?m)^Final-Recipient: rfc822; (\S+)",
                               report.data))
        equal(len(named), many, "named")
        want(len(report.data) < 10000000, len(report.data))
        equal(lab.names(), [], "the queue")
        return [f"{len(report.data)} bytes, {run.lasting:.1f} s, "
                f"{run.memory} KiB"]


if __name__ == "__main__":
    sys.exit(tap([whole_schedule, domains, million, names, large_entries,
              giants_in_front, all_refused],
                 workers=1))
