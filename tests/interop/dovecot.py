#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Submits through Dovecot's submission service, which relays to the
scripted server and asks a token server about OAuth tokens."""

import http.server
import json
import os
import pathlib
import sys
import threading
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import interop  # noqa: E402
from interop import Sent, harness, want  # noqa: E402

COMMON = """base_dir = {folder}/run
state_dir = {folder}/state
libexec_dir = /usr/lib/dovecot
mail_plugin_dir = /usr/lib/dovecot/modules
login_plugin_dir = /usr/lib/dovecot/modules/login
log_path = {folder}/dovecot.log
auth_verbose = yes
auth_failure_delay = 0
protocols = submission
listen = 127.0.0.1
default_internal_user = dovecot
default_internal_group = dovecot
default_login_user = dovenull
hostname = mail.example.test
ssl = required
auth_mechanisms = {mechanisms}
first_valid_uid = 1000
submission_relay_host = 127.0.0.1
submission_relay_port = {relay}
submission_relay_ssl = no
service submission-login {{
  chroot =
  inet_listener submission {{
    port = {port}
  }}
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
"""
# what Dovecot 2.4 spells differently
OLD = COMMON + """ssl_cert = <{certificates}/good.pem
ssl_key = <{certificates}/good.key
mail_location = maildir:{folder}/mail/%u
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {folder}/oauth2.conf.ext
}}
passdb {{
  driver = static
  args = password={{PLAIN}}secret
}}
userdb {{
  driver = static
  args = uid=vmail gid=vmail home={folder}/home/%u
}}
"""
NEW = interop.DOVECOT_2_4 + COMMON + """
ssl_server_cert_file = {certificates}/good.pem
ssl_server_key_file = {certificates}/good.key
mail_driver = maildir
mail_path = {folder}/mail/%{{user}}
oauth2 {{
  tokeninfo_url = http://127.0.0.1:{tokens}/tokeninfo?access_token=
  introspection_mode = auth
  username_attribute = email
}}
passdb oauth2 {{
  mechanisms_filter = xoauth2 oauthbearer
}}
passdb static {{
  password = {{PLAIN}}secret
}}
userdb static {{
  fields {{
    uid = vmail
    gid = vmail
    home = {folder}/home/%{{user}}
  }}
}}
"""
OAUTH = """tokeninfo_url = http://127.0.0.1:{tokens}/tokeninfo?access_token=
username_attribute = email
"""
MECHANISMS = ("plain login cram-md5 digest-md5 scram-sha-1 scram-sha-256 "
              "xoauth2 oauthbearer")


class TokenServer(http.server.ThreadingHTTPServer):
    """Says whose a token is; "goodtoken" is joe@example.test's."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            query = urllib.parse.urlparse(self.path).query
            token = urllib.parse.parse_qs(query).get("access_token", [""])
            good = token == ["goodtoken"]
            answer = json.dumps(
                {"email": "joe@example.test", "expires_in": 3599,
                 "scope": "mail"} if good else
                {"error": "invalid_token"}).encode()
            self.send_response(200 if good else 400)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    def __init__(self):
        super().__init__(("127.0.0.1", 0), self.Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def stop(self):
        self.shutdown()
        self.server_close()


class Dovecot:
    def __init__(self, folder, certificates):
        self.folder = pathlib.Path(folder)
        self.ca = f"{certificates}/ca.pem"
        self.relay = harness.Server(folder, 1, "extension CHUNKING\n",
                                    certificates, 300)
        self.tokens = TokenServer()
        self.port, = harness.free_ports(1)
        words = {"folder": folder, "certificates": certificates,
                 "port": self.port, "relay": self.relay.port,
                 "tokens": self.tokens.server_address[1],
                 "mechanisms": MECHANISMS}
        (self.folder / "dovecot.conf").write_text(
            (NEW if interop.dovecot_is_new() else OLD).format(**words))
        (self.folder / "oauth2.conf.ext").write_text(OAUTH.format(**words))
        self.daemon = interop.Peer(
            "dovecot", ["dovecot", "-F", "-c", f"{folder}/dovecot.conf"],
            folder, 'cd "$PEER_SCRATCH"; mkdir -p run state mail; '
            'chown vmail mail home')
        try:
            self.daemon.wait_port(self.port)
        except interop.Failure as why:
            self.stop()
            raise interop.Failure(f"{why}{self.log()}") from why

    def stop(self):
        self.daemon.stop()
        self.tokens.stop()
        self.relay.stop()

    def log(self):
        path = self.folder / "dovecot.log"
        return path.read_text("latin-1") if path.exists() else ""

    def config(self, folder, credentials):
        return interop.configure(folder, f"""
kind = submission
host = localhost
port = {self.port}
ca_file = {self.ca}
username = joe@example.test
{credentials}""")

    def delivered(self, subject):
        """The messages with this subject that the relay was given."""
        mark = f"\r\nSubject: {subject}\r\n".encode()
        return [m for m in (p.read_bytes() for p in
                            self.folder.glob("server1.message-*"))
                if mark in m]


def password(name):
    def test(server, folder):
        subject = f"by {name}"
        text = interop.message(subject, "a\n.\n..b\n")
        config = server.config(
            folder, f"password = secret\nmechanisms = {name}")
        Sent(["-i", "b@example.org"], text, folder, config).expect(
            0).logged(f"auth={name} ", "status=sent")
        stored = server.delivered(subject)
        want(len(stored) == 1 and stored[0].endswith(
            b"\r\n\r\na\r\n.\r\n..b\r\n"), f"relayed {stored}")
        want(b"Received: from client.example.test" in stored[0],
             f"no trace of Dovecot in {stored}")
    test.__doc__ = f"{name} with a password"
    return test


def strongest(server, folder):
    """the strongest of all that it offers is SCRAM-SHA-256"""
    Sent(["-i", "b@example.org"], interop.message("strongest"), folder,
         server.config(folder, "password = secret")).expect(0).logged(
             "auth=SCRAM-SHA-256 ", "tls=TLS1.3")
    want(len(server.delivered("strongest")) == 1, "not delivered")


def wrong_password(server, folder):
    """a wrong password by SCRAM: 77, nothing relayed"""
    sent = Sent(["-i", "b@example.org"], interop.message("guess"), folder,
                server.config(folder, "password = guessed")).expect(77)
    want(b"535" in sent.err or b"refused" in sent.err, f"said {sent.err}")
    want(not server.delivered("guess"), "delivered")


def token_command(folder, *tokens):
    """A command that gives these tokens in turn, the last for ever, and a
    file that holds how often it ran."""
    count = pathlib.Path(folder, "count")
    script = pathlib.Path(folder, "token")
    cases = "\n".join(f"{i + 1}) echo {t};;" for i, t in enumerate(tokens))
    script.write_text(f"""#!/bin/sh
n=$(cat {count} 2>/dev/null || echo 0)
n=$((n + 1))
echo $n >{count}
case $n in
{cases}
*) echo {tokens[-1]};;
esac
""")
    script.chmod(0o755)
    return f"token_command = {script}", lambda: int(count.read_text())


def token(name, wanted=None):
    def test(server, folder):
        subject = f"token {wanted or 'unnamed'}"
        line, count = token_command(folder, "goodtoken")
        if wanted:
            line += f"\nmechanisms = {wanted}"
        Sent(["-i", "b@example.org"], interop.message(subject), folder,
             server.config(folder, line)).expect(0).logged(f"auth={name} ")
        want(len(server.delivered(subject)) == 1, "not delivered")
        want(count() == 1, f"the command ran {count()} times")
    test.__doc__ = f"{name} with a token" + (", by itself" if not wanted
                                             else "")
    return test


def renewed(name):
    def test(server, folder):
        subject = f"renewed {name}"
        line, count = token_command(folder, "oldtoken", "goodtoken")
        Sent(["-i", "b@example.org"], interop.message(subject), folder,
             server.config(folder, f"{line}\nmechanisms = {name}")).expect(
                 0).logged(f"auth={name} ")
        want(len(server.delivered(subject)) == 1, "not delivered")
        want(count() == 2, f"the command ran {count()} times")
    test.__doc__ = f"{name} with an expired token: once more, then sent"
    return test


def refused(name):
    def test(server, folder):
        subject = f"refused {name}"
        line, count = token_command(folder, "oldtoken")
        sent = Sent(["-i", "b@example.org"], interop.message(subject),
                    folder, server.config(
                        folder, f"{line}\nmechanisms = {name}")).expect(77)
        want(count() == 2, f"the command ran {count()} times")
        want(not server.delivered(subject), "delivered")
        said = sent.err.decode() + sent.log
        want("oldtoken" not in said, f"the token was shown: {said}")
    test.__doc__ = f"{name} with a wrong token: once more, then 77"
    return test


if __name__ == "__main__":
    sys.exit(interop.run(
        [strongest] + [password(name) for name in (
            "SCRAM-SHA-256", "SCRAM-SHA-1", "CRAM-MD5", "DIGEST-MD5",
            "PLAIN", "LOGIN")] +
        [wrong_password, token("OAUTHBEARER"),
         token("OAUTHBEARER", "OAUTHBEARER"), token("XOAUTH2", "XOAUTH2"),
         renewed("OAUTHBEARER"), renewed("XOAUTH2"),
         refused("OAUTHBEARER"), refused("XOAUTH2")], Dovecot, workers=2))
