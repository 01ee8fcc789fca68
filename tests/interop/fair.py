#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of the queue that somebody gets in the way of: servers that say
nothing, entries that are huge, processes that cannot be had, runs that are
ended. Nobody else's mail waits for it, and memory stays small. TAP on standard
output; arguments: names of tests.

TOP_SRCDIR, POSTHASTE  as for tests/wire/run.py
"""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import disk  # noqa: E402
import entries  # noqa: E402
import harness  # noqa: E402
from harness import Skip, want  # noqa: E402

ALICE, BOB = 47001, 47002
MEMORY = 128 * 1024          # of a run and of each of its workers, in KiB
HEAD = """[general]
hostname = host.example.test
domain = example.test
connect_timeout = 5s
timeout = {timeout}
[queue]
queue = always
directory = {folder}/queue
schedule = {schedule}
{queue}
[log]
to = {folder}/log
"""
TRANSPORT = """[route {name}]
to_domain = {name}.example
transport = {name}
[transport {name}]
kind = smtp
host = 127.0.0.1
port = {port}
no_starttls = yes
"""


class Relay:
    """Speaks SMTP, as slowly as one wants it to; a gate is waited for before
    a message is answered. A context."""

    def __init__(self, silent=False, slow=0.0, refuses=False, gate=None):
        self.silent, self.slow, self.refuses = silent, slow, refuses
        self.gate = gate
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.socket.getsockname()[1]
        self.taken = []          # (when, the address of MAIL)
        self.begun = 0           # messages
        self.connections = self.now = self.most = 0
        self.open = []
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        harness.stop_listening(self.socket, self.thread)
        for peer in self.open:
            peer.close()

    def accept(self):
        while True:
            try:
                peer, _ = self.socket.accept()
            except OSError:
                return
            with self.lock:
                self.connections += 1
                self.open.append(peer)
            if not self.silent:
                threading.Thread(target=self.serve, args=(peer,),
                                 daemon=True).start()

    def count(self, change):
        with self.lock:
            self.now += change
            self.most = max(self.most, self.now)

    def serve(self, peer):
        self.count(1)
        try:
            self.converse(peer, peer.makefile("rb"))
        except OSError:
            pass
        self.count(-1)
        peer.close()

    def converse(self, peer, lines):
        peer.sendall(b"220 relay\r\n")
        sender = b""
        for line in lines:
            word = line[:4].upper()
            if word == b"DATA":
                self.begun += 1
                peer.sendall(b"354 go on\r\n")
                for text in lines:
                    if text == b".\r\n":
                        break
                time.sleep(self.slow)
                if self.gate:
                    self.gate.wait(60)
                if not self.refuses:
                    self.taken.append((time.monotonic(), sender.decode()))
            elif word == b"MAIL":
                sender = line[10:].split(b">")[0].strip(b"<>\r\n ")
            elif word == b"QUIT":
                return
            peer.sendall(b"450 4.2.0 not now\r\n"
                         if self.refuses and word == b"RCPT"
                         else b"250 ok\r\n")

    def senders(self):
        return [sender for _, sender in self.taken]


class Queue(harness.Place):
    """A configuration, and a queue that several users may write."""

    def __init__(self, folder, relays, timeout="10m", schedule="7m30s",
                 queue="", more=""):
        super().__init__(folder)
        text = HEAD.format(folder=folder, timeout=timeout,
                           schedule=schedule, queue=queue)
        for name, relay in relays.items():
            text += TRANSPORT.format(name=name, port=relay.port)
        self.config.write_text(text + more)
        self.mess = self.folder / "queue/mess"
        self.program = harness.POSTHASTE
        for part in ("tmp", "mess", "corrupt"):
            (self.folder / "queue" / part).mkdir(parents=True)
            if os.getuid() == 0:
                (self.folder / "queue" / part).chmod(0o2770)

    def start(self, *argv, **more):
        return super().start(*argv, program=self.program,
                             **{"stdin": subprocess.DEVNULL, **more})

    def put(self, name, rcpt, sender="a@example.test", uid=None, when=0,
            body=b"From: a@example.test\r\n\r\nhello\r\n", header=None,
            held=False):
        """An entry, as an atomic rename makes it appear. held: locked, as its
        writer has it."""
        rcpts = [rcpt] if isinstance(rcpt, str) else rcpt
        header = header or b"".join(b"rcpt %s\n" % r.encode() for r in rcpts)
        data = entries.made(
            b"queued %d\nuid %d\nsender %s\n" %
            (time.time(), os.getuid() if uid is None else uid,
             sender.encode()) + header, body, crc=(
                 entries.checksum_fast if len(body) > 10 ** 5 else
                 entries.checksum))
        path = self.folder / "queue/corrupt" / name
        path.write_bytes(data)
        if uid is not None and os.getuid() == 0:
            os.chown(path, uid, -1)
        path.chmod(0o660)
        if held:
            self.held = path.open("r+b")
            fcntl.flock(self.held, fcntl.LOCK_EX)
        path.rename(self.mess / f"{name},{when}")

    def let_go(self):
        self.held.close()

    def names(self):
        return sorted(os.listdir(self.mess))



def ended(child, limit=100):
    status, out, err = harness.finish(child, None, limit)
    return status, out.decode(), err.decode()


def stop(child):
    child.send_signal(signal.SIGTERM)
    return ended(child, 80)


# --- who waits for whom ---

def silent_servers_delay_nobody(folder, _):
    silent = {f"s{i}": Relay(silent=True) for i in range(12)}
    with Relay() as good:
        q = Queue(folder, {**silent, "good": good})
        for i in range(12):
            q.put(f"a{i}", f"x@s{i}.example", "alice@example.test", ALICE)
        child = q.start("-q")
        harness.eventually(lambda: sum(r.connections for r in silent.values()) >= 10,
                   "the silent ones are tried", 20)
        begun = time.monotonic()
        q.put("b1", "x@good.example", "bob@example.test", BOB)
        harness.eventually(lambda: good.taken, "bob's mail", 40)
        q.put("a99", "x@good.example", "alice@example.test", ALICE)
        harness.eventually(lambda: len(good.taken) == 2, "alice's other mail", 55)
        want(good.taken[0][0] - begun < 40, good.taken)
        stop(child)
    for relay in silent.values():
        relay.__exit__()


def more_silent_servers_than_workers(folder, _):
    silent = [Relay(silent=True) for _ in range(5)]
    with Relay() as good:
        q = Queue(folder, {**{f"s{i}": r for i, r in enumerate(silent)},
                           "good": good}, queue="concurrency = 1")
        for i in range(5):
            q.put(f"a{i}", f"x@s{i}.example", "alice@example.test", ALICE)
        child = q.start("-q")
        harness.eventually(lambda: sum(r.connections for r in silent) >= 4,
                   "all workers stand still", 60)
        q.put("b1", "x@good.example", "bob@example.test", BOB)
        harness.eventually(lambda: good.taken, "bob's mail", 55)
        stop(child)
    for relay in silent:
        relay.__exit__()


def a_run_sends_what_comes_meanwhile(folder, _):
    with Relay(slow=8) as slow, Relay() as good:
        q = Queue(folder, {"slow": slow, "good": good})
        q.put("a1", "x@slow.example")
        child = q.start("-q")
        harness.eventually(lambda: slow.now, "the slow one is tried", 10)
        begun = time.monotonic()
        q.put("b1", "x@good.example")
        harness.eventually(lambda: good.taken, "the second mail", 5)
        want(not slow.taken, "the run waited")
        q.put("b2", "x@good.example")
        want(ended(child) == (0, "", ""), "the run")
        want(len(good.taken) == 2 and len(slow.taken) == 1, good.taken)
        want(time.monotonic() - begun < 30, "too long")
        want(not q.names(), q.names())


def its_writer_had_it(folder, _):
    """A run that comes by before an entry's writer has let go of it tries it
    when the writer says so, and leaves it to no later one."""
    with Relay(slow=8) as slow, Relay() as good:
        q = Queue(folder, {"slow": slow, "good": good})
        q.put("a1", "x@slow.example")
        child = q.start("-q")
        harness.eventually(lambda: slow.now, "the slow one is tried", 10)
        q.put("b1", "x@good.example", held=True)
        q.put("b2", "x@good.example")
        harness.eventually(lambda: good.taken, "the other mail", 10)
        q.let_go()
        (q.folder / "queue/wake").mkdir(exist_ok=True)
        (q.folder / "queue/wake/due").touch()
        want(ended(child) == (0, "", ""), "the run")
        want(len(good.taken) == 2 and not q.names(), q.names())


def a_command_that_hangs_keeps_nobody(folder, _):
    """Who asks for a secret waits for it alone, and asks once a run."""
    with Relay() as good, Relay() as hangs, Relay() as answers:
        q = Queue(folder, {"good": good, "hangs": hangs, "answers": answers},
                  queue="concurrency = 1")
        text = q.config.read_text()
        for name, command in (("hangs", "sleep 300"),
                              ("answers", "sleep 1; echo secret")):
            section = f"[transport {name}]\n"
            text = text.replace(section, section + (
                f"username = {name}\npassword_command = "
                f"echo {name} >> {folder}/asked; exec {command}\n"
                if name == "hangs" else
                f"username = {name}\npassword_command = "
                f"echo {name} >> {folder}/asked; {command}\n"))
        q.config.write_text(text)
        q.put("a1", "x@hangs.example")
        q.put("a2", "x@answers.example")
        q.put("a3", "y@answers.example")
        q.put("a4", "x@hangs.example")
        child = q.start("-q", start_new_session=True)
        q.put("b", "x@good.example")
        harness.eventually(lambda: good.taken, "the mail behind it", 20)
        harness.eventually(lambda: answers.connections, "what was told", 20)
        time.sleep(1)
        asked = (q.folder / "asked").read_text().split()
        want(sorted(asked) == ["answers", "hangs"] and not hangs.connections,
             asked)
        stop(child)
        # nobody was asked there, and the others' server lacks AUTH
        want("a1,0" in q.names() and "a4,0" in q.names() and
             len(q.names()) == 4, q.names())


def a_slow_on_failure_keeps_nobody(folder, _):
    """Whoever is told takes a second for each of many: others' mail goes
    meanwhile, and a run that is to end leaves the rest to the next one, where
    it is the same."""
    more = ("[route bad]\nto_domain = bad.example\ntransport = bad\n"
            "[route reports]\nto_domain = example.test\n"
            "transport = reports\n"
            "[transport bad]\nkind = fail\n"
            "[transport reports]\nkind = discard\n")
    with Relay() as good:
        q = Queue(folder, {"good": good}, more=more, queue=(
            f"on_failure = echo told >> {folder}/told; sleep 1"))

        def told():
            path = q.folder / "told"
            return len(path.read_text().split()) if path.exists() else 0

        for i in range(25):
            q.put(f"a{i:02}", "x@bad.example", "alice@example.test", ALICE)
        for taken in (1, 2):
            before = told()
            child = q.start("-q")
            harness.eventually(lambda: told() > before, "on_failure", 20)
            q.put(f"b{taken}", "x@good.example", "bob@example.test", BOB)
            harness.eventually(lambda: len(good.taken) == taken, "bob's", 7)
            want(told() < before + 10, f"after {told() - before} were told")
            begun = time.monotonic()
            want(stop(child)[0] == 0, "the run")
            want(time.monotonic() - begun < 5, "the end takes long")
            want(len([n for n in q.names() if n[0] == "a"]) > 10, q.names())
        q.config.write_text(q.config.read_text().replace("; sleep 1", ""))
        want(ended(q.start("-q")) == (0, "", ""), "the run")
        want(told() == 25 and not q.names(), (told(), q.names()))


def what_fills_the_disk_is_waited_for(folder, _):
    """Large mail that has no room for its temporary file while others' is in
    hand waits for them, is no attempt, and holds up nobody; with nothing in
    hand the disk is at fault."""
    large = b"From: a@example.test\r\n\r\n" + (b"y" * 76 + b"\r\n") * 40000
    gate = threading.Event()
    with Relay(gate=gate) as slow, Relay() as good, \
            disk.tmpfs(f"{folder}/small", "size=5m,mode=1777") as small:
        q = Queue(folder, {"slow": slow, "good": good})
        for i in range(3):
            q.put(f"a{i}", "x@slow.example", "alice@example.test", ALICE,
                  body=large)
        child = q.start("-q", env={"TMPDIR": small})
        harness.eventually(lambda: slow.begun, "alice's mail", 20)
        q.put("b0", "x@good.example", "bob@example.test", BOB, body=large)
        q.put("b1", "x@good.example", "bob@example.test", BOB)
        harness.eventually(lambda: good.taken, "bob's small one", 20)
        want("b0,0" in q.names() and len(good.taken) == 1, q.names())
        gate.set()
        want(ended(child) == (0, "", "") and not q.names(), q.names())
        want(len(slow.taken) == 3 and len(good.taken) == 2 and
             "status=deferred" not in q.log(), q.log())
        q.put("c", "x@good.example", "bob@example.test", BOB, body=large)
        (q.folder / "small/others").write_bytes(b"x" * (4 << 20))
        want(q.run("-q", env={"TMPDIR": small}) == (0, "", ""), "the run")
        want("c,0" not in q.names() and len(q.names()) == 1 and
             "attempt=1 " in q.log().splitlines()[-1] and
             "cannot write a temporary file" in q.log(), q.log())


def one_users_heap_lets_others_in(folder, _):
    with Relay(slow=0.2) as good:
        q = Queue(folder, {"good": good}, queue="connections = 1")
        for i in range(150):
            q.put(f"a{i:03d}", "x@good.example", "alice@example.test", ALICE)
        child = q.start("-q")
        harness.eventually(lambda: len(good.taken) > 3, "alice's mail", 20)
        q.put("b1", "x@good.example", "bob@example.test", BOB)
        harness.eventually(lambda: "bob@example.test" in good.senders() or
                   any("bob" in line for line in good.senders()),
                   "bob's mail", 20)
        want(len(good.taken) < 100, len(good.taken))
        ended(child, 60)
        want(len(good.taken) == 151 and good.most == 1,
             (len(good.taken), good.most))


def one_connection_carries_all(folder, _):
    with Relay() as good:
        q = Queue(folder, {"good": good})
        for i in range(40):
            q.put(f"a{i:03d}", "x@good.example")
        want(ended(q.start("-q")) == (0, "", ""), "the run")
        want((len(good.taken), good.connections) == (40, 1),
             (len(good.taken), good.connections))


def no_more_than_concurrency_and_connections(folder, _):
    relays = {f"r{i}": Relay(slow=0.3) for i in range(6)}
    q = Queue(folder, relays, queue="concurrency = 2\nconnections = 2")
    highest = 0
    for i in range(6):
        for j in range(110 if i == 0 else 2):
            q.put(f"a{i}x{j:03d}", f"x@r{i}.example")
    child = q.start("-q")
    while child.poll() is None and not relays["r0"].taken[20:]:
        highest = max(highest, sum(bool(r.now) for r in relays.values()))
        time.sleep(0.01)
    want(highest <= 3 and relays["r0"].most <= 2,
         (highest, relays["r0"].most))
    ended(child, 100)
    want(not q.names(), q.names())
    for relay in relays.values():
        relay.__exit__()


# --- ends ---

def a_run_ends_in_good_order(folder, _):
    with Relay(silent=True) as silent, Relay(slow=3) as slow:
        q = Queue(folder, {"silent": silent, "slow": slow})
        for i in range(3):
            q.put(f"a{i}", "x@silent.example")
        q.put("b", "x@slow.example")
        child = q.start("-q")
        # a message that has not begun would be handed back untried
        harness.eventually(lambda: silent.connections and slow.begun, "both",
                           20)
        child.send_signal(signal.SIGTERM)
        status, _, err = ended(child, 80)
        want(status == 0, (status, err))
        want(len(slow.taken) == 1, "the message in hand is finished")
        names = q.names()
        want(len(names) == 3 and not any(n.endswith(",0") for n in names),
             f"what was tried has another time: {names}")


def cut_off_comes_last(folder, _):
    with Relay(silent=True) as silent, Relay() as good:
        q = Queue(folder, {"s": silent, "good": good},
                  queue="concurrency = 1")
        for i in range(3):
            q.put(f"a{i}", "x@s.example", "alice@example.test")
        child = q.start("-q", start_new_session=True)
        harness.eventually(lambda: silent.connections, "the silent one", 10)
        time.sleep(0.3)
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
        # as if it had come to the journal of each
        q.put("b", "x@good.example", "bob@example.test")
        child = q.start("-q")
        harness.eventually(lambda: good.taken, "the rest", 30)
        stop(child)


def no_process_is_an_outcome(folder, _):
    """Nothing is passed over in silence, the status is 71, the mail stays."""
    if os.getuid():
        raise Skip("must be root")
    with Relay() as good:
        q = Queue(folder, {"good": good, "other": good}, schedule="0s")
        q.put("a", ["x@good.example", "y@good.example", "x@other.example"],
              uid=65534)
        q.folder.parent.chmod(0o755)
        # the build folder may be out of the other user's reach
        q.program = harness.copy_program(harness.POSTHASTE, q.folder)
        for path in [q.folder, *q.folder.rglob("*")]:
            os.chown(path, 65534, 65534)
        as_nobody = {"user": 65534, "group": 65534, "extra_groups": []}

        sleeper = subprocess.Popen(["sleep", "60"], **as_nobody)
        try:
            child = q.start(
                "-q", wrap=("prlimit", "--nproc=1"),
                # looking for leaks takes a process, too
                env={"ASAN_OPTIONS": "detect_leaks=0"}, **as_nobody)
            status, _, err = ended(child)
        finally:
            sleeper.kill()
            sleeper.wait()
        want(status == 71 and "worker" in err, (status, err))
        lines = [line for line in q.log().splitlines() if " to=" in line]
        want(len(lines) == 3 and all(
            "fork" in line and "status=deferred" in line and
            "attempt=1" in line for line in lines), q.log())
        done = ended(q.start("-q", **as_nobody))
        want(done[0] == 0 and len(good.taken) == 2 and
             not q.names(), (done, good.taken, q.names()))


# --- size ---

def measured(q, limit=60):
    """Runs the queue; gives the largest of its processes in KiB."""
    code = ("import resource, subprocess, sys; "
            "s = subprocess.call(sys.argv[1:]); "
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); "
            "sys.exit(s)")
    child = q.start("-q", wrap=(sys.executable, "-c", code))
    status, out, err = ended(child, limit)
    want(status == 0, (status, out, err))
    return int(out.split()[-1])


def many_domains(folder, _):
    with Relay() as good, Relay() as other:
        names = [f"r{i}@{i}.bulk.example" for i in range(2500)]
        q = Queue(folder, {"good": good}, timeout="10s", more=(
            "[route bulk]\nto_domain = .bulk.example\ntransport = direct\n"
            "[dns]\nresolver = 127.0.0.1:9\n"))
        q.put("a", names, "alice@example.test", ALICE)
        q.put("b", "x@good.example", "bob@example.test", BOB)
        begun = time.monotonic()
        memory = measured(q, 100)
        want(len(good.taken) == 1 and good.taken[0][0] - begun < 20,
             "bob's mail")
        want(harness.sanitized() or memory < MEMORY, f"{memory} KiB")
        want(other.connections == 0, "nobody else")


def very_many_recipients(folder, _):
    with Relay() as good:
        q = Queue(folder, {"good": good}, timeout="20s")
        q.put("a", [f"r{i}@good.example" for i in range(60000)],
              "alice@example.test", ALICE)
        q.put("a2", "x@good.example", "alice@example.test", ALICE,
              header=b"rcpt a\n" * 1000000)
        q.put("b", "x@good.example", "bob@example.test", BOB)
        memory = measured(q, 100)
        want(any("bob" in s or s for s in good.senders()) and
             len(good.taken) >= 2, good.taken)
        want(harness.sanitized() or memory < MEMORY, f"{memory} KiB")
        want("b,0" not in q.names(), q.names())


# --- by hand ---

def by_hand(folder, _):
    """What became of each is said; the next regular time stays."""
    with Relay(refuses=True) as busy, Relay() as good:
        q = Queue(folder, {"busy": busy, "good": good})
        # within the schedule: a longer wait is a changed clock's
        later = int(time.time()) + 400
        q.put("a", ["x@busy.example", "y@good.example"], when=later)
        status, _, err = q.run("-v", "-qIa", limit=120)
        want(status == 0 and "x@busy.example" in err and
             "4.2.0" in err and "y@good.example" in err, err)
        want(q.names() == [f"a,{later}"], q.names())
        done = q.run("-q", limit=120)
        want(done[2] == "" and len(good.taken) == 1, done)
        # by --retry as well, however often it is said
        for _ in range(2):
            q.run("--retry", "a")
        want(q.names() == ["a,0"], q.names())
        want(q.run("-q", limit=120)[0] == 0 and
             q.names() == [f"a,{later}"], q.names())


def nothing_due_is_quick(folder, _):
    q = Queue(folder, {})
    q.put("a", "x@y.example", when=int(time.time()) + 1000)
    times = []
    for _ in range(5):                  # on a busy machine, too
        begun = time.monotonic()
        want(ended(q.start("-q")) == (0, "", ""), "the run")
        times.append(time.monotonic() - begun)
    want(harness.sanitized() or min(times) < 0.5, f"slow: {times}")


TESTS = [
    silent_servers_delay_nobody, more_silent_servers_than_workers,
    a_run_sends_what_comes_meanwhile, its_writer_had_it,
    a_command_that_hangs_keeps_nobody, a_slow_on_failure_keeps_nobody,
    what_fills_the_disk_is_waited_for,
    one_users_heap_lets_others_in,
    one_connection_carries_all, no_more_than_concurrency_and_connections,
    a_run_ends_in_good_order, cut_off_comes_last, no_process_is_an_outcome,
    many_domains, very_many_recipients, by_hand, nothing_due_is_quick,
]


if __name__ == "__main__":
    harness.need_programs()
    sys.exit(harness.tap([(test.__name__.replace("_", " "), test)
                          for test in TESTS], 13))
