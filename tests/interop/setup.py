#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""--setup on a terminal, in a network of its own: ten scripted providers, from
an address to a received message; then what goes wrong, with words and a next
step. Must be root. TAP; arguments: names of tests.

POSTHASTE, WIRE_SERVER  as for tests/wire/run.py
"""

import base64
import contextlib
import hashlib
import http.server
import os
import pathlib
import pty
import re
import select
import shutil
import ssl
import stat
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "../support"))
sys.path.insert(0, str(HERE))
import harness  # noqa: E402
from configure import Forward  # noqa: E402
from harness import want  # noqa: E402
from nameserver import Dns  # noqa: E402

PERSON = 54321
SECRET = "S3cr3t word"
NAMES = ("mail.example.test", "smtp.example.test", "smtp.example.org",
         "submission.example.test", "out.provider.example",
         "smtp.fastmail.com", "smtp.gmail.com", "mail.infomaniak.com",
         "smtp.postmarkapp.com", "smtp.web.de", "smtp.sendgrid.net",
         "smtp-relay.brevo.com", "ua-auto-config.example.org",
         "autoconfig.example.org", "example.org")
WEB = "198.51.100.1"


class Place:
    """A person with an empty home, on a machine whose name server and
    authorities are ours."""

    def __init__(self, folder, certificates, stack):
        self.folder = pathlib.Path(folder)
        self.certificates = certificates
        self.stack = stack
        self.number = 0
        self.zone = {}
        self.servers = []
        for path in (self.folder, self.folder.parent):
            path.chmod(0o755)
        self.env = harness.environment(folder)
        self.env.pop("XDG_CONFIG_HOME")
        self.env.pop("XDG_STATE_HOME")
        self.env["TERM"] = "dumb"
        self.home = self.folder / "home"
        for path in (self.home, self.folder / "tmp"):
            os.chown(path, PERSON, PERSON)
        self.config = self.home / ".config/posthaste.conf"
        self.program = self.folder / "posthaste"
        alone = pathlib.Path(harness.program_for([]))
        harness.copy_program(alone, self.program)
        self.program.chmod(0o755)

    def answer(self, zone, silent=False):
        dns = Dns(None if silent else zone, port=53)
        self.stack.callback(dns.stop)

    def serve(self, host, port, tls="implicit", more="tls-auth PLAIN\n",
              user="me@example.test"):
        """A host of the zone that takes mail for who has the password."""
        self.number += 1
        address = f"127.1.0.{self.number}"
        server = harness.Server(
            str(self.folder), self.number, f"tls {tls}\ncertificate host\n"
            f"{more}user {user}\npassword {SECRET}\n", self.certificates)
        self.servers.append(server)
        forward = Forward(address, port, server.port)
        self.stack.callback(forward.stop)
        self.zone[f"{host} A"] = [address]
        return server

    def say(self, host, path, kind, text):
        """A web server that has this document at this host, and no other."""
        self.zone[f"{host} A"] = [WEB]
        # no address of loopback's is asked; with one of another kind this
        # host is one that has a network
        subprocess.run(["ip", "addr", "add", WEB + "/32", "dev", "lo"],
                       check=True)
        self.stack.callback(subprocess.run, [
            "ip", "addr", "del", WEB + "/32", "dev", "lo"], check=True)

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(handler):
                good = (handler.path == path and
                        handler.headers["Host"] in (host, f"{host}:443"))
                body = text if good else b"no"
                handler.send_response(200 if good else 404)
                handler.send_header("Content-Type", kind)
                handler.send_header("Content-Length", str(len(body)))
                handler.end_headers()
                handler.wfile.write(body)

            def log_message(handler, *words):
                pass

        server = http.server.ThreadingHTTPServer((WEB, 443), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"{self.certificates}/host.pem",
                                f"{self.certificates}/host.key")
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        self.stack.callback(thread.join)
        self.stack.callback(server.server_close)
        self.stack.callback(server.shutdown)

    def received(self):
        """(from, to, text) of each message that a server took."""
        found = []
        for number, server in enumerate(self.servers, 1):
            for event in server.stop():
                if event["event"] == "message" and event["accepted"]:
                    text = pathlib.Path(self.folder, event["file"])
                    found.append((event["from"], event["to"],
                                  text.read_text()))
        return found

    def run(self, *argv, stdin="", root=False):
        done = subprocess.run(
            [str(self.program), *argv], input=stdin.encode(), env=self.env,
            cwd="/", stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=90, check=False, user=None if root else PERSON,
            group=None if root else PERSON, extra_groups=[])
        return done.returncode, done.stdout.decode()

    def talk(self, argv, answers, limit=25, root=False, env=None):
        """A conversation: for each question (part of what is shown) what is
        typed; a question that comes unexpected ends it."""
        pid, tty = pty.fork()
        if not pid:
            os.chdir("/")
            if not root:
                os.setgroups([])
                os.setresgid(PERSON, PERSON, PERSON)
                os.setresuid(PERSON, PERSON, PERSON)
            os.execve(self.program, [str(self.program), *argv],
                      {**self.env, **(env or {})})
        seen, fresh, left = "", "", list(answers)
        end = time.monotonic() + limit
        while time.monotonic() < end:
            if not select.select([tty], [], [], 0.2)[0]:
                continue
            try:
                block = os.read(tty, 65536)
            except OSError:
                break
            text = block.decode(errors="replace")
            seen += text
            fresh += text
            if left and re.search(left[0][0], re.sub(r"\s+", " ", fresh)):
                os.write(tty, left.pop(0)[1].encode() + b"\n")
                fresh = ""
        else:
            os.kill(pid, 9)
        _, status = os.waitpid(pid, 0)
        os.close(tty)
        want(not left, f"never asked: {left}\n{seen}")
        want(SECRET not in seen, "the password was shown")
        return os.waitstatus_to_exitcode(status), re.sub(r"\s+", " ", seen)


TESTS = []


def test(function):
    def run(folder, certificates):
        with contextlib.ExitStack() as stack:
            place = Place(folder, certificates, stack)
            try:
                function(place)
            finally:
                for server in place.servers:
                    with contextlib.suppress(Exception):
                        server.stop()
    TESTS.append((function.__name__.replace("_", "-"), run))
    return function


LOGIN, WRITE = ("Login name: \\[", ""), ("Write it\\? \\[yes\\]", "")
PASSWORD, SEND = ("\\): $", SECRET), ("Send a message to", "")
USUAL = [LOGIN, WRITE, PASSWORD, SEND]


def arrived(place, who, login=None):
    status, shown = place.run("--check")
    want(status == 0, shown)
    mode = stat.S_IMODE(place.config.stat().st_mode)
    want(mode == 0o600, oct(mode))
    text = place.config.read_text()
    want(SECRET not in text and f"username = {login or who}\n" in text, text)
    passwords = list(place.home.rglob("*.password"))
    want(len(passwords) == 1 and
         stat.S_IMODE(passwords[0].stat().st_mode) == 0o600 and
         passwords[0].read_text() == SECRET + "\n", passwords)
    found = place.received()
    want(len(found) == 1 and found[0][:2] == (who, [who]) and
         "Subject: posthaste works" in found[0][2], found)


def provider(name, who, zone, server, answers=None, login=None, words=()):
    """A test: this zone, this server, and what a person answers."""
    def run(place):
        place.zone.update(zone)
        place.serve(*server, user=login or who)
        place.answer(place.zone)
        status, seen = place.talk(["--setup", who], answers or USUAL)
        want(status == 0, (status, seen))
        for word in ("/usr/sbin/sendmail", *words):
            want(word in seen, (word, seen))
        arrived(place, who, login)
    run.__name__ = name
    test(run)


# --- ten providers ---

provider("by_srv_submissions", "me@example.org", {
    "_submissions._tcp.example.org SRV": ["0 1 465 smtp.example.org"]},
    ("smtp.example.org", 465), words=("SRV records",))
provider("by_srv_submission", "me@example.org", {
    "_submission._tcp.example.org SRV": ["0 1 587 smtp.example.org"]},
    ("smtp.example.org", 587, "starttls"))
provider("by_trying_465", "me@example.test", {}, ("mail.example.test", 465),
         words=("Found by trying",))
provider("by_trying_587", "me@example.test", {},
         ("smtp.example.test", 587, "starttls"))
provider("fastmail_by_mx", "me@example.org", {
    "example.org MX": ["10 in1-smtp.messagingengine.com"]},
    ("smtp.fastmail.com", 465), words=("Fastmail", "app password"))
provider("gmail_with_a_password", "me@gmail.com", {}, ("smtp.gmail.com", 465),
         [LOGIN, ("with the browser instead", ""), WRITE, PASSWORD, SEND],
         words=("apppasswords",))
provider("infomaniak_by_domain", "me@ik.me", {},
         ("mail.infomaniak.com", 465), words=("1440 recipients",))
provider("webde_knows_the_local_part", "me@web.de", {},
         ("smtp.web.de", 465), login="me")
provider("a_server_elsewhere_is_confirmed", "me@example.org", {
    "_submissions._tcp.example.org SRV": ["0 1 465 out.provider.example"]},
    ("out.provider.example", 465),
    [("Is it your provider's\\? \\[no\\]", "yes"), *USUAL])
provider("an_unknown_one_is_named", "me@example.org", {
    "example.org MX": ["10 mx.example.org"]}, ("smtp.sendgrid.net", 465),
    [("name of a provider", "sendgrid"), ("Login name: \\[apikey\\]", ""),
     WRITE, PASSWORD, SEND], login="apikey", words=("no SRV records",))


# --- what the domain says by HTTPS ---

XML = """<?xml version="1.0"?><clientConfig version="1.1">
<emailProvider id="example.org"><domain>example.org</domain>
<incomingServer type="imap"><hostname>no.example.org</hostname><port>993</port>
<socketType>SSL</socketType></incomingServer>
<outgoingServer type="smtp"><hostname>out.provider.example</hostname>
<port>587</port><socketType>STARTTLS</socketType>
<username>%EMAILLOCALPART%</username>
<authentication>password-cleartext</authentication></outgoingServer>
</emailProvider></clientConfig>""".encode()
PACC = b"""{"protocols": {"smtp": {"host": "smtp.example.org"}},
"authentication": {"password": true}}"""
PACC_PATH = "/.well-known/user-agent-configuration.json"


def digest(text):
    return "v=UAAC1; a=sha256; d=" + base64.b64encode(
        hashlib.sha256(text).digest()).decode()


def said(place, server, login, words):
    place.serve(*server, user=login)
    place.answer(place.zone)
    status, seen = place.talk(["--setup", "me@example.org"], USUAL)
    want(status == 0 and words in seen, (status, seen))
    arrived(place, "me@example.org", login)


@test
def autoconfig_of_thunderbirds(place):
    place.say("autoconfig.example.org", "/mail/config-v1.1.xml", "text/xml",
              XML)
    said(place, ("out.provider.example", 587, "starttls"), "me",
         "said by autoconfig.example.org")


@test
def autoconfig_at_the_domain(place):
    place.say("example.org", "/.well-known/autoconfig/mail/config-v1.1.xml",
              "application/xml; charset=utf-8", XML)
    said(place, ("out.provider.example", 587, "starttls"), "me",
         "said by example.org")


@test
def user_agent_configuration(place):
    place.say("ua-auto-config.example.org", PACC_PATH, "application/json",
              PACC)
    place.zone["_ua-auto-config.example.org TXT"] = [digest(PACC)]
    said(place, ("smtp.example.org", 465), "me@example.org",
         "said by ua-auto-config.example.org")


@test
def a_document_without_its_digest_or_of_another_type_is_none(place):
    for n, (kind, record) in enumerate((
            ("application/json", None), ("application/json", digest(b"x")),
            ("text/html", digest(PACC)))):
        with contextlib.ExitStack() as stack:
            place.stack = stack
            place.zone = {"example.org MX": ["10 mx.example.org"]}
            place.say("ua-auto-config.example.org", PACC_PATH, kind, PACC)
            if record:
                place.zone["_ua-auto-config.example.org TXT"] = [record]
            place.answer(place.zone)
            status, seen = place.run("--setup", "me@example.org", "--yes")
            want(status == 68, (n, status, seen))


# --- unattended ---

@test
def unattended(place):
    place.serve("mail.example.test", 465)
    place.answer(place.zone)
    status, seen = place.run("--setup", "me@example.test", "--yes",
                             stdin=SECRET + "\n")
    want(status == 0 and SECRET not in seen, (status, seen))
    arrived(place, "me@example.test")


@test
def unattended_with_a_provider_named(place):
    place.serve("smtp.sendgrid.net", 465, user="apikey")
    place.answer(place.zone)
    status, seen = place.run("--setup", "me@example.org", "--yes",
                             "--transport", "sendgrid", stdin=SECRET + "\n")
    want(status == 0, (status, seen))
    arrived(place, "me@example.org", "apikey")


@test
def root_writes_for_the_machine(place):
    place.serve("mail.example.test", 465)
    place.answer(place.zone)
    path = place.folder / "etc/posthaste.conf"
    status, seen = place.run("--setup", "me@example.test", "--yes", "-C",
                             str(path), stdin=SECRET + "\n", root=True)
    want(status == 0 and "contrib/setup" in seen, (status, seen))
    want(stat.S_IMODE(path.stat().st_mode) == 0o644 and
         f"password_file = {path.parent}/posthaste/provider.password\n" in
         path.read_text(), path.read_text())
    want(len(place.received()) == 1, "nothing arrived")


# --- what goes wrong ---

def nothing_written(place):
    left = [p for p in place.home.rglob("*") if p.is_file()]
    want(not left, left)


@test
def no_terminal_and_no_yes(place):
    status, seen = place.run("--setup", "me@example.test")
    want(status == 64 and "--yes" in seen, (status, seen))
    nothing_written(place)


@test
def an_existing_one_stays(place):
    place.serve("mail.example.test", 465)
    place.answer(place.zone)
    place.config.parent.mkdir()
    os.chown(place.config.parent, PERSON, PERSON)
    place.config.write_text("[general]\ntimeout = 1m\n")
    os.chown(place.config, PERSON, PERSON)
    before = place.config.read_text()
    status, seen = place.run("--setup", "me@example.test", "--yes",
                             stdin=SECRET + "\n")
    want(status == 73 and "is there already" in seen, (status, seen))
    status, seen = place.talk(["--setup", "me@example.test"], [
        LOGIN, ("is there already. Replace it .*\\[no\\]", "")])
    want(status == 73 and place.config.read_text() == before, (status, seen))
    status, seen = place.talk(["--setup", "me@example.test"], [
        LOGIN, ("is there already. Replace it .*\\[no\\]", "y"), PASSWORD,
        SEND])
    want(status == 0, (status, seen))
    want(pathlib.Path(f"{place.config}.old").read_text() == before, "gone")
    arrived(place, "me@example.test")


@test
def what_was_kept_before_stays(place):
    place.serve("mail.example.test", 465)
    place.answer(place.zone)
    place.config.parent.mkdir()
    for number, end in enumerate(("", ".old", ".old2")):
        path = pathlib.Path(f"{place.config}{end}")
        path.write_text(f"# {number}\n")
        os.chown(path, PERSON, PERSON)
    os.chown(place.config.parent, PERSON, PERSON)
    status, seen = place.talk(["--setup", "me@example.test"], [
        LOGIN, ("is there already. Replace it .*conf.old3.*\\[no\\]", "y"),
        PASSWORD, SEND])
    want(status == 0, (status, seen))
    kept = [pathlib.Path(f"{place.config}{end}").read_text()
            for end in (".old", ".old2", ".old3")]
    want(kept == ["# 1\n", "# 2\n", "# 0\n"], kept)


@test
def said_no_or_gone(place):
    place.serve("mail.example.test", 465)
    place.answer(place.zone)
    for answers in ([LOGIN, ("Write it", "no")], [("Login name", "\x04")],
                    [LOGIN, ("Write it", "\x04")]):
        status, seen = place.talk(["--setup", "me@example.test"], answers)
        want(status == 66, (answers, status, seen))
        nothing_written(place)


@test
def a_wrong_password_is_asked_for_again(place):
    place.serve("mail.example.test", 465)
    place.answer(place.zone)
    status, seen = place.talk(["--setup", "me@example.test"], [
        LOGIN, WRITE, ("\\): $", "wrong"),
        ("app password.*Try another password\\? \\[yes\\]", ""), PASSWORD,
        SEND])
    want(status == 0 and "refused the login name or the password" in seen,
         (status, seen))
    arrived(place, "me@example.test")


@test
def a_wrong_password_unattended(place):
    place.serve("mail.example.test", 465)
    place.answer(place.zone)
    status, seen = place.run("--setup", "me@example.test", "--yes",
                             stdin="wrong\n")
    flat = re.sub(r"\s+", " ", seen)
    want(status == 77 and "want an app password here" in flat and
         "posthaste --store-password provider" in flat, (status, seen))
    want(not place.received(), "a message was sent")


@test
def no_network(place):
    status, seen = place.talk(["--setup", "me@example.test"], [])
    want(status == 75 and "no way to the network" in seen, (status, seen))
    nothing_written(place)


@test
def a_blocked_port_of_a_known_provider(place):
    place.answer({"smtp.fastmail.com A": ["127.9.9.9"]})
    status, seen = place.talk(["--setup", "me@fastmail.com"], USUAL[:3])
    want(status == 75 and "firewall" in seen and "465 and 587" in seen and
         "posthaste --probe fastmail" in seen, (status, seen))


@test
def a_blocked_port_of_an_unknown_one(place):
    place.answer({"mail.example.test A": ["127.9.9.9"]})
    status, seen = place.talk(["--setup", "me@example.test"], [
        ("are the ports blocked.*name of a provider", "")])
    want(status == 68, (status, seen))
    nothing_written(place)


@test
def an_unknown_provider(place):
    place.answer({"example.org MX": ["10 mx.example.org"]})
    status, seen = place.talk(["--setup", "me@example.org"], [
        ("no SRV records.*name of a provider", "nonsense"),
        ("neither a host's name nor", "")])
    want(status == 68 and "Ask the provider for the name of its server" in
         seen, (status, seen))
    status, seen = place.run("--setup", "me@example.org", "--yes")
    want(status == 68 and "Ask the provider" in seen, (status, seen))
    nothing_written(place)


@test
def another_is_named_after_one_without_smtp(place):
    place.zone["example.org MX"] = ["10 mx.example.org"]
    place.serve("out.provider.example", 465, user="me@example.org")
    place.answer(place.zone)
    status, seen = place.talk(["--setup", "me@example.org"], [
        ("no SRV records.*name of a provider", "tuta"),
        ("no SMTP.*name of a provider", "out.provider.example"), *USUAL])
    want(status == 0 and "Tuta: out" not in seen, (status, seen))
    want("[transport provider]" in place.config.read_text(),
         place.config.read_text())
    arrived(place, "me@example.org")


@test
def a_server_elsewhere_is_not_trusted_unasked(place):
    place.zone["_submissions._tcp.example.org SRV"] = [
        "0 1 465 out.provider.example"]
    place.serve("out.provider.example", 465)
    place.answer(place.zone)
    status, seen = place.run("--setup", "me@example.org", "--yes",
                             stdin=SECRET + "\n")
    want(status == 77 and "--transport" in seen, (status, seen))
    nothing_written(place)


@test
def a_certificate_that_is_not_theirs(place):
    place.serve("smtp.fastmail.com", 465, "implicit",
                "certificate unknown-ca\ntls-auth PLAIN\n")
    place.answer(place.zone)
    status, seen = place.talk(["--setup", "me@fastmail.com"], USUAL[:3])
    want(status == 75 and "cannot prove its name" in seen, (status, seen))


@test
def a_login_needs_a_registered_client(place):
    for who, answers, words in (
            ("me@outlook.com", [LOGIN], "entra.microsoft.com"),
            ("me@gmail.com", [LOGIN, ("instead of a password", "y")],
             "console.cloud.google.com")):
        status, seen = place.talk(["--setup", who], [
            *answers, ("oauth_client_id \\(empty to stop here\\)", "")])
        want(status == 78 and words in seen and "come back" in seen,
             (status, seen))
        nothing_written(place)


@test
def a_provider_without_smtp(place):
    status, seen = place.talk(["--setup", "me@tuta.com"], [])
    want(status == 69 and "Tuta has no SMTP" in seen, (status, seen))
    nothing_written(place)


# --- the queue's runner ---

CRONTAB = """#!/bin/sh
table={table}
case $1 in
-l) [ -f $table ] && cat $table || {{ echo no crontab >&2; exit 1; }};;
-) cat >$table;;
esac
"""


def ends(place, *more, env=None):
    status, seen = place.talk(["--setup", "me@example.test"],
                              [*USUAL, *more], env=env)
    want(status == 0, (status, seen))
    return seen


@test
def a_line_in_the_crontab(place):
    stub = pathlib.Path("/usr/local/bin/crontab")
    table = place.home / "table"
    table.touch()
    os.chown(table, PERSON, PERSON)
    stub.write_text(CRONTAB.format(table=table))
    stub.chmod(0o755)
    place.stack.callback(stub.unlink)
    place.serve("mail.example.test", 465)
    place.answer(place.zone)
    before = "#*/9 * * * * posthaste -q\n@daily true"
    table.write_text(before)
    seen = ends(place, ("a line in your crontab\\? \\[yes\\]", ""))
    want("The queue is run" in seen, seen)
    want(table.read_text() ==
         f"{before}\n*/5 * * * * {place.program} -q\n", table.read_text())


@test
def a_timer_of_the_persons_systemd(place):
    stub = place.folder / "systemctl"
    stub.write_text(f"#!/bin/sh\necho \"$*\" >>{place.home}/asked\n")
    stub.chmod(0o755)
    real = pathlib.Path("/usr/bin/systemctl")
    subprocess.run(["mount", "--bind", stub, real], check=True)
    place.stack.callback(subprocess.run, ["umount", real], check=True)
    runtime = place.folder / "run/systemd"
    runtime.mkdir(parents=True)
    (runtime / "private").touch()
    place.serve("mail.example.test", 465)
    place.answer(place.zone)
    seen = ends(place, ("timer of your systemd\\? \\[yes\\]", ""),
                env={"XDG_RUNTIME_DIR": str(runtime.parent)})
    want("The queue is run" in seen and "enable-linger" in seen, seen)
    want((place.home / "asked").read_text() == "--user daemon-reload\n"
         "--user enable --now posthaste.timer\n",
         (place.home / "asked").read_text())
    units = place.home / ".config/systemd/user"
    want(f"ExecStart={place.program} -q\n" in
         (units / "posthaste.service").read_text() and
         "timers.target" in (units / "posthaste.timer").read_text(),
         list(units.iterdir()))
    # one that was changed since is the person's
    (units / "posthaste.timer").write_text("[Timer]\nOnCalendar=hourly\n")
    status, seen = place.talk(["--setup", "me@example.test"], [
        LOGIN, ("already. Replace it", "y"), PASSWORD, SEND,
        ("timer of your systemd\\? \\[yes\\]", "")],
        env={"XDG_RUNTIME_DIR": str(runtime.parent)})
    want(status == 0 and re.search(r"posthaste.timer is there already, and "
                                   "stays", seen), (status, seen))
    want("hourly" in (units / "posthaste.timer").read_text(), "replaced")
    want(not re.search(r"posthaste.service is there", seen), seen)


# --- a network of its own ---

def certificate(folder):
    """One for every host, of the authority that the machine trusts."""
    names = ",".join(f"DNS:{name}" for name in NAMES)
    pathlib.Path(folder, "ext").write_text(
        f"subjectAltName={names}\nextendedKeyUsage=serverAuth\n")
    for argv in (["req", "-new", "-newkey", "ec", "-pkeyopt",
                  "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=host",
                  "-keyout", "host.key", "-out", "host.csr"],
                 ["x509", "-req", "-in", "host.csr", "-CA", "ca.pem",
                  "-CAkey", "ca.key", "-set_serial", "7", "-days", "30",
                  "-extfile", "ext", "-out", "host.pem"]):
        subprocess.run(["openssl", *argv], cwd=folder, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def install_helper():
    """posthaste-fetch where the program looks for it."""
    built = pathlib.Path(harness.POSTHASTE)
    path = re.search(rb"/usr/local[\x21-\x7e]*/posthaste-fetch",
                     built.read_bytes())
    want(path, "the helper is looked for outside of /usr/local")
    path = pathlib.Path(path.group().decode())
    path.parent.mkdir(parents=True, exist_ok=True)
    harness.copy_program(built.with_name("posthaste-fetch"), path)
    path.chmod(0o755)
    pathlib.Path("/usr/local/bin").mkdir(exist_ok=True)


def inside():
    root = pathlib.Path(os.environ["SETUP_ROOT"])
    resolv = root / "resolv.conf"
    make = harness.make_certificates

    def certificates(folder):
        make(folder)
        certificate(folder)
        os.chmod(folder, 0o755)
        for path in pathlib.Path(folder).iterdir():
            path.chmod(0o644)
        bundle = root / "bundle"
        shutil.copy(f"{folder}/ca.pem", bundle)
        bundle.chmod(0o644)
        for source, place in ((bundle, "/etc/ssl/certs/ca-certificates.crt"),
                              (resolv, "/etc/resolv.conf")):
            target = pathlib.Path(place).resolve()
            subprocess.run(["mount", "--bind", source, target], check=True)

    harness.make_certificates = certificates
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", root], check=True)
    resolv.write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    for name in ("upper", "work"):
        (root / name).mkdir()
        (root / name).chmod(0o755)
    subprocess.run(["mount", "-t", "overlay", "-o", "lowerdir=/usr/local,"
                    f"upperdir={root}/upper,workdir={root}/work", "none",
                    "/usr/local"], check=True)
    install_helper()
    os.umask(0o022)
    # one name server on port 53, so one at a time
    return harness.tap([t for t in TESTS if t[0] in sys.argv[1:] or
                        not sys.argv[1:]], workers=1)


def main():
    if "SETUP_ROOT" in os.environ:
        return inside()
    if os.geteuid():
        print("Bail out! must be root")
        return 1
    root = subprocess.run(["mktemp", "-d"], stdout=subprocess.PIPE,
                          check=True, text=True).stdout.strip()
    os.chmod(root, 0o755)
    try:
        return subprocess.call(
            ["unshare", "--mount", "--net", "--propagation", "private",
             sys.executable] + sys.argv,
            env={**os.environ, "SETUP_ROOT": root})
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    sys.exit(main())
