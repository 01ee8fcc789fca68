#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every file of contrib/examples: it passes --check, and what it is for
works against a scripted server with the provider's extensions. Only paths,
hosts, ports and the authority are put in place of the file's own. TAP."""

import functools
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

TOP = pathlib.Path(os.environ.get(
    "TOP_SRCDIR", pathlib.Path(__file__).resolve().parents[2]))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import harness  # noqa: E402
from harness import want  # noqa: E402

EXAMPLES = TOP / "contrib/examples"
MESSAGE = b"To: someone@example.com\nSubject: example\n\nhello\n"

GMAIL = """tls implicit
certificate good
auth LOGIN PLAIN XOAUTH2 PLAIN-CLIENTTOKEN OAUTHBEARER XOAUTH
no-extensions
extension SIZE 35882577
extension 8BITMIME
extension ENHANCEDSTATUSCODES
extension PIPELINING
extension CHUNKING
extension SMTPUTF8
"""
OFFICE365 = """tls starttls
certificate good
tls-auth LOGIN XOAUTH2
no-extensions
extension SIZE 157286400
extension PIPELINING
extension DSN
extension ENHANCEDSTATUSCODES
extension 8BITMIME
extension BINARYMIME
extension CHUNKING
extension SMTPUTF8
"""
FASTMAIL = """tls implicit
certificate good
auth PLAIN LOGIN XOAUTH2 OAUTHBEARER
no-extensions
extension PIPELINING
extension SIZE 71000000
extension ENHANCEDSTATUSCODES
extension 8BITMIME
"""
SES = """tls implicit
certificate good
auth PLAIN LOGIN
no-extensions
extension 8BITMIME
"""
BREVO = """tls starttls
certificate good
auth PLAIN LOGIN CRAM-MD5
no-extensions
extension PIPELINING
extension 8BITMIME
"""
# as Brevo where the announced CRAM-MD5 does not work
BREVO_NO_CRAM = BREVO + """on auth CRAM-MD5
    reply 535 5.7.8 Authentication failed
"""
HOUSE = """tls starttls
certificate good
"""
RELAY = """tls implicit
certificate good
auth PLAIN LOGIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS
"""
RELAY_587 = RELAY.replace("implicit", "starttls")
DOWN = """tls implicit
certificate good
on greeting
    reply 421 4.3.2 down for a while
"""

# Where each is, and what it must be sent with: the file, its transport as
# written there, the server's script, arguments, and what must be seen.
CASES = [
    ("gmail", "gmail", ("submissions", "smtp.gmail.com", 465), GMAIL, [],
     dict(auth=["PLAIN"], sender="you@gmail.com", via="BDAT")),
    ("gmail-login", "gmail", ("submissions", "smtp.gmail.com", 465), GMAIL,
     [], dict(auth=["OAUTHBEARER"], sender="you@gmail.com", via="BDAT")),
    ("office365", "office365", ("submission", "smtp.office365.com", 587),
     OFFICE365, [],
     dict(auth=["XOAUTH2"], sender="you@example.com", via="BDAT")),
    ("office365-token", "office365",
     ("submission", "smtp.office365.com", 587),
     OFFICE365, [],
     dict(auth=["XOAUTH2"], sender="you@example.com", via="BDAT")),
    ("fastmail", "fastmail", ("submissions", "smtp.fastmail.com", 465),
     FASTMAIL, [],
     dict(auth=["PLAIN"], sender="you@fastmail.com", via="DATA")),
    ("amazon-ses", "ses",
     ("submissions", "email-smtp.eu-west-1.amazonaws.com", 465), SES,
     ["-f", "www@host.example"],
     dict(auth=["PLAIN"], sender="noreply@example.org", via="DATA",
          stdin=b"From: Web <www@host.example>\n" + MESSAGE,
          header="From: root <noreply@example.org>",
          absent="From: Web")),
    ("brevo", "brevo", ("submission", "smtp-relay.brevo.com", 587), BREVO,
     [], dict(auth=["CRAM-MD5"], sender="noreply@example.org", via="DATA")),
    ("brevo", "brevo", ("submission", "smtp-relay.brevo.com", 587),
     BREVO_NO_CRAM, [],
     dict(auth=["PLAIN"], sender="noreply@example.org", via="DATA",
          tried=["AUTH CRAM-MD5", "AUTH PLAIN"])),
    ("local-smarthost", "house", ("smtp", "mail.example.org", 25), HOUSE,
     ["-f", "root"], dict(auth=[], sender="root@example.org", via="DATA")),
    ("laptop", "fastmail", ("submissions", "smtp.fastmail.com", 465),
     FASTMAIL, [],
     dict(auth=["PLAIN"], sender="you@fastmail.com", via="DATA")),
    ("laptop", "work", ("submission", "smtp.example.com", 587), RELAY_587,
     ["-f", "you@example.com"],
     dict(auth=["SCRAM-SHA-256-PLUS"], sender="you@example.com",
          via="DATA")),
    ("php-host", "shop", ("submissions", "smtp.example.org", None), RELAY,
     ["-odi", "-a", "shop", "-f", "else@example.com"],
     dict(auth=["SCRAM-SHA-256-PLUS"], sender="shop@example.org",
          via="DATA", stdin=b"From: form@example.com\n" + MESSAGE,
          header="From: The Shop <shop@example.org>",
          absent="\nFrom: form@")),
    ("php-host", "forum", ("submissions", "smtp.example.org", None), RELAY,
     ["-odi", "-a", "forum"],
     dict(auth=["SCRAM-SHA-256-PLUS"], sender="forum@example.net",
          via="DATA")),
    ("container", "provider", ("submissions", "smtp.example.org", None), RELAY,
     [], dict(auth=["SCRAM-SHA-256-PLUS"], sender="app@example.org",
              via="DATA")),
    ("shared-server", "relay", ("submissions", "smtp.example.org", 465),
     RELAY, ["-odi"],
     dict(auth=["SCRAM-SHA-256-PLUS"], sender=None, via="DATA")),
]
CHECKED = ["direct-dkim", "tor-socks", "failover", "local-only"]


def sections(text):
    """{section: {key: value}}, comments left out."""
    found, now = {}, None
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("["):
            now = found.setdefault(line.strip("[]"), {})
        elif line and line[0] not in "#;" and now is not None:
            key, _, value = line.partition("=")
            now[key.strip()] = value.strip()
    return found


class Example:
    """One file, made to live in a scratch folder."""

    def __init__(self, name, folder, certificates):
        self.folder = pathlib.Path(folder)
        self.certificates = certificates
        self.text = (EXAMPLES / f"{name}.conf").read_text()
        self.sections = sections(self.text)
        self.path = self.folder / "posthaste.conf"
        self.env = harness.environment(folder, {
            "PATH": f"{folder}/bin:" + os.environ.get("PATH", "/usr/bin:/bin")})

    def map_path(self, match):
        path = self.folder / match.group(2).lstrip("~").lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        if match.group(1).startswith("dkim_key"):
            subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519",
                            "-out", str(path)], check=True, timeout=30,
                           stderr=subprocess.DEVNULL)
        elif match.group(1).startswith("ca_file"):
            shutil.copy(f"{self.certificates}/ca.pem", path)
        else:
            path.write_text("the password\n")
        path.chmod(0o600)
        return match.group(1) + str(path)

    def commands(self):
        """Stand-ins for the programs that print secrets."""
        for name, secret in (("pass", "the password"), ("oama", "the token")):
            path = self.folder / "bin" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"#!/bin/sh\necho {secret}\n")
            path.chmod(0o755)

    def logins(self):
        """Logins as if somebody had done what the file says."""
        place = self.folder / "home/.local/state/posthaste/oauth"
        for name, section in self.sections.items():
            if "oauth" not in section:
                continue
            place.mkdir(parents=True, exist_ok=True)
            path = place / name.split()[1]
            client, now = section["oauth_client_id"], int(time.time())
            path.write_text(
                f"posthaste-login 1\nissuer {section['oauth']}\n"
                f"client {client}\nclient_id {client}\nmethod none\n"
                "endpoint https://localhost:1/\naccess_token the token\n"
                f"refresh_token another\nobtained {now}\n"
                f"expires {now + 3600}\nend\n")
            path.chmod(0o600)

    def write(self, servers=()):
        """servers: {transport: port}; the rest of the file stays."""
        text = re.sub(r"(?m)^((?:password_file|oauth_client_secret_file|"
                      r"dkim_key|ca_file) *= *)(\S+)",
                      self.map_path, self.text)
        for transport, port in dict(servers).items():
            head, section, rest = text.partition(f"[transport {transport}]\n")
            want(section, f"there is no transport {transport}")
            body, following, tail = rest.partition("\n[")
            lines = [line for line in body.splitlines()
                     if line.split("=")[0].strip() not in
                     ("host", "port", "ca_file")]
            lines += ["host = localhost", f"port = {port}",
                      f"ca_file = {self.certificates}/ca.pem"]
            text = head + section + "\n".join(lines) + "\n" + following + tail
        where = f"directory = {self.folder}/queue\n"
        if re.search(r"(?m)^\[queue\]$", text):
            text = re.sub(r"(?m)^\[queue\]\n", f"[queue]\n{where}", text)
        else:
            text += f"\n[queue]\n{where}"
        text = re.sub(r"(?m)^to = stderr\nformat = json\n", "", text)
        text += f"\n[log]\nto = {self.folder}/log\n"
        self.path.write_text(text)
        self.path.chmod(0o600)
        (self.folder / "queue").mkdir(mode=0o700, exist_ok=True)
        self.commands()
        self.logins()

    def run(self, argv, stdin=None):
        return harness.run(["-C", str(self.path)] + argv, stdin, self.env,
                           str(self.folder))

    def log(self):
        path = self.folder / "log"
        return path.read_text() if path.exists() else ""


def login(folder, certificates, example, transport):
    """What the server is to accept, from the file itself."""
    section = example.sections[f"transport {transport}"]
    if "username" not in section:
        return ""
    return (f"user {section['username']}\npassword the password\n"
            "token the token\n")


def check(name, folder, certificates):
    example = Example(name, folder, certificates)
    status, _, err = harness.run(
        ["-C", str(EXAMPLES / f"{name}.conf"), "--check"], None, example.env,
        folder)
    # nothing is wrong with it but that nobody has stored a password yet
    want(status == (78 if err else 0) and
         all(line.endswith(b"No such file or directory")
             for line in err.splitlines()),
         f"as it is: {status} {err.decode()}")
    want(not re.search(r"(?m)^(proxy_)?password *=", example.text),
         "a password in the file")
    example.write()
    status, out, err = example.run(["--check"])
    want((status, err) == (0, b""), f"mapped: {status} {err.decode()}")
    want(b"[general]" in out, out.decode())
    return example


def facts(section):
    port = section.get("port")
    return section["kind"], section["host"], int(port) if port else None


def submit(case, folder, certificates):
    name, transport, place, script, argv, expected = case
    example = check(name, folder, certificates)
    want(facts(example.sections[f"transport {transport}"]) == place,
         f"transport {transport} is {example.sections}")
    server = harness.Server(
        folder, 1, login(folder, certificates, example, transport) + script,
        certificates)
    try:
        example.write({transport: server.port})
        status, out, err = example.run(argv + ["-ti"],
                                       expected.get("stdin", MESSAGE))
    finally:
        events = server.stop()
    want((status, out, err) == (0, b"", b""),
         f"status {status}: {err.decode()} {events}")
    seen(server, events, expected)
    want("status=sent" in example.log(), example.log())
    for secret in ("the password", "the token"):
        want(secret not in example.log(), "a secret in the log")


def seen(server, events, expected):
    auth = [e["mechanism"] for e in events if e["event"] == "auth"]
    want(auth == expected["auth"], f"AUTH was {auth}")
    want([e["version"] for e in events if e["event"] == "tls"],
         "there was no TLS")
    noted = [e for e in events if e["event"] == "audit"]
    want(not noted, f"the server noted {noted}")
    messages = [e for e in events if e["event"] == "message" and e["accepted"]]
    want(len(messages) == 1, f"messages: {messages}")
    want(messages[0]["to"] == ["someone@example.com"], str(messages))
    want(messages[0]["via"] == expected["via"], str(messages))
    if expected["sender"]:
        want(messages[0]["from"] == expected["sender"], str(messages))
    text = server.message(messages[0]).decode()
    want(expected.get("header", "") in text, text)
    want("absent" not in expected or expected["absent"] not in text, text)
    tried = [" ".join(e["text"].split()[:2]) for e in events
             if e["event"] == "line" and e["text"].startswith("AUTH")]
    want(tried == expected.get("tried", tried), f"tried: {tried}")


def failover(first, folder, certificates):
    """The second relay gets it when the first is dead or busy; only then."""
    example = Example("failover", folder, certificates)
    dead = harness.dead_port()
    servers = [harness.Server(
        folder, i + 1, login(folder, certificates, example, transport) + script,
        certificates) for i, (transport, script) in enumerate(
            (("first", DOWN if first == "busy" else RELAY),
             ("second", RELAY_587)))]
    try:
        example.write({
            "first": dead.getsockname()[1] if first == "dead" else
            servers[0].port, "second": servers[1].port})
        status, out, err = example.run(["-ti"], MESSAGE)
    finally:
        events = [server.stop() for server in servers]
        dead.close()
    want((status, out, err) == (0, b"", b""), f"{status} {err.decode()}")
    taken = [sum(e["event"] == "message" for e in seen) for seen in events]
    want(taken == ([1, 0] if first == "up" else [0, 1]), f"taken: {taken}")


def shared_server_queues(folder, certificates):
    """Without -odi the message is on disk when the command ends."""
    example = Example("shared-server", folder, certificates)
    example.write()
    status, out, err = example.run(["-odq", "-ti"], MESSAGE)
    want((status, out, err) == (0, b"", b""), f"{status} {err.decode()}")
    status, out, _ = example.run(["-bp"])
    want(status == 0 and b"someone@example.com" in out, out.decode())


def stays_here(folder, certificates):
    """Whoever it is to, it is in the maildir once the queue has run."""
    example = Example("local-only", folder, certificates)
    example.write()
    text = example.path.read_text()
    text = text.replace("path = /", f"path = {folder}/")
    example.path.write_text(text)
    for to in ("root", "root@localhost", "x@elsewhere.example"):
        status, out, err = example.run(["-odq", "-i", to], b"\nhi\n")
        want((status, out, err) == (0, b"", b""), f"{status} {err.decode()}")
    status, out, err = example.run(["-q"])
    want((status, err) == (0, b""), f"{status} {err.decode()}")
    found = [path.read_bytes() for path in
             pathlib.Path(folder, "var/lib/posthaste/mail/new").iterdir()]
    want(len(found) == 3 and
         sum(b"Delivered-To: root@" in m for m in found) == 2 and
         sum(b"Delivered-To: x@elsewhere" in m for m in found) == 1,
         found)


def sample_of_every_case(folder, certificates):
    """No file without a test, no test without a file."""
    have = {path.stem for path in EXAMPLES.glob("*.conf")}
    want(have == {case[0] for case in CASES} | set(CHECKED),
         f"files are {sorted(have)}")


def main():
    tests = [("every example is tested", sample_of_every_case)]
    tests += [(f"{name}: --check", functools.partial(check, name))
              for name in CHECKED]
    tests += [(f"{case[0]}: {case[1]} by "
               f"{' '.join(case[5].get('tried', case[5]['auth'])) or 'none'}",
               functools.partial(submit, case)) for case in CASES]
    tests += [(f"failover: the first is {first}",
               functools.partial(failover, first))
              for first in ("up", "dead", "busy")]
    tests += [("shared-server: -odq", shared_server_queues),
              ("local-only: nothing leaves", stays_here)]
    return harness.tap(tests)


if __name__ == "__main__":
    sys.exit(main())
