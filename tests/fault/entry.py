#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Damaged entries: cut at every byte, a bit turned over at every byte, zeros.
Each goes to corrupt/ or is delivered whole; nothing altered is ever sent, and
no damage stops the entries beside it. POSTHASTE_LONG=1 turns every bit."""

import os
import random
import re
import sys

sys.dont_write_bytecode = True
# not this folder itself: its names would hide those of the library
sys.path[0] = os.path.join(os.path.dirname(__file__), "../support")
from harness import Skip, equal, want  # noqa: E402
from entries import entry_bytes, journal_line, message_bytes  # noqa: E402
from lab import LONG, Lab, Sink, tap  # noqa: E402

RCPTS = ["a@example.net", "b@example.net"]
MESSAGE = message_bytes("whole", b"one\r\n.two\r\n" + b"x" * 60 + b"\r\n")
QUEUE = "queue = on_failure\nschedule = 0s\nlifetime = 1d"
SENT = "sent 0 attempts=1 stage=DOT exit=0 code=250 dsn=2.0.0 text=taken"
LATER = ("deferred 1 attempts=1 stage=RCPT exit=75 code=450 dsn=4.2.1 "
         "host=127.0.0.1 text=mailbox busy")
JOURNAL = b"".join(journal_line(words) for words in (
    "begin 0 1", "dot 0 1", SENT, LATER))


# a path is what RFC 5321 allows, and its parameters are ours
COMMAND = re.compile(
    rb"^(?:MAIL FROM|RCPT TO):<(?:(?:[^][\x00- <>()\\,;:@\"\x7f]+|"
    rb'"(?:[^\x00-\x1f"\\\x7f]|\\[ -~])*")@[^][\x00- <>()\\,;:@"\x7f]+)?>'
    rb"(?: (?:SIZE=\d+|BODY=\w+|SMTPUTF8|RET=\w+|ENVID=[!-~]+|"
    rb"NOTIFY=[\w,]+|ORCPT=[!-~]+))*\r\n$")


def flips(data, bits):
    """Each byte with one bit, or all bits one after the other, turned."""
    for i, byte in enumerate(data):
        for bit in range(8) if bits else [i * 5 % 8]:
            yield f"bit {bit} of byte {i}", \
                data[:i] + bytes([byte ^ 1 << bit]) + data[i + 1:]


def cuts(data):
    for i in range(len(data)):
        yield f"cut at {i}", data[:i]


def zeros(data):
    """What a power cut leaves where blocks were never written."""
    for i in range(0, len(data), 16):
        yield f"zeros from {i}", data[:i] + b"\0" * (len(data) - i)
        yield f"zeros behind, {i}", data + b"\0" * (i + 1)
        yield f"zeros at {i}", data[:i] + b"\0" * 16 + data[i + 16:]


def try_all(folder, damaged, owner=None):
    """Puts all in one queue and runs it. Gives the sink's acceptances, how
    many were quarantined, and the commands it got."""
    with Sink() as sink:
        lab = Lab(folder, sink.up().port, QUEUE)
        lab.make_queue()
        for number, (_, data) in enumerate(damaged):
            name = lab.put(number, data)
            if owner:
                os.chown(lab.queue / "mess" / name, owner, owner)
        whole = message_bytes("beside")
        lab.put(10 ** 9, entry_bytes(RCPTS, whole))
        for _ in range(3):
            status, _, err = lab.run("-q", limit=120)
            equal((status, err), (0, b""), "the run")
        equal(lab.names(), [], "left in mess")
        equal(lab.names("tmp"), [], "left in tmp")
        beside = [a for a in sink.accepted if a.id == "beside"]
        equal([(a.rcpts, a.data) for a in beside], [(RCPTS, whole)],
              "the entry beside them")
        accepted = [a for a in sink.accepted if a.id != "beside"]
        return accepted, lab.names("corrupt"), sink.commands


def nothing_altered(accepted, words):
    for a in accepted:
        if a.sender == "":
            want(False, f"{words}: a report: {a.data[:2000]!r}")
        equal(a.sender, "s@test.example", f"{words}: sender")
        want(set(a.rcpts) <= set(RCPTS), f"{words}: {a.rcpts}")
        equal(a.data, MESSAGE, f"{words}: message")


def sweep(folder, journal, make):
    data = entry_bytes(RCPTS, MESSAGE, journal=journal)
    damaged = list(make(data))
    accepted, corrupt, _ = try_all(folder, damaged)
    nothing_altered(accepted, make.__name__)
    bad = {int(name[4:].split("~")[0]) for name in corrupt}
    guarded = len(data) - len(journal)
    for number, (words, copy) in enumerate(damaged):
        if copy[:guarded] != data[:guarded]:
            want(number in bad, f"{words}: not quarantined")
    # whatever was not quarantined was delivered to whoever is pending
    equal(len(damaged) - len(bad), len(accepted), "delivered")
    return (f"{make.__name__}, journal of {len(journal)} bytes: "
            f"{len(damaged)} damaged, {len(bad)} quarantined, "
            f"{len(accepted)} delivered whole")


def truncation(folder):
    """cut at every byte"""
    return [sweep(f"{folder}/{n}", j, cuts)
            for n, j in enumerate((b"", JOURNAL))]


def every_bit(data):
    return flips(data, True)


def one_bit(data):
    return flips(data, False)


def bits(folder):
    """a bit turned over at every byte"""
    make = every_bit if LONG else one_bit
    return [sweep(f"{folder}/{n}", j, make)
            for n, j in enumerate((b"", JOURNAL))]


def holes(folder):
    """zeros where blocks were never written"""
    return [sweep(f"{folder}/{n}", j, zeros)
            for n, j in enumerate((b"", JOURNAL))]


def journals(folder):
    """a journal is believed line by line, up to what was cut short"""
    rows = [
        # journal, recipients that must still be served; None: quarantined
        (b"", RCPTS),
        (JOURNAL, RCPTS[1:]),
        (JOURNAL[:-1], RCPTS[1:]),
        (JOURNAL + b"000", RCPTS[1:]),
        (journal_line("begin 0 1"), RCPTS),
        (journal_line("begin 0 1") + journal_line("dot 0 1"), RCPTS),
        (journal_line(SENT) + journal_line(SENT.replace("t 0", "t 1")), []),
        (journal_line(SENT), RCPTS[1:]),
        (journal_line("sent 2 attempts=1 text=x"), None),
        (journal_line("sent -1 attempts=1 text=x"), None),
        (journal_line("sent 0 attempts=99999999999999999999 text=x"), None),
        (journal_line("unheard 0"), None),
        (journal_line("transport relay"), RCPTS),
        (journal_line("begin 0 1")[:-1] + journal_line(SENT), None),
        (b"\n", None),
        (JOURNAL + JOURNAL[3:], None),
    ]
    entries = [(str(i), entry_bytes(RCPTS, MESSAGE.replace(
        b"<whole>", b"<j%d>" % i), journal=journal))
        for i, (journal, _) in enumerate(rows)]
    accepted, corrupt, _ = try_all(folder, entries)
    bad = {int(name[4:]) for name in corrupt}
    for i, (_, wanted) in enumerate(rows):
        equal(i in bad, wanted is None, f"journal {i} quarantined")
        if wanted is not None:
            equal(sorted(r for a in accepted if a.id == f"j{i}"
                         for r in a.rcpts), wanted, f"journal {i} served")
    return []


def hostile(folder):
    """another user's entries, sums right: nothing malformed is sent"""
    if os.getuid():
        raise Skip("only root may give files away")
    chance = random.Random(8)
    pieces = [b"\0", b"\r", b"\n", b"\r\n", b"\r\n.\r\n", b"\n.\n", b"\r.\r",
              b".", b"\xff", b"MAIL FROM:<x@y>\r\n", b"Bcc: evil@x.example\n",
              b"Received: x\n" * 60, b":", b" ", b"x" * 3000, b"\r\n\r\n"]
    entries = []
    for number in range(2000 if LONG else 300):
        text = bytearray(MESSAGE)
        for _ in range(chance.randrange(1, 5)):
            at = chance.randrange(len(text) + 1)
            text[at:at + chance.choice((0, 0, 1, 30))] = \
                chance.choice(pieces)
        rcpts = ["a@example.net", chance.choice(("b@example.net",) * 30 + (
            "a%0d%0aDATA@example.net",
            "<a@example.net>", "a@example.net>%20X=Y", "", "@", "a",
            "a@b@c", "x" * 400 + "@example.net", "ü@example.net",
            "a%00@example.net"))]
        sender = chance.choice(("s@test.example",) * 10 + (
            "root@test.example", "", "a%0ab@x.example", "x y", "s@x>%20SIZE=1"))
        entries.append((str(number), entry_bytes(
            rcpts, bytes(text), sender, uid=0, more=chance.choice(
                ("",) * 9 + ("account other\n", "cause made000000000001\n",
                "smtputf8\n", "envid +0D+0A\n", "envid a%20b\n")))))
    accepted, corrupt, commands = try_all(folder, entries, owner=65534)
    for a in accepted:
        lines = a.data.split(b"\r\n")
        want(not any(b"\r" in line or b"\n" in line or b"\0" in line
                      for line in lines), f"malformed: {a.data!r}")
        want(b"\nBcc:" not in a.data.split(b"\r\n\r\n")[0], "Bcc was sent")
    for line in commands:
        want(COMMAND.match(line), f"command {line!r}")
    return [f"{len(entries)} entries, {len(corrupt)} quarantined, "
            f"{len(accepted)} messages sent"]


if __name__ == "__main__":
    sys.exit(tap([truncation, bits, holes, journals, hostile], workers=2))
