#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Standard input that cannot be read and standard output that cannot be
written: a status and words, never a crash or a success. TAP."""

import os
import pathlib
import subprocess
import sys

sys.dont_write_bytecode = True
# in place of this folder, whose queue.py would hide the library's
sys.path[0] = os.path.join(os.path.dirname(__file__), "../support")
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


def no_room(folder, _):
    """Nowhere to put what does not fit into memory."""
    unshare = harness.namespace("uts", "mount")
    if subprocess.run(unshare + ["true"], capture_output=True,
                      check=False).returncode:
        raise harness.Skip("no namespaces here")
    config = pathlib.Path(folder, "config")
    config.write_text("[queue]\nqueue = never\n[log]\nto = none\n")
    env = dict(harness.environment(folder))
    env.pop("TMPDIR", None)
    done = subprocess.run(
        unshare + ["sh", "-c", "mount --bind /tmp /tmp && "
                   "mount -o remount,bind,ro /tmp && exec \"$@\"", "sh",
                   harness.POSTHASTE, "-C", str(config), "-i", "a@b.example"],
        input=b"S: s\n\n" + 3 * 1024 * 1024 * b"x\n", env=env, timeout=60,
        capture_output=True, check=False)
    if b"mount: " in done.stderr:
        raise harness.Skip("nothing may be mounted here")
    found = done.returncode, done.stderr.decode()
    want(74, " /tmp: ", found)
    want(74, "TMPDIR", found)


def main():
    tests = [full(argv) for argv in REPORTS]
    for argv in (["-t"], ["a@example.org"], ["-bs"]):
        tests.append(unreadable(argv, "/", os.O_RDONLY))
        tests.append(unreadable(argv, "/dev/null", os.O_WRONLY))
    tests.append(("no room for a temporary file", no_room))
    return harness.tap(tests)


if __name__ == "__main__":
    sys.exit(main())
