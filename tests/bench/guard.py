#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fails where a common path costs over 5 % more than guard.tsv says: system
calls, instructions, libraries. TAP.

guard.py [--set]   --set: writes today's figures into it instead

POSTHASTE, WIRE_SERVER  as for tests/wire/run.py
POSTHASTE_CFLAGS        by which it was compiled
"""

import os
import pathlib
import platform
import re
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path[0] = os.path.join(os.path.dirname(__file__), "../support")
import cost  # noqa: E402
import harness  # noqa: E402
from harness import POSTHASTE, need, want  # noqa: E402

FIGURES = pathlib.Path(__file__).resolve().parent / "guard.tsv"
MORE = 1.05
# of figures that another compiler made
MORE_ELSEWHERE = 1.30
# an answer may come in two pieces, the more so beside other work: the least
# counts of so many rounds, or of more until it is no longer too much
ROUNDS, MOST_ROUNDS = 3, 10
LIMIT = 60
CONFIG = """[general]
hostname = client.example.test
domain = example.test
[queue]
queue = {queue}
directory = {folder}/queue
[log]
to = none
[route all]
transport = relay
[transport relay]
port = {port}
"""
PLAIN = "kind = smtp\nhost = 127.0.0.1\nno_starttls = yes\n"
TLS = """kind = submissions
host = localhost
username = user
password_file = {folder}/password
ca_file = {certificates}/ca.pem
"""
MESSAGE = (b"From: joe@example.test\nTo: ann@example.net\nSubject: cost\n"
           b"Date: Wed, 25 Nov 2026 10:00:00 +0000\n"
           b"Message-ID: <1@example.test>\n\n" + 12 * (71 * b"x" + b"\n"))
SEND = ["-i", "-f", "joe@example.test", "ann@example.net"]
MANY = [f"r{i}@example.net" for i in range(100)]
# what is counted, with which arguments; first: done before, and not counted
PATHS = {
    "--version": {"argv": ["--version"]},
    "mailq, nothing in it": {"argv": ["-bp"]},
    "-odq": {"argv": ["-odq", *SEND]},
    "-q, nothing due": {"argv": ["-q"]},
    "-q, one message": {"first": ["-odq", *SEND], "argv": ["-q"]},
    "-q, 100 recipients": {"first": ["-odq", *SEND[:3], *MANY],
                           "argv": ["-q"]},
    "1 KB in clear": {"argv": SEND, "queue": "never"},
    "1 KB, TLS, PLAIN": {"argv": SEND, "queue": "never", "tls": True},
}


class Path:
    def __init__(self, folder, certificates, argv, first=None,
                 queue="always", tls=False):
        self.argv, self.first = argv, first
        self.server = harness.Server(
            folder, 1, "extension CHUNKING\n" + (
                "tls implicit\ncertificate good\ntls-auth PLAIN\n" if tls
                else ""), certificates, 300)
        self.place = harness.Place(folder, (CONFIG + (TLS if tls else PLAIN))
                                   .format(queue=queue, folder=folder,
                                           port=self.server.port,
                                           certificates=certificates))
        self.password = self.place.folder / "password"
        self.password.write_text("pencil\n")
        self.password.chmod(0o600)
        self.run(self.argv)     # makes the queue

    def run(self, argv, wrap=()):
        done = self.place.run(*argv, stdin=MESSAGE, wrap=wrap, limit=LIMIT,
                              env={"TZ": "UTC0"})
        want(done[0] == 0, f"{argv}: {done}")

    def empty(self):
        for name in os.listdir(self.place.folder / "queue/mess") if (
                self.place.folder / "queue/mess").exists() else ():
            os.unlink(self.place.folder / "queue/mess" / name)
        if self.first:
            self.run(self.first)

    def figures(self, enough):
        """enough(calls): whether fewer of them need not be looked for"""
        trace = self.place.folder / "trace"
        counts = []
        while len(counts) < ROUNDS or (
                len(counts) < MOST_ROUNDS and
                not enough(min(c for c, _ in counts))):
            self.empty()
            self.run(self.argv, ["strace", "-ff", "-y", "-o", str(trace)])
            counts.append(cost.calls(trace))
        self.empty()
        self.run(self.argv, ["valgrind", "-q", "--tool=callgrind",
                             f"--callgrind-out-file={trace}.%p"])
        files = list(self.place.folder.glob("trace.*"))
        want(files, "callgrind wrote nothing")
        return {"calls": min(c for c, _ in counts),
                "libraries": counts[0][1],
                "instructions": cost.instructions(files)}


# --- the figures that are kept ---

def libc():
    return "-".join(platform.libc_ver()) or "libc"


def compiler():
    """Which one made the program, and how."""
    made = subprocess.run(["readelf", "-p", ".comment", POSTHASTE],
                          stdout=subprocess.PIPE, text=True,
                          check=False).stdout
    version = re.search(r"(GCC|clang)\D*?(?:\(.*?\) |version )(\d+)", made)
    flags = os.environ.get("POSTHASTE_CFLAGS", "-g -O2")
    level = re.findall(r"-O\w+", flags) or ["-O0"]
    name = "-".join(version.groups()).lower() if version else "cc"
    return f"{name} {level[-1]} {platform.machine()} {libc()}"


def where(what):
    """Figures of another place count less."""
    return compiler() if what == "instructions" else libc()


def read_figures():
    lines = [line.split("\t") for line in
             FIGURES.read_text().splitlines() if line[:1] != "#"]
    return {tuple(words[:3]): int(words[3]) for words in lines}


def write_figures(found):
    kept = read_figures() if FIGURES.exists() else {}
    kept.update(found)
    FIGURES.write_text("# path\twhat\twhere\tfigure\n" + "".join(
        "\t".join([*key, str(n)]) + "\n"
        for key, n in sorted(kept.items())))


def judge(kept, name, what, figure):
    """In words, and whether it is too much."""
    most = kept.get((name, what, where(what)))
    allowed = MORE
    if most is None:
        most = max((n for key, n in kept.items() if key[:2] == (name, what)),
                   default=None)
        allowed = MORE_ELSEWHERE
    if most is None:
        return f"{what} {figure} (no figure for {where(what)})", False
    return (f"{what} {figure}, {100 * figure / most - 100:+.1f} %",
            figure <= most * allowed)


def measured(name, folder, certificates, kept):
    path = Path(folder, certificates, **PATHS[name])
    try:
        return path.figures(lambda n: judge(kept, name, "calls", n)[1])
    finally:
        path.server.stop()


def guarded(name, kept):
    def test(folder, certificates):
        if harness.sanitized():
            return ["not counted: a sanitizer has costs of its own"]
        need("strace", "valgrind", "readelf")
        judged = [judge(kept, name, what, n) for what, n in
                  measured(name, folder, certificates, kept).items()]
        words = "; ".join(text for text, _ in judged)
        want(all(good for _, good in judged), f"{words}\n"
             "what is meant to cost more: tests/bench/guard.py --set")
        return [words]
    return test


def set_figures():
    found = {}
    with tempfile.TemporaryDirectory(prefix="guard-") as folder:
        certificates = f"{folder}/certificates"
        harness.make_certificates(certificates)
        for number, name in enumerate(PATHS):
            own = pathlib.Path(folder, str(number))
            own.mkdir()
            for what, n in measured(name, own, certificates, {}).items():
                found[name, what, where(what)] = n
    write_figures(found)


def main():
    if sys.argv[1:] == ["--set"]:
        set_figures()
        return 0
    kept = read_figures()
    return harness.tap([(name, guarded(name, kept)) for name in PATHS],
                       workers=2)


if __name__ == "__main__":
    sys.exit(main())
