#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""--configure against a zone of its own: SRV records, known providers, MX
records of known providers, servers found by trying. Whatever is printed must
pass --check, and the table of providers must agree with contrib/examples.
TAP."""

import contextlib
import os
import pathlib
import re
import select
import shlex
import socket
import subprocess
import sys
import threading
import time

TOP = pathlib.Path(os.environ.get(
    "TOP_SRCDIR", pathlib.Path(__file__).resolve().parents[2]))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import harness  # noqa: E402
from harness import want  # noqa: E402
from nameserver import Dns  # noqa: E402

# --- ports 465 and 587 of an address of our own ---

class Forward:
    """Every connection to (address, port) goes on to the scripted server."""

    def __init__(self, address, port, to):
        self.to = int(to)
        self.connections = 0
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((address, port))
        self.listener.listen()
        self.wake, self.stopper = socket.socketpair()
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        pairs = {}
        while True:
            ready, _, _ = select.select(
                [self.listener, self.wake] + list(pairs), [], [])
            if self.wake in ready:
                break
            if self.listener in ready:
                self.connections += 1
                here = self.listener.accept()[0]
                there = socket.create_connection(("127.0.0.1", self.to))
                pairs[here], pairs[there] = there, here
            for s in [s for s in ready if s in pairs]:
                self.pump(s, pairs)
        for s in pairs:
            s.close()

    def pump(self, s, pairs):
        if s not in pairs:
            return
        other = pairs[s]
        try:
            data = s.recv(65536)
            if data:
                other.sendall(data)
                return
        except OSError:
            pass
        for end in (s, other):
            pairs.pop(end, None)
            end.close()

    def stop(self):
        self.stopper.close()
        self.thread.join()
        self.wake.close()
        self.listener.close()


def address(folder):
    """One that no other test of this or another process has."""
    pid = os.getpid()
    return (f"127.{1 + pid % 250}.{1 + pid // 250 % 250}."
            f"{int(pathlib.Path(folder).name) % 250 + 2}")


# --- running it ---

class Place:
    def __init__(self, folder, certificates, stack, zone):
        self.folder = folder
        self.certificates = certificates
        self.stack = stack
        self.dns = Dns(zone)
        stack.callback(self.dns.stop)
        self.number = 0
        self.env = harness.environment(folder)
        pathlib.Path(folder, "posthaste.conf").write_text(
            f"[dns]\nresolver = 127.0.0.1:{self.dns.port}\ndnssec = off\n"
            f"[tls]\nca_file = {certificates}/ca.pem\n[log]\nto = none\n"
            f"[queue]\nqueue = never\ndirectory = {folder}/queue\n")

    def serve(self, port, script):
        self.number += 1
        server = harness.Server(self.folder, self.number, script,
                                self.certificates)
        self.stack.callback(server.stop)
        forward = Forward(address(self.folder), port, server.port)
        self.stack.callback(forward.stop)
        return forward

    def configure(self, who, config="posthaste.conf"):
        start = time.monotonic()
        status, out, err = harness.run(
            ["-C", f"{self.folder}/{config}", "--configure", who], None,
            self.env, self.folder)
        self.took = time.monotonic() - start
        return status, out.decode(), err.decode()

    def found(self, who, config="posthaste.conf"):
        """The text, once it is seen to be a configuration without secrets
        that says how to try it."""
        status, text, err = self.configure(who, config)
        want((status, err) == (0, ""), f"status {status}: {err}")
        path = pathlib.Path(self.folder, "found.conf")
        path.write_text(text)
        path.chmod(0o644)
        for secret in re.findall(r"(?m)^password_file = ~/(.*)$", text):
            secret = pathlib.Path(self.folder, "home", secret)
            secret.parent.mkdir(parents=True, exist_ok=True)
            secret.write_text("pencil\n")
            secret.chmod(0o600)
        status, checked, err = harness.run(
            ["-C", str(path), "--check"], None, self.env, self.folder)
        want((status, err) == (0, b""), f"--check: {status} {err}\n{text}")
        want("posthaste --probe" in text, text)
        # cron's mail to a local user must not leave under his bare name
        want(re.search(r"(?m)^default_recipient = .+@.+$", text), text)
        return text

    def has(self, text, *lines):
        for line in lines:
            want(line in text.splitlines(), f"{line!r} is not in\n{text}")


def test(title, zone=None, silent=False):
    def wrap(function):
        def run(folder, certificates):
            with contextlib.ExitStack() as stack:
                here = {key: [text.replace("HERE", address(folder))
                              for text in records]
                        for key, records in (zone or {}).items()}
                place = Place(folder, certificates, stack,
                              None if silent else here)
                function(place)
        TESTS.append((title, run))
        return function
    return wrap


TESTS = []


# --- SRV records ---

@test("SRV: submissions before submission", {
    "_submissions._tcp.example.org SRV": ["0 1 465 smtp.example.org"],
    "_submission._tcp.example.org SRV": ["0 1 587 smtp.example.org"]})
def srv(place):
    text = place.found("me@example.org")
    place.has(text, "kind = submissions", "host = smtp.example.org",
              "port = 465", "username = me@example.org",
              "from = me@example.org",
              "password_file = ~/.config/posthaste/provider.password")
    want("posthaste --store-password provider" in text and
         "password_command" in text, text)
    want("make sure" not in text, text)


@test("SRV: submission alone, another port", {
    "_submission._tcp.example.org SRV": ["10 1 1587 b.example.org",
                                         "5 1 2587 a.example.org"]})
def srv_submission(place):
    place.has(place.found("me@example.org"), "kind = submission",
              "host = a.example.org", "port = 2587")


@test("SRV: no such service there, the other one is", {
    "_submissions._tcp.example.org SRV": ["0 0 0 ."],
    "_submission._tcp.example.org SRV": ["0 1 587 smtp.example.org"]})
def srv_dot(place):
    place.has(place.found("me@example.org"), "kind = submission")


@test("SRV: a server elsewhere is pointed out", {
    "_submissions._tcp.example.org SRV": ["0 1 465 mail.provider.example"]})
def srv_foreign(place):
    text = place.found("me@example.org")
    place.has(text, "host = mail.provider.example")
    want("make sure that it is your provider's" in text, text)


@test("SRV: a known domain led elsewhere is pointed out", {
    "_submissions._tcp.gmail.com SRV": ["0 1 465 mail.evil.example"]})
def srv_known_foreign(place):
    want("make sure that it is your provider's" in
         place.found("me@gmail.com"), "nothing is said")


@test("SRV: a domain at a known provider gets its advice", {
    "_submissions._tcp.example.org SRV": ["0 1 465 smtp.fastmail.com"]})
def srv_provider(place):
    text = place.found("me@example.org")
    place.has(text, "[transport fastmail]", "host = smtp.fastmail.com")
    want("app password" in text and "make sure" not in text, text)


@test("an internationalised domain", {
    "_submissions._tcp.xn--bcher-kva.example SRV":
        ["0 1 465 smtp.xn--bcher-kva.example"]})
def idn(place):
    place.has(place.found("me@b\u00fccher.example"),
              "host = smtp.xn--bcher-kva.example")


# --- known providers ---

@test("a known provider by the domains of its mail hosts", {
    "example.org MX": ["10 example-org.mail.protection.outlook.com"]})
def known_mx(place):
    text = place.found("me@example.org")
    place.has(text, "[transport office365]", "host = smtp.office365.com",
              "port = 587", "kind = submission", "oauth = microsoft",
              "; token_command = oama access me@example.org")
    want("password_file =" not in text, text)


@test("a mail host that only ends like a known one", {
    "example.org MX": ["10 notgoogle.com", "20 google.com.evil.example"]})
def known_mx_alike(place):
    want(place.configure("me@example.org")[0] == 68, "something was found")


@test("a known provider though no resolver answers", silent=True)
def known_silent(place):
    place.has(place.found("me@gmail.com"), "host = smtp.gmail.com")
    want(place.took < 20, f"it took {place.took:.0f} s")


def sections(text):
    found, now = {}, {}
    for line in text.splitlines():
        if line.startswith("["):
            now = found.setdefault(line.strip("[]"), {})
        elif "=" in line and line[0] not in "#; ":
            key, _, value = line.partition("=")
            now[key.strip()] = value.strip()
    return found


# --- the table of providers ---

def rows():
    """name -> (text of its row, the comment that stands above it)."""
    table = (TOP / "src/desk/providers_table.c").read_text()
    table = table.partition("table[] = {")[2].partition("\n};")[0]
    found, source = {}, ""
    for part in re.split(r"(?m)^\t(?=/\*|\{ \.name|SES\()", table)[1:]:
        if part.startswith("/*"):
            source = part.partition("*/")[0]
            continue
        names = re.findall(r'\.name = "([^"]*)"', part) or \
            ["ses-" + region for region in re.findall(r'SES\("(.*?)"\)', part)]
        for name in names:
            want(name not in found, f"{name} is there twice")
            found[name] = (part, source)
    return found


@test("the table of providers: 40 of them, each with its source")
def table(place):
    found = rows()
    ours = {name for name in found if not name.startswith("ses-")}
    want(len(ours) >= 40 and "ses-eu-west-1" in found, f"{len(ours)}: {ours}")
    domains = []
    for name, (row, source) in found.items():
        want(re.search(r"https?://\S+|ISPDB [a-z0-9.]+", source),
             f"{name}: where are its facts from?")
        want(re.fullmatch(r"[a-z0-9-]+", name), name)
        if name.startswith("ses-"):
            continue
        domains += re.findall(r'"([^"]*)"', "".join(
            re.findall(r"\.domain = NAMES\((.*?)\)", row, re.S)))
        if ".none" in row:
            want("_AT(" not in row, f"{name}: a host and none")
            continue
        at = re.search(r'(TLS|STARTTLS)_AT\("([^"]+)", (\d+)\)', row)
        want(at and re.fullmatch(r"[a-z0-9.-]+\.[a-z0-9]+", at.group(2)),
             f"{name}: {row}")
        want(at.group(3) == ("465" if at.group(1) == "TLS" else "587") or
             ".local = true" in row, f"{name}: port {at.group(3)}")
        want(re.search(r"\.secret =\s+\S", row), f"{name}: what secret?")
        want((".token = true" in row) <= (".issuer" in row), name)
    want(len(domains) == len(set(domains)), "a domain is there twice")
    want(all(re.fullmatch(r"\.?([a-z0-9-]+\.)+[a-z]+", domain)
             for domain in domains), domains)


@test("every provider's configuration passes --check")
def every_provider(place):
    for name, (row, _) in rows().items():
        domain = re.search(r'\.domain = NAMES\("([^"]*)"', row)
        if not domain or ".none" in row:
            continue
        domain = domain.group(1)
        who = "you@" + ("example" + domain if domain[0] == "." else domain)
        found = sections(place.found(who))[f"transport {name}"]
        want(("oauth" in found) == (".token = true" in row) and
             ("password_file" in found) == (".token = true" not in row),
             f"{name}: {found}")
        want(found["username"] == ("you" if '.user = "%u"' in row else who),
             f"{name}: {found}")


@test("a provider without SMTP says so", {
    "example.org MX": ["10 mail.tutanota.de"]})
def no_smtp(place):
    for who in ("me@tuta.com", "me@example.org"):
        status, out, err = place.configure(who)
        want((status, out) == (69, "") and "no SMTP" in err,
             (who, status, out, err))


@test("the table of providers agrees with contrib/examples")
def examples(place):
    seen = set()
    for path in (TOP / "contrib/examples").iterdir():
        name = path.stem
        if name not in rows():
            continue
        seen.add(name)
        row = rows()[name][0]
        domain = re.search(r'\.domain = NAMES\("([^"]*)"', row).group(1)
        who = "you@" + ("example" + domain if domain[0] == "." else domain)
        found = sections(place.found(who))[f"transport {name}"]
        example = sections(path.read_text())[f"transport {name}"]
        for key in ("kind", "host", "port"):
            want(found[key] == example[key], f"{name}: {key} is {found[key]} "
                 f"here, {example[key]} in the example")
        want(("password_file" in found) <= ("password_file" in example or
                                            "oauth" in example),
             f"{name}: password or token?")
    want(seen >= {"gmail", "office365", "fastmail", "brevo"}, seen)


# --- guesses ---

SERVER = ("certificate {}\nauth PLAIN LOGIN\n")


@test("tried: mail.DOMAIN on port 465",
      {"mail.example.test A": ["HERE"], "smtp.example.test A": ["HERE"]})
def tried(place):
    port = place.serve(465, "tls implicit\n" + SERVER.format("good"))
    text = place.found("me@example.test")
    place.has(text, "kind = submissions", "host = mail.example.test",
              "port = 465")
    want("Found by trying" in text and port.connections == 1, text)


@test("tried: port 587 where 465 is dead",
      {"smtp.example.test A": ["HERE"]})
def tried_587(place):
    place.serve(587, "tls starttls\n" + SERVER.format("wildcard"))
    place.has(place.found("me@example.test"), "kind = submission",
              "host = smtp.example.test", "port = 587")


@test("tried: submission.DOMAIN, with tokens alone",
      {"submission.example.test A": ["HERE"]})
def tried_token(place):
    place.serve(587, "tls starttls\ncertificate wildcard\n"
                "tls-auth XOAUTH2 OAUTHBEARER\n")
    text = place.found("me@example.test")
    place.has(text, "host = submission.example.test")
    want("token_command =" in text and "password_file =" not in text, text)


@test("tried: a certificate that does not verify is no find",
      {"mail.example.test A": ["HERE"]})
def tried_unknown_ca(place):
    port = place.serve(465, "tls implicit\n" + SERVER.format("unknown-ca"))
    status, out, err = place.configure("me@example.test")
    want((status, out) == (68, ""), f"{status} {out}")
    want(port.connections == 1, "it was not even tried")
    want("mail.example.test port 465" in err and "certificate" in err, err)


@test("tried: no STARTTLS, no find", {"mail.example.test A": ["HERE"]})
def tried_clear(place):
    place.serve(587, "tls none\nauth PLAIN\n")
    want(place.configure("me@example.test")[0] == 68, "found in clear")


@test("tried: a silent server does not hold it up",
      {"mail.example.test A": ["HERE"]})
def tried_silent(place):
    place.serve(465, "tls none\non greeting\n    silent\n")
    want(place.configure("me@example.test")[0] == 68, "found in silence")
    want(place.took < 15, f"it took {place.took:.0f} s")


# --- nothing, and nonsense ---

@test("nothing is found: 68, with words")
def nothing(place):
    status, out, err = place.configure("me@example.org")
    want((status, out) == (68, ""), f"{status} {out}")
    want("example.org" in err and err.count("\n") == 1, err)


@test("bad addresses: 64")
def bad(place):
    for who in ("", "<>", "me", "me@", "@example.org", "me@[192.0.2.1]",
                "me@exa mple.org", "a@b.example, c@d.example",
                "me@example.org\nhost = evil.example", "me@" + "a" * 300):
        status, out, err = place.configure(who)
        want((status, out) == (64, "") and err.startswith("posthaste: "),
             f"{who!r}: {status} {out} {err}")
    want(not place.dns.asked, f"asked for {place.dns.asked}")


@test("what an address may hold is no command and no key", {})
def quoting(place):
    for who in ("`id`@outlook.com", "$HOME@outlook.com", "o'neil@outlook.com",
                '"a b;c"@outlook.com', "#me@outlook.com"):
        text = place.found(who)
        command = text.partition("\n; token_command = ")[2].splitlines()[0]
        words = subprocess.run(
            ["/bin/sh", "-c", f"oama() {{ printf '%s\\n' \"$@\"; }}; {command}"],
            stdout=subprocess.PIPE, text=True, timeout=10, check=True,
            env={}).stdout.splitlines()
        want(words == ["access", who], f"{who}: {command} gives {words}")
        want(shlex.split(command)[2] == who, command)


@test("a percent sign of an address is one in the sender, too", {})
def percent(place):
    for who in ("a%hb@outlook.com", "%u@outlook.com", "100%@outlook.com",
                "a%%b@outlook.com"):
        place.found(who)
        status, out, err = harness.run(
            ["-C", f"{place.folder}/found.conf", "--dry-run", "-i",
             "b@example.org"], b"hi\n", place.env, place.folder)
        want(status == 0 and f"from <{who}>" in out.decode().splitlines(),
             f"{who}: {status} {out} {err}")


@test("a faulty configuration does not stop it", {
    "_submissions._tcp.example.org SRV": ["0 1 465 smtp.example.org"]})
def faulty(place):
    path = pathlib.Path(place.folder, "faulty.conf")
    path.write_text(pathlib.Path(place.folder, "posthaste.conf").read_text() +
                    "[nonsense]\nkey = value\n")
    place.has(place.found("me@example.org", "faulty.conf"),
              "host = smtp.example.org")


def may_listen():
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind((f"127.254.{os.getpid() % 250}.1", 465))
        except PermissionError:
            return False
    return True


def main():
    if not may_listen():
        harness.enter("net")
        harness.command("ip", "link", "set", "lo", "up")
        want(may_listen(), "cannot use port 465")
    return harness.tap(TESTS)


if __name__ == "__main__":
    sys.exit(main())
