#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""MTA-STS: policies from an https server of the test's own, fetched by
posthaste-fetch, held against scripted mail hosts."""

import http.server
import os
import pathlib
import socket
import ssl
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import mxnet  # noqa: E402
from mxnet import Hosts, submit, want  # noqa: E402
from socks_proxy import Socks  # noqa: E402

PORT = 8443
MX = "192.0.2.11"
MX2 = "192.0.2.12"
POLICY = "192.0.2.40"
DOMAINS = ["enforce", "testing", "none", "unlisted", "unlistedtesting",
           "mixed", "wild", "wilddeep", "warm", "warmdns", "changed",
           "short", "redirect", "large", "largest", "missing", "notpolicy",
           "silent", "slow", "shared", "norecord", "tworecords", "badid",
           "crlf", "dane"]
RELAXED = {"message": b"From: a@sender.test\nTo: b@c\nTLS-Required: No\n"
                      b"Subject: s\n\nbody\n"}


def policy(mode, *mx, age=86400, end="\n"):
    return end.join(["version: STSv1", f"mode: {mode}"] +
                    [f"mx: {m}" for m in mx] + [f"max_age: {age}", ""])


def name(domain):
    return f"{domain}.example.test"


def padded(n):
    text = policy("enforce", "nobody.test")
    return text + "x: " + "y" * (n - len(text) - 4) + "\n"


class Site(http.server.ThreadingHTTPServer):
    """https on one address; what it gives by the name it is asked for."""

    daemon_threads = True
    address_family = 2

    def __init__(self, certs, certificate, address):
        super().__init__((address, PORT), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"{certs}/{certificate}.pem",
                                f"{certs}/{certificate}.key")
        self.context, self.asked, self.away = context, [], False
        self.policy = {
            "enforce": policy("enforce", "mx.enforce.example.test"),
            "testing": policy("testing", "mx.testing.example.test"),
            "none": policy("none"),
            "redirect": policy("enforce", "elsewhere.test"),
            "unlisted": policy("enforce", "elsewhere.test"),
            "unlistedtesting": policy("testing", "elsewhere.test"),
            "mixed": policy("enforce", "mx2.mixed.example.test"),
            "wild": policy("enforce", "*.wild.example.test"),
            "wilddeep": policy("enforce", "*.example.test"),
            "warm": policy("enforce", "mx.warm.example.test"),
            "warmdns": policy("enforce", "mx.warmdns.example.test"),
            "changed": policy("enforce", "mx.changed.example.test"),
            "short": policy("enforce", "mx.short.example.test", age=1),
            "large": padded(65 * 1024),
            "largest": padded(64 * 1024),
            "notpolicy": "<html>nothing here</html>\n",
            "shared": policy("enforce", "mx.shared.example.test"),
            "norecord": policy("enforce", "elsewhere.test"),
            "tworecords": policy("enforce", "elsewhere.test"),
            "badid": policy("enforce", "elsewhere.test"),
            "crlf": policy("enforce", "mx.crlf.example.test", end="\r\n"),
            "dane": policy("enforce", "elsewhere.test"),
            "slow": policy("enforce", "elsewhere.test"),
            "wrongname": policy("enforce", "elsewhere.test"),
            "wrongca": policy("enforce", "elsewhere.test"),
            "expired": policy("enforce", "elsewhere.test"),
        }
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def finish_request(self, request, client_address):
        if self.away:
            request.close()
            return
        request.settimeout(30)
        try:
            tls = self.context.wrap_socket(request, server_side=True)
        except OSError:
            return
        self.RequestHandlerClass(tls, client_address, self)

    def handle_error(self, request, client_address):
        pass


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        host = self.headers["Host"].split(":")[0]
        domain = host.removeprefix("mta-sts.").removesuffix(".example.test")
        self.server.asked.append((domain, self.path))
        if domain == "redirect" and self.path.startswith("/.well"):
            self.send_response(302)
            self.send_header("Location", "/elsewhere.txt")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if domain == "silent":
            time.sleep(30)
            return
        text = self.server.policy.get(domain)
        if text is None or self.path not in (
                "/.well-known/mta-sts.txt", "/elsewhere.txt"):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        for byte in text:
            self.wfile.write(byte.encode())
            if domain == "slow":
                time.sleep(1)


def records():
    out = []
    for d in DOMAINS + ["wrongname", "wrongca", "expired", "noaddress",
                        "local", "dead"]:
        where = {"wrongname": "192.0.2.41", "wrongca": "192.0.2.42",
                 "expired": "192.0.2.43", "local": "127.0.0.1",
                 "dead": "192.0.2.49"}.get(d, POLICY)
        out += [f"{d} MX 10 mx.{d}", f"mx.{d} A {MX}"]
        if d not in ("norecord", "badid"):
            out += [f'_mta-sts.{d} TXT "v=STSv1; id=1;"']
        if d != "noaddress":
            out += [f"mta-sts.{d} A {where}"]
    out += ['_mta-sts.tworecords TXT "v=STSv1; id=2;"',
            '_mta-sts.tworecords TXT "unrelated"',
            '_mta-sts.badid TXT "v=STSv1; id=a-b;"',
            "mixed MX 20 mx2.mixed", f"mx2.mixed A {MX2}",
            "plain MX 10 mx.plain", f"mx.plain A {MX}"]
    return "\n".join(out) + "\n"


class World:
    def __init__(self, folder):
        self.certs = certs = f"{folder}/certs"
        mxnet.harness.make_certificates(certs)
        mxnet.certificate(certs, "root", authority=True)
        mxnet.certificate(certs, "stranger", authority=True)
        hosts = [f"mta-sts.{name(d)}" for d in DOMAINS]
        mxnet.certificate(certs, "site", hosts, ca="root")
        mxnet.certificate(certs, "site-named", ["elsewhere.test"], ca="root")
        mxnet.certificate(certs, "site-ca", ["mta-sts.wrongca.example.test"],
                          ca="stranger")
        mxnet.certificate(certs, "mx", [f"mx.{name(d)}" for d in DOMAINS] +
                          ["mx2.mixed.example.test",
                           "mx.plain.example.test"], ca="root")
        mxnet.certificate(certs, "mx-named", ["elsewhere.test"], ca="root")
        self.ca = f"{certs}/root.crt"
        self.site = Site(certs, "site", POLICY)
        Site(certs, "site-named", "192.0.2.41")
        Site(certs, "site-ca", "192.0.2.42")
        Site(certs, "expired", "192.0.2.43")
        text = records() + "_25._tcp.mx.dane TLSA " + mxnet.tlsa(
            certs, "mx", 3) + "\n"
        self.names = mxnet.Names(f"{folder}/names", {"example.test": text},
                                 signed=("example.test",))


def send(folder, domain, certificate="mx", status=0, script="", other=None,
         other_script="", tls="", **more):
    """A message to a domain whose hosts show a certificate (None: they have
    no TLS). Gives the result and the hosts."""
    said = f"tls starttls\ncertificate {certificate}\n" if certificate else ""
    with Hosts(folder, WORLD.certs) as h:
        h.add(MX, said + script)
        if other:
            h.add(MX2, f"tls starttls\ncertificate {other}\n{other_script}")
        r = submit(folder, [f"b@{name(domain)}"], ca=WORLD.ca,
                   tls=f"mta_sts_port = {PORT}\n{tls}", **more)
        want(r.status == status,
             f"{domain}: {r.status}, not {status}: {r.err}{r.log}")
        taken = len(h.messages(MX)) + (len(h.messages(MX2)) if other else 0)
        want(taken == (status == 0), f"{domain}: {taken} messages")
        if status:
            want(not [w for w in h.said(MX) if w[:4] == "MAIL"], h.said(MX))
        return r, h.stop()


def fetched(domain):
    return len([d for d, _ in WORLD.site.asked if d == domain])


def in_force(folder, domain, **more):
    """Whether a host without TLS is refused by policy."""
    send(folder, domain, None, 75, **more)


def no_policy(folder, domain, word=None, **more):
    """No policy: even a host without TLS gets the mail; the log says why."""
    r, _ = send(folder, domain, None, **more)
    want(not word or word in r.log, f"{domain}: {r.log}")
    return r


def enforce(folder, _):
    """enforce: delivered with verified TLS, one fetch, kept in the cache"""
    r, h = send(folder, "enforce")
    want(r.lines()[0]["tls"] == "TLS1.3", r.log)
    want(fetched("enforce") == 1, WORLD.site.asked)
    send(folder, "enforce")
    want(fetched("enforce") == 1, "it was fetched twice")
    want(os.listdir(f"{folder}/cache") == ["enforce.example.test"],
         os.listdir(f"{folder}/cache"))


def enforce_fails(folder, _):
    """enforce: no TLS, a broken handshake, a wrong name or CA: 75, unsent"""
    in_force(folder, "enforce")
    send(folder, "enforce", "mx-named", 75)
    send(folder, "enforce", "self-signed", 75)
    _, h = send(folder, "enforce", "mx", 75,
                "on starttls\n  reply 220 go\n  close\n")
    want(h.connections(MX) == 1, "it came again")


def testing(folder, _):
    """testing: delivered whatever the certificate, and logged"""
    for certificate in ("mx-named", "self-signed", None):
        r, _ = send(folder, "testing", certificate)
        want("mode testing would refuse mx.testing" in r.log, r.log)
    r, h = send(folder, "testing")
    want("would refuse" not in r.log and h.connections(MX) == 1, r.log)
    r, h = send(folder, "testing", "mx", script="on starttls\n"
                "  reply 220 go\n  close\n")
    want("would refuse" in r.log, r.log)
    r, _ = send(folder, "unlistedtesting")
    want("no host by the policy" in r.log, r.log)


def mode_none(folder, _):
    """none: opportunistic"""
    no_policy(folder, "none")


def unlisted(folder, _):
    """an MX that the policy does not list: 75, not connected to"""
    r, h = send(folder, "unlisted", "mx", 75)
    want(not h.connections(MX), "it was connected to")
    want("does not list" in r.err, r.err)


def listed_second(folder, _):
    """only the second MX is listed: it gets the mail, the first is passed"""
    _, h = send(folder, "mixed", "mx", other="mx")
    want(not h.connections(MX) and len(h.messages(MX2)) == 1, "wrong host")


def listed_lacks(folder, _):
    """what the one that is listed lacks is final: the other is none"""
    r, h = send(folder, "mixed", "mx", 65, other="mx",
                other_script="no-extensions\nextension SIZE 50\n")
    want("too large" in r.err and "policy" not in r.err, r.err)
    want(not h.connections(MX), "it was connected to")


def wildcard(folder, _):
    """*.domain is one label deep"""
    send(folder, "wild")
    send(folder, "wilddeep", "mx", 75)


def crlf(folder, _):
    """a policy with CRLF"""
    in_force(folder, "crlf")
    send(folder, "crlf")


def warm(folder, _):
    """the policy server away, the cache warm: still enforced"""
    send(folder, "warm")
    WORLD.site.away = True
    try:
        in_force(folder, "warm")
        send(folder, "warm")
        no_policy(f"{folder}", "enforce")
    finally:
        WORLD.site.away = False


def warm_without_record(folder, _):
    """the record away, the cache warm: still enforced"""
    send(folder, "warmdns")
    d = mxnet.Resolver(lambda n, t: {
        ("warmdns.example.test", "MX"): [mxnet.record(
            n, "MX", (10, "mx.warmdns.example.test"))],
        ("mx.warmdns.example.test", "A"): [mxnet.record(n, "A", MX)],
    }.get((n, t), 3))
    in_force(folder, "warmdns", resolver=d.where)
    d.stop()
    d = mxnet.Resolver(lambda n, t: {
        ("warmdns.example.test", "MX"): [mxnet.record(
            n, "MX", (10, "mx.warmdns.example.test"))],
        ("mx.warmdns.example.test", "A"): [mxnet.record(n, "A", MX)],
    }.get((n, t), 2))
    in_force(folder, "warmdns", resolver=d.where)
    d.stop()


def changed(folder, _):
    """a new id: fetched anew; while that fails the old one is in force"""
    ident = ["1"]

    def answer(n, t):
        if (n, t) == ("_mta-sts.changed.example.test", "TXT"):
            text = f"v=STSv1; id={ident[0]};".encode()
            return [mxnet.raw_record(n, 16, bytes([len(text)]) + text)]
        return {("changed.example.test", "MX"): [mxnet.record(
                    n, "MX", (10, "mx.changed.example.test"))],
                ("mx.changed.example.test", "A"): [mxnet.record(n, "A", MX)],
                ("mta-sts.changed.example.test", "A"): [mxnet.record(
                    n, "A", POLICY)]}.get((n, t), [])
    d = mxnet.Resolver(answer)
    in_force(folder, "changed", resolver=d.where)
    ident[0] = "2"
    WORLD.site.away = True
    in_force(folder, "changed", resolver=d.where)
    WORLD.site.away = False
    want(fetched("changed") == 1, WORLD.site.asked)
    # what failed is not asked for again at once (RFC 8461 3.3)
    ident[0] = "3"
    WORLD.site.policy["changed"] = policy("none")
    no_policy(folder, "changed", resolver=d.where)
    want(fetched("changed") == 2, WORLD.site.asked)
    d.stop()


def expiry(folder, _):
    """after max_age a policy that cannot be had again is gone"""
    send(folder, "short")
    time.sleep(2)
    WORLD.site.away = True
    try:
        no_policy(folder, "short")
    finally:
        WORLD.site.away = False


def redirect(folder, _):
    """a redirect is not followed: no policy"""
    no_policy(folder, "redirect", "no policy")
    want(fetched("redirect") == 1, WORLD.site.asked)


def large(folder, _):
    """65 KiB: no policy; 64 KiB: a policy"""
    no_policy(folder, "large", "no policy")
    send(folder, "largest", "mx", 75)


def wrong_certificate(folder, _):
    """a wrong name, an unknown CA, an expired certificate: no policy"""
    for domain in ("wrongname", "wrongca", "expired"):
        no_policy(folder, domain, "certificate is not valid")


def not_there(folder, _):
    """404, no text of a policy, no address, nobody there: no policy"""
    for domain in ("missing", "notpolicy", "noaddress", "dead"):
        no_policy(folder, domain, "MTA-STS")


def loopback(folder, _):
    """a policy host at a loopback address is not connected to"""
    no_policy(folder, "local", "no address")


def records_odd(folder, _):
    """no record, two records, a bad id: nothing is fetched"""
    for domain in ("norecord", "tworecords", "badid"):
        no_policy(folder, domain)
        want(not fetched(domain), f"{domain} was fetched")


def silent(folder, _):
    """a policy server that is silent or drips: ended at the deadline"""
    for domain in ("silent", "slow"):
        r = no_policy(folder, domain, "MTA-STS", general="timeout = 3s")
        want(r.took < 9, f"{domain}: it took {r.took:.1f} s")


def relaxed(folder, _):
    """TLS-Required: No: no policy is asked for; --require-tls outranks it"""
    before = fetched("enforce")
    send(folder, "enforce", None, **RELAXED)
    want(fetched("enforce") == before, "it was fetched")
    in_force(folder, "enforce", arguments=("--require-tls",), **RELAXED)


def require_tls(folder, _):
    """--require-tls: 69 5.7.30 without a policy, or with one in testing"""
    for domain in ("plain", "testing", "none"):
        r, h = send(folder, domain, "mx", 69, arguments=("--require-tls",))
        want(r.lines()[0]["dsn"] == "5.7.30", r.log)
        want(not h.connections(MX), "it was connected to")
    r, _ = send(folder, "enforce", "mx", 69, arguments=("--require-tls",))
    want(r.lines()[0]["dsn"] == "5.7.30", r.log)
    _, h = send(folder, "enforce", "mx", script="tls-extension REQUIRETLS\n",
                arguments=("--require-tls",))
    mail = [w for w in h.said(MX) if w[:4] == "MAIL"]
    want("REQUIRETLS" in mail[0], mail)


def switched_off(folder, _):
    """mta_sts = no: neither asked for nor obeyed"""
    asked = len(WORLD.names.questions())
    no_policy(folder, "enforce", tls="mta_sts = no")
    want("TXT" not in {k for _, k in WORLD.names.questions()[asked:]},
         "a record was asked for")


def dane_first(folder, _):
    """usable TLSA records: the policy is not consulted"""
    send(folder, "dane", "mx")
    want(not fetched("dane"), "it was fetched")
    send(folder, "dane", "mx", 75, tls="dane = no")
    want(fetched("dane") == 1, WORLD.site.asked)


def explained(folder, _):
    """--explain asks the cache alone, and names the policy"""
    r = submit(folder, [f"b@{name('shared')}"], ca=WORLD.ca,
               tls=f"mta_sts_port = {PORT}\n", arguments=("--explain",))
    want(not fetched("shared") and "enforced" not in r.out, r.out)
    send(folder, "shared")
    r = submit(folder, [f"b@{name('shared')}"], ca=WORLD.ca,
               tls=f"mta_sts_port = {PORT}\n", arguments=("--explain",))
    want("MTA-STS policy, enforced" in r.out and fetched("shared") == 1,
         r.out)


def by_a_proxy(folder, _):
    """through a proxy that is an IPv6 address: fetched, and enforced"""
    proxy = Socks(None, family=socket.AF_INET6)
    before = fetched("enforce")
    try:
        in_force(folder, "enforce", more="[route r]\ntransport = out\n"
                 "[transport out]\nkind = socks\n"
                 f"address = [::1]:{proxy.port}\n")
    finally:
        proxy.stop()
    want(proxy.targets == [POLICY, MX], proxy.targets)
    want(fetched("enforce") == before + 1, WORLD.site.asked)


def authorities_are_read(folder, _):
    """a ca_file that cannot be read: 75 and nothing kept, then delivered"""
    path = pathlib.Path(folder, "authorities.pem")
    before = fetched("enforce")
    for text in (None, ""):
        if text is not None:
            path.write_text(text)
        with Hosts(folder, WORLD.certs) as h:
            h.add(MX)
            r = submit(folder, [f"b@{name('enforce')}"], ca=path,
                       tls=f"mta_sts_port = {PORT}\n")
            r.expect(75, f"the CA certificates in {path} cannot be read")
            want(not h.messages(MX), "it was sent in clear")
        want(fetched("enforce") == before and
             not os.path.exists(f"{folder}/cache/.failed.{name('enforce')}"),
             "it was taken for no policy")
    send(folder, "enforce")
    want(fetched("enforce") == before + 1, WORLD.site.asked)


def many_at_once(folder, _):
    """eight processes with one cold cache: all delivered, one whole file"""
    send(folder, "plain")
    conf = pathlib.Path(folder, "conf")
    env = mxnet.harness.environment(folder)
    with Hosts(folder, WORLD.certs) as h:
        h.add(MX, "tls starttls\ncertificate mx\n")
        children = [subprocess.Popen(
            [mxnet.harness.POSTHASTE, "-C", str(conf), "-f", "a@sender.test",
             f"b@{name('shared')}"], stdin=subprocess.PIPE,
            stderr=subprocess.PIPE, env=env, cwd=folder) for _ in range(8)]
        for child in children:
            _, err = child.communicate(mxnet.MESSAGE, timeout=60)
            want(child.returncode == 0, err)
        want(len(h.messages(MX)) == 8, "not all came")
    want(os.listdir(f"{folder}/cache") == ["shared.example.test"],
         os.listdir(f"{folder}/cache"))
    WORLD.site.away = True
    try:
        in_force(folder, "shared")
    finally:
        WORLD.site.away = False


TESTS = [enforce, enforce_fails, testing, mode_none, unlisted, listed_second,
         listed_lacks, wildcard, crlf, warm, warm_without_record, changed,
         expiry, redirect, large, wrong_certificate, not_there, loopback,
         records_odd, silent, relaxed, require_tls, switched_off, dane_first,
         explained, by_a_proxy, authorities_are_read, many_at_once]


def main():
    global WORLD
    mxnet.isolate("nsd", "unbound", "ldns-keygen", "ldns-signzone",
                  "openssl", "mount")
    with mxnet.scratch() as folder:
        mxnet.install_fetch(folder)
        WORLD = World(folder)
        status = mxnet.tap(TESTS)
        WORLD.names.stop()
    return status


if __name__ == "__main__":
    sys.exit(main())
