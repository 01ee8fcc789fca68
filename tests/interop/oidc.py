#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logins at a real OpenID provider (oidc-provider, under node), and mail by
them through Dovecot's submission service, whose oauth2 passdb asks the
provider about each token. Not part of make check: make check-oidc installs
the provider with npm. TAP.

OIDC_MODULES  the folder node_modules that has oidc-provider
"""

import html
import http.cookiejar
import os
import pathlib
import re
import select
import ssl
import subprocess
import sys
import time
import urllib.parse
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
sys.path.insert(0, os.path.dirname(__file__))
import dovecot  # noqa: E402
import interop  # noqa: E402
import mxnet  # noqa: E402
from interop import Sent, harness, want  # noqa: E402

LIFETIME = 6
OAUTH = """introspection_url = https://dovecot:introspects@localhost:{}\
/token/introspection
introspection_mode = post
username_attribute = sub
active_attribute = active
active_value = true
tls_ca_cert_file = {}/ca.pem
"""


class Provider:
    def __init__(self, folder, certificates):
        self.ca = f"{certificates}/ca.pem"
        self.errors = open(f"{folder}/provider.errors", "wb")
        self.process = subprocess.Popen(
            ["node", str(pathlib.Path(__file__).resolve().parents[1] /
                         "support/oidc.mjs"), os.environ["OIDC_MODULES"],
             f"{certificates}/good.pem", f"{certificates}/good.key",
             str(LIFETIME)], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=self.errors)
        ready = select.select([self.process.stdout], [], [], 30)[0]
        line = self.process.stdout.readline().strip() if ready else b""
        if not line.isdigit():
            self.stop()
            raise harness.Failure("the provider did not start: " +
                                  pathlib.Path(self.errors.name).read_text())
        self.port = int(line)
        self.url = f"https://localhost:{self.port}"

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()
        self.errors.close()


class World:
    """Provider and Dovecot, for all tests."""

    def __init__(self, folder, certificates):
        self.provider = Provider(folder, certificates)
        dovecot.OAUTH = OAUTH.format(self.provider.port, certificates)
        self.dovecot = dovecot.Dovecot(folder, certificates)

    def stop(self):
        self.dovecot.stop()
        self.provider.stop()

    def config(self, folder, more=""):
        path = pathlib.Path(self.dovecot.config(
            folder, f"oauth = {self.provider.url}\n{more}"))
        path.write_text(f"{path.read_text()}\n[tls]\n"
                        f"ca_file = {self.provider.ca}\n")
        return str(path)


class Person:
    """A browser that fills in what forms ask for: a person who consents."""

    def __init__(self, ca):
        self.pages = []
        outer = self

        class Follow(urllib.request.HTTPRedirectHandler):
            def redirect_request(self, req, fp, code, msg, headers, newurl):
                outer.at = newurl
                if newurl.startswith("http://127.0.0.1"):
                    return None
                return super().redirect_request(req, fp, code, msg, headers,
                                                newurl)
        self.at = ""
        self.opener = urllib.request.build_opener(
            urllib.request.HTTPSHandler(
                context=ssl.create_default_context(cafile=ca)),
            urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar(
                policy=http.cookiejar.DefaultCookiePolicy(
                    secure_protocols=("https",)))), Follow)

    def open(self, url, data=None):
        self.at = url
        try:
            with self.opener.open(url, data, timeout=20) as page:
                self.at = page.url
                return page.read().decode()
        except urllib.error.HTTPError as answer:
            if answer.headers.get("Location"):
                return ""
            return answer.read().decode()

    def go(self, url, code="", end="Sign-in Success"):
        """Until a page says the end, or the browser is sent to loopback."""
        page = self.open(url)
        for _ in range(12):
            self.pages.append((self.at, page))
            if self.at.startswith("http://127.0.0.1") or end in page:
                return self.at
            form = re.search(r"<form[^>]*>(.*?)</form>", page, re.S)
            want(form, f"no form at {self.at}: {page}")
            head = re.search(r"<form[^>]*>", page).group(0)
            action = re.search(r'action="([^"]*)"', head)
            fields = {}
            for tag in re.findall(r"<(?:input|button)[^>]*>", form.group(1)):
                name = re.search(r'name="([^"]*)"', tag)
                value = re.search(r'value="([^"]*)"', tag)
                if name and name.group(1) != "abort":
                    fields[name.group(1)] = html.unescape(
                        value.group(1)) if value else ""
            for name in fields:
                if name == "login":
                    fields[name] = "joe@example.test"
                elif name == "password":
                    fields[name] = "any"
                elif name == "user_code" and not fields[name]:
                    fields[name] = code
            page = self.open(
                urllib.parse.urljoin(self.at, html.unescape(
                    action.group(1)) if action else self.at),
                urllib.parse.urlencode(fields).encode())
        raise harness.Failure(f"no end: {self.pages[-3:]}")


class Login:
    def __init__(self, world, folder, config):
        self.world, self.out = world, ""
        self.process = subprocess.Popen(
            ["posthaste", "-C", config, "--login", "relay"],
            executable=harness.POSTHASTE, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=harness.environment(folder), cwd=folder)

    def read(self, pattern):
        while True:
            found = re.search(pattern, self.out, re.M)
            if found:
                return found.group(1)
            ready = select.select([self.process.stdout], [], [], 30)[0]
            part = os.read(self.process.stdout.fileno(), 4096).decode() \
                if ready else ""
            if not part:
                self.process.kill()
                self.process.wait()
                raise harness.Failure(f"no {pattern}: {self.out}")
            self.out += part

    def end(self, status=0):
        self.out += self.process.communicate(timeout=60)[0]
        want(self.process.returncode == status,
             f"{self.process.returncode}: {self.out}")
        return self.out


def by_device(world, folder, config):
    login = Login(world, folder, config)
    address = login.read(r"^    (https://\S+)\n")
    code = login.read(r"^    ([A-Z0-9-]+)\n")
    Person(world.provider.ca).go(address, code)
    return login.end()


def by_code(world, folder, config):
    login = Login(world, folder, config)
    person = Person(world.provider.ca)
    back = person.go(login.read(r"^    (https://\S+)\n"))
    with urllib.request.urlopen(back, timeout=20) as page:
        want(b"Thank you" in page.read(), "page")
    return login.end()


def file(folder):
    return pathlib.Path(folder,
                        "home/.local/state/posthaste/oauth/relay").read_text()


def refresh_token(folder):
    return re.search(r"^refresh_token (.*)$", file(folder), re.M).group(1)


def sent(world, folder, config, mechanism, subject):
    Sent(["-i", "b@example.org"], interop.message(subject), folder,
         config).expect(0).logged(f"auth={mechanism} ")
    want(len(world.dovecot.delivered(subject)) == 1, "not delivered")


def device(folder, world):
    """by device: then mail by OAUTHBEARER; after its end a refresh, with
    another refresh token"""
    config = world.config(folder)
    by_device(world, folder, config)
    sent(world, folder, config, "OAUTHBEARER", "device 1")
    before = refresh_token(folder)
    time.sleep(LIFETIME + 1)
    sent(world, folder, config, "OAUTHBEARER", "device 2")
    want(refresh_token(folder) != before, "it did not rotate")
    time.sleep(LIFETIME + 1)
    sent(world, folder, config, "OAUTHBEARER", "device 3")


def code(folder, world):
    """by code and PKCE: then mail by XOAUTH2; after its end a refresh"""
    config = world.config(folder, "oauth_grant = authorization_code\n"
                          "mechanisms = XOAUTH2")
    by_code(world, folder, config)
    sent(world, folder, config, "XOAUTH2", "code 1")
    time.sleep(LIFETIME + 1)
    sent(world, folder, config, "XOAUTH2", "code 2")


def revoked(folder, world):
    """after revocation: 77 and words; a new login mends it"""
    config = world.config(folder)
    by_device(world, folder, config)
    sent(world, folder, config, "OAUTHBEARER", "revoked 1")
    client = re.search(r"^client_id (.*)$", file(folder), re.M).group(1)
    context = ssl.create_default_context(cafile=world.provider.ca)
    urllib.request.urlopen(urllib.request.Request(
        world.provider.url + "/token/revocation",
        urllib.parse.urlencode({"token": refresh_token(folder),
                                "client_id": client}).encode()),
        timeout=20, context=context).close()
    failed = Sent(["-i", "b@example.org"], interop.message("revoked 2"),
                  folder, config).expect(77)
    want(b"invalid_grant" in failed.err and
         b"posthaste --login relay" in failed.err, failed.err)
    print("#", failed.err.decode().splitlines()[0])
    by_device(world, folder, config)
    sent(world, folder, config, "OAUTHBEARER", "revoked 3")


def stolen(folder, world):
    """who uses the old refresh token once more ends the login, as the
    provider sees a theft in it: 77, no loop"""
    config = world.config(folder)
    by_device(world, folder, config)
    old = file(folder)
    time.sleep(LIFETIME + 1)
    sent(world, folder, config, "OAUTHBEARER", "stolen 1")
    place = pathlib.Path(folder, "home/.local/state/posthaste/oauth/relay")
    place.write_text(old)
    Sent(["-i", "b@example.org"], interop.message("stolen 2"), folder,
         config).expect(77)


TESTS = [device, code, revoked, stolen]


def main():
    mxnet.isolate("mount", "node")
    with mxnet.scratch() as folder:
        mxnet.install_fetch(folder)
        return harness.tap(harness.titled(TESTS), workers=4, begin=World,
                           public=True)


if __name__ == "__main__":
    sys.exit(main())
