# SPDX-License-Identifier: GPL-3.0-or-later
"""What the scenario and case runners share: scratch folders, the scripted
server, children in bounded time, TAP."""

import concurrent.futures
import json
import os
import pathlib
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import traceback

POSTHASTE = os.path.abspath(os.environ.get("POSTHASTE", "./posthaste"))
SERVER = os.path.abspath(os.environ.get("WIRE_SERVER", "./tests/wire/server"))


class Failure(Exception):
    """A test that did not find what it expected."""


class Skip(Exception):
    """A test of something that this program cannot do."""


def want(condition, what):
    if not condition:
        raise Failure(str(what))


def need_programs():
    for program in (POSTHASTE, SERVER):
        if not os.access(program, os.X_OK):
            sys.exit(f"Bail out! {program} is not there")


def make_certificates(folder):
    os.makedirs(folder)
    subprocess.run([SERVER, "--make-certs", folder], check=True, timeout=30)


class Server:
    """The scripted server, from its script's text to what it saw."""

    def __init__(self, folder, number, script, certificates, seconds=60):
        self.folder = pathlib.Path(folder)
        name = f"server{number}"
        self.record = self.folder / f"{name}.record"
        self.messages = self.folder / f"{name}.message-"
        path = self.folder / f"{name}.script"
        path.write_text(script, "latin-1")
        self.errors = open(self.folder / f"{name}.stderr", "wb")
        self.process = subprocess.Popen(
            [SERVER, str(path), str(self.record), str(self.messages),
             certificates, str(seconds)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self.errors)
        self.port = self._port()

    def _port(self):
        ready, _, _ = select.select([self.process.stdout], [], [], 10)
        words = self.process.stdout.readline().split() if ready else []
        if len(words) != 2:
            self.stop()
            raise Failure("the server did not start: " + (
                self.folder / self.errors.name).read_text())
        return words[1].decode()

    def stop(self):
        """Ends it and gives the events of its record."""
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process.stdout.close()
        self.errors.close()
        if not self.record.exists():
            return []
        return [json.loads(line) for line in
                self.record.read_text().splitlines()]

    def message(self, event):
        return self.messages.with_name(event["file"]).read_bytes()


def environment(folder, extra=()):
    env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C",
           "HOME": f"{folder}/home", "TMPDIR": f"{folder}/tmp",
           "XDG_CONFIG_HOME": f"{folder}/home/.config",
           "XDG_STATE_HOME": f"{folder}/home/.local/state"}
    for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
        if name in os.environ:
            env[name] = os.environ[name]
    for name in ("home", "tmp"):
        os.makedirs(f"{folder}/{name}", exist_ok=True)
    env.update(extra)
    return env


def program_for(argv):
    """Without -C it is the one that finds no file and no queue of this
    machine's own posthaste."""
    alone = os.path.join(os.path.dirname(POSTHASTE), "tests", "posthaste")
    named = any(word == "--config" or word.startswith(("-C", "--config="))
                for word in map(os.fsdecode, argv))
    return POSTHASTE if named or not os.path.exists(alone) else alone


def run(argv, stdin, env, folder, limit=30, closed=(), name=None):
    """Runs the program; stdin is bytes or None (closed). Gives status,
    standard output, standard error. A child that outlives its limit is
    ended by its pid."""
    closed = set(closed) | ({0} if stdin is None else set())

    def prepare():
        for fd in closed:
            os.close(fd)

    child = subprocess.Popen(
        [name or POSTHASTE] + argv, executable=program_for(argv),
        stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, cwd=folder,
        preexec_fn=prepare if closed else None)
    try:
        out, err = child.communicate(stdin, timeout=limit)
    except subprocess.TimeoutExpired as late:
        child.kill()
        out, err = child.communicate()
        raise Failure(f"still running after {limit} s; standard error: "
                      f"{err.decode(errors='replace')}") from late
    return child.returncode, out, err


def dead_port():
    """A socket that is bound and does not listen: connecting is refused as
    long as it is kept."""
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    return s


def tap(tests, workers=4):
    """Runs (name, function(folder, certificates)) pairs side by side and
    prints TAP; the status for sys.exit."""
    need_programs()
    root = tempfile.mkdtemp(prefix="wire-")
    certificates = f"{root}/certs"
    make_certificates(certificates)
    keep = os.environ.get("WIRE_KEEP")
    bad = 0

    def one(number, function):
        folder = f"{root}/{number}"
        os.makedirs(folder)
        try:
            function(folder, certificates)
        except Skip as why:
            return why
        except Failure as why:
            return str(why)
        except Exception:  # pylint: disable=broad-except
            # a fault of the test: it fails, and the others go on
            return traceback.format_exc()
        finally:
            if not keep:
                shutil.rmtree(folder, ignore_errors=True)
        return None

    print(f"1..{len(tests)}", flush=True)
    try:
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            futures = [pool.submit(one, i + 1, function)
                       for i, (_, function) in enumerate(tests)]
            for i, future in enumerate(futures):
                why = future.result()
                skipped = isinstance(why, Skip)
                print("ok" if why is None or skipped else "not ok", i + 1,
                      "-", tests[i][0], f"# SKIP {why}" if skipped else "",
                      flush=True)
                if why is not None and not skipped:
                    bad += 1
                    print("\n".join("# " + line for line in
                                    why.splitlines()), flush=True)
    finally:
        if keep:
            print(f"# kept in {root}")
        else:
            shutil.rmtree(root, ignore_errors=True)
    return 1 if bad else 0
