#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""--setup in a fresh system: a tree made by debootstrap with expect(1) in it,
in which a person who has nothing types address and password; providers as
their rows have them, each demanding what that provider demands, a real Dovecot
and a real Postfix; logins (OAuth) instead of a password; and what goes wrong.
Not part of make check: make check-setup. Must be root. TAP; arguments: names
of tests.

OIDC_MODULES  the folder node_modules that has oidc-provider; without it the
              login at a real OpenID provider is skipped
"""

import base64
import contextlib
import http.server
import json
import os
import pathlib
import re
import shutil
import socketserver
import ssl
import stat
import subprocess
import sys
import threading
import urllib.parse
import urllib.request

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
sys.path.insert(0, os.path.dirname(__file__))
import dovecot  # noqa: E402
import mxnet  # noqa: E402
import oidc  # noqa: E402
import postfix  # noqa: E402
from configure import Forward  # noqa: E402
from issuer import Issuer  # noqa: E402
from mxnet import command, harness, want  # noqa: E402
from nameserver import Dns  # noqa: E402
from setup import PACC_PATH, digest  # noqa: E402
from systemd import copy_libraries  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
SECRET = "abcd-efgh-ijkl-mnop"
MICROSOFT = "login.microsoftonline.com"
NAMES = [
    "smtp.gmail.com", "smtp.mail.me.com", "smtp.mail.yahoo.com",
    "mail.gmx.net", "smtp.web.de", "posteo.de", "smtp.mailbox.org",
    "smtp.fastmail.com", "smtp.zoho.com", "mail.infomaniak.com",
    "mail.runbox.com", "smtp.postmarkapp.com", "smtp-mail.outlook.com",
    "email-smtp.us-east-1.amazonaws.com", "smtp.sendgrid.net", MICROSOFT,
    "login.example.org", "smtp.example.org", "ua-auto-config.example.org",
]
WEB = "198.51.100.1"


# --- a provider ---

class Provider(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """A submission server: TLS at once or by STARTTLS, these mechanisms, one
    login, and From has to be one of these addresses."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address, port, context, *, starttls=False,
                 mechanisms="PLAIN LOGIN", user, secret=SECRET, token=None,
                 owns=None, refusal="5.7.8 authentication failed"):
        super().__init__((address, port), Session)
        self.context, self.starttls = context, starttls
        self.mechanisms, self.user, self.secret = mechanisms, user, secret
        self.token, self.owns, self.refusal = token, owns, refusal
        self.messages = []       # (mechanism, from, to, text)
        self.tried = []
        threading.Thread(target=self.serve_forever, kwargs={
            "poll_interval": 0.05}, daemon=True).start()

    def handle_error(self, *_):
        pass

    def stop(self):
        self.shutdown()
        self.server_close()


class Session(socketserver.StreamRequestHandler):
    def begin_tls(self):
        self.request = self.server.context.wrap_socket(self.request,
                                                       server_side=True)
        super().setup()

    def setup(self):
        self.request.settimeout(30)
        self.tls = not self.server.starttls
        if self.tls:
            self.begin_tls()
        else:
            super().setup()

    def say(self, *lines):
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())

    def handle(self):
        self.say("220 provider ESMTP")
        who, sender, rcpts = None, "", []
        while line := self.rfile.readline():
            words = line.decode().split()
            verb = words[0].upper() if words else ""
            if verb == "EHLO":
                self.say("250-provider", *(
                    [f"250-AUTH {self.server.mechanisms}"] if self.tls else
                    ["250-STARTTLS"]), "250 SIZE 20971520")
            elif verb == "STARTTLS" and not self.tls:
                self.say("220 go on")
                self.begin_tls()
                self.tls = True
            elif verb == "AUTH" and self.tls:
                who = self.authenticate(words)
            elif verb == "MAIL" and who:
                sender, rcpts = line[11:].split(b">")[0].decode(), []
                self.say("250 2.1.0 ok" if self.may(sender) else
                         f"553 5.7.1 {sender} is not owned by you")
            elif verb == "RCPT" and who:
                rcpts.append(line[9:].split(b">")[0].decode())
                self.say("250 2.1.5 ok")
            elif verb == "DATA" and who:
                self.take(who, sender, rcpts)
            elif verb in ("RSET", "NOOP"):
                self.say("250 2.0.0 ok")
            elif verb == "QUIT":
                self.say("221 2.0.0 bye")
                return
            else:
                self.say("530 5.7.0 log in first")

    def may(self, address):
        return not self.server.owns or address in self.server.owns

    def take(self, who, sender, rcpts):
        self.say("354 go on")
        text = b""
        while not text.endswith(b"\r\n.\r\n"):
            text += self.rfile.readline()
        found = re.search(rb"^From: .*?([^<\s]+@[^>\s]+)", text, re.M)
        if not found or not self.may(found.group(1).decode()):
            self.say("550 5.7.1 From is not yours")
            return
        self.server.messages.append((who, sender, rcpts, text.decode()))
        self.say("250 2.0.0 taken")

    def question(self, text=""):
        self.say("334 " + base64.b64encode(text.encode()).decode())
        return base64.b64decode(self.rfile.readline()).decode()

    def authenticate(self, words):
        mechanism = words[1].upper()
        server = self.server
        first = base64.b64decode(words[2]).decode() if len(words) > 2 else None
        if mechanism not in server.mechanisms.split():
            good = False
        elif mechanism == "PLAIN":
            good = (first or self.question()).split("\0")[1:] == [
                server.user, server.secret]
        elif mechanism == "LOGIN":
            good = [first or self.question("Username:"),
                    self.question("Password:")] == [server.user,
                                                    server.secret]
        else:
            token = re.search(r"auth=Bearer ([^\x01]*)", first or "")
            good = bool(server.token and token and
                        server.token(token.group(1)))
        server.tried.append((mechanism, good))
        self.say("235 2.7.0 welcome" if good else f"535 {server.refusal}")
        return mechanism if good else None


# --- a machine ---

class Machine:
    """The fresh tree with the program installed, before anybody used it; each
    test has one of its own over it."""

    def __init__(self, folder, certificates):
        self.folder = pathlib.Path(folder)
        self.tree = command(HERE / "peers.sh", "fresh",
                            limit=900).splitlines()[-1]
        # an overlay's upper layer cannot lie on another overlay
        command("mount", "-t", "tmpfs", "tmpfs", folder)
        self.layers, self.number = self.tree, 0
        self.certificates = certificates
        root, upper = self.mount()
        self.install(root, certificates)
        self.unmount(root)
        self.layers = f"{upper}:{self.tree}"

    def stop(self):
        subprocess.run(["umount", "-l", self.folder], check=False)

    def mount(self):
        self.number += 1
        place = self.folder / str(self.number)
        for name in ("upper", "work", "root"):
            (place / name).mkdir(parents=True)
        root = place / "root"
        command("mount", "-t", "overlay", "overlay", "-o",
                f"lowerdir={self.layers},upperdir={place}/upper,"
                f"workdir={place}/work", root)
        command("mount", "-t", "proc", "proc", root / "proc")
        command("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs",
                root / "dev")
        for name, minor in (("null", 3), ("zero", 5), ("urandom", 9),
                            ("random", 8)):
            self.node(root / "dev" / name, os.makedev(1, minor))
        self.node(root / "dev/tty", os.makedev(5, 0))
        (root / "dev/pts").mkdir()
        command("mount", "-t", "devpts", "-o",
                "newinstance,ptmxmode=0666,mode=620", "devpts",
                root / "dev/pts")
        (root / "dev/ptmx").symlink_to("pts/ptmx")
        return root, place / "upper"

    @staticmethod
    def node(path, device):
        os.mknod(path, stat.S_IFCHR | 0o666, device)
        path.chmod(0o666)

    def unmount(self, root):
        command("umount", "-R", root)

    def install(self, root, certificates):
        build = pathlib.Path(harness.POSTHASTE).parent
        command("make", "-s", "-C", build, "install", f"DESTDIR={root}",
                limit=300)
        for program in ("posthaste", "posthaste-fetch", "posthaste-token"):
            copy_libraries(build / program, root)
        shutil.copy(f"{certificates}/ca.pem",
                    root / "usr/local/share/ca-certificates/tests.crt")
        (root / "etc/resolv.conf").unlink(missing_ok=True)
        (root / "etc/resolv.conf").write_text(
            "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        (root / "etc/hosts").write_text("127.0.0.1 localhost\n")
        command("chroot", root, "update-ca-certificates")
        command("chroot", root, "useradd", "-m", "joe")
        command("chroot", root, "ldconfig")


class World:
    """A machine of a test's own, its network's names, and what is served."""

    def __init__(self, machine, stack):
        self.machine, self.stack = machine, stack
        self.root, _ = machine.mount()
        stack.callback(machine.unmount, self.root)
        self.zone, self.number = {}, 0
        self.home = self.root / "home/joe"
        self.config = self.home / ".config/posthaste.conf"
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(
            f"{machine.certificates}/providers.pem",
            f"{machine.certificates}/providers.key")

    def address(self, host):
        self.number += 1
        self.zone[f"{host} A"] = [f"127.1.0.{self.number}"]
        return f"127.1.0.{self.number}"

    def serve(self, host, port, **how):
        server = Provider(self.address(host), port, self.context, **how)
        self.stack.callback(server.stop)
        return server

    def forward(self, host, port, to):
        forward = Forward(self.address(host), port, to)
        self.stack.callback(forward.stop)

    def names(self):
        dns = Dns(self.zone, port=53)
        self.stack.callback(dns.stop)

    def document(self, host, path, kind, body):
        self.zone[f"{host} A"] = [WEB]

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(handler):
                good = handler.path == path
                handler.send_response(200 if good else 404)
                handler.send_header("Content-Type", kind)
                handler.send_header("Content-Length",
                                    str(len(body) if good else 0))
                handler.end_headers()
                if good:
                    handler.wfile.write(body)

            def log_message(self, *_):
                pass

        web = http.server.ThreadingHTTPServer((WEB, 443), Handler)
        web.socket = self.context.wrap_socket(web.socket, server_side=True)
        threading.Thread(target=web.serve_forever, daemon=True).start()
        self.stack.callback(web.server_close)
        self.stack.callback(web.shutdown)

    def run(self, *argv, status=0, limit=150):
        child = harness.start(
            ["chroot", "--userspec=joe:joe", self.root, "/usr/bin/env", "-i",
             "HOME=/home/joe", "USER=joe", "LOGNAME=joe", "TERM=vt100",
             "LC_ALL=C.UTF-8", "PATH=/usr/local/bin:/usr/bin:/bin",
             *argv], stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        got, out, _ = harness.finish(child, limit=limit)
        said = out.decode(errors="replace").replace("\r", "")
        want(got == status, f"{argv}: status {got}, not {status}\n{said}")
        return said

    def setup(self, address, *talk, status=0):
        """What was shown; talk: a pattern and what is typed when it is
        shown, or None: what the pattern found goes into /tmp/shown."""
        (self.root / "tmp/talk.exp").write_text(EXPECT + f"""
spawn -noecho posthaste --setup {address}
""" + "".join(f"ask {{{pattern}}} {{{answer}}}\n" if answer is not None else
              f"note {{{pattern}}}\n" for pattern, answer in talk) + "ended\n")
        said = self.run("expect", "-f", "/tmp/talk.exp", status=status)
        want(SECRET not in said, f"the password was shown:\n{said}")
        return re.sub(r"\s+", " ", said)

    def nothing_written(self):
        left = [p for p in self.home.rglob("*") if p.is_file() and
                p.name not in (".bashrc", ".profile", ".bash_logout")]
        want(not left, f"written: {left}")


EXPECT = r"""
set timeout 100
proc ask {pattern answer} {
	expect {
		-re $pattern { }
		timeout { puts "\nNEVER ASKED: $pattern"; exit 98 }
		eof { puts "\nENDED BEFORE: $pattern"; exit 97 }
	}
	send -- "$answer\r"
}
proc note {pattern} {
	expect {
		-re $pattern { }
		timeout { puts "\nNEVER SHOWN: $pattern"; exit 98 }
		eof { puts "\nENDED BEFORE: $pattern"; exit 97 }
	}
	set f [open /tmp/shown a]
	puts $f $expect_out(1,string)
	close $f
}
proc ended {} {
	expect { eof { } timeout { puts "\nDOES NOT END"; exit 96 } }
	exit [lindex [wait] 3]
}
"""
LOGIN = (r"Login name: ", "")
WRITE = (r"Write it\? \[yes\] ", "")
PASSWORD = (r"\): $", SECRET)
SEND = (r"Send a message to [^\n]*\? \[yes\] ", "")
CRON = (r"a line in your crontab\? \[yes\] ", "")
USUAL = (LOGIN, WRITE, PASSWORD, SEND, CRON)
TESTS = []


def test(function):
    def run(_, machine):
        with contextlib.ExitStack() as stack:
            return function(World(machine, stack))
    run.__doc__ = function.__doc__
    run.__name__ = function.__name__
    TESTS.append(run)
    return run


def done(world, seen):
    """It was said how to go on, the queue is run, what was written is the
    person's alone and passes --check."""
    for words in ("look into the mailbox", "The queue is run",
                  "/usr/sbin/sendmail"):
        want(words in seen, f"{words} was not said: {seen}")
    table = world.root / "var/spool/cron/crontabs/joe"
    want("*/5 * * * * /usr/local/bin/posthaste -q\n" in table.read_text(),
         table.read_text())
    for path in (world.config, *world.home.rglob("*.password")):
        want(stat.S_IMODE(path.stat().st_mode) == 0o600, f"rights of {path}")
    world.run("posthaste", "--check")


def received(world, server, who, mechanism, seen):
    want(len(server.messages) == 1, f"{len(server.messages)} messages")
    by, sender, rcpts, text = server.messages[0]
    want((by, sender, rcpts) == (mechanism, who, [who]) and
         "Subject: posthaste works\r\n" in text and f"From: {who}\r\n" in text,
         server.messages)
    done(world, seen)


# --- providers, each as its row has it ---

ROWS = [
    # name, address, host, port, what it demands, what else is typed or said
    ("gmail", "me@gmail.com", "smtp.gmail.com", 465,
     {"mechanisms": "LOGIN PLAIN XOAUTH2 OAUTHBEARER", "owns":
      ["me@gmail.com"]}, "PLAIN", "apppasswords",
     (LOGIN, (r"with the browser instead[^\n]*\[no\] ", ""), WRITE, PASSWORD,
      SEND, CRON)),
    ("icloud", "me@icloud.com", "smtp.mail.me.com", 587,
     {"starttls": True, "mechanisms": "XOAUTH2 ATOKEN PLAIN",
      "owns": ["me@icloud.com"]}, "PLAIN", "app-specific password"),
    ("yahoo", "me@yahoo.com", "smtp.mail.yahoo.com", 465,
     {"mechanisms": "PLAIN LOGIN XOAUTH2 OAUTHBEARER",
      "owns": ["me@yahoo.com"]}, "PLAIN", "Generate app password"),
    ("gmx", "me@gmx.de", "mail.gmx.net", 465,
     {"mechanisms": "LOGIN PLAIN", "owns": ["me@gmx.de"]}, "PLAIN",
     "POP3 and IMAP has to be permitted"),
    ("webde", "me@web.de", "smtp.web.de", 465,
     {"user": "me", "mechanisms": "LOGIN PLAIN", "owns": ["me@web.de"]},
     "PLAIN", "WEB.DE"),
    ("posteo", "me@posteo.net", "posteo.de", 465,
     {"mechanisms": "PLAIN LOGIN", "owns": ["me@posteo.net"]}, "PLAIN",
     "Posteo"),
    ("mailbox", "me@mailbox.org", "smtp.mailbox.org", 465,
     {"mechanisms": "PLAIN LOGIN", "owns": ["me@mailbox.org"]}, "PLAIN",
     "main address"),
    ("fastmail", "me@example.org", "smtp.fastmail.com", 465,
     {"mechanisms": "PLAIN", "owns": ["me@example.org"]}, "PLAIN",
     "access to SMTP"),
    ("zoho", "me@zoho.com", "smtp.zoho.com", 465,
     {"mechanisms": "LOGIN PLAIN", "owns": ["me@zoho.com"]}, "PLAIN",
     "From has to be"),
    ("infomaniak", "me@ik.me", "mail.infomaniak.com", 465,
     {"mechanisms": "LOGIN", "owns": ["me@ik.me"]}, "LOGIN",
     "for this device"),
    ("runbox", "me@runbox.com", "mail.runbox.com", 465,
     {"user": "me", "mechanisms": "PLAIN LOGIN", "owns": ["me@runbox.com"]},
     "PLAIN", "500 recipients a day"),
    ("ses", "me@example.org", "email-smtp.us-east-1.amazonaws.com", 465,
     {"user": "AKIAEXAMPLE", "mechanisms": "PLAIN LOGIN",
      "owns": ["me@example.org"]}, "PLAIN", "in this region",
     ((r"Login name: ", "AKIAEXAMPLE"), WRITE, PASSWORD, SEND, CRON)),
]
MX = {"fastmail": "10 in1-smtp.messagingengine.com",
      "ses": "10 inbound-smtp.us-east-1.amazonaws.com"}


def row(name, who, host, port, how, mechanism, words, talk=USUAL):
    def run(world):
        server = world.serve(host, port, **{"user": who, **how})
        if name in MX:
            world.zone["example.org MX"] = [MX[name]]
        world.names()
        seen = world.setup(who, *talk)
        want(words in seen, f"{words} was not said: {seen}")
        received(world, server, who, mechanism, seen)
    run.__doc__ = f"{name}: from {who} to a received message"
    run.__name__ = name
    test(run)


for each in ROWS:
    row(*each)


# --- real servers ---

@test
def a_real_dovecot(world):
    """Dovecot's submission: from an address to a relayed message"""
    folder = f"{world.machine.folder}/dovecot"
    os.mkdir(folder)
    server = dovecot.Dovecot(folder, world.machine.certificates)
    world.stack.callback(server.stop)
    world.forward("mail.example.test", 587, server.port)
    world.names()
    seen = world.setup("joe@example.test", LOGIN, WRITE,
                       (r"\): $", "secret"), SEND, CRON)
    want(len(server.delivered("posthaste works")) == 1, server.log())
    done(world, seen)


@test
def a_real_postfix(world):
    """Postfix: from an address to a message in the mailbox"""
    folder = f"{world.machine.folder}/postfix"
    os.mkdir(folder)
    os.chmod(folder, 0o755)
    server = postfix.Postfix(folder, world.machine.certificates)
    world.stack.callback(server.stop)
    world.forward("mail.example.test", 465, server.implicit)
    world.names()
    seen = world.setup("joe@example.test", LOGIN, WRITE,
                       (r"\): $", "secret"), SEND, CRON)
    want(len(server.delivered("posthaste works")) == 1, server.log())
    done(world, seen)


# --- logins ---

def microsoft(world, clients):
    """What Microsoft has at its addresses, for a device."""
    issuer = Issuer(world.machine.certificates, "providers", MICROSOFT)
    world.stack.callback(issuer.stop)
    world.forward(MICROSOFT, 443, issuer.port)
    base = "/common/oauth2/v2.0/"

    def asked():
        return dict(urllib.parse.parse_qsl(issuer.requests[-1][1]))

    def device(handler):
        q = asked()
        if q.get("client_id") not in clients:
            handler.answer(400, {"error": "unauthorized_client"})
            return
        code = issuer.new("device")
        issuer.devices[code] = 1
        handler.answer(200, {
            "device_code": code, "user_code": "WDJB-MJHT",
            "verification_uri": "https://microsoft.com/devicelogin",
            "expires_in": 60, "interval": 1})

    issuer.tricks = {base + "devicecode": device,
                     base + "token": lambda h: h.token(asked())}
    return issuer


@test
def outlook_by_login(world):
    """Outlook.com by a device's code: from an address to a received message"""
    issuer = microsoft(world, ["1234-abcd"])
    server = world.serve("smtp-mail.outlook.com", 587, starttls=True,
                         mechanisms="LOGIN XOAUTH2", user=None,
                         token=issuer.good, owns=["me@outlook.com"])
    world.names()
    seen = world.setup(
        "me@outlook.com", LOGIN,
        (r"oauth_client_id \(empty to stop here\): ", "1234-abcd"), WRITE,
        (r"(WDJB-MJHT)", None), SEND, CRON)
    want("microsoft.com/devicelogin" in seen, seen)
    want("SMTP.Send" in urllib.parse.unquote(issuer.requests[0][1]), "scope")
    received(world, server, "me@outlook.com", "XOAUTH2", seen)
    for secret in issuer.made:
        want(secret not in seen, "a token was shown")


def own_issuer(world, url):
    body = (b'{"protocols":{"smtp":{"host":"smtp.example.org"}},'
            b'"authentication":{"oauth-public":{"issuer":"%s"}}}' %
            url.encode())
    world.document("ua-auto-config.example.org", PACC_PATH,
                   "application/json", body)
    world.zone["_ua-auto-config.example.org TXT"] = [digest(body)]


@test
def a_domain_with_an_issuer_of_its_own(world):
    """a domain that says by HTTPS who its issuer is: no client id, no
    password"""
    issuer = Issuer(world.machine.certificates, "providers",
                    "login.example.org")
    world.stack.callback(issuer.stop)
    world.zone["login.example.org A"] = ["127.0.0.1"]
    own_issuer(world, issuer.url)
    server = world.serve("smtp.example.org", 465, user=None,
                         mechanisms="OAUTHBEARER", token=issuer.good,
                         owns=["me@example.org"])
    world.names()
    seen = world.setup("me@example.org", LOGIN, WRITE, (r"(WDJB-MJHT)", None),
                       SEND, CRON)
    received(world, server, "me@example.org", "OAUTHBEARER", seen)


def introspected(provider):
    """Whether the provider itself says that a token is good."""
    context = ssl.create_default_context(cafile=provider.ca)

    def good(token):
        with urllib.request.urlopen(urllib.request.Request(
                provider.url + "/token/introspection", urllib.parse.urlencode(
                    {"token": token}).encode(), {
                        "Authorization": "Basic " + base64.b64encode(
                            b"dovecot:introspects").decode()}),
                timeout=20, context=context) as page:
            return json.load(page)["active"]
    return good


@test
def a_real_openid_provider(world):
    """a domain whose issuer is a real OpenID provider: a person goes to the
    address that is shown, and types the code"""
    if "OIDC_MODULES" not in os.environ:
        raise harness.Skip("no OIDC_MODULES")
    folder = f"{world.machine.folder}/oidc"
    os.mkdir(folder)
    provider = oidc.Provider(folder, world.machine.certificates)
    world.stack.callback(provider.stop)
    own_issuer(world, provider.url)
    server = world.serve("smtp.example.org", 465, user=None,
                         mechanisms="OAUTHBEARER",
                         token=introspected(provider),
                         owns=["me@example.org"])
    world.names()

    def person():
        shown = world.root / "tmp/shown"
        address, code = harness.eventually(
            lambda: shown.exists() and len(shown.read_text().split()) == 2 and
            shown.read_text().split(), "address and code", 90)
        oidc.Person(provider.ca).go(address, code)

    browser = threading.Thread(target=person)
    browser.start()
    try:
        seen = world.setup(
            "me@example.org", LOGIN, WRITE,
            (r"\n +(https://\S+)\r?\n", None),
            (r"\n +([A-Z0-9-]+)\r?\n", None), SEND, CRON)
    finally:
        browser.join()
    received(world, server, "me@example.org", "OAUTHBEARER", seen)


# --- what goes wrong ---

@test
def a_wrong_password(world):
    """a wrong password: words, an app password is named, and another try"""
    server = world.serve("smtp.mail.yahoo.com", 465, user="me@yahoo.com")
    world.names()
    seen = world.setup("me@yahoo.com", LOGIN, WRITE, (r"\): $", "wrong"),
                       (r"Try another password\? \[yes\] ", ""), PASSWORD,
                       SEND, CRON)
    want("refused the login name or the password" in seen and
         "app password" in seen, seen)
    want(server.tried[0] == ("PLAIN", False), server.tried)
    received(world, server, "me@yahoo.com", "PLAIN", seen)


@test
def a_password_that_stays_wrong(world):
    """a password that stays wrong: 77, and how to go on"""
    server = world.serve("smtp.mail.yahoo.com", 465, user="me@yahoo.com")
    world.names()
    seen = world.setup("me@yahoo.com", LOGIN, WRITE, (r"\): $", "wrong"),
                       (r"Try another password\? \[yes\] ", "no"), status=77)
    want("posthaste --store-password yahoo" in seen and
         "posthaste --probe yahoo" in seen, seen)
    want(not server.messages, "sent")


@test
def no_network(world):
    """no network: 75, words and a next step, nothing written"""
    for name in ("hole0", "lo"):
        command("ip", "link", "set", name, "down")
        world.stack.callback(command, "ip", "link", "set", name, "up")
    seen = world.setup("me@example.org", status=75)
    want("no way to the network: connect it, then run this again" in seen,
         seen)
    world.nothing_written()


@test
def a_resolver_that_is_away(world):
    """a resolver that does not answer: 75, words and a next step"""
    seen = world.setup("me@example.org", status=75)
    want("The resolver does not answer: look at /etc/resolv.conf" in seen,
         seen)
    world.nothing_written()


@test
def a_blocked_port(world):
    """ports that are blocked on the way: words and a next step"""
    world.zone["smtp.fastmail.com A"] = [mxnet.BLACK_HOLES[0]]
    world.names()
    seen = world.setup("me@fastmail.com", LOGIN, WRITE, PASSWORD, status=75)
    want("let TCP to ports 465 and 587 out" in seen and
         "posthaste --probe fastmail" in seen, seen)


@test
def an_unknown_provider(world):
    """an unknown provider: words and a next step, nothing written"""
    world.zone["example.org MX"] = ["10 mx.example.org"]
    world.names()
    seen = world.setup(
        "me@example.org", (r"name of a provider \(empty to give up\): ",
                           ""), status=68)
    want("no SRV records, no known provider" in seen and
         "Ask the provider for the name of its server" in seen, seen)
    world.nothing_written()


@test
def a_certificate_that_is_not_theirs(world):
    """a server that cannot prove its name: no password is given"""
    world.context.load_cert_chain(
        f"{world.machine.certificates}/wrong-name.pem",
        f"{world.machine.certificates}/wrong-name.key")
    server = world.serve("smtp.fastmail.com", 465, user="me@fastmail.com")
    world.names()
    seen = world.setup("me@fastmail.com", LOGIN, WRITE, PASSWORD, status=75)
    want("cannot prove its name" in seen and not server.tried, seen)


def begin(folder, certificates):
    mxnet.certificate(certificates, "providers", NAMES, ca="ca")
    return Machine(folder, certificates)


def main():
    mxnet.isolate("mount", "umount", "chroot", "make")
    # one name server on port 53, so one at a time
    return harness.tap(harness.titled(TESTS), workers=1, begin=begin,
                       public=True)


if __name__ == "__main__":
    sys.exit(main())
