#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The postmaster is told of mail that stands still: once a day, by a way that
works, of what counts and of nothing else. TAP; arguments: names of tests."""

import json
import os
import pathlib
import re
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import entries  # noqa: E402
import harness  # noqa: E402
from harness import want  # noqa: E402

CONFIG = """[general]
hostname = host.example.test
domain = example.test
aliases = {folder}/aliases
[log]
to = {folder}/log
[queue]
queue = always
directory = {folder}/queue
{queue}
[route limited]
to_domain = limited.example
transport = limited
[route postmaster]
to_domain = example.test
transport = {way}
[route all]
transport = relay
[transport relay]
kind = fail
code = 451
message = 4.3.0 come back later, it is {long} long
[transport limited]
kind = lmtp
host = /nowhere
rate = 1/d
[transport box]
kind = maildir
path = {folder}/box
"""
MESSAGE = b"From: a@example.test\r\nSubject: s\r\n\r\nx\r\n"
HOUR, DAY = 3600, 86400


class Machine(harness.Place):
    def __init__(self, folder, way="relay box", queue="", aliases=""):
        folder = pathlib.Path(folder)
        folder.mkdir(exist_ok=True)
        (folder / "aliases").write_text(aliases)
        super().__init__(folder, CONFIG.format(
            folder=folder, way=way, queue=queue, long="very " * 40))
        for part in ("tmp", "mess", "corrupt"):
            (folder / "queue" / part).mkdir(parents=True)
        self.last = folder / "queue/last-alarm"

    def put(self, name, rcpt="b@example.org", hours=5.0, next_="0",
            header=b"", journal=b""):
        """An entry that has been there for so long."""
        head = b"queued %d\nuid %d\n%ssender a@example.test\nrcpt %s\n" % (
            time.time() - hours * HOUR, os.getuid(), header, rcpt.encode())
        path = self.folder / "queue/tmp" / name
        path.write_bytes(entries.made(head, MESSAGE, journal))
        path.rename(self.folder / "queue/mess" / f"{name},{next_}")

    def runs(self):
        """A run, in which all is tried."""
        for path in (self.folder / "queue/mess").iterdir():
            if not path.name.endswith(",h"):
                path.rename(path.with_name(path.name.split(",")[0] + ",0"))
        got = self.run("-q")
        want(got == (0, "", ""), got)

    def ago(self, seconds, queued=True):
        """The last alarm was so long ago."""
        self.last.write_text(f"{int(time.time() - seconds):<20} "
                             f"{'queued' if queued else '':<10}\n")

    def alarms(self):
        box = self.folder / "box/new"
        return [p.read_text() for p in sorted(box.iterdir())] \
            if box.exists() else []

    def waiting(self):
        return json.loads(self.run("-bp", "--json")[1])


def told(folder, _):
    """how many, since when, why, by which way, and what to do; once a day"""
    m = Machine(folder)
    for i in range(3):
        m.put(f"a{i}", hours=5 + i)
    m.put("young", hours=1)
    m.runs()
    text, = m.alarms()
    header, _, body = text.partition("\n\n")
    for words in ("Return-Path: <>", "To: <postmaster@example.test>",
                  "Auto-Submitted: auto-generated",
                  "Subject: Mail stands still on host.example.test: "
                  "3 messages"):
        want(words in header, header)
    flat = " ".join(body.split())
    for words in ("3 messages in the queue of host.example.test",
                  "the oldest for 7 hours", "By relay: 3 messages to 3",
                  "4.3.0 come back later, it is " + "very " * 40 + "long",
                  "mailq", "--health", "--retry ALL"):
        want(words in flat, body)
    since = re.search(r"since\n(.*):\n", body).group(1)
    want(time.strftime("%d %b %Y", time.localtime(
        time.time() - 7 * HOUR)).lstrip("0") in since, body)
    want(max(len(line) for line in body.splitlines()) < 80, body)
    m.runs()
    m.ago(DAY - 600)
    m.runs()
    want(len(m.alarms()) == 1, "told twice in a day")
    m.ago(DAY + 1)
    m.runs()
    want(len(m.alarms()) == 2, "not told again after a day")
    want(len(m.waiting()) == 4, m.waiting())
    want(m.log().count("mail stands still: 3 messages") == 2, m.log())


def not_told(folder, _):
    """not of what is held, waits for a rate, is a report, or is young"""
    m = Machine(folder, queue="delay_report_after = 0")
    m.put("held", next_="h")
    m.put("report", header=b"cause x1\n")
    m.put("young", hours=3.9)
    m.put("limited", "c@limited.example")
    (m.folder / "queue/rate").mkdir()
    (m.folder / "queue/rate/limited").write_text(
        f"posthaste-rate 1\nd {int(time.time() / 1728)} 1\nend\n")
    m.runs()
    want(not m.alarms(), m.alarms())
    limited, = (e for e in m.waiting() if e["id"] == "limited")
    want("rate" in limited["recipients"][0]["text"], limited)
    # but a rate may be used up for a day, and not for longer
    m.put("longer", "c@limited.example", hours=28.1)
    m.runs()
    text, = m.alarms()
    want("By limited: 1 message to 1 recipient" in " ".join(text.split()),
         text)
    # nor where nobody wants to be
    m = Machine(folder + "/off", queue="alarm_after = 0")
    m.put("a")
    m.runs()
    want(not m.alarms() and not m.last.exists(), m.alarms())
    m = Machine(folder + "/short", queue="alarm_after = 10m")
    m.put("a", hours=0.2)
    m.runs()
    want("the oldest for 72" in m.alarms()[0], m.alarms())


def no_other_way(folder, _):
    """where all stands still it waits, too, alone, and not for itself"""
    m = Machine(folder, way="relay")
    m.put("a")
    for _ in range(4):
        m.runs()
        m.ago(DAY + 1)
    want([e["id"][:6] for e in m.waiting()] == ["a", "alarm-"], m.waiting())
    # then only the alarm is left, and is not told of
    m.run("--remove", "a")
    m.ago(DAY + 1)
    m.runs()
    entry, = m.waiting()
    want(entry["sender"] == "" and
         entry["recipients"][0]["address"] == "postmaster@example.test",
         entry)


def interrupted(folder, _):
    """a crash at any point neither loses it nor makes two"""
    m = Machine(folder)
    m.put("a")
    when = int(time.time()) - 100
    # noted, and not queued
    m.ago(100, queued=False)
    m.runs()
    text, = m.alarms()
    want(f"<alarm-{when}@" in text or f"<alarm-{when - 1}@" in text, text)
    # queued, and not noted again
    m = Machine(folder + "/2", way="relay")
    m.put("a")
    m.runs()
    want(len(m.waiting()) == 2, m.waiting())
    m.ago(100, queued=False)
    m.runs()
    want(len(m.waiting()) == 2, m.waiting())
    for text in ("", "\0" * 32, "nonsense", "9" * 40 + "\n",
                 f"{int(time.time()) + 40 * DAY} queued\n"):
        m = Machine(f"{folder}/{len(text)}")
        m.put("a")
        m.last.write_text(text)
        m.runs()
        want(len(m.alarms()) == 1, f"{text!r}: {m.alarms()}")


def several_runs(folder, _):
    """four runs at once tell once"""
    m = Machine(folder)
    for i in range(20):
        m.put(f"a{i}")
    for runner in [m.start("-q", stdin=subprocess.DEVNULL)
                   for _ in range(4)]:
        want(harness.finish(runner, None, 60)[0] == 0, "a run")
    m.runs()
    want(len(m.alarms()) == 1, f"{len(m.alarms())} alarms")


def by_aliases(folder, _):
    """postmaster is who the aliases say, or nobody"""
    m = Machine(folder, queue="postmaster = postmaster@localhost",
                aliases="postmaster: root\nroot: boss@example.test\n")
    m.put("a")
    m.runs()
    text, = m.alarms()
    want("Delivered-To: boss@example.test" in text, text)
    m = Machine(folder + "/2", queue="postmaster = postmaster@localhost",
                aliases="postmaster: /dev/null\n")
    m.put("a")
    m.runs()
    m.runs()
    want(not m.alarms() and m.log().count("is not told") == 1, m.log())


def sender_runs(folder, _):
    """what a sender starts on the side tells nobody"""
    m = Machine(folder)
    m.put("a")
    want(m.run("-odb", "x@example.test", stdin=MESSAGE)[0] == 0, "sent")
    harness.eventually(m.alarms, "the message", 30)
    time.sleep(0.2)
    want(not m.last.exists() and len(m.alarms()) == 1, m.alarms())
    want("Auto-Submitted" not in m.alarms()[0], m.alarms())


TESTS = [told, not_told, no_other_way, interrupted, several_runs, by_aliases,
         sender_runs]


if __name__ == "__main__":
    harness.need_programs()
    sys.exit(harness.tap(harness.titled(TESTS)))
