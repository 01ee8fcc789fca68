#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""posthaste-fetch against an HTTPS server of its own, directly and through a
SOCKS5 proxy: what it takes for a policy, and that nothing leads past the
proxy. TAP."""

import contextlib
import os
import pathlib
import select
import socket
import ssl
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import harness  # noqa: E402
from harness import want  # noqa: E402
from socks_proxy import Socks  # noqa: E402

FETCH = pathlib.Path(harness.POSTHASTE).with_name("posthaste-fetch")
HOST = "mta-sts.example.test"
POLICY = b"version: STSv1\nmode: enforce\nmx: mx.example.test\nmax_age: 9\n"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n"


class Https:
    """A thread that serves one connection after the other."""

    def __init__(self, certificates, name="wildcard"):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(f"{certificates}/{name}.pem",
                                     f"{certificates}/{name}.key")
        self.answer = HEAD + b"\r\n" + POLICY
        self.asked = b""
        self.connections = 0
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen()
        self.port = self.listener.getsockname()[1]
        self.wake, self.stopper = socket.socketpair()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while True:
            ready, _, _ = select.select([self.listener, self.wake], [], [])
            if self.wake in ready:
                return
            connection = self.listener.accept()[0]
            self.connections += 1
            connection.settimeout(10)
            with connection, contextlib.suppress(OSError):
                self.serve(connection)

    def stop(self):
        self.stopper.close()
        self.thread.join()
        self.wake.close()
        self.listener.close()

    def serve(self, connection):
        with self.context.wrap_socket(connection, server_side=True) as tls:
            self.asked = tls.recv(65536)
            tls.sendall(self.answer)
            tls.unwrap()


class Place:
    def __init__(self, folder, certificates, stack):
        self.folder, self.certificates, self.stack = (folder, certificates,
                                                      stack)
        self.https = Https(certificates)
        stack.callback(self.https.stop)

    def proxy(self, *words, **more):
        proxy = Socks(self.https.port, *words, **more)
        self.stack.callback(proxy.stop)
        return proxy

    def fetch(self, *words, stdin=b"", env=None, seconds=10):
        argv = [str(FETCH), "-c", f"{self.certificates}/ca.pem", "-t",
                str(seconds * 1000), "-p", str(self.https.port), *words]
        done = subprocess.run(argv, input=stdin, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=30,
                              env={**harness.environment(self.folder),
                                   **(env or {})}, check=False)
        return done.returncode, done.stdout


TESTS = []


def test(function):
    def run(folder, certificates):
        with contextlib.ExitStack() as stack:
            function(Place(folder, certificates, stack))
    TESTS.append((function.__doc__, run))
    return function


@test
def directly(place):
    """a policy, whatever proxy the environment names"""
    env = {name: "http://127.0.0.1:9" for name in
           ("http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY")}
    want(place.fetch(HOST, "127.0.0.1", env=env) == (0, POLICY), "no policy")
    want(place.https.asked.startswith(
        b"GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: " + HOST.encode()),
        place.https.asked)


@test
def no_policies(place):
    """what is no policy: another status, type, size, a redirect"""
    for answer in (
            HEAD.replace(b"200 OK", b"404 Not Found") + b"\r\n" + POLICY,
            HEAD.replace(b"200 OK", b"301 Moved") +
            b"Location: https://elsewhere.example.test/\r\n\r\n" + POLICY,
            HEAD.replace(b"text/plain", b"text/html") + b"\r\n" + POLICY,
            HEAD + b"\r\n" + b"x" * (65 * 1024),
            HEAD + b"Content-Length: 99999999\r\n\r\n" + b"x" * 70000):
        place.https.answer = answer
        want(place.fetch(HOST, "127.0.0.1") == (65, b""), answer[:200])
    place.https.answer = HEAD + b"Content-Length: 999\r\n\r\n" + POLICY
    want(place.fetch(HOST, "127.0.0.1") == (75, b""), "cut short")


@test
def certificates_count(place):
    """a certificate of another name, issuer or time: 77"""
    for name in ("wrong-name", "good", "unknown-ca", "expired"):
        https = Https(place.certificates, name)
        try:
            want(place.fetch("-p", str(https.port), HOST, "127.0.0.1") ==
                 (77, b""), name)
        finally:
            https.stop()


@test
def authorities_are_read(place):
    """CA certificates that cannot be read: 66, the host is not to blame"""
    folder = pathlib.Path(place.folder)
    (folder / "empty").write_bytes(b"")
    (folder / "words").write_bytes(b"no certificates\n")
    (folder / "broken").write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n"
                                    b"-----END CERTIFICATE-----\n")
    subprocess.run(["openssl", "x509", "-in", f"{place.certificates}/ca.pem",
                    "-outform", "DER", "-out", f"{place.folder}/der"],
                   check=True, capture_output=True, timeout=30)
    for name in ("missing", "empty", "words", "broken", "der", "."):
        got = place.fetch("-c", str(folder / name), HOST, "127.0.0.1")
        want(got == (66, b""), (name, got))


@test
def by_address(place):
    """through a proxy, to an address that was handed over"""
    proxy = place.proxy()
    want(place.fetch("-x", "127.0.0.1", "-q", str(proxy.port), HOST,
                     "192.0.2.7") == (0, POLICY), "no policy")
    want(proxy.targets == ["192.0.2.7"], proxy.targets)


@test
def by_name(place):
    """through a proxy that looks up names, itself an IPv6 address"""
    proxy = place.proxy(family=socket.AF_INET6)
    want(place.fetch("-x", "::1", "-q", str(proxy.port), "-n", HOST) ==
         (0, POLICY), "no policy")
    want(proxy.targets == [HOST], proxy.targets)


@test
def named_proxy(place):
    """a proxy's name stands for the addresses given for it"""
    proxy = place.proxy()
    want(place.fetch("-x", "proxy.invalid", "-q", str(proxy.port), "-a",
                     "127.0.0.1", "-n", HOST) == (0, POLICY), "no policy")


@test
def numbered_proxy(place):
    """a proxy that is an IPv6 address, which is handed over with -a, too"""
    proxy = place.proxy(family=socket.AF_INET6)
    words = ("-x", "::1", "-q", str(proxy.port), "-a", "::1")
    for rest in (("-n", HOST), (HOST, "192.0.2.7")):
        want(place.fetch(*words, *rest) == (0, POLICY), rest)
    want(proxy.targets == [HOST, "192.0.2.7"], proxy.targets)


@test
def next_address(place):
    """an address that the proxy cannot reach: the next one"""
    proxy = place.proxy()
    proxy.refused = ("192.0.2.7", "2001:db8::7")
    want(place.fetch("-x", "127.0.0.1", "-q", str(proxy.port), HOST,
                     "2001:db8::7", "192.0.2.7", "192.0.2.8") == (0, POLICY),
         proxy.targets)
    want(proxy.targets == ["2001:db8::7", "192.0.2.7", "192.0.2.8"],
         proxy.targets)


@test
def password(place):
    """a user name and a password by standard input; a wrong one"""
    proxy = place.proxy((b"me", b"p:@% /w" + b"x" * 240))
    words = ("-x", "127.0.0.1", "-q", str(proxy.port), "-u", "-n", HOST)
    right = b"\n".join(proxy.credentials) + b"\n"
    want(place.fetch(*words, stdin=right) == (0, POLICY), proxy.given)
    want(place.fetch(*words, stdin=b"me\nwrong\n") == (75, b""), proxy.given)
    want(place.fetch(*words[:4], "-n", HOST) == (75, b""), "without")
    want(place.fetch(*words, stdin=b"me\n")[0] == 64, "no password")


@test
def common_name_alone(place):
    """a certificate that names the host in its SAN, and one in its CN alone"""
    for san, expected in (("email:me@example.test", 77), (None, 77),
                          (f"IP:127.0.0.1,DNS:{HOST}", 0)):
        argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                "ec_paramgen_curve:P-256", "-nodes", "-days", "9", "-subj",
                f"/CN={HOST}", "-CA", f"{place.certificates}/ca.pem",
                "-CAkey", f"{place.certificates}/ca.key", "-keyout",
                f"{place.folder}/cn.key", "-out", f"{place.folder}/cn.pem",
                "-addext", "basicConstraints=critical,CA:FALSE"]
        if san:
            argv += ["-addext", f"subjectAltName={san}"]
        subprocess.run(argv, check=True, capture_output=True, timeout=30)
        https = Https(place.folder, "cn")
        place.stack.callback(https.stop)
        got = place.fetch("-p", str(https.port), HOST, "127.0.0.1")
        want(got == (expected, POLICY if not expected else b""), (san, got))


@test
def name_without_password(place):
    """a user name alone, as it separates streams in Tor"""
    proxy = place.proxy((b"me", b""))
    words = ("-x", "127.0.0.1", "-q", str(proxy.port), "-u", "-n", HOST)
    want(place.fetch(*words, stdin=b"me\n\n") == (0, POLICY), proxy.given)


@test
def never_directly(place):
    """a dead proxy, whatever the environment says: nothing is asked"""
    with harness.dead_port() as dead:
        port = str(dead.getsockname()[1])
        for env in ({}, {"no_proxy": "*"}, {"NO_PROXY": HOST}):
            for words in (("-n", HOST), (HOST, "127.0.0.1")):
                want(place.fetch("-x", "127.0.0.1", "-q", port, *words,
                                 env=env) == (75, b""), f"{env} {words}")
    want(not place.https.connections, "the policy's host was called")


@test
def silent_proxy(place):
    """a silent proxy ends at the deadline, over all addresses"""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        began = time.monotonic()
        want(place.fetch("-x", "127.0.0.1", "-q",
                         str(silent.getsockname()[1]), HOST, "192.0.2.7",
                         "192.0.2.8", seconds=2) == (75, b""), "an answer")
        want(time.monotonic() - began < 6, time.monotonic() - began)


@test
def misuse(place):
    """wrong use: 64"""
    for words in ((), (HOST,), ("-n", HOST), ("-x", "a/b", HOST, "192.0.2.7"),
                  ("-x", "127.0.0.1", "-n", HOST, "192.0.2.7"),
                  ("-q", "0", HOST, "192.0.2.7"), ("MTA", "192.0.2.7"),
                  ("-y", HOST, "192.0.2.7")):
        want(place.fetch(*words)[0] == 64, words)


def main():
    if not FETCH.exists():
        return harness.skip_all("built without MTA-STS")
    return harness.tap(TESTS)


if __name__ == "__main__":
    sys.exit(main())
