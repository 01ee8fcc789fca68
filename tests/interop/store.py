#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""--store-password: from a pipe and from a terminal, into the file that the
transport reads, with its rights, whatever was there and wherever it is cut
off. The machine's passwords are in tests/interop/shared.py. TAP; arguments:
names of tests.

POSTHASTE, WIRE_SERVER  as for tests/wire/run.py
"""

import os
import pathlib
import pty
import select
import shutil
import stat
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import harness  # noqa: E402
from harness import want  # noqa: E402

SECRET = "S3cr3t word"
CONFIG = """[general]
hostname = client.example.test
domain = example.test
[queue]
queue = never
[log]
to = none
[route all]
transport = relay
[transport relay]
kind = submission
host = localhost
port = {port}
ca_file = {certificates}/ca.pem
username = user
{more}
"""
SCRIPT = f"tls starttls\ncertificate good\ntls-auth PLAIN\npassword {SECRET}\n"


class Place:
    """A user with a configuration of his own, and a server."""

    def __init__(self, folder, certificates):
        self.folder = pathlib.Path(folder)
        self.env = harness.environment(folder)
        self.server = harness.Server(folder, 1, SCRIPT, certificates)
        self.certificates = certificates
        self.home = self.folder / "home"
        (self.home / ".config").mkdir()
        self.default = self.home / ".config/posthaste/relay.password"
        self.program = harness.program_for([])
        self.configure()

    def configure(self, more=""):
        path = self.home / ".config/posthaste.conf"
        path.write_text(CONFIG.format(
            port=self.server.port, certificates=self.certificates, more=more))
        path.chmod(0o600)

    def run(self, *argv, stdin=b"", before=()):
        done = subprocess.run(
            [*before, self.program, *argv], input=stdin, env=self.env,
            cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            timeout=60, check=False)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def store(self, text=SECRET + "\n", name="relay", *more, **kw):
        return self.run("--store-password", name, *more,
                        stdin=text.encode(), **kw)

    def mail_goes(self):
        done = self.run("-i", "b@example.org", stdin=b"Subject: s\n\nhi\n")
        want(done == (0, "", ""), done)


TESTS = []


def test(function):
    def run(folder, certificates):
        place = Place(folder, certificates)
        try:
            function(place)
        finally:
            place.server.stop()
    TESTS.append((function.__name__.replace("_", "-"), run))
    return function


def mode(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


def holds(path, text, rights=0o600):
    want(path.read_text() == text and mode(path) == rights,
         (path.read_text(), oct(mode(path))))
    left = [p.name for p in path.parent.glob(f".{path.name}.*")]
    want(not left, left)


@test
def the_usual_place_without_a_key(place):
    want("password_file" not in place.run("--check")[1], "already there")
    want(place.store(SECRET + "\nnot this\n") == (0, "", ""), "not stored")
    holds(place.default, SECRET + "\n")
    want(mode(place.default.parent) == 0o700, oct(mode(place.default.parent)))
    place.mail_goes()
    status, out, err = place.run("--check")
    want(status == 0 and f"password_file = {place.default}" in out and
         SECRET not in out + err, (status, out, err))


@test
def the_file_that_a_key_names(place):
    place.configure("password_file = ~/deep/er/secret")
    for text in ("first", SECRET):
        done = place.store(text)
        want(done == (0, "", ""), done)
        holds(place.home / "deep/er/secret", text + "\n")
    want(not place.default.exists(), "stored in the usual place, too")
    place.mail_goes()


@test
def rights_are_mended_and_a_group_stays(place):
    place.configure(f"password_file = {place.home}/secret")
    secret = place.home / "secret"
    for before, after in ((0o644, 0o600), (0o666, 0o600), (0o400, 0o600),
                          (0o640, 0o640), (0o660, 0o640), (0o755, 0o600)):
        secret.write_text("old\n")
        secret.chmod(before)
        done = place.store()
        want(done == (0, "", ""), (oct(before), done))
        holds(secret, SECRET + "\n", after)
        want(secret.stat().st_gid == place.home.stat().st_gid, "its group")
    place.mail_goes()


@test
def a_link_is_replaced_and_not_followed(place):
    target = place.home / "target"
    for text in ("precious\n", None):
        place.default.parent.mkdir(exist_ok=True)
        place.default.unlink(missing_ok=True)
        place.default.symlink_to(target)
        if text:
            target.write_text(text)
        else:
            target.unlink()
        want(place.store() == (0, "", ""), "not stored")
        want(not place.default.is_symlink(), "still a link")
        holds(place.default, SECRET + "\n")
        want((target.read_text() if target.exists() else None) == text,
             "the link was followed")
    place.mail_goes()


@test
def what_is_no_file_is_refused(place):
    place.default.mkdir(parents=True)
    status, out, err = place.store()
    want((status, out) == (73, "") and str(place.default) in err,
         (status, out, err))
    want([p.name for p in place.default.parent.iterdir()] ==
         ["relay.password"], "something is left")


@test
def no_password_is_none(place):
    for text in ("", "\n", "\r\n", "a\0b\n", "x" * 70000):
        status, out, err = place.store(text)
        want((status, out) == (66, "") and "password" in err,
             (text[:9], status, out, err))
    done = harness.run(["--store-password", "relay"], None, place.env,
                       str(place.folder))
    want(done[0] == 66, done)
    want(not place.default.exists(), "a file was made")


@test
def where_nothing_would_read_it(place):
    def refused(more, name, status, *words):
        place.configure(more)
        got, out, err = place.store(name=name)
        want((got, out) == (status, "") and SECRET not in err and
             all(word in err for word in words), (more, name, got, out, err))
        want(not list(place.home.rglob("*.password")), "a file was made")

    refused("", "other", 78, "no transport", "other")
    refused("", "direct", 78, "direct")
    refused("[transport gone]\nkind = fail", "gone", 78, "kind fail")
    refused("password_command = echo x", "relay", 78, "password_command")
    refused("password = x", "relay", 78, "password")
    refused("password_credential = x", "relay", 78, "password_credential")
    refused("token_command = echo x", "relay", 78, "token_command")
    refused("password_file = secret", "relay", 78, "from / or ~/")
    refused("nonsense = 1", "relay", 78, "nonsense")
    refused("[transport a/../../b]\nkind = submission\nhost = h\n"
            "username = u", "a/../../b", 78, "password_file")
    refused("[transport anonymous]\nkind = submission\nhost = h",
            "anonymous", 78, "username")
    place.configure()
    want(place.run("--systemd-creds", "-bp")[0] == 64, "alone")


def on_terminal(place, keys, limit=30):
    pid, tty = pty.fork()
    if not pid:
        os.execve(place.program, [place.program, "--store-password", "relay"],
                  place.env)
    seen, typed, end = b"", False, time.monotonic() + limit
    while time.monotonic() < end:
        if select.select([tty], [], [], 0.2)[0]:
            try:
                block = os.read(tty, 4096)
            except OSError:
                break
            seen += block
        if not typed and b"): " in seen:
            os.write(tty, keys)
            typed = True
    else:
        os.kill(pid, 9)
    _, status = os.waitpid(pid, 0)
    os.close(tty)
    return os.waitstatus_to_exitcode(status), seen.decode()


@test
def a_person_types_it_unseen(place):
    status, seen = on_terminal(place, SECRET.encode() + b"\n")
    want(status == 0 and "user" in seen and "relay" in seen and
         SECRET not in seen, (status, seen))
    holds(place.default, SECRET + "\n")
    status, seen = on_terminal(place, b"\n")
    want(status == 66, (status, seen))
    status, seen = on_terminal(place, b"half\x03")
    want(status != 0, (status, seen))
    holds(place.default, SECRET + "\n")


@test
def killed_anywhere_it_is_the_old_or_the_new(place):
    want(place.store("old") == (0, "", ""), "not stored")
    place.env["ASAN_OPTIONS"] = "detect_leaks=0"
    seen = set()
    for call in ("openat", "fchown", "fchmod", "write", "fsync", "close",
                 "renameat"):
        for n in range(1, 200):
            status, _, _ = place.store(before=[
                "strace", "-f", "-o", "/dev/null", "-e",
                f"trace={call}", "-e",
                f"inject={call}:signal=KILL:when={n}"] if call in
                ("fchown", "fchmod", "fsync", "renameat") else [
                "strace", "-f", "-o", "/dev/null", "-P",
                str(place.default.parent), "-e", f"trace={call}", "-e",
                f"inject={call}:signal=KILL:when={n}"])
            text = place.default.read_text()
            want(text in ("old\n", SECRET + "\n") and
                 mode(place.default) == 0o600, (call, n, text))
            seen.add((call, text))
            if status == 0:
                break
            want(n < 199, f"{call}: never ends")
            if text != "old\n":
                want(place.store("old")[0] == 0, "not stored")
        want(place.store("old")[0] == 0, "not stored")
        for left in place.default.parent.glob(".*"):
            left.unlink()
    want({text for _, text in seen} == {"old\n", SECRET + "\n"}, seen)


@test
def full_disk_leaves_the_old_one(place):
    want(place.store("old") == (0, "", ""), "not stored")
    place.env["ASAN_OPTIONS"] = "detect_leaks=0"
    for call, error in (("fchmod", "EIO"), ("fsync", "EIO"),
                        ("fsync", "ENOSPC"), ("renameat", "EIO"),
                        ("fchown", "EPERM")):
        status, _, err = place.store(before=[
            "strace", "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e",
            f"inject={call}:error={error}:when=1"])
        want(status in (73, 77) and "cannot be written" in err,
             (call, status, err))
        holds(place.default, "old\n")


STUB = """#!/bin/sh
[ "$1 $3 $4" = "encrypt - -" ] || exit 3
[ -e "$(dirname "$0")/../fail" ] && { echo no key >&2; exit 1; }
echo "sealed $2 $(tr a-z A-Z)"
"""


@test
def sealed_by_systemd(place):
    if os.geteuid():
        raise harness.Skip("needs root")
    stub = place.folder / "stub"
    stub.write_text(STUB)
    stub.chmod(0o755)
    inside = [*harness.namespace("mount"), "sh", "-c",
              f"mount --bind {stub} /usr/bin/systemd-creds && exec \"$@\"",
              "sh"]
    sealed = place.default.with_name("relay.cred")
    status, out, err = place.store(SECRET, "relay", "--systemd-creds",
                                   before=inside)
    want((status, err) == (0, "") and SECRET not in out and
         f"LoadCredentialEncrypted=relay:{sealed}\n" in out and
         "\npassword_credential = relay\n" in out, (status, out, err))
    holds(sealed, f"sealed --name=relay {SECRET.upper()}\n")
    place.configure("password_credential = other")
    want(place.store(SECRET, "relay", "--systemd-creds", before=inside)[0]
         == 0, "the name that the key says")
    holds(sealed.with_name("other.cred"),
          f"sealed --name=other {SECRET.upper()}\n")
    stub.write_text("#!/bin/sh\necho no key >&2\nexit 1\n")
    status, out, err = place.store(SECRET, "relay", "--systemd-creds",
                                   before=inside)
    want((status, out) == (69, "") and "no key" in err, (status, out, err))
    # what systemd then hands over to the service
    shutil.copy(sealed, place.folder / "other")
    (place.folder / "other").write_text(SECRET + "\n")
    (place.folder / "other").chmod(0o400)
    place.env["CREDENTIALS_DIRECTORY"] = str(place.folder)
    place.mail_goes()


if __name__ == "__main__":
    sys.exit(harness.tap(TESTS))
