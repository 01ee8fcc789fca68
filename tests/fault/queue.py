#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the queue promises while nothing breaks but the relay: kept, tried by
the schedule, reported, administered, worked on by many at once."""

import contextlib
import email
import email.policy
import email.utils
import os
import pathlib
import pty
import re
import select
import socket
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
# not this folder itself: its names would hide those of the library
sys.path[0] = os.path.join(os.path.dirname(__file__), "../support")
from harness import (  # noqa: E402
    POSTHASTE, Skip, equal, eventually, namespace, need, sanitized,
    stop_listening, want)
from entries import entry_bytes, journal_line, message_bytes  # noqa: E402
from lab import (  # noqa: E402
    ROUTE, Lab, Sink, faketime_library, need_strace, tap)


# --- kept and sent ---

def relay_down(folder):
    """relay down: 0 and silence, mailq shows it; relay up: -q delivers"""
    with Sink() as sink:
        lab = Lab(folder, sink.port)
        status, out, err = lab.run("-i", "a@example.net", stdin=b"hi\n")
        equal((status, out, err), (0, b"", b""), "submission")
        text = lab.good("-bp", silent=False).decode()
        want("a@example.net" in text and "Connection refused" in text,
              text)
        want(text.rstrip().endswith("in 1 Request."), text)
        entry, = lab.list()
        equal(entry["attempts"], 1, "attempts")
        want(time.time() < entry["next"] <= time.time() + 3710,
              f"next: {entry}")
        lab.good("-q")
        equal(len(sink.accepted), 0, "sent before its time")
        sink.up()
        lab.make_due()
        lab.good("-q")
        equal([a.rcpts for a in sink.accepted], [["a@example.net"]], "sent")
        want(sink.accepted[0].data.endswith(b"\r\n\r\nhi\r\n"),
              repr(sink.accepted[0].data))
        equal(lab.good("-bp", silent=False), b"Mail queue is empty\n", "mailq")
        equal((lab.names(), lab.names("tmp"), lab.names("corrupt")),
              ([], [], []), "what is left")


def queue_only(folder):
    """-odq and -odd queue without a try"""
    with Sink() as sink:
        lab = Lab(folder, sink.up().port)
        lab.hold("one", "a@example.net")
        status, out, err = lab.submit("two", "b@example.net", args=["-odd"])
        equal((status, out + err), (0, b""), "-odd")
        equal(sink.connections, 0, "connections")
        equal([(e["attempts"], e["next"]) for e in lab.list()], [(0, 0)] * 2,
              "listed")
        lab.good("-q")
        equal(sink.counts(), {("one", "a@example.net"): 1,
                              ("two", "b@example.net"): 1}, "sent")


def sees_end(fd):
    """Whether the pipe's other end is closed within two seconds."""
    ready, _, _ = select.select([fd], [], [], 2)
    return bool(ready) and os.read(fd, 1000) == b""


def background(folder):
    """-odb returns while the relay is silent and keeps no descriptor"""
    with Sink() as sink:
        lab = Lab(folder, sink.port)
        sink.socket.listen(8)
        pipes = {name: os.pipe() for name in ("output", "error", "other")}

        begin = time.monotonic()
        child = subprocess.Popen(
            [POSTHASTE, "-C", str(lab.config), "-odb", "-i", "a@example.net"],
            stdin=subprocess.PIPE, stdout=pipes["output"][1],
            stderr=pipes["error"][1], pass_fds=[pipes["other"][1]],
            env=lab.env, cwd=folder)
        for _, end in pipes.values():
            os.close(end)
        child.communicate(b"Message-ID: <bg>\n\nhi\n", timeout=30)
        equal(child.returncode, 0, "status")
        want(time.monotonic() - begin < 5, "did not return at once")
        held = [n for n, (fd, _) in pipes.items() if not sees_end(fd)]
        for fd, _ in pipes.values():
            os.close(fd)
        sink.up()
        eventually(lambda: not lab.names(), "delivery in the background", 60)
        equal(held, [], "descriptors still open")
        equal(sink.counts(), {("bg", "a@example.net"): 1}, "sent")


# In namespaces of its own, as process 1: a /dev with a log or without, then the
# command. What comes to that log goes to standard output.
FIRST_PROCESS = """
import os, socket, subprocess, sys, time
subprocess.run(["mount", "-t", "tmpfs", "none", "/dev"], check=True)
os.mknod("/dev/null", 0o666 | 0o020000, os.makedev(1, 3))
log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
log.settimeout(60)
if sys.argv[1] == "syslog":
    log.bind("/dev/log")
subprocess.run(sys.argv[2:], input=b"hi\\n", check=True,
               stderr=None if sys.argv[1] == "none" else subprocess.DEVNULL)
while '"failed"' not in (log.recv(65536).decode() if sys.argv[1] == "syslog"
                          else open("/proc/self/fd/2").read()):
    time.sleep(0.02)
"""


def background_log(folder):
    """with to = stderr a background run logs by syslog, or to an engine,
    which gets no dialogue (-v) besides"""
    if os.geteuid():
        raise Skip("needs root")
    for taker in ("syslog", "none"):
        with Sink() as sink:
            lab = Lab(f"{folder}/{taker}", sink.up().port, "queue = always")
            lab.config.write_text(re.sub("(?m)^to = .*", "to = stderr",
                                         lab.config.read_text()))
            with open(f"{folder}/{taker}/stderr", "w") as stderr:
                done = subprocess.run(
                    namespace("mount", "pid") +
                    [sys.executable, "-c", FIRST_PROCESS, taker, POSTHASTE,
                     "-C", str(lab.config), "-i", "-v", "-f", "<>",
                     "nouser@example.net"],
                    stderr=stderr, env=lab.env, timeout=90, check=False)
            said = pathlib.Path(f"{folder}/{taker}/stderr").read_text()
            equal(done.returncode, 0, f"{taker}: {said}")
            want("EHLO" not in said, said)


def always(folder):
    """queue = always: held first, delivered in the background; -odi now"""
    with Sink() as sink:
        lab = Lab(folder, sink.up().port, "queue = always")
        status, out, err = lab.submit("one", "a@example.net")
        equal((status, out + err), (0, b""), "submission")
        eventually(lambda: sink.accepted, "delivery")
        eventually(lambda: not lab.names(), "removal")
        want("status\":\"queued" in lab.log().replace(" ", ""), lab.log())
        status, out, err = lab.submit("no", "nobody@example.net",
                                      args=["-odi"])
        equal(status, 67, "-odi with a refusal")
        want(b"550 5.1.1" in err, repr(err))
        equal(lab.names(), [], "queue")


def never(folder):
    """queue = never: 75, nothing on disk, mailq says empty"""
    with Sink() as sink:
        lab = Lab(folder, sink.port, "queue = never")
        status, _, err = lab.submit("one", "a@example.net")
        equal(status, 75, "status")
        want(b"a@example.net" in err, repr(err))
        equal(lab.good("-bp", silent=False), b"Mail queue is empty\n", "mailq")
        want(not lab.queue.exists(), "a queue was made")


def untended(folder):
    """the default: 75 while nobody runs -q, held when somebody does"""
    with Sink() as sink:
        lab = Lab(folder, sink.port, "schedule = 1h")
        equal(lab.submit("one", "a@example.net")[0], 75, "no queue yet")
        lab.make_queue()
        equal(lab.submit("two", "a@example.net")[0], 75, "untended")
        equal(lab.names(), [], "queue")
        lab.good("-q")
        status, out, err = lab.submit("three", "a@example.net")
        equal((status, out + err), (0, b""), "tended")
        equal(len(lab.names()), 1, "entries")
        past = time.time() - 8 * 86400
        os.utime(lab.queue / "last-run", (past, past))
        equal(lab.submit("four", "a@example.net")[0], 75, "tended once")
        equal(len(lab.names()), 1, "entries")


def unusable(folder):
    """no usable queue: -od... send now, always is 73, mailq says so"""
    with Sink() as sink:
        sink.up()
        for queue in ("on_failure", "always"):
            lab = Lab(f"{folder}/{queue}", sink.port, f"queue = {queue}")
            lab.queue.write_text("no directory")
            for n, args in enumerate((["-odq"], ["-odb"], ["-odi"], [])):
                status, _, err = lab.submit(f"{queue}{n}", "a@example.net",
                                            args=args)
                refused = queue == "always" and not args
                equal((status, bool(err)), (73 if refused else 0, refused),
                      f"{queue} {args}")
                equal(sink.counts().get((f"{queue}{n}", "a@example.net")),
                      None if refused else 1, f"{queue} {args}: sent")
                equal(lab.submit("later", "later@example.net",
                                 args=args)[0], 73, f"{queue} {args}: later")
            equal(lab.run("-bp")[:2], (73, b""), "mailq")


def unusable_unasked(folder):
    """without queue = it is told that ours cannot be used, not that none is"""
    with Sink() as sink:
        for number, harm in enumerate(("none", "file", "closed")):
            lab = Lab(f"{folder}/{number}", sink.port, "schedule = 1h")
            if harm == "none":
                # nor can anybody make it
                (lab.folder / "file").write_text("no directory")
                lab.config.write_text(lab.config.read_text().replace(
                    f"{lab.folder}/queue", f"{lab.folder}/file/queue"))
                lab.good("-q")
                equal(lab.good("-bp", silent=False),
                      b"Mail queue is empty\n", "mailq")
                continue
            lab.make_queue()
            lab.good("-q")
            if harm == "file":
                (lab.queue / "mess").rmdir()
                (lab.queue / "mess").write_text("no directory")
            else:
                to_nobody(lab, folder)
                lab.queue.chmod(0)
            for args in (["-q"], ["-bp"], ["-bp", "--json"]):
                status, out, err = lab.run(*args)
                want(status in (73, 77) and not out and
                     str(lab.queue).encode() in err,
                     f"{harm} {args}: {status} {out!r} {err!r}")
            status, out, _ = lab.run("--health")
            lab.queue.chmod(0o700)
            want(status == 2 and out.startswith(b"CRITICAL - queue: "),
                 f"{harm}: {status} {out!r}")


def not_ours(folder):
    """a queue that the caller may not write: 73, and mailq is 77"""
    if os.geteuid():
        raise Skip("needs root")
    need("setpriv")
    wrap = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    with Sink() as sink:
        lab = Lab(folder, sink.up().port)
        lab.hold("one", "a@example.net")
        os.chmod(os.path.dirname(folder), 0o711)
        for path in (folder, lab.folder / "tmp"):
            os.chmod(path, 0o777)
        os.chmod(lab.config, 0o644)
        os.chmod(lab.folder / "log", 0o666)
        if lab.run("--version", wrap=wrap)[0]:
            raise Skip("the program is out of another user's reach")
        equal(lab.submit("two", "later@example.net", wrap=wrap)[0], 73,
              "cannot be held")
        equal(lab.run("-bp", wrap=wrap)[:2], (77, b""), "mailq")
        lab.configure("queue = always")
        equal(lab.submit("three", "a@example.net", wrap=wrap)[0], 73,
              "always")
        equal(sink.counts(), {}, "sent")


def to_nobody(lab, folder):
    """Where root would read anything: the queue's owner, whom it becomes."""
    if os.geteuid():
        return
    os.chmod(os.path.dirname(folder), 0o711)
    os.chmod(folder, 0o711)
    lab.folder.chmod(0o777)
    for path in (lab.queue, *lab.queue.rglob("*")):
        os.chown(path, 65534, 65534)
    if (lab.folder / "log").exists():
        os.chown(lab.folder / "log", 65534, 65534)


def steps_down(folder):
    """root becomes the queue's owner, whose queue and log it leaves behind"""
    if os.geteuid():
        raise Skip("needs root")
    with Sink() as sink:
        lab = Lab(folder, sink.up().port, "queue = always")
        lab.make_queue()
        os.chmod(os.path.dirname(folder), 0o711)
        os.chmod(folder, 0o777)
        for path in (lab.queue, *lab.queue.iterdir()):
            os.chown(path, 65534, 65534)
        lab.run("-t", stdin=b"nobody to send it to\n")
        equal(os.stat(f"{folder}/log").st_uid, 65534, "the log's owner")
        equal(lab.submit("one", "a@example.net")[0], 0, "status")
        eventually(lambda: not lab.names() and "sent" in lab.log(),
                 "the run in the background, and its log")
        lab.hold("two", "later@example.net")
        for path in lab.queue.glob("mess/*"):
            equal(os.stat(path).st_uid, 65534, f"owner of {path.name}")


def drains_by_itself(folder):
    """a run that finds entries due starts a -q of its own"""
    with Sink() as sink:
        lab = Lab(folder, sink.up().port)
        lab.hold("due", "a@example.net")
        equal(lab.submit("now", "b@example.net")[0], 0, "status")
        eventually(lambda: not lab.names(), "the drain")
        equal(sink.counts(), {("due", "a@example.net"): 1,
                              ("now", "b@example.net"): 1}, "sent")


# --- the schedule ---

def minimum_attempts(folder):
    """minimum_attempts = 3: three tries by one way, the fourth by another"""
    with Sink(answer=lambda _: "450 4.2.0 later") as first, \
            Sink() as second:
        first.up()
        second.up()
        lab = Lab(folder, first.port, "queue = on_failure\nschedule = 1s",
                  "[route late]\nminimum_attempts = 3\ntransport = other\n" +
                  ROUTE + "[transport other]\nkind = smtp\nhost = 127.0.0.1\n"
                  f"port = {second.port}\nno_starttls = yes\n")
        equal(lab.submit("one", "a@example.net")[0], 0, "submission")
        end = time.monotonic() + 15
        while lab.names() and time.monotonic() < end:
            time.sleep(0.2)
            lab.good("-q")
        equal(lab.names(), [], "queue")
        tries = [(e["attempt"], e["transport"], e["status"])
                 for e in lab.events() if e.get("attempt")]
        equal(tries, [(1, "relay", "deferred"), (2, "relay", "deferred"),
                      (3, "relay", "deferred"), (4, "other", "sent")],
              "as logged")


def no_delay(folder):
    """a schedule of 0s: due again at once, and a run ends nevertheless"""
    with Sink() as sink:
        lab = Lab(folder, sink.up().port,
                  "queue = on_failure\nschedule = 0s")
        lab.hold("one", "later@example.net")
        for _ in range(3):
            lab.good("-q")
        equal(lab.list()[0]["attempts"], 3, "attempts")
        want(lab.list()[0]["next"] <= time.time(), "next")


def dead_destination(folder):
    """one that does not answer is not tried again in the run"""
    with Sink() as sink:
        lab = Lab(folder, sink.port)
        lab.make_queue()
        for i in range(20):
            lab.put(i, entry_bytes(["a@example.net"], message_bytes(f"m{i}")))
        lab.good("-q")
        equal(len(lab.names()), 20, "entries")
        want(all(not n.endswith(",0") for n in lab.names()), "rescheduled")


# --- choosing and administering ---

def selection(folder):
    """-qI -qR -qS -q! choose by substring, due or not, but nothing held"""
    with Sink() as sink:
        sink.up()
        lab = Lab(folder, sink.port)
        lab.make_queue()
        later = int(time.time()) + 3000

        def fill():
            for name in lab.names():
                os.unlink(lab.queue / "mess" / name)
            sink.accepted.clear()
            for i, (sender, rcpt) in enumerate((
                    ("red@test.example", "a@one.example"),
                    ("blue@test.example", "b@two.example"),
                    ("red@test.example", "c@two.example"))):
                lab.put(i + 1, entry_bytes([rcpt], message_bytes(f"m{i + 1}"),
                                           sender), later)
            lab.put(4, entry_bytes(["d@two.example"], message_bytes("m4")),
                    "h")

        for option, wanted in (
                ("-qI000000000001", {"m1"}), ("-q!I000000000001",
                                              {"m2", "m3"}),
                ("-qRtwo", {"m2", "m3"}), ("-q!Rtwo", {"m1"}),
                ("-qRTwo.Example", {"m2", "m3"}),
                ("-qSred", {"m1", "m3"}), ("-q!Sred", {"m2"}),
                ("-qSRED@", {"m1", "m3"}),
                ("-qRnowhere", set()), ("-q", set()), ("-q30m", set())):
            fill()
            lab.good(option)
            equal({a.id for a in sink.accepted}, wanted, option)
        fill()
        lab.good("-qI", "")
        equal({a.id for a in sink.accepted}, {"m1", "m2", "m3"}, "-qI ''")


def selection_alone(folder):
    """what was selected is tried, due or not, and then reports alone"""
    with Sink() as sink:
        sink.up()
        lab = Lab(folder, sink.port)
        lab.make_queue()
        later = int(time.time()) + 3000
        for i, rcpt in enumerate(("nouser@one.example", "b@two.example",
                                  "c@three.example")):
            lab.put(i + 1, entry_bytes([rcpt], message_bytes(f"m{i + 1}"),
                                       "red@test.example"))
        for i in range(4, 40):
            lab.put(i, entry_bytes([f"nouser{i}@one.example"],
                                   message_bytes(f"m{i}"),
                                   "red@test.example"), later)
        lab.good("-q!Rtwo.example")
        sent = [a.id for a in sink.accepted]
        want("m2" not in sent and "m3" in sent, sent)
        equal(sum(a.sender == "" for a in sink.accepted), 37, "reports")
        equal([e["recipients"][0]["address"] for e in lab.list()],
              ["b@two.example"], "left")


def tends(folder):
    """-q notes that the queue is run; one for a few entries does not"""
    with Sink() as sink:
        lab = Lab(folder, sink.up().port)
        lab.make_queue()
        mark = lab.queue / "last-run"
        for option, notes in (
                ("-qIx", False), ("-qRx", False), ("-qSx", False),
                ("-q!Ix", False), ("-q", True), ("-q30m", True)):
            mark.unlink(missing_ok=True)
            lab.good(option)
            equal(mark.exists(), notes, option)
            mark.touch()
            os.utime(mark, (1, 1))
            lab.good(option)
            equal(mark.stat().st_mtime > 1, notes, f"{option} again")


def administration(folder):
    """--hold --release --remove --retry --show, ALL, unknown ids"""
    with Sink() as sink:
        lab = Lab(folder, sink.up().port)
        for option in ("show", "hold", "release", "remove", "retry"):
            lab.good(f"--{option}", "ALL")
            equal(lab.run(f"--{option}", "none")[0], 66, "no queue yet")
        lab.hold("one", "a@example.net")
        lab.hold("two", "later@example.net")
        one, two = [e["id"] for e in lab.list()]
        shown = lab.good("--show", one, silent=False)
        want(b"a@example.net" in shown and b"<one>" in shown and
              b"\nhi" in shown.replace(b"\r", b""), repr(shown))
        lab.good("--hold", one)
        lab.good("-q")
        lab.good("-qI", one)
        equal(sink.counts(), {}, "a held one was sent")
        equal([(e["held"], e["attempts"]) for e in lab.list()],
              [(True, 0), (False, 1)], "held")
        lab.good("--retry", two)
        equal(lab.list()[1]["next"], 0, "--retry")
        equal(lab.list()[1]["attempts"], 1, "--retry runs nothing")
        lab.good("--release", one)
        lab.good("-q")
        equal(sink.counts(), {("one", "a@example.net"): 1}, "released")
        equal(lab.list()[0]["attempts"], 2, "retried")
        lab.good("--hold", "ALL")
        want(lab.list()[0]["held"], "--hold ALL")
        lab.good("--release", "ALL")
        lab.good("--remove", "ALL")
        equal(lab.names(), [], "--remove ALL")
        for option in ("show", "hold", "release", "remove", "retry"):
            for name in ("nothing", "../queue/mess", ",", "a b"):
                status, out, err = lab.run(f"--{option}", name)
                equal((status, out), (66, b""), f"--{option} {name!r}")
                equal(err.count(b"\n"), 1, f"--{option} {name!r} words")


def retry_transport(folder):
    """--retry --transport takes another way once, then the route's again"""
    with Sink() as sink, Sink(answer=lambda _: "450 no") as other:
        sink.up()
        other.up()
        lab = Lab(folder, other.port, more=ROUTE + "[transport other]\n"
                  f"kind = smtp\nhost = 127.0.0.1\nport = {sink.port}\n"
                  "no_starttls = yes\n")
        lab.submit("one", "a@example.net")
        lab.submit("two", "later@example.net")
        for entry in lab.list():
            lab.good("--retry", entry["id"], "--transport", "other")
        lab.good("-q")
        equal(sink.counts(), {("one", "a@example.net"): 1}, "sent")
        status, _, _ = lab.run("--retry", "ALL", "--transport", "nowhere")
        equal(status, 78, "an unknown transport")
        lab.make_due()
        lab.good("-q")
        equal([e["transport"] for e in lab.events() if e.get("attempt")],
              ["relay", "relay", "other", "other", "relay", "relay"], "ways")


def on_a_terminal(lab, *args):
    """What a terminal gets to see of a run."""
    master, slave = pty.openpty()
    child = subprocess.Popen([POSTHASTE, "-C", str(lab.config), *args],
                             stdin=slave, stdout=slave, stderr=slave,
                             env=lab.env, cwd=lab.folder)
    os.close(slave)
    seen = b""
    with contextlib.suppress(OSError):      # EIO: all of it was read
        while block := os.read(master, 65536):
            seen += block
    os.close(master)
    equal(child.wait(), 0, f"{args}")
    return seen


def named_transport(folder):
    """--transport goes with the message into the queue, and with no other"""
    with Sink() as one, Sink() as two:
        more = (ROUTE + "[transport two]\nkind = smtp\nhost = 127.0.0.1\n"
                f"port = {two.up().port}\nno_starttls = yes\n")
        one.up()
        for queue in ("on_failure", "always"):
            for args in ([], ["-odi"], ["-odb"], ["-odq"]):
                name = f"{queue}{''.join(args)}"
                lab = Lab(f"{folder}/{name}", one.port, f"queue = {queue}\n"
                          "schedule = 1h", more)
                lab.hold(f"{name}.old", "a@example.net")
                # its first attempt fails, the next is by the same way
                two.answer = lambda _: "450 4.2.0 later"
                equal(lab.submit(f"{name}.new", "a@example.net", args=[
                    "--transport", "two", *args])[0], 0, name)
                eventually(lambda l=lab, a=args: "-odq" in a or [
                    e["attempts"] for e in l.list()] == [1], name)
                two.answer = lambda _: "250 ok"
                lab.drain()
                equal(one.counts().get((f"{name}.old", "a@example.net")), 1,
                      f"{name}: another's message")
                equal(two.counts().get((f"{name}.new", "a@example.net")), 1,
                      f"{name}: by its transport")
        equal(len(one.accepted + two.accepted), 16, "accepted")


def shown(folder):
    """--show: nothing in a message reaches a terminal but its text"""
    with Sink() as sink:
        lab = Lab(folder, sink.port)
        body = "\x1b[2J caf\u00e9 \u202e\x07" + "\u00e9" * 450
        lab.hold("one", "a@example.net", body=body)
        seen = on_a_terminal(lab, "--show", "ALL")
        want("?[2J caf\u00e9 ??".encode() in seen, repr(seen[:500]))
        want(("\u00e9" * 450).encode() in seen, "cut characters")
        want(not any(c in seen for c in b"\x1b\x07"), repr(seen[:500]))
        text = lab.good("--show", "ALL", silent=False)
        want(body.encode() + b"\n" in text, "elsewhere: as it is")


def listing(folder):
    """-bp --json: every field, and mailq's shape"""
    with Sink() as sink:
        lab = Lab(folder, sink.up().port)
        lab.submit("one", "a@example.net", "later@example.net")
        entry, = lab.list()
        equal(sorted(entry), sorted((
            "id", "sender", "size", "queued", "attempts", "next", "held",
            "account", "recipients")), "fields")
        equal((entry["sender"], entry["attempts"], entry["held"],
               entry["account"]), ("s@test.example", 1, False, None), "facts")
        want(abs(entry["queued"] - time.time()) < 60, "queued")
        equal(entry["recipients"], [{
            "address": "later@example.net", "status": "deferred",
            "code": 450, "dsn": "4.2.1", "host": "127.0.0.1",
            "text": "mailbox busy"}], "recipients")
        text = lab.good("-bp", silent=False).decode()
        want(re.search(r"^-Queue ID- .*\n" + entry["id"] +
                        r"\*? +\d+ \w{3} \w{3} [ \d]\d [\d:]{8}  "
                        r"s@test\.example\n", text), text)
        want(re.search(r"\n-- \d+ Kbytes in 1 Request\.\n$", text), text)


# --- reports ---

def parse(accepted):
    return email.message_from_bytes(accepted.data, policy=email.policy.default)


def status_of(report):
    """The fields of a report's second part: of the message, and of each
    recipient."""
    part = [p for p in report.walk() if p.get_content_type() in (
        "message/delivery-status", "message/global-delivery-status")]
    equal(len(part), 1, "delivery status parts")
    groups = part[0].get_payload()
    return groups[0], [g for g in groups[1:] if g.keys()]


def well_formed(accepted, to="s@test.example"):
    """Holds a report against RFC 3464, 6522 and 5321 6.1."""
    equal((accepted.sender, accepted.rcpts), ("", [to]), "envelope")
    report = parse(accepted)
    for part in report.walk():
        equal(part.defects, [], "defects")
    equal(report.get_content_type(), "multipart/report", "type")
    equal(report.get_param("report-type"), "delivery-status", "report-type")
    equal(report["Auto-Submitted"], "auto-replied", "Auto-Submitted")
    equal(report["To"].addresses[0].addr_spec, to, "To")
    want(abs(email.utils.parsedate_to_datetime(report["Date"]).timestamp() -
              time.time()) < 100, "Date")
    for field in ("From", "Message-ID", "Subject", "MIME-Version"):
        equal(len(report.get_all(field, [])), 1, field)
    parts = list(report.iter_parts())
    equal(len(parts), 3, "parts")
    equal(parts[0].get_content_type(), "text/plain", "first part")
    equal(parts[1].get_content_type(), "message/delivery-status", "second")
    return report, parts


def refused_in_run(folder):
    """550 at a queue run: a report, right field by field"""
    with Sink() as sink:
        lab = Lab(folder, sink.up().port)
        begin = int(time.time())
        lab.hold("one", "nobody@example.net", "a@example.net", args=(
            "-V", "env+1", "-R", "hdrs", "-N", "failure"), body="secret words")
        lab.good("-q")
        equal(lab.names(), [], "queue")
        equal(sink.counts(), {("one", "a@example.net"): 1}, "sent")
        equal(len(sink.reports()), 1, "reports")
        report, parts = well_formed(sink.reports()[0])
        equal(report["In-Reply-To"], "<one>", "In-Reply-To")
        about, rcpts = status_of(report)
        equal(about["Reporting-MTA"], "dns; test.example", "Reporting-MTA")
        equal(about["Original-Envelope-Id"], "env+1", "Original-Envelope-Id")
        arrival = email.utils.parsedate_to_datetime(about["Arrival-Date"])
        want(begin - 1 <= arrival.timestamp() <= time.time(), "Arrival-Date")
        equal(len(rcpts), 1, "recipients")
        equal({name: str(rcpts[0][name]) for name in rcpts[0].keys()}, {
            "Final-Recipient": "rfc822; nobody@example.net",
            "Action": "failed", "Status": "5.1.1",
            "Remote-MTA": "dns; 127.0.0.1",
            "Diagnostic-Code": "smtp; 550 5.1.1 no such user <here>",
        }, "recipient")
        equal(parts[2].get_content_type(), "text/rfc822-headers", "third")
        want(b"secret words" not in sink.reports()[0].data, "RET=HDRS")
        want("nobody@example.net" in parts[0].get_content(), "words")
        events = [e for e in lab.events() if e["status"] in
                  ("failed", "sent") and e["from"] == "s@test.example"]
        equal(sorted((e["to"], e["status"], e["attempt"]) for e in events),
              [("a@example.net", "sent", 1),
               ("nobody@example.net", "failed", 1)], "log")


def returns(folder):
    """RET=FULL returns the message; NOTIFY=NEVER and =DELAY ask for none"""
    with Sink() as sink:
        lab = Lab(folder, sink.up().port)
        lab.hold("full", "no1@example.net", args=("-R", "full"),
                 body="all of it")
        lab.hold("never", "no2@example.net", args=("-N", "never"))
        lab.hold("delay", "no3@example.net", args=("-N", "delay"))
        lab.hold("default", "no4@example.net")
        lab.good("-q")
        equal(lab.names(), [], "queue")
        about = {parse(r)["In-Reply-To"]: r for r in sink.reports()}
        equal(sorted(about), ["<default>", "<full>"], "reports")
        _, parts = well_formed(about["<full>"])
        equal(parts[2].get_content_type(), "message/rfc822", "third part")
        returned = parts[2].get_payload(0)
        equal(returned["Message-ID"], "<full>", "returned")
        equal(returned.get_payload(), "all of it\r\n".replace("\r\n", "\n")
              if "\r" not in returned.get_payload() else "all of it\r\n",
              "returned body")
        _, parts = well_formed(about["<default>"])
        equal(parts[2].get_content_type(), "text/rfc822-headers", "default")


def expiry(folder):
    """lifetime over: a failure report with the server's last words"""
    with Sink() as sink:
        lab = Lab(folder, sink.up().port, "queue = on_failure\nschedule = 1s"
                  "\nlifetime = 2s\ndelay_report_after = 100")
        equal(lab.submit("one", "later@example.net")[0], 0, "submission")
        end = time.monotonic() + 15
        while lab.names() and time.monotonic() < end:
            time.sleep(0.3)
            lab.good("-q")
        equal(lab.names(), [], "queue")
        equal(sink.counts(), {}, "sent")
        equal(len(sink.reports()), 1, "reports")
        report, _ = well_formed(sink.reports()[0])
        _, (rcpt,) = status_of(report)
        equal((rcpt["Action"], rcpt["Status"], rcpt["Diagnostic-Code"]),
              ("failed", "4.4.7", "smtp; 450 4.2.1 mailbox busy"),
              "recipient")
        failed = [e for e in lab.events() if e["status"] == "failed"]
        equal([(e["to"], e["dsn"]) for e in failed],
              [("later@example.net", "4.4.7")], "logged as failed")


# Three ways for one domain, of which two are also those of others.
THREE_WAYS = """[route second]
to_domain = one.example
minimum_attempts = 2
transport = deaf
[route first]
to_domain = one.example
minimum_attempts = 1
transport = dead
[route zeroth]
to_domain = one.example
transport = relay
[route two]
to_domain = two.example
transport = dead
[route three]
transport = deaf
[transport dead]
kind = smtp
host = 127.0.0.1
port = 1
no_starttls = yes
[transport deaf]
kind = smtp
host = 127.0.0.1
port = 2
no_starttls = yes
"""


def other_ways(folder):
    """what a server said stays, where another way did not even ask"""
    with Sink() as sink:
        lab = Lab(folder, sink.up().port, more=THREE_WAYS)
        for name in ("before", "after"):
            lab.hold(f"{name}.two", f"{name}@two.example")
            lab.hold(f"{name}.three", f"{name}@three.example")
            lab.hold(f"{name}.one", "later@one.example")
        lab.good("-q")
        told = [(e["attempts"], e["recipients"][0]["code"],
                 e["recipients"][0]["text"]) for e in lab.list()
                if e["recipients"][0]["address"] == "later@one.example"]
        equal(told, [(2, 450, "mailbox busy")] * 2, "told")


def unfit_way(folder):
    """but what another way refuses for good is what the report tells"""
    with Sink() as sink:
        sink.features = b"250-SIZE 50\r\n"
        lab = Lab(folder, sink.up().port, more="""[route other]
minimum_attempts = 1
transport = relay
[route first]
transport = dead
[transport dead]
kind = smtp
host = localhost
port = 1
no_starttls = yes
""")
        lab.hold("one", "a@one.example", body="x" * 200)
        lab.good("-q")
        failed = [e["text"] for e in lab.events()
                  if e.get("status") == "failed" and e["to"] == "a@one.example"]
        want(len(failed) == 1 and "too large" in failed[0], failed)
        # it is too large as well
        report, = (lab.queue / "corrupt").iterdir()
        words = report.read_text().partition("\nSubject: ")[2]
        words = words.partition("\nReporting-MTA: ")[0]
        want("too large" in words and "cannot connect" not in words, words)


def both_ways(folder):
    """what has to be mended at the first way is told beside the other's"""
    lab = Lab(folder, 1, more=f"""[route other]
minimum_attempts = 1
transport = relay
[route first]
transport = keyless
[transport keyless]
kind = smtp
host = 127.0.0.1
port = 1
username = u
password_file = {folder}/none
""")
    lab.hold("one", "a@one.example")
    lab.good("-q")
    entry, = lab.list()
    told = entry["recipients"][0]["text"]
    equal(entry["attempts"], 2, "attempts")
    want("cannot connect" in told and "transport keyless: " in told and
         f"{folder}/none" in told, told)


def left_alone(folder):
    """nor does it hide what was said in an earlier run"""
    queue = "queue = on_failure\nschedule = 0s\nconnections = 1"
    with Sink() as sink:
        lab = Lab(folder, sink.port, queue, THREE_WAYS)
        lab.hold("heavy", "heavy@two.example", body="x" * 3000000)
        held = time.time()
        lab.good("-q")
        lab.configure(f"{queue}\nlifetime = 1s", THREE_WAYS)
        lab.hold("light", "light@two.example")
        eventually(lambda: time.time() > held + 2, "its time is up")
        lab.good("-q")
        failed = [e["text"] for e in lab.events() if e["status"] == "failed" and
                  e["to"] == "heavy@two.example"]
        want(len(failed) == 1 and "cannot connect" in failed[0], lab.log())


def delay(folder):
    """a delay report after attempt N, once, with a true time"""
    with Sink() as sink:
        lab = Lab(folder, sink.up().port, "queue = on_failure\nschedule = 0s"
                  "\nlifetime = 1d\ndelay_report_after = 3")
        lab.make_queue()
        hours = int(time.time()) - 2 * 3600
        for number, mid, more in ((1, "one", ""),
                                  (2, "never", " notify=failure")):
            lab.put(number, entry_bytes([f"later@example.net{more}"],
                                        message_bytes(mid), queued=hours))
        # within the first hour attempts alone make no delay
        lab.hold("young", "later@example.net")
        for attempt in range(1, 7):
            equal(len(sink.reports()), attempt > 3, f"before try {attempt}")
            lab.good("-q")
        equal(len(lab.list()), 3, "entries")
        report, _ = well_formed(sink.reports()[0])
        _, (rcpt,) = status_of(report)
        equal((rcpt["Action"], rcpt["Status"]), ("delayed", "4.2.1"),
              "recipient")
        until = email.utils.parsedate_to_datetime(rcpt["Will-Retry-Until"])
        want(abs(until.timestamp() - hours - 86400) < 60,
              rcpt["Will-Retry-Until"])
        equal(report["In-Reply-To"], "<one>", "In-Reply-To")


def no_delay_report(folder):
    """delay_report_after = 0: no delay is ever reported"""
    with Sink() as sink:
        lab = Lab(folder, sink.up().port, "queue = on_failure\nschedule = 0s"
                  "\nlifetime = 1d\ndelay_report_after = 0")
        lab.hold("one", "later@example.net")
        for _ in range(3):
            lab.good("-q")
        equal(sink.reports(), [], "reports")


def no_report_of_report(folder):
    """a report that is refused goes to corrupt; nothing is made of it"""
    with Sink(answer=lambda _: "550 5.1.1 nobody") as sink:
        lab = Lab(folder, sink.up().port)
        lab.hold("one", "a@example.net")
        lab.submit("null", "b@example.net", args=("-odq", "-f", "<>"))
        lab.good("-q")
        equal(lab.names(), [], "queue")
        equal(sink.accepted, [], "sent")
        equal(len(lab.names("corrupt")), 1, "in corrupt")
        lab.good("-q")
        equal(len(lab.names("corrupt")), 1, "in corrupt")
        want(lab.names("corrupt")[0] in lab.log(), "the log's words")


def partial(folder):
    """one taken, one refused, one later: each ends its own way, once"""
    with Sink() as sink:
        lab = Lab(folder, sink.up().port, "queue = on_failure\nschedule = 0s")
        lab.hold("one", "a@example.net", "no@example.net",
                 "later@example.net")
        for _ in range(3):
            lab.good("-q")
        entry, = lab.list()
        equal([(r["address"][:2], r["status"]) for r in entry["recipients"]],
              [("a@", "sent"), ("no", "failed"), ("la", "deferred")], "states")
        sink.answer = lambda _: "250 ok"
        lab.good("-q")
        equal(sink.counts(), {("one", "a@example.net"): 1,
                              ("one", "later@example.net"): 1}, "sent")
        equal(len(sink.reports()), 1, "reports")
        equal(lab.names(), [], "queue")


def partial_at_once(folder):
    """in the foreground: 67 for the refused one, the other is held"""
    with Sink() as sink:
        lab = Lab(folder, sink.up().port)
        status, _, err = lab.submit("one", "a@example.net", "no@example.net",
                                    "later@example.net")
        equal(status, 67, "status")
        want(b"no@example.net" in err, repr(err))
        entry, = lab.list()
        equal([r["address"] for r in entry["recipients"]],
              ["later@example.net"], "held")
        sink.answer = lambda _: "250 ok"
        lab.drain()
        equal(sink.counts(), {("one", "a@example.net"): 1,
                              ("one", "later@example.net"): 1}, "sent")
        equal(sink.reports(), [], "reports")


# --- what should not be there ---

def poison(folder):
    """a damaged entry moves to corrupt, the others are delivered"""
    with Sink() as sink:
        lab = Lab(folder, sink.up().port)
        lab.make_queue()
        for i in range(5):
            lab.put(i, entry_bytes(["a@example.net"], message_bytes(f"m{i}")))
        good = entry_bytes(["a@example.net"], message_bytes("bad"))
        for i, data in enumerate((
                b"", good[:-5], good[:60], b"\0" * len(good),
                good.replace(b"body", b"bodY"), good + b"rubbish\n",
                good.replace(b"queue 1", b"queue 2"), os.urandom(4000),
                good + journal_line("sent 7 attempts=1 stage=DOT exit=0 "
                                    "code=250 text=x"))):
            lab.put(100 + i, data)
        lab.good("-q")
        equal(sorted(a.id for a in sink.accepted),
              [f"m{i}" for i in range(5)], "sent")
        equal(lab.names(), [], "left in mess")
        equal(len(lab.names("corrupt")), 9, "in corrupt")
        for name in lab.names("corrupt"):
            want(name in lab.log(), f"{name} is not in the log")


def foreign_files(folder):
    """symlinks, FIFOs, directories, foreign names: passed over, left alone"""
    with Sink() as sink:
        lab = Lab(folder, sink.up().port)
        lab.make_queue()
        good = entry_bytes(["a@example.net"], message_bytes("evil"))
        outside = pathlib.Path(folder) / "outside"
        outside.write_bytes(good)
        lab.put(1, entry_bytes(["a@example.net"], message_bytes("m1")))
        for part in ("mess", "tmp", "corrupt"):
            base = lab.queue / part
            os.symlink(outside, base / "link0000,0")
            os.symlink("/nowhere", base / "link0001,0")
            os.mkfifo(base / "fifo0000,0")
            os.mkdir(base / "dir00000,0")
            os.mkdir(base / "full0000,0")
            (base / "full0000,0" / "x").write_bytes(b"x")
            with contextlib.closing(socket.socket(socket.AF_UNIX)) as s:
                s.bind(os.path.relpath(base / "sock0000,0"))
        os.link(outside, lab.queue / "mess" / "hard0000,0")
        for name in ("README", "a,b", ",0", "x,-1", "x,01", "-x,0", "ü,0",
                     "x,99999999999999999999", "x" * 200 + ",0", "x,0,0"):
            (lab.queue / "mess" / name).write_bytes(good)
        before = lab.names()
        lab.good("-q", limit=20)
        lab.good("-bp", silent=False, limit=20)
        equal([a.id for a in sink.accepted], ["m1"], "sent")
        equal(lab.names(), [n for n in before if not n.startswith("made")],
              "left")
        equal(outside.read_bytes(), good, "the file outside")
        # what dead writers leave is swept
        (lab.queue / "tmp" / "torn").write_bytes(good[:50])
        lab.good("-q")
        want("torn" not in lab.names("tmp"), "a dead writer's file stays")


def unreadable(folder):
    """an entry that cannot be read is named at each -q, and by each order"""
    with Sink() as sink:
        for shared in (False, True):
            lab = Lab(f"{folder}/{shared}", sink.up().port)
            lab.make_queue()
            if shared:
                # as the machine's is, whose entries say whose they are
                (lab.queue / "mess").chmod(0o770)
            linked, closed, good = (lab.put(i, entry_bytes(
                ["a@example.net"], message_bytes(f"m{i}"))) for i in range(3))
            mess = lab.queue / "mess"
            os.link(mess / linked, lab.folder / "elsewhere")
            (mess / closed).chmod(0)
            to_nobody(lab, folder)
            sizes = [(mess / name).stat().st_size for name in (linked, closed)]

            for option in ("show", "hold", "release", "retry", "remove"):
                for name in (linked, closed):
                    status, out, err = lab.run(f"--{option}",
                                               name.split(",")[0])
                    want((status, out) == (77, b"") and name.encode() in err
                         and b"no such entry" not in err,
                         f"--{option} {name}: {status} {err!r}")
            status, _, err = lab.run("--hold", "ALL")
            # which is first is the file system's to say
            want(status == 77 and b"2 entries, the first: " in err and
                 (linked.encode() in err or closed.encode() in err),
                 f"--hold ALL: {status} {err!r}")
            equal(lab.names(), [linked, closed, good.replace(",0", ",h")],
                  "--hold ALL")
            equal(lab.run("--release", "ALL")[0], 77, "--release ALL")
            for n in range(1, 3):
                before = len(lab.log())
                lab.good("-q")
                for name in (linked, closed):
                    want(name in lab.log()[before:], f"run {n} and {name}: "
                         f"{lab.log()[before:]}")
            equal(sink.counts().pop(("m2", "a@example.net")), 1 + shared,
                  "sent")
            equal([(mess / name).stat().st_size for name in lab.names()],
                  sizes, "left alone")


# --- many at once ---

def race(folder, entries, runners, seconds):
    with Sink() as sink:
        lab = Lab(folder, sink.up().port)
        lab.make_queue()
        for i in range(entries):
            lab.put(i, entry_bytes(["a@example.net"], message_bytes(f"m{i}")))
        begin = time.monotonic()
        running = [subprocess.Popen(
            [POSTHASTE, "-C", str(lab.config), "-q"],
            stdin=subprocess.DEVNULL, env=lab.env) for _ in range(runners)]
        for child in running:
            equal(child.wait(seconds), 0, "a runner's status")
        took = time.monotonic() - begin
        found = sink.counts()
        equal(len(found), entries, "accepted")
        equal({k: n for k, n in found.items() if n != 1}, {}, "repeated")
        equal(lab.names(), [], "queue")
        want(sink.most <= 4 * runners, f"{sink.most} connections at once")
        want("duplicate_possible" not in lab.log(), "doubt")
        return (f"{entries} entries, {runners} runners: each accepted once, "
                f"{sink.connections} connections, at most {sink.most} at "
                f"once, {entries / took:.0f} messages/s")


def runners(folder):
    """2 to 20 runners at once on 200 entries: each accepted once"""
    return [race(f"{folder}/{n}", 200, n, 60) for n in (2, 5, 20)]


def thousand(folder):
    """1000 entries, four runners: 1000 accepted, once each"""
    return [race(folder, 1000, 4, 120)]


def one_runner(folder):
    """one runner keeps to its bound of connections"""
    with Sink(slow=0.002) as sink:
        lab = Lab(folder, sink.up().port,
                  "queue = on_failure\nconnections = 3")
        lab.make_queue()
        for i in range(400):
            lab.put(i, entry_bytes(["a@example.net"], message_bytes(f"m{i}")))
        lab.good("-q")
        equal(len(sink.counts()), 400, "accepted")
        want(sink.most <= 3, f"{sink.most} connections at once")
        return [f"400 entries over {sink.connections} connections"]


def many_destinations(folder):
    """no more destinations at once than concurrency says"""
    with Sink(slow=0.02) as sink:
        routes = "".join(
            f"[route r{i}]\nto_domain = d{i}.example\ntransport = t{i}\n"
            f"[transport t{i}]\nkind = smtp\nhost = 127.0.0.1\n"
            f"port = {sink.port}\nno_starttls = yes\n" for i in range(12))
        lab = Lab(folder, sink.up().port,
                  "queue = on_failure\nconcurrency = 3", routes)
        lab.make_queue()
        for i in range(24):
            lab.put(i, entry_bytes([f"a@d{i % 12}.example",
                                    f"b@d{(i + 1) % 12}.example"],
                                   message_bytes(f"m{i}")))
        lab.good("-q")
        equal(lab.names(), [], "queue")
        equal(sorted(sink.counts().values()), [1] * 48, "accepted")
        # a connection's end is seen late, so messages are what is counted
        want(sink.most_taking <= 3, f"{sink.most_taking} at once")
        return [f"{sink.connections} connections, {sink.most_taking} at once"]


def system_calls(lab, path, *args):
    lab.good(*args, silent=False,
             wrap=["strace", "-f", "-o", path], limit=60)
    with open(path, errors="replace") as f:
        return [line for line in f if "resumed>" not in line]


def by_loopback(folder):
    """-bs on a connection over IP: the log says from where, and whose it is"""
    with Sink() as sink:
        lab = Lab(folder, sink.port)
        lab.make_queue()
        for family, address in ((socket.AF_INET, "127.0.0.1"),
                                (socket.AF_INET6, "::1")):
            try:
                server = socket.create_server((address, 0), family=family)
            except OSError:
                continue                # where IPv6 is off
            client = socket.create_connection(server.getsockname()[:2])
            conn, _ = server.accept()
            client.sendall(b"HELO x\r\nMAIL FROM:<s@test.example>\r\n"
                           b"RCPT TO:<a@example.net>\r\nDATA\r\n"
                           b"Subject: x\r\n\r\nx\r\n.\r\nQUIT\r\n")
            done = subprocess.run(
                [POSTHASTE, "-C", str(lab.config), "-bs", "-odq"], stdin=conn,
                stdout=conn, stderr=subprocess.PIPE, env=lab.env, timeout=30,
                check=False)
            port = client.getsockname()[1]
            want(done.returncode == 0 and not done.stderr, done)
            want(f"handed in by [{address}]:{port}, uid {os.getuid()}" in
                 lab.log(), lab.log())
            for each in (client, conn, server):
                each.close()


class InBursts:
    """A server that answers all that has come in one piece, as servers with
    PIPELINING do. A context."""

    def __enter__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.taken = 0
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        stop_listening(self.socket, self.thread)

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self.socket.accept()
                with contextlib.suppress(OSError):
                    self.serve(peer)
                peer.close()

    def serve(self, peer):
        rest, data, refused = b"", False, 0
        peer.sendall(b"220 sink\r\n")
        while block := peer.recv(1 << 20):
            *lines, rest = (rest + block).split(b"\r\n")
            answers = []
            for line in lines:
                verb = line[:4].upper()
                if data:
                    data = line != b"."
                    self.taken += not data
                    answers += [] if data else [b"250 taken"]
                elif verb == b"EHLO":
                    answers.append(b"250-sink\r\n250 PIPELINING")
                elif verb == b"DATA":
                    data = True
                    answers.append(b"354 go on")
                elif line.startswith(b"RCPT TO:<later"):
                    refused += 1
                    answers.append(b"450 not now, %d" % refused)
                else:
                    answers.append(b"250 ok")
            if answers:
                peer.sendall(b"\r\n".join(answers) + b"\r\n")


def one_record_a_transaction(folder):
    """1000 recipients cost at most 60 system calls more than one does"""
    need_strace()
    words = []
    for kind, names in (("taken", ("r",)), ("some of them deferred",
                                            ("r", "later"))):
        costs = []
        for many in (1, 1000):
            with InBursts() as sink:
                lab = Lab(f"{folder}/{kind}{many}", sink.port)
                lab.make_queue()
                lab.put(1, entry_bytes([
                    f"{names[n % len(names)]}{n}@example.net"
                    for n in range(many)], message_bytes("m")))
                calls = system_calls(lab, f"{folder}/trace", "-q")
                equal(sink.taken, 1, "messages")
                equal(len(lab.names()), len(names) - 1 if many > 1 else 0,
                      "the queue")
                equal(lab.log().count('"to"'), many, "lines of the log")
                syncs = [c for c in calls if "fdatasync(" in c]
                costs.append((len(calls), len(syncs)))
        words.append(f"{kind}: {costs}")
        # a sanitizer makes calls of its own
        want((sanitized() or costs[1][0] - costs[0][0] <= 60) and
             costs[1][1] <= costs[0][1] + 1, words)
    return words


def ten_thousand(folder):
    """10 000 entries: listed within 2 s; a -q with nothing due is cheap"""
    with Sink() as sink:
        lab = Lab(folder, sink.port)
        lab.make_queue()
        later = int(time.time()) + 3000
        data = entry_bytes(["a@example.net"], message_bytes("m"))
        for i in range(10000):
            lab.put(i, data, later)
        begin = time.process_time()
        before = os.times()
        text = lab.good("-bp", silent=False)
        after = os.times()
        took = (after.children_user + after.children_system -
                before.children_user - before.children_system)
        del begin
        want(text.rstrip().endswith(b"in 10000 Requests."), text[-200:])
        want(took < 2, f"listing took {took:.2f} s of processor time")
        equal(len(lab.list()), 10000, "as JSON")
        words = [f"listed in {took:.2f} s of processor time"]
        with contextlib.suppress(Skip):
            need_strace()
            calls = system_calls(lab, f"{folder}/trace", "-q")
            # a directory's page holds some hundred names
            want(len(calls) < 700, f"{len(calls)} system calls for nothing")
            opened = [c for c in calls if "made0" in c]
            equal(opened[:3], [], "entries opened for nothing")
            waited = [c for c in calls if re.search(
                r"poll\(.*, [1-9]\d*\) += 0 \(Timeout", c)]
            equal(waited, [], "waited for nothing")
            words.append(f"{len(calls)} system calls with nothing due")
        equal(sink.connections, 0, "connections")
        return words


# --- the clock ---

def clock(folder):
    """the clock set back and forward loses and expires nothing"""
    library = faketime_library()

    def at(offset):
        return {"LD_PRELOAD": library, "FAKETIME": offset,
                "FAKETIME_DONT_FAKE_MONOTONIC": "1"}

    with Sink() as sink:
        sink.up()
        lab = Lab(folder, sink.port, "queue = on_failure\nlifetime = 5d")
        for number, (first, second) in enumerate((
                ("+0", "+3650d"), ("+3650d", "+0"), ("-400d", "+0"),
                ("+0", "-400d"), ("-400d", "+3650d"))):
            mid = f"m{number}"
            sink.answer = lambda _: "450 4.2.0 later"
            equal(lab.submit(mid, "a@example.net", env=at(first))[0], 0,
                  f"submission at {first}")
            equal(len(lab.names()), 1, "entries")
            # one more failure under the other clock must not expire it
            done = lab.run("-q", env=at(second))
            equal(len(lab.names()), 1, f"after {first}, {second}: {done}, "
                  f"{[lab.names(part) for part in ('tmp', 'corrupt')]}, "
                  f"{lab.log()[-2000:]}")
            sink.answer = lambda _: "250 ok"
            for _ in range(3):
                lab.drain()
            equal(sink.counts().get((mid, "a@example.net")), 1,
                  f"accepted after {first}, {second}")
        equal(sink.reports(), [], "reports")
        # an entry whose time lies years ahead is tried at once
        lab.put(1, entry_bytes(["a@example.net"], message_bytes("far")),
                int(time.time()) + 10 * 365 * 86400)
        lab.good("-q")
        equal(sink.counts().get(("far", "a@example.net")), 1, "far ahead")


if __name__ == "__main__":
    sys.exit(tap([
        relay_down, queue_only, background, background_log, always, never,
        untended, unusable, unusable_unasked, not_ours, steps_down,
        drains_by_itself, minimum_attempts, no_delay, dead_destination,
        selection, selection_alone, tends, administration, retry_transport,
        named_transport, shown, listing, refused_in_run, returns, expiry,
        other_ways, unfit_way, both_ways, left_alone, delay, no_delay_report,
        no_report_of_report, partial, partial_at_once, poison, foreign_files,
        unreadable, runners, thousand, one_runner, many_destinations,
        by_loopback, one_record_a_transaction, ten_thousand, clock]))
