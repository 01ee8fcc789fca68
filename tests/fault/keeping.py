#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a queue costs that is long, or holds entries which nobody would write:
time that grows with it and no faster, memory within bounds, mail of others
that goes nevertheless, and nothing on a terminal but what can be seen."""

import os
import re
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
# not this folder itself: its names would hide those of the library
sys.path[0] = os.path.join(os.path.dirname(__file__), "../support")
from harness import POSTHASTE, equal, sanitized, want  # noqa: E402
from entries import (  # noqa: E402
    checksum, entry_bytes, journal_line, message_bytes)
from lab import Lab, Sink, tap  # noqa: E402

MEMORY = 128 * 1024         # KiB, in any process of ours
# whose memory is not the program's own
SANITIZED = sanitized()


class Cost:
    def __init__(self, status, out, err, usage):
        self.status, self.out, self.err = status, out, err
        self.cpu = usage.ru_utime + usage.ru_stime
        self.memory = usage.ru_maxrss


def measured(lab, *args, limit=120):
    """A run with what it cost, in itself and in what it started."""
    child = subprocess.Popen(
        [POSTHASTE, "-C", str(lab.config), *args], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=lab.env,
        cwd=lab.folder)
    late = threading.Timer(limit, child.kill)
    late.start()
    words = []
    reader = threading.Thread(target=lambda: words.append(
        child.stderr.read()))
    reader.start()
    out = child.stdout.read()
    reader.join()
    _, status, usage = os.wait4(child.pid, 0)
    late.cancel()
    child.returncode = os.waitstatus_to_exitcode(status)
    child.stdout.close()
    child.stderr.close()
    want(child.returncode >= 0, f"{args}: killed after {limit} s")
    return Cost(child.returncode, out, words[0], usage)


def fill(lab, many, journal=b""):
    data = entry_bytes(["a@example.net"], message_bytes("many"),
                       journal=journal)
    for number in range(many):
        lab.put(number, data)


def about_twice(costs, words):
    """The costs of a queue and of one twice as long."""
    small, large = costs
    want(large < 3 * small + 0.3, f"{words}: {small:.2f} s, then "
          f"{large:.2f} s for twice as many")


def orders(folder):
    """every order on ALL costs as much as the queue is long"""
    words = []
    for order in ("--hold", "--release", "--retry", "--show", "--remove"):
        costs = []
        for many in (2000, 4000):
            lab = Lab(f"{folder}/{order}{many}", 1)
            lab.make_queue()
            fill(lab, many)
            cost = measured(lab, order, "ALL")
            equal((cost.status, cost.err), (0, b""), order)
            want(cost.cpu < 5, f"{order} ALL of {many}: {cost.cpu:.1f} s")
            costs.append(cost.cpu)
            held = sum(n.endswith(",h") for n in lab.names())
            equal((held, len(lab.names())),
                  (many if order == "--hold" else 0,
                   0 if order == "--remove" else many), order)
        about_twice(costs, order)
        words.append(f"{order} ALL: {costs[0]:.2f} s, {costs[1]:.2f} s")
    return words


def listing(folder):
    """a long list is printed as it is read, to whoever still reads"""
    words = []
    lab = Lab(folder, 1)
    lab.make_queue()
    journal = journal_line("deferred 0 attempts=1 stage=rcpt exit=75 code=450"
                           f" text={'later ' * 80}")
    costs = []
    for many in (5000, 10000):
        fill(lab, many, journal)
        cost = measured(lab, "-bp")
        equal((cost.status, cost.err), (0, b""), "-bp")
        want(cost.out.endswith(f"in {many} Requests.\n".encode()),
              cost.out[-200:])
        if not SANITIZED:
            want(cost.memory < 32 * 1024, f"{cost.memory} KiB")
        costs.append(cost.cpu)
        words.append(f"{many}: {cost.cpu:.2f} s, {cost.memory} KiB")
    about_twice(costs, "-bp")
    for args in (["-bp"], ["-bp", "--json"], ["--show", "ALL"]):
        there, away = os.pipe()
        child = subprocess.Popen([POSTHASTE, "-C", str(lab.config), *args],
                                 stdout=away, stderr=subprocess.PIPE,
                                 env=lab.env)
        os.close(away)
        os.read(there, 10)
        os.close(there)
        equal((child.communicate(timeout=60)[1], child.returncode),
              (b"", 0), f"{args} to a reader that went away")
    return words


def reports(folder):
    """a run over many reports looks for each cause without a search"""
    costs = []
    for many in (500, 1000):
        with Sink() as sink:
            lab = Lab(f"{folder}/{many}", sink.up().port)
            lab.make_queue()
            later = int(time.time()) + 3000
            for n in range(many):
                lab.put(n, entry_bytes(["a@example.net"],
                                       message_bytes(f"c{n}")), later)
                lab.put(n + many, entry_bytes(
                    ["b@example.net"], message_bytes(f"r{n}"), sender="",
                    more=f"cause made{n:012}\n"))
            cost = measured(lab, "-q")
            equal((cost.status, cost.err), (0, b""), "-q")
            equal(len(lab.names()), many, "entries left")
            costs.append(cost.cpu)
    about_twice(costs, "-q of reports")
    return [f"{costs[0]:.2f} s, {costs[1]:.2f} s"]


def giants(folder):
    """an entry of a million recipients stops nobody, and takes no memory"""
    with Sink() as sink:
        lab = Lab(folder, sink.up().port)
        lab.make_queue()
        for number, many in enumerate((65537, 1000000, 4500000)):
            head = (b"posthaste-queue 1\nqueued 1\nuid 0\nsender a@b.example"
                    b"\n" + b"rcpt a\n" * many + b"size 0\n\n")
            lab.put(number, head + b"checksum 0000000000000000\n")
        most = entry_bytes([f"u{n}@example.net" for n in range(65536)],
                           message_bytes("most"))
        name = lab.put(5, most, "h")
        lab.put(9, entry_bytes(["good@example.net"], message_bytes("bob")))
        words = []
        for args in (["-bp"], ["-bp", "--json"], ["-q"],
                     ["--show", name.partition(",")[0]], ["--hold", "ALL"]):
            cost = measured(lab, *args)
            equal(cost.status, 0, f"{args}: {cost.err[:300]!r}")
            if not SANITIZED:
                want(cost.memory < MEMORY, f"{args}: {cost.memory} KiB")
            words.append(f"{' '.join(args)}: {cost.cpu:.2f} s, "
                         f"{cost.memory} KiB")
            if args == ["-bp"]:
                equal(cost.out.count(b"@example.net\n"), 65537, "listed")
        equal(sink.counts(), {("bob", "good@example.net"): 1}, "bob's")
        equal(len(lab.names("corrupt")), 3, "what cannot be read")
        equal(lab.names(), [name], "entries")
        return words


HIDDEN = re.compile("[\0-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069"
                    "\u200e\u200f\ufeff]")


def visible(folder):
    """nothing in an entry moves a cursor, hides or turns text around"""
    bad = ["\u009b31mRED", "a\u202egpj.exe", "x\u200f", "\ufeffy"]
    for number, hidden in enumerate(bad + [b"\xff\x9b"]):
        if isinstance(hidden, str):
            hidden = hidden.encode()
        with Sink() as sink:
            sink.up()
            lab = Lab(f"{folder}/{number}", sink.port)
            lab.make_queue()
            message = message_bytes("odd")
            head = (b"posthaste-queue 1\nqueued %d\nuid 0\naccount %s\n"
                    b"sender %s@example.org\nrcpt no%s@example.net\n"
                    b"size %d\n\n" % (time.time(), hidden, hidden, hidden,
                                      len(message)))
            whole = head + message
            lab.put(1, whole + b"checksum %016x\n" % checksum(whole))
            ident = "made" + f"{1:012}"
            texts = [lab.good("-bp", silent=False),
                     lab.good("-bp", "--json", silent=False),
                     lab.good("--show", ident, silent=False)]
            for text in texts:
                want(b"example.net" in text, text)
            _, out, err = lab.run("-q", "-v")
            texts += [out, err, lab.log().encode()]
            texts += [re.sub(b"\r\n\t?", b"\n", a.data) for a in sink.reports()]
            for text in texts:
                found = HIDDEN.search(text.decode())
                want(not found, f"{hidden!r}: {found} in {text[:600]!r}")


def marks(folder):
    """mailq: what is being tried, held and due; what was sent is not there"""
    lab = Lab(folder, 1)
    lab.make_queue()
    rcpts = ["a@example.net", "b@example.net"]
    sent = journal_line("sent 0 attempts=1 stage=dot exit=0 code=250 text=ok")
    lab.put(1, entry_bytes(rcpts, message_bytes("one"),
                           journal=sent + journal_line("begin 1")))
    lab.put(2, entry_bytes(rcpts, message_bytes("two"), journal=sent), "h")
    lab.put(3, entry_bytes(rcpts[:1], message_bytes("three"), journal=sent))
    text = lab.good("-bp", silent=False).decode()
    want(re.search(r"^made000000000001\* +\d+ ", text, re.M), text)
    want(re.search(r"^made000000000002! +\d+ ", text, re.M), text)
    want("made000000000003" not in text, text)
    want("a@example.net" not in text and text.count("b@example.net") == 2,
          text)
    want(text.endswith(" in 2 Requests.\n"), text)
    column = {line.index(" s@test.example") for line in text.splitlines()
              if "s@test.example" in line}
    equal(len(column), 1, f"columns in {text}")
    shown = lab.good("--show", "made000000000002", silent=False).decode()
    want(re.search(r"^queued: \w.*\nsize: \d+\nattempts: 1\nnext: held$",
                    shown, re.M), shown)


def by_hand(folder):
    """an attempt by hand counts, and leaves the regular time where it was"""
    with Sink() as sink:
        lab = Lab(folder, sink.up().port, "queue = on_failure\nschedule = 1h")
        lab.make_queue()
        regular = int(time.time()) + 1800
        journal = journal_line("deferred 0 attempts=1 stage=rcpt exit=75 "
                               "code=450 text=later")
        lab.put(1, entry_bytes(["later@example.net"], message_bytes("one"),
                               journal=journal), regular)
        ident = "made000000000001"
        for attempts, orders_ in ((2, (["-qI", ident],)), (3, (["-qI", ""],)),
                                  (4, (["-qR", "later@"],)),
                                  (5, (["--retry", ident], ["-q"])),
                                  (6, (["--retry", "ALL"], ["-q"]))):
            for args in orders_:
                lab.good(*args)
                entry, = lab.list()
                if args[0] == "--retry":
                    equal((entry["next"], entry["attempts"]),
                          (0, attempts - 1), f"{args}")
            equal((entry["attempts"], entry["next"]), (attempts, regular),
                  f"after {orders_}")


if __name__ == "__main__":
    sys.exit(tap([orders, listing, reports, giants, visible, marks, by_hand],
                 workers=2))
