# SPDX-License-Identifier: GPL-3.0-or-later
"""What the interop tests share: real servers in a namespace of their own
(peers.sh), configurations, submissions, TAP."""

import concurrent.futures
import ctypes
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent.parent
PEERS = str(HERE / "peers.sh")
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE.parent / "wire"))
import harness  # noqa: E402
from harness import Failure, want  # noqa: E402

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)
CONFIG = """[general]
hostname = client.example.test
domain = example.test
[queue]
queue = never
[log]
to = {folder}/log
[route all]
transport = relay
[transport relay]
{transport}
"""


def sanitized():
    """Whether the program is built with a sanitizer, which takes memory and
    system calls of its own."""
    return b"__asan_init" in pathlib.Path(harness.POSTHASTE).read_bytes()


def free_ports(n):
    """Ports that nobody listens on, from below the range that the kernel
    takes the ports of clients from."""
    held, ports = [], []
    while len(ports) < n:
        s = socket.socket()
        port = random.randrange(20000, 32000)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            s.close()
            continue
        held.append(s)
        ports.append(port)
    for s in held:
        s.close()
    return ports


def die_with_us():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def peer_environment(folder, setup="", extra=()):
    env = harness.environment(folder, extra)
    env["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin"
    env["PEER_SCRATCH"] = str(folder)
    env["PEER_SETUP"] = setup
    if "POSTHASTE_PEERS" in os.environ:
        env["POSTHASTE_PEERS"] = os.environ["POSTHASTE_PEERS"]
    return env


class Daemon:
    """A program that runs until stop()."""

    def __init__(self, argv, folder, env, name="daemon"):
        self.output = pathlib.Path(folder, f"{name}.output")
        with open(self.output, "wb") as out:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=out,
                stderr=subprocess.STDOUT, env=env, cwd=folder,
                preexec_fn=die_with_us)

    def wait_for(self, ready, what, seconds=30):
        """Until ready() is true."""
        end = time.monotonic() + seconds
        while not ready():
            if self.process.poll() is not None or time.monotonic() > end:
                said = self.output.read_text("latin-1")
                self.stop()
                raise Failure(f"{what} never came: {said}")
            time.sleep(0.02)

    def wait_port(self, port, greeting=True):
        def ready():
            try:
                with socket.create_connection(("127.0.0.1", port), 5) as s:
                    return not greeting or s.recv(100).startswith(b"220")
            except OSError:
                return False
        self.wait_for(ready, f"an answer on port {port}")

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class Peer(Daemon):
    """A daemon of one of the unpacked packages."""

    def __init__(self, name, argv, folder, setup=""):
        super().__init__([PEERS, "run", name] + argv, folder,
                         peer_environment(folder, setup), name)


def configure(folder, transport, text=CONFIG):
    path = pathlib.Path(folder, "config")
    path.write_text(text.format(folder=folder, transport=transport))
    path.chmod(0o600)
    return str(path)


class Sent:
    """One submission and what came of it."""

    def __init__(self, argv, message, folder, config, limit=60, env=None):
        self.folder = folder
        self.status, self.out, self.err = harness.run(
            ["-C", config] + argv, message,
            env or harness.environment(folder), folder, limit)
        self.log = log(folder)

    def expect(self, status, silent=None):
        said = self.err.decode("latin-1")
        want(self.status == status,
             f"status {self.status}, not {status}: {said}\n{self.log}")
        if silent is None:
            silent = status == 0
        if silent:
            want(not self.out and not self.err,
                 f"printed {self.out + self.err}")
        return self

    def logged(self, *patterns):
        for regex in patterns:
            want(re.search(regex, self.log, re.M),
                 f"the log lacks {regex!r}: {self.log}")
        return self


def log(folder):
    path = pathlib.Path(folder, "log")
    return path.read_text("utf-8", "replace") if path.exists() else ""


def message(subject="s", body="hello\n", to="b@example.test"):
    return (f"From: a@example.test\nTo: {to}\nSubject: {subject}\n"
            f"\n{body}").encode()


def eventually(find, what, seconds=20):
    """What find() gives once it gives something."""
    end = time.monotonic() + seconds
    while True:
        found = find()
        if found:
            return found
        if time.monotonic() > end:
            raise Failure(f"{what} never came")
        time.sleep(0.05)


def attempt(function, *arguments):
    """None, or why it failed."""
    try:
        function(*arguments)
    except Failure as why:
        return str(why) or "failed"
    except Exception:  # a bug of the test must not end the others
        return traceback.format_exc()
    return None


def report(number, name, why):
    print("ok" if why is None else "not ok", number, "-", name, flush=True)
    if why is not None:
        lines = why.splitlines()
        if len(lines) > 60:
            lines[40:-20] = [f"({len(lines) - 60} lines left out)"]
        print("\n".join("# " + line[:500] for line in lines), flush=True)


def run(tests, start=None, workers=1):
    """Runs functions f(server, folder), named by their docstrings, against
    what start(folder, certificates) gives (it has a method stop), and prints
    TAP. The status for sys.exit."""
    harness.need_programs()
    print(f"1..{len(tests)}", flush=True)
    names = [" ".join(t.__doc__.split()) for t in tests]
    os.umask(0o022)
    root = tempfile.mkdtemp(prefix="interop-")
    os.chmod(root, 0o755)
    server, bad = None, 0
    try:
        harness.make_certificates(f"{root}/certs")
        os.mkdir(f"{root}/server")
        why = None
        if start:
            box = []
            why = attempt(lambda: box.append(
                start(f"{root}/server", f"{root}/certs")))
            server = box[0] if box else None

        def one(number, test):
            folder = f"{root}/{number}"
            os.makedirs(f"{folder}/home/.config")
            os.mkdir(f"{folder}/tmp")
            return attempt(test, server, folder)

        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            futures = [pool.submit(one, i + 1, t) if why is None else None
                       for i, t in enumerate(tests)]
            for i, future in enumerate(futures):
                said = why if future is None else future.result()
                bad += said is not None
                report(i + 1, names[i], said)
    finally:
        if server:
            server.stop()
        if os.environ.get("WIRE_KEEP"):
            print(f"# kept in {root}")
        else:
            shutil.rmtree(root, ignore_errors=True)
    return 1 if bad else 0
