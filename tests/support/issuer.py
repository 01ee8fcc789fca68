# SPDX-License-Identifier: GPL-3.0-or-later
"""A scripted issuer of OAuth 2.0 tokens over TLS, and a submission server
that takes its tokens."""

import base64
import collections
import hashlib
import http.server
import json
import re
import secrets
import socketserver
import ssl
import threading
import time
import urllib.parse

DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


def tls(certificates, name="good"):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{certificates}/{name}.pem",
                            f"{certificates}/{name}.key")
    return context


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        self.request.settimeout(20)
        self.request = self.server.context.wrap_socket(self.request,
                                                       server_side=True)
        super().setup()

    def log_message(self, *_):
        pass

    def answer(self, status, body, kind="application/json", headers=()):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def hostile(self, path):
        """What the test wants instead of an answer, if anything."""
        trick = self.server.issuer.tricks.get(path)
        if not trick:
            return False
        self.close_connection = True
        trick(self)
        return True

    def do_GET(self):
        issuer = self.server.issuer
        path, _, query = self.path.partition("?")
        issuer.seen[path] += 1
        if self.hostile(path):
            return
        if path in issuer.metadata_at:
            self.answer(200, issuer.metadata())
        elif path == "/authorize":
            self.authorize(dict(urllib.parse.parse_qsl(query)))
        else:
            self.answer(404, b"<html>nothing</html>", "text/html")

    def authorize(self, q):
        issuer = self.server.issuer
        code = issuer.new("code")
        issuer.codes[code] = q
        back = {"code": code, "state": q["state"], "iss": issuer.url}
        back.update(issuer.authorize_with)
        back = {k: v for k, v in back.items() if v is not None}
        self.answer(302, b"", headers=[(
            "Location", q["redirect_uri"] + "?" +
            urllib.parse.urlencode(back))])

    def do_POST(self):
        issuer = self.server.issuer
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length).decode()
        issuer.seen[self.path] += 1
        issuer.requests.append((self.path, body,
                                self.headers.get("Authorization")))
        if self.hostile(self.path):
            return
        if self.path == "/register":
            asked = json.loads(body)
            name = issuer.new("client")
            issuer.clients[name] = None
            self.answer(201, {"client_id": name, **asked})
            return
        q = dict(urllib.parse.parse_qsl(body))
        if not self.known(q):
            self.answer(401, {"error": "invalid_client"})
        elif self.path == "/device":
            code = issuer.new("device")
            issuer.devices[code] = issuer.pending
            self.answer(200, {
                "device_code": code, "user_code": "WDJB-MJHT",
                "verification_uri": issuer.url + "/activate",
                "verification_uri_complete":
                    issuer.url + "/activate?user_code=WDJB-MJHT",
                "expires_in": 60, "interval": 1})
        elif self.path == "/token":
            self.token(q)
        else:
            self.answer(404, {})

    def known(self, q):
        """The client, by either way of saying who it is."""
        issuer = self.server.issuer
        name, secret = q.get("client_id"), q.get("client_secret")
        given = self.headers.get("Authorization", "")
        if given.startswith("Basic "):
            pair = base64.b64decode(given[6:]).decode().split(":")
            name, secret = map(urllib.parse.unquote, pair)
        return name in issuer.clients and issuer.clients[name] == secret

    def token(self, q):
        issuer = self.server.issuer
        with issuer.lock:
            grant = q.get("grant_type")
            issuer.grants[grant] += 1
            error = None
            if grant == DEVICE:
                left = issuer.devices.get(q.get("device_code"))
                if left is None:
                    error = "expired_token"
                elif left > 0:
                    issuer.devices[q["device_code"]] -= 1
                    error = "authorization_pending"
            elif grant == "authorization_code":
                error = self.check_code(q)
            elif grant == "refresh_token":
                given = q.get("refresh_token")
                if given not in issuer.refresh:
                    error = "invalid_grant"
                elif issuer.rotates:
                    issuer.refresh.discard(given)
                issuer.refresh.discard(issuer.older.pop(given, None))
            elif grant != "client_credentials":
                error = "unsupported_grant_type"
            made = None if error else issuer.tokens(
                grant != "client_credentials")
            if issuer.grace and made and grant == "refresh_token":
                issuer.refresh.add(given)
                issuer.older[made["refresh_token"]] = given
        if issuer.delay:
            time.sleep(issuer.delay)
        if error:
            self.answer(400, {"error": error, "error_description":
                              "this is said of " +
                              urllib.parse.urlencode(q)})
        else:
            self.answer(200, made)

    def check_code(self, q):
        asked = self.server.issuer.codes.pop(q.get("code"), None)
        if not asked or asked["redirect_uri"] != q.get("redirect_uri"):
            return "invalid_grant"
        digest = hashlib.sha256(q.get("code_verifier", "").encode()).digest()
        wanted = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        return None if (asked.get("code_challenge") == wanted and
                        asked.get("code_challenge_method") == "S256") else \
            "invalid_grant"


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_):
        pass


class Issuer:
    """Attributes are what a test may change at any time."""

    def __init__(self, certificates, certificate="good", host="localhost"):
        self.lock = threading.RLock()
        self.clients = {}          # id -> secret
        self.codes, self.devices = {}, {}
        self.pending = 1           # polls before a device is let in
        self.refresh, self.access = set(), {}
        self.made = []             # every secret that was ever said
        self.grace, self.older = False, {} # the old refresh token is good
        #                            until the new one is used
        self.rotates, self.lifetime, self.delay = True, 3600, 0
        self.seen = collections.Counter()
        self.grants = collections.Counter()
        self.requests = []
        self.tricks, self.authorize_with, self.change = {}, {}, {}
        self.metadata_at = {"/.well-known/openid-configuration"}
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.issuer = self
        self.server.context = tls(certificates, certificate)
        self.port = self.server.server_address[1]
        self.url = f"https://{host}:{self.port}"
        self.name = self.url       # what it calls itself
        threading.Thread(target=self.server.serve_forever, kwargs={
            "poll_interval": 0.05}, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def metadata(self):
        found = {
            "issuer": self.name,
            "authorization_endpoint": self.url + "/authorize",
            "token_endpoint": self.url + "/token",
            "registration_endpoint": self.url + "/register",
            "device_authorization_endpoint": self.url + "/device",
            "scopes_supported": ["openid", "offline_access"],
            "authorization_response_iss_parameter_supported": True,
            "token_endpoint_auth_methods_supported": [
                "client_secret_basic", "client_secret_post", "none"]}
        found.update(self.change)
        return {k: v for k, v in found.items() if v is not None}

    def new(self, kind):
        word = f"{kind}-{secrets.token_hex(16)}"
        if kind != "client":
            self.made.append(word)
        return word

    def tokens(self, renewable=True):
        access = self.new("access")
        self.access[access] = time.time() + self.lifetime
        made = {"access_token": access, "token_type": "Bearer",
                "expires_in": self.lifetime}
        if renewable:
            made["refresh_token"] = self.new("refresh")
            self.refresh.add(made["refresh_token"])
        return made

    def good(self, token):
        return self.access.get(token, 0) > time.time()


class Submission(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """SMTP over TLS from the first byte; AUTH by token alone."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, certificates, issuer,
                 mechanisms="OAUTHBEARER XOAUTH2"):
        super().__init__(("127.0.0.1", 0), Session)
        self.issuer, self.mechanisms = issuer, mechanisms
        self.context = tls(certificates)
        self.used, self.messages = [], []
        self.on_token = lambda token: None
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, kwargs={
            "poll_interval": 0.05}, daemon=True).start()

    def handle_error(self, *_):
        pass

    def stop(self):
        self.shutdown()
        self.server_close()


class Session(socketserver.StreamRequestHandler):
    def setup(self):
        self.request.settimeout(20)
        self.request = self.server.context.wrap_socket(self.request,
                                                       server_side=True)
        super().setup()

    def say(self, *lines):
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())

    def handle(self):
        self.say("220 mail.example.test ESMTP")
        authenticated = False
        for line in iter(self.rfile.readline, b""):
            words = line.decode().split()
            verb = words[0].upper() if words else ""
            if verb == "EHLO":
                self.say("250-mail.example.test",
                         f"250 AUTH {self.server.mechanisms}")
            elif verb == "AUTH":
                authenticated = self.authenticate(words)
            elif verb in ("MAIL", "RCPT"):
                self.say("250 2.1.0 ok" if authenticated else
                         "530 5.7.0 log in first")
            elif verb == "DATA":
                self.say("354 go on")
                data = b""
                while not data.endswith(b"\r\n.\r\n"):
                    data += self.rfile.readline()
                self.server.messages.append(data)
                self.say("250 2.0.0 taken")
            elif verb == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("502 5.5.1 no")

    def authenticate(self, words):
        text = base64.b64decode(words[2]).decode()
        found = re.search(r"auth=Bearer ([^\x01]*)\x01", text)
        token = found.group(1) if found else ""
        self.server.on_token(token)
        self.server.used.append((words[1], token))
        if self.server.issuer.good(token):
            self.say("235 2.7.0 welcome")
            return True
        self.say("334 " + base64.b64encode(
            json.dumps({"status": "invalid_token",
                        "you-said": token}).encode()).decode())
        self.rfile.readline()
        self.say(f"535 5.7.8 no such token as {token}")
        return False
