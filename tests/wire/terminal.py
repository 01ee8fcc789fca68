#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What reaches a terminal when everybody else is hostile: the server's
words, the queue's entries, the configuration. Each exit runs on a pty. TAP."""

import json
import os
import pty
import re
import select
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import harness  # noqa: E402
from harness import Failure, want  # noqa: E402

# ESC, OSC, BEL, CSI as C1 in UTF-8 and as a byte, direction, a line end
EVIL = (r"seen\x1b]0;evil\x07\x1b[31m\xc2\x9b31m\x9b31m\xe2\x80\xaegpj"
        r"\xe2\x81\xa6\xe2\x80\x8f\xe2\x80\xa8\x7f\x08\xff end")
MESSAGE = (b"From: a@example.test\nTo: b@example.org\n"
           b"Subject: \x1b[31m\xc2\x9b31m\xe2\x80\xae\n\n\x1b[31m\xc2\x85hi\n")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
HIDDEN = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\ufeff]")


def on_terminal(argv, stdin, env, folder, limit=30):
    """Status and all that a terminal gets."""
    master, slave = pty.openpty()
    child = subprocess.Popen([harness.POSTHASTE] + argv,
                             stdin=subprocess.PIPE, stdout=slave,
                             stderr=slave, env=env, cwd=folder)
    os.close(slave)
    child.stdin.write(stdin)
    child.stdin.close()
    out, end = b"", time.monotonic() + limit
    while time.monotonic() < end:
        if select.select([master], [], [], 0.2)[0]:
            try:
                data = os.read(master, 65536)
            except OSError:
                break
            if not data:
                break
            out += data
        elif child.poll() is not None:
            break
    else:
        child.kill()
    child.wait()
    os.close(master)
    return child.returncode, out


class Place:
    def __init__(self, folder, certificates, script, more=""):
        self.folder = folder
        self.server = harness.Server(folder, 1, script, certificates)
        self.path = f"{folder}/config"
        with open(self.path, "wb", opener=private) as f:
            f.write(f"""[general]
hostname = client.example.test
domain = example.test
[log]
to = {folder}/log
[queue]
queue = always
directory = {folder}/queue
[route all]
transport = relay
[transport relay]
kind = smtp
host = 127.0.0.1
port = {self.server.port}
no_starttls = yes
username = user
password = pencil
mechanisms = PLAIN
""".encode() + more.encode("latin-1"))
        self.env = harness.environment(folder)

    def run(self, *argv, stdin=b"", colour=False):
        env = dict(self.env) if colour else dict(self.env, NO_COLOR="1")
        status, out = on_terminal(["-C", self.path, *argv], stdin, env,
                                  self.folder)
        try:
            text = out.decode()
        except UnicodeDecodeError as why:
            raise Failure(f"{argv}: no UTF-8: {out!r}") from why
        text = re.sub("\r+\n", "\n", text)
        if colour:
            text = COLOUR.sub("", text)
        found = HIDDEN.search(text)
        want(not found, f"{argv}: {found and found.group(0)!r} in {text!r}")
        return status, text

    def finish(self):
        self.server.stop()
        if os.path.exists(f"{self.folder}/log"):
            with open(f"{self.folder}/log", encoding="utf-8") as f:
                log = f.read()
            want(not HIDDEN.search(log), f"the log: {log!r}")


def private(path, flags):
    return os.open(path, flags, 0o600)


def script(event, code, more=""):
    return f"auth PLAIN\n{more}on {event}\n  send {code} {EVIL}\\r\\n\n"


EVERY_EHLO = (r"on ehlo" "\n" rf"  send 250-{EVIL}\r\n250-X {EVIL}\r\n"
              rf"250-AUTH PLAIN {EVIL}\r\n250 SIZE 5 {EVIL}\r\n" "\n")


def probing(folder, certificates):
    place = Place(folder, certificates,
                  script("greeting", "220", EVERY_EHLO))
    for colour in (False, True):
        status, text = place.run("--probe", "relay", colour=colour)
        want(status == 0 and "seen" in text, text)
    status, text = place.run("--probe", "--json", "relay")
    want("seen" in "".join(json.loads(text)["extensions"]), text)
    place.finish()


def refused(event, code):
    def test(folder, certificates):
        place = Place(folder, certificates, script(event, code))
        for argv in (["-v", "-odi", "-i", "b@example.org"], ["-odi", "-bs"]):
            data = MESSAGE if "-i" in argv else (
                b"EHLO x\r\nMAIL FROM:<a@example.test>\r\n"
                b"RCPT TO:<b@example.org>\r\nDATA\r\n" +
                MESSAGE.replace(b"\n", b"\r\n") + b".\r\nQUIT\r\n")
            _, text = place.run(*argv, stdin=data)
            want("seen" in text or "-bs" in argv, text)
        place.run("-odq", "-i", "b@example.org", stdin=MESSAGE)
        place.run("-v", "-qI", "")
        _, text = place.run("-bp")
        place.run("--explain", "b@example.org")
        _, listed = place.run("-bp", "--json")
        for entry in json.loads(listed):
            place.run("--show", entry["id"])
        if event in ("greeting", "auth-final"):
            _, text = place.run("--probe", "relay")
            want("seen" in text, text)
        place.finish()
    return test


def configuration(folder, certificates):
    place = Place(folder, certificates, "\n",
                  "[account a\xc2\x9b31m]\nfrom = a@example.test\n"
                  "full_name = seen\xe2\x80\xaegpj\xc2\x9b31m\n")
    _, text = place.run("--check")
    want("seen" in text, text)
    place.run("--check", "--json")
    place.run("--dry-run", "-i", "b@example.org", stdin=MESSAGE)
    place.run("--transport", "x\x1b[31m\u202e", "-i", "b@example.org",
              stdin=MESSAGE)
    place.run("-i", "--", "b\x1b[31m@\u202e", stdin=MESSAGE)
    place.run("-C", f"{folder}/\x1b[31m\u202e", "--check")
    place.finish()


def entry(folder, certificates):
    """The words of an entry, to a pipe as well."""
    place = Place(folder, certificates, "\n")
    place.run("-odq", "-f", "a\u202eb@example.test", "-i",
              "b\u009b31m@example.org", "c\u202e@example.org", stdin=MESSAGE)
    place.run("-bp")
    for argv in (["-bp"], ["-bp", "--json"]):
        _, out, err = harness.run(["-C", place.path, *argv], b"", place.env,
                                  folder)
        want(not HIDDEN.search((out + err).decode()), out)
    _, text = place.run("-bp", "--json")
    for found in json.loads(text):
        place.run("--show", found["id"])
    place.finish()


TESTS = [("--probe", probing), ("configuration and command line",
                                configuration), ("an entry", entry)] + [
    (f"refused: {event}", refused(event, code)) for event, code in (
        ("greeting", "554"), ("ehlo", "554"), ("auth-final", "535 5.7.8"),
        ("mail", "550"), ("rcpt", "550 5.1.1"), ("data", "451"),
        ("dot", "554"), ("greeting", "\\x1b[31m"))]

if __name__ == "__main__":
    sys.exit(harness.tap(TESTS))
