#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logins (OAuth 2.0) against a scripted issuer and a submission server that
takes its tokens: getting them, keeping them, renewing them once, and issuers
that are not to be trusted. TAP."""

import base64
import concurrent.futures
import contextlib
import json
import os
import pathlib
import re
import select
import shutil
import ssl
import stat
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import mxnet  # noqa: E402
from issuer import Issuer, Submission  # noqa: E402
from mxnet import harness, want  # noqa: E402
from nameserver import Dns  # noqa: E402
from socks_proxy import Socks  # noqa: E402

MESSAGE = b"From: a@example.test\nTo: b@example.org\nSubject: s\n\nhello\n"
CONFIG = """[general]
hostname = client.example.test
domain = example.test
{general}
[log]
to = {folder}/log
level = debug
[queue]
{queue}
[tls]
ca_file = {certificates}/ca.pem
[route all]
transport = relay
[transport relay]
kind = submissions
host = localhost
port = {port}
username = joe@example.test
oauth = {issuer}
{more}
"""


class World:
    """An issuer, a server, a configuration; ends with the test."""

    def __init__(self, folder, certificates, *, more="", queue="queue = never",
                 general="", mechanisms="OAUTHBEARER XOAUTH2",
                 certificate="good", url=None):
        self.folder = pathlib.Path(folder)
        self.issuer = Issuer(certificates, certificate)
        self.server = Submission(certificates, self.issuer, mechanisms)
        self.env = harness.environment(folder)
        self.conf = self.folder / "conf"
        self.words = {"folder": folder, "certificates": certificates,
                      "port": self.server.port, "general": general,
                      "issuer": url or self.issuer.url, "more": more,
                      "queue": queue}
        self.write()
        self.said = b""

    def write(self, **words):
        self.words.update(words)
        self.conf.write_text(CONFIG.format(**self.words))
        self.conf.chmod(0o600)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.stop()
        self.issuer.stop()
        self.no_secret_was_said()

    @property
    def file(self):
        return self.folder / "home/.local/state/posthaste/oauth/relay"

    def token(self, name):
        return re.search(rf"^{name} (.*)$", self.file.read_text(),
                         re.M).group(1)

    def change(self, **fields):
        """What the file says, and the clock could have made it say."""
        text = self.file.read_text()
        for name, value in fields.items():
            text = re.sub(rf"^{name} .*\n", "", text, flags=re.M)
            text = text.replace("end\n", f"{name} {value}\nend\n")
        self.file.write_text(text)

    def expire(self):
        now = int(time.time())
        self.change(obtained=now - 3600, expires=now - 5)

    def run(self, *argv, stdin=b"", status=0, limit=60):
        got, out, err = harness.run(["-C", str(self.conf), *argv], stdin,
                                    self.env, str(self.folder), limit)
        self.said += out + err
        want(got == status, f"{argv}: status {got}, not {status}: "
             f"{(out + err).decode(errors='replace')}\n{self.log()}")
        return (out + err).decode(errors="replace")

    def send(self, status=0, **more):
        return self.run("-i", "-f", "a@example.test", "b@example.org",
                        stdin=MESSAGE, status=status, **more)

    def log(self):
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def login(self, status=0, **more):
        return self.run("--login", "relay", status=status, **more)

    def no_secret_was_said(self):
        said = self.said + self.log().encode()
        for secret in self.issuer.made:
            plain = secret.encode()
            for form in (plain, base64.b64encode(plain)[:-4],
                         plain[len(plain) // 2:]):
                want(form not in said, f"{secret} was shown: "
                     f"{said.decode(errors='replace')}")


class Browser:
    """--login in the background, until it has said where to go."""

    def __init__(self, world):
        self.world = world
        self.process = subprocess.Popen(
            ["posthaste", "-C", str(world.conf), "--login", "relay"],
            executable=harness.POSTHASTE, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=world.env,
            cwd=world.folder)
        self.out = b""
        self.address = self.read(rb"^    (https://\S+)$")

    def read(self, pattern):
        end = time.monotonic() + 20
        while True:
            found = re.search(pattern, self.out, re.M)
            if found:
                return found.group(1).decode()
            left = end - time.monotonic()
            ready = left > 0 and select.select([self.process.stdout], [], [],
                                               left)[0]
            part = os.read(self.process.stdout.fileno(), 4096) if ready else b""
            if not part:
                self.process.kill()
                self.process.wait()
                raise harness.Failure(f"no {pattern} in {self.out}")
            self.out += part

    def go(self):
        """Where the issuer sends the browser."""
        class Stay(urllib.request.HTTPRedirectHandler):
            def redirect_request(self, *_):
                return None
        context = ssl.create_default_context(
            cafile=f"{self.world.words['certificates']}/ca.pem")
        # the tests' certificates do not say who signed them
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        opener = urllib.request.build_opener(
            urllib.request.HTTPSHandler(context=context), Stay)
        try:
            opener.open(self.address, timeout=20)
        except urllib.error.HTTPError as answer:
            self.world.issuer.made.append(urllib.parse.parse_qs(
                urllib.parse.urlsplit(self.address).query)["state"][0])
            return answer.headers["Location"]
        raise harness.Failure("the issuer did not redirect")

    def visit(self, url):
        with urllib.request.build_opener().open(url, timeout=20) as page:
            return page.read().decode()

    def end(self, status=0):
        out, _ = self.process.communicate(timeout=60)
        self.out += out
        # the address is for the person to open: it alone has the state
        self.world.said += self.out.replace(self.address.encode(), b"")
        want(self.process.returncode == status,
             f"status {self.process.returncode}: {self.out.decode()}")
        return self.out.decode()


# --- getting tokens ---

def device(folder, certificates):
    """a login by device: the code is shown, the file is the user's alone, mail
    goes by OAUTHBEARER, the next without asking the issuer"""
    with World(folder, certificates) as w:
        w.issuer.pending = 2
        said = w.login()
        want("WDJB-MJHT" in said and w.issuer.url + "/activate" in said,
             f"said {said}")
        want(stat.S_IMODE(w.file.stat().st_mode) == 0o600, "rights")
        want(stat.S_IMODE(w.file.parent.stat().st_mode) == 0o700, "rights")
        want(w.issuer.grants[
            "urn:ietf:params:oauth:grant-type:device_code"] == 3, "polls")
        before = sum(w.issuer.seen.values())
        w.send()
        w.send()
        want([m for m, _ in w.server.used] == ["OAUTHBEARER"] * 2,
             f"used {w.server.used}")
        want(sum(w.issuer.seen.values()) == before, "the issuer was asked")
        want("auth=OAUTHBEARER" in w.log(), w.log())


def xoauth2(folder, certificates):
    """a server that has XOAUTH2 alone"""
    with World(folder, certificates, mechanisms="PLAIN XOAUTH2") as w:
        w.login()
        w.send()
        want(w.server.used[0][0] == "XOAUTH2", f"used {w.server.used}")


def slow_down(folder, certificates):
    """a device that is told to ask less often does"""
    with World(folder, certificates) as w:
        times = []

        def busy(handler):
            times.append(time.monotonic())
            if len(times) == 2:
                w.issuer.tricks.clear()
            handler.answer(400, {"error": "slow_down"})
        w.issuer.tricks["/token"] = busy
        w.issuer.pending = 0
        before = time.monotonic()
        w.login()
        want(time.monotonic() - before > 1 + 6 + 11 - 1, "asked too often")


def denied(folder, certificates):
    """a person who says no: 77, and no file"""
    with World(folder, certificates) as w:
        w.issuer.tricks["/token"] = lambda h: h.answer(
            400, {"error": "access_denied"})
        want("access_denied" in w.login(status=77), "words")
        want(not w.file.exists(), "a file was written")


def code(folder, certificates):
    """a login by code: PKCE, the browser comes back to the loopback address,
    whoever else asks there gets nothing"""
    with World(folder, certificates) as w:
        w.issuer.change["device_authorization_endpoint"] = None
        browser = Browser(w)
        want("code_challenge_method=S256" in browser.address and
             "offline_access" in browser.address, browser.address)
        back = browser.go()
        port = urllib.parse.urlsplit(back).port
        for wrong in ("/", "/favicon.ico", "/?code=x&state=guessed"):
            with contextlib.suppress(urllib.error.HTTPError):
                browser.visit(f"http://127.0.0.1:{port}{wrong}")
                raise harness.Failure(f"{wrong} was welcome")
        want("Thank you" in browser.visit(back), "page")
        want("logged in" in browser.end(), "words")
        w.send()


def pasted(folder, certificates):
    """the final address is pasted where no browser is; nonsense is asked for
    again"""
    with World(folder, certificates,
               more="oauth_grant = authorization_code") as w:
        browser = Browser(w)
        back = browser.go()
        browser.process.stdin.write(b"hello\n")
        browser.process.stdin.flush()
        browser.read(rb"(Paste the whole)")
        browser.process.stdin.write(back.encode() + b"\n")
        browser.process.stdin.close()
        browser.process.stdin = None
        browser.end()
        w.send()


def wrong_iss(folder, certificates):
    """an answer that names another issuer, or none where that was promised,
    is not used: 77"""
    for words in ({"iss": "https://evil.example"}, {"iss": None}):
        with World(folder, certificates,
                   more="oauth_grant = authorization_code") as w:
            w.issuer.authorize_with = words
            browser = Browser(w)
            want("refused" in browser.visit(browser.go()), "page")
            want("does not come from" in browser.end(77), "words")
            want(not w.issuer.grants, "the code was used")


def refused_there(folder, certificates):
    """an error that the browser brings back is told"""
    with World(folder, certificates,
               more="oauth_grant = authorization_code") as w:
        w.issuer.authorize_with = {"code": None, "error": "access_denied",
                                   "error_description": "no\x1b[31m"}
        browser = Browser(w)
        browser.visit(browser.go())
        said = browser.end(77)
        want("access_denied" in said and "\x1b" not in said, repr(said))


def registered(folder, certificates):
    """a client of one's own with a secret: in the header where the issuer
    takes that, else in the form; never in a file of ours"""
    for methods in (["client_secret_basic"], ["client_secret_post"]):
        secret = pathlib.Path(folder, "secret")
        secret.write_text("s:cr%t\n")
        secret.chmod(0o600)
        with World(folder, certificates, more="oauth_client_id = me and you\n"
                   f"oauth_client_secret_file = {secret}") as w:
            w.issuer.clients["me and you"] = "s:cr%t"
            w.issuer.made.append("s:cr%t")
            w.issuer.change["token_endpoint_auth_methods_supported"] = methods
            w.login()
            want("s:cr" not in w.file.read_text(), "the secret was copied")
            w.expire()
            w.send()
            basic = [bool(a) for _, _, a in w.issuer.requests]
            want(basic == [methods == ["client_secret_basic"]] * len(basic),
                 f"{methods}: {basic}")


def service(folder, certificates):
    """client credentials: no person, no login needed before, renewed"""
    secret = pathlib.Path(folder, "secret")
    secret.write_text("secret\n")
    secret.chmod(0o600)
    with World(folder, certificates, more="oauth_client_id = me\n"
               f"oauth_client_secret_file = {secret}\n"
               "oauth_grant = client_credentials\n"
               "oauth_scope = mail") as w:
        w.issuer.clients["me"] = "secret"
        w.send()
        w.send()
        want(w.issuer.grants == {"client_credentials": 1},
             f"grants {w.issuer.grants}")
        want("scope=mail" in w.issuer.requests[-1][1], "scope")
        w.expire()
        w.send()
        want(w.issuer.grants == {"client_credentials": 2},
             f"grants {w.issuer.grants}")
        w.login()


def other_metadata(folder, certificates):
    """an issuer with a path says who it is at the address of RFC 8414"""
    with World(folder, certificates) as w:
        w.write(issuer=w.issuer.url + "/realms/a")
        w.issuer.name = w.issuer.url + "/realms/a"
        w.issuer.metadata_at = {
            "/.well-known/oauth-authorization-server/realms/a"}
        w.login()
        w.send()


def by_name(folder, certificates):
    """google and microsoft need a client of one's own: how, in words; 78"""
    with World(folder, certificates, url="google") as w:
        want("console.cloud.google.com" in w.login(status=78), "google")
        w.write(issuer="microsoft")
        want("entra.microsoft.com" in w.login(status=78), "microsoft")
        w.write(issuer=w.issuer.url)
        w.issuer.change["registration_endpoint"] = None
        want("register one there" in w.login(status=78), "no registration")


def not_configured(folder, certificates):
    """a transport that is not there, or has no oauth: 78"""
    with World(folder, certificates) as w:
        w.run("--login", "nobody", status=78)
        w.conf.write_text(w.conf.read_text().replace("oauth =", "# "))
        want("oauth" in w.login(status=78), "words")


# --- by which way ---

def resolver(folder, certificates):
    """the issuer's name is asked of the configured resolver"""
    dns = Dns({"mail.example.test A": ["127.0.0.1"]})
    try:
        with World(folder, certificates, more=f"[dns]\nresolver = 127.0.0.1:"
                   f"{dns.port}") as w:
            w.issuer.url = w.issuer.name = \
                f"https://mail.example.test:{w.issuer.port}"
            w.write(issuer=w.issuer.url)
            w.login()
            w.expire()
            w.send()
            want("mail.example.test A" in dns.asked, f"asked {dns.asked}")
    finally:
        dns.stop()


def proxied(folder, certificates):
    """what goes through a proxy asks its issuer through it, too"""
    with World(folder, certificates) as w:
        proxy = Socks(w.issuer.port, (b"me", b"and you"))
        try:
            w.issuer.url = w.issuer.name = "https://mail.example.test"
            w.write(issuer=w.issuer.url, more="proxy = 127.0.0.1:"
                    f"{proxy.port}\nproxy_username = me\n"
                    "proxy_password = and you")
            w.login()
            want(set(proxy.targets) == {"mail.example.test"},
                 f"{proxy.targets}")
        finally:
            proxy.stop()


def system(folder, certificates):
    """root logs in for the owner of the system's queue, who alone can read
    it; root sends as he does, others cannot see it"""
    etc, var = pathlib.Path("/usr/local/etc"), pathlib.Path("/usr/local/var")
    program, owner, other = "/usr/local/bin/posthaste", 65534, 54321
    with World(folder, certificates) as w:
        for place in (etc, pathlib.Path(program).parent,
                      var / "spool/posthaste"):
            place.mkdir(parents=True, exist_ok=True)
        harness.copy_program(harness.POSTHASTE, program)
        shutil.copy(f"{certificates}/ca.pem", etc / "ca.pem")
        (etc / "ca.pem").chmod(0o644)
        (etc / "posthaste.conf").write_text(
            w.conf.read_text().replace(f"to = {folder}/log", "to = none")
            .replace(f"{certificates}/ca.pem", str(etc / "ca.pem")))
        (etc / "posthaste.conf").chmod(0o644)
        os.chown(var / "spool/posthaste", owner, owner)
        (var / "spool/posthaste").chmod(0o700)
        env = {**w.env, "HOME": "/nowhere", "XDG_CONFIG_HOME": "/nowhere",
               "XDG_STATE_HOME": "/nowhere", "TMPDIR": "/tmp"}

        def run(argv, uid, status, stdin=b""):
            done = subprocess.run(
                [program, *argv], input=stdin, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, env=env, cwd="/", user=uid,
                group=uid, extra_groups=[], timeout=60, check=False)
            w.said += done.stdout
            want(done.returncode == status,
                 f"{argv} as {uid}: {done.returncode} {done.stdout}")
            return done.stdout.decode()

        run(["--login", "relay"], 0, 0)
        path = var / "lib/posthaste/oauth/relay"
        want(path.stat().st_uid == owner and
             stat.S_IMODE(path.stat().st_mode) == 0o600 and
             stat.S_IMODE(path.parent.stat().st_mode) == 0o700, "rights")
        run(["-i", "b@example.org"], 0, 0, MESSAGE)
        want(len(w.server.messages) == 1, "not sent")
        said = run(["-i", "b@example.org"], other, 78, MESSAGE)
        want("Permission denied" in said, said)
        want(len(w.server.messages) == 1, "sent by another")
        run(["--check"], other, 0)
        # the place may be its owner's alone, as tmpfiles.d(5) makes it
        os.chown(path.parent.parent, owner, owner)
        path.parent.parent.chmod(0o700)
        run(["-i", "b@example.org"], 0, 0, MESSAGE)
        said = run(["-i", "b@example.org"], other, 78, MESSAGE)
        want("Permission denied" in said, said)
        shutil.rmtree(path.parent)
        run(["--login", "relay"], 0, 0)
        want(path.stat().st_uid == owner, "whose it is")
        # somebody else may log in for himself
        home = pathlib.Path("/usr/local/home")
        home.mkdir()
        os.chown(home, other, other)
        env["XDG_STATE_HOME"] = str(home)
        run(["--login", "relay"], other, 0)
        run(["-i", "b@example.org"], other, 0, MESSAGE)
        want((home / "posthaste/oauth/relay").stat().st_uid == other, "his")


def home_of_another(folder, certificates):
    """root with another's HOME keeps no login below what is his: 73 before
    anybody has logged in for it, and nothing is written where his link
    leads"""
    with World(folder, certificates) as w:
        target = pathlib.Path(folder, "target")
        target.mkdir()
        for depth in (".local", ".local/state", ".local/state/posthaste",
                      ".local/state/posthaste/oauth"):
            shutil.rmtree(w.folder / "home")
            link = w.folder / "home" / depth
            link.parent.mkdir(parents=True)
            link.symlink_to(target)
            for path in (w.folder / "home", *w.folder.glob("home/**/*")):
                os.chown(path, 54321, 54321, follow_symlinks=False)
            said = w.login(status=73)
            want("another user's" in said, said)
            want(not list(target.rglob("*")), f"{depth}: written")
        want(not w.issuer.devices, "a login was begun")
        # his own links are his own matter
        shutil.rmtree(w.folder / "home")
        (w.folder / "home").mkdir()
        (w.folder / "home/.local").symlink_to(target)
        w.login()
        w.send()
        want((target / "state/posthaste/oauth/relay").exists(), "not there")


# --- keeping them ---

def not_logged_in(folder, certificates):
    """nobody has logged in: 77 and what to do; with a queue it waits there"""
    with World(folder, certificates) as w:
        want("posthaste --login relay" in w.send(status=77), "words")
        w.write(queue=f"queue = on_failure\ndirectory = {folder}/queue")
        w.send()
        want("posthaste --login relay" in w.run("-bp"), "mailq")
        w.login()
        w.run("--retry", "ALL")
        w.run("-q")
        want(len(w.server.messages) == 1, "not sent after the login")


def rotation(folder, certificates):
    """after its end the token is renewed; the new refresh token is on disk
    before the access token that came with it is used"""
    with World(folder, certificates) as w:
        w.login()
        old, on_disk = w.token("refresh_token"), []
        w.server.on_token = lambda token: on_disk.append(
            (w.token("refresh_token"), w.token("access_token") == token))
        w.expire()
        w.send()
        want(w.issuer.grants["refresh_token"] == 1, "refreshes")
        want(on_disk == [(w.token("refresh_token"), True)] and
             on_disk[0][0] != old, f"on disk {on_disk}")
        w.issuer.rotates = False
        w.expire()
        w.send()
        want(w.issuer.grants["refresh_token"] == 2, "refreshes")


def soon(folder, certificates):
    """shortly before its end it is renewed; where the issuer does not answer,
    what holds yet is used"""
    with World(folder, certificates) as w:
        w.login()
        now = int(time.time())
        w.change(obtained=now - 3590, expires=now + 10)
        w.issuer.tricks["/token"] = lambda h: h.answer(503, b"", "text/plain")
        w.send()
        want(w.issuer.seen["/token"] > 2, "not tried")
        w.issuer.tricks.clear()
        w.send()
        want(w.issuer.grants["refresh_token"] == 1, "not renewed")


def ageing(w, name="relay"):
    """A token that holds for a while, and an issuer that is away."""
    now = int(time.time())
    text = w.file.read_text()
    for field, value in (("obtained", now - 3540), ("expires", now + 60)):
        text = re.sub(rf"^{field} .*$", f"{field} {value}", text, flags=re.M)
    path = w.file.with_name(name)
    path.write_text(text)
    path.chmod(0o600)


def busy(handler):
    time.sleep(0.3)
    handler.answer(503, b"", "text/plain")


def each_once(folder, certificates):
    """a run with tokens that are about to end and an issuer that is away asks
    it once for each, whatever workers there are, and sends by what holds
    yet"""
    with World(folder, certificates, queue="queue = on_failure\ndirectory = "
               f"{folder}/queue") as w:
        more = w.conf.read_text().split("[transport relay]")[1]
        w.write(more="[transport other]" + more)
        w.conf.write_text(w.conf.read_text().replace(
            "transport = relay\n", "transport = relay, other\n", 1))
        w.login()
        # each heavy enough for a worker of its own
        for _ in range(4):
            w.run("-odq", "-i", *(f"b{n}@example.org" for n in range(101)),
                  stdin=MESSAGE)
        for name in ("relay", "other"):
            ageing(w, name)
        w.issuer.tricks["/token"] = busy
        before = w.issuer.seen["/token"]
        # in a session without a terminal
        done = subprocess.run(
            [harness.POSTHASTE, "-C", str(w.conf), "-q"], env=w.env,
            cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True, timeout=60,
            check=False)
        w.said += done.stdout
        want(done.returncode == 0, done.stdout.decode())
        want(len(w.server.messages) == 4, f"{len(w.server.messages)} sent")
        asked = w.issuer.seen["/token"] - before
        want(asked == 2, f"asked {asked} times")


def clock(folder, certificates):
    """a clock that jumped: a token from the future is renewed, and used where
    that cannot be done now"""
    with World(folder, certificates) as w:
        w.login()
        now = int(time.time())
        w.change(obtained=now + 86400, expires=now + 90000)
        w.issuer.tricks["/token"] = lambda h: h.answer(503, b"", "text/plain")
        w.send()
        w.issuer.tricks.clear()
        w.send()
        want(w.issuer.grants["refresh_token"] == 1, "not renewed")
        want(int(w.token("obtained")) <= time.time(), "not mended")


def revoked(folder, certificates):
    """a login that was taken back: 77, words that name --login, with a queue
    it waits; the issuer is not asked again and again"""
    with World(folder, certificates) as w:
        w.login()
        w.issuer.refresh.clear()
        w.issuer.access.clear()
        w.expire()
        said = w.send(status=77)
        want("invalid_grant" in said and "posthaste --login relay" in said,
             said)
        asked = w.issuer.seen["/token"]
        w.send(status=77)
        want(w.issuer.seen["/token"] == asked, "asked again at once")
        w.write(queue=f"queue = on_failure\ndirectory = {folder}/queue")
        w.send()
        for argv in (["--check"], ["-bp"]):
            said = w.run(*argv)
            want("invalid_grant" in said and "--login relay" in said, said)
        want("--login relay" in w.run("--probe", status=77), "--probe")
        w.login()
        want("--login" not in w.run("--check"), "after another login")


def words_of_refusals(folder, certificates):
    """what an issuer says to a refusal is told, whatever its line ends and
    letters, on one line and without what could move a cursor"""
    said = "AADSTS70008: gr\u00fc\u00df Gott.\r\nTrace ID: 1\r\n\r\nTime\x1b[2J\u202e"
    told = "AADSTS70008: gr\u00fc\u00df Gott. Trace ID: 1 Time [2J?"

    def refuse(error, status=400):
        return lambda handler: handler.answer(
            status, {"error": error, "error_description": said})
    with World(folder, certificates) as w:
        w.login()
        w.expire()
        w.issuer.tricks["/token"] = refuse("invalid_grant")
        for _ in range(2):      # as it was said, and as it was kept
            heard = w.send(status=77)
            want(f"invalid_grant: {told}: posthaste --login relay" in heard,
                 heard)
        w.issuer.tricks = {"/device": refuse("unauthorized_client")}
        w.issuer.change["authorization_endpoint"] = None
        heard = w.login(status=77)
        want(f"(400 unauthorized_client: {told})" in heard, heard)
        w.issuer.tricks = {"/register": refuse("invalid_client_metadata")}
        heard = w.login(status=78)
        want(f"(400 invalid_client_metadata: {told}): register" in heard,
             heard)


def away(folder, certificates):
    """an issuer that is away when the token has ended: 75, with a queue it
    waits there"""
    with World(folder, certificates) as w:
        w.login()
        w.expire()
        w.issuer.tricks["/token"] = lambda h: h.answer(503, b"", "text/plain")
        w.send(status=75)
        w.write(queue=f"queue = on_failure\ndirectory = {folder}/queue")
        w.send()
        w.issuer.tricks.clear()
        w.run("--retry", "ALL")
        w.run("-q")
        want(len(w.server.messages) == 1, "not sent later")


def refused_token(folder, certificates):
    """a token that a server refuses is renewed once: sent; refused again: 77
    after two tries; where it cannot be renewed now: 75, never: 77"""
    with World(folder, certificates) as w:
        w.login()
        w.issuer.access.clear()
        w.send()
        want(w.issuer.grants["refresh_token"] == 1 and
             len(w.server.used) == 2, f"used {w.server.used}")
        w.server.on_token = lambda token: w.issuer.access.clear()
        w.send(status=77)
        want(w.issuer.grants["refresh_token"] == 2 and
             len(w.server.used) == 4, f"used {len(w.server.used)}")
        w.server.on_token = lambda token: None
        w.issuer.tricks["/token"] = lambda h: h.answer(503, b"", "text/plain")
        w.send(status=75)
        w.issuer.tricks.clear()
        w.issuer.refresh.clear()
        said = w.send(status=77)
        want("invalid_grant" in said and "posthaste --login relay" in said,
             said)


def once(folder, certificates):
    """two runs of the queue and three callers when the token has ended: one
    refresh, all of it is sent"""
    with World(folder, certificates, queue="queue = on_failure\ndirectory = "
               f"{folder}/queue") as w:
        w.login()
        for _ in range(2):
            w.run("-odq", "-i", "b@example.org", stdin=MESSAGE)
        w.expire()
        w.issuer.delay = 0.5
        with concurrent.futures.ThreadPoolExecutor(5) as pool:
            for done in [pool.submit(w.run, "-q") for _ in range(2)] + \
                    [pool.submit(w.send) for _ in range(3)]:
                done.result()
        want(w.issuer.grants["refresh_token"] == 1,
             f"{w.issuer.grants['refresh_token']} refreshes")
        want(len(w.server.messages) == 5, f"{len(w.server.messages)} sent")
        want(len(w.server.used) == len({t for _, t in w.server.used}) +
             len(w.server.used) - 1, "tokens differ")


@contextlib.contextmanager
def small_disk(place):
    """What lies there, on a disk of little room; a function that fills it."""
    kept = {p.name: p.read_bytes() for p in place.iterdir()}
    mxnet.command("mount", "-t", "tmpfs", "-o",
                  "size=16k,nr_inodes=20,mode=700", "tmpfs", str(place))

    def fill():
        with contextlib.suppress(OSError), \
                open(place / "filler", "wb", 0) as f:
            while True:
                f.write(b"x" * 512)
    try:
        for name, data in kept.items():
            (place / name).write_bytes(data)
            (place / name).chmod(0o600)
        yield fill
    finally:
        mxnet.command("umount", str(place))


def not_writable(folder, certificates):
    """where the new tokens could not be kept, the login is not spent"""
    with World(folder, certificates) as w:
        w.login()
        w.expire()
        with small_disk(w.file.parent) as fill:
            fill()
            w.send(status=75)
            want(w.issuer.grants["refresh_token"] == 0, "it was spent")
            # and nobody logs in for nothing
            w.issuer.seen.clear()
            said = w.login(status=73)
            want("No space left" in said and not w.issuer.seen, said)
            (w.file.parent / "filler").unlink()
            w.send()


def no_more_files(folder, certificates):
    """nor does anybody log in where a disk takes no more files"""
    with World(folder, certificates) as w:
        w.login()
        w.issuer.seen.clear()
        with small_disk(w.file.parent), contextlib.ExitStack() as files:
            with contextlib.suppress(OSError):
                for number in range(20):
                    path = w.file.parent / f"filler{number}"
                    path.touch()
                    files.callback(path.unlink)
            said = w.login(status=73)
            want("No space left" in said and not w.issuer.seen, said)


def filled_meanwhile(folder, certificates):
    """a disk that is filled while the issuer answers does not cost the
    login"""
    with World(folder, certificates) as w:
        w.login()
        w.expire()
        with small_disk(w.file.parent) as fill:
            def answer(handler):
                fill()
                w.issuer.tricks.clear()
                handler.answer(200, w.issuer.tokens())
            w.issuer.tricks["/token"] = answer
            old = w.token("refresh_token")
            w.send()
            want(w.token("refresh_token") != old, "it was not kept")


def another_issuer(folder, certificates):
    """a login is for the issuer and the client that it was had from"""
    with World(folder, certificates) as w:
        w.login()
        w.write(more="oauth_client_id = other")
        want("another issuer or of another client" in w.send(status=77),
             "words")
        want(not w.server.used, "the token was used")


def dying(folder, certificates):
    """--check, --probe and mailq say when a login is about to end"""
    with World(folder, certificates) as w:
        w.login()
        for argv in (["--check"], ["--probe"], ["-bp"]):
            want("--login" not in w.run(*argv), f"{argv} of a good one")
        w.change(refresh_expires=int(time.time()) + 86400)
        for argv in (["--check"], ["--probe"], ["-bp"]):
            said = w.run(*argv)
            want("ends on" in said and "posthaste --login relay" in said,
                 f"{argv}: {said}")
        json.loads(w.run("--check", "--json"))


def rights(folder, certificates):
    """a file that others can read is not used, one of nonsense neither"""
    with World(folder, certificates) as w:
        w.login()
        w.file.chmod(0o644)
        want("read by others" in w.send(status=78), "words")
        w.file.chmod(0o600)
        for text in ("", "posthaste-login 2\nend\n", "\0\0\0",
                     w.file.read_text().replace("end\n", "")):
            w.file.write_text(text)
            want("--login relay" in w.send(status=77), repr(text))


def instructions(folder, name, server, lines):
    """What a submission costs, and that it was by this mechanism."""
    place = pathlib.Path(folder, name)
    (place / "home/.local/state/posthaste/oauth").mkdir(parents=True)
    conf, now = place / "conf", int(time.time())
    conf.write_text(CONFIG.format(
        folder=place, certificates=f"{folder}/..", port=server.port,
        general="", issuer="https://issuer.example", queue="queue = never",
        more=f"ca_file = {lines[1]}/ca.pem\n{lines[0]}").replace(
            "joe@example.test", "user"))
    text = conf.read_text()
    if "password" in lines[0]:
        text = re.sub(r"^oauth = .*$", "", text, flags=re.M)
    conf.write_text(re.sub(r"\[tls\]\nca_file.*\n", "", text))
    conf.chmod(0o600)
    path = place / "home/.local/state/posthaste/oauth/relay"
    path.write_text(
        "posthaste-login 1\nissuer https://issuer.example\nclient c\n"
        "client_id c\nmethod none\nendpoint https://issuer.example/t\n"
        f"refresh_token {'r' * 1000}\naccess_token token\nobtained {now}\n"
        f"expires {now + 3600}\nend\n")
    path.chmod(0o600)
    done = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
         harness.POSTHASTE, "-C", str(conf), "-i", "b@example.org"],
        input=MESSAGE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=harness.environment(place), cwd=place, timeout=120, check=False)
    want(done.returncode == 0, done.stderr.decode())
    want(f"auth={name}" in (place / "log").read_text(), "mechanism")
    return int(re.search(rb"Collected : (\d+)", done.stderr).group(1))


def cheap(folder, certificates):
    """a token that holds costs at most 3 % more instructions than PLAIN"""
    if harness.sanitized():
        return None
    cost = []
    for name, lines in (("PLAIN", "password = pencil"),
                        ("OAUTHBEARER", "oauth_client_id = c")):
        server = harness.Server(folder, name, "tls implicit\n"
                                f"auth {name}\n", certificates)
        try:
            cost.append(instructions(folder, name, server,
                                     (lines, certificates)))
        finally:
            server.stop()
    want(cost[1] < cost[0] * 1.03, f"{cost}")
    return [f"PLAIN {cost[0]}, OAUTHBEARER {cost[1]}: "
            f"{100 * (cost[1] / cost[0] - 1):+.2f} %"]


# --- nothing is to be seen ---

def unseen(folder, certificates):
    """no secret among arguments or in the environment while the helper runs,
    none in the transcript"""
    with World(folder, certificates) as w:
        w.login()
        w.expire()
        seen = []

        def look(handler):
            for process in pathlib.Path("/proc").glob("[0-9]*"):
                with contextlib.suppress(OSError):
                    line = (process / "cmdline").read_bytes()
                    if b"posthaste" in line:
                        seen.append(line + (process / "environ").read_bytes())
            w.issuer.tricks.clear()
            handler.answer(500, {"error": "server_error"})
        w.issuer.tricks["/token"] = look
        w.run("-v", "-i", "b@example.org", stdin=MESSAGE, status=75)
        want(any(b"posthaste-token" in line for line in seen),
             f"no helper among {seen}")
        for secret in w.issuer.made:
            want(not any(secret.encode() in line for line in seen), secret)
        w.run("-v", "-i", "b@example.org", stdin=MESSAGE)
        w.server.on_token = lambda token: w.issuer.access.clear()
        w.run("-v", "-i", "b@example.org", stdin=MESSAGE, status=77)


# --- issuers that are not to be trusted ---

def raw(data, wait=0.0):
    def trick(handler):
        handler.wfile.write(data)
        handler.wfile.flush()
        time.sleep(wait)
    return trick


def endless(handler):
    handler.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Type: application/json"
                        b"\r\n\r\n{\"a\":\"")
    with contextlib.suppress(OSError):
        while True:
            handler.wfile.write(b"x" * 65536)


def endless_header(handler):
    handler.wfile.write(b"HTTP/1.0 200 OK\r\n")
    with contextlib.suppress(OSError):
        while True:
            handler.wfile.write(b"X-Y: " + b"x" * 1000 + b"\r\n")


def elsewhere(target):
    return lambda handler: handler.answer(
        302, b"", headers=[("Location", target)])


GOOD = ('"token_type":"Bearer","expires_in":3600,"refresh_token":"rrrrrrrr",'
        '"access_token":')
BROKEN = [
    "", "{", "}", "[]", "null", "true", "3", '"x"', "{}", "{]", "\0", "\xff",
    "{" + GOOD + '"tok\\u0000en"}', "{" + GOOD + '"tok\\u001ben"}',
    "{" + GOOD + '"tok\\nen"}', "{" + GOOD + '"\\ud800"}',
    "{" + GOOD + '"tök"}', "{" + GOOD + '""}', "{" + GOOD + "null}",
    "{" + GOOD + "3}", "{" + GOOD + "[]}", "{" + GOOD + "{}}",
    "{" + GOOD + '"t","access_token":"u"}', "{" + GOOD + '"' + "t" * 70000 +
    '"}', '{"access_token":"t"}', '{"access_token":"t","token_type":"mac"}',
    '{"access_token":"t","token_type":3}', "[" * 100000,
    '{"a":' * 3000 + "1" + "}" * 3000, '{"error":3}', '{"error":"\\u001b[2J"}',
    '{"error":"' + "e" * 5000 + '"}', "{" + GOOD + '"t"} trailing',
    '{"access_token":"t","token_type":"Bearer","expires_in":1e400}',
    '{"access_token":"t","token_type":"Bearer","expires_in":'
    '99999999999999999999999}', "<html><body>log in</body></html>",
    "\ufeff{" + GOOD + '"t"}', "{" + GOOD + '"t",}',
]


def broken_json(folder, certificates):
    """nearly forty kinds of broken JSON instead of tokens: 75 each, and the
    login is as it was"""
    with World(folder, certificates) as w:
        w.login()
        w.expire()
        before = w.file.read_bytes()
        for text in BROKEN:
            data = text.encode("utf-8" if text.startswith("\ufeff") or
                               "ö" in text else "latin-1")
            w.issuer.tricks["/token"] = lambda h, d=data: h.answer(200, d)
            said = w.send(status=75)
            want("\x1b" not in said, repr(said))
            want(w.file.read_bytes() == before, f"{text[:60]!r} changed it")
        w.issuer.tricks.clear()
        w.send()


def hostile_tokens(folder, certificates):
    """a token endpoint without end, that leads elsewhere, is silent or says
    what it was told: 75 in time, no secret shown"""
    with World(folder, certificates, general="timeout = 3s") as w:
        w.login()
        w.expire()
        other = Issuer(certificates)
        tricks = [endless, endless_header, elsewhere(other.url + "/token"),
                  elsewhere("http://localhost/"), elsewhere("/token"),
                  elsewhere("file:///etc/passwd"),
                  raw(b"HTTP/1.0 200 OK\r\n\r\n{", 8),
                  raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}"),
                  raw(b"220 smtp\r\n"), raw(b""),
                  raw(b"HTTP/1.1 100 C\r\n\r\n" * 3000),
                  lambda h: h.answer(404, b"<html>", "text/html"),
                  lambda h: h.answer(429, {"error": "slow_down"}),
                  lambda h: h.answer(500, {
                      "error": "server_error", "error_description":
                      w.issuer.requests[-1][1]})]
        try:
            for trick in tricks:
                w.issuer.tricks["/token"] = trick
                before = time.monotonic()
                w.send(status=75, limit=20)
                want(time.monotonic() - before < 12, "too slow")
            want(not other.seen, "it followed")
        finally:
            other.stop()


def hostile_issuers(folder, certificates):
    """metadata of another issuer, in HTML, elsewhere, of http addresses,
    with a wrong certificate: no login, no request beyond"""
    with World(folder, certificates) as w:
        other = Issuer(certificates)
        try:
            for change in ({"issuer": other.url}, {"issuer": None},
                           {"issuer": 3},
                           {"token_endpoint": "http://localhost/token"},
                           {"token_endpoint": None},
                           {"token_endpoint": "https://"},
                           {"token_endpoint": "https://a:b@localhost/"},
                           {"token_endpoint": "file:///etc/passwd"},
                           {"token_endpoint": "https://localhost/\r\nX: y"}):
                w.issuer.change = change
                w.login(status=75)
            w.issuer.change = {}
            for trick in (elsewhere(other.url + "/.well-known/openid-"
                                    "configuration"), endless,
                          lambda h: h.answer(200, b"<html>", "text/html"),
                          lambda h: h.answer(500, {})):
                w.issuer.tricks["/.well-known/openid-configuration"] = trick
                w.login(status=75)
            w.issuer.tricks.clear()
            for answer in ({}, {"device_code": "a", "user_code": "b"},
                           {"device_code": "a", "user_code": "\x1b[2J",
                            "verification_uri": w.issuer.url},
                           {"device_code": "a", "user_code": "b",
                            "verification_uri": "javascript:alert(1)"},
                           {"device_code": "a", "user_code": "b",
                            "verification_uri": "https://x/\x1b[2J"}):
                w.issuer.tricks["/device"] = lambda h, a=answer: h.answer(
                    200, a)
                want("\x1b" not in w.login(status=75), "escapes")
            want(set(w.issuer.seen) <= {
                "/.well-known/openid-configuration", "/register", "/device"},
                 f"{w.issuer.seen}")
            want(not other.seen and not w.file.exists(), "it was believed")
        finally:
            other.stop()
    for certificate in ("wrong-name", "expired", "self-signed", "no-san"):
        with World(folder, certificates, certificate=certificate) as w:
            want("certificate" in w.login(status=75), certificate)
            # that there is no name in it is found out with the answer
            want(sum(w.issuer.seen.values()) <= (certificate == "no-san"),
                 "it was asked")


TESTS = [device, xoauth2, slow_down, denied, code, pasted, wrong_iss,
         refused_there, registered, service, other_metadata, by_name,
         not_configured, resolver, proxied, system, home_of_another,
         not_logged_in, rotation, soon, each_once, clock, revoked,
         words_of_refusals, away, refused_token, once, not_writable,
         no_more_files,
         filled_meanwhile, another_issuer, dying, rights, cheap, unseen,
         broken_json, hostile_tokens, hostile_issuers]


def main():
    mxnet.isolate("mount", "umount", "valgrind")
    with mxnet.scratch() as folder:
        mxnet.install_fetch(folder)
        return mxnet.tap(TESTS, workers=4)


if __name__ == "__main__":
    sys.exit(main())
