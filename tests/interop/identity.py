#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who mail is from and what this host is called, as a server sees it: one that
takes nothing but its user's own From and Sender; the full name of a host that
has a short one; aliases of this host's names in all commands. TAP."""

import email
import json
import os
import pathlib
import socket
import subprocess
import sys
import threading

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import harness  # noqa: E402
from harness import Skip, want  # noqa: E402

CONFIG = """[log]
to = none
[queue]
queue = never
[route all]
transport = relay
[transport relay]
kind = smtp
host = 127.0.0.1
port = {port}
no_starttls = yes
{more}
"""


class Provider(threading.Thread):
    """An SMTP server whose user is OWN: any other From or Sender is refused
    after the data, as large providers do."""

    OWN = "acc@y.example"

    def __init__(self, strict=True):
        super().__init__(daemon=True)
        self.strict = strict
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.said = []
        self.taken = []
        self.start()

    def run(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            with peer, peer.makefile("rwb") as stream:
                peer.settimeout(20)
                try:
                    self.serve(stream)
                except OSError:
                    pass

    def close(self):
        harness.stop_listening(self.listener, self)

    def serve(self, stream):
        def reply(text):
            stream.write(text.encode() + b"\r\n")
            stream.flush()
        reply("220 provider.example")
        for line in stream:
            self.said.append(line.decode("latin-1").rstrip("\r\n"))
            verb = line[:4].upper()
            if verb == b"DATA":
                reply("354 go on")
                reply(self.judge(stream))
            elif verb == b"QUIT":
                reply("221 bye")
                return
            else:
                reply("250 fine")

    def judge(self, stream):
        lines = []
        for line in stream:
            if line == b".\r\n":
                break
            lines.append(line[1:] if line.startswith(b".") else line)
        message = email.message_from_bytes(b"".join(lines))
        for name in ("From", "Sender"):
            for value in message.get_all(name, []):
                address = email.utils.parseaddr(value)[1]
                if self.strict and address != self.OWN:
                    return f"550 5.7.60 {name} must be yours"
        self.taken.append(message)
        return "250 2.0.0 taken"


class Place:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.env = harness.environment(folder)

    def config(self, port, general="", more=""):
        text = f"[general]\n{general}\n" + CONFIG.format(port=port, more=more)
        path = self.folder / "c.conf"
        path.write_text(text)
        path.chmod(0o600)
        return ["-C", str(path)]

    def run(self, argv, stdin=b""):
        status, out, err = harness.run(argv, stdin, self.env,
                                       str(self.folder))
        return status, out.decode(), err.decode()


LETTER = (b"From: Alice <alice@x.example>, bob@x.example\n"
          b"Sender: www-data@web1\nTo: d@x.example\n\nhi\n")
NAMES = "hostname = n1.lab.example\ndomain = lab.example\naliases =\n"


def own_from(place):
    """a provider that takes its user's own From and Sender alone"""
    provider = Provider()
    account = ("[account default]\nfrom = Me <acc@y.example>\n"
               "from_header = {}\n")
    try:
        for header in "add", "keep":
            argv = place.config(provider.port, NAMES,
                                account.format(header))
            status, _, err = place.run(argv + ["-i", "d@x.example"], LETTER)
            want(status == 69 and "must be yours" in err, f"{status} {err}")
        argv = place.config(provider.port, NAMES, account.format("replace"))
        status, out, err = place.run(argv + ["-i", "d@x.example"], LETTER)
        want((status, out, err) == (0, "", ""), f"{status} {out} {err}")
        message, = provider.taken
        want(message["From"] == "Me <acc@y.example>", message["From"])
        want(message["Sender"] is None, message["Sender"])
        want(" ".join(message["Reply-To"].split()) ==
             "Alice <alice@x.example>, bob@x.example", message["Reply-To"])
    finally:
        provider.close()


def in_namespace(place, host, hosts, argv):
    """posthaste on a host of that name, with that /etc/hosts; None where
    this machine permits none of it."""
    (place.folder / "hosts").write_text(hosts)
    command = harness.namespace("uts", "mount")
    script = ("import os, socket, subprocess, sys\n"
              "socket.sethostname(sys.argv[1])\n"
              "if subprocess.call(['mount', '--bind', sys.argv[2],"
              " '/etc/hosts']): sys.exit(99)\n"
              "os.execv(sys.argv[3], sys.argv[3:])\n")
    if subprocess.run(command + ["true"], capture_output=True).returncode:
        return None
    done = subprocess.run(
        command + [sys.executable, "-c", script, host,
                   str(place.folder / "hosts"), harness.POSTHASTE] + argv,
        input=LETTER, capture_output=True, env=place.env, timeout=60)
    return None if done.returncode == 99 else done


def host_name(place):
    """the host's full name, and none that is no domain"""
    rows = [
        ("web01", "127.0.1.1 web01.example.org web01\n", "web01.example.org"),
        ("web01.example.org", "", "web01.example.org"),
        ("web_01", "", "[127.0.0.1]"),
        ("(none)", "", "[127.0.0.1]"),
    ]
    for host, hosts, name in rows:
        provider = Provider(strict=False)
        try:
            argv = place.config(provider.port, "aliases =")
            done = in_namespace(place, host, "127.0.0.1 localhost\n" + hosts,
                                argv + ["-i", "d@x.example"])
            if done is None:
                raise Skip("no namespaces here")
            want(done.returncode == 0, f"{host}: {done}")
            want(provider.said[0] == f"EHLO {name}",
                 f"{host}: {provider.said}")
            check = in_namespace(place, host, "127.0.0.1 localhost\n" + hosts,
                                 argv + ["--check", "--json"])
            shown = json.loads(check.stdout)
            general = shown["settings"]["general"]
            if name.startswith("["):
                want("hostname" not in general, general)
                want("no domain" in shown["warnings"][0]["message"], shown)
            elif not os.path.exists("/etc/mailname"):
                want(provider.said[1].startswith("MAIL FROM:<") and
                     f"@{name}>" in provider.said[1], provider.said)
                want(general["hostname"] == general["domain"] == name,
                     general)
                want(provider.taken[0]["Message-ID"].endswith(f"@{name}>"),
                     provider.taken[0]["Message-ID"])
        finally:
            provider.close()


def check_aliases(place):
    """--check names the lines of aliases that are none"""
    path = place.folder / "aliases"
    path.write_text("root: a@x.example\nnonsense\nx: |/bin/cat\n"
                    "y: b@@x\n\\z: c\n@k.example: d@x.example\n")
    argv = place.config(25, NAMES.replace("aliases =", f"aliases = {path}"))
    status, out, err = place.run(argv + ["--check"])
    want(status == 78, f"{status} {err}")
    for line in 2, 3, 4, 5:
        want(f"{path}:{line}: " in err + out, f"{line} is not in {err}")
    for line in 1, 6:
        want(f"{path}:{line}: " not in err + out, f"{line} is in {err}")
    path.write_text("root: a@x.example\nx: /dev/null\n")
    status, out, err = place.run(argv + ["--check"])
    want((status, err) == (0, ""), f"{status} {err}")


def discarded(place):
    """nobody is left: 250 from -bs, nothing from --explain, no connection"""
    provider = Provider(strict=False)
    path = place.folder / "aliases"
    path.write_text("root: /dev/null\n")
    try:
        argv = place.config(provider.port, NAMES.replace(
            "aliases =", f"aliases = {path}"))
        dialogue = (b"EHLO x\r\nMAIL FROM:<a@x.example>\r\n"
                    b"RCPT TO:<root@localhost>\r\nDATA\r\n\r\nhi\r\n.\r\n"
                    b"QUIT\r\n")
        status, out, err = place.run(argv + ["-bs"], dialogue)
        want(status == 0 and "250 2.0.0 discarded" in out, f"{status} {out}")
        for words in (["-bv", "root"], ["--dry-run", "root"],
                      ["-odi", "-i", "root@localhost"]):
            status, out, err = place.run(argv + words, LETTER)
            want(status == 0, f"{words}: {status} {err}")
        want(not provider.said, provider.said)
    finally:
        provider.close()


def diverted(place):
    """--explain says where redirect and bcc send it"""
    for keys, wanted in (
            ("redirect = t@y.example", ["t@y.example"]),
            ("bcc = arch@y.example", ["d@x.example", "arch@y.example"])):
        argv = place.config(25, NAMES, "[account default]\n" + keys)
        status, out, err = place.run(argv + ["--explain", "--json",
                                             "d@x.example"])
        found = list(dict.fromkeys(r["recipient"] for r in json.loads(out)))
        want(status == 0 and found == wanted, f"{status} {out} {err}")


def main():
    tests = [(name, lambda folder, certificates, test=test:
              test(Place(folder))) for name, test in (
        ("a provider that takes its user's own From", own_from),
        ("the host's own name", host_name),
        ("aliases that --check names", check_aliases),
        ("mail that aliases discard", discarded),
        ("mail that goes elsewhere, explained", diverted))]
    return harness.tap(tests)


if __name__ == "__main__":
    sys.exit(main())
