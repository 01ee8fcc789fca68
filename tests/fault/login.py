#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""SIGKILL before every system call of a refresh: the login survives where the
issuer gives it a chance, and where it forgets the old refresh token at once,
only between its answer and the rename is it lost. Calls that touch files and
the wire are all tried, of the others a sample; POSTHASTE_LONG=1 tries every
call."""

import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import time

sys.dont_write_bytecode = True
# not this folder itself: its names would hide those of the library
sys.path[0] = os.path.join(os.path.dirname(__file__), "../support")
import harness  # noqa: E402
from harness import Failure, equal, want  # noqa: E402
from issuer import Issuer  # noqa: E402
from lab import LONG, calls_of, inject, need_strace, sample  # noqa: E402

HELPER = pathlib.Path(harness.POSTHASTE).with_name("posthaste-token")
# what can change what is on disk, or what the issuer knows
TELLING = {"openat", "write", "fsync", "fchmod", "rename", "renameat",
           "renameat2", "unlinkat", "flock", "sendto", "sendmsg", "recvfrom",
           "recvmsg", "connect", "exit_group", "close"}


class Login:
    """A login whose token has ended, in a file of its own."""

    def __init__(self, folder, certificates, issuer, number):
        self.file = pathlib.Path(folder, f"oauth{number}", "relay")
        self.file.parent.mkdir(mode=0o700)
        made, now = issuer.tokens(), int(time.time())
        self.issuer, self.old = issuer, made["refresh_token"]
        self.file.write_text(
            f"posthaste-login 1\nissuer {issuer.url}\nclient c\n"
            f"client_id c\nmethod none\nendpoint {issuer.url}/token\n"
            f"refresh_token {self.old}\n"
            f"access_token {made['access_token']}\n"
            f"obtained {now - 3600}\nexpires {now - 1}\nend\n")
        self.file.chmod(0o600)
        self.request = (
            f"issuer {issuer.url}\nclient c\nfile {self.file}\n"
            f"trust {certificates}/ca.pem\ntime 20000\n").encode()

    def run(self, before=()):
        return subprocess.run(
            [*before, str(HELPER), "refresh"], input=self.request,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
            # leaks cannot be looked for while another process traces this
            env={**os.environ, "ASAN_OPTIONS":
                 "detect_leaks=0:verify_asan_link_order=0"}, check=False)

    def says(self, name):
        return re.search(rf"^{name} (.*)$", self.file.read_text(),
                         re.M).group(1)


def refreshed_in_order(folder, certificates):
    """a refresh: what is there is proved to be writable, then the issuer is
    asked, then the new file is synced, renamed, and its folder synced"""
    need_strace()
    issuer = Issuer(certificates)
    issuer.clients["c"] = None
    try:
        login = Login(folder, certificates, issuer, 0)
        trace = f"{folder}/trace"
        done = login.run(["strace", "-f", "-qq", "-o", trace, "-e",
                          "trace=fsync,rename,renameat,renameat2,connect"])
        equal(done.returncode, 0, f"status {done.stdout}")
        calls = re.findall(r"^\d+\s+(\w+)\(", pathlib.Path(trace).read_text(),
                           re.M)
        calls = ["rename" if c.startswith("rename") else c for c in calls]
        equal([c for i, c in enumerate(calls) if c != "connect" or
               calls[i - 1] != "connect"],
              ["fsync", "rename", "fsync", "connect", "fsync", "rename",
               "fsync"], "order")
        want(login.says("refresh_token") != login.old, "not rotated")
    finally:
        issuer.stop()


def points_of(trace):
    calls = {c: n for c, n in calls_of(trace).items() if c != "execve"}
    telling = [(c, n + 1) for c in sorted(calls) if c in TELLING
               for n in range(calls[c])]
    others = [(c, n + 1) for c in sorted(calls) if c not in TELLING
              for n in range(calls[c])]
    return sample(telling, 60) + (others if LONG else sample(others, 15))


def sweep(folder, certificates, grace):
    need_strace()
    issuer = Issuer(certificates)
    issuer.clients["c"] = None
    issuer.grace = grace
    lost, faults, killed = [], [], 0

    def point(where):
        number, (call, n) = where
        login = Login(folder, certificates, issuer, number)
        trace = f"{folder}/trace{number}"
        login.run(inject(call, "signal=KILL", n, trace))
        dead = b"killed by SIGKILL" in pathlib.Path(trace).read_bytes()
        try:
            token = login.says("refresh_token")
            want(login.file.read_text().endswith("\nend\n"), "torn")
            fresh = token != login.old
            want(not fresh or issuer.good(login.says("access_token")),
                 "a new refresh token with an old access token")
            # the issuer may read the request only after the kill
            again = login.run()
            known = again.returncode == 0
            want(known or not grace, f"LOST: {again.stdout}")
            if known:
                want(issuer.good(login.says("access_token")), "not renewed")
                left = [p.name for p in login.file.parent.iterdir()]
                equal(sorted(left), [".relay.lock", "relay"], "left")
            return dead, None if known else (call, n), None
        except (Failure, AttributeError) as why:
            return dead, None, f"before {call} {n}: {why}"

    try:
        login = Login(folder, certificates, issuer, 0)
        equal(login.run(["strace", "-f", "-qq", "-o",
                         f"{folder}/trace"]).returncode, 0, "unkilled")
        points = points_of(f"{folder}/trace")
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for dead, gone, fault in pool.map(point, enumerate(points, 1)):
                killed += dead
                lost += [gone] if gone else []
                faults += [fault] if fault else []
    finally:
        issuer.stop()
    words = [f"{len(points)} points, {killed} killed, {len(lost)} lost" +
             (f": {' '.join(f'{c}:{n}' for c, n in lost)}" if lost else "")]
    if faults:
        raise Failure("\n".join(words + faults[:20]))
    want(killed > len(points) // 2, f"hardly killed: {words}")
    return lost, words


def survives(folder, certificates):
    """an issuer that knows the old refresh token until the new one is used:
    no kill costs the login"""
    return sweep(folder, certificates, True)[1]


def window(folder, certificates):
    """an issuer that forgets it at once: lost only between its answer and the
    rename; a file is never torn"""
    lost, words = sweep(folder, certificates, False)
    # the third sync is that of the new file, the fourth that of its folder
    # once it is in place; before a connection the issuer knows nothing
    want(not [(c, n) for c, n in lost if c in ("connect", "exit_group") or
              (c == "fsync" and n != 3)], f"lost {lost}")
    want(len(lost) < 20 or LONG, f"lost {len(lost)}")
    return words


if __name__ == "__main__":
    sys.exit(harness.tap(harness.titled(
        [refreshed_in_order, survives, window]), workers=1))
