#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What posthaste promises its caller besides mail: secrets that stay secret,
no descriptor or privilege for its commands, no core, no SIGPIPE, and a true
status in every narrow place: few descriptors, little memory, signals, no
working directory. TAP on standard output; arguments: names of tests.

POSTHASTE, WIRE_SERVER  as for tests/wire/run.py
"""

import base64
import functools
import os
import pathlib
import re
import resource
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import harness  # noqa: E402
from harness import want  # noqa: E402

SECRET = "S3cr3t-w0rd-of-ours"
MIB = 1 << 20
NOBODY = 65534
HELLO = b"Subject: s\n\nhi\n"
CONFIG = """[general]
hostname = client.example.test
domain = example.test
connect_timeout = 5s
timeout = 20s
{general}
[queue]
queue = {queue}
directory = {folder}/queue
[log]
to = {folder}/log
level = debug
[route all]
transport = relay
[transport relay]
kind = submission
host = localhost
port = {port}
ca_file = {certificates}/ca.pem
username = user
{transport}
"""
SCRIPT = f"""tls starttls
certificate good
tls-auth {{mechanisms}}
password {SECRET}
"""


class Place(harness.Place):
    """A server, a configuration, a scratch folder."""

    def __init__(self, folder, certificates, script="", general="",
                 mechanisms="SCRAM-SHA-256", queue="never",
                 transport=f"password = {SECRET}"):
        super().__init__(folder)
        self.server = harness.Server(
            folder, 1, SCRIPT.format(mechanisms=mechanisms) + script,
            certificates)
        self.events = None
        self.configure(CONFIG.format(
            folder=folder, port=self.server.port, general=general,
            certificates=certificates, transport=transport, queue=queue))

    def run(self, *argv, stdin=HELLO, **more):
        return super().run(*argv, stdin=stdin, **more)

    def send(self, *argv, **more):
        return self.run("-i", *argv, "b@example.org", **more)

    def messages(self):
        if self.events is None:
            self.events = self.server.stop()
        return [e for e in self.events
                if e["event"] == "message" and e["accepted"]]

    def close(self):
        self.messages()


TESTS = []


def test(**options):
    def register(function):
        def run(folder, certificates):
            place = Place(folder, certificates, **options)
            try:
                function(place)
            finally:
                place.close()
        TESTS.append((function.__name__.replace("_", "-"), run))
        return function
    return register


def await_event(place, what, seconds=15):
    """Until the server has noted it."""
    record = place.server.record
    harness.eventually(
        lambda: record.exists() and what in record.read_text(), what, seconds)


# --- commands ---

LOOK = ("password_command = exec 2>&1; (ls -l /proc/self/fd; "
        "cat /proc/self/status /proc/self/limits; env) >look; echo " + SECRET)


@test(transport=LOOK)
def commands_inherit_nothing(place):
    ours = [os.open(place.config, os.O_RDONLY) for _ in range(30)]
    try:
        done = place.send(pass_fds=ours)
    finally:
        for fd in ours:
            os.close(fd)
    want(done == (0, "", ""), done)
    text = pathlib.Path(place.folder, "look").read_text()
    fds = dict(re.findall(r" (\d+) -> (.*)", text))
    # 3 is what ls reads the list by; 1 and 2 are the file
    want(set(fds) == {"0", "1", "2", "3"} and "/proc/" in fds["3"] and
         fds["0"] == "/dev/null", fds)
    want(re.search(r"^NoNewPrivs:\s+1$", text, re.M), "it may gain rights")
    want(re.search(r"^Max core file size +0 +0 ", text, re.M), "cores")
    ignored = int(re.search(r"^SigIgn:\s+(\w+)", text, re.M).group(1), 16)
    want(not ignored & 1 << signal.SIGPIPE - 1, "SIGPIPE is ignored in it")
    want(SECRET not in text, "the secret is in its environment")


@test(transport="password_command = sleep 30 2>&- & echo " + SECRET)
def commands_children_do_not_hold_us(place):
    begin = time.monotonic()
    done = place.send()
    want(done[0] == 0 and time.monotonic() - begin < 10, done)


# --- secrets ---

def forms():
    """How it would look in a transcript."""
    yield SECRET
    for text in (SECRET, f"\0user\0{SECRET}"):
        yield base64.b64encode(text.encode()).decode().rstrip("=")


def silent_about_it(place, *texts):
    for text in texts + (place.log(),):
        for form in forms():
            want(form not in text, f"{form} in:\n{text}")


def reports(place):
    yield place.send("-v")
    for argv in (["--check"], ["--check", "--json"], ["--probe"],
                 ["--probe", "--json"], ["--dry-run", "b@example.org"],
                 ["--dry-run", "--json", "b@example.org"],
                 ["--explain", "b@example.org"], ["-bp"], ["--version"]):
        yield place.run(*argv)


for kind in ("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256"):
    for way in ("password = {0}", "password_command = echo {0}",
                "password_file = {1}"):
        def secret_is_nowhere(place, way=way):
            path = pathlib.Path(place.folder, "secret")
            path.write_text(SECRET + "\n")
            path.chmod(0o600)
            text = place.config.read_text()
            place.config.write_text(text.replace("WAY", way.format(SECRET,
                                                                   path)))
            for status, out, err in reports(place):
                want(status == 0, (status, out, err))
                if "echo" in way:
                    # the file itself shows it; what is asked is the rest
                    out = out.replace(f"echo {SECRET}", "")
                silent_about_it(place, out, err)
            want(len(place.messages()) == 1, "not sent")
            auth = [e for e in place.events if e["event"] == "auth"]
            want(len(auth) >= 2, auth)
        secret_is_nowhere.__name__ = (
            f"secret_is_nowhere_{kind}_{way.partition(' ')[0]}")
        test(mechanisms=kind, transport="WAY")(secret_is_nowhere)


@test(mechanisms="PLAIN LOGIN", script="on auth\n    reply 535 5.7.8 no\n")
def refused_and_still_silent(place):
    status, out, err = place.send("-v")
    want(status == 77, (status, err))
    silent_about_it(place, out, err)
    # what a server repeats of it is its own words; ours are masked
    want("AUTH PLAIN" in err, err)


@test(script="on mail\n    silent\n")
def processes_show_nothing(place):
    # as somebody who is not root, /proc tells who may look
    for path in (place.folder, str(pathlib.Path(place.folder).parent)):
        os.chmod(path, 0o755)
    # not by a descriptor of ours, which other tests' children would hold
    program = f"{place.folder}/program"
    subprocess.run(["cp", harness.POSTHASTE, program], check=True)
    for path in (str(place.config), f"{place.folder}/tmp"):
        os.chown(path, NOBODY, NOBODY)
    certificates = place.server.folder.parent / "certs"
    os.chmod(certificates, 0o755)
    os.chmod(certificates / "ca.pem", 0o644)
    child = place.start("-i", "b@example.org", user=NOBODY, program=program,
                        stdin=subprocess.PIPE)
    try:
        child.stdin.write(HELLO)
        child.stdin.close()
        child.stdin = None
        await_event(place, '"auth"')
        proc = pathlib.Path(f"/proc/{child.pid}")
        want(proc.stat().st_uid == NOBODY or
             (proc / "environ").stat().st_uid == 0, "it can be dumped")
        want((proc / "mem").stat().st_uid == 0, "it can be traced")
        limits = (proc / "limits").read_text()
        want(re.search(r"^Max core file size +0 +0 ", limits, re.M), limits)
        for name in ("cmdline", "environ", "comm"):
            text = (proc / name).read_bytes().decode(errors="replace")
            silent_about_it(place, text)
        os.kill(child.pid, signal.SIGABRT)
        child.wait(20)
        want(not list(pathlib.Path(place.folder).glob("core*")), "a core")
    finally:
        child.kill()
        child.communicate()


# --- the caller's pipe ---

def feed(child, most):
    """Writes until it breaks; gives the number of bytes taken."""
    block, taken = b"x" * 65535 + b"\n", 0
    try:
        while taken < most:
            taken += os.write(child.stdin.fileno(), block)
    except BrokenPipeError:
        pass
    return taken


def drained(place, status, *argv):
    child = place.start(*argv)
    try:
        taken = feed(child, 60 * MIB)
        out, err = child.communicate(timeout=30)
        want(taken >= 60 * MIB, f"{argv}: broken after {taken} bytes")
        want(child.returncode == status and err and not out,
             (argv, child.returncode, out, err))
    finally:
        child.kill()
        child.communicate()


@test(general="max_message_size = 1M")
def input_is_drained(place):
    drained(place, 64)
    drained(place, 64, "--no-such-option", "b@example.org")
    drained(place, 78, "-a", "nobody", "b@example.org")
    drained(place, 65, "-i", "b@example.org")
    place.config.write_text("[general]\nnonsense = yes\n")
    drained(place, 78, "b@example.org")
    want(not place.messages(), "something was sent")


@test()
def endless_input_is_not(place):
    child = place.start()
    try:
        taken = feed(child, 400 * MIB)
        child.communicate(timeout=30)
        want(64 * MIB <= taken <= 80 * MIB, f"{taken} bytes")
        want(child.returncode == 64, child.returncode)
    finally:
        child.kill()
        child.communicate()


@test()
def slow_input_is_not_awaited(place):
    child = place.start()
    try:
        begin = time.monotonic()
        want(child.wait(25) == 64, child.returncode)
        want(9 < time.monotonic() - begin < 15, "not after 10 s")
    finally:
        child.kill()
        child.communicate()


@test()
def listeners_that_are_gone(place):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        status, _, _ = place.send("-v", stderr=writing, stdout=writing)
        want(status == 0, status)
        status, _, _ = place.run("--no-such-option", stderr=writing,
                                 before=lambda: signal.signal(
                                     signal.SIGPIPE, signal.SIG_DFL))
        want(status == 64, status)
    finally:
        os.close(writing)
    want(len(place.messages()) == 1, "not sent")


# --- signals ---

@test()
def signals_while_reading(place):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP,
                   signal.SIGQUIT, signal.SIGALRM, signal.SIGUSR1):
        # what runs in the background may have been told to ignore some
        child = place.start("-i", "b@example.org", before=functools.partial(
            signal.signal, number, signal.SIG_DFL))
        try:
            child.stdin.write(HELLO + b"x\n" * 100000)
            child.stdin.flush()
            time.sleep(0.05)
            child.send_signal(number)
            child.stdin.close()
            child.stdin = None
            child.wait(20)
            want(child.returncode != 0, f"{number!r}: status 0")
        finally:
            child.kill()
            child.communicate()
    want(not place.messages(), "half a message was sent")
    want(not os.listdir(f"{place.folder}/tmp"), "a temporary file is left")


def until_ignored(child, number):
    """The program has come as far as to ignore the signal."""
    def ignored():
        status = pathlib.Path(f"/proc/{child.pid}/status").read_text()
        mask = int(re.search(r"SigIgn:\s*(\w+)", status)[1], 16)
        return mask >> (number - 1) & 1

    harness.eventually(ignored, "a signal that is ignored")


@test()
def harmless_signals(place):
    child = place.start("-i", "b@example.org")
    try:
        child.stdin.write(HELLO)
        child.stdin.flush()
        until_ignored(child, signal.SIGPIPE)
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD,
                       signal.SIGWINCH, signal.SIGURG, signal.SIGCONT):
            time.sleep(0.02)
            child.send_signal(number)
        child.send_signal(signal.SIGSTOP)
        time.sleep(0.05)
        child.send_signal(signal.SIGCONT)
        out, err = child.communicate(timeout=20)
        want((child.returncode, out, err) == (0, b"", b""), err)
    finally:
        child.kill()
        child.communicate()
    want(len(place.messages()) == 1, "not sent")


@test()
def writer_killed_in_the_middle(place):
    reading, writing = os.pipe()
    writer = subprocess.Popen(["sh", "-c", "printf 'Subject: s\\n\\nhalf a l'"
                               "; kill -9 $$"], stdout=writing)
    os.close(writing)
    child = place.start("-i", "b@example.org", stdin=reading)
    os.close(reading)
    try:
        out, err = child.communicate(timeout=30)
        want((child.returncode, out, err) == (0, b"", b""), err)
    finally:
        child.kill()
        child.communicate()
        writer.wait(10)
    messages = place.messages()
    want(len(messages) == 1, "not sent")
    want(place.server.message(messages[0]).endswith(b"\r\n\r\nhalf a l\r\n"),
         place.server.message(messages[0]))


# --- narrow places ---

# the search for leaks, if there is one, needs descriptors of its own
NO_LEAKS = {"ASAN_OPTIONS": "detect_leaks=0"}

def true_status(place, results, allowed):
    """0 if and only if it arrived; nothing crashes; failure has words."""
    for name, (status, out, err) in results.items():
        want(status in allowed, f"{name}: {status} {err}")
        want(not out and bool(err) == bool(status), f"{name}: {status} {err}")
    good = sum(1 for status, _, _ in results.values() if not status)
    want(len(place.messages()) == good,
         f"{good} times 0, {len(place.messages())} arrived: " +
         str({name: done[0] for name, done in results.items()}))
    return good


def limit(which, n):
    return lambda: resource.setrlimit(which, (n, n))


@test()
def few_descriptors(place):
    results = {n: place.send(before=limit(resource.RLIMIT_NOFILE, n),
                             env=NO_LEAKS)
               for n in list(range(4, 21)) + [30]}
    # where the loader has no room it is not our program yet
    results = {n: done for n, done in results.items() if done[0] != 127}
    good = true_status(place, results, (0, 71, 74, 75, 78))
    want(results[20][0] == 0 and results[30][0] == 0, results[20])
    want(good >= 2, results)


def crowd(most, room):
    """Descriptors up to the most, inherited; then a limit."""
    def before():
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most + 100, hard))
        for fd in range(3, most):
            os.dup2(2, fd, inheritable=True)
        resource.setrlimit(resource.RLIMIT_NOFILE, (room, hard))
    return before


@test()
def many_descriptors(place):
    # close_fds would close them between preexec_fn and exec
    results = {"above 1024": place.send(before=crowd(1100, 2000), env=NO_LEAKS,
                                        close_fds=False),
               "no room": place.send(before=crowd(1023, 1024), env=NO_LEAKS,
                                     close_fds=False),
               "hardly any": place.send(before=crowd(1020, 1024), env=NO_LEAKS,
                                        close_fds=False)}
    want(results["above 1024"] == (0, "", ""), results)
    true_status(place, results, (0, 71, 74, 75, 78))
    want(results["no room"][0] != 0, results)


def least_memory(place):
    """What the loader needs before it is our program, to the page."""
    low, high = MIB, 512 * MIB
    while high - low > resource.getpagesize():
        middle = (low + high) // 2
        if place.run("--version", before=limit(resource.RLIMIT_AS,
                                               middle))[0] == 127:
            low = middle
        else:
            high = middle
    return high


@test()
def little_memory(place):
    if harness.sanitized():
        return                          # it reserves terabytes
    least = least_memory(place)
    sizes = [least + n * MIB // 16 for n in range(32)] + [64 * MIB, 512 * MIB]
    results = {size: place.send(before=limit(resource.RLIMIT_AS, size),
                                stdin=HELLO + b"x\n" * 400000)
               for size in sizes}
    true_status(place, results, (0, 71))
    want(results[sizes[-1]][0] == 0 and results[sizes[0]][0] == 71, results)


@test()
def no_room_for_the_message(place):
    big = HELLO + b"0123456789\n" * 300000
    results = {
        "file size": place.send(stdin=big, before=limit(
            resource.RLIMIT_FSIZE, 1000)),
        "fallback": place.send(stdin=big, env={"TMPDIR": "/nowhere"})}
    true_status(place, results, (0, 71, 73, 74))
    want(results["file size"][0] != 0, results)


@test()
def working_directory_is_gone(place):
    where = f"{place.folder}/gone"
    os.makedirs(where)

    def leave():
        os.chdir(where)
        os.rmdir(where)
    done = place.send(before=leave)
    want(done == (0, "", ""), done)
    want(len(place.messages()) == 1, "not sent")


@test()
def odd_environments(place):
    want(place.send(env={"TZ": ":/etc/shadow", "LC_ALL": "xx_YY.UTF-99",
                         "HOME": "", "IFS": "x", "NAME": "N\x01\n" * 500,
                         "TMPDIR": "relative"}) == (0, "", ""), "odd")
    done = place.send(before=lambda: os.umask(0o777))
    want(done == (0, "", ""), done)
    want(len(place.messages()) == 2, "not sent")


@test(queue="always", script="on greeting\n    silent\n")
def background_lets_go(place):
    os.makedirs(f"{place.folder}/queue", 0o700)
    ours = [os.open(place.config, os.O_RDONLY)]
    reading, writing = os.pipe()
    try:
        begin = time.monotonic()
        # communicate ends when nobody has the pipes any more
        done = place.send(pass_fds=ours + [writing])
        want(done == (0, "", ""), done)
        os.close(writing)
        writing = None
        os.set_blocking(reading, True)
        want(os.read(reading, 1) == b"", "a pipe of ours is held")
        want(time.monotonic() - begin < 10, "it took its time")
    finally:
        for fd in ours + [reading] + ([writing] if writing else []):
            os.close(fd)


@test()
def an_option_makes_no_machine_queue(place):
    text = place.config.read_text()
    place.config.write_text("\n".join(
        line for line in text.splitlines()
        if not line.startswith(("queue =", "directory ="))))
    # the machine's, which is this host's without any file
    out = subprocess.run([harness.POSTHASTE, "--check"], env=place.env,
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         text=True, timeout=40, check=False).stdout
    directory = pathlib.Path(re.search(r"^directory = (.*)$", out, re.M)[1])
    there = directory.exists()
    _, out, _ = place.run("--check", stdin=b"")
    want("\ndirectory =" not in out, out)
    status, out, err = place.send("-odq")
    want((status, out, err) == (0, "", ""), err)
    want(directory.exists() == there, f"{directory} was made")
    want(len(place.messages()) == 1, "not sent")


def main():
    return harness.tap(TESTS)


if __name__ == "__main__":
    sys.exit(main())
