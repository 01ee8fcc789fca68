#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""SIGKILL before every system call of a refresh, and a power cut after it, on
a real ext4 of which only what was synced is left: the login survives where the
issuer gives it a chance, and where it forgets the old refresh token at once,
only between its answer and the rename (that is on disk) is it lost. Calls that
touch files and the wire are all tried, of the others a sample;
POSTHASTE_LONG=1 tries one of each stretch between two of them,
POSTHASTE_LONG=every every call. Root for the power cuts."""

import concurrent.futures
import contextlib
import fcntl
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
# not this folder itself: its names would hide those of the library
sys.path[0] = os.path.join(os.path.dirname(__file__), "../support")
import harness  # noqa: E402
from disk import Disk  # noqa: E402
from harness import Failure, equal, want  # noqa: E402
from issuer import Issuer  # noqa: E402
from nameserver import Dns  # noqa: E402
from lab import (  # noqa: E402
    EVERY, LONG, calls_of, inject, need_strace, sample, stretches)

HELPER = pathlib.Path(harness.POSTHASTE).with_name("posthaste-token")
# what can change what is on disk, or what the issuer knows
TELLING = {"openat", "write", "fsync", "fchmod", "rename", "renameat",
           "renameat2", "unlinkat", "flock", "sendto", "sendmsg", "recvfrom",
           "recvmsg", "connect", "exit_group", "close"}
ON_DISK = {"write", "fsync", "fchmod", "renameat", "renameat2", "unlinkat"}


class Login:
    """A login whose token has ended, in a file of its own."""

    def __init__(self, folder, certificates, issuer, number, limit=90000):
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
            f"trust {certificates}/ca.pem\ntime {limit}\n").encode()

    def start(self, before=()):
        child = subprocess.Popen(
            [*before, str(HELPER), "refresh"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            # leaks cannot be looked for while another process traces this
            env={**os.environ, "ASAN_OPTIONS":
                 "detect_leaks=0:verify_asan_link_order=0"},
            start_new_session=True)
        child.stdin.write(self.request)
        with contextlib.suppress(BrokenPipeError):
            child.stdin.close()
        child.stdin = None
        return child

    def run(self, before=()):
        child = self.start(before)
        _, out, err = harness.finish(child, limit=150)
        return subprocess.CompletedProcess(child.args, child.returncode, out,
                                           err)

    def says(self, name):
        return re.search(rf"^{name} (.*)$", self.file.read_text(),
                         re.M).group(1)

    def lives(self, grace):
        """Whether it does after whatever happened; with an issuer that gives
        grace it has to."""
        token = self.says("refresh_token")
        want(self.file.read_text().endswith("\nend\n"), "torn")
        want(token == self.old or
             self.issuer.good(self.says("access_token")),
             "a new refresh token with an old access token")
        # the issuer may read the request only after the kill
        again = self.run()
        known = again.returncode == 0
        want(known or not grace, f"LOST: {again.stdout}")
        if known:
            want(self.issuer.good(self.says("access_token")), "not renewed")
            left = [p.name for p in self.file.parent.iterdir()]
            equal(sorted(left), [".relay.lock", "relay"], "left")
        return known


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
    if LONG and not EVERY:
        telling, between = stretches(
            trace, (TELLING - {"openat", "close"}).__contains__)
        # the next telling call lies at the other end
        return telling + [stretch[0] for stretch in between]
    calls = {c: n for c, n in calls_of(trace).items() if c != "execve"}
    telling = [(c, n + 1) for c in sorted(calls) if c in TELLING
               for n in range(calls[c])]
    others = [(c, n + 1) for c in sorted(calls) if c not in TELLING
              for n in range(calls[c])]
    return sample(telling, 60) + sample(others, 15)


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
            return dead, None if login.lives(grace) else (call, n), None
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


# --- no power ---

def cut(disk, login, trace, wrap):
    """A refresh until it stands (or has ended), and then no power: what it
    ended with, None if it stood."""
    trace.write_text("")
    child = login.start(["strace", "-f", "-o", str(trace), *wrap])
    try:
        harness.eventually(
            lambda: child.poll() is not None or "stopped by SIGSTOP" in
            trace.read_text(errors="replace"), "its end", 60)
        status = child.poll()
        disk.cut()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
    disk.again()
    return status


class PowerCuts:
    def __init__(self, folder, certificates, disk, grace):
        self.issuer = Issuer(certificates)
        self.issuer.clients["c"] = None
        self.issuer.grace = grace
        self.disk, self.certificates = disk, certificates
        self.trace = pathlib.Path(folder, "trace")
        self.points = self.stood = 0
        self.lost, self.faults = [], []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.issuer.stop()

    def login(self):
        self.points += 1
        login = Login(self.disk.path, self.certificates, self.issuer,
                      self.points)
        self.disk.sync()
        return login

    def point(self, call, n, wrap):
        login = self.login()
        status = cut(self.disk, login, self.trace, wrap)
        self.stood += status is None
        try:
            want(status in (0, None), f"status {status}")
            # what was told that it is done may use the new access token
            want(status is None or login.says("refresh_token") != login.old,
                 "DONE, and the old one is on disk")
            if not login.lives(self.issuer.grace):
                self.lost.append((call, n))
        except (Failure, AttributeError, OSError) as why:
            self.faults.append(f"after {call} {n}: {why}")
        shutil.rmtree(login.file.parent)

    def stop_after(self, call, n):
        self.point(call, n, ["-e", f"trace={call}", "-e",
                             f"inject={call}:signal=STOP:when={n}"])

    def words(self):
        return f"{self.points} power cuts ({self.stood} in between), " \
            f"{len(self.lost)} lost" + \
            (": " + " ".join(f"{c}:{n}" for c, n in self.lost)
             if self.lost else "")


def cuts_of(trace):
    if LONG and not EVERY:
        telling, between = stretches(trace, ON_DISK.__contains__)
        # the telling call before lies at the other end
        return telling + [stretch[-1] for stretch in between]
    calls = {c: n for c, n in calls_of(trace).items() if c != "execve"}
    return [point for telling, most in ((True, 9), (False, 3))
            for point in sample(
                [(c, n + 1) for c in sorted(calls) if (c in ON_DISK) == telling
                 for n in range(calls[c])], most)]


def power_cuts(folder, certificates, disk, grace):
    with PowerCuts(folder, certificates, disk, grace) as cuts:
        login = cuts.login()
        equal(login.run(["strace", "-f", "-qq", "-o",
                         str(cuts.trace)]).returncode, 0, "without a cut")
        for call, n in cuts_of(cuts.trace):
            cuts.stop_after(call, n)
        cuts.point("the end", 1, ["-e", "trace=fsync"])
    if cuts.faults:
        raise Failure("\n".join([cuts.words()] + cuts.faults[:20]))
    # the first and second sync are those before the issuer is asked, the
    # fourth has the new file in place
    want(not [(c, n) for c, n in cuts.lost if c in ("connect", "the end") or
              (c == "fsync" and n != 3)], f"lost {cuts.lost}")
    want(cuts.stood > cuts.points // 2, f"hardly cut: {cuts.words()}")
    return ("old one good until the new one is used: " if grace else
            "old one forgotten at once: ") + cuts.words()


def no_power(folder, certificates):
    """the power goes: the login survives where the issuer gives it a chance;
    what was told to be done is on disk"""
    need_strace()
    said = []
    for grace in (True, False) if LONG else (True,):
        with Disk(f"{folder}/{grace}") as disk:
            said.append(power_cuts(folder, certificates, disk, grace))
    return said


def no_power_control(folder, certificates):
    """control: where syncs do nothing, what was told to be done is not on
    disk when the power goes"""
    need_strace()
    with Disk(folder) as disk, \
            PowerCuts(folder, certificates, disk, True) as cuts:
        # whoever else syncs at that moment may save it
        for _ in range(10):
            if not cuts.faults:
                cuts.point("the end", 1, ["-e", "trace=fsync", "-e",
                                          "inject=fsync:retval=0"])
        want(cuts.faults, "faked syncs went unnoticed: this test proves "
             "nothing")
        return [f"syncs faked: {cuts.faults[0]}"]


# --- no time ---

def asked_too_late(login):
    """The refresh ends, temporarily, and the issuer was not asked for it."""
    done = login.start()
    yield done
    _, out, _ = harness.finish(done, limit=30)
    equal(done.returncode, 75, f"status, {out}")
    equal(login.issuer.grants["refresh_token"], 0, "refreshes")
    equal(login.says("refresh_token"), login.old, "token")
    yield out


def no_time_after_the_lock(folder, certificates):
    """who gets the lock late does not begin what he could not hear the end
    of"""
    issuer = Issuer(certificates)
    issuer.clients["c"] = None
    try:
        login = Login(folder, certificates, issuer, 0, 4000)
        lock = os.open(login.file.with_name(".relay.lock"),
                       os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        late = asked_too_late(login)
        next(late)
        time.sleep(3)
        os.close(lock)
        said = next(late)
        # on a machine that stood still it may not have got it at all
        want(b"too little time" in said or b"another process" in said, said)
        equal(login.run().returncode, 0, "the next")
    finally:
        issuer.stop()


def no_time_after_the_resolver(folder, certificates):
    """nor does who has waited for a resolver"""
    issuer = Issuer(certificates, host="mail.example.test")
    issuer.clients["c"] = None
    dns = Dns({"mail.example.test A": ["127.0.0.1"]}, silence=2.2)
    try:
        login = Login(folder, certificates, issuer, 0, 5000)
        login.request += f"resolver 127.0.0.1:{dns.port}\n".encode()
        late = asked_too_late(login)
        next(late)
        said = next(late)
        want(b"too little time" in said, said)
        want(dns.asked, "the resolver was not asked")
    finally:
        dns.stop()
        issuer.stop()


if __name__ == "__main__":
    sys.exit(harness.tap(harness.titled(
        [refreshed_in_order, survives, window, no_power, no_power_control,
         no_time_after_the_lock, no_time_after_the_resolver]), workers=2))
