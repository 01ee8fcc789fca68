#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""--dnscheck against a zone of its own: all in order, and the plain cases of
what may be wrong; the JSON, the exit status, the screen. TAP."""

import base64
import contextlib
import copy
import http.server
import json
import os
import pathlib
import pty
import re
import socket
import ssl
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import harness  # noqa: E402
import mxnet  # noqa: E402
from harness import want  # noqa: E402
from nameserver import Dns  # noqa: E402
from socks_proxy import Socks  # noqa: E402

# RFC 8410: what stands before the 32 bytes of an Ed25519 private key, and
# a key of RFC 8032 section 7.1 with its public half
ED25519 = bytes.fromhex("302e020100300506032b657004220420")
SECRET = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
PUBLIC = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"


def b64(text):
    return base64.b64encode(bytes.fromhex(text)).decode()


class Policy(http.server.ThreadingHTTPServer):
    """The host mta-sts.example.test."""

    daemon_threads = True

    def __init__(self, certificates, text):
        self.text = text
        super().__init__(("127.0.0.1", 0), Answer)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"{certificates}/wildcard.pem",
                                f"{certificates}/wildcard.key")
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.thread = threading.Thread(target=self.serve_forever,
                                       kwargs={"poll_interval": 0.05})
        self.thread.start()

    def handle_error(self, request, client_address):
        pass

    def stop(self):
        self.shutdown()
        self.thread.join()
        self.server_close()


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = self.server.text.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass


# --- a world in which nothing is wrong ---

ZONE = {
    "example.test MX": ["10 mx1.example.test", "20 mx2.example.test"],
    "example.test TXT": [
        "unrelated", "v=spf1 ip4:203.0.113.5 ip4:198.51.100.7 "
        "ip6:2001:db8::5 -all"],
    "mx1.example.test A": ["192.0.2.1"],
    "mx2.example.test AAAA": ["2001:db8::2"],
    "mail.example.test A": ["203.0.113.5"],
    "mail.example.test AAAA": ["2001:db8::5"],
    "mail.example.test TXT": ["v=spf1 a -all"],
    "out.example.test A": ["198.51.100.7"],
    "out.example.test TXT": ["v=spf1 ip4:198.51.100.7 -all"],
    "5.113.0.203.in-addr.arpa PTR": ["mail.example.test"],
    "7.100.51.198.in-addr.arpa PTR": ["out.example.test"],
    "5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"
    " PTR": ["mail.example.test"],
    "s1._domainkey.example.test TXT": [f"v=DKIM1; k=ed25519; p={b64(PUBLIC)}"],
    "_dmarc.example.test TXT": ["v=DMARC1; p=reject"],
    "_mta-sts.example.test TXT": ["v=STSv1; id=1"],
    "mta-sts.example.test A": ["127.0.0.1"],
    "_smtp._tls.example.test TXT": ["v=TLSRPTv1; rua=mailto:a@example.test"],
    "_25._tcp.mx1.example.test TLSA": ["3 1 1 " + "ab" * 32],
    "_25._tcp.mx2.example.test TLSA": ["2 0 1 " + "cd" * 32],
}
POLICY = ("version: STSv1\nmode: enforce\nmx: mx1.example.test\n"
          "mx: *.example.test\nmx: example.test\nmax_age: 86400\n")
CHECKS = {"mx", "cname", "spf", "ptr", "dkim", "dmarc", "mta-sts", "tlsrpt",
          "tlsa", "dnssec", "hostname"}


class Place:
    def __init__(self, folder, certificates, stack):
        self.folder = folder
        self.zone = copy.deepcopy(ZONE)
        self.dns = Dns(self.zone, signed=True)
        stack.callback(self.dns.stop)
        self.policy = Policy(certificates, POLICY)
        stack.callback(self.policy.stop)
        self.env = harness.environment(folder)
        pathlib.Path(folder, "key.pem").write_text(
            "-----BEGIN PRIVATE KEY-----\n" +
            base64.b64encode(ED25519 + bytes.fromhex(SECRET)).decode() +
            "\n-----END PRIVATE KEY-----\n")
        self.configuration = f"""
[general]
hostname = mail.example.test
[log]
to = none
[queue]
queue = never
[dns]
resolver = 127.0.0.1:{self.dns.port}
dnssec = trust
allow_loopback_mx = yes
[tls]
ca_file = {certificates}/ca.pem
mta_sts_port = {self.policy.server_address[1]}
[domain example.test]
dkim_selector = s1
dkim_key = {folder}/key.pem
[transport tor]
kind = socks
address = 127.0.0.1:9
remote_ips = 198.51.100.7
remote_hostname = out.example.test
"""

    def argv(self, domain, *words):
        path = pathlib.Path(self.folder, "posthaste.conf")
        path.write_text(self.configuration)
        return ["-C", str(path), "--dnscheck", domain, *words]

    def check(self, domain="example.test"):
        """Status, and the rows as dictionaries."""
        status, out, err = harness.run(self.argv(domain, "--json"), b"",
                                       self.env, self.folder)
        want(status in (0, 1) and not err, f"{status} {err.decode()}")
        report = json.loads(out)
        want(report["domain"] == domain, report)
        for row in report["checks"]:
            want(set(row) == {"check", "subject", "status", "found",
                              "publish"}, row)
        bad = any(row["status"] == "FAIL" for row in report["checks"])
        want(status == (1 if bad else 0), f"status {status}: {report}")
        return report["checks"]

    def one(self, check, status, publish="", subject="", found=""):
        """The only rows that are not OK are of this check, and there is one
        as given."""
        rows = [row for row in self.check() if row["status"] != "OK"]
        want(rows and all(row["check"] == check for row in rows), rows)
        want(any(row["status"] == status and
                 publish in (row["publish"] or "") and
                 subject in row["subject"] and found in row["found"]
                 for row in rows), rows)


TESTS = []


def test(title):
    def register(function):
        def run(folder, certificates):
            with contextlib.ExitStack() as stack:
                function(Place(folder, certificates, stack))
        TESTS.append((title, run))
        return function
    return register


@test("nothing is wrong: all OK, 0")
def right(place):
    rows = place.check()
    want(all(row["status"] == "OK" for row in rows), rows)
    want({row["check"] for row in rows} == CHECKS, rows)
    want(all(row["publish"] is None for row in rows), rows)
    for subject in ("example.test from 203.0.113.5",
                    "example.test from 198.51.100.7",
                    "example.test from 2001:db8::5",
                    "mail.example.test from 203.0.113.5",
                    "out.example.test from 198.51.100.7"):
        want([row for row in rows if row["check"] == "spf" and
              row["subject"] == subject], f"{subject} in {rows}")


FAULTS = [
    # title, {records that change}, what the one row is
    ("no MX, no address", {"example.test MX": []},
     ("mx", "FAIL", "example.test. MX 10 mail.example.test.")),
    ("no MX, an address", {"example.test MX": [],
                           "example.test A": ["192.0.2.1"],
                           "_25._tcp.example.test TLSA":
                           ["3 1 1 " + "ab" * 32]},
     ("mx", "WARN", "example.test. MX 10 mail.example.test.")),
    ("null MX", {"example.test MX": ["0 ."]},
     ("mx", "FAIL", "example.test. MX 10 mail.example.test.")),
    ("MX lookup fails", {"example.test MX": ["SERVFAIL"]}, ("mx", "FAIL")),
    ("an MX host without address", {"mx2.example.test AAAA": []},
     ("mx", "WARN", "mx2.example.test. A")),
    ("an MX host that is an alias",
     {"mx1.example.test A": [], "mx1.example.test CNAME": ["m.example.test"],
      "m.example.test A": ["192.0.2.1"]},
     ("cname", "WARN", "mx1.example.test. A 192.0.2.1")),
    ("no SPF record", {"example.test TXT": ["unrelated"]},
     ("spf", "FAIL", 'example.test. TXT "v=spf1 ip4:203.0.113.5 '
      'ip6:2001:db8::5 ip4:198.51.100.7 -all"')),
    ("the proxy's address is not in SPF",
     {"example.test TXT": ["v=spf1 ip4:203.0.113.5 ip6:2001:db8::5 ~all"]},
     ("spf", "FAIL", 'example.test. TXT "v=spf1 ip4:198.51.100.7 '
      'ip4:203.0.113.5 ip6:2001:db8::5 ~all"',
      "example.test from 198.51.100.7", "softfail")),
    ("two SPF records", {"example.test TXT": ["v=spf1 -all", "v=spf1 +all"]},
     ("spf", "FAIL", "v=spf1 ip4:203.0.113.5", "", "permerror")),
    ("the EHLO name's SPF fails", {"mail.example.test TXT": ["v=spf1 -all"]},
     ("spf", "FAIL", 'mail.example.test. TXT "v=spf1 ip4:203.0.113.5 '
      'ip6:2001:db8::5 -all"')),
    ("the EHLO name has no SPF", {"out.example.test TXT": []},
     ("spf", "WARN", 'out.example.test. TXT "v=spf1 ip4:198.51.100.7 -all"')),
    ("no PTR", {"5.113.0.203.in-addr.arpa PTR": []},
     ("ptr", "FAIL", "5.113.0.203.in-addr.arpa. PTR mail.example.test.")),
    ("another PTR, confirmed",
     {"7.100.51.198.in-addr.arpa PTR": ["exit.example.test"],
      "exit.example.test A": ["198.51.100.7"]},
     ("ptr", "WARN", "7.100.51.198.in-addr.arpa. PTR out.example.test.",
      "198.51.100.7")),
    ("another PTR, not confirmed",
     {"7.100.51.198.in-addr.arpa PTR": ["exit.example.test"]},
     ("ptr", "FAIL", "PTR out.example.test.")),
    ("a PTR that does not lead back", {"out.example.test A": ["192.0.2.99"]},
     ("ptr", "FAIL", "out.example.test. A 198.51.100.7")),
    ("no DKIM key", {"s1._domainkey.example.test TXT": []},
     ("dkim", "FAIL", "s1._domainkey.example.test. TXT "
      f'"v=DKIM1; k=ed25519; p={b64(PUBLIC)}"')),
    ("another DKIM key", {"s1._domainkey.example.test TXT": [
        f"v=DKIM1; k=ed25519; p={b64(SECRET)}"]},
     ("dkim", "FAIL", b64(PUBLIC), "", "differs")),
    ("a revoked DKIM key", {"s1._domainkey.example.test TXT": ["p="]},
     ("dkim", "FAIL", b64(PUBLIC), "", "revoked")),
    ("no DMARC", {"_dmarc.example.test TXT": []},
     ("dmarc", "WARN", '_dmarc.example.test. TXT "v=DMARC1; p=')),
    ("a bad DMARC policy", {"_dmarc.example.test TXT": ["v=DMARC1; p=no"]},
     ("dmarc", "WARN", '_dmarc.example.test. TXT "v=DMARC1; p=')),
    ("no MTA-STS", {"_mta-sts.example.test TXT": []},
     ("mta-sts", "WARN", '_mta-sts.example.test. TXT "v=STSv1; id=')),
    ("no MTA-STS host", {"mta-sts.example.test A": []},
     ("mta-sts", "WARN",
      "https://mta-sts.example.test/.well-known/mta-sts.txt")),
    ("no TLSRPT", {"_smtp._tls.example.test TXT": []},
     ("tlsrpt", "WARN", '_smtp._tls.example.test. TXT "v=TLSRPTv1; rua=')),
    ("no TLSA", {"_25._tcp.mx1.example.test TLSA": []},
     ("tlsa", "WARN", "_25._tcp.mx1.example.test. TLSA 3 1 1")),
    ("TLSA that cannot be looked up",
     {"_25._tcp.mx1.example.test TLSA": ["SERVFAIL"]}, ("tlsa", "FAIL")),
    ("the EHLO name has no address",
     {"mail.example.test A": [], "mail.example.test AAAA": []},
     ("hostname", "FAIL", "mail.example.test. A")),
]


def fault(title, changes, row):
    @test(title)
    def run(place):
        place.zone.update(changes)
        place.one(*row)


for each in FAULTS:
    fault(*each)


@test("a policy without the MX: FAIL when enforced, WARN in testing")
def policy(place):
    place.policy.text = POLICY.replace("mx: *.example.test\n", "")
    place.one("mta-sts", "FAIL", "mx: mx2.example.test", "", "mx2")
    place.policy.text = place.policy.text.replace("enforce", "testing")
    place.one("mta-sts", "WARN", "mx: mx2.example.test", "", "mx2")
    place.policy.text = "nonsense"
    place.one("mta-sts", "WARN", "mx: mx2.example.test", "", "no policy")


@test("where all goes through a proxy, the policy is fetched by it")
def proxied(place):
    port = place.policy.server_address[1]
    password = b"p w%:@/"
    with contextlib.ExitStack() as stack:
        proxy = Socks(port, (b"me", password))
        stack.callback(proxy.stop)
        place.configuration = place.configuration.replace(
            "address = 127.0.0.1:9\n", f"address = 127.0.0.1:{proxy.port}\n"
            f"proxy_username = me\nproxy_password = {password.decode()}\n"
        ) + "[route all]\ntransport = tor\n"
        pathlib.Path(place.folder, "posthaste.conf").touch(0o600)
        place.check()
        place.configuration = place.configuration.replace(
            "kind = socks\n", "kind = socks\nproxy_dns = yes\n")
        rows = place.check()
        want(all(row["status"] == "OK" for row in rows), rows)
        want(proxy.targets == ["127.0.0.1", "mta-sts.example.test"],
             proxy.targets)
    place.one("mta-sts", "WARN", "", "example.test", "does not answer")


@test("a direct transport with a name, or an address, of its own")
def other_name(place):
    place.configuration += ("[transport d]\nkind = direct\n"
                            "hostname = d.example.test\n"
                            "[transport e]\nkind = direct\n"
                            "source_address = 203.0.113.9\n")
    place.zone["d.example.test A"] = ["203.0.113.8"]
    rows = [row for row in place.check() if row["status"] == "FAIL"]
    want({(row["check"], row["subject"]) for row in rows} == {
        ("spf", "example.test from 203.0.113.8"),
        ("spf", "example.test from 203.0.113.9"),
        ("spf", "mail.example.test from 203.0.113.9"),
        ("ptr", "203.0.113.8"), ("ptr", "203.0.113.9")}, rows)


@test("a resolver that says nothing: FAIL, in bounded time")
def silent(place):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.1", 0))
        place.configuration = place.configuration.replace(
            f"127.0.0.1:{place.dns.port}",
            f"127.0.0.1:{deaf.getsockname()[1]}").replace(
                "[general]", "[general]\ntimeout = 1s")
        began = time.monotonic()
        rows = place.check()
        want({row["status"] for row in rows} == {"FAIL"}, rows)
        want(time.monotonic() - began < 6, time.monotonic() - began)


@test("without DNSSEC")
def unsigned(place):
    place.dns.signed = False
    rows = [r for r in place.check() if r["status"] != "OK"]
    want({r["check"] for r in rows} == {"dnssec", "tlsa"} and
         all(r["status"] == "WARN" for r in rows), rows)


@test("a key that cannot be read, or none")
def key(place):
    place.configuration = place.configuration.replace("key.pem", "no.pem")
    place.one("dkim", "FAIL", "", "s1._domainkey.example.test", "no.pem")
    place.configuration = re.sub(r"\[domain[^[]*", "", place.configuration)
    place.one("dkim", "WARN")


@test("where every route leads to a relay, its own addresses only warn")
def relayed(place):
    place.zone["example.test TXT"] = ["v=spf1 ip4:198.51.100.7 -all"]
    place.one("spf", "FAIL")
    place.configuration += ("[transport relay]\nkind = smtp\n"
                            "host = relay.example.net\n"
                            "[route all]\ntransport = relay\n")
    place.zone["relay.example.net A"] = ["198.51.100.7"]
    rows = [r for r in place.check() if r["status"] != "OK"]
    want({(r["check"], r["status"]) for r in rows} == {("spf", "WARN")}, rows)
    place.zone["relay.example.net A"] = ["198.51.100.8"]
    rows = [r for r in place.check() if r["check"] == "smarthost"]
    want([(r["subject"], r["status"]) for r in rows] ==
         [("relay.example.net", "WARN")] and "include:" in rows[0]["found"],
         rows)


@test("an alias for a domain")
def alias(place):
    for key in list(place.zone):
        if key.startswith("example.test "):
            place.zone[key.replace("example.", "other.")] = place.zone.pop(key)
    place.zone["example.test CNAME"] = ["other.test"]
    place.one("cname", "WARN", "example.test. MX 10 mx1.example.test.")


@test("a long key is published in strings of at most 255 bytes")
def long_key(place):
    subprocess.run(["openssl", "genrsa", "-out", f"{place.folder}/key.pem",
                    "2048"], check=True, stderr=subprocess.DEVNULL)
    der = subprocess.run(
        ["openssl", "rsa", "-in", f"{place.folder}/key.pem", "-pubout",
         "-outform", "DER"], check=True, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL).stdout
    record = "v=DKIM1; k=rsa; p=" + base64.b64encode(der).decode()
    row, = [r for r in place.check() if r["check"] == "dkim"]
    strings = re.findall(r'"([^"]*)"', row["publish"])
    want("".join(strings) == record, row)
    want(all(len(s) <= 255 for s in strings), row)
    place.zone["s1._domainkey.example.test TXT"] = [record]
    want(all(r["status"] == "OK" for r in place.check()), place.check())


@test("what DNS says cannot move a cursor")
def hostile(place):
    place.zone["_dmarc.example.test TXT"] = ["v=DMARC1; p=none; x=\x1b[2J\n"]
    place.zone["example.test TXT"] = ['v=spf1 x="\x1b\\ -all']
    for words in ((), ("--json",)):
        status, out, _ = harness.run(place.argv("example.test", *words), b"",
                                     place.env, place.folder)
        want(status == 1 and not re.search(rb"[\x00-\x09\x0b-\x1f]", out),
             out)


@test("bad domains: 64")
def bad(place):
    for domain in ("a b", "[192.0.2.1]", "a..b", "x" * 300):
        status, out, err = harness.run(place.argv(domain), b"", place.env,
                                       place.folder)
        want((status, out) == (64, b"") and err.count(b"\n") == 1,
             f"{domain}: {status} {out} {err}")


def on_terminal(place, env):
    """What a terminal gets."""
    master, slave = pty.openpty()
    child = subprocess.Popen([harness.POSTHASTE] + place.argv("example.test"),
                             stdin=subprocess.DEVNULL, stdout=slave,
                             stderr=subprocess.PIPE, env=env)
    os.close(slave)
    out = b""
    with contextlib.suppress(OSError):
        while part := os.read(master, 65536):
            out += part
    os.close(master)
    child.communicate(timeout=30)
    return out


@test("the screen: colour on a terminal alone, never with NO_COLOR")
def screen(place):
    place.zone["_dmarc.example.test TXT"] = []
    status, out, _ = harness.run(place.argv("example.test"), b"", place.env,
                                 place.folder)
    want(status == 0 and b"\x1b" not in out, out)
    want(re.search(rb"(?m)^WARN  dmarc +_dmarc\.example\.test: no record\n"
                   rb" +publish +_dmarc\.example\.test\. TXT ", out), out)
    want(out.endswith(b" OK, 1 WARN, 0 FAIL\n"), out)
    want(b"\x1b[" in on_terminal(place, place.env), "no colour")
    want(b"\x1b" not in on_terminal(place, {**place.env, "NO_COLOR": "1"}),
         "colour with NO_COLOR")


def main():
    if not pathlib.Path(harness.POSTHASTE).with_name(
            "posthaste-fetch").exists():
        return harness.skip_all("built without MTA-STS")
    harness.enter("net", "mount")
    harness.command("ip", "link", "set", "lo", "up")
    with mxnet.scratch() as folder:
        mxnet.install_fetch(folder)
        return harness.tap(TESTS)


if __name__ == "__main__":
    sys.exit(main())
