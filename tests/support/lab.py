# SPDX-License-Identifier: GPL-3.0-or-later
"""What the fault tests share: a sink that counts what it accepted by message
id, a folder with configuration and queue, entries made by hand, runs in
bounded time."""

import contextlib
import email
import email.policy
import glob
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading
import time

import harness
from harness import (
    POSTHASTE, Failure, Skip, eventually, need, want)

# "" is quick, "every" tries every point of a sweep, and anything else one of
# those that leave the same behind
LONG = bool(os.environ.get("POSTHASTE_LONG"))
EVERY = os.environ.get("POSTHASTE_LONG") == "every"


# --- the sink ---

class Accepted:
    def __init__(self, sender, rcpts, data, connection):
        self.sender, self.rcpts = sender, rcpts
        self.data, self.connection = data, connection
        found = re.search(rb"^Message-ID: *<([^>]*)>", data, re.I | re.M)
        self.id = found.group(1).decode("latin-1") if found else None


def by_local_part(rcpt):
    """The answer to a RCPT: no… is refused for good, later… for now."""
    if rcpt.startswith("no"):
        return "550 5.1.1 no such user <here>"
    if rcpt.startswith("later"):
        return "450 4.2.1 mailbox busy"
    return "250 2.1.5 ok"


class Sink:
    """A server that takes mail and remembers each acceptance before it
    answers: on disk, too, if path is given. It is down until up()."""

    features = b""      # more lines for EHLO

    def __init__(self, chunking=False, answer=by_local_part, path=None,
                 slow=0.0):
        self.chunking, self.answer, self.slow = chunking, answer, slow
        self.path = path
        self.accepted = []
        self.data = 0               # messages whose bytes have come
        self.taking = self.most_taking = 0  # and whose answer has not gone
        self.commands = []          # MAIL and RCPT lines as they came
        self.connections = self.now = self.most = 0
        self.busy = False           # greets with 421
        self.lock = threading.Lock()
        self.open = set()
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.thread = None

    def up(self):
        self.socket.listen(128)
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        if self.thread:
            self.thread.join(10)
        self.socket.close()
        with self.lock:
            for conn in list(self.open):
                with contextlib.suppress(OSError):
                    conn.shutdown(socket.SHUT_RDWR)

    def _accept(self):
        while True:
            try:
                conn, _ = self.socket.accept()
            except OSError:
                return
            with self.lock:
                self.connections += 1
                self.now += 1
                self.most = max(self.most, self.now)
                self.open.add(conn)
                number = self.connections
            threading.Thread(target=self._serve, args=(conn, number),
                             daemon=True).start()

    def _serve(self, conn, number):
        try:
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            conn.settimeout(60)
            self._session(conn, conn.makefile("rb"), number)
        except OSError:
            pass
        finally:
            with self.lock:
                self.now -= 1
                self.open.discard(conn)
            conn.close()

    def _session(self, conn, lines, number):
        def say(text):
            conn.sendall(text.encode() + b"\r\n")

        sender, rcpts, data = None, [], b""
        if self.busy:
            say("421 4.3.2 not now")
            return
        say("220 sink.example ready")
        while line := lines.readline():
            words = line.decode("latin-1").strip()
            verb = words.split(" ")[0].upper()
            if verb in ("MAIL", "RCPT"):
                self.commands.append(line)
            if verb == "EHLO":
                conn.sendall(
                    b"250-sink.example\r\n250-PIPELINING\r\n250-DSN\r\n"
                    b"250-8BITMIME\r\n250-SMTPUTF8\r\n" +
                    (b"250-CHUNKING\r\n" if self.chunking else b"") +
                    self.features +
                    b"250 ENHANCEDSTATUSCODES\r\n")
            elif verb == "MAIL":
                sender, rcpts, data = words[11:].split(">")[0], [], b""
                say("250 2.1.0 ok")
            elif verb == "RCPT":
                rcpt = words[9:].split(">")[0]
                reply = self.answer(rcpt)
                if reply.startswith("250"):
                    rcpts.append(rcpt)
                say(reply)
            elif verb == "DATA" and rcpts:
                say("354 go on")
                text = []
                while (line := lines.readline()) != b".\r\n":
                    if not line.endswith(b"\n"):
                        return
                    text.append(line[1:] if line.startswith(b".") else line)
                self._take(say, sender, rcpts, b"".join(text), number)
            elif verb == "BDAT":
                part = lines.read(int(words.split(" ")[1]))
                if len(part) < int(words.split(" ")[1]):
                    return
                data += part
                if not rcpts:
                    say("503 5.5.1 no recipients")
                elif words.upper().endswith("LAST"):
                    self._take(say, sender, rcpts, data, number)
                else:
                    say("250 2.0.0 ok")
            elif verb == "QUIT":
                say("221 2.0.0 bye")
                return
            elif verb in ("RSET", "NOOP"):
                say("250 2.0.0 ok")
            elif verb == "AUTH" and self.features:
                say(self.login(words))
            else:
                say("503 5.5.1 not here")

    def login(self, words):
        """The answer to an AUTH."""
        return "235 2.7.0 welcome"

    def _take(self, say, sender, rcpts, data, number):
        with self.lock:
            self.data += 1
            self.taking += 1
            self.most_taking = max(self.most_taking, self.taking)
        if self.slow:
            time.sleep(self.slow)
        with self.lock:
            self.taking -= 1
        found = Accepted(sender, list(rcpts), data, number)
        with self.lock:
            self.accepted.append(found)
            if self.path:
                with open(self.path, "a") as f:
                    f.write(json.dumps([found.id, rcpts]) + "\n")
        say("250 2.0.0 taken")

    def counts(self, kind=lambda a: a.sender != ""):
        """How often each (message id, recipient) was accepted."""
        found = {}
        with self.lock:
            for a in self.accepted:
                for rcpt in a.rcpts if kind(a) else ():
                    found[a.id, rcpt] = found.get((a.id, rcpt), 0) + 1
        return found

    def reports(self):
        with self.lock:
            return [a for a in self.accepted if a.sender == ""]


# --- a place to work in ---

CONFIG = """[general]
hostname = test.example
domain = test.example
aliases =
timeout = 20s
[log]
to = {folder}/log
format = json
level = debug
[queue]
{queue}
directory = {folder}/queue
# what stands still is told elsewhere (alarm.py)
alarm_after = 0
[transport relay]
kind = smtp
host = 127.0.0.1
port = {port}
no_starttls = yes
{more}
"""
ROUTE = "[route all]\ntransport = relay\n"


class Lab:
    """A folder with a configuration, a queue and a log."""

    def __init__(self, folder, port, queue="queue = on_failure\nschedule = 1h",
                 more=ROUTE, text=None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.queue = self.folder / "queue"
        self.config = self.folder / "conf"
        self.port = port
        for name in ("home", "tmp"):
            (self.folder / name).mkdir(exist_ok=True)
        self.env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"),
                    "LC_ALL": "C", "HOME": f"{folder}/home",
                    "TMPDIR": f"{folder}/tmp", "TZ": "UTC"}
        # A sanitized program runs under strace and behind a preloaded
        # library here, where its leak checker cannot work.
        self.env["ASAN_OPTIONS"] = "detect_leaks=0:verify_asan_link_order=0"
        self.configure(queue, more)
        if text:
            self.config.write_text(text)

    def configure(self, queue, more=ROUTE):
        self.config.write_text(CONFIG.format(
            folder=self.folder, queue=queue, port=self.port, more=more))

    def run(self, *args, stdin=b"", wrap=(), limit=30, env=()):
        """Runs posthaste; gives its status and its words (standard output
        and standard error)."""
        argv = list(wrap) + [POSTHASTE, "-C", str(self.config), *args]
        child = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env={**self.env, **dict(env)},
            cwd=self.folder, start_new_session=True)
        try:
            out, err = child.communicate(stdin, timeout=limit)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
            raise Failure(f"{args} still runs after {limit} s") from None
        return child.returncode, out, err

    def good(self, *args, **more):
        """A run that must end with 0 and without a word; gives standard
        output."""
        silent = more.pop("silent", True)
        status, out, err = self.run(*args, **more)
        want(status == 0 and not err and (not silent or not out),
              f"{args}: status {status}, {out[:500]!r} {err[:500]!r}")
        return out

    def submit(self, mid, *rcpts, args=(), body="hi", **more):
        text = f"Message-ID: <{mid}>\nSubject: test\n\n{body}\n".encode()
        return self.run("-i", "-f", "s@test.example", *args, *rcpts,
                        stdin=text, **more)

    def hold(self, mid, *rcpts, **more):
        """Puts a message in the queue without trying it."""
        status, out, err = self.submit(mid, *rcpts, args=(
            "-odq", *more.pop("args", ())), **more)
        want(status == 0 and not out + err,
              f"queueing: {status} {out!r} {err!r}")

    def list(self):
        return json.loads(self.good("-bp", "--json", silent=False))

    def names(self, part="mess"):
        path = self.queue / part
        return sorted(os.listdir(path)) if path.exists() else []

    def events(self):
        path = self.folder / "log"
        found = []
        for line in path.read_text().splitlines() if path.exists() else ():
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
        return found

    def log(self):
        path = self.folder / "log"
        return path.read_text() if path.exists() else ""

    def make_queue(self):
        for name in ("", "tmp", "mess", "corrupt"):
            (self.queue / name).mkdir(mode=0o700, parents=True, exist_ok=True)

    def put(self, number, data, when=0):
        name = f"made{number:012},{when}"
        (self.queue / "mess" / name).write_bytes(data)
        os.chmod(self.queue / "mess" / name, 0o600)
        return name

    def make_due(self):
        """Takes every entry's waiting time away."""
        for name in self.names():
            ident, when = name.split(",")
            if when not in ("0", "h"):
                os.rename(self.queue / "mess" / name,
                          self.queue / "mess" / f"{ident},0")

    def drain(self, times=6, due=True, **more):
        """Runs the queue until it is empty."""
        for _ in range(times):
            if due:
                self.make_due()
            self.run("-q", **more)
            if not self.names():
                return
        raise Failure(f"the queue is not empty: {self.names()[:20]}")


def email_report(data):
    """What a report is about: the message id, and the recipients named."""
    report = email.message_from_bytes(data, policy=email.policy.default)
    status = next(p for p in report.walk() if p.get_content_type() ==
                  "message/delivery-status")
    return report["In-Reply-To"], [
        str(group["Final-Recipient"]).split("; ")[1]
        for group in status.get_payload() if "Final-Recipient" in group]


# --- faults ---

_traced = None


def need_strace():
    """strace, and the right to trace."""
    global _traced
    need("strace")
    if _traced is None:
        _traced = subprocess.run(
            ["strace", "-f", "-o", "/dev/null", "true"],
            stderr=subprocess.DEVNULL, check=False).returncode == 0
    if not _traced:
        raise Skip("tracing is not permitted here")


def faketime_library():
    found = sorted(glob.glob("/usr/lib/*/faketime/libfaketime.so.1") +
                   glob.glob("/usr/lib/faketime/libfaketime.so.1") +
                   glob.glob("/usr/lib64/faketime/libfaketime.so.1"))
    if not found:
        raise Skip("libfaketime is not installed")
    return found[0]


CALL = re.compile(r"^(?:\d+ +)?(\w+)\(")


# beside its own list a test tells by these: a file made, a peer reached
MAKES = re.compile(r"\bO_CREAT\b|^(connect|bind|listen|shutdown)\(")


def made_calls(trace):
    """(process, call, its line) of a strace -f -o file."""
    with open(trace, errors="replace") as f:
        for line in f:
            pid, _, rest = line.partition(" ")
            rest = rest.strip()
            found = CALL.match(rest)
            if found and "resumed>" not in line:
                yield pid, found.group(1), rest


def calls_of(trace):
    """How often each process made each call: the most of any one process,
    which is how strace counts when=N."""
    count = {}
    for pid, call, _ in made_calls(trace):
        count[pid, call] = count.get((pid, call), 0) + 1
    most = {}
    for (_, call), n in count.items():
        most[call] = max(n, most.get(call, 0))
    return most


def stretches(trace, tells):
    """Between two calls of a process that change something outside of it
    (tells(call), or made_calls' line says so) it may be stopped anywhere, and
    leaves the same. Gives two lists of (call, n): those calls, and for each
    stretch between two of them the (call, n) that lie there, in order."""
    count, told, most, telling, between = {}, {}, {}, [], {}
    for pid, call, line in made_calls(trace):
        n = count[pid, call] = count.get((pid, call), 0) + 1
        tell = tells(call) or MAKES.search(line)
        told[pid] = told.get(pid, 0) + bool(tell)
        # who comes to its n-th first is stopped there
        if n > most.get(call, 0) and call != "execve":
            most[call] = n
            if tell:
                telling.append((call, n))
            else:
                between.setdefault((pid, told[pid]), []).append((call, n))
    return telling, list(between.values())


def inject(call, what, when, trace="/dev/null"):
    return ["strace", "-f", "-o", trace, "-e",
            f"trace={call}", "-e",
            f"inject={call}:{what}:when={when}"]


def sample(points, most):
    """At most so many of the points, evenly spread; all with EVERY."""
    points = list(points)
    if EVERY or len(points) <= most:
        return points
    return [points[i * len(points) // most] for i in range(most)]


# --- runs ---

def runs_in(folder):
    """The processes that have the folder in their command line: posthaste's
    own background runs."""
    found = []
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        with contextlib.suppress(OSError), open(path, "rb") as f:
            if f"{folder}/".encode() in f.read():
                found.append(int(path.split("/")[2]))
    return found


def await_background(folder):
    """Nothing of a test outlives it."""
    with contextlib.suppress(Failure):
        eventually(lambda: not runs_in(folder), "the end of its runs", 10)
    for pid in runs_in(folder):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def tap(tests, workers=2):
    """Functions of a folder, which may return lines of comment."""
    def alone(test):
        def run(folder, _):
            begin = time.monotonic()
            try:
                lines = test(folder) or []
            finally:
                await_background(folder)
            return [*lines, f"{test.__name__}: "
                    f"{time.monotonic() - begin:.1f} s"]
        run.__name__ = test.__name__
        return run
    return harness.tap([(name, alone(test)) for name, test in
                        harness.titled(tests)], workers)
