#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""--dnscheck against a signed zone that is right, and then with one fault at
a time: each is found and named, what to publish is printed, and where that
is a record, publishing it as printed mends the fault."""

import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import dkim as keys  # noqa: E402
import mtasts  # noqa: E402
import mxnet  # noqa: E402
from mxnet import submit, want  # noqa: E402

DOMAIN = "good.example.test"
HOST, EXIT = "192.0.2.10", "192.0.2.77"
POLICY = "192.0.2.40"
REVERSE = "2.0.192.in-addr.arpa"
CONFIG = """[domain good.example.test]
dkim_selector = rsa ed
dkim_key = {folder}/rsa.pem {folder}/ed.pem
[route r]
to_domain = onion.test
transport = tor
[transport tor]
kind = socks
address = 127.0.0.1:9050
remote_ips = 192.0.2.77
remote_hostname = exit.good.example.test
"""


def txt(name, text):
    return f"{name} TXT " + " ".join(f'"{text[i:i + 200]}"'
                                     for i in range(0, len(text), 200))


class World:
    def __init__(self, folder):
        self.folder = folder
        certs = self.certs = f"{folder}/certs"
        mxnet.harness.make_certificates(certs)
        mxnet.certificate(certs, "root", authority=True)
        mxnet.certificate(certs, "site", [f"mta-sts.{DOMAIN}"], ca="root")
        mxnet.certificate(certs, "mx", [f"mx.{DOMAIN}"], ca="root")
        self.site = mtasts.Site(certs, "site", POLICY)
        for name, words in (("rsa", ["RSA", "-pkeyopt",
                                     "rsa_keygen_bits:2048"]),
                            ("ed", ["ED25519"])):
            mxnet.command("openssl", "genpkey", "-algorithm", *words, "-out",
                          f"{folder}/{name}.pem")
        self.config = CONFIG.format(folder=folder)
        self.right = self.records()
        self.runs = 0

    def records(self):
        return {
            "mx": "good MX 10 mx.good",
            "mxa": f"mx.good A {HOST}",
            "spf": txt("good", f"v=spf1 ip4:{HOST} ip4:{EXIT} -all"),
            "helo": txt("mx.good", "v=spf1 a -all"),
            "exita": f"exit.good A {EXIT}",
            "exit": txt("exit.good", f"v=spf1 ip4:{EXIT} -all"),
            "rsa": txt("rsa._domainkey.good", "v=DKIM1; k=rsa; p=" +
                       keys.public(f"{self.folder}/rsa.pem")),
            "ed": txt("ed._domainkey.good", "v=DKIM1; k=ed25519; p=" +
                      keys.public(f"{self.folder}/ed.pem")),
            "dmarc": txt("_dmarc.good", "v=DMARC1; p=reject"),
            "sts": txt("_mta-sts.good", "v=STSv1; id=1"),
            "stsa": f"mta-sts.good A {POLICY}",
            "tlsrpt": txt("_smtp._tls.good",
                          "v=TLSRPTv1; rua=mailto:t@good.example.test"),
            "tlsa": "_25._tcp.mx.good TLSA " +
            mxnet.tlsa(self.certs, "mx", 3),
            "ptr": f"10.{REVERSE}. PTR mx.good.example.test.",
            "exitptr": f"77.{REVERSE}. PTR exit.good.example.test.",
        }

    def check(self, records, config=None, policy=None, domain=DOMAIN,
              arguments=("--json",), signed=True):
        """Status and report for a zone of these records."""
        self.site.policy["good"] = policy or mtasts.policy(
            "enforce", "mx.good.example.test")
        self.runs += 1
        place = f"{self.folder}/run{self.runs}"
        text = {False: "", True: ""}
        for line in filter(None, records.values()):
            text[f"{REVERSE}. PTR" in line] += line + "\n"
        names = mxnet.Names(place, {
            "example.test": "other A 192.0.2.9\n" + text[False],
            REVERSE: "9 PTR other.example.test.\n" + text[True]},
            signed=("example.test",) if signed else ())
        try:
            return submit(
                place, [], more=config or self.config, ca=f"{self.certs}/"
                "root.crt", tls=f"mta_sts_port = {mtasts.PORT}",
                domain=DOMAIN, host="mx.good.example.test",
                arguments=("--dnscheck", domain, *arguments))
        finally:
            names.stop()


def faults(report):
    return [row for row in report["checks"] if row["status"] != "OK"]


def all_right(_, __):
    """no fault: every check OK, status 0"""
    r = WORLD.check(WORLD.right).expect(0)
    report = json.loads(r.out)
    want(report["domain"] == DOMAIN and not faults(report), r.out)
    seen = {row["check"] for row in report["checks"]}
    want({"mx", "cname", "dnssec", "spf", "ptr", "dkim", "dmarc", "mta-sts",
          "tlsrpt", "tlsa"} <= seen, seen)
    want({tuple(sorted(row)) for row in report["checks"]} ==
         {("check", "found", "publish", "status", "subject")}, r.out)
    subjects = [row["subject"] for row in report["checks"]
                if row["check"] == "spf"]
    for address, helo in ((HOST, "mx.good"), (EXIT, "exit.good")):
        want(f"{DOMAIN} from {address}" in subjects and
             f"{helo}.example.test from {address}" in subjects, subjects)
    r = WORLD.check(WORLD.right, arguments=()).expect(0)
    want(" 0 WARN, 0 FAIL" in r.out and "publish" not in r.out and
         "\033" not in r.out, r.out)


def timeless(text):
    """An id that is suggested is the time, which goes on between two runs."""
    return re.sub(r"id=\d+", "id=N", text)


class Fault:
    """What is wrong in the zone, and what must be reported of it."""

    def __init__(self, title, records, check, status, *remedy, heals=None,
                 also=(), **more):
        self.__doc__ = f"{title}: {check} {status}"
        self.records, self.check, self.status = records, check, status
        self.remedy, self.heals = remedy, heals
        self.also, self.more = also, more

    def zone(self):
        return {**WORLD.right, **self.records}

    def __call__(self, folder, certificates):
        more = {k: v(WORLD) if callable(v) else v
                for k, v in self.more.items()}
        r = WORLD.check(self.zone(), **more).expect(
            1 if self.status == "FAIL" else 0)
        rows = faults(json.loads(r.out))
        mine = [row for row in rows if row["check"] == self.check]
        want(mine and all(row["status"] == self.status for row in mine),
             r.out)
        want({row["check"] for row in rows} <= {self.check, *self.also},
             f"more than the fault: {rows}")
        for word in self.remedy:
            want(any(word in (row["publish"] or "") + row["found"]
                     for row in mine), f"{word}: {mine}")
        human = WORLD.check(self.zone(), **more, arguments=())
        for row in mine:
            for word in (row["subject"], row["found"], row["publish"] or ""):
                want(timeless(word) in timeless(human.out),
                     f"{word}: {human.out}")
        if self.heals:
            self.publish(mine, more)

    def publish(self, rows, more):
        zone = self.zone()
        zone[self.heals] = rows[0]["publish"]
        r = WORLD.check(zone, **more)
        left = [row for row in faults(json.loads(r.out))
                if row["check"] == self.check]
        want(r.status == 0 and not left, f"published {rows[0]['publish']}, "
             f"and still: {r.out} {r.err}")


def spf(text):
    return {"spf": txt("good", text)}


def with_config(old, new):
    return lambda world: world.config.replace(old, new)


LOOKUPS = "v=spf1 " + " ".join(f"include:i{i}.good.example.test"
                               for i in range(11)) + f" ip4:{HOST} -all"
INCLUDES = {f"i{i}": txt(f"i{i}.good", "v=spf1 ip4:192.0.2.9 -all")
            for i in range(11)}
FAULTS = [
    Fault("no MX, no address", {"mx": None}, "mx", "FAIL",
          "good.example.test. MX 10 mx.good.example.test.", heals="mx",
          also=("mta-sts", "tlsa")),
    Fault("an address, no MX", {"mx": f"good A {HOST}"}, "mx", "WARN",
          "MX 10 ", also=("mta-sts", "tlsa"), policy=mtasts.policy(
              "enforce", DOMAIN)),
    Fault("null MX", {"mx": "good MX 0 ."}, "mx", "FAIL", "MX 10 ",
          heals="mx"),
    Fault("an MX host without address", {"mx": "good MX 10 nowhere.good"},
          "mx", "FAIL", "nowhere.good.example.test. A",
          also=("mta-sts", "tlsa")),
    Fault("an MX host that is an alias", {
        "mx": "good MX 10 al.good", "alias": "al.good CNAME mx.good"},
        "cname", "WARN", "mx.good", also=("mta-sts", "tlsa"),
        policy=mtasts.policy("enforce", "al.good.example.test")),
    Fault("the domain is an alias", {"al": "alias CNAME good"}, "cname",
          "WARN", "MX", domain="alias.example.test",
          also=("dkim", "dmarc", "mta-sts", "tlsrpt")),
    Fault("no such domain", {}, "mx", "FAIL", "does not exist",
          domain="none.example.test",
          also=("dkim", "dmarc", "mta-sts", "tlsrpt", "spf")),
    Fault("the zone is not signed", {}, "dnssec", "WARN", "DS",
          signed=False, also=("tlsa",)),
    Fault("no SPF", {"spf": None}, "spf", "FAIL", f"ip4:{HOST}",
          f"ip4:{EXIT}", heals="spf"),
    Fault("SPF without this host", spf(f"v=spf1 ip4:{EXIT} -all"), "spf",
          "FAIL", f"ip4:{HOST}", heals="spf"),
    Fault("SPF without the proxy's address", spf(f"v=spf1 ip4:{HOST} -all"),
          "spf", "FAIL", f"ip4:{EXIT}", heals="spf"),
    Fault("SPF that says ~all before it", spf(
        f"v=spf1 ~all ip4:{HOST} ip4:{EXIT}"), "spf", "FAIL", heals="spf"),
    Fault("two SPF records", {"spf2": txt("good", f"v=spf1 ip4:{HOST} -all")},
          "spf", "FAIL", f"ip4:{HOST}"),
    Fault("SPF with a misspelt mechanism", spf(
        f"v=spf1 ipv4:{HOST} ip4:{EXIT} -all"), "spf", "FAIL",
        f"ip4:{HOST}", heals="spf"),
    Fault("SPF with eleven look-ups", {**spf(LOOKUPS), **INCLUDES}, "spf",
          "FAIL", f"ip4:{HOST}", heals="spf"),
    Fault("no SPF of the EHLO name", {"helo": None}, "spf", "WARN",
          "mx.good.example.test. TXT", heals="helo"),
    Fault("SPF of the EHLO name fails", {"helo": txt("mx.good",
                                                     "v=spf1 -all")},
          "spf", "FAIL", f"ip4:{HOST}", heals="helo"),
    Fault("no PTR", {"ptr": None}, "ptr", "FAIL",
          "10.2.0.192.in-addr.arpa. PTR mx.good.example.test.", heals="ptr"),
    Fault("no PTR of the proxy's address", {"exitptr": None}, "ptr", "FAIL",
          "77.2.0.192.in-addr.arpa. PTR exit.good.example.test.",
          heals="exitptr"),
    Fault("a PTR to another name, and not back", {
        "ptr": f"10.{REVERSE}. PTR other.example.test."}, "ptr", "FAIL",
        "PTR mx.good.example.test.", heals="ptr"),
    Fault("a PTR to another name that leads back", {
        "ptr": f"10.{REVERSE}. PTR also.good.example.test.",
        "also": f"also.good A {HOST}"}, "ptr", "WARN",
        "PTR mx.good.example.test.", heals="ptr"),
    Fault("the name does not lead back", {"exita": None}, "ptr", "FAIL",
          f"exit.good.example.test. A {EXIT}", heals="exita"),
    Fault("this host's name has no address", {"mxa": None, "mx":
          "good MX 10 mx2.good", "mx2": "mx2.good A 192.0.2.11", "tlsa": None,
          "tlsa2": "_25._tcp.mx2.good TLSA 3 1 1 " + "00" * 32},
          "hostname", "FAIL", "mx.good.example.test. A",
          policy=mtasts.policy("enforce", "mx2.good.example.test"),
          also=("spf", "ptr")),
    Fault("no DKIM key", {"rsa": None}, "dkim", "FAIL",
          "rsa._domainkey.good.example.test. TXT", "p=", heals="rsa"),
    Fault("another DKIM key", {"ed": txt(
        "ed._domainkey.good", "v=DKIM1; k=ed25519; p=" + "A" * 43 + "=")},
        "dkim", "FAIL", "differs", "ed._domainkey.good.example.test. TXT",
        heals="ed"),
    Fault("a revoked DKIM key", {"rsa": txt(
        "rsa._domainkey.good", "v=DKIM1; k=rsa; p=")}, "dkim", "FAIL",
        "revoked", "p=MI", heals="rsa"),
    Fault("a private key that is not there", {}, "dkim", "FAIL", "none.pem",
          config=with_config("/rsa.pem", "/none.pem")),
    Fault("no signing configured", {}, "dkim", "WARN", "dkim_selector",
          config=with_config("[domain good", "[domain bad")),
    Fault("no DMARC", {"dmarc": None}, "dmarc", "WARN", "v=DMARC1",
          heals="dmarc"),
    Fault("DMARC without a policy", {"dmarc": txt(
        "_dmarc.good", "v=DMARC1; p=perhaps")}, "dmarc", "WARN", "v=DMARC1",
        heals="dmarc"),
    Fault("no MTA-STS record", {"sts": None}, "mta-sts", "WARN", "v=STSv1",
          heals="sts"),
    Fault("an MTA-STS policy that lacks the MX", {}, "mta-sts", "FAIL",
          "mx: mx.good.example.test", "does not list",
          policy=mtasts.policy("enforce", "elsewhere.test")),
    Fault("no MTA-STS policy", {"stsa": None}, "mta-sts", "WARN",
          "mta-sts.good.example.test/.well-known/mta-sts.txt"),
    Fault("no TLSRPT", {"tlsrpt": None}, "tlsrpt", "WARN", "v=TLSRPTv1",
          heals="tlsrpt"),
    Fault("no TLSA", {"tlsa": None}, "tlsa", "WARN",
          "_25._tcp.mx.good.example.test. TLSA 3 1 1"),
    Fault("TLSA of a usage that does not count", {
        "tlsa": "_25._tcp.mx.good TLSA 1 1 1 " + "00" * 32}, "tlsa", "WARN",
        "TLSA 3 1 1"),
    Fault("a TLSA digest that is cut short", {
        "tlsa": "_25._tcp.mx.good TLSA 3 1 1 " + "00" * 31}, "tlsa", "WARN",
        "TLSA 3 1 1"),
    Fault("a proxy without remote_ips", {}, "socks", "WARN", "remote_ips",
          config=with_config("remote_ips = 192.0.2.77\n", "")),
    Fault("a smarthost that SPF does not name", {}, "smarthost", "WARN",
          "include:", "SPF", config=lambda world: world.config +
          "[transport out]\nkind = smtp\nhost = other.example.test\n"),
]


def no_answer(folder, _):
    """a resolver that fails: FAIL, never OK, in bounded time"""
    d = mxnet.Resolver(lambda n, t: 2)
    r = submit(folder, [], more=WORLD.config, domain=DOMAIN,
               host="mx.good.example.test", resolver=d.where,
               arguments=("--dnscheck", DOMAIN, "--json")).expect(1)
    d.stop()
    want(r.took < 30, f"it took {r.took:.1f} s")
    want(not [row for row in json.loads(r.out)["checks"]
              if row["status"] == "OK"], r.out)


def hostile(folder, _):
    """control bytes in a record: never shown raw"""
    text = b"v=spf1 \x1b[31m\r\n\x07 -all"
    d = mxnet.Resolver(lambda n, t: [mxnet.raw_record(
        n, 16, bytes([len(text)]) + text)] if t == "TXT" else [])
    for arguments in ((), ("--json",)):
        r = submit(folder, [], more=WORLD.config, domain=DOMAIN,
                   host="mx.good.example.test", resolver=d.where,
                   arguments=("--dnscheck", DOMAIN, *arguments)).expect(1)
        want(not set(r.out) & set("\x1b\r\x07"), repr(r.out))
    d.stop()


def bad_word(folder, _):
    """an address or nonsense instead of a domain: 64"""
    for word in ("[192.0.2.1]", "a b", ""):
        submit(folder, [], arguments=("--dnscheck", word)).expect(64)


TESTS = [all_right, *FAULTS, no_answer, hostile, bad_word]


def main():
    global WORLD
    mxnet.isolate("nsd", "unbound", "ldns-keygen", "ldns-signzone",
                  "openssl", "mount", bare=True)
    with mxnet.scratch() as folder:
        mxnet.install_fetch(folder)
        WORLD = World(folder)
        return mxnet.tap(TESTS)


if __name__ == "__main__":
    sys.exit(main())
