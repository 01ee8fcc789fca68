#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rates: a server that refuses what is too fast by its own clock refuses
nothing, what has to wait long is put off, and a rate that cannot be kept loses
no mail. TAP; arguments: names of tests."""

import collections
import fcntl
import json
import os
import re
import signal
import socket
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import badday  # noqa: E402
import entries  # noqa: E402
import harness  # noqa: E402
import lab  # noqa: E402
from harness import want  # noqa: E402

CONFIG = """[general]
hostname = host.example.test
domain = example.test
[log]
to = {folder}/log
[queue]
queue = {queue}
directory = {folder}/queue
[route other]
to_domain = other.example
transport = other
[route all]
transport = {way}
[transport relay]
kind = smtp
host = 127.0.0.1
port = {port}
no_starttls = yes
{rate}
[transport other]
kind = smtp
host = 127.0.0.1
port = {other}
no_starttls = yes
"""
MESSAGE = b"Subject: s\n\nx\n"
ALICE, BOB = 47001, 47002


class Sink:
    """An SMTP server that takes so many recipients within a second, counted
    when they are named; the others, and the first answers of refuse, are
    refused. The first client, where there is a gate, waits there for his
    greeting. A context."""

    def __init__(self, most=10 ** 6, refuse=()):
        self.most = most
        self.gate = None
        self.refuse = collections.deque(refuse)
        self.named = collections.deque()
        self.taken = []
        self.refused = self.now = self.together = 0
        self.lock = threading.Lock()
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        harness.stop_listening(self.socket, self.thread)

    def accept(self):
        while True:
            try:
                peer, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(peer,),
                             daemon=True).start()

    def recipient(self):
        with self.lock:
            now = time.monotonic()
            while self.named and self.named[0] <= now - 1:
                self.named.popleft()
            if self.refuse:
                self.refused += 1
                return self.refuse.popleft()
            if len(self.named) >= self.most:
                self.refused += 1
                return b"454 4.7.0 too fast"
            self.named.append(now)
            return b"250 ok"

    def serve(self, peer):
        with peer, peer.makefile("rb") as lines:
            with self.lock:
                self.now += 1
                self.together = max(self.together, self.now)
            try:
                self.converse(peer, lines)
            except OSError:
                pass
            with self.lock:
                self.now -= 1

    def converse(self, peer, lines):
        named = []
        gate, self.gate = self.gate, None
        if gate:
            gate.wait(60)
        peer.sendall(b"220 sink\r\n")
        for line in lines:
            word, reply = line[:4].upper(), b"250 ok"
            if word == b"MAIL":
                named = []
            elif word == b"RCPT":
                reply = self.recipient()
                if reply[:1] == b"2":
                    named.append(line[9:].split(b">")[0].decode())
            elif word == b"DATA" and not named:
                reply = b"503 no recipients"
            elif word == b"DATA":
                peer.sendall(b"354 go on\r\n")
                for text in lines:
                    if text == b".\r\n":
                        break
                with self.lock:
                    self.taken += [(time.monotonic(), rcpt)
                                   for rcpt in named]
            elif word == b"QUIT":
                return
            peer.sendall(reply + b"\r\n")

    def recipients(self):
        with self.lock:
            return sorted(rcpt for _, rcpt in self.taken)


class Machine(harness.Place):
    def __init__(self, folder, sink, rate="", queue="always", other=None,
                 way="relay"):
        super().__init__(folder, CONFIG.format(
            folder=folder, port=sink.port, queue=queue, way=way,
            rate=f"rate = {rate}" if rate else "",
            other=other.port if other else 9))
        self.state = self.folder / "queue/rate/relay"

    def put(self, *rcpts):
        want(self.run("-odq", *rcpts, stdin=MESSAGE) == (0, "", ""), "queued")

    def put_of(self, uid, name, rcpts, **more):
        """An entry of another user, as posthaste-drop makes it."""
        queue = self.folder / "queue"
        for part in ("tmp", "mess", "corrupt"):
            (queue / part).mkdir(parents=True, exist_ok=True)
            (queue / part).chmod(0o2770)
        path = queue / "tmp" / name
        path.write_bytes(entries.entry_bytes(rcpts, uid=uid, **{
            "message": entries.message_bytes(f"{name}@host"), **more}))
        os.chown(path, uid, -1)
        path.chmod(0o660)
        path.rename(queue / f"mess/{name},0")

    def times(self, begins=""):
        """When what waits will be tried again."""
        return sorted(int(name.split(",")[1]) for name in
                      os.listdir(self.folder / "queue/mess")
                      if name.startswith(begins))

    def send(self, *rcpts):
        return self.run(*rcpts, stdin=MESSAGE)

    def waiting(self):
        status, out, err = self.run("-bp", "--json")
        want(status == 0 and not err, err)
        return json.loads(out)

    def stop(self, runner):
        runner.send_signal(signal.SIGTERM)
        status, _, err = harness.finish(runner, None, 90)
        want(status == 0, err)


def four_runners(folder, _):
    """four runs at once: a server that takes 14 in a second refuses none"""
    many = 46
    with Sink(most=14) as sink:
        m = Machine(folder, sink, "14/s")
        for i in range(many):
            m.put(f"r{i:02}@example.org")
        begun = time.monotonic()
        runners = [m.start("-q") for _ in range(4)]
        for runner in runners:
            want(harness.finish(runner, None, 100)[0] == 0, "a run failed")
        want(sink.refused == 0, f"{sink.refused} refused")
        want(sink.recipients() ==
             [f"r{i:02}@example.org" for i in range(many)], sink.recipients())
        want(time.monotonic() - begun >= 3, "faster than it may be")
        want(not m.waiting(), "some are left")


def senders_wait(folder, _):
    """twelve senders at once, without a queue: all wait, none is refused"""
    with Sink(most=5) as sink:
        m = Machine(folder, sink, "5/s", queue="never")
        children = [m.start(f"r{i}@example.org") for i in range(12)]
        for child in children:
            child.stdin.write(MESSAGE)
            child.stdin.close()
            child.stdin = None
        for child in children:
            status, out, err = harness.finish(child, None, 60)
            want(status == 0 and not err, (status, err))
        want(sink.refused == 0 and len(sink.taken) == 12, sink.taken)


def recipients_count(folder, _):
    """it is recipients that count, and more than the rate take turns"""
    with Sink(most=3) as sink:
        m = Machine(folder, sink, "3/s", queue="never")
        got = m.send(*(f"r{i}@example.org" for i in range(7)))
        want(got == (0, "", ""), got)
        times = [when for when, _ in sink.taken]
        want(sink.refused == 0 and len(times) == 7, sink.taken)
        want(times[6] - times[0] >= 2, times)


def long_waits(folder, _):
    """what would wait long is queued, or 75 without a queue; no attempt"""
    with Sink() as sink:
        m = Machine(folder, sink, "2/h", queue="on_failure")
        for i in range(2):
            want(m.send(f"r{i}@example.org") == (0, "", ""), "sent")
        begun = time.time()
        want(m.send("r2@example.org") == (0, "", ""), "queued")
        entry, = m.waiting()
        rcpt, = entry["recipients"]
        want(entry["attempts"] == 0 and rcpt["status"] == "queued", entry)
        want("rate of transport relay (2/h)" in rcpt["text"], entry)
        next_time = entry["next"]
        want(isinstance(next_time, int) and
             begun + 3000 < next_time < begun + 3900, entry)
        m.configure(m.config.read_text().replace("queue = on_failure",
                                                 "queue = never"))
        status, _, err = m.send("r3@example.org")
        want(status == 75 and "rate of transport relay" in err, (status, err))
        want(len(sink.taken) == 2, sink.taken)


def others_go_on(folder, _):
    """a run puts off what a rate keeps, in turns, and sends all other mail"""
    with Sink() as sink, Sink() as other:
        m = Machine(folder, sink, "2/m", other=other)
        for i in range(7):
            m.put(f"r{i}@example.org")
        m.put("x@other.example")
        runner = m.start("-q")
        harness.eventually(lambda: other.taken, "the other mail", 30)
        harness.eventually(lambda: len(sink.taken) == 2, "the rate's", 30)
        turns = harness.eventually(
            lambda: [e["next"] for e in m.waiting()
                     if e["next"] and e["next"] > time.time()][4:] and
            sorted(e["next"] for e in m.waiting()), "five in turns", 60)
        # it stays to send them when their time comes
        time.sleep(0.3)
        want(runner.poll() is None, "the run has ended")
        m.stop(runner)
        want(len(turns) == 5 and 100 <= turns[4] - turns[0] <= 150, turns)
        want(all(e["attempts"] == 0 for e in m.waiting()), m.waiting())
        want(len(sink.taken) == 2, sink.taken)


def users_take_turns(folder, _):
    """what one user's heap waits for, another's mail that comes then does
    not"""
    if os.getuid():
        raise harness.Skip("must be root")
    with Sink() as sink:
        m = Machine(folder, sink, "20/m")
        for i in range(300):
            m.put_of(ALICE, f"a{i:03}", [f"r{i:03}@example.org"])
        runner = m.start("-q")
        harness.eventually(lambda: m.times() and m.times()[0], "put off", 60)
        m.put_of(BOB, "b0", ["b0@example.org", "b1@example.org"])
        m.put_of(BOB, "b1", ["b2@example.org"])
        first, second = harness.eventually(
            lambda: m.times("b")[0] and m.times("b"), "bob's as well", 60)
        alices, now = m.times("a"), time.time()
        m.stop(runner)
        want(second < now + 75, (first - now, second - now))
        # hers are still as far apart as the rate wants it
        want(len(alices) == 280 and alices[-1] > now + 700 and
             len([t for t in alices if t < now + 130]) <= 45, alices)
        want(len(sink.taken) == 20, sink.taken)


def a_turn_is_kept(folder, _):
    """what comes in its turn while another needs the rate for longer is not
    put behind all that waits"""
    if os.getuid():
        raise harness.Skip("must be root")
    with Sink() as sink:
        m = Machine(folder, sink, "20/m")
        m.state.parent.mkdir(parents=True)
        slot = int(time.time() * 1000) // 1200
        m.state.write_text("posthaste-rate 1\n"
                           f"m {slot - 38} 10\nm {slot - 20} 9\nend\n")
        gate = sink.gate = threading.Event()
        m.put_of(BOB, "b", [f"b{i}@example.org" for i in range(15)],
                 message=b"TLS-Required: No\r\n" +
                 entries.message_bytes("b@host"))
        runner = m.start("-q")
        harness.eventually(lambda: sink.now, "bob's connection", 20)
        for i in range(65):
            m.put_of(ALICE, f"a{i:02}", [f"r{i:02}@example.org"])
        harness.eventually(lambda: m.times("a")[0], "alice's are put off", 20)
        gate.set()
        harness.eventually(lambda: m.times("b")[0], "bob's is put off", 20)
        bobs, before = m.times("b")[0], m.times("a")
        want(before[0] < bobs - 10 < before[30], (bobs, before))
        harness.eventually(
            lambda: before[0] < time.time() < m.times("a")[0] and
            m.times("a")[20] < bobs + 20,
            f"after {bobs} and {before}", 40)
        m.stop(runner)


def the_next_transport(folder, _):
    """where the route names another transport, that one takes over"""
    with Sink() as sink, Sink() as other:
        m = Machine(folder, sink, "1/h", queue="never", other=other,
                    way="relay other")
        for i in range(3):
            want(m.send(f"r{i}@example.org") == (0, "", ""), "sent")
        want(len(sink.taken) == 1 and len(other.taken) == 2, other.taken)


def no_rate_no_file(folder, _):
    """without a rate nothing is written"""
    with Sink() as sink:
        m = Machine(folder, sink, queue="on_failure")
        want(m.send("r@example.org") == (0, "", ""), "sent")
        want(not m.state.parent.exists(), "there is a file")


def harm(folder, _):
    """damage, a place that cannot be written, a link, another's lock: mail
    goes, and the log says it"""
    with Sink() as sink:
        m = Machine(folder, sink, "100/s", queue="on_failure")
        want(m.send("r@example.org") == (0, "", ""), "sent")
        want(m.state.read_text().startswith("posthaste-rate 1\n"), "its file")
        want(m.state.stat().st_mode & 0o777 == 0o600, "its rights")
        for text in (b"", b"\0" * 100, b"posthaste-rate 1\ns 1 2\n",
                     b"posthaste-rate 1\ns 9 1\ns 8 1\nend\n",
                     b"posthaste-rate 1\n" + b"s 1 1\n" * 9000):
            m.state.write_bytes(text)
            want(m.send("r@example.org") == (0, "", ""), text[:40])
            want(m.state.read_text().endswith("end\n"), "is not mended")
        want(m.log().count("is damaged") == 4, m.log())
        # one that was longer leaves nothing that counts
        m.state.write_bytes(m.state.read_bytes() + b"s 1\n" * 20)
        want(m.send("r@example.org") == (0, "", ""), "sent")
        want(m.log().count("is damaged") == 4, m.log())
        with open(m.state, "rb") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            begun = time.monotonic()
            want(m.send("r@example.org") == (0, "", ""), "sent")
            want(time.monotonic() - begun > 1.5, "the lock does not count")
        m.state.unlink()
        victim = m.folder / "victim"
        victim.write_text("mine")
        m.state.symlink_to(victim)
        want(m.send("r@example.org") == (0, "", ""), "sent")
        want(victim.read_text() == "mine", "a link was followed")
        m.state.unlink()
        m.state.parent.rmdir()
        m.state.parent.write_text("no folder")
        want(m.send("r@example.org") == (0, "", ""), "sent")
        want(m.log().count("the rate of transport relay is not kept") == 3,
             m.log())


def asked_for_less(folder, _):
    """421 and 454 4.7.0 slow a destination down: pauses, one connection"""
    with Sink(refuse=[b"454 4.7.0 slow down", b"454 4.7.0 slow down"]) as sink:
        m = Machine(folder, sink)
        for i in range(12):
            m.put(f"r{i:02}@example.org")
        begun = time.monotonic()
        want(m.run("-q", limit=90)[0] == 0, "the run")
        # those two are tried again by the schedule, all others are sent
        want(len(sink.taken) == 10 and len(m.waiting()) == 2, sink.taken)
        want(all(e["attempts"] == 1 for e in m.waiting()), m.waiting())
        want(time.monotonic() - begun >= 1, "no pause was made")
        times = [when for when, _ in sink.taken]
        want(times[-1] - begun >= 1, times)


def asked_for_less_for_good(folder, _):
    """and where that helps nothing, what waits is left alone"""
    with Sink(refuse=[b"421 4.7.0 go away"] * 1000) as sink:
        m = Machine(folder, sink)
        for i in range(60):
            m.put(f"r{i:02}@example.org")
        want(m.run("-q", limit=150)[0] == 0, "the run")
        want(sink.refused < 20, f"asked {sink.refused} times")
        left = m.waiting()
        want(len(left) == 60, len(left))
        want(sum(e["attempts"] for e in left) == sink.refused,
             [e["attempts"] for e in left])


def due(m):
    """The time of all that waits has come, and nobody asked for it."""
    for path in (m.folder / "queue/mess").iterdir():
        path.rename(path.with_name(path.name.split(",")[0] + ",1"))


def one_waits(folder, _):
    """of the runs of many callers one alone waits for what a rate put off, and
    stays as long as the others would have"""
    with Sink() as sink:
        m = Machine(folder, sink, "1/m")
        try:
            for i in range(6):
                want(m.send(f"r{i}@example.org") == (0, "", ""), "sent")
            harness.eventually(lambda: len(sink.taken) == 1 and len([
                e for e in m.waiting() if "is used up" in
                e["recipients"][0]["text"]]) == 5, "put off", 60)
            harness.eventually(lambda: len(lab.runs_in(folder)) == 1,
                               "one run", 30)
            until = (m.folder / "queue/turn").stat().st_mtime - time.time()
            want(20 < until < 1800, f"left in {until} s")
        finally:
            for pid in lab.runs_in(folder):
                os.kill(pid, signal.SIGTERM)
            harness.eventually(lambda: not lab.runs_in(folder), "the end", 60)


def clock_set_back(folder, _):
    """the clock is set back during a pause: mail goes, and the run ends"""
    clock = badday.Clock(folder)
    clock.jump(86400)
    with Sink() as sink:
        m = Machine(folder, sink, "100/s")
        m.env.update(clock.env)
        m.put("r@example.org")
        m.state.parent.mkdir(exist_ok=True)
        m.state.write_text("posthaste-rate 1\n"
                           f"pace {(clock.now() + 15) * 1000} 1000\nend\n")
        runner = m.start("-q")
        harness.eventually(lambda: not any(
            name.endswith(",0") for name in os.listdir(m.folder /
                                                       "queue/mess")),
            "it waits", 60)
        clock.jump(0)
        # it waits no longer than without the jump, and some seconds after
        # the pause for more
        status, _, err = harness.finish(runner, None, 120)
        want((status, err) == (0, b""), err)
        want(sink.recipients() == ["r@example.org"], m.log())


def its_own_schedule(folder, _):
    """a rate holds up whom it concerns: the others of the message are tried
    again in their own time, before its turn and after it"""
    with Sink() as sink, Sink(refuse=[b"450 later"] * 9) as other:
        for schedule, first in (("10m 5h", 600), ("5h", None)):
            m = Machine(f"{folder}/{schedule}", sink, "1/h", other=other,
                        queue=f"on_failure\nschedule = {schedule}")
            got = m.send("full@example.org")
            want(got == (0, "", ""), got)
            asked, begun = other.refused, time.time()
            got = m.send("x@other.example", "r@example.org")
            want(got == (0, "", ""), got)
            entry, = m.waiting()
            # that of the first whose time comes
            want(first is None or
                 begun + 580 < entry["next"] < begun + 640, entry)
            turn = first or 3600
            want(begun + 0.9 * turn < entry["next"] < begun + 1.2 * turn,
                 entry)
            want(other.refused == asked + 1, other.refused)
            for i in range(3):
                due(m)
                want(m.run("-q")[0] == 0, "a run")
            # only in the first case was it due, and then once
            tried = 2 if first else 1
            entry, = m.waiting()
            want((entry["attempts"], other.refused - asked) ==
                 (tried, tried), entry)
            # by hand all are
            want(m.run("--retry", entry["id"])[0] == 0, "retry")
            want(m.run("-q")[0] == 0, "a run")
            entry, = m.waiting()
            want((entry["attempts"], other.refused - asked) ==
                 (tried + 1, tried + 1), entry)
            if first:
                continue
            # nor is the other asked when the rate's turn has come
            m.state.unlink()
            taken = len(sink.taken)
            due(m)
            want(m.run("-q")[0] == 0, "a run")
            entry, = m.waiting()
            want(len(sink.taken) == taken + 1 and
                 entry["attempts"] == tried + 1, entry)
            want(entry["next"] > begun + 4 * 3600, entry)


def its_time_goes_by(folder, _):
    """what a rate, or a server that others found dead, kept for hours is
    reported as late, and at the end of its lifetime as failed"""
    def put(name, rcpt):
        text = entries.entry_bytes(
            [rcpt], entries.message_bytes(f"{name}@host"),
            queued=int(time.time()) - 9 * 3600)
        (m.folder / "queue/tmp" / name).write_bytes(text)
        (m.folder / "queue/tmp" / name).rename(
            m.folder / f"queue/mess/{name},1")

    with Sink() as sink:
        for lifetime, words in (("5d", "Action: delayed"),
                                ("6h", "Status: 4.4.7")):
            m = Machine(f"{folder}/{lifetime}", sink, "1/h",
                        queue=f"always\nlifetime = {lifetime}\n"
                        "alarm_after = 0")
            m.put("full@example.org")
            want(m.run("-q")[0] == 0, "a run")
            put("limited", "r@example.org")
            for i in range(12):
                put(f"dead{i}", f"r{i}@other.example")
            # few descriptors: not all of these are in hand at once
            got = m.run("-q", wrap=["prlimit", "--nofile=40"])
            want(got[0] == 0, got)
            reports = []
            for entry in m.waiting():
                if entry["sender"] == "":
                    reports.append(m.run("--show", entry["id"])[1])
            about = re.findall(r"Final-Recipient: rfc822; *(\S+)",
                               "".join(reports))
            # the first of the dead one's were tried, which is one attempt
            tried = len(re.findall(r"id=dead\d+ .* attempt=1 ", m.log()))
            want("r@example.org" in about and 0 < tried < 12 and
                 len(about) == 1 + 12 - tried, (about, m.log()))
            want(all(words in text for text in reports), reports)
            text, = (text for text in reports if "r@example.org" in text)
            want("rate of transport relay (1/h)" in " ".join(text.split()),
                 text)
            left = [e["id"] for e in m.waiting() if e["sender"]]
            want(("limited" in left) == (lifetime == "5d"), left)
            # nobody is told twice, and a jump of the clock ends nothing
            due(m)
            many = len(reports)
            want(m.run("-q")[0] == 0, "a run")
            want(len([e for e in m.waiting() if e["sender"] == ""]) == many,
                 m.waiting())


TESTS = [four_runners, senders_wait, recipients_count, long_waits,
         others_go_on, users_take_turns, a_turn_is_kept, the_next_transport,
         no_rate_no_file, harm, asked_for_less, clock_set_back, one_waits,
         its_own_schedule, its_time_goes_by]
# takes half a minute
if os.environ.get("POSTHASTE_LONG") or \
        asked_for_less_for_good.__name__ in sys.argv:
    TESTS.append(asked_for_less_for_good)


if __name__ == "__main__":
    harness.need_programs()
    sys.exit(harness.tap(harness.titled(TESTS), 5))
