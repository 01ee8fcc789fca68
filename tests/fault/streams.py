#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Standard input that cannot be read and standard output that cannot be
written: a status and words, never a crash or a success. TAP."""

import os
import pathlib
import subprocess
import sys

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
# in place of this folder, whose queue.py would hide the library's
sys.path[0] = str(HERE.parent / "wire")
import harness  # noqa: E402
from harness import Failure  # noqa: E402

REPORTS = [["--check"], ["--check", "--json"], ["--help"], ["--version"],
           ["--explain", "a@[192.0.2.1]"], ["-bp"], ["-bp", "--json"]]


def play(folder, argv, stdin, stdout):
    config = pathlib.Path(folder, "config")
    config.write_text("[general]\nhostname = client.example.test\n"
                      "[queue]\nqueue = never\n[log]\nto = none\n"
                      "[route all]\ntransport = none\n"
                      "[transport none]\nkind = fail\n")
    out = os.open(stdout, os.O_WRONLY) if stdout else subprocess.PIPE
    try:
        done = subprocess.run([harness.POSTHASTE, "-C", str(config)] + argv,
                              stdin=stdin, stdout=out, stderr=subprocess.PIPE,
                              env=harness.environment(folder), timeout=20,
                              check=False)
    finally:
        if stdout:
            os.close(out)
    return done.returncode, done.stderr.decode()


def want(status, words, found):
    if found[0] != status or words not in found[1]:
        raise Failure(f"status {found[0]}, not {status}; {found[1]!r} "
                      f"should have {words!r}")


def full(argv):
    def test(folder, _):
        want(74, "cannot write to standard output",
             play(folder, argv, subprocess.DEVNULL, "/dev/full"))
    return f"{' '.join(argv)} to a full device", test


def unreadable(argv, path, mode):
    def test(folder, _):
        stdin = os.open(path, mode)
        try:
            want(66, "cannot read", play(folder, argv, stdin, None))
        finally:
            os.close(stdin)
    return f"{' '.join(argv)} from {path}", test


def main():
    tests = [full(argv) for argv in REPORTS]
    for argv in (["-t"], ["a@example.org"], ["-bs"]):
        tests.append(unreadable(argv, "/", os.O_RDONLY))
        tests.append(unreadable(argv, "/dev/null", os.O_WRONLY))
    return harness.tap(tests)


if __name__ == "__main__":
    sys.exit(main())
